"""Openings of the test part: by which run, when and why, from the runs' records and the log of their store.

Choosing the best of many settings on one test makes it a validation part. So every opening is recorded before it
happens, and counted here by run and by settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..compare import FOLD, REPLICATES, Comparison
from ..data.store import Store
from ..errors import DataError
from ..runs import DataFacts, Run
from ..words import many

__all__ = ["AGAIN", "PEEKING", "Opening", "Openings", "count_openings", "find_store"]

EVALUATION, PEEKING, AGAIN = "evaluation", "--show-peeking", "opened again"


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One opening by a run of the comparison."""

    run: str
    row: str
    when: str
    """UTC, ISO 8601."""
    why: str


@dataclass(frozen=True, kw_only=True)
class Openings:
    """All openings that are known."""

    own: tuple[Opening, ...]
    """By the finished runs of the comparison, in the table's order."""
    settings: int
    """Different settings among those runs; seeds, repetitions and folds of one setting count as one."""
    others: int
    """Openings in the store's log by runs that are not in the comparison."""
    other_runs: int
    logged: bool
    """Whether the store and its log could be read."""

    @property
    def sentence(self) -> str:
        """The count, and what follows from it."""
        runs = len({opening.run for opening in self.own})
        peeks = sum(opening.why == PEEKING for opening in self.own)
        again = sum(opening.why == AGAIN for opening in self.own)
        parts = [f"{many(len(self.own), 'time')} by the {many(runs, 'run')} of this page"]
        notes = [f"{peeks} of them by --show-peeking, when the run's own figures were saved"] if peeks else []
        notes += [f"{again} of them a second time, when an evaluation was restarted"] if again else []
        words = f"The test part was opened {parts[0]} ({'; '.join([*notes, _tries(self.settings)])})"
        if not self.logged:
            return f"{words}. The store no longer exists, so openings by other runs are unknown."
        if not self.others:
            return f"{words}. The store's log shows no other opening."
        return (
            f"{words}, and {many(self.others, 'time')} by {many(self.other_runs, 'run')} that "
            f"{'is' if self.other_runs == 1 else 'are'} not on this page. Picking the best of all these means "
            "choosing on the test."
        )


def find_store(data: DataFacts) -> Store | str:
    """The store of these runs, or a sentence that gives the reason why its pictures cannot be shown."""
    try:
        store = Store.open(data.store)
    except DataError:
        return f"Pictures are left out: the store {data.store} no longer exists."
    if store.meta.sha256 != data.fingerprint:
        return f"Pictures are left out: the store {data.store} has changed since the runs were made."
    return store


def count_openings(comparison: Comparison, store: Store | None) -> Openings:
    """The openings by the finished runs, and the other openings in the log of `store`."""
    own = tuple(
        opening for row in comparison.rows for run in (*row.runs, *row.partial) for opening in _of_run(run, row.name)
    )
    known = {run.id for run in comparison.runs}
    log = store.openings() if store else []
    strangers = [run for _, run in log if run not in known]
    return Openings(
        own=own,
        settings=len({_settings(run) for run in comparison.runs if run.record.test_opened_at}),
        others=len(strangers),
        other_runs=len(set(strangers)),
        logged=store is not None,
    )


def _of_run(run: Run, row: str) -> Sequence[Opening]:
    """The first opening is the evaluation; with `--show-peeking`, the last one is the peeking. An ensemble has none."""
    times = run.record.test_opened_at
    why = [EVALUATION, *[AGAIN] * (len(times) - 1)][: len(times)]
    if len(times) > 1 and run.peeking:
        why[-1] = PEEKING
    return [Opening(run=run.id, row=row, when=when, why=word) for when, word in zip(times, why, strict=True)]


def _settings(run: Run) -> tuple[object, ...]:
    return tuple(value for key, value in run.settings.flat().items() if key not in (*REPLICATES, FOLD))


def _tries(settings: int) -> str:
    return f"{settings} different settings" if settings > 1 else "one setting"
