"""Writes a store without the samples that its audit found, as `mien data audit --drop leaks` asks.

In: a store, its `Audit`, what to drop. Out: a new store, whose `dropped.csv` names every sample left out and why, and
whose `meta.json` counts them. The remaining samples keep their order.

    leaks        of identical images in several splits, keep those in the test (else in valid) and drop the others
    near-leaks   the same for near duplicates
    conflicts    drop all identical images with different labels, because the right label is unknown
    blanks       drop images that show nothing
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from ..errors import ConfigError, DataError
from ..planes import one_by_one
from ..progress import track
from ..reading import GivenPath, given_path
from ..shown import csv_cell
from .audit import Audit, Group
from .store import Meta, Store, create_store

__all__ = ["DROPS", "clean", "rows_to_drop"]

DROPS = ("leaks", "near-leaks", "conflicts", "blanks")
KEPT_FIRST = ("test", "valid", "train")


def clean(store: Store, found: Audit, drop: Sequence[str], out: GivenPath, *, force: bool = False) -> Meta:
    """Write `store` without what `drop` names (of `DROPS`) as a new store at `out`, whole or not at all.

    Raises `ConfigError` for an unknown word in `drop`, `DataError` if `out` cannot be written.
    """
    reasons = rows_to_drop(found, drop)
    out = given_path(out, "A store", DataError)
    if out.resolve() == store.path.resolve():
        raise DataError(f"{out} is the store that is being cleaned. Choose another --out.")
    with create_store(out, store.labels, store.meta.crop, planes=store.others, replace=force) as writer:
        with (writer.folder / "dropped.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["row", "source", "split", "reason"])
            batches = store.iter_batches(tuple(store.planes))
            samples = zip(chain.from_iterable(map(one_by_one, batches)), store.iter_samples(), strict=True)
            for row, (planes, sample) in enumerate(track(samples, "Cleaning", len(store))):
                if row in reasons:
                    table.writerow([row, csv_cell(sample.source), sample.split, reasons[row]])
                else:
                    writer.add(sample, **planes)
        return writer.finish_from(store, _note(store, reasons))


def rows_to_drop(found: Audit, drop: Sequence[str]) -> dict[int, str]:
    """{row: why} of the samples that `drop` takes away; a row has the first reason that holds, in `DROPS`' order."""
    strange = [word for word in drop if word not in DROPS]
    if strange or not drop:
        raise ConfigError(f"--drop is one or more of {', '.join(DROPS)}; got {list(drop)}.")
    rows = {
        "leaks": _less_protected(found.leaks),
        "near-leaks": _less_protected(found.near_leaks),
        "conflicts": [row for group in found.conflicts for row in group.rows],
        "blanks": list(found.blanks),
    }
    reasons: dict[int, str] = {}
    for word in DROPS:
        for row in rows[word] if word in drop else ():
            reasons.setdefault(row, word)
    return reasons


def _less_protected(groups: Iterable[Group]) -> list[int]:
    """The rows to drop: all outside the test split, or outside valid if the group has no test image."""
    rows = []
    for group in groups:
        kept = next(split for split in KEPT_FIRST if split in group.splits)
        rows += [row for row, split in zip(group.rows, group.splits, strict=True) if split != kept]
    return rows


def _note(store: Store, reasons: dict[int, str]) -> str:
    counts = Counter(reasons.values())
    dropped = ", ".join(f"{counts[word]} {word}" for word in DROPS if counts[word]) or "nothing"
    return f"Cleaned from the store {store.meta.sha256[:16]} of {len(store)}: dropped {dropped} (see dropped.csv)."
