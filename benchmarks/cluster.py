"""What does the engine `ray` cost beside the engine `local`, on the cores of one machine?

    python benchmarks/cluster.py [--tiny 200] [--large 4] [--quick] [--into docs/benchmarks.md]

The same runs, one thread each, are finished by both engines: many tiny ones, which share processes, and a few large
ones. Every fifth of a second all processes below this one are looked at. Runs are those that train; Ray's own, its
workers and this process are beside them. *Slots taken* is the share of the time after the first start in which as many
processes of runs were there as the engine has slots (one, or a core each). It says how well the engine feeds the cores,
also where other work shares them; seconds of a processor say what was computed. The wall clock says little on a machine
that does other work. Afterwards the bytes of both engines are compared.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from measure import conditions, publish, table

from mien.config import NetworkSettings, override
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Store
from mien.engines import find_engine
from mien.machine import usable_cores
from mien.runs import RESULTS, Run

PACKAGES = ("mien", "torch", "ray")
TINY = {"model.name": "compact-s", "model.width": 0.25, "train.epochs": 2, "train.batch_size": 32, "train.cpus": 1}
LARGE = TINY | {"model.width": 1.0, "train.epochs": 60}
BYTES = ("model.safetensors", "history.csv", "logits.npz")


@dataclass
class Seen:
    """What was seen of the processes below this one."""

    slots: int
    worked: dict[tuple[int, float], tuple[bool, float]] = field(default_factory=dict)
    """By number and start of a process: whether it trains, and its seconds of a processor so far."""
    taken: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Look at all processes below this one."""
        running = 0
        for process in psutil.Process().children(recursive=True):
            try:
                trains = "multiprocessing.spawn" in " ".join(process.cmdline())
                times = process.cpu_times()
                self.worked[process.pid, process.create_time()] = trains, times.user + times.system
                running += trains
            except psutil.Error:
                continue
        if running or self.taken:
            self.taken.append(min(running, self.slots))

    def seconds(self, trains: bool) -> float:
        """Of a processor, of the processes that train or of the others."""
        return sum(seconds for kind, seconds in self.worked.values() if kind == trains)

    @property
    def share(self) -> float:
        """Of the slots that were taken, from the first to the last moment that any was."""
        while self.taken and not self.taken[-1]:
            self.taken.pop()
        return sum(self.taken) / (self.slots * max(1, len(self.taken)))


@contextmanager
def looking(slots: int) -> Iterator[Seen]:
    """Look every fifth of a second, in a thread."""
    seen, ended = Seen(slots), threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            seen.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def plan(folder: Path, store: Store, shape: dict[str, object], count: int) -> list[Run]:
    """`count` runs that differ in their seed."""
    base = override(NetworkSettings(), shape).resolved(store.meta.crop)
    fold = divide(store, base.data)
    return [Run.create(folder, override(base, {"seed": seed}), store, fold) for seed in range(count)]


def measure(engine: str, runs: Sequence[Run]) -> tuple[list[str], float]:
    """Finish the runs; the cells of a line, and seconds of a processor in all."""
    slots, own = (usable_cores() if engine == "ray" else 1), time.process_time()
    started = time.perf_counter()
    with looking(slots) as seen:
        find_engine(engine).finish(runs, lambda *_: None, stages=RESULTS)
    wall, beside = time.perf_counter() - started, seen.seconds(trains=False) + time.process_time() - own
    assert all(run.finished for run in runs)
    inside = seen.seconds(trains=True)
    print(f"{engine}: {len(runs)} runs, {wall:.0f} s", file=sys.stderr)
    cells = [engine, f"{len(runs)}", f"{wall:.0f}", f"{seen.share:.0%}", f"{inside:.1f}", f"{beside:.1f}"]
    return cells, inside + beside


HEADS = ("engine", "runs", "wall, s", "slots taken", "processor s of runs", "beside them", "all, ratio to local")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", type=int, default=200)
    parser.add_argument("--large", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="4 tiny runs and 1 large one: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    options = parser.parse_args()
    counts = (4, 1) if options.quick else (options.tiny, options.large)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw_store(folder / "store", count=700, size=24)
        store = Store.open(folder / "store")
        for size, shape, count in zip(("tiny", "large"), (TINY, LARGE), counts, strict=True):
            made = {engine: plan(folder / engine / size, store, shape, count) for engine in ("local", "ray")}
            found = {engine: measure(engine, runs) for engine, runs in made.items()}
            for engine, (cells, seconds) in found.items():
                rows.append([f"{engine}, {size}", *cells[1:], f"{seconds / found['local'][1]:.2f}"])
            for one, other in zip(*made.values(), strict=True):
                assert all((one.path / name).read_bytes() == (other.path / name).read_bytes() for name in BYTES)
    ending = conditions(PACKAGES, n="n: 1 of each; bytes of all runs are equal between the engines.")
    publish("cluster", f"{table(HEADS, rows)}\n\n{ending}", options.into)


if __name__ == "__main__":
    main()
