"""One row of a comparison: a network with its factors, over all its replicates, and whether these are complete.

A replicate is the result of one seed (and one repetition of a cross-validation). With a holdout it is one run. With a
cross-validation it is one run for each fold, and it is complete when every planned fold is finished: only then was
every face tested once. Incomplete replicates give no figure; `Row.gaps` names the missing folds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from .config import Settings
from .errors import RunError
from .metrics import Scores, scores
from .runs import Logits, Record, Run

__all__ = ["FOLD", "NAME", "REPLICATES", "Replicate", "Row", "level_words", "pooled", "row_key", "row_of"]

NAME = "model.name"
REPLICATES = ("seed", "data.repeat")
"""Settings that repeat a measurement: they never tell rows apart."""
FOLD = "data.fold"
"""The fold of a cross-validation: the folds of one replicate are pooled."""
ABSENT = "has no run folder"
LACKS = {"failed": "failed", "crashed": "crashed", "pruned": "was stopped early", "running": "is not finished"}
"""The words for a fold without a result, by the status of its run."""
OFF = ("dropout", "attention", "class weights")
"""Settings whose level 0 or "none" reads as "no dropout"."""

Replicate = tuple[int, int]
"""Seed and repetition."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network with its factors, over all its replicates (seeds, repetitions of a cross-validation)."""

    factors: Mapping[str, Any]
    """The settings that tell this row from the others, the network's name first."""
    runs: tuple[Run, ...]
    """The finished runs of complete replicates, by seed, repetition and fold. All figures come from these."""
    partial: tuple[Run, ...] = ()
    """Finished runs of replicates that lack a fold: they are counted, and give no figure."""
    failures: tuple[str, ...] = ()
    """One sentence for each run of this row that gave no result."""
    pending: int = 0
    """Runs that are planned or in progress."""
    folds: int = 1
    """Planned runs of one replicate; 0 if the run folders do not record it."""
    gaps: tuple[str, ...] = ()
    """The missing folds of incomplete replicates, one sentence each without its full stop; empty if all are
    complete.
    """
    unnamed: frozenset[str] = frozenset()
    """Factors that the name leaves out."""

    @property
    def network(self) -> str:
        """The network's name."""
        return str(self.factors[NAME])

    @property
    def name(self) -> str:
        """`vgg16, dropout 0.2`: the name of the row in every table and figure."""
        named = {key: value for key, value in self.factors.items() if key != NAME and key not in self.unnamed}
        return ", ".join([self.network, *(level_words(key, value) for key, value in named.items())])

    @cached_property
    def tests(self) -> dict[Replicate, Logits]:
        """Logits on test by complete replicate; folds are pooled, so that each sample counts once."""
        return {key: pooled([run.logits("test") for run in runs]) for key, runs in self.replicates.items()}

    @cached_property
    def valids(self) -> dict[Replicate, tuple[Logits, ...]]:
        """Logits on valid by complete replicate, for each fold: the validation parts of two folds may overlap."""
        return {key: tuple(run.logits("valid") for run in runs) for key, runs in self.replicates.items()}

    @cached_property
    def scores(self) -> tuple[Scores, ...]:
        """Scores on test of each complete replicate."""
        return tuple(scores(test.logits, test.labels) for test in self.tests.values())

    @cached_property
    def replicates(self) -> dict[Replicate, list[Run]]:
        """The runs of each complete replicate, by fold."""
        return {key: runs for key, runs in _by_replicate(self.runs).items() if len(runs) == self.folds}


def row_key(settings: Settings) -> object:
    """The settings that runs of one row share: all but those that repeat a measurement."""
    shared = {key: value for key, value in settings.flat().items() if key not in (*REPLICATES, FOLD)}
    return settings.KIND, tuple(shared.items())


def row_of(factors: Mapping[str, Any], runs: Sequence[Run], unnamed: frozenset[str] = frozenset()) -> Row:
    """The row of all `runs` with these factors, finished or not; `unnamed` is as in `Row`."""
    ordered = sorted(runs, key=lambda run: (*_replicate(run), run.settings.data.fold))
    records = {run.id: _record(run) for run in ordered}
    folds = max(_planned_folds(run) for run in ordered)
    grouped = _by_replicate(ordered)
    finished = [run for run in ordered if records[run.id].status == "finished"]
    done = _by_replicate(finished)
    whole = {key for key, own in done.items() if len(own) == folds}
    statuses = {key: {run.settings.data.fold: records[run.id].status for run in own} for key, own in grouped.items()}
    crossed = ordered[0].settings.data.protocol != "holdout"
    return Row(
        factors=factors,
        runs=tuple(run for run in finished if _replicate(run) in whole),
        partial=tuple(run for run in finished if _replicate(run) not in whole),
        failures=tuple(f"{run.id}: {records[run.id].reason}" for run in ordered if records[run.id].reason),
        pending=sum(record.status == "running" for record in records.values()),
        folds=folds,
        gaps=tuple(_gap(key, statuses[key], folds) for key in grouped if key not in whole) if crossed else (),
        unnamed=unnamed,
    )


def _record(run: Run) -> Record:
    """The record of a run. A finished run with a damaged file gave no result; the reason names the file."""
    try:
        record = run.record
        if record.status == "finished":
            run.check()
    except RunError as error:
        return Record(status="crashed", reason=str(error))
    return record


def _planned_folds(run: Run) -> int:
    """The number of folds of a complete replicate. Folders of earlier versions do not record it; for `loso` and
    `hde` it is then unknown.
    """
    data = run.settings.data
    return run.data.folds or {"holdout": 1, "loso": 0, "hde": 0}.get(data.protocol, data.folds)


def _gap(replicate: Replicate, statuses: Mapping[int, str], folds: int) -> str:
    """`seed 0 lacks 2 of 5 folds (counted from 0): fold 2 crashed; fold 3 has no run folder`."""
    seed, repeat = replicate
    who = f"seed {seed}, repetition {repeat}" if repeat else f"seed {seed}"
    if not folds:
        return f"{who}: its run folders do not say how many folds there are; the same `mien compare` again writes it"
    lacking: dict[str, list[int]] = defaultdict(list)
    for fold in range(folds):
        if statuses.get(fold) != "finished":
            lacking[LACKS.get(statuses.get(fold, ""), ABSENT)].append(fold)
    count = sum(map(len, lacking.values()))
    words = "; ".join(f"fold{'s' * (len(own) > 1)} {_ranges(own)} {_verb(word, own)}" for word, own in lacking.items())
    return f"{who} lacks {count} of {folds} folds (counted from 0): {words}"


def _verb(word: str, folds: Sequence[int]) -> str:
    return word.replace("has", "have").replace("is", "are") if len(folds) > 1 else word


def _ranges(numbers: Sequence[int]) -> str:
    """`0, 2–4`."""
    return ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in _stretches(numbers))


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each stretch of ascending `numbers` without a gap."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last


def _replicate(run: Run) -> Replicate:
    return run.settings.seed, run.settings.data.repeat


def _by_replicate(runs: Sequence[Run]) -> dict[Replicate, list[Run]]:
    grouped: dict[Replicate, list[Run]] = defaultdict(list)
    for run in runs:
        grouped[_replicate(run)].append(run)
    return dict(grouped)


def pooled(parts: Sequence[Logits]) -> Logits:
    """The logits of several folds as one, by sample id."""
    order = np.argsort(np.concatenate([p.ids for p in parts]), kind="stable")
    groups = {name: np.concatenate([p.groups[name] for p in parts])[order] for name in parts[0].groups}
    ids, labels, logits, subjects = (
        np.concatenate([getattr(p, name) for p in parts])[order] for name in ("ids", "labels", "logits", "subjects")
    )
    return Logits(ids=ids, labels=labels, logits=logits, subjects=subjects, groups=groups)


def level_words(key: str, value: Any) -> str:
    """A level of a factor in words: `dropout 0.2`, `no dropout`, `no attention`."""
    word = key.removesuffix(".name").rpartition(".")[2].replace("_", " ")
    if key == "data.train_limit":
        return f"{value:,} training faces" if value else "all training faces"
    if key == "start.weights":
        return f"from {PurePath(value).name}" if value else "from random weights"
    if key == "model.beside":
        return f"and {value}" if value else "the face alone"
    if key == "train.snapshots":
        return f"{value} snapshots" if value > 1 else "no snapshots"
    if key == "boosting.rounds":
        return f"boosted in {value} rounds" if value > 1 else "not boosted"
    return f"no {word}" if value in (0, "none") and word in OFF else f"{word} {value}"
