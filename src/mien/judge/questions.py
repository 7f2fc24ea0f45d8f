"""Selects the differences to test: those that a reader would ask for, not every pair of a large grid.

- Every level of a factor against the factor's reference, where all other factors are equal. The reference is the
  default of the setting where some row has it, otherwise the first level.
- Every row against the best of the simple methods, which is the one with the highest accuracy on validation.
- Every ensemble against the best of its members, which is the one with the highest accuracy on validation.
- All pairs, where there are at most `MOST_FOR_ALL_PAIRS` rows.

Holm's correction is over what was asked, so fewer questions leave each of them more power.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..compare import Row
from ..config import NetworkSettings
from ..rows import NAME, level_words
from ..words import listed, many
from .ensembles import best_member
from .select import valid_accuracy

__all__ = ["MOST_FOR_ALL_PAIRS", "Question", "asked_words", "best_simple", "levels", "questions", "reference"]

MOST_FOR_ALL_PAIRS = 8
"""Rows up to which all pairs are tested."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two rows whose difference is tested."""

    first: Row
    second: Row
    """The reference, where there is one."""
    why: str
    """`all pairs`; the factor, such as `model.dropout`; `simple` or `member`."""


def questions(rows: Sequence[Row], factors: Sequence[str]) -> tuple[Question, ...]:
    """The pairs of rows to test, each once, in the order of the table."""
    if len(rows) <= MOST_FOR_ALL_PAIRS:
        return tuple(Question(first=a, second=b, why="all pairs") for a, b in itertools.combinations(rows, 2))
    found: dict[frozenset[str], Question] = {}
    for one in itertools.chain(
        *(_of_factor(rows, key) for key in factors), _against_simple(rows), _against_members(rows)
    ):
        found.setdefault(frozenset((one.first.name, one.second.name)), one)
    return tuple(found.values())


def _of_factor(rows: Sequence[Row], key: str) -> Iterator[Question]:
    chosen = reference(rows, key)
    for by_level in levels(rows, key):
        for level, row in by_level.items():
            if level != chosen and chosen in by_level:
                yield Question(first=row, second=by_level[chosen], why=key)


def _against_simple(rows: Sequence[Row]) -> Iterator[Question]:
    best = best_simple(rows)
    if best:
        yield from (Question(first=row, second=best, why="simple") for row in rows if not is_simple(row))


def _against_members(rows: Sequence[Row]) -> Iterator[Question]:
    for row in rows:
        if best := best_member(row, rows):
            yield Question(first=row, second=best, why="member")


def levels(rows: Sequence[Row], key: str) -> list[Mapping[Any, Row]]:
    """Groups of rows that differ only in one factor, by its level. Rows without the factor are left out."""
    groups: dict[tuple[tuple[str, Any], ...], dict[Any, Row]] = {}
    for row in rows:
        if row.factors.get(key) is not None:
            others = tuple((name, value) for name, value in row.factors.items() if name != key)
            groups.setdefault(others, {})[row.factors[key]] = row
    return list(groups.values())


def reference(rows: Sequence[Row], key: str) -> Any:
    """mien's default where some row has it, otherwise the first level; None where no row has the factor."""
    found = list(dict.fromkeys(row.factors[key] for row in rows if row.factors.get(key) is not None))
    default = NetworkSettings().flat().get(key)
    return default if default in found else found[0] if found else None


def is_simple(row: Row) -> bool:
    """Whether it is a method that others should beat; see `Settings.SIMPLE`."""
    return any(type(run.settings).SIMPLE for run in row.runs)


def best_simple(rows: Sequence[Row]) -> Row | None:
    """The simple row with the highest accuracy on validation; None where there is none."""
    return max((row for row in rows if is_simple(row)), key=valid_accuracy, default=None)


def asked_words(asked: Sequence[Question], rows: Sequence[Row]) -> str:
    """`all 15 pairs of rows`, or what each row was compared with; empty if nothing is tested."""
    whys = list(dict.fromkeys(one.why for one in asked))
    if "all pairs" in whys:
        return f"all {many(len(asked), 'pair')} of rows" if len(asked) > 1 else "the one pair of rows"
    return listed(_why_words(why, rows) for why in whys)


def _why_words(why: str, rows: Sequence[Row]) -> str:
    if why == "member":
        return "each ensemble against the best of its members on validation"
    if why == "simple":
        best = best_simple(rows)
        return f"each row against {best.name if best else ''}, the best simple method on validation"
    chosen = reference(rows, why)
    if why == NAME:
        return f"each network against {chosen}"
    return f"each level of {why.rpartition('.')[2].replace('_', ' ')} against {level_words(why, chosen)}"
