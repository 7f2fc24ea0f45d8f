"""Does a training whose faces stay on the disk keep up with one whose faces are in memory, and does its memory stay?

    python benchmarks/large.py [--gigabytes 1] [--sides copied mapped blocks cold] [--quick] [--into docs/benchmarks.md]
    python benchmarks/large.py --gigabytes 10 --steady

A store of noise, 48 px RGB, eight classes in turn, so many gigabytes; its valid and test split have 1,000 faces each.
mien trains on it, by its own loop. The sides: the faces `copied` into the process; `mapped`, the system's copy of the
file; `blocks`, `data.shuffle = "blocks"`; `cold`, the same on a file of its own that the system forgets after every
step, so that every block comes from the disk. They take turns, A B A B; each is a ratio to the first side named. Memory
is the resident set after the first and the last step, and its peak. The disk's own limit, below the table, is that of
reading blocks of 1 MiB in random order past the system's copies (`O_DIRECT`).
"""

import argparse
import mmap
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np
import psutil
from measure import Side, Slice, Turns, alternate, conditions, publish, ratios, spread, table

from mien.machine import keeping_pages

PACKAGES = ("mien", "torch", "numpy")
CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
FACE_BYTES = 48 * 48 * 3
JUDGED = 1000
BATCH = 512
SIDES = ("copied", "mapped", "blocks", "cold")
HEADS = ("network", "faces", "images/s, ratio", "images/s", "steps", "first step, MB", "last step, MB", "peak, MB")


def write_store(path: Path, gigabytes: float) -> Path:
    """Noise as a store of about so many 10⁹ bytes."""
    from mien.crop import CropSpec
    from mien.data.store import Sample, create_store
    from mien.labels import LabelSet

    rng = np.random.default_rng(0)
    with create_store(path, LabelSet(CLASSES), CropSpec(size=48)) as writer:
        for number in range(round(gigabytes * 1e9 / FACE_BYTES)):
            if number % 1000 == 0:
                faces = rng.integers(0, 256, (1000, 48, 48, 3), dtype=np.uint8)
            split = ("valid", "test", "train")[min(number // JUDGED, 2)]
            writer.add(
                Sample(label=number % len(CLASSES), split=split, source=f"{number:07}.png"), face=faces[number % 1000]
            )
        writer.finish(corpus="noise", licence="made for a measurement")
    return path


def train(side: str, network: str, width: float, store_path: Path) -> None:
    """Train in turns, one batch a unit of work."""
    import torch

    from mien.config import NetworkSettings, override
    from mien.data import batches as module
    from mien.data.batches import Batches
    from mien.data.splits import divide
    from mien.data.store import Store
    from mien.device import pick_device
    from mien.machine import peak_memory_mb
    from mien.runs import Run
    from mien.train import train

    turns, memory = Turns(), []
    whole = Batches.epoch
    if side == "copied":
        module.MAPPED_BYTES = 1 << 62
    store = Store.open(store_path)

    def fresh(batches: Batches) -> Iterator[torch.Tensor]:
        for rows in chain.from_iterable(whole(batches, again) for again in count()):
            yield rows
            memory.append(psutil.Process().memory_info().rss / 1e6)
            if side == "cold":
                _forget(store.file("face"))

    def some(batches: Batches, number: int) -> Iterator[torch.Tensor]:
        return iter([next(whole(batches, number))]) if number else turns.over(fresh(batches), BATCH)

    Batches.epoch = some  # type: ignore[method-assign]
    shuffle = "blocks" if side in ("blocks", "cold") else "full"
    changes = {"model.name": network, "model.width": width, "model.head": "gap", "train.epochs": 2}
    settings = override(NetworkSettings(), changes | {"data.shuffle": shuffle}).resolved(store.meta.crop)
    fold = divide(store, settings.data)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder), settings, store, fold)
        train(run, fold.train, fold.valid, device=pick_device())
    turns.close(peak_mb=peak_memory_mb(), first_mb=memory[0], last_mb=memory[-1], steps=len(memory))


def _forget(path: Path) -> None:
    """Let the system drop its copy of a file's pages."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_rate(path: Path, seconds: float = 3.0) -> float:
    """Bytes a second of reading blocks of 1 MiB in random order, past the system's copies."""
    size, blocks = 1 << 20, path.stat().st_size >> 20
    buffer, order = mmap.mmap(-1, size), random.Random(0)
    place = os.open(path, os.O_RDONLY | os.O_DIRECT)
    started, done = time.perf_counter(), 0
    try:
        while time.perf_counter() - started < seconds:
            done += os.preadv(place, [buffer], order.randrange(blocks) * size)
    finally:
        os.close(place)
    return done / (time.perf_counter() - started)


def measure(network: str, width: float, store: Path, options: argparse.Namespace) -> list[list[str]]:
    """The lines of one network."""
    started = []
    try:
        for name in options.sides:
            place = store.with_name("cold") if name == "cold" else store
            command = [sys.executable, __file__, "--side", name, network, str(width), str(place)]
            started.append(Side(name, command, keeping_pages()))
        slices = alternate(started, options.rounds, seconds=options.seconds)
        facts = [side.finish() for side in started]
    finally:
        for side in started:
            side.__exit__()
    called = network if width == 1 else f"{network}, width {width:g}"
    return [
        _row(called, name, own, slices[0], fact) for name, own, fact in zip(options.sides, slices, facts, strict=True)
    ]


def _row(network: str, name: str, own: Sequence[Slice], base: Sequence[Slice], facts: dict[str, float]) -> list[str]:
    memory = [f"{facts[key]:.0f}" for key in ("steps", "first_mb", "last_mb", "peak_mb")]
    return [network, name, spread(ratios(own, base)), spread((turn.rate for turn in own), 0), *memory]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--networks", nargs="+", default=["compact-s", "compact-s:0.25"], help="NAME or NAME:WIDTH")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--steady", action="store_true", help="blocks alone, for their memory: another table")
    parser.add_argument("--quick", action="store_true", help="20 MB, one round: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    parser.add_argument("--side", nargs=4, metavar=("SIDE", "NETWORK", "WIDTH", "STORE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, network, width, store = options.side
        train(side, network, float(width), Path(store))
        return
    if options.steady:
        options.sides = ["blocks"]
    if options.quick:
        options.gigabytes, options.rounds, options.seconds, options.networks = 0.03, 1, 0.1, ["compact-s:0.25"]
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", options.gigabytes)
        if "cold" in options.sides:
            shutil.copytree(store, store.with_name("cold"))
        rows = []
        for name in options.networks:
            network, _, width = name.partition(":")
            rows += measure(network, float(width or 1), store, options)
        rate = disk_rate(store / "planes" / "face.npy")
    said = (
        f"The disk: {rate / 1e6:,.0f} MB/s in random blocks of 1 MiB, {rate / FACE_BYTES:,.0f} images/s.\n"
        f"Store: {options.gigabytes:g} GB, {options.gigabytes * 1e9 / FACE_BYTES:,.0f} faces.\n"
        f"n: {options.rounds} rounds of at least one batch of {BATCH}, about {options.seconds:g} s, in turns; "
        "median (least–most) of the rounds."
    )
    text = f"{table(HEADS, rows)}\n\n{conditions(PACKAGES, n=said)}"
    if options.steady:
        publish("steady", text, options.into)
    else:
        publish("large", text, options.into)


if __name__ == "__main__":
    main()
