"""The compact family and the paper's networks on this machine: parameters, FLOPs, and how near they come to its limit.

    python benchmarks/family.py [--runs FOLDER] [--into docs/benchmarks.md]

A network's forward pass over 128 faces of 48 px takes turns with one large matrix product, 18,432 × 512 by 512 × 512,
and with its own forward and backward pass, in one process with all threads; the share is the arithmetic of the forward
pass a second over the product's. The product is computed as a 1×1 convolution, by the library that computes the
networks' own: `torch.mm` goes to another one, which on some processors is slower than any of these networks. FLOPs
count a multiplication and an addition as two. With --runs, the accuracy of finished runs of these networks on their
test part stands beside. `benchmarks/shapes.py` measures others the same way.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measure import conditions, publish, spread, table
from torch import Tensor

from mien.calibration import wilson
from mien.config import ModelSettings
from mien.inference import placed, predict_logits
from mien.models import Network, build
from mien.models.cost import count
from mien.runs import find_runs

NETWORKS = (
    ModelSettings(name="compact-s"),
    ModelSettings(name="compact-s", stem="small"),
    ModelSettings(name="compact-m"),
    ModelSettings(name="compact-m", stem="small"),
    ModelSettings(name="compact-l"),
    ModelSettings(name="resnet34"),
    ModelSettings(name="densenet121"),
    ModelSettings(name="vgg16", head="flat"),
)
FACES, SIDE = 128, 48
CHANNELS, CELLS = 512, 12
HEADS = (
    "network",
    "parameters, M",
    "MFLOP a face",
    "trained, faces/s",
    "faces/s",
    "GFLOP/s",
    "the product, GFLOP/s",
    "share of it",
)


def rate(work: Callable[[], object], seconds: float) -> float:
    """How often a second, over at least so many seconds."""
    started, times = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        work()
        times += 1
    return times / (time.monotonic() - started)


def called(settings: ModelSettings) -> str:
    """A network's name in the table."""
    return settings.name + ", stem=small" * (settings.stem == "small")


def rows(networks: Iterable[tuple[str, Network]], rounds: int, seconds: float) -> Iterator[list[str]]:
    """What each network costs, and how fast it is: the cells of `HEADS`."""
    left = torch.rand(FACES, CHANNELS, CELLS, CELLS).to(memory_format=torch.channels_last)
    right = torch.rand(CHANNELS, CHANNELS, 1, 1).to(memory_format=torch.channels_last)
    flops = 2 * FACES * CELLS**2 * CHANNELS**2
    faces = torch.randint(0, 256, (FACES, SIDE, SIDE, 3), dtype=torch.uint8)
    for name, network in networks:
        cost = count(placed(network, "cpu"), SIDE)
        trained, passes, products = [], [], []
        for turn in range(rounds + 1):
            kept = slice(None) if turn else slice(0)  # the first is to warm up
            trained += [rate(partial(train_on, network, faces), seconds) * FACES][kept]
            passes += [rate(partial(predict_logits, network, faces.numpy(), FACES), seconds) * FACES][kept]
            products += [rate(partial(product, left, right), seconds / 2) * flops][kept]
        work = np.array(passes) * cost.flops
        yield [
            name,
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.flops / 1e6:.0f}",
            spread(trained, 0),
            spread(passes, 0),
            spread(work / 1e9, 0),
            spread(np.array(products) / 1e9, 0),
            spread(work / np.array(products)),
        ]


def train_on(network: Network, faces: Tensor) -> None:
    """Forward and backward."""
    network.train()
    network(faces).square().mean().backward()


@torch.inference_mode()
def product(left: Tensor, right: Tensor) -> Tensor:
    """One large matrix product."""
    return torch.conv2d(left, right)


def family() -> Iterator[tuple[str, Network]]:
    """The networks of the table, built one after the other."""
    for settings in NETWORKS:
        yield called(settings), build(replace(settings, in_chans=3), classes=7, size=SIDE)


def accuracies(folder: Path | None) -> dict[str, str]:
    """`0.612 [0.596, 0.628]` on the test part, of the first finished run of each network as the table has it."""
    found: dict[str, str] = {}
    for run in find_runs(folder) if folder else ():
        if run.finished and run.settings.model.width == 1.0:
            test = run.logits("test")
            right, n = int((test.logits.argmax(1) == test.labels).sum()), len(test.labels)
            low, high = wilson(right, n)
            found.setdefault(called(run.settings.model), f"{right / n:.3f} [{float(low):.3f}, {float(high):.3f}]")
    return found


def arguments(story: str | None) -> argparse.ArgumentParser:
    """The options of a table that `rows` makes."""
    parser = argparse.ArgumentParser(description=story, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    return parser


def measure(networks: Iterable[tuple[str, Network]], options: argparse.Namespace) -> tuple[list[list[str]], str]:
    """The lines of the table, as `rows` has them, and what stands below it."""
    rounds, seconds = (1, 0.05) if options.quick else (options.rounds, options.seconds)
    n = f"n: {rounds} rounds of {seconds:g} s, in turns; median (least–most); {torch.get_num_threads()} threads."
    return list(rows(networks, rounds, seconds)), conditions(("mien", "torch"), n=n)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=Path, help="finished runs of the networks")
    options = parser.parse_args()
    accuracy = accuracies(options.runs)
    lines, below = measure(family(), options)
    text = table((*HEADS, "accuracy"), [[*cells, accuracy.get(cells[0], "–")] for cells in lines])
    publish("family", f"{text}\n\n{below}", options.into)


if __name__ == "__main__":
    main()
