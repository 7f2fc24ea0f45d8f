"""How do time and memory grow with the number of images?

    python benchmarks/growth.py [--sizes 1000 10000] [--quick] [--into docs/benchmarks.md]

Drawn faces as a folder of PNG files, 70 % of them train, 10 % valid, 20 % test, go the whole road: `prepare` makes the
store, `audit` looks through it, one epoch of `compact-s` trains and judges, `compare` holds two such runs against each
other and writes the page. Each step runs in a fresh process, whose peak memory is its own; the sizes take turns, and
each is a ratio to the smallest in its round: time for each image (1 is linear growth), peak memory as it is (1 is
flat). Time is that of the step alone, without the start of Python and the imports.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from measure import Side, Turns, conditions, draw_pictures, publish, spread, table

from mien.machine import keeping_pages, peak_memory_mb

SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
PACKAGES = ("mien", "torch", "numpy", "opencv-python-headless")
Figures = Mapping[str, float]
"""What one step took: `seconds` and `peak_mb`."""


def prepare(folder: Path) -> Figures:
    """Pictures to a store."""
    from mien.data.prepare import prepare

    return timed(lambda: prepare(folder / "pictures", "folder", folder / "store"))


def audit(folder: Path) -> Figures:
    """Copies, near copies, contradictions."""
    from mien.data.audit import audit
    from mien.data.store import Store

    return timed(lambda: audit(Store.open(folder / "store")))


def train(folder: Path) -> Figures:
    """One epoch, as the engine runs it; its own record says what it took. Then, uncounted, the run to compare it to."""
    from mien.config import NetworkSettings, override
    from mien.data.splits import divide
    from mien.data.store import Store
    from mien.runs import Run
    from mien.stages import finish_run

    store = Store.open(folder / "store")
    settings = override(NetworkSettings(), {"model.name": "compact-s", "train.epochs": 1}).resolved(store.meta.crop)
    other = override(settings, {"model.dropout": 0.2})
    fold = divide(store, settings.data)
    run, after = (Run.create(folder / "runs", each, store, fold) for each in (settings, other))
    finish_run(run)
    costs = run.record.costs
    finish_run(after)
    return {"seconds": costs.train_seconds, "peak_mb": costs.train_peak_mb}


def compare(folder: Path) -> Figures:
    """The page of the two runs, with their intervals, their paired test and pictures."""
    from mien.compare import collect
    from mien.report import write_report
    from mien.runs import find_runs

    return timed(lambda: write_report(collect(find_runs(folder / "runs")), folder / "report"))


STEPS: dict[str, Callable[[Path], Figures]] = {"prepare": prepare, "audit": audit, "train": train, "compare": compare}


def timed(work: Callable[[], object]) -> Figures:
    """Do the work; seconds it took and the peak memory of this process."""
    started = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - started, "peak_mb": peak_memory_mb()}


def in_fresh_process(step: str, folder: Path) -> Figures:
    """Run a step on the folder in a process of its own."""
    own = keeping_pages() if step == "train" else {}  # as the engine starts a training
    with Side(step, [sys.executable, __file__, "--step", step, str(folder)], own) as side:
        figures: Figures = side.finish()
    return figures


def measure(folders: Mapping[int, Path], rounds: int) -> dict[tuple[str, int], list[Figures]]:
    """All steps of all sizes, the sizes in turns; what a round leaves behind goes before the next."""
    found: dict[tuple[str, int], list[Figures]] = {(step, size): [] for step in STEPS for size in folders}
    for number in range(rounds):
        for step in STEPS:
            for size, folder in folders.items():
                found[step, size].append(in_fresh_process(step, folder))
                told = found[step, size][-1]
                print(f"round {number + 1}: {step} {size} {json.dumps(told)}", file=sys.stderr)
        for folder in folders.values():
            for made in ("store", "runs", "report"):
                shutil.rmtree(folder / made)
    return found


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


HEADS = ("step", "images", "time an image, ratio", "peak, ratio", "seconds", "peak, MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="300 and 600 images, one round: shows that it works")
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
        options.sizes, options.rounds = [300, 600], 1
    with tempfile.TemporaryDirectory() as root:
        folders = {}
        for size in sorted(options.sizes):
            counts = {split: round(share * size) for split, share in SHARES.items()}
            folders[size] = Path(root) / str(size)
            draw_pictures(folders[size] / "pictures", distinct=size, **counts)
        found = measure(folders, options.rounds)
    rows = [row(found, step, size, min(folders)) for step in STEPS for size in folders]
    n = f"n: {options.rounds} rounds, every step in a fresh process, the sizes in turns; median (least–most)."
    publish("growth", f"{table(HEADS, rows)}\n\n{conditions(PACKAGES, n=n)}", options.into)


if __name__ == "__main__":
    main()
