"""`mien export`: a finished run to one file. `mien info`: what a model file, a store or a run says of itself."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mien.bundle import Bundle, find_model
from mien.card import Card, Figure
from mien.cli.extras import Json, needs
from mien.cli.screen import literal, print_json

__all__ = ["export", "info"]


def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, NAME.onnx.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise, and measure the loss of accuracy on the validation part.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the network of a finished run as one file that predicts without torch."""
    with needs("train", "export"):
        from mien.export import export as export_run
        from mien.runs import Run
    card = export_run(Run.open(run), out, int8=int8)
    _show_card(out, card, as_json)


def info(
    path: Annotated[str, typer.Argument(help="NAME.onnx, `default`, `small`, `ferplus`, a store or a run folder.")],
    as_json: Json = False,
) -> None:
    """Print the card of a model file, or describe a store or a run."""
    folder = Path(path)
    if (folder / "meta.json").is_file():
        from mien.cli.data import info as store_info

        store_info(folder, as_json)
    elif (folder / "data.json").is_file():
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
            "faces": f"{card.crop.size}×{card.crop.size} {colours}, margin {card.crop.margin:g}",
            "trained on": f"{card.corpus}, store {card.fingerprint[:16]}",
            "licence": card.licence,
            "temperature": f"{card.temperature:.3f}",
            f"test, {card.test_precision}": _figures(card.test),
            "recall": _figures(card.recall),
            "validation": _figures(card.valid),
            "use": card.intended_use,
            "limits": "\n".join(card.limits),
            "fails on": "\n".join(card.known_failures),
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
