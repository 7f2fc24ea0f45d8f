"""Does anything grow faster than the number of rows, up to a million?

    python benchmarks/rows.py [--sizes 250000 500000 1000000] [--quick] [--into docs/benchmarks.md]

Pictures of 8 × 8 grey pixels, all noise but for one in a hundred, which is a copy of another; a hundred of a subject;
80 % train, 20 % test, no valid split, so that dividing has to carve one. They come as one `.npz`. Steps: `prepare`
imports them; `open` hashes the store; `samples` reads its table; `divide` is the holdout with its carving by subject,
`kfold` five folds by picture, `group-kfold` five by subject; `audit` looks for copies and look-alikes; `epoch` is the
order of an epoch in blocks, with the targets, and nothing trained. Each runs in a fresh process, the sizes take turns,
and each is a ratio to the smallest in its round: time for a row (1 is linear, less is better) and peak memory. Time is
that of the processor, which waits for nobody: a step took so long on a quiet machine, or less where it has threads.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from measure import Side, Turns, conditions, publish, spread, table

from mien.machine import peak_memory_mb

PACKAGES = ("mien", "numpy", "scipy", "scikit-learn")
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
OF_A_SUBJECT = 100
Figures = Mapping[str, float]
"""What one step took: `seconds` and `peak_mb`."""


def timed(work: Callable[[], object]) -> Figures:
    """Do the work; processor seconds of all threads, and the peak memory of this process."""
    started = time.process_time()
    work()
    return {"seconds": time.process_time() - started, "peak_mb": peak_memory_mb()}


def write_arrays(path: Path, count: int) -> Path:
    """The pictures of `count` rows as `.npz`."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    copies = np.flatnonzero(rng.random(count) < 0.01)
    images[copies] = images[copies - 1]
    subjects = np.arange(count) // OF_A_SUBJECT
    np.savez(
        path,
        images=images,
        labels=rng.integers(0, len(CLASSES), count),
        class_names=np.array(CLASSES),
        subjects=np.char.mod("s%07d", subjects),
        split=np.where(subjects % 5 < 4, "train", "test"),
    )
    return path


def prepare(folder: Path) -> Figures:
    """Arrays to a store."""
    from mien.crop import CropSpec
    from mien.data.prepare import PrepareOptions, prepare

    options = PrepareOptions(crop=CropSpec(size=8, channels=1), sized=True, force=True)
    return timed(lambda: prepare(folder / "arrays.npz", "npz", folder / "store", options))


def opening(folder: Path) -> Figures:
    """The hash of all planes and samples."""
    from mien.data.store import Store

    return timed(lambda: Store.open(folder / "store"))


def samples(folder: Path) -> Figures:
    """The table of samples as columns."""
    from mien.data.store import Store

    store = Store.open(folder / "store")
    return timed(lambda: store.samples)


def divider(protocol: str) -> Callable[[Path], Figures]:
    """The division by one protocol, its table read before."""

    def divided(folder: Path) -> Figures:
        import scipy.sparse.csgraph  # noqa: F401
        import sklearn.model_selection  # noqa: F401, that its import is no part of the time

        from mien.config import DataSettings
        from mien.data.splits import divide
        from mien.data.store import Store

        store = Store.open(folder / "store")
        _ = store.samples
        return timed(lambda: divide(store, DataSettings(protocol=protocol)))  # type: ignore[arg-type]

    return divided


def audit(folder: Path) -> Figures:
    """Copies, near copies, contradictions."""
    from mien.data.audit import audit
    from mien.data.store import Store

    store = Store.open(folder / "store")
    return timed(lambda: audit(store))


def epoch(folder: Path) -> Figures:
    """The order of an epoch in blocks, and what training keeps of every row."""
    import torch

    from mien.config import DataSettings, NetworkSettings
    from mien.data.batches import Batches
    from mien.data.splits import Part
    from mien.data.store import Store
    from mien.losses import Objective

    store, settings = Store.open(folder / "store"), NetworkSettings(data=DataSettings(shuffle="blocks"))
    part, device = Part(store=store, rows=np.arange(len(store))), torch.device("cpu")
    _ = store.samples

    def work() -> None:
        batches = Batches(part, settings, device)
        Objective(part, settings.loss, device)
        sum(1 for _ in batches.epoch(0))

    return timed(work)


STEPS: dict[str, Callable[[Path], Figures]] = {
    "prepare": prepare,
    "open": opening,
    "samples": samples,
    "divide": divider("holdout"),
    "kfold": divider("kfold"),
    "group-kfold": divider("group-kfold"),
    "audit": audit,
    "epoch": epoch,
}


def in_fresh_process(step: str, folder: Path) -> Figures:
    """Run a step on the folder in a process of its own."""
    with Side(step, [sys.executable, __file__, "--step", step, str(folder)]) as side:
        figures: Figures = side.finish()
    return figures


def row(found: Mapping[tuple[str, int], Sequence[Figures]], step: str, size: int, smallest: int) -> list[str]:
    """A line of the table."""
    these, base = found[step, size], found[step, smallest]
    slower = [a["seconds"] / size / (b["seconds"] / smallest) for a, b in zip(these, base, strict=True)]
    larger = [a["peak_mb"] / b["peak_mb"] for a, b in zip(these, base, strict=True)]
    return [
        step,
        f"{size:,}",
        spread(slower),
        spread(larger),
        spread((f["seconds"] for f in these), 1),
        f"{statistics.median(f['peak_mb'] for f in these):.0f}",
    ]


HEADS = ("step", "rows", "time a row, ratio", "peak, ratio", "seconds", "peak, MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="2,000 and 4,000 rows, one round: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        turns = Turns()
        figures = STEPS[options.step[0]](Path(options.step[1]))
        list(turns.over(()))
        turns.close(**figures)
        return
    if options.quick:
        options.sizes, options.rounds = [2_000, 4_000], 1
    found: dict[tuple[str, int], list[Figures]] = {(step, size): [] for step in STEPS for size in options.sizes}
    with tempfile.TemporaryDirectory() as root:
        folders = {size: Path(root) / str(size) for size in sorted(options.sizes)}
        for size, folder in folders.items():
            folder.mkdir()
            write_arrays(folder / "arrays.npz", size)
        for number in range(options.rounds):
            for step in STEPS:
                for size, folder in folders.items():
                    told = in_fresh_process(step, folder)
                    found[step, size].append(told)
                    print(f"round {number + 1}: {step} {size} {json.dumps(told)}", file=sys.stderr)
    rows = [row(found, step, size, min(folders)) for step in STEPS for size in folders]
    n = f"n: {options.rounds} rounds, every step in a fresh process, the sizes in turns; median (least–most)."
    publish("rows", f"{table(HEADS, rows)}\n\n{conditions(PACKAGES, n=n)}", options.into)


if __name__ == "__main__":
    main()
