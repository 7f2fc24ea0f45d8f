"""What is each thing that the training loop does worth, and what would others be that it does not do?

    python benchmarks/loop.py [--networks resnet34 compact-m] [--quick] [--into docs/benchmarks.md]

Two tables, of the paper's networks as `benchmarks/training.py` trains them and of `compact-m`, with the optimizer, the
averaged weights and the augmentation of the recipe `shipped`, in float32:

- training: `mien.train` takes turns with itself, one thing changed, each in a fresh process. The allocator and the
  size of the chunks have tables of their own, by `benchmarks/memory.py`. `--compile` adds what torch makes of the
  network with a compiler, which takes minutes before the first step;
- judging an epoch on its validation part: the same, in one process. Batch norm is *left out* where it could be folded
  into the convolution before it: a network with its norms folded is as fast as that, and no faster.
"""

import argparse
import inspect
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from family import rate
from measure import Side, Turns, conditions, publish, spread, table
from torch import nn
from training import PACKAGES, RAF_DB, TARGETS, Task, against_first, make_data, mien_side

from mien import initial, optimise, train
from mien.config import NetworkSettings, override, read_recipe
from mien.inference import placed, predict_logits
from mien.machine import keeping_pages
from mien.models import Network, build

AS_IT_IS, COMPILED = "as it is", "compiled"
NETWORKS = (*TARGETS, "compact-m")
JUDGED = 512
"""Faces of a validation part."""


def _nothing() -> None:
    pass


def _nchw() -> None:
    """A face's channels one after the other, as torch lays out weights and maps by itself."""
    channels_last = Network.pixels
    initial.placed = lambda network, device: network.to(device)
    Network.pixels = lambda self, images: channels_last(self, images).contiguous()  # type: ignore[method-assign]


def _plain_optimizer() -> None:
    optimise.fuses = lambda _settings: False


def _foreach_optimizer() -> None:
    """All weights in one call for each operation, in place of one call for all."""
    _plain_optimizer()
    made = train.build_optimizer

    def foreach(*arguments: Any) -> torch.optim.Optimizer:
        optimizer = made(*arguments)
        for group in optimizer.param_groups:
            group["foreach"] = True
        return optimizer

    train.build_optimizer = foreach


def _compiled() -> None:
    made = train.build_network

    def compiled(*arguments: Any) -> Network:
        network = made(*arguments)
        network.compile(dynamic=False)
        return network

    train.build_network = compiled


def _kept_gradients() -> None:
    """The memory of gradients filled with zeros after a step and used again, in place of given back."""
    give_back = torch.optim.Optimizer.zero_grad
    torch.optim.Optimizer.zero_grad = lambda self, set_to_none=True: give_back(self, False)  # type: ignore[method-assign]


def _average_in_turn(averaged: Mapping[str, torch.Tensor], network: nn.Module, decay: float) -> None:
    for name, tensor in network.state_dict().items():
        if decay and tensor.is_floating_point():
            averaged[name].lerp_(tensor, 1 - decay)
        elif decay:
            averaged[name].copy_(tensor)


def _averages_in_turn() -> None:
    train.average = _average_in_turn


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing about the loop that is done otherwise."""

    make: Callable[[], None] = _nothing
    """Called in the process that trains, before it does."""
    environment: Mapping[str, str] = field(default_factory=keeping_pages)


CHANGES = {
    AS_IT_IS: Change(),
    "NCHW, not channels last": Change(make=_nchw),
    "optimizer a tensor at a time, not fused": Change(make=_plain_optimizer),
    "optimizer of foreach calls, not fused": Change(make=_foreach_optimizer),
    "averages a tensor at a time": Change(make=_averages_in_turn),
    "gradients' memory kept": Change(make=_kept_gradients),
    "one thread": Change(environment=keeping_pages() | {"OMP_NUM_THREADS": "1"}),
    COMPILED: Change(make=_compiled),
}


def tasks(networks: Sequence[str], batch: int, width: float, data: Mapping[str, Any]) -> Iterator[Task]:
    """What each network is trained by."""
    shipped = read_recipe("shipped").settings.flat()
    own = {key: value for key, value in shipped.items() if value != NetworkSettings().flat()[key]}
    own |= {"model.stem": "imagenet", "train.precision": "float32", "optimizer.warmup_epochs": 0.0}
    for name in networks:
        if name != "compact-m":
            yield Task(network=name, batch=batch, width=width, **data)
            continue
        size = min(batch, own["train.batch_size"])
        changes = own | {"train.batch_size": size, "train.epochs": 2, "loss.soft_labels": False}
        yield Task(network=name, batch=size, width=width, changes=changes, **data)


def trained(task: Task, names: Sequence[str], rounds: int, seconds: float) -> list[list[str]]:
    """The lines of a network in the first table."""
    names = [name for name in names if averages(task) or CHANGES[name].make is not _averages_in_turn]

    def side(name: str) -> Side:
        command = [sys.executable, __file__, "--side", name, json.dumps(asdict(task))]
        return Side(name, command, CHANGES[name].environment)

    return against_first(task, {name: partial(side, name) for name in names}, rounds=rounds, seconds=seconds)


def averages(task: Task) -> bool:
    """Whether averaged weights are judged and kept."""
    return bool((task.changes or {}).get("optimizer.ema"))


def judged(task: Task, rounds: int, seconds: float) -> list[list[str]]:
    """The lines of a network in the second table."""
    settings = override(NetworkSettings(), {**task.settings, "model.in_chans": 3}).model
    network, bare = (placed(build(settings, classes=7, size=48), "cpu") for _ in range(2))
    leave_out_norms(bare)
    faces = np.random.default_rng(0).integers(0, 256, (JUDGED, 48, 48, 3), np.uint8)
    weights, bare_weights = (n.state_dict() if averages(task) else None for n in (network, bare))
    as_it_is = partial(predict_logits, network, faces, weights=weights)
    without_mode = partial(inspect.unwrap(predict_logits), network, faces, weights=weights)
    ways: dict[str, Callable[[], object]] = {
        AS_IT_IS: as_it_is,
        "`no_grad`, not inference mode": torch.no_grad()(without_mode),
        "batches of 128, not 32": partial(as_it_is, batch_size=128),
        "batch norm left out": partial(predict_logits, bare, faces, weights=bare_weights),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _, (name, way) in itertools.product(range(rounds + 1), ways.items()):
        rates[name].append(JUDGED * rate(way, seconds))
    warm = {name: np.array(values[1:]) for name, values in rates.items()}
    return [[task.network, name, spread(r / warm[AS_IT_IS]), spread(r, 0)] for name, r in warm.items()]


def leave_out_norms(network: nn.Module) -> None:
    """Let every batch norm pass on what it is given."""
    for layer in list(network.modules()):
        for name, inner in layer.named_children():
            if isinstance(inner, nn.BatchNorm2d):
                setattr(layer, name, nn.Identity())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn, at least one batch")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--quick", action="store_true", help="one narrow network, small batches: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the tables into")
    parser.add_argument("--side", nargs=2, metavar=("CHANGE", "TASK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        CHANGES[options.side[0]].make()
        mien_side(Turns(), Task(**json.loads(options.side[1])))
        return
    batch, width, count = 512, 1.0, RAF_DB
    if options.quick:
        batch, width, count, options.networks = 16, 0.25, 256, ["compact-m"]
        options.rounds, options.seconds = 2, 0.1
    names = [name for name in CHANGES if name != COMPILED or options.compile]
    training, judging = [], []
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks(options.networks, batch, width, make_data(Path(folder), count)):
            training += trained(task, names, options.rounds, options.seconds)
            judging += judged(task, options.rounds, options.seconds / 4)
            print(f"{task.network}: done", file=sys.stderr)
    texts = [
        table(("network", "training", "images/s, ratio", "peak, ratio", "images/s", "peak, MB"), training),
        table(("network", "judging", "images/s, ratio", "images/s"), judging),
    ]
    n = f"n: {options.rounds} rounds, in turns; median (least–most) of the rounds; memory of one process a side."
    publish("loop", "\n\n".join([*texts, conditions(PACKAGES, n=n)]), options.into)


if __name__ == "__main__":
    main()
