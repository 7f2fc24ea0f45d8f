"""What do the allocator and the size of the chunks do to speed and memory of training?

    python benchmarks/memory.py [--networks resnet34] [--chunks 32 64 128] [--preload libjemalloc.so.2] [--quick]

Two tables for the networks of the paper at a batch of 512 faces of 48 px, trained by mien:

- allocators, set through the environment alone: glibc's as it comes; glibc that keeps its pages (no `mmap` of its own
  for a large tensor, no page given back); glibc with transparent huge pages; jemalloc, where Debian's `libjemalloc2` is
  installed or `--preload` says where it is, as it comes and without giving pages back;
- chunks (`train.micro_batch`), with glibc that keeps its pages, as `mien compare` starts its trainings; and the
  smallest of them with glibc that gives every tensor above 8 MB back: the least memory, whatever it costs.

In each table the variants of a network take turns, each in a fresh process, and are a ratio to the first.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from measure import Side, conditions, publish, table
from training import PACKAGES, RAF_DB, TARGETS, Task, against_first, make_data, start

from mien.machine import KEEP_PAGES, keeping_pages

HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
NEVER_BACK = "dirty_decay_ms:-1,muzzy_decay_ms:-1"
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20)}
CHUNKS = (64, 16, 32, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train a network."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)


def allocators(preload: Path | None) -> list[Variant]:
    """Those that there are on this machine."""
    found = [
        Variant(name="glibc"),
        Variant(name="glibc, keeps pages", environment=KEEP_PAGES),
        Variant(name="glibc, keeps pages, one arena", environment=KEEP_PAGES | {"MALLOC_ARENA_MAX": "1"}),
        Variant(name="glibc, huge pages", environment=HUGE),
    ]
    if preload:
        library = {"LD_PRELOAD": str(preload)}
        found.append(Variant(name="jemalloc", environment=library))
        found.append(Variant(name="jemalloc, keeps pages", environment=library | {"MALLOC_CONF": NEVER_BACK}))
    return found


def chunks(sizes: Sequence[int]) -> list[Variant]:
    """A variant for each size of the chunks, with pages kept; the smallest also with large tensors given back."""
    least = {"train.micro_batch": min(sizes)}
    return [
        *(Variant(name=str(n), changes={"train.micro_batch": n}, environment=keeping_pages()) for n in sizes),
        Variant(name=f"{min(sizes)}, tensors given back", changes=least, environment=GIVES_BACK),
    ]


def jemalloc() -> Path | None:
    """Debian's library, where it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/libjemalloc.so.2"))), None)


def measure(task: Task, variants: Sequence[Variant], rounds: int, seconds: float) -> list[list[str]]:
    """A line of the table for each variant of a network."""

    def side(variant: Variant) -> Side:
        changed = replace(task, changes={**(task.changes or {}), **variant.changes})
        return start("mien", changed, variant.environment)

    sides = {variant.name: partial(side, variant) for variant in variants}
    return against_first(task, sides, rounds=rounds, seconds=seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--chunks", type=int, nargs="+", default=list(CHUNKS))
    parser.add_argument("--preload", type=Path, default=jemalloc(), help="a jemalloc library")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of a turn, at least one batch")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--faces", type=int, default=RAF_DB, help="training faces")
    parser.add_argument("--quick", action="store_true", help="one narrow network, two variants: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the tables into")
    options = parser.parse_args()
    width = 1.0
    if options.quick:
        options.networks, options.chunks, options.preload, width = ["resnet34"], [16, 8], None, 0.25
        options.batch, options.faces, options.rounds, options.seconds = 16, 256, 2, 0.1
    kinds = {"allocator": allocators(options.preload)[: 2 if options.quick else None], "chunk": chunks(options.chunks)}
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder), options.faces)
        for kind, variants in kinds.items():
            rows: list[list[str]] = []
            for network in options.networks:
                task = Task(network=network, batch=options.batch, width=width, **data)
                rows += measure(task, variants, options.rounds, options.seconds)
                print(f"{kind}, {network}: done", file=sys.stderr)
            texts.append(table(("network", kind, "images/s, ratio", "peak, ratio", "images/s", "peak, MB"), rows))
    n = f"n: {options.rounds} rounds of one or more batches of {options.batch}, in turns; median (least–most)."
    publish("memory", "\n\n".join([*texts, conditions(PACKAGES, n=n)]), options.into)


if __name__ == "__main__":
    main()
