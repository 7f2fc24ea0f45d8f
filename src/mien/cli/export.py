"""`mien export`: from a finished run to one file. `mien info`: the description of a model file, a store or a run."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mien.bundle import Bundle, find_model
from mien.card import Card, Figure, People
from mien.cli.extras import Json, needs
from mien.cli.model_files import exported, is_run
from mien.cli.screen import literal, print_json, say
from mien.errors import ConfigError
from mien.web import PACKAGE, fetch_runtime, write_page

__all__ = ["export", "info"]


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run; with --web also a model file or name.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write, NAME.onnx.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise, and measure the loss of accuracy on the validation part.")
    ] = False,
    web: Annotated[
        Path | None, typer.Option(help="Write a folder with a page that runs the model in the browser, with no server.")
    ] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="With --web: another model that the page can show beside it; repeatable.")
    ] = None,
    runtime: Annotated[
        Path | None, typer.Option(help=f"With --web: the file that `npm pack {PACKAGE}` wrote; else npm is asked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the network of a finished run as one file that predicts without torch, or as a page of its own."""
    if web:
        _write_page(run, out, web, beside or [], runtime, int8=int8)
        return
    if beside or runtime:
        raise ConfigError("--beside and --runtime belong to --web DIR.")
    if out is None:
        raise ConfigError("Say what to write: --out NAME.onnx, or --web DIR for a page that runs it.")
    _show_card(out, exported(run, out, int8=int8), as_json)


def _write_page(
    model: Path, out: Path | None, folder: Path, beside: list[str], runtime: Path | None, *, int8: bool
) -> None:
    """Write a page of a model, or of a run, which is exported first."""
    if folder.exists():
        raise ConfigError(f"--web {folder} is there already; give the name of a folder that is not.")
    with TemporaryDirectory(prefix="mien-") as room:
        of_run = is_run(model)
        file = (out or Path(room) / f"{model.name}.onnx") if of_run else find_model(str(model))
        if of_run:
            exported(model, file, int8=int8)
        models = [Bundle.open(each) for each in (file, *map(find_model, beside))]
        for each in models:
            each.require_faces()
        write_page(models, folder, runtime or fetch_runtime(Path(room)))
    say(f"Wrote {folder}. Look at it with: python -m http.server --bind 127.0.0.1 --directory {folder}")


def info(
    path: Annotated[str, typer.Argument(help="NAME.onnx, `default`, `small`, `ferplus`, a store or a run folder.")],
    as_json: Json = False,
) -> None:
    """Print the card of a model file, or describe a store or a run."""
    folder = Path(path)
    if (folder / "meta.json").is_file():
        from mien.cli.data import info as store_info

        store_info(folder, as_json)
    elif is_run(folder):
        _show_run(folder, as_json)
    else:
        _show_card(find_model(path), Bundle.open(path).card, as_json)


def _show_card(path: Path, card: Card, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(path), **asdict(card)})
        return
    colours = "grey" if card.crop.channels == 1 else "RGB"
    _show(
        {
            "model": f"{path} ({path.stat().st_size / 1e6:.1f} MB, {card.precision})",
            "network": f"{card.network}, run {card.run}",
            "labels": ", ".join(card.labels),
            "takes": "\n".join(f"{plane.name}, {plane}" for plane in card.forms),
            "movement": str(card.movement or ""),
            "faces": f"{card.crop.size}×{card.crop.size} {colours}, margin {card.crop.margin:g}",
            "trained on": f"{card.corpus}, store {card.fingerprint[:16]}",
            "before that": card.earlier,
            "protocol": card.protocol,
            "licence": card.licence,
            "temperature": f"{card.temperature:.3f}",
            f"test, {card.test_precision}": _figures(card.test),
            "recall": _figures(card.recall),
            "validation": _figures(card.valid),
            "use": card.intended_use,
            "limits": "\n".join(card.limits),
            "fails on": "\n".join(card.known_failures),
            "people": _people(card.people),
            "int8": _int8(card),
            "made by": f"mien {card.mien}",
            "sha256": card.sha256,
        }
    )


def _int8(card: Card) -> str:
    if card.precision != "int8":
        return ""
    return card.quantisation or (
        "Made by an older mien. Processors with AVX2 and without VNNI may give other answers. Export it again."
    )


def _figures(figures: Mapping[str, Figure]) -> str:
    return "\n".join(f"{name} {figure}" for name, figure in figures.items())


def _people(people: People | None) -> str:
    """A line a group, after what they show and before where they are from."""
    if people is None:
        return ""
    groups = (
        f"{group}: " + ", ".join(f"{name} {figure}" for name, figure in recall.items())
        for group, recall in people.recall.items()
    )
    return "\n".join((*people.findings, *groups, people.source))


def _show_run(folder: Path, as_json: bool) -> None:
    with needs("train", "info"):
        from mien.runs import Run
    run = Run.open(folder)
    if as_json:
        facts = {
            "run": run.id,
            "settings": asdict(run.settings),
            "data": asdict(run.data),
            "record": asdict(run.record),
        }
        print_json(facts)
        return
    record, data = run.record, run.data
    _show(
        {
            "run": run.path,
            "status": f"{record.status}{f': {record.reason}' if record.reason else ''}",
            "network": f"{run.settings.name}, {record.costs.parameters:,} parameters",
            "trained on": f"{data.corpus}, store {data.fingerprint[:16]}, {data.counts}",
            "licence": data.licence,
            "epoch": f"{record.selected_epoch} of {len(run.history)}" if run.finished and run.history else "",
            "test opened": "\n".join(record.test_opened_at),
        }
    )


def _show(facts: Mapping[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if str(value):
            table.add_row(f"[bold]{name}[/]", literal(value))
    Console(highlight=False).print(table)
