"""One row of a comparison on the test part of one corpus: its own, or another that it was tested on.

Findings about groups and votes are computed from a `Tested`, for any corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..calibration import Floats
from ..compare import Row
from ..data.store import Store
from ..metrics import ratio
from ..runs import Logits

__all__ = ["Tested", "among", "at_home", "votes_among"]


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The predictions of a row's runs on one test part."""

    name: str
    """Of the row."""
    classes: tuple[str, ...]
    """Classes of the labels and predictions."""
    tests: tuple[Logits, ...]
    """Logits of each seed, all of the same faces. On the own corpus these are replicates, elsewhere runs."""
    votes: Floats | None
    """`(n, K)`, shares of annotators' votes for each class, where the corpus has them; rows sum to 1."""


def at_home(row: Row, store: Store | None = None) -> Tested:
    """A row with results on its own test part; votes are in its `store`."""
    tests = tuple(row.tests.values())
    return Tested(
        name=row.name,
        classes=row.runs[0].data.labels,
        tests=tests,
        votes=store.votes(tests[0].ids) if store else None,
    )


def votes_among(votes: Floats | None, classes: Sequence[int]) -> Floats | None:
    """Shares of votes `(n, K)` for these classes only; zeros for a face without a remaining vote."""
    if votes is None:
        return None
    chosen = votes[:, list(classes)]
    return np.nan_to_num(ratio(chosen, chosen.sum(axis=1, keepdims=True)))


def among(test: Logits, common: Sequence[int]) -> Logits:
    """The faces whose label is one of the classes `common`, ascending, with the logits of these classes only."""
    kept = np.isin(test.labels, common)
    return replace(
        test,
        ids=test.ids[kept],
        labels=np.searchsorted(common, test.labels[kept]),
        logits=test.logits[kept][:, list(common)],
        subjects=test.subjects[kept],
        groups={name: column[kept] for name, column in test.groups.items()},
    )
