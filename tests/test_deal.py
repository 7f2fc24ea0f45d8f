"""Groups dealt to folds: scikit-learn's folds, for a million samples too."""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from mien.data.deal import deal


def theirs(labels: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    found = np.full(len(labels), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer samples than folds
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        for fold, (_, test) in enumerate(splitter.split(labels, labels, groups)):
            found[test] = fold
    return found


def made(kind: str, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Classes, groups and a number of folds, drawn at random."""
    count, classes, folds = (int(rng.integers(*span)) for span in ((60, 300), (2, 10), (2, 11)))
    labels = rng.choice(classes, count, p=rng.dirichlet(np.ones(classes)))
    groups = {
        "alone": np.arange(count),
        "some copies": np.where(rng.random(count) < 0.1, rng.integers(0, count, count), np.arange(count)),
        "subjects": rng.integers(0, max(folds, count // 8), count),
    }[kind]
    return labels, groups, folds


@pytest.mark.long
@pytest.mark.parametrize("kind", ["alone", "some copies", "subjects"])
def test_the_folds_are_scikit_learns(kind: str) -> None:
    """To the last sample: runs of a cross-validation that was begun before go on with the same folds."""
    rng = np.random.default_rng(7)
    for seed in range(15):
        labels, groups, folds = made(kind, rng)
        if np.bincount(labels).max() >= folds <= len(np.unique(groups)):
            np.testing.assert_array_equal(deal(labels, groups, folds, seed), theirs(labels, groups, folds, seed))


def test_each_class_is_spread_evenly() -> None:
    labels = np.repeat([0, 1, 2], [500, 50, 10])
    fold_of = deal(labels, np.arange(560), 5, 0)
    assert [np.bincount(fold_of[labels == k]).tolist() for k in range(3)] == [[100] * 5, [10] * 5, [2] * 5]


@pytest.mark.parametrize(("samples", "groups", "folds"), [(4, 4, 5), (100, 3, 4)])
def test_more_folds_than_groups_are_refused(samples: int, groups: int, folds: int) -> None:
    with pytest.raises(ValueError, match=f"{folds} folds need as many groups .* there are {groups} groups"):
        deal(np.zeros(samples, int), np.arange(samples) % groups, folds, 0)


@pytest.mark.long
def test_a_million_samples_take_memory_for_themselves_and_time_in_proportion() -> None:
    seconds = []
    for count in (100_000, 1_000_000):
        labels, groups = np.arange(count) % 7, np.arange(count)
        started = time.process_time()
        deal(labels, groups, 5, 0)
        seconds.append(time.process_time() - started)
    assert seconds[1] < 25 * seconds[0], "ten times the samples, ten times the time, and room for a busy machine"
    tracemalloc.start()
    deal(np.arange(100_000) % 7, np.arange(100_000), 5, 0)
    assert tracemalloc.get_traced_memory()[1] < 60e6, "600 bytes a sample"
    tracemalloc.stop()
