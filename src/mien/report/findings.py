"""All that a report says of a comparison, worked out once: the page and the JSON are two ways to write it down."""

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
"""Of the bootstrap: the same runs give the same page."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A judgement, and what was examined of its runs besides."""

    judgement: Judgement
    examined: Examined
    explained: tuple[Truth, ...] | str
    """Empty where no explanation was held against the truth, which drawn faces alone know; the sentence that says why,
    where those that were do not fit together."""
    left_out: tuple[str, ...]
    """Which run folders and measurements are damaged and not in it, a sentence each."""

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
        """Where the runs are, as it is typed in a shell; of rows that have figures only."""
        return shlex.quote(str(self.shown[0].first.path.parent))

    @property
    def store(self) -> Store | None:
        """That of the comparison, where it is still there."""
        return self.judgement.store


def find(comparison: Comparison, context: Context | None = None) -> Findings:
    """Work it out; raises `CompareError` where `context` does not fit. What is damaged is left out and said."""
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
