"""`mien evaluate`: model files on a labelled store, as a table and one report. Without torch.

Exit codes: 0 done, 2 refused, 130 interrupted.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mien.cli.extras import Json, needs
from mien.cli.screen import literal, print_json
from mien.data.store import Store
from mien.errors import ConfigError, DataError
from mien.progress import progress

if TYPE_CHECKING:
    from mien.report.evaluated import Judged
    from mien.report.parts import SmallTable

__all__ = ["evaluate"]

OUT = Path("evaluation")
LIMIT = 1000
"""Most faces to damage, as `examine.robustness.LIMIT`."""


def evaluate(
    models: Annotated[
        list[str], typer.Argument(help="NAME.onnx of `mien export`, or default, small, ferplus. One or several.")
    ],
    data: Annotated[Path, typer.Option("--data", "-d", help="A labelled store.")],
    split: Annotated[str, typer.Option(help="The part to test on: test, valid, train or all.")] = "test",
    examine: Annotated[
        bool,
        typer.Option(
            "--examine", help="Also test on damaged faces, for the full report; takes minutes for each model."
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, help="With --examine: damage at most so many faces, stratified by class.")
    ] = LIMIT,
    trained_on: Annotated[
        list[Path] | None,
        typer.Option("--trained-on", help="A store that a model was trained on, to count shared faces. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the report. Default: evaluation; none with --json.")
    ] = None,
    no_faces: Annotated[bool, typer.Option("--no-faces", help="Leave out every picture of the store.")] = False,
    threads: Annotated[int, typer.Option(min=0, help="Threads of a model; 0 uses all cores.")] = 0,
    as_json: Json = False,
) -> None:
    """Evaluate model files on labelled faces, and write the report.

    Accuracy, UAR and F1 with intervals, recalls, confusions, calibration, gaps
    between groups of people, doubtful labels, paired tests between models. Each
    opening of the test is noted in the store, in test_openings.csv.

    Your own pictures, in PHOTOS/test/CLASS/, by two models that come with mien:
      mien data prepare PHOTOS --corpus folder --out faces
      mien evaluate default small --data faces
    A model of yours beside one of them, with damage, on all faces of a store:
      mien evaluate mine.onnx default --data STORE --split all --examine
    """
    with needs("report", "evaluate"):
        from mien.examine.damaging import STEPS
        from mien.examine.evaluation import evaluate as evaluate_models
        from mien.examine.models import PARTS, open_models
        from mien.report import judge_evaluation
        from mien.report.evaluated import as_facts, main_table
    if split not in PARTS:
        raise ConfigError(f"--split is one of {', '.join(PARTS)}; got {split}.")
    opened = open_models(models, threads=threads)
    store, others = Store.open(data), [Store.open(path) for path in trained_on or ()]
    folder = out if as_json else out or OUT
    _check_writable(folder)
    with progress("Judging models", STEPS * len(opened) * examine) as advance:
        evaluation = evaluate_models(
            opened, store, split, damage=examine, limit=limit, trained_on=others, report=advance
        )
    found = judge_evaluation(evaluation)
    page = _write(found, folder, faces=not no_faces) if folder else None
    if as_json:
        facts = as_facts(found) | {"report": str(page) if page else None}
        print_json(facts)
        return
    console = Console(highlight=False)
    console.print(_table(main_table(found)))
    for note in evaluation.notes:
        console.print(f"[yellow]Note[/] {literal(note)}", soft_wrap=True)
    console.print(f"Report: {literal(page)}", soft_wrap=True)


def _check_writable(folder: Path | None) -> None:
    """Raise `DataError` if the report could not be written, before anything is measured and the test is opened."""
    if folder is None:
        return
    with needs("report", "evaluate"):
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    if (folder / "meta.json").exists():
        raise DataError(f"{folder} is a store; the report goes elsewhere. Pass another --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"The report {folder} cannot be written ({error.strerror}). Pass another --out.") from None


def _write(found: "Judged", folder: Path, *, faces: bool) -> Path:
    from mien.report import write_evaluation

    try:
        return write_evaluation(found, folder, faces=faces, command=shlex.join(["mien", *sys.argv[1:]]))
    except OSError as error:
        raise DataError(f"The report {folder} cannot be written ({error.strerror}). Pass another --out.") from None


def _table(found: "SmallTable") -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    first, *others = found.heads
    table.add_column(first, overflow="fold")
    for head in others:
        table.add_column(head, justify="right")
    for row in found.rows:
        table.add_row(*map(literal, row))
    return table
