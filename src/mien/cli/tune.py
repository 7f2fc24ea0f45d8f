"""`mien tune`: search settings on validation, then train the best ones again with new seeds and report the result.

Everything that can be refused is refused before the first trial. Exit codes: 0 done, 1 a run of the report failed, 2
refused, 130 interrupted. After an interruption the same command continues with the existing trials.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.compare import Address, Data, NoFaces, OfCorpus, OnEngine, Out, Runs, note, present, store_of
from mien.cli.extras import Json, needs
from mien.cli.ready import check_libraries, check_out, check_runs_folder, check_space
from mien.config import parse_overrides, read_recipe, recipe_names
from mien.errors import ConfigError
from mien.progress import about
from mien.shown import visible
from mien.words import listed, many, number, percent

if TYPE_CHECKING:
    from mien.config import Settings
    from mien.engines import Engine
    from mien.runs import Run
    from mien.tune import Trial, Tuning
    from mien.tune.search import Finish, Plan

__all__ = ["tune"]


def tune(
    recipe: Annotated[str, typer.Argument(help=f"A TOML file, or one of {', '.join(recipe_names())}.")],
    over: Annotated[
        list[str],
        typer.Option("--over", help="KEY, KEY=LOW..HIGH or 'KEY=[A, B]': a setting to search. May be repeated."),
    ],
    data: Data = None,
    corpus: OfCorpus = None,
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, max=10_000, help="Settings to try.")] = 20,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=1000, help="New seeds that the best settings are trained with.")
    ] = 3,
    changes: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="KEY=VALUE changes a setting of all trials.")
    ] = None,
    row: Annotated[
        str, typer.Option("--row", help="A single row of the recipe, such as a classical method, that is searched.")
    ] = "",
    no_prune: Annotated[
        bool, typer.Option("--no-prune", help="Let every trial train to its end, even one that has fallen behind.")
    ] = False,
    runs: Runs = Path("runs"),
    out: Out = Path("report"),
    engine: OnEngine = "local",
    address: Address = "",
    no_faces: NoFaces = False,
    as_json: Json = False,
) -> None:
    """Search settings on validation; the test stays closed until the best ones are trained again.

    Trials are run folders in RUNS/tuning/. Optuna's TPE proposes them in batches of four. A trial is stopped if its
    accuracy on validation falls below the median of earlier trials at the same epoch. No trial opens the test. Then the
    best settings and the recipe's own are trained with new seeds. The report compares these two and lists the trials.
    The same command resumes a search; with more --trials it continues a finished one.

    A setting without a range is searched over its whole range. Learning rates and similar settings are searched from a
    tenth to ten times the recipe's value.

    Dropout and learning rate of a small network, on drawn faces:
      mien tune fast --over model.dropout=0..0.6 --over optimizer.lr
    Which network, with which weight decay, on your store:
      mien tune reduced -d STORE --over model.name --over optimizer.weight_decay=1e-6..1e-2 -s model.dropout=0
    The classifier of a classical method, on HOG:
      mien tune classical --row hog-linear-svm --over features.c -d STORE
    Four trials at once, on the nodes of a Ray cluster:
      mien tune fast --over optimizer.lr -d STORE -s train.cpus=1 --engine ray --address HOST:6379
    A curve of one setting is no search: give `mien compare` its values and seeds,
      mien compare dropout -d STORE
    """
    with needs("train", "tune"):
        from mien.compare import collect, make
        from mien.engines import find_engine
        from mien.ranks import join_ranks
    with needs("tune", "tune"):
        from mien.cli.watch import watch
        from mien.examine.examined import Context
        from mien.tune.record import Tuning
        from mien.tune.search import Plan, search
    if join_ranks().size > 1:
        raise ConfigError("The processes of torchrun share the runs of `mien compare`. Start `mien tune` without it.")
    with needs("ray", f"tune --engine {engine}"):
        runner = find_engine(engine, address)
    chosen = read_recipe(recipe).changed(parse_overrides(changes or []))
    check_libraries()
    check_out(out)
    check_runs_folder(runs)
    store = store_of(data, corpus, runs)
    plan = Plan.of(chosen, over, row=row, trials=trials, store=store, runs=runs, prune=not no_prune)
    own = _outlined(plan, [plan.base])[0]
    check_space([own] * (trials + 2 * seeds), runs, keep_epochs=False)
    command = shlex.join(["mien", *sys.argv[1:]])
    _say(f"Searching {'; '.join(map(str, plan.space))}. Trials are in {plan.folder}.")
    with runner.kept():
        found = search(plan, _finish(runner), _Printed(trials))
    new = [plan.base.seed + 1 + number for number in range(seeds)]
    cells = _anew(plan, found.best, new)
    finals = _outlined(plan, cells)
    tuning = Tuning(
        recipe=chosen.name,
        space=tuple(map(str, plan.space)),
        seed=plan.base.seed,
        epochs=max((len(trial.history) for trial in found.trials), default=0),
        valid=own.data.counts["valid"],
        trials=found.trials,
        chosen=found.best.number,
        openings=found.openings,
        importance=found.importance,
        runs=tuple(run.id for run in finals),
        seeds=tuple(dict.fromkeys(settings.seed for settings in cells)),
    )
    tuning.write(plan.folder)
    _say(f"{_best_words(tuning)} Now with {many(len(tuning.seeds), 'new seed')}, beside the recipe's own settings.")
    make(finals, runs)
    note(runs, command)
    with watch(finals) as progress:
        runner.finish(finals, progress)
    comparison = collect(finals, vary=[axis.key for axis in plan.space])
    present(comparison, Context(), out, faces=not no_faces, json_wanted=as_json, command=command)


def _outlined(plan: "Plan", cells: Sequence["Settings"]) -> list["Run"]:
    """The runs of these settings; nothing is written. Raises `ConfigError` for settings that no method can have."""
    from mien.data.splits import divide
    from mien.methods import find_method
    from mien.runs import Run

    fold = divide(plan.store, plan.base.data)
    found = []
    for settings in cells:
        find_method(settings).check(settings, plan.store)
        found.append(Run.outline(plan.runs, settings, plan.store, fold))
    return found


def _anew(plan: "Plan", best: "Trial", seeds: Sequence[int]) -> list["Settings"]:
    """The recipe's own settings and the best ones, with new seeds; with one seed if nothing is random."""
    drawn = any(plan.settings(values).random for values in ({}, best.values))
    cells = [plan.settings(values, seed) for values in ({}, best.values) for seed in (seeds if drawn else seeds[:1])]
    return list(dict.fromkeys(cells))


def _finish(runner: "Engine") -> "Finish":
    """Run a batch of trials and show its progress."""
    from mien.cli.watch import watch
    from mien.engines import Report, Update
    from mien.tune.search import STAGES

    def finish(batch: Sequence["Run"], decide: Report) -> None:
        with watch(batch) as progress:

            def report(run: "Run", update: Update) -> bool | None:
                progress(run, update)
                return decide(run, update)

            runner.finish(batch, report, stages=STAGES)

    return finish


class _Printed:
    """Prints a line after each batch: how many trials are done, the best so far, the time left."""

    def __init__(self, trials: int) -> None:
        self._all, self._since = trials, time.monotonic()
        self._seconds = 0.0

    def __call__(self, trials: Sequence["Trial"]) -> None:
        now = time.monotonic()
        self._seconds += now - self._since
        self._since, left = now, self._all - len(trials)
        best = max((trial.score for trial in trials if trial.status == "complete"), default=0.0)
        pruned = sum(trial.status == "pruned" for trial in trials)
        time_left = f"; {about(left * self._seconds / len(trials))} of trials left" if left else ""
        _say(
            f"{len(trials)} of {self._all} trials, {pruned} stopped early, best {percent(best, 1)} on valid{time_left}"
        )


def _best_words(tuning: "Tuning") -> str:
    best = tuning.best
    values = listed(f"{key} {number(value)}" for key, value in best.values.items())
    return f"Trial {best.number} is the best on valid, {percent(best.score, 1)}: {values}."


def _say(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)
