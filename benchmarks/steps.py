"""Do time and memory grow faster than the input? What `growth.py` and `rows.py` share.

A script states its steps and how an input of a size is written; `climb` does the rest. Each step runs in a fresh
process, whose peak memory is its own. The sizes take turns, and each is a ratio to the smallest in its round: time for
one of its items (1 is linear growth, less is better), peak memory as it is (1 is flat).
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import Side, Turns, conditions, publish, spread, table

from mien.machine import peak_memory_mb

__all__ = ["Figures", "Ladder", "climb", "timed"]

Figures = Mapping[str, float]
"""What one step took: `seconds` and `peak_mb`."""
Step = Callable[[Path], Figures]
"""Works in the folder of one size, on what the steps before it left there."""
Found = Mapping[tuple[str, int], list[Figures]]
"""Of each step and size, a round each."""


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Steps, and the sizes of their input."""

    name: str
    """Of the table."""
    item: str
    """What the size counts, with its article: "an image"."""
    steps: Mapping[str, Step]
    """In their order."""
    write: Callable[[Path, int], object]
    """Writes the input of a size into a folder that is there."""
    sizes: Sequence[int]
    quick: Sequence[int]
    """Sizes of `--quick`."""
    rounds: int
    packages: Sequence[str]
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Further variables of a step's process, by step."""


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Figures:
    """Do the work; seconds it took by the clock, and the peak memory of this process."""
    started = clock()
    work()
    return {"seconds": clock() - started, "peak_mb": peak_memory_mb()}


def climb(ladder: Ladder, story: str | None) -> None:
    """Measure and print, as the command line says; `story` is the script's own."""
    options = _options(ladder, story)
    if options.step:
        _do(ladder.steps[options.step[0]], Path(options.step[1]))
        return
    sizes, rounds = (ladder.quick, 1) if options.quick else (sorted(options.sizes), options.rounds)
    with tempfile.TemporaryDirectory() as root:
        folders = {size: Path(root) / str(size) for size in sizes}
        for size, folder in folders.items():
            folder.mkdir()
            ladder.write(folder, size)
        found = _measured(ladder, folders, rounds)
    heads = ("step", f"{ladder.item.split()[-1]}s", f"time {ladder.item}, ratio", "peak, ratio", "seconds", "peak, MB")
    rows = [_row(found, step, size, sizes[0]) for step in ladder.steps for size in sizes]
    n = f"n: {rounds} rounds, every step in a fresh process, the sizes in turns; median (least–most)."
    publish(ladder.name, f"{table(heads, rows)}\n\n{conditions(ladder.packages, n=n)}", options.into)


def _options(ladder: Ladder, story: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=story, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=ladder.sizes)
    parser.add_argument("--rounds", type=int, default=ladder.rounds)
    small = " and ".join(f"{size:,}" for size in ladder.quick)
    parser.add_argument("--quick", action="store_true", help=f"sizes {small}, one round: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _do(step: Step, folder: Path) -> None:
    """What the process of a step does."""
    turns = Turns()
    figures = step(folder)
    list(turns.over(()))
    turns.close(**figures)


def _measured(ladder: Ladder, folders: Mapping[int, Path], rounds: int) -> Found:
    """All steps of all sizes, the sizes in turns; what a round leaves behind goes before the next."""
    found: Found = {(step, size): [] for step in ladder.steps for size in folders}
    inputs = {path for folder in folders.values() for path in folder.iterdir()}
    for number in range(rounds):
        for step in ladder.steps:
            for size, folder in folders.items():
                command = [sys.executable, sys.argv[0], "--step", step, str(folder)]
                with Side(step, command, ladder.environment.get(step)) as side:
                    told: Figures = side.finish()
                found[step, size].append(told)
                print(f"round {number + 1}: {step} {size} {json.dumps(told)}", file=sys.stderr)
        for folder in folders.values():
            for made in set(folder.iterdir()) - inputs:
                shutil.rmtree(made)
    return found


def _row(found: Found, step: str, size: int, smallest: int) -> list[str]:
    """A line of the table."""
    these, base = found[step, size], found[step, smallest]
    slower = [a["seconds"] / size / (b["seconds"] / smallest) for a, b in zip(these, base, strict=True)]
    larger = [a["peak_mb"] / b["peak_mb"] for a, b in zip(these, base, strict=True)]
    return [
        step,
        f"{size:,}",
        spread(slower),
        spread(larger),
        spread((figures["seconds"] for figures in these), 1),
        f"{statistics.median(figures['peak_mb'] for figures in these):.0f}",
    ]
