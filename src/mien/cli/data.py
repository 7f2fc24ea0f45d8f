"""`mien data`: a corpus becomes a store (prepare, draw), a store is looked through (info, audit)."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..crop import CropSpec
from ..data.corpora import CORPORA, ReadOptions
from ..data.prepare import PrepareOptions
from ..data.prepare import prepare as prepare_store
from ..data.store import SPLITS, Meta, Store

__all__ = ["app"]

app = typer.Typer(
    name="data",
    help="Corpora in, one store out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, typer.Option("--out", "-o", help="The store to write: a folder that is not there yet.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the store if there is one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]


@app.command()
def prepare(
    path: Annotated[Path, typer.Argument(help="The corpus: a folder or a file, as its importer wants it.")],
    corpus: Annotated[str, typer.Option("--corpus", "-c", help=f"One of {', '.join(sorted(CORPORA))}.")],
    out: Out,
    size: Annotated[int, typer.Option(help="Side of the crops in pixels.")] = 48,
    grey: Annotated[bool, typer.Option("--grey/--rgb", help="One channel or three.")] = False,
    margin: Annotated[float, typer.Option(help="Border around face boxes, as a share of their side.")] = 0.0,
    labels: Annotated[str, typer.Option(help="seven, eight (with contempt) or own.")] = "seven",
    limit: Annotated[int | None, typer.Option(help="Take so many, spread evenly: for trials.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad samples and list them.")] = False,
    public_test: Annotated[
        str | None, typer.Option(help="fer2013, ferplus: the split of PublicTest, valid or test.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="A sentence in place of the importer's.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Import a corpus into a store."""
    options = PrepareOptions(
        crop=CropSpec(size=size, channels=1 if grey else 3, margin=margin),
        labels=labels,
        limit=limit,
        skip_bad=skip_bad,
        force=force,
        licence=licence,
        read=ReadOptions(public_test=public_test),
    )
    meta = prepare_store(path, corpus, out, options)
    _show(Store.open(out), meta, as_json)


@app.command()
def info(store: Annotated[Path, typer.Argument(help="A store.")], as_json: Json = False) -> None:
    """Print what a store is and its class counts a split."""
    opened = Store.open(store)
    _show(opened, opened.meta, as_json)


def _show(store: Store, meta: Meta, as_json: bool) -> None:
    counts = _counts(store)
    if as_json:
        print(json.dumps({"meta": asdict(meta), "counts": counts}, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(_facts(store.path, meta))
    console.print(_table(counts))
    for example in meta.skipped_examples:
        console.print(f"[yellow]left out[/] {escape(example)}", soft_wrap=True)


def _counts(store: Store) -> dict[str, dict[str, int]]:
    """{split: {class: count}}, splits without images left out."""
    samples = store.samples
    tally = Counter(zip(samples.split.tolist(), samples.label.tolist(), strict=True))
    names = store.meta.labels
    return {
        split: {name: tally[split, label] for label, name in enumerate(names)}
        for split in SPLITS
        if any(tally[split, label] for label in range(len(names)))
    }


def _facts(path: Path, meta: Meta) -> Table:
    colours = "grey" if meta.crop.channels == 1 else "RGB"
    facts: dict[str, Any] = {
        "store": path,
        "corpus": meta.corpus,
        "images": f"{meta.count} of {meta.crop.size}×{meta.crop.size} {colours}",
        "left out": meta.skipped,
        "licence": meta.licence,
        "sha256": meta.sha256[:16],
        "notes": "\n".join(meta.notes),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(f"[bold]{name}[/]", escape(str(value)))
    return table


def _table(counts: dict[str, dict[str, int]]) -> Table:
    table = Table("class", *counts)
    names = next(iter(counts.values()), {})
    for name in names:
        table.add_row(escape(name), *(str(split[name]) for split in counts.values()))
    table.add_row("all", *(str(sum(split.values())) for split in counts.values()), style="bold")
    return table
