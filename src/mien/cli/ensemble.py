"""`mien ensemble`: finished runs become one, from their saved logits."""

import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.compare import NoFaces, Out, present
from mien.cli.examine import beside
from mien.cli.extras import Json, needs
from mien.cli.ready import check_libraries, check_out
from mien.errors import CompareError
from mien.words import listed

if TYPE_CHECKING:
    from mien.rows import Row

__all__ = ["ensemble"]


def ensemble(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="The run folders to join, or one folder of run folders.", show_default="runs"),
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", "-r", help="mean, logits, vote, weighted, greedy, stacking, soup or greedy-soup. May be repeated."
        ),
    ] = None,
    join: Annotated[
        list[str] | None,
        typer.Option("--join", help="A row to join, by its name in the report. May be repeated. Default: all."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=0, help="Seeds of each row that one ensemble joins. Default: 1, and all of a single row.")
    ] = 0,
    name: Annotated[str, typer.Option(help="Name of the new row. Default: the rule and the number of members.")] = "",
    out: Out = Path("report"),
    no_faces: NoFaces = False,
    as_json: Json = False,
) -> None:
    """Join finished runs, and write the report with them beside their members.

    Nothing is trained, and no test is opened: members have saved their logits.
    A rule that is fitted sees validation alone, and its figures there are
    cross-fitted. Each ensemble is a run folder beside its members, so every
    later report has it. A soup averages the weights of runs of one start: it is
    a new network, and the test is opened for it once.

    The mean of all rows of runs/, seed by seed:
      mien ensemble
    Three runs and no others:
      mien ensemble runs/vgg16-* runs/resnet34-* runs/densenet121-*
    Every rule, on two rows:
      mien ensemble RUNS -r mean -r vote -r weighted -r greedy -r stacking --join vgg16 --join resnet34
    A deep ensemble of five seeds of one network:
      mien ensemble RUNS --join resnet34 --seeds 5
    One network from the weights of three that started from the same model:
      mien ensemble RUNS -r soup -r greedy-soup --join compact-s --seeds 3
    """
    with needs("train", "ensemble"):
        from mien.compare import collect, make
        from mien.joining import outline_ensembles
        from mien.runs import named_runs
        from mien.stages import finish_run, measure_costs
    check_libraries()
    check_out(out)
    given, left_out = runs or [Path("runs")], list[str]()
    found = named_runs(given, left_out)
    folders = {run.path.absolute().parent for run in found}
    if len(folders) > 1:
        raise CompareError(
            f"An ensemble joins runs of one folder, and these are in {listed(map(str, sorted(folders)))}. Move the run "
            "folders into one."
        )
    vary = sorted({key for run in found for key in run.settings.flat()} - {"seed", "data.repeat", "data.fold"})
    rows = collect([run for run in found if not run.settings.JOINS], vary=vary).rows
    planned = outline_ensembles(_chosen(rows, join or []), rules or ["mean"], seeds=seeds, name=name)
    make(planned, planned[0].path.parent)
    for run in planned:
        finish_run(run)
        measure_costs(run)
    everything = named_runs([*given, *(run.path for run in planned)], [])
    comparison = collect(everything, vary=vary, left_out=left_out)
    present(
        comparison,
        beside(None, None, None),
        out,
        faces=not no_faces,
        json_wanted=as_json,
        command=shlex.join(["mien", *sys.argv[1:]]),
    )


def _chosen(rows: "tuple[Row, ...]", names: list[str]) -> "list[Row]":
    """The rows with these names; all if no name is given. Raises `CompareError` for a name that no row has."""
    by_network = Counter(row.network for row in rows)
    known = {row.network: row for row in rows if by_network[row.network] == 1} | {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise CompareError(f"There is no row {name!r} to join; there are {listed(row.name for row in rows)}.")
    return [known[name] for name in dict.fromkeys(names)] or list(rows)
