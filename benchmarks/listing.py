"""How long does `mien runs` take for ten thousand run folders, with its index and without?

    python benchmarks/listing.py [--runs 10000] [--rounds 5] [--quick] [--into docs/benchmarks.md]

One small run is trained; the others are run folders of their own settings (seed and learning rate) with its results.
Then `mien runs` lists all of them, each time in a fresh process: once without an index, which writes it, then with it
for so many rounds. All lists have to be equal. Time is that of the whole command, with the start of Python; beside it
stand the seconds that a processor worked, which a busy machine changes less.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import tomli_w
from measure import conditions, publish, spread, table

from mien.config import NetworkSettings, override
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Store
from mien.runs import Run
from mien.stages import finish_run

PACKAGES = ("mien", "msgspec")
RESULTS = ("data.json", "record.json", "history.csv", "env.json", "logits.npz")
SHAPE = {"model.name": "compact-s", "model.width": 0.25, "train.epochs": 20, "train.batch_size": 32}
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def make_runs(folder: Path, count: int) -> Path:
    """`count` finished run folders under `folder / "runs"`."""
    draw_store(folder / "store", count=70, size=24)
    store = Store.open(folder / "store")
    base = override(NetworkSettings(), SHAPE).resolved(store.meta.crop)
    first = Run.create(folder / "first", base, store, divide(store, base.data))
    finish_run(first)
    for number in range(count):
        changes = {"seed": number // len(RATES), "optimizer.lr": RATES[number % len(RATES)]}
        settings = override(base, changes)
        path = folder / "runs" / settings.run_id(store.meta.sha256)
        path.mkdir(parents=True)
        for name in RESULTS:
            os.link(first.path / name, path / name)
        (path / "config.toml").write_text(tomli_w.dumps({"kind": settings.KIND, **asdict(settings)}))
    return folder / "runs"


def listed(runs: Path, cache: Path) -> tuple[float, float, str]:
    """Seconds of the command in a fresh process, those that a processor worked for it, and what it printed."""
    started, worked = time.perf_counter(), children_seconds()
    words = [sys.executable, "-m", "mien", "runs", str(runs)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env=os.environ | {"XDG_CACHE_HOME": str(cache)}
    )
    return time.perf_counter() - started, children_seconds() - worked, done.stdout


def children_seconds() -> float:
    """Processor seconds of all child processes that have ended."""
    used = os.times()
    return used.children_user + used.children_system


HEADS = ("runs", "without an index, s", "of a processor, s", "with it, s", "of a processor, s", "index, MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="120 runs, one round: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    options = parser.parse_args()
    count, rounds = (120, 1) if options.quick else (options.runs, options.rounds)
    with tempfile.TemporaryDirectory() as scratch:
        runs, cache = make_runs(Path(scratch), count), Path(scratch) / "cache"
        time.sleep(2.5)  # files that are younger are read again
        cold, worked, said = listed(runs, cache)
        again = [listed(runs, cache) for _ in range(rounds)]
        assert {text for *_, text in again} == {said}, "the index changed an answer"
        size = sum(path.stat().st_size for path in cache.rglob("*.json")) / 1e6
    warm, busy = spread(wall for wall, _, _ in again), spread(cpu for _, cpu, _ in again)
    row = [f"{count:,}", f"{cold:.1f}", f"{worked:.1f}", warm, busy, f"{size:.1f}"]
    ending = conditions(
        PACKAGES, n=f"n: {rounds} rounds with the index, every one a fresh process; median (least–most)."
    )
    publish("listing", f"{table(HEADS, [row])}\n\n{ending}", options.into)


if __name__ == "__main__":
    main()
