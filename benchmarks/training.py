"""How fast does mien train, and in how much memory, against the loop that one would write?

    python benchmarks/training.py [--quick] [--into docs/benchmarks.md]

The three networks of the paper at its batch of 512 faces of 48 px, on drawn faces, as many as RAF-DB trains on. Three
sides take turns, each in a fresh process:

- mien: `mien.train.train` as `mien compare` calls it, with its defaults and the allocator that its engine asks for;
- by hand: a folder of PNG files, opened one at a time with Pillow, each turned into a float tensor and normalised,
  `DataLoader` with two workers, NCHW, `torch.optim.Adam` as it comes, the whole batch at once. The network's layers
  and head are the same (VGG-16's head is `flat` on both sides);
- the convolutions alone: each convolution and matrix product of the network, forward and backward, in the chunks and
  the memory layout that mien uses, and nothing else: no norm, no activation, no data, no optimizer. What share of its
  speed a training reaches says how near it is to what this machine can do. The allocator is mien's.

Peak memory is `VmHWM` of a process that has trained, judged an epoch on the validation part and kept its weights on
disk (mien also trains on into a second epoch); that of the two loading processes is told beside it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from measure import (
    Side,
    Slice,
    Turns,
    alternate,
    children_peak_mb,
    conditions,
    draw_pictures,
    publish,
    ratios,
    spread,
    table,
)

from mien.machine import keeping_pages

PAPER_MB = {"vgg16": 1243, "densenet121": 1323, "resnet34": 1443}
"""Memory that the paper reports; it does not say which."""
TARGETS = {"vgg16": 1.6, "densenet121": 1.6, "resnet34": 1.25}
"""Images a second, as a ratio to the loop by hand."""
RAF_DB = 12_271
"""Training faces of the corpus that the paper used."""
PACKAGES = ("mien", "torch", "numpy", "pillow")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all sides of a network do."""

    network: str
    pictures: str
    """Folder of the PNG files, `SPLIT/CLASS/NUMBER.png`."""
    store: str
    """The same pictures as a store."""
    faces: int = RAF_DB
    """Pictures in its training part."""
    batch: int = 512
    width: float = 1.0
    changes: Mapping[str, Any] | None = None
    """NetworkSettings of mien's side that differ from its defaults."""

    def most(self, rounds: int) -> int:
        """Batches in a turn, so that an epoch has enough for all turns and two more."""
        return max(1, (self.faces // self.batch - 2) // rounds)

    @property
    def settings(self) -> dict[str, Any]:
        """Dotted settings of the run."""
        own = {
            "model.name": self.network,
            "model.width": self.width,
            "model.head": "flat" if self.network == "vgg16" else "gap",
            "train.epochs": 2,
            "train.batch_size": self.batch,
        }
        return own | dict(self.changes or {})


def start(kind: str, task: Task, environment: Mapping[str, str] | None = None) -> Side:
    """Start a side: `mien`, `hand` or `alone`."""
    return Side(kind, [sys.executable, __file__, "--side", kind, json.dumps(asdict(task))], environment)


def against_first(
    task: Task, sides: Mapping[str, Callable[[], Side]], *, rounds: int, seconds: float
) -> list[list[str]]:
    """Sides that train one network in turns, each beside the first: the lines of a table, by the sides' names."""
    with ExitStack() as stack:
        started = [stack.enter_context(side()) for side in sides.values()]
        slices = alternate(started, rounds, seconds=seconds, most=task.most(rounds))
        peaks = [side.finish()["peak_mb"] for side in started]
    return [
        [
            task.network,
            name,
            spread(ratios(done, slices[0])),
            f"{peak / peaks[0]:.2f}",
            spread((s.rate for s in done), 1),
            f"{peak:.0f}",
        ]
        for name, done, peak in zip(sides, slices, peaks, strict=True)
    ]


def mien_side(turns: Turns, task: Task) -> None:
    """Train two epochs with mien: the first hands out batches for as long as it has turns, the second has one batch."""
    import torch

    from mien import train
    from mien.config import NetworkSettings, override
    from mien.data.batches import Batches
    from mien.data.splits import divide
    from mien.data.store import Store
    from mien.device import pick_device
    from mien.machine import allocator, peak_memory_mb
    from mien.runs import Run

    train.CHECKPOINT_SECONDS = float("inf")  # none in a turn, where waiting for it would count; one stands at the end
    whole = Batches.epoch
    options: dict[str, object] = {}

    def some(batches: Batches, number: int) -> Iterator[torch.Tensor]:
        if number:
            return iter([next(whole(batches, number))])
        return turns.over(chain.from_iterable(whole(batches, again) for again in count()), task.batch)

    Batches.epoch = some  # type: ignore[method-assign]
    store = Store.open(task.store)
    settings = override(NetworkSettings(), task.settings).resolved(store.meta.crop)
    fold = divide(store, settings.data)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder), settings, store, fold)
        train.train(run, fold.train, fold.valid, device=pick_device())
        options |= train.describe_loop(settings)
        options |= {"threads": torch.get_num_threads(), "allocator": allocator()}
    turns.close(peak_mb=peak_memory_mb(), workers_mb=0.0, options=options)


def hand_side(turns: Turns, task: Task) -> None:
    """Train the same network with the loop that one would write."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader

    from mien.machine import allocator, peak_memory_mb

    torch.manual_seed(0)
    network = plain_network(task)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    training = DataLoader(pictures(task, "train"), task.batch, shuffle=True, num_workers=2, drop_last=True)
    valid = DataLoader(pictures(task, "valid"), task.batch)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        logits = network(images)
        loss = cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        seen.append((loss.item(), (logits.argmax(1) == labels).sum().item()))

    seen: list[tuple[float, float]] = []
    batches = iter(training)  # its workers live until the peak of their memory is read
    network.train()
    for images, labels in turns.over(batches, task.batch):
        step(images, labels)
    network.eval()
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        right = sum((network(images).argmax(1) == labels).sum().item() for images, labels in valid)
        torch.save({"network": network.state_dict(), "right": right}, Path(folder) / "best.pt")
    options = {"threads": torch.get_num_threads(), "allocator": allocator()}
    turns.close(peak_mb=peak_memory_mb(), workers_mb=children_peak_mb(), options=options)


def plain_network(task: Task) -> Any:
    """The network with float images `(B, C, H, W)` in, its weights as torch lays them out."""
    from torch import Tensor, nn

    from mien.config import NetworkSettings, override
    from mien.models import Network, build

    class Plain(nn.Module):
        def __init__(self, network: Network) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            return self.network.classify(self.network.features(images))

    settings = override(NetworkSettings(), {**task.settings, "model.in_chans": 3}).model
    return Plain(build(settings, classes=7, size=48))


def pictures(task: Task, split: str) -> Any:
    """The folder as a data set of single pictures, `(3, 48, 48)` float32 and a class."""
    import numpy as np
    import torch
    from PIL import Image
    from torch.utils.data import Dataset

    mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)

    class Pictures(Dataset[tuple[torch.Tensor, int]]):
        def __init__(self, root: Path) -> None:
            classes = sorted(folder.name for folder in root.iterdir())
            self.samples = [(path, classes.index(path.parent.name)) for path in sorted(root.glob("*/*.png"))]

        def __len__(self) -> int:
            return len(self.samples)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            path, label = self.samples[index]
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float().div(255)
            return (tensor - mean) / std, label

    return Pictures(Path(task.pictures) / split)


def alone_side(turns: Turns, task: Task) -> None:
    """Time the products of the network alone; a unit of work is one pass over all of them."""
    import torch

    from mien.config import NetworkSettings, override
    from mien.models import build
    from mien.models.cost import count

    settings = override(NetworkSettings(), {**task.settings, "model.in_chans": 3})
    network = build(settings.model, classes=7, size=48)
    chunk = min(settings.train.micro_batch or task.batch, task.batch)
    products = list(Products(network, chunk))
    torch.manual_seed(0)

    def passes() -> Iterator[None]:
        while True:
            for product in products:
                product()
            yield

    for _ in turns.over(passes(), chunk):
        pass
    turns.close(flops=count(network, 48).flops)


class Products:
    """The convolutions and linear layers of a network as functions of nothing, each forward and backward."""

    def __init__(self, network: Any, chunk: int) -> None:
        import torch

        self.layers: list[tuple[Any, Any, bool]] = []
        hooks = [layer.register_forward_hook(self._see) for layer in network.modules() if hasattr(layer, "weight")]
        with torch.no_grad():
            network.eval()(torch.zeros(2, 48, 48, 3, dtype=torch.uint8))
        for hook in hooks:
            hook.remove()
        self.chunk = chunk

    def _see(self, layer: Any, inputs: tuple[Any, ...], _output: Any) -> None:
        from torch import nn

        if isinstance(layer, nn.Conv2d | nn.Linear):
            self.layers.append((layer, inputs[0].shape[1:], bool(self.layers)))  # the pixels need no gradient

    def __iter__(self) -> Iterator[Any]:
        import torch

        for layer, shape, needs in self.layers:
            inner = torch.randn(self.chunk, *shape)
            if layer.weight.ndim == 4:
                layer.to(memory_format=torch.channels_last)
                inner = inner.to(memory_format=torch.channels_last)
            yield self._product(layer, inner.requires_grad_(needs))

    def _product(self, layer: Any, inner: Any) -> Any:
        import torch

        weights = [inner, layer.weight] if inner.requires_grad else [layer.weight]
        with torch.no_grad():
            gradient = torch.randn_like(layer(inner))  # keeps the layout

        def product() -> None:
            torch.autograd.grad(layer(inner), weights, gradient)

        return product


SIDES = {"mien": mien_side, "hand": hand_side, "alone": alone_side}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a network's sides did."""

    task: Task
    slices: Mapping[str, Sequence[Slice]]
    facts: Mapping[str, Mapping[str, Any]]

    def row(self) -> list[str]:
        """Its line of the table."""
        network = self.task.network
        speed = {kind: [s.rate for s in slices] for kind, slices in self.slices.items()}
        peak = {kind: self.facts[kind]["peak_mb"] for kind in ("mien", "hand")}
        share = ratios(self.slices["mien"], self.slices["alone"])
        work = [3 * self.facts["alone"]["flops"] * rate / 1e9 for rate in speed["mien"]]
        return [
            network,
            spread(ratios(self.slices["mien"], self.slices["hand"])),
            f"≥ {TARGETS[network]}",
            spread(speed["mien"], 1),
            spread(speed["hand"], 1),
            spread(share),
            spread(work, 0),
            f"{peak['mien'] / peak['hand']:.2f}",
            "≤ 0.5",
            f"{peak['mien']:.0f}",
            f"{peak['hand']:.0f} + {self.facts['hand']['workers_mb']:.0f}",
            str(PAPER_MB[network]),
        ]


HEADS = (
    "network",
    "images/s, ratio",
    "target",
    "mien, images/s",
    "by hand, images/s",
    "share of the convolutions' speed",
    "GFLOP/s",
    "peak, ratio",
    "target",
    "mien, MB",
    "by hand, MB + workers",
    "the paper, MB",
)


def compare(task: Task, rounds: int, seconds: float) -> Outcome:
    """Let the three sides of a network take turns."""
    kinds = tuple(SIDES)
    with ExitStack() as stack:
        own = keeping_pages()
        sides = [stack.enter_context(start(kind, task, {} if kind == "hand" else own)) for kind in kinds]
        slices = alternate(sides, rounds, seconds=seconds, most=task.most(rounds))
        facts = [side.finish() for side in sides]
    return Outcome(task=task, slices=dict(zip(kinds, slices, strict=True)), facts=dict(zip(kinds, facts, strict=True)))


def make_data(folder: Path, count: int) -> dict[str, Any]:
    """Draw the pictures, and prepare the store from them; the fields of a `Task` that say where and how many."""
    from mien.data.prepare import prepare

    drawn = draw_pictures(folder / "pictures", train=count, valid=512, test=64)
    prepare(drawn, "folder", folder / "store")
    return {"pictures": str(drawn), "store": str(folder / "store"), "faces": count}


def describe(outcomes: Sequence[Outcome], rounds: int) -> str:
    """The lines below the table."""
    lines = [
        f"n: {rounds} rounds of one or more batches of {outcomes[0].task.batch}, in turns; median (least–most) of the "
        "rounds; memory of one process a side."
    ]
    for outcome in outcomes:
        told = ", ".join(f"{key} {value}" for key, value in outcome.facts["mien"]["options"].items())
        lines.append(f"{outcome.task.network}, mien: {told}.")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of a turn, at least one batch")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--faces", type=int, default=RAF_DB, help="training faces")
    parser.add_argument("--quick", action="store_true", help="narrow networks, batches of 32: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    parser.add_argument("--side", nargs=2, metavar=("KIND", "TASK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        SIDES[options.side[0]](Turns(), Task(**json.loads(options.side[1])))
        return
    width = 1.0
    if options.quick:
        options.batch, options.rounds, options.seconds, options.faces, width = 32, 2, 0.1, 512, 0.125
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder), options.faces)
        outcomes = []
        for network in options.networks:
            task = Task(network=network, batch=options.batch, width=width, **data)
            outcomes.append(compare(task, options.rounds, options.seconds))
            print(f"{network}: done after {time.monotonic() - started:.0f} s", file=sys.stderr)
    text = table(HEADS, [outcome.row() for outcome in outcomes])
    publish("training", f"{text}\n\n{conditions(PACKAGES, n=describe(outcomes, options.rounds))}", options.into)


if __name__ == "__main__":
    main()
