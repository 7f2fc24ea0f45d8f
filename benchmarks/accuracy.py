"""How long until a network is right in 60, 63 and 66 % of the faces: short recipes against the recipe `paper`?

    python benchmarks/accuracy.py --data STORE [--side RECIPE KEY=VALUE ...] [--into docs/benchmarks.md]

All are trained on the same store, each epoch's weights are judged on the validation part, and afterwards,
with `--show-peeking`, on the test part. Nobody may stop training, or choose an epoch, by what the test says: so the
times are read off the validation curve, which is what somebody waiting for "63 %" would look at, and the test accuracy
of that epoch stands beside it, as what that somebody would have got. When the test's own curve first gets there is told
too: it is what publications call time to accuracy, and it is known only afterwards.

The paper's recipe takes hours, so it trains a few epochs only. Where they do not get there, the line through the last
two of them does; since such curves flatten, the time is at least that, and is marked `≥`. A recipe whose rate falls to
nothing has no epoch after its last: where it is not there by then, it is not reached.

The clock runs from the start of the process, judging included. Finished runs are reused; of those trained elsewhere
the epochs' times are their share of the run's own total by the arithmetic of their picture size, marked `≈`. An
interrupted run goes on with the same command. Seeds take turns: one of each side, then the next of each. A one-cycle
rate falls to nothing when its epochs are over, so a training is as good as its length lets it be: the sides are one for
63 % and a longer one for 66 %, and `--side` names others.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from measure import conditions, publish, spread, table
from numpy.typing import NDArray

from mien.atomic import write_text
from mien.compare import plan
from mien.config import Recipe, parse_overrides, read_recipe
from mien.data.prepare import draw_store
from mien.data.store import Store
from mien.engines import find_engine
from mien.errors import MienError
from mien.hooks import Progress
from mien.runs import Run

TARGETS = (0.60, 0.63, 0.66)
TIMES = "epoch_seconds.csv"
SIDES = (("fast", "train.precision=bfloat16"), ("small", "model.stem=small", "train.epochs=46"))
"""Recipes that race the paper's, with what is changed in them."""
LINE = 2
"""Last epochs that the line goes through where a target is not reached."""
PACKAGES = ("mien", "torch", "numpy")


class Clock:
    """Keeps the time of every epoch of a run: what an engine reports to.

    A run's own seconds are of its training steps and survive an interruption; what passes beside them (start, judging)
    is added from the clock on the wall, as far as it was seen.
    """

    def __init__(self) -> None:
        self._runs: dict[Path, tuple[float, float]] = {}
        self._at = time.monotonic()
        self._trained = 0.0

    def __call__(self, run: Run, progress: Progress | None) -> None:
        """Take note of a step, or of the end of a run."""
        now = time.monotonic()
        if progress is None:
            self._at = now
            print(f"{run.id}: {run.record.status}", file=sys.stderr)
            return
        count = run.data.counts["train"]
        trained = progress.done * progress.epochs * count / progress.images_per_second
        times = read_times(run)
        if run.path not in self._runs:
            step = run.settings.train.batch_size / progress.images_per_second
            beside = float(times[-1][2]) if times else 0.0
            self._runs[run.path] = (beside + max(0.0, now - self._at - step), trained)
        else:
            beside, before = self._runs[run.path]
            self._runs[run.path] = (beside + max(0.0, now - self._at - (trained - before)), trained)
        self._at = now
        left = progress.epoch - progress.done * progress.epochs
        if left < 1e-9 and len(times) < progress.epoch:
            lines = [*times, (str(progress.epoch), repr(trained), repr(self._runs[run.path][0]))]
            write_text(run.path / TIMES, "\n".join(map(",".join, (("epoch", "training", "beside"), *lines))) + "\n")


def read_times(run: Run) -> list[tuple[str, str, str]]:
    """Epoch, seconds of its training steps and seconds beside them, from the start of the run."""
    path = run.path / TIMES
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [(a, b, c) for a, b, c in list(csv.reader(file))[1:]]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A finished run as a curve over minutes."""

    run: Run

    @cached_property
    def minutes(self) -> NDArray[np.float64]:
        """From the start to the end of each epoch."""
        times = read_times(self.run)
        if len(times) == len(self.valid):
            return np.array([float(training) + float(beside) for _, training, beside in times]) / 60
        return self.run.record.costs.train_seconds / 60 * shares(self.run)

    @cached_property
    def measured(self) -> bool:
        """Whether the epochs were timed one by one."""
        return len(read_times(self.run)) == len(self.valid)

    @property
    def goes_on(self) -> bool:
        """Whether there would be a next epoch like the last: a rate that falls to nothing ends the training."""
        return self.run.settings.optimizer.schedule == "constant"

    @cached_property
    def valid(self) -> NDArray[np.float64]:
        """Accuracy on the validation part, epoch by epoch."""
        return np.array([epoch.valid_accuracy for epoch in self.run.history])

    @cached_property
    def test(self) -> NDArray[np.float64]:
        """Accuracy on the test part, epoch by epoch."""
        return self.run.peeking["accuracy"]


def shares(run: Run) -> NDArray[np.float64]:
    """Share of the training time up to the end of each epoch, by the pixels of its pictures."""
    options = run.settings.train
    sizes = options.sizes or (run.data.crop.size,)
    pixels = np.array([sizes[epoch * len(sizes) // options.epochs] ** 2 for epoch in range(options.epochs)])
    found: NDArray[np.float64] = np.cumsum(pixels) / pixels.sum()
    return found


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """When a curve reaches a target."""

    minutes: float
    epoch: int
    """From 1; 0 where it is only expected."""

    @property
    def expected(self) -> bool:
        """Whether no epoch was there, but the line through the last ones will be."""
        return self.epoch == 0


def arrival(
    minutes: NDArray[np.float64], accuracy: NDArray[np.float64], target: float, goes_on: bool = True
) -> Arrival | None:
    """The first epoch at `target`; else, of a curve that goes on, when the line through its last epochs is there.

    None where that line falls, and where the curve ends below the target.
    """
    there = np.flatnonzero(accuracy >= target)
    if len(there):
        return Arrival(minutes=float(minutes[there[0]]), epoch=int(there[0]) + 1)
    if not goes_on or len(minutes) < LINE:
        return None
    slope = (accuracy[-1] - accuracy[-LINE]) / (minutes[-1] - minutes[-LINE])
    if slope <= 0:
        return None
    return Arrival(minutes=float(minutes[-1] + (target - accuracy[-1]) / slope), epoch=0)


def told(arrivals: Sequence[Arrival | None], count: int) -> str:
    """`9.1 (8.8–9.4)`, with `≥` where one is only expected, and how many never come where some do not."""
    found = [a for a in arrivals if a]
    if not found:
        return "not reached"
    least = "≥ " if any(a.expected for a in found) else ""
    some = f", {len(found)} of {count}" if len(found) < count else ""
    return least + spread((a.minutes for a in found), 1) + some


def rows(curves: Mapping[str, Sequence[Curve]]) -> list[list[str]]:
    """A line a target and recipe."""
    lines = []
    for target in TARGETS:
        base = [arrival(c.minutes, c.valid, target, c.goes_on) for c in next(iter(curves.values()))]
        for name, found in curves.items():
            valid = [arrival(c.minutes, c.valid, target, c.goes_on) for c in found]
            test = [arrival(c.minutes, c.test, target, c.goes_on) for c in found]
            epochs = [a.epoch for a in valid if a and not a.expected]
            then = [c.test[a.epoch - 1] for c, a in zip(found, valid, strict=True) if a and not a.expected]
            lines.append(
                [
                    f"{target:.0%}, {name}",
                    ratio(valid, base),
                    ("" if all(c.measured for c in found) else "≈ ") + told(valid, len(found)),
                    spread(epochs, 0) if epochs else "–",
                    spread(then, 3) if then else "–",
                    told(test, len(found)),
                ]
            )
    return lines


def ratio(arrivals: Sequence[Arrival | None], base: Sequence[Arrival | None]) -> str:
    """How many times as long as the first recipe takes, median by median."""
    one, other = ([a for a in found if a] for found in (arrivals, base))
    if not one or not other or any(a.expected for a in other):
        return "–"
    least = "≥ " if any(a.expected for a in one) else ""
    return f"{least}{np.median([a.minutes for a in one]) / np.median([a.minutes for a in other]):.1f}"


def ends(curves: Mapping[str, Sequence[Curve]]) -> list[list[str]]:
    """A line a recipe: how long it takes in all, and what its chosen epoch scores on the test."""
    lines = []
    for name, found in curves.items():
        chosen = [c.run.record.selected_epoch - 1 for c in found]
        lines.append(
            [
                name,
                str(len(found)),
                str(len(found[0].valid)),
                spread((c.minutes[-1] for c in found), 1),
                spread((c.valid[e] for c, e in zip(found, chosen, strict=True)), 3),
                spread((c.test[e] for c, e in zip(found, chosen, strict=True)), 3),
                spread((c.run.record.costs.train_peak_mb for c in found), 0),
            ]
        )
    return lines


HEADS = ("target", "ratio", "valid is there after, min", "epoch", "test accuracy then", "test is there after, min")
END_HEADS = ("recipe", "seeds", "epochs", "minutes in all", "valid, chosen epoch", "test, chosen epoch", "peak, MB")


def recipes(options: argparse.Namespace) -> dict[str, Recipe]:
    """The sides with their seeds, and `paper`, cut to one network and a few epochs."""
    short: dict[str, Any] = {"seed": list(range(options.seeds))}
    paper = {"model.name": [options.network], "model.dropout": [0.0], "train.epochs": options.paper_epochs}
    if options.quick:
        short |= {"model.stem": "imagenet", "train.epochs": 3}
        paper |= {"model.width": 0.125, "train.batch_size": 64}
    found = {
        " ".join((name, *changes)): read_recipe(name).changed(parse_overrides(changes) | short)
        for name, *changes in options.side or SIDES
    }
    return found | {f"paper, {options.network}": read_recipe("paper").changed(paper)}


def main() -> None:
    """Train what is not trained yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a store of FER2013 whose test part is PublicTest")
    parser.add_argument("--runs", type=Path, default=Path("bench/runs"), help="folder of the run folders")
    parser.add_argument("--side", nargs="+", action="append", metavar="RECIPE", help="and KEY=VALUE: what races")
    parser.add_argument("--seeds", type=int, default=3, help="of each side")
    parser.add_argument("--network", default="resnet34", help="the paper's network")
    parser.add_argument("--paper-epochs", type=int, default=4, help="of its 75")
    parser.add_argument("--quick", action="store_true", help="a few drawn faces, tiny networks: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the tables into")
    options = parser.parse_args()
    if not options.quick and options.data is None:
        parser.error("--data STORE is needed: `mien data prepare fer2013.csv --corpus fer2013 --public-test test`.")
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            options.seeds, options.paper_epochs, options.runs = 1, 2, Path(folder) / "runs"
            options.data = Path(folder) / "store"
            draw_store(options.data, count=600)
        try:
            race(options)
        except MienError as error:
            parser.error(str(error))


def race(options: argparse.Namespace) -> None:
    """All of the training and printing."""
    store = Store.open(options.data)
    planned = {name: plan(recipe, store, options.runs) for name, recipe in recipes(options).items()}
    turns = zip_longest(*planned.values())
    find_engine().finish([run for turn in turns for run in turn if run], Clock(), hooks=["peeking"])
    curves = {name: [Curve(run=Run.open(run.path)) for run in runs] for name, runs in planned.items()}
    texts = [table(HEADS, rows(curves)), table(END_HEADS, ends(curves))]
    counts = next(iter(planned.values()))[0].data.counts
    n = f"n: {counts['test']} test faces, {counts['valid']} validation faces of {store.meta.corpus} "
    n += f"{store.meta.sha256[:8]}; median (least–most) over seeds."
    publish("accuracy", "\n\n".join([*texts, conditions(PACKAGES, n=n)]), options.into)


if __name__ == "__main__":
    main()
