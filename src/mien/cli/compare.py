"""`mien compare`: from a corpus on disk to the paper's table. `mien report`: the page of the runs that are finished.

Modules that need `mien[train]` are imported when a verb is called, so that the command line starts without it.
Everything that can be refused is refused before the first run starts: first the recipe, before a corpus is imported for
it; then the store, the settings, the networks. Exit codes: 0 all runs are finished, 1 some failed and the report says
why, 2 refused, 130 interrupted.
"""

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import typer
from rich.console import Console

from mien.atomic import write_text
from mien.cli.examine import AcrossRuns, Baseline, NoiseRuns, beside, examine_runs
from mien.cli.extras import Json, needs
from mien.cli.ready import check_libraries, check_out, check_runs_folder, check_space
from mien.cli.screen import literal, print_json
from mien.config import parse_overrides, read_recipe, recipe_names
from mien.data.corpora import CORPORA
from mien.data.prepare import PrepareOptions, draw_store, prepare
from mien.data.splits import untested_words
from mien.data.store import Store
from mien.errors import BadSample, ConfigError, DataError, MienError
from mien.reading import read_text, reading
from mien.shown import visible

if TYPE_CHECKING:
    from mien.compare import Comparison
    from mien.examine.examined import Context
    from mien.runs import Run

__all__ = ["Address", "Data", "NoFaces", "OfCorpus", "OnEngine", "Out", "Runs"]
__all__ += ["compare", "note", "present", "report", "shorter", "store_of"]

DRAWN_FACES = 8_000
SHORTER = {
    "reduced": "the paper's networks at a quarter of their width, 12 epochs",
    "fast": "one good classifier in minutes",
}
"""Recipes that take less than hours, and their descriptions."""
COMMANDS = "commands.txt"
"""File in the folder of the runs: every command that planned some of them, one line each."""

Data = Annotated[
    Path | None, typer.Option("--data", "-d", help="A store, or a corpus with --corpus. Default: drawn faces.")
]
OfCorpus = Annotated[
    str | None, typer.Option("--corpus", "-c", help=f"Import --data first: {', '.join(sorted(CORPORA))}.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the run folders; finished ones are reused.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")]
OnEngine = Annotated[
    str, typer.Option("--engine", help="local: this machine, a run at a time; ray: many runs at once, on a cluster.")
]
Address = Annotated[
    str, typer.Option("--address", help="Of a Ray cluster, HOST:6379 or auto. Default: this machine's cores.")
]
NoFaces = Annotated[bool, typer.Option("--no-faces", help="Leave out every picture of the corpus.")]


def compare(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help=f"A TOML file, or one of {', '.join(recipe_names())}. Default: paper, or demo without --data."
        ),
    ] = None,
    data: Data = None,
    corpus: OfCorpus = None,
    runs: Runs = Path("runs"),
    out: Out = Path("report"),
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="KEY=VALUE changes a setting; a list, as in 'seed=[0,1]', trains each value."),
    ] = None,
    peeking: Annotated[
        bool,
        typer.Option("--show-peeking", help="Also show the accuracy that choosing the epoch on the test would claim."),
    ] = False,
    examine: Annotated[
        bool, typer.Option("--examine", help="Also test on damaged faces, and explain drawn ones, for the full report.")
    ] = False,
    across: Annotated[
        list[Path] | None, typer.Option("--across", help="Also test on this store. May be repeated.")
    ] = None,
    baseline: Baseline = None,
    noise_runs: NoiseRuns = None,
    across_runs: AcrossRuns = None,
    engine: OnEngine = "local",
    address: Address = "",
    mirror: Annotated[
        str, typer.Option("--mirror", help="URL of an object store: runs are copied there, and go on from there.")
    ] = "",
    log: Annotated[
        list[str] | None, typer.Option("--log", help="tensorboard: curves of all runs in RUNS/tensorboard.")
    ] = None,
    no_faces: NoFaces = False,
    as_json: Json = False,
) -> None:
    """Train every cell of a recipe's grid and write the report.

    A grid crosses networks, dropout, seeds and any other setting. The same
    command resumes an interrupted grid, and finishes at once when all runs are
    finished. A run whose loss is not finite is marked failed and is not tried
    again: change its settings.

    Try it on drawn faces, in minutes:
      mien compare
    The paper's experiment on your RAF-DB, imported on the way:
      mien compare paper --data RAF-DB/ --corpus rafdb
    Your own pictures, in PHOTOS/train/CLASS/ and PHOTOS/test/CLASS/:
      mien compare fast --data PHOTOS/ --corpus folder
    Three seeds, two rates, on a store that `mien data prepare` has made:
      mien compare fast -d STORE -s 'seed=[0,1,2]' -s 'optimizer.lr=[1e-4,1e-3]'
    Cross-validation by subject:
      mien compare fast -d STORE -s data.protocol=group-kfold
    A run on each core, or on the nodes of a Ray cluster:
      mien compare fast -d STORE -s 'seed=[0,1,2]' -s train.cpus=1 --engine ray
    Each run on two devices:
      torchrun --nproc-per-node 2 -m mien compare fast -d STORE -s train.chunks=apart

    A recipe of your own is a TOML file. Its table `grid` holds a list for each
    factor. Tables such as `data`, `model`, `optimizer` and `train` hold what
    all runs share. The config.toml of a run lists every setting.
    """
    with needs("train", "compare"):
        from mien.cli.explain import explain_drawn
        from mien.cli.watch import watch
        from mien.compare import collect, make, outline, stated
        from mien.engines import find_engine
        from mien.engines.devices import follow
        from mien.examine.away import check_stores
        from mien.examine.examined import check
        from mien.loggers import find_logger, with_loggers
        from mien.loggers.mirrored import Mirrored
        from mien.machine import cache_folder
        from mien.methods.peeking import passed_over
        from mien.mirror import Mirror
        from mien.ranks import join_ranks
    ranks = join_ranks()
    if not ranks.leads:
        follow(ranks)
        return
    if ranks.size > 1 and engine == "ray":
        raise ConfigError("The processes of torchrun share each run, and Ray places whole runs. Use one of the two.")
    with needs("ray", f"compare --engine {engine}"):
        runner = find_engine("devices" if ranks.size > 1 else engine, address)
    with needs("tensorboard", "compare --log tensorboard"):
        loggers = [find_logger(name, runs) for name in log or ()]
    mirrored = Mirrored(Mirror(mirror, cache_folder() / "mirror")) if mirror else None
    chosen = read_recipe(recipe or ("paper" if data else "demo")).changed(parse_overrides(changes or []))
    for _ in chosen.cells():
        pass  # checks every setting before a corpus is imported
    check_libraries()
    check_out(out)
    check_runs_folder(runs)
    given = beside(baseline, noise_runs, across_runs)
    others = [Store.open(path) for path in across or ()]
    store = store_of(data, corpus, runs)
    planned = outline(chosen, store, runs)
    check(collect(planned, vary=stated(chosen)), given)
    check_stores(planned[0].data, others)
    check_space(planned, runs, keep_epochs=peeking)
    for sentence in dict.fromkeys(untested_words(store, run.settings.data) for run in planned):
        _warn(sentence)
    if peeking:
        _warn(passed_over(planned))
    command = shlex.join(["mien", *sys.argv[1:]])
    make(planned, runs)
    note(runs, command)
    if mirrored:
        loggers.append(mirrored)
        _say(f"The mirror had {mirrored.begin(planned):,} of {len(planned):,} runs that were not begun here.")
    try:
        with watch(planned, partial(shorter, planned, store, data)) as progress:
            runner.finish(planned, with_loggers(progress, loggers), hooks=["peeking"] if peeking else [])
    finally:
        for sentence in mirrored.end() if mirrored else ():
            _warn(sentence)
    examine_runs(planned, others, damage=examine)
    if examine:
        explain_drawn(planned)
    comparison = collect(planned, vary=stated(chosen))
    present(comparison, given, out, faces=not no_faces, json_wanted=as_json, command=command)


def report(
    runs: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = Path("runs"),
    out: Out = Path("report"),
    vary: Annotated[
        list[str] | None, typer.Option("--vary", help="A setting that may differ between rows. May be repeated.")
    ] = None,
    baseline: Baseline = None,
    noise_runs: NoiseRuns = None,
    across_runs: AcrossRuns = None,
    no_faces: NoFaces = False,
    as_json: Json = False,
) -> None:
    """Write the report of all finished runs, with everything that was examined.

    You can write it while `mien compare` trains: unfinished runs are counted
    and not shown. Runs share a table only if they have the same data and the
    same settings, except those of the network itself and the seed. Name any
    other difference with --vary; the report states it.

    What is in runs/, as report/report.html, table.tex|md|csv and figures/:
      mien report
    Another folder, and a page without any picture of the corpus:
      mien report RUNS --out PAGE --no-faces
    Runs at two learning rates in one table:
      mien report RUNS --vary optimizer.lr
    """
    with needs("train", "report"):
        from mien.compare import collect
        from mien.examine.examined import check
        from mien.runs import find_runs
    check_libraries()
    check_out(out)
    left_out: list[str] = []
    comparison = collect(find_runs(runs, left_out), vary=vary or (), left_out=left_out)
    given = beside(baseline, noise_runs, across_runs)
    check(comparison, given)
    command = _noted(runs) or shlex.join(["mien", *sys.argv[1:]])
    present(comparison, given, out, faces=not no_faces, json_wanted=as_json, command=command)


def store_of(data: Path | None, corpus: str | None, runs: Path) -> Store:
    """The store to train on: the given one, or a new one beside the runs, made from a corpus or of drawn faces."""
    if data is not None and corpus is None:
        if data.exists() and not (data / "meta.json").exists():
            raise DataError(
                f"{data} is not a store. If it is a corpus, say of which kind: --corpus {_either(CORPORA)}."
            )
        return Store.open(data)
    if data is None and corpus is not None:
        raise DataError(f"--corpus {corpus} needs --data, the path of the corpus.")
    if data is None or corpus is None:
        path = runs / "store" / "drawn"
        if not path.exists():
            draw_store(path, count=DRAWN_FACES)
        return Store.open(path)
    place = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:8]
    path = runs / "store" / f"{corpus}-{place}"
    if path.exists():
        _say(f"{data} was imported before; its store {path} is used. Remove that to import it again.")
    else:
        _import(data, corpus, path)
    return Store.open(path)


def shorter(planned: "Sequence[Run]", store: Store, data: Path | None) -> str:
    """A sentence that names the recipes that take less work than the planned runs."""
    from mien.compare import outline
    from mien.engines.forecast import operations

    most = sum(map(operations, planned))

    def takes_less(recipe: str) -> bool:
        with suppress(MienError):  # the recipe does not fit the store
            return sum(map(operations, outline(read_recipe(recipe), store, planned[0].path.parent))) < most
        return False

    advice = "".join(
        f"mien compare {name}{f' --data {data}' if data else ''} ({what}) is shorter. "
        for name, what in SHORTER.items()
        if takes_less(name)
    )
    return f"{advice}Ctrl-C stops; the same command goes on where it was."


def _either(names: Iterable[str]) -> str:
    *others, last = sorted(names)
    return f"{', '.join(others)} or {last}"


def _import(data: Path, corpus: str, path: Path) -> None:
    cv2.utils.logging.setLogLevel(0)  # mien reports damaged pictures itself
    try:
        meta = prepare(data, corpus, path, PrepareOptions())
    except BadSample as error:
        raise DataError(
            f"{error} To leave such samples out: mien data prepare {data} -c {corpus} --skip-bad --out STORE; then "
            "compare with --data STORE."
        ) from None
    _say(f"Imported {meta.count:,} faces into {path}. Look for copies and leaks: mien data audit {path}")


def note(runs: Path, command: str) -> None:
    """Keep the command beside its runs, for the reports that `mien report` makes of them."""
    known = _noted(runs).splitlines()
    if command in known:
        return
    try:
        write_text(runs / COMMANDS, "\n".join([*known, command]) + "\n")
    except OSError as error:
        raise DataError(f"{runs} cannot be written ({error.strerror}). Pass another --runs.") from None


def _noted(runs: Path) -> str:
    path = runs / COMMANDS
    if not path.exists():
        return ""
    with reading(path, DataError, "Remove it: the reports then lack the commands of earlier runs."):
        return read_text(path).strip()


def present(
    comparison: "Comparison", given: "Context", out: Path, *, faces: bool, json_wanted: bool, command: str
) -> None:
    """Write the report, and print its table or JSON; exit code 1 where runs failed or were left out."""
    from mien.report import terminal_table, write_report

    try:
        page = write_report(comparison, out, faces=faces, command=command, context=given)
    except OSError as error:
        raise DataError(f"The report {out} cannot be written ({error.strerror}). Pass another --out.") from None
    facts = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    if json_wanted:
        print_json(facts | {"report": str(page)})
    else:
        console = Console(highlight=False)
        console.print(terminal_table(comparison))
        for answer in facts["answers"]:
            console.print(literal(answer), soft_wrap=True)
        console.print(f"Report: {literal(page)}", soft_wrap=True)
    for sentence in facts["left_out"]:
        _say(sentence)
    if facts["left_out"] or any(row.failures for row in comparison.rows):
        raise typer.Exit(1)


def _warn(sentence: str) -> None:
    if sentence:
        _say(f"Warning: {sentence}")


def _say(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)
