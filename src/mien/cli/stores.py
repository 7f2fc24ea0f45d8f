"""What commands that write or open a store share: the options, and what they say of the store on the screen."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mien.cli.screen import literal, print_json
from mien.data.audit import Audit
from mien.data.audit import audit as audit_store
from mien.data.findings import summary
from mien.data.splits import untested_words
from mien.data.store import Meta, Store

__all__ = ["Force", "Out", "counts_table", "facts_table", "findings_table", "show_new", "warn_untested"]

Out = Annotated[Path, typer.Option("--out", "-o", help="The store to write: a new folder.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the store if there is one.")]


def show_new(store: Store, as_json: bool) -> None:
    """What was written, with the summary of its audit and what was left out."""
    found = audit_store(store)
    if as_json:
        print_json({"meta": asdict(store.meta), "audit": found.summary()})
        return
    console = Console(highlight=False)
    console.print(facts_table(store.path, store.meta))
    console.print(counts_table(found.counts))
    warn_untested(console, store)
    console.print(findings_table(found))
    for example in store.meta.skipped_examples:
        console.print(f"[yellow]left out[/] {literal(example)}", soft_wrap=True)
    if store.meta.skipped > len(store.meta.skipped_examples):
        console.print(f"[yellow]left out[/] {store.meta.skipped} in all: {literal(store.path)}/skipped.csv")


def warn_untested(console: Console, store: Store) -> None:
    """Say which classes the test leaves out, as averages over classes then are over fewer than the table shows."""
    if words := untested_words(store):
        console.print(f"[yellow]{literal(words)}[/]", soft_wrap=True)


def findings_table(found: Audit) -> Table:
    """What the audit found, a line a kind; lines that spoil a test or a training are yellow."""
    table = Table.grid(padding=(0, 2))
    for line in summary(found):
        words = line.numbers + (f". {line.meaning}" if line.harms else "")
        table.add_row(line.kind, words, style="yellow" if line.harms else None)
    return table


def facts_table(path: Path, meta: Meta) -> Table:
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
        table.add_row(f"[bold]{name}[/]", literal(value))
    return table


def counts_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table("class", *counts)
    for name in next(iter(counts.values())):
        table.add_row(literal(name), *(str(split[name]) for split in counts.values()))
    table.add_row("all", *(str(sum(split.values())) for split in counts.values()), style="bold")
    return table
