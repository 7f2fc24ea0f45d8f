"""Assigns whole groups to the folds of a cross-validation, so that every fold has about the same mix of classes.

In: the class and the group of each sample. Out: the fold in which each is tested. The folds are those of scikit-learn's
`StratifiedGroupKFold(folds, shuffle=True, random_state=seed)`, which takes two minutes for a million groups: it
recomputes the balance of all classes for each group and fold. This version recomputes only the classes of the group.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["deal"]

CLOSE, CLOSE_SHARE = 1e-8, 1e-5
"""Two folds count as equally good within this tolerance, that of `numpy.isclose`."""


def deal(labels: NDArray[np.int64], groups: NDArray[np.integer], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each sample, `(n,)` numbers from 0, of `(n,)` classes and groups.

    The groups are shuffled with `seed` and sorted, those with the most uneven classes first. Each goes to the fold that
    leaves the classes most evenly spread over the folds.

    Raises `ValueError` where there are more folds than groups, or than samples of the most frequent class.
    """
    _, label, totals = np.unique(labels, return_inverse=True, return_counts=True)
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1
    if folds > min(count, totals.max()):
        raise ValueError(
            f"{folds} folds need as many groups (subjects, or different images) and samples of a class; there are "
            f"{count} groups and {totals.max()} samples of the most frequent class."
        )
    table = np.bincount(group * len(totals) + label, minlength=count * len(totals)).reshape(count, -1)
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-np.std(table[order].astype(float), axis=1), kind="stable")]
    fold_of = np.empty(count, np.int64)
    fold_of[order] = _greedily(table[order], folds)
    return fold_of[group]


def _greedily(table: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """The fold of each group, `(g,)`, of `(g, K)` samples by group and class, one group after the other.

    The imbalance of a class is the standard deviation, over the folds, of their shares of it. A group changes the
    imbalance of its own classes only. Row i of a `(folds, K)` array holds the imbalance of each class if the group
    joined fold i.
    """
    totals, one = table.sum(axis=0), np.eye(folds)
    dealt, sizes = np.zeros((len(totals), folds)), [0] * folds
    uneven = np.zeros((folds, len(totals)))
    found = np.empty(len(table), np.int64)
    for number, held in enumerate(_held(table)):
        for k, n in held:
            uneven[:, k] = _deviation((dealt[k][:, None] + n * one) / totals[k])
        fold = found[number] = _best((np.add.reduce(uneven, axis=1) / len(totals)).tolist(), sizes)
        uneven[:] = uneven[fold]
        for k, n in held:
            dealt[k, fold] += n
            sizes[fold] += n
    return found


def _deviation(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """`shares.std(axis=0)`, operation by operation, because the last bit decides between equally good folds."""
    apart = shares - np.add.reduce(shares, axis=0) / len(shares)
    deviation: NDArray[np.float64] = np.sqrt(np.add.reduce(apart * apart, axis=0) / len(shares))
    return deviation


def _best(uneven: Sequence[float], sizes: Sequence[int]) -> int:
    """The fold that leaves the classes most even. Of nearly equal folds, the smaller one."""
    best = 0
    for fold in range(1, len(uneven)):
        near = abs(uneven[fold] - uneven[best]) <= CLOSE + CLOSE_SHARE * uneven[best]
        if uneven[fold] < uneven[best] or (near and sizes[fold] < sizes[best]):
            best = fold
    return best


def _held(table: NDArray[np.int64]) -> Iterator[list[tuple[int, int]]]:
    """The classes that each group has, with the number of its samples in them."""
    rows, classes = np.nonzero(table)
    pairs = list(zip(classes.tolist(), table[rows, classes].tolist(), strict=True))
    start = 0
    for end in np.cumsum(np.count_nonzero(table, axis=1)).tolist():
        yield pairs[start:end]
        start = end
