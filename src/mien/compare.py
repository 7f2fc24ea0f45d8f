"""From a recipe to finished runs, and from finished runs to a comparison: one row a network and its factors.

Runs share a table only if they have the same data, the same test samples, and the same settings apart from the factors
and the seed. Every other difference must be stated.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import KINDS, DataSettings, Recipe, Settings, check_names, override
from .data.splits import Fold, divide, fold_count
from .data.store import Store
from .errors import CompareError
from .methods import Method, find_joining, find_method
from .origins import with_start
from .rows import FOLD, NAME, REPLICATES, Row, row_of
from .runs import DataFacts, Environment, Run, alike, keep_order

__all__ = ["ALWAYS_VARIES", "FOLD", "NAME", "REPLICATES", "Comparison", "Row", "collect", "make", "outline", "plan"]
__all__ += ["stated"]

FOLLOWS = {"start.sha256": "start.weights"}
"""Settings that follow from another setting: they tell no rows apart."""
ALWAYS_VARIES = (*REPLICATES, FOLD)
"""Settings that may always differ between runs of one table, besides those of the table that names the rows."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Rows that may share a table, and the settings that are equal in all of them."""

    rows: tuple[Row, ...]
    data: DataFacts
    equal: Mapping[str, Any]
    """Settings with one value in all runs."""
    own: Mapping[str, Mapping[str, Any]]
    """Settings of single networks, by setting and network. They are neither equal nor a factor."""
    factors: tuple[str, ...]
    """Settings that tell rows apart, `model.name` first."""
    seeds: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    """One sentence for each run folder that could not be opened. Their rows are unknown."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """All finished runs, row by row, including those of incomplete replicates, which give no figure."""
        return tuple(run for row in self.rows for run in (*row.runs, *row.partial))

    @property
    def environments(self) -> list[Environment]:
        """The contents of their `env.json`, of those that were trained; what was joined names no machine."""
        return [environment for run in self.runs if "machine" in (environment := run.environment or {})]


def plan(recipe: Recipe, store: Store, folder: Path) -> list[Run]:
    """The runs of a recipe on a store, each once, made in `folder` or found there; none is started.

    Raises the errors of `outline`, and `RunError` if the folder cannot be written; then no run folder was made.
    """
    runs = outline(recipe, store, folder)
    make(runs, folder)
    return runs


def make(runs: Sequence[Run], folder: Path) -> None:
    """Write the folders of planned runs under `folder`, and their order. Existing folders stay as they are."""
    for run in runs:
        run.make()
    keep_order(folder, runs)


def outline(recipe: Recipe, store: Store, folder: Path) -> list[Run]:
    """The runs of a recipe as `plan` gives them. Nothing is written: `make` does that.

    Raises `ConfigError` for a setting that no run can have, `DataError` for a store without a needed split, `RunError`
    for a run folder that is damaged or of other defaults.
    """
    resolved = [with_start(cell.resolved(store.meta.crop)) for cell in recipe.cells()]
    cells = dict.fromkeys(
        override(settings, {FOLD: fold})
        for settings in _joined(resolved, store.meta.sha256)
        for fold in range(fold_count(store, settings.data))
    )
    methods: dict[str, Method] = {}
    for settings in cells:
        method = methods.setdefault(settings.method, find_method(settings))
        if not (folder / settings.run_id(store.meta.sha256)).exists():
            method.check(settings, store)
            if settings.JOINS and settings.data.fold == 0:
                find_joining(settings).check_members(settings, _members(settings, resolved, store.meta.sha256), store)
    folds: dict[DataSettings, Fold] = {}
    for settings in cells:
        if settings.data not in folds:
            folds[settings.data] = divide(store, settings.data)
    return [Run.outline(folder, settings, store, folds[settings.data]) for settings in cells]


def _joined(cells: Sequence[Settings], fingerprint: str) -> list[Settings]:
    """The cells; ensembles come last, with their members as ids. Those that lack a member are left out."""
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in cells:
        if not cell.JOINS:
            rows[cell.name][cell.row_id(fingerprint)] = None
    seeds = {cell.seed for cell in cells if not cell.JOINS}
    joining = [cell.joining({name: [*ids] for name, ids in rows.items()}) for cell in cells if cell.JOINS]
    return [*(cell for cell in cells if not cell.JOINS), *(cell for cell in joining if seeds >= set(cell.seeds))]


def _members(settings: Settings, cells: Sequence[Settings], fingerprint: str) -> list[Settings]:
    """The cells that an ensemble joins in its repetition."""
    rows = {cell.row_id(fingerprint): cell for cell in cells if not cell.JOINS}
    place = {"data.repeat": settings.data.repeat}
    wanted = settings.flat()["ensemble.members"]
    return [override(rows[row], {**place, "seed": seed}) for row in wanted for seed in settings.seeds]


def stated(recipe: Recipe) -> tuple[str, ...]:
    """The settings that differ by the recipe: its factors, and its settings for single networks."""
    return tuple(dict.fromkeys([*recipe.grid, *(key for own in recipe.networks.values() for key in own)]))


def collect(runs: Sequence[Run], vary: Iterable[str] = (), left_out: Sequence[str] = ()) -> Comparison:
    """The comparison of `runs`. Unfinished runs are counted and not shown. Rows are in the order of their runs.

    Args:
        runs: of one folder, or of several.
        vary: dotted settings that may differ between rows, beside the network's own and the seed.
        left_out: the reasons why other runs could not be opened, from `find_runs`.

    Raises:
        CompareError: there is no run, or runs differ in data or in a setting that `vary` does not name.
        ConfigError: `vary` names a setting that does not exist.
    """
    vary = tuple(vary)
    check_names(vary)
    if not runs:
        raise CompareError(" ".join([*left_out, "There is no run to compare. Make some with `mien compare`."]))
    _check_alike(runs, vary)
    factors, own = _factors(runs)
    groups: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
    values = [_named(run.settings) for run in runs]
    for run, flat in zip(runs, values, strict=True):
        groups[tuple((key, flat[key]) for key in factors if key in flat)].append(run)
    crosses = _crosses([dict(key) for key in groups], factors)
    return Comparison(
        rows=tuple(
            row_of(dict(key), own, frozenset() if crosses else _usual(dict(key), own[0].settings))
            for key, own in groups.items()
        ),
        data=runs[0].data,
        equal=alike(values),
        own=own,
        factors=factors,
        seeds=tuple(sorted({run.settings.seed for run in runs})),
        left_out=tuple(left_out),
    )


def _check_alike(runs: Sequence[Run], vary: tuple[str, ...]) -> None:
    first, known = runs[0], dict[str, tuple[Run, Any]]()
    naming = tuple(kind.NAME.partition(".")[0] + "." for kind in KINDS.values())
    vary = (*vary, *(key for key, cause in FOLLOWS.items() if cause in vary))
    for run in runs:
        if run.data.fingerprint != first.data.fingerprint:
            raise CompareError(
                f"Cannot compare {first.id} with {run.id}: they were trained on different data "
                f"({first.data.corpus} {first.data.fingerprint[:8]}, {run.data.corpus} {run.data.fingerprint[:8]}). "
                "Keep the runs of each store in a folder of their own."
            )
        for name in ("labels", "crop"):
            if getattr(run.data, name) != getattr(first.data, name):
                raise CompareError(
                    f"Cannot compare {first.id} with {run.id}: they name one store, but their data.json differ in "
                    f"{name}, so one of the two is damaged. Remove that run, and run the same command again."
                )
        for key, value in run.settings.flat().items():
            other, seen = known.setdefault(key, (run, value))
            if value != seen and not key.startswith(naming) and key not in (*ALWAYS_VARIES, *vary):
                raise CompareError(
                    f"Cannot compare {other.id} with {run.id}: {key} differs ({seen}, {value}). "
                    f"Pass --vary {key} to state it in the report."
                )


def _named(settings: Settings) -> dict[str, Any]:
    """All settings of a run, with the name of its method under the key of the networks' name."""
    return {NAME: settings.name} | settings.flat()


def _factors(runs: Sequence[Run]) -> tuple[tuple[str, ...], dict[str, dict[str, Any]]]:
    """The settings that tell rows apart, and separately those that follow from the network alone."""
    values = [_named(run.settings) for run in runs]
    shared = alike(values)
    keys = dict.fromkeys(key for flat in values for key in flat)
    follow = [key for key, cause in FOLLOWS.items() if _explains(values, cause, key)]
    varied = [key for key in keys if key not in (NAME, *REPLICATES, FOLD, *shared, *follow)]
    factors, own = [NAME], {}
    for key in varied:
        by_network: dict[str, set[Any]] = defaultdict(set)
        for flat in values:
            if key in flat:
                by_network[flat[NAME]].add(flat[key])
        if all(len(seen) == 1 for seen in by_network.values()):
            own[key] = {network: next(iter(seen)) for network, seen in by_network.items()}
        else:
            factors.append(key)
    return tuple(factors), own


def _crosses(rows: Sequence[Mapping[str, Any]], factors: Sequence[str]) -> bool:
    """Whether the rows that have all factors are every combination of their levels."""
    whole = [row for row in rows if len(row) == len(factors)]
    return len(whole) == math.prod(len({row[key] for row in whole}) for key in factors)


def _usual(factors: Mapping[str, Any], settings: Settings) -> frozenset[str]:
    """Factors at their default. Where rows differ from one plain row in one thing each, their names say that thing."""
    defaults = type(settings)().flat()
    return frozenset(key for key, value in factors.items() if key != NAME and defaults.get(key) == value)


def _explains(values: Sequence[Mapping[str, Any]], cause: str, key: str) -> bool:
    """Whether a setting has one value for each value of its cause."""
    pairs = {(flat.get(cause), flat.get(key)) for flat in values}
    return len(pairs) == len({flat.get(cause) for flat in values})
