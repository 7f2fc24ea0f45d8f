"""`mien compare`: a corpus on disk to the paper's table. `mien report`: the page from the runs there are.

What needs `mien[train]` is imported when a verb is called, so that the command line starts without it.
"""

import hashlib
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mien.cli.examine import AcrossRuns, Baseline, NoiseRuns, beside, examine_runs
from mien.cli.extras import needs
from mien.config import parse_overrides, read_recipe, recipe_names
from mien.data.corpora import CORPORA
from mien.data.prepare import PrepareOptions, draw_store, prepare
from mien.data.store import Store
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mien.compare import Comparison
    from mien.examine.examined import Beside

__all__ = ["compare", "report"]

DRAWN_FACES = 3600

Runs = Annotated[Path, typer.Option("--runs", help="Folder of the run folders; finished ones are reused.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")]
NoFaces = Annotated[bool, typer.Option("--no-faces", help="Leave out every picture of the corpus.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]


def compare(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help=f"A TOML file, or one of {', '.join(recipe_names())}. Default: paper, or demo without --data."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="A store, or a corpus with --corpus. Default: drawn faces.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option("--corpus", "-c", help=f"Import --data first: {', '.join(sorted(CORPORA))}.")
    ] = None,
    runs: Runs = Path("runs"),
    out: Out = Path("report"),
    changes: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="KEY=VALUE, such as train.epochs=9 or 'train.seed=[0,1]'.")
    ] = None,
    teach: Annotated[
        str | None, typer.Option(help="peeking: also show what choosing the epoch on the test would have claimed.")
    ] = None,
    examine: Annotated[
        bool, typer.Option("--examine", help="Also test on damaged faces, for the full report.")
    ] = False,
    across: Annotated[
        list[Path] | None, typer.Option("--across", help="Also test on this store. May be repeated.")
    ] = None,
    baseline: Baseline = None,
    noise_runs: NoiseRuns = None,
    across_runs: AcrossRuns = None,
    no_faces: NoFaces = False,
    as_json: Json = False,
) -> None:
    """Train every cell of a recipe's grid and write the report.

    The same command again goes on where it was stopped, and finishes at once when all runs are there.
    """
    with needs("train", "compare"):
        from mien.cli.watch import watch
        from mien.compare import collect, plan
        from mien.engines.local import finish
    if teach not in (None, "peeking"):
        raise ConfigError(f"--teach knows peeking; got {teach!r}.")
    chosen = read_recipe(recipe or ("paper" if data else "demo")).changed(parse_overrides(changes or []))
    planned = plan(chosen, _store(data, corpus, runs), runs)
    given = beside(collect(planned, vary=chosen.grid).rows, baseline, noise_runs, across_runs)
    others = [Store.open(path) for path in across or ()]
    with watch(len(planned)) as progress:
        finish(planned, progress, teach_peeking=teach == "peeking")
    examine_runs(planned, others, damage=examine)
    comparison = collect(planned, vary=chosen.grid)
    _present(comparison, given, out, faces=not no_faces, json_wanted=as_json)


def report(
    runs: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = Path("runs"),
    out: Out = Path("report"),
    vary: Annotated[list[str] | None, typer.Option("--vary", help="A setting that may differ between rows.")] = None,
    baseline: Baseline = None,
    noise_runs: NoiseRuns = None,
    across_runs: AcrossRuns = None,
    no_faces: NoFaces = False,
    as_json: Json = False,
) -> None:
    """Write the report of the runs that are finished, at any time, with all that was examined of them."""
    with needs("train", "report"):
        from mien.compare import collect
        from mien.runs import find_runs
    comparison = collect(find_runs(runs), vary=vary or ())
    given = beside(comparison.rows, baseline, noise_runs, across_runs)
    _present(comparison, given, out, faces=not no_faces, json_wanted=as_json)


def _store(data: Path | None, corpus: str | None, runs: Path) -> Store:
    """The store to train on: the one given, or one made beside the runs from a corpus or of drawn faces."""
    if data is not None and corpus is None:
        return Store.open(data)
    if data is None and corpus is not None:
        raise DataError(f"--corpus {corpus} needs --data, the path of the corpus.")
    if data is None or corpus is None:
        path = runs / "store" / "drawn"
        if not path.exists():
            draw_store(path, count=DRAWN_FACES)
        return Store.open(path)
    place = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:8]
    path = runs / "store" / f"{corpus}-{place}"
    if not path.exists():
        prepare(data, corpus, path, PrepareOptions())
    return Store.open(path)


def _present(comparison: "Comparison", given: "Beside", out: Path, *, faces: bool, json_wanted: bool) -> None:
    from mien.report import as_json, terminal_table, write_report

    command = shlex.join(["mien", *sys.argv[1:]])
    page = write_report(comparison, out, faces=faces, command=command, beside=given)
    if json_wanted:
        print(json.dumps(as_json(comparison), indent=2))
    else:
        console = Console(highlight=False)
        console.print(terminal_table(comparison))
        console.print(f"Report: {page}", soft_wrap=True)
    if any(row.failures for row in comparison.rows):
        raise typer.Exit(1)
