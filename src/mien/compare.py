"""From a recipe to finished runs, and from finished runs to a comparison: one row a network and its factors.

Runs stand in one table only where they are alike but for what is stated: the same data, the same test
samples, the same settings apart from the factors and the seed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .config import DataSettings, NetworkSettings, Recipe, check_names, override
from .data.splits import Fold, divide, fold_count
from .data.store import Store
from .errors import CompareError, RunError
from .metrics import Scores, scores
from .runs import DataFacts, Environment, Logits, Record, Run, resolve

__all__ = ["ALWAYS_VARIES", "Comparison", "Row", "collect", "plan", "stated"]

NAME = "model.name"
REPLICATES = ("seed", "data.repeat")
"""Settings that repeat a measurement: they never tell rows apart."""
FOLD = "data.fold"
"""The fold of a cross-validation: the folds of one replicate are pooled."""
MODEL = "model."
ALWAYS_VARIES = (*REPLICATES, FOLD)
"""What may differ between runs of one table without being asked for, beside all of `MODEL`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network with its factors, over all its replicates (seeds, repetitions of a cross-validation)."""

    factors: Mapping[str, Any]
    """The settings that tell this row from the others, the network's name first."""
    runs: tuple[Run, ...]
    """Its finished runs, by seed, repetition and fold."""
    failures: tuple[str, ...] = ()
    """Why runs of this row gave no result, a sentence each."""
    pending: int = 0
    """Runs that are planned or under way."""
    folds: int = 1
    """Runs that make up one replicate."""

    @property
    def network(self) -> str:
        """The network's name."""
        return str(self.factors[NAME])

    @property
    def name(self) -> str:
        """`vgg16, dropout 0.2`: how the row is called in every table and figure."""
        return ", ".join([self.network, *(_words(key, value) for key, value in self.factors.items() if key != NAME)])

    @cached_property
    def tests(self) -> dict[tuple[Any, ...], Logits]:
        """Logits on test by replicate; the folds of a cross-validation pooled, so that each sample counts once.

        A replicate whose folds are not all finished is left out.
        """
        return {key: _pooled(runs, "test") for key, runs in self.replicates.items()}

    @cached_property
    def valids(self) -> dict[tuple[Any, ...], tuple[Logits, ...]]:
        """Logits on valid by replicate, one a fold: the validation parts of two folds may overlap."""
        return {key: tuple(run.logits("valid") for run in runs) for key, runs in self.replicates.items()}

    @cached_property
    def scores(self) -> tuple[Scores, ...]:
        """Scores on test, one a replicate."""
        return tuple(scores(test.logits, test.labels) for test in self.tests.values())

    @cached_property
    def replicates(self) -> dict[tuple[Any, ...], list[Run]]:
        """The runs of each replicate (seed, repetition), by fold; a replicate lacking a fold is left out."""
        grouped: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
        for run in self.runs:
            flat = run.settings.flat()
            grouped[tuple(flat[key] for key in REPLICATES)].append(run)
        return {key: runs for key, runs in grouped.items() if len(runs) == self.folds}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Rows that may stand in one table, and what was held equal between them."""

    rows: tuple[Row, ...]
    data: DataFacts
    equal: Mapping[str, Any]
    """Settings with one value in all runs."""
    own: Mapping[str, Mapping[str, Any]]
    """Settings that a network has of its own, by setting and network: neither equal nor a factor."""
    factors: tuple[str, ...]
    """Settings that tell rows apart, `model.name` first."""
    seeds: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    """Why run folders could not be opened at all, a sentence each: nobody knows whose rows they were."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """All finished runs, row by row."""
        return tuple(run for row in self.rows for run in row.runs)

    @property
    def environments(self) -> list[Environment]:
        """What their `env.json` say, of those that have one."""
        return [environment for run in self.runs if (environment := run.environment) is not None]


def plan(recipe: Recipe, store: Store, folder: Path) -> list[Run]:
    """The runs of a recipe on a store, each once, made in `folder` or found there; none is started.

    Raises `ConfigError` for a setting that no run can have, `DataError` for a store without a needed split,
    `RunError` where the folder cannot be written; then no run folder was made.
    """
    from .room import check_room
    from .train import rehearse

    def new(settings: NetworkSettings) -> bool:
        return not (folder / settings.run_id(store.meta.sha256)).exists()

    cells = dict.fromkeys(
        override(settings, {FOLD: fold})
        for settings in (resolve(cell, store) for cell in recipe.cells() if isinstance(cell, NetworkSettings))
        for fold in range(fold_count(store, settings.data))
    )
    for settings in {_shapes(cell): cell for cell in cells if new(cell)}.values():
        shape = {"classes": len(store.labels), "size": store.meta.crop.size}
        check_room(settings, **shape)
        rehearse(settings, **shape)
    folds: dict[DataSettings, Fold] = {}
    for settings in cells:
        if settings.data not in folds:
            folds[settings.data] = divide(store, settings.data)
    return [Run.create(folder, settings, store, folds[settings.data]) for settings in cells]


def _shapes(settings: NetworkSettings) -> tuple[object, ...]:
    """What decides whether a network fits the faces, and its training into memory."""
    options, step = settings.train, settings.optimizer
    model = replace(settings.model, dropout=0.0, block_dropout=0.0)
    return model, options.sizes, options.batch_size, options.micro_batch, step.name, bool(step.ema)


def stated(recipe: Recipe) -> tuple[str, ...]:
    """The settings that a recipe says will differ: its factors, and what it gives single networks of their own."""
    return tuple(dict.fromkeys([*recipe.grid, *(key for own in recipe.networks.values() for key in own)]))


def collect(runs: Sequence[Run], vary: Iterable[str] = (), left_out: Sequence[str] = ()) -> Comparison:
    """The comparison of `runs`; those not finished are counted, not shown.

    Args:
        runs: of one folder, or of several.
        vary: dotted settings that may differ between rows, beside the network's own and the seed.
        left_out: why others could not be opened, as `find_runs` says it.

    Raises:
        CompareError: there is no run, or runs differ in data or in a setting that `vary` does not name.
        ConfigError: `vary` names a setting that there is none of.
    """
    vary = tuple(vary)
    check_names(vary)
    if not runs:
        raise CompareError(" ".join([*left_out, "There is no run to compare. Make some with `mien compare`."]))
    _check_alike(runs, vary)
    factors, own = _factors(runs)
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    values = [run.settings.flat() for run in runs]
    for run, flat in zip(runs, values, strict=True):
        groups[tuple(flat[key] for key in factors)].append(run)
    return Comparison(
        rows=tuple(_row(dict(zip(factors, key, strict=True)), groups[key]) for key in sorted(groups, key=_sortable)),
        data=runs[0].data,
        equal={key: value for key, value in values[0].items() if all(flat[key] == value for flat in values)},
        own=own,
        factors=factors,
        seeds=tuple(sorted({run.settings.seed for run in runs})),
        left_out=tuple(left_out),
    )


def _row(factors: Mapping[str, Any], runs: Sequence[Run]) -> Row:
    def order(run: Run) -> tuple[Any, ...]:
        flat = run.settings.flat()
        return tuple(flat[key] for key in (*REPLICATES, FOLD))

    ordered = sorted(runs, key=order)
    records = [_record(run) for run in ordered]
    return Row(
        factors=factors,
        runs=tuple(run for run, record in zip(ordered, records, strict=True) if record.status == "finished"),
        failures=tuple(
            f"{run.id}: {record.reason}" for run, record in zip(ordered, records, strict=True) if record.reason
        ),
        pending=sum(record.status == "running" for record in records),
        folds=len({run.settings.data.fold for run in runs}),
    )


def _record(run: Run) -> Record:
    """How a run stands; one that is finished and has a damaged file gave no result, and the reason is the file's."""
    try:
        record = run.record
        if record.status == "finished":
            run.check()
    except RunError as error:
        return Record(status="crashed", reason=str(error))
    return record


def _check_alike(runs: Sequence[Run], vary: tuple[str, ...]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.data.fingerprint != first.data.fingerprint:
            raise CompareError(
                f"Cannot compare {first.id} with {run.id}: they were trained on different data "
                f"({first.data.corpus} {first.data.fingerprint[:8]}, {run.data.corpus} {run.data.fingerprint[:8]}). "
                "Keep the runs of each store in a folder of their own."
            )
        other = run.settings.flat()
        for key, value in first.settings.flat().items():
            if other[key] != value and not key.startswith(MODEL) and key not in (*ALWAYS_VARIES, *vary):
                raise CompareError(
                    f"Cannot compare {first.id} with {run.id}: {key} differs ({value}, {other[key]}). "
                    f"Pass --vary {key} to state it in the report."
                )


def _factors(runs: Sequence[Run]) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """The settings that tell rows apart; and apart from these, those that follow from the network alone."""
    values = [run.settings.flat() for run in runs]
    varied = [
        key for key in values[0] if key not in (NAME, *REPLICATES, FOLD) and len({flat[key] for flat in values}) > 1
    ]
    factors, own = [NAME], {}
    for key in varied:
        by_network: dict[str, set[Any]] = defaultdict(set)
        for flat in values:
            by_network[flat[NAME]].add(flat[key])
        if all(len(seen) == 1 for seen in by_network.values()):
            own[key] = {network: next(iter(seen)) for network, seen in by_network.items()}
        else:
            factors.append(key)
    return tuple(factors), own


def _sortable(key: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """Numbers before texts, so that rows come in one order wherever their runs were found."""
    return [(False, value) if isinstance(value, int | float) else (True, str(value)) for value in key]


def _pooled(runs: Sequence[Run], part: str) -> Logits:
    """The logits of several folds as one, by sample id."""
    parts = [run.logits(part) for run in runs]
    order = np.argsort(np.concatenate([p.ids for p in parts]), kind="stable")
    groups = {name: np.concatenate([p.groups[name] for p in parts])[order] for name in parts[0].groups}
    ids, labels, logits, subjects = (
        np.concatenate([getattr(p, name) for p in parts])[order] for name in ("ids", "labels", "logits", "subjects")
    )
    return Logits(ids=ids, labels=labels, logits=logits, subjects=subjects, groups=groups)


def _words(key: str, value: Any) -> str:
    word = key.rpartition(".")[2].replace("_", " ")
    return f"no {word}" if value in (0, False) and word == "dropout" else f"{word} {value}"
