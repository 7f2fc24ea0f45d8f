"""Collects all examinations of finished runs from their folders, for the sections of a report.

In: the rows of a comparison, and runs of other folders where there are any. Out: `Examined`. No network runs here:
damage and other corpora are read from what `mien robustness` and `mien across` kept; groups, doubtful labels, votes
and curves follow from saved logits. Groups and votes are computed on the runs' own test part, and on every other corpus
that rows were tested on. If a finding is not available, a sentence gives the reason, and the others follow.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ..compare import ALWAYS_VARIES, Comparison, Row, collect
from ..data.store import Store
from ..errors import CompareError
from ..runs import Run
from ..words import faces_of
from .across import Matrix, rows_by_store, stored
from .away import as_tested, kept_tests, was_tested_elsewhere
from .damaging import Robustness
from .groups import Groups, by_groups
from .kept import Replicate
from .labelnoise import NOISE, Agreement, LabelIssues, NoisePoint, agreements, find_issues, noise_curves, out_of_sample
from .robustness import Damage, measured_rows, pick_baseline, summarise
from .tested import Tested, at_home

__all__ = ["MOST_JUDGED", "Context", "Examined", "Place", "check", "gather", "most_accurate", "place_of"]

MOST_JUDGED = 6
"""Groups are judged for at most this many rows, the most accurate, because every further test weakens all others."""
DRAWS = 1000
SEED = 0
"""Seed of the bootstrap: the same runs give the same page."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Context:
    """Further input of a report, besides the runs that it compares."""

    baseline: str | None = None
    """Name of the baseline row, whose mCE is 1; None takes the first that was measured."""
    noise: tuple[Run, ...] = ()
    """Runs under injected label noise (recipe `noise`), of any store."""
    elsewhere: tuple[Run, ...] = ()
    """Runs of the same networks, trained on other stores, for the whole matrix of corpora."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Findings about the rows on the test faces of one corpus: groups of people, and annotators' votes."""

    corpus: str
    """Elsewhere, its name as in `Matrix.corpora`."""
    home: str
    """The corpus that the rows were trained on and are compared by."""
    groups: tuple[Groups, ...]
    """For at most `MOST_JUDGED` rows; empty if the corpus records no groups."""
    votes: tuple[Agreement, ...]
    """Empty where the corpus has no votes."""
    notes: tuple[str, ...]
    """What was left out of the groups and why, in sentences."""

    @property
    def away(self) -> bool:
        """Whether it is another corpus than that of training."""
        return self.corpus != self.home

    @property
    def where(self) -> str:
        """The addition to a title: empty for the runs' own corpus, otherwise such as `on drawn faces, not on
        fer2013`.
        """
        return f"on {faces_of(self.corpus)}, not on {faces_of(self.home)}" if self.away else ""

    @property
    def suffix(self) -> str:
        """The suffix of its files and figures: empty for the runs' own corpus, otherwise such as `-drawn`."""
        return f"-{re.sub(r'[^a-z0-9]+', '-', self.corpus.lower()).strip('-')}" if self.away else ""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """All findings. Each is empty or None if it was not measured or is not available."""

    damages: tuple[Damage, ...] = ()
    places: tuple[Place, ...] = ()
    """The runs' own corpus first, then the others that rows were tested on."""
    issues: LabelIssues | None = None
    noise: tuple[NoisePoint, ...] = ()
    matrix: Matrix | None = None
    """None where no network was tested on another corpus than its own."""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was left out and why, in sentences, by the name of the field above."""


def check(comparison: Comparison, context: Context) -> None:
    """Raise `CompareError`, before anything is trained or measured, where `context` does not fit the comparison."""
    if context.baseline is not None:
        pick_baseline([row.name for row in comparison.rows], context.baseline)
    _noisy(context.noise)
    for run in context.elsewhere:
        if run.data.fingerprint == comparison.data.fingerprint:
            raise CompareError(f"{run.path.parent} holds runs of the same data; give those of other corpora.")


def gather(
    comparison: Comparison,
    rows: Sequence[Row],
    store: Store | None = None,
    context: Context | None = None,
    damaged: list[str] | None = None,
) -> Examined:
    """The examinations of `rows`, those of the comparison that a report shows.

    Args:
        comparison: of one store; the baseline may be any of its rows.
        rows: some of its rows.
        store: that of the rows, if it still exists; it holds annotators' votes.
        context: the baseline, and runs of other folders.
        damaged: receives the messages about damaged files, which then count as not measured.

    Raises:
        CompareError: as `check` does.
        RunError: a file in a run folder is damaged, and `damaged` is None.
    """
    able, context = [row for row in rows if row.tests], context or Context()
    check(comparison, context)
    if not able:
        return Examined()
    notes: dict[str, tuple[str, ...]] = {}

    def tried(part: str, make: Callable[[], T], nothing: T) -> T:
        try:
            return make()
        except CompareError as error:
            notes[part] = (str(error),)
            return nothing

    shown = {row.name for row in able}
    baseline = [row for row in comparison.rows if row.name == context.baseline and row.name not in shown]
    measured = measured_rows([*able, *baseline], damaged)
    others = _elsewhere(context.elsewhere, {row.name for row in able})
    matrix = tried("matrix", lambda: _matrix([able, *others], damaged), None)
    found = Examined(
        damages=tried("damages", lambda: _damages(measured, context.baseline), ()),
        places=tuple(_places(able, store, matrix, damaged)),
        issues=tried("issues", lambda: find_issues(out_of_sample(_runs(able)), _rng()), None),
        noise=tried("noise", lambda: noise_curves(_noisy(context.noise) or able, _rng()), ()),
        matrix=matrix,
        notes=notes,
    )
    for part, sentence in (*_left_out(able, measured, found), *_trained_apart(able, others, found)):
        notes[part] = (*notes.get(part, ()), sentence)
    return found


def _damages(measured: Mapping[str, Mapping[Replicate, Robustness]], baseline: str | None) -> tuple[Damage, ...]:
    if not measured:
        return ()
    if baseline is not None and baseline not in measured:
        raise CompareError(f"{baseline} is to be the baseline and was not measured; run `mien robustness` on all runs.")
    return summarise(measured, _rng(), baseline)


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _runs(rows: Sequence[Row]) -> list[Run]:
    return [run for row in rows for run in row.runs]


def most_accurate(rows: Sequence[Row]) -> list[Row]:
    """At most `MOST_JUDGED` rows, in their order."""
    ranked = sorted(rows, key=lambda row: -float(np.mean([score.accuracy for score in row.scores])))[:MOST_JUDGED]
    return [row for row in rows if row in ranked]


def _noisy(runs: Sequence[Run]) -> list[Row]:
    rows = [row for row in collect(runs, [NOISE]).rows if row.tests] if runs else []
    if runs and not any(NOISE in row.factors for row in rows):
        raise CompareError(
            f"The runs in {runs[0].path.parent} do not differ in {NOISE}. Make some that do: `mien compare noise`."
        )
    return rows


def _elsewhere(runs: Sequence[Run], names: Collection[str]) -> list[list[Row]]:
    """Rows of these names, trained on other stores: there, any setting may differ from network to network."""
    if not runs:
        return []
    every = list(runs[0].settings.flat())
    return [[row for row in group if row.name in names] for group in rows_by_store(runs, vary=every)]


def _trained_apart(rows: Sequence[Row], others: Sequence[Sequence[Row]], found: Examined) -> Iterator[tuple[str, str]]:
    """The settings in which the training on other stores differed."""
    if found.matrix is None:
        return
    here, home = {row.name: row.runs[0] for row in rows}, rows[0].runs[0].data.corpus
    for group in others:
        away = [(row.runs[0].settings.flat(), here[row.name].settings.flat()) for row in group if row.runs]
        unequal = [
            f"{key} {_values(there[key] for there, _ in away)} (on {home} {_values(own[key] for _, own in away)})"
            for key in (away[0][0] if away else ())
            if key not in ALWAYS_VARIES and any(there[key] != own[key] for there, own in away)
        ]
        if unequal:
            corpus = group[0].runs[0].data.corpus
            yield "matrix", f"Networks trained on {corpus} had other settings: {'; '.join(unequal)}."


def _values(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _places(
    rows: Sequence[Row], store: Store | None, matrix: Matrix | None, damaged: list[str] | None
) -> Iterator[Place]:
    """Groups and votes on the own corpus, then on every other corpus on which all runs of a row were tested."""
    home = rows[0].runs[0].data.corpus
    yield place_of(home, home, most_accurate(rows), {row.name: at_home(row, store) for row in rows})
    if matrix is None:
        return
    said_already = None if damaged is None else list[str]()
    kept = [(row, kept_tests(row, damaged=said_already)) for row in rows]
    for fingerprint, corpus in zip(matrix.fingerprints, matrix.corpora, strict=True):
        there = [(row, as_tested(row, tests[fingerprint])) for row, tests in kept if fingerprint in tests]
        judged = most_accurate([row for row, _ in there])
        if there:
            yield place_of(corpus, home, judged, {row.name: tested for row, tested in there})


def place_of(corpus: str, home: str, judged: Sequence[Row], tested: Mapping[str, Tested]) -> Place:
    """The findings of the rows that were tested there; groups only of the `judged` rows."""
    notes: list[str] = []
    groups: tuple[Groups, ...] = ()
    votes: tuple[Agreement, ...] = ()
    try:
        groups = by_groups([tested[row.name] for row in judged], _rng(), draws=DRAWS)
        votes = agreements(list(tested.values()), _rng())
    except CompareError as error:
        notes.append(str(error))
    if groups and len(judged) < len(tested):
        at_home = "" if corpus == home else " at home"
        notes.append(f"Judged are the {len(judged)} most accurate rows{at_home} of {len(tested)}.")
    return Place(corpus=corpus, home=home, groups=groups, votes=votes, notes=tuple(notes))


def _matrix(groups: Sequence[Sequence[Row]], damaged: list[str] | None) -> Matrix | None:
    """The matrix, if it has more cells than every row's own test part."""
    if not any(was_tested_elsewhere(run) for rows in groups for run in _runs(rows)):
        return None
    matrix = stored(groups, _rng(), damaged=damaged)
    return None if all(cell.own for cell in matrix.cells) else matrix


def _left_out(rows: Sequence[Row], measured: Mapping[str, object], found: Examined) -> Iterator[tuple[str, str]]:
    """What the findings do not cover, by part."""
    missing = [row.name for row in rows if row.name not in measured]
    if found.damages and missing:
        yield "damages", f"Not measured: {'; '.join(missing)}."
    seeds = max(len(row.tests) for row in rows)
    if found.damages and found.damages[0].seeds < seeds:
        yield (
            "damages",
            f"Means are over the {found.damages[0].seeds} of {seeds} seeds that all rows were measured with.",
        )
    tested = {cell.network for cell in found.matrix.cells if not cell.own} if found.matrix else set()
    untested = [row.name for row in rows if row.name not in tested]
    if found.matrix and untested:
        yield "matrix", f"Not tested on another corpus with all of their runs: {'; '.join(untested)}."
