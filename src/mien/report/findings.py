"""All that a report says of a comparison, worked out once: the page and the JSON are two ways to write it down."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..compare import Comparison, Row
from ..data.store import Store
from ..errors import CompareError
from ..examine.examined import Beside, Examined, gather
from ..explain.beside import Truth, summarise
from ..explain.truth import measured_rows
from .calibrated import Calibrated, calibrate_rows
from .certainty import Certainty, assess
from .figures import Shown, select
from .peeking import Peeked, peeked_rows
from .pictures import open_store

__all__ = ["Findings", "find"]

SEED = 0
"""Of the bootstrap: the same runs give the same page."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A comparison with its intervals, its verdicts and what was examined of its runs."""

    comparison: Comparison
    store: Store | str
    """That of the comparison, or the sentence that says why its pictures cannot be shown."""
    certainty: Certainty
    shown: Sequence[Shown]
    """The rows that get figures; what follows is of these."""
    calibrated: tuple[Calibrated, ...]
    peeked: tuple[Peeked, ...]
    examined: Examined
    explained: tuple[Truth, ...] | str
    """Empty where no explanation was held against the truth, which drawn faces alone know; the sentence that says why,
    where those that were do not fit together."""
    left_out: tuple[str, ...]
    """Which run folders and measurements are damaged and not in it, a sentence each."""


def find(comparison: Comparison, beside: Beside | None = None) -> Findings:
    """Work it out; raises `CompareError` where `beside` does not fit. What is damaged is left out and said."""
    damaged: list[str] = []
    shown, store = select(comparison.rows), open_store(comparison.data)
    rows, known = [item.row for item in shown], store if isinstance(store, Store) else None
    return Findings(
        comparison=comparison,
        store=store,
        certainty=assess(comparison),
        shown=shown,
        calibrated=calibrate_rows(shown),
        peeked=peeked_rows(shown),
        examined=gather(comparison, rows, known, beside, damaged) if shown else Examined(),
        explained=_explained(rows, damaged),
        left_out=(*comparison.left_out, *dict.fromkeys(damaged)),
    )


def _explained(rows: Sequence[Row], damaged: list[str]) -> tuple[Truth, ...] | str:
    measured = measured_rows(rows, damaged)
    if not measured:
        return ()
    try:
        return summarise(measured, np.random.default_rng(SEED))
    except CompareError as error:
        return str(error)
