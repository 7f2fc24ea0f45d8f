"""Ensembles of finished runs: those that can be made of a folder, and their run folders.

In: finished runs of one folder, the rules, the rows to join. Out: planned runs beside them, which `mien.stages`
finishes in moments from the saved logits; of a soup, from the saved weights.
"""

from collections.abc import Sequence
from dataclasses import replace

from .config import DataSettings, EnsembleSettings, EnsembleTable, Settings
from .data.splits import Fold, divide
from .errors import CompareError
from .methods import find_joining
from .rows import Row
from .runs import Run
from .words import listed

__all__ = ["outline_ensembles"]


def outline_ensembles(rows: Sequence[Row], rules: Sequence[str], *, seeds: int = 0, name: str = "") -> list[Run]:
    """Runs that join these rows, one for each rule, replicate and fold; nothing is written yet.

    Args:
        rows: of one folder of runs, each with whole replicates.
        rules: keys of `mien.ensembles.RULES`.
        seeds: number of seeds of each row that one ensemble joins. 0 means one seed of each of several rows, or all of
            a single row.
        name: of the new row; "" names it by its rule and the number of its members. Only for a single rule.

    Raises:
        CompareError: there are fewer than two members, or no seed that all rows have.
        ConfigError: a rule does not exist, or cannot join these rows.
        DataError: the store of the runs is gone or has changed.
    """
    joined = [row for row in rows if row.runs and not row.runs[0].settings.JOINS]
    if not joined:
        raise CompareError("There is no finished row to join. Train some with `mien compare`.")
    common = set.intersection(*(_seeds_of(row) for row in joined))
    each = seeds or (1 if len(joined) > 1 else len(common))
    firsts = [
        seed for seed in range(max(common, default=-1) + 1) if common >= set(range(seed * each, (seed + 1) * each))
    ]
    if len(joined) * each < 2 or not firsts:
        have = listed(f"{row.name} has seeds {listed(sorted(_seeds_of(row))) or 'none'}" for row in joined)
        raise CompareError(
            f"An ensemble joins two runs or more, of each row {each} with seeds that count from 0; {have}. Train more "
            "seeds, or name other rows."
        )
    first = joined[0].runs[0]
    store, members = first.store(), tuple(_row_id(row) for row in joined)
    places = {(run.settings.data.fold, run.settings.data.repeat): run.settings.data for run in joined[0].runs}
    folds: dict[DataSettings, Fold] = {data: divide(store, data) for data in places.values()}
    planned = []
    for rule in rules:
        for seed in firsts:
            table = EnsembleTable(rule=rule, members=members, seeds=each, name=name if len(rules) == 1 else "")
            for data, fold in folds.items():
                settings = EnsembleSettings(seed=seed, data=data, ensemble=table)
                method = find_joining(settings)
                method.check(settings, store)
                method.check_members(settings, _members(joined, settings), store)
                planned.append(Run.outline(first.path.parent, settings, store, fold))
    return planned


def _seeds_of(row: Row) -> set[int]:
    return {run.settings.seed for run in row.runs}


def _members(rows: Sequence[Row], settings: EnsembleSettings) -> list[Settings]:
    """The settings of the joined runs, without their fold."""
    return [replace(row.runs[0].settings, seed=seed) for row in rows for seed in settings.seeds]


def _row_id(row: Row) -> str:
    run = row.runs[0]
    return run.settings.row_id(run.data.fingerprint)
