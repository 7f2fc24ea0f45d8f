"""All findings of a report, computed once; the page and the JSON are written from them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..compare import Comparison, Row
from ..data.store import Store
from ..errors import CompareError
from ..examine.examined import Context, Examined, gather
from ..explain.beside import Truth, summarise
from ..explain.truth import measured_rows
from ..judge import Judgement, judge
from .figures import Shown, looked
from .figures.sheet import Look

__all__ = ["Findings", "find"]

SEED = 0
"""Seed of the bootstrap: the same runs give the same page."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A judgement, and the further examinations of its runs."""

    judgement: Judgement
    examined: Examined
    explained: tuple[Truth, ...] | str
    """Comparisons of explanations with the truth, which only drawn faces have. Empty if there are none; a sentence
    with the reason if they do not fit together.
    """
    left_out: tuple[str, ...]
    """Damaged run folders and measurements, which are left out, one sentence each."""

    @property
    def comparison(self) -> Comparison:
        return self.judgement.comparison

    @cached_property
    def shown(self) -> list[Shown]:
        """The rows that get figures, each with its look."""
        return looked(self.comparison.rows, self.judgement.rows)

    @property
    def looks(self) -> dict[str, Look]:
        """The looks of the rows that get figures, by name."""
        return {item.name: item.look for item in self.shown}

    @property
    def every_look(self) -> dict[str, Look]:
        """The looks of all rows with figures, by name: differences between all of them are drawn."""
        able = [row for row in self.comparison.rows if row.scores]
        return {item.name: item.look for item in looked(self.comparison.rows, able)}

    @property
    def folder(self) -> str:
        """The folder of the runs, quoted for a shell; only of rows that have figures."""
        return shlex.quote(str(self.shown[0].first.path.parent))

    @property
    def store(self) -> Store | None:
        """The store of the comparison, if it still exists."""
        return self.judgement.store


def find(comparison: Comparison, context: Context | None = None) -> Findings:
    """Compute all findings; raises `CompareError` if `context` does not fit. Damaged files are left out and named."""
    damaged: list[str] = []
    judgement = judge(comparison)
    rows, store = judgement.rows, judgement.store
    return Findings(
        judgement=judgement,
        examined=gather(comparison, rows, store, context, damaged) if rows else Examined(),
        explained=_explained(rows, damaged),
        left_out=(*judgement.left_out, *dict.fromkeys(damaged)),
    )


def _explained(rows: Sequence[Row], damaged: list[str]) -> tuple[Truth, ...] | str:
    measured = measured_rows(rows, damaged)
    if not measured:
        return ()
    try:
        return summarise(measured, np.random.default_rng(SEED))
    except CompareError as error:
        return str(error)
