"""Finished run folders without training: plausible logits, histories and costs, drawn from a seed, in milliseconds.

For tests of what reads run folders, and for looking at a report.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.atomic import write_json
from mien.config import NetworkSettings, override
from mien.crop import CropSpec
from mien.data.splits import Fold, Part, divide
from mien.data.store import Sample, Store, create_store
from mien.labels import SEVEN, LabelSet
from mien.runs import Costs, Epoch, Logits, Run

NETWORKS = ("vgg16", "densenet121", "resnet34")
SKILL = {"vgg16": 4.0, "densenet121": 3.3, "resnet34": 3.0}
"""How far the right class stands out of the noise."""
COSTS = {
    "vgg16": (14_866_000, 1.42e9, 1210.0, 310.0),
    "densenet121": (6_961_031, 0.26e9, 1290.0, 84.0),
    "resnet34": (21_288_263, 0.35e9, 980.0, 410.0),
}
"""Parameters, FLOPs, peak MB and images a second."""


def make_store(
    path: Path, *, train: int = 140, test: int = 140, size: int = 8, corpus: str = "made", labels: LabelSet = SEVEN
) -> Store:
    """A store of noise, classes in turn; ten valid samples a class; no subjects."""
    rng = np.random.default_rng(1)
    sizes = {"train": train, "valid": 10 * len(labels), "test": test}
    with create_store(path, labels, CropSpec(size=size, channels=3)) as writer:
        for split, count in sizes.items():
            for i in range(count):
                image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                writer.add(Sample(label=i % len(labels), split=split, source=f"{split}/{i}.png"), face=image)
        writer.finish(corpus=corpus, licence="made for tests")
    return Store.open(path)


def make_runs(
    folder: Path,
    store: Store,
    *,
    networks: Sequence[str] = NETWORKS,
    dropouts: Sequence[float] = (0.0, 0.2),
    seeds: int = 1,
    epochs: int = 30,
) -> list[Run]:
    """The finished runs of a grid, in the grid's order."""
    cells = [cell.resolved(store.meta.crop) for cell in _cells(networks, dropouts, seeds, epochs)]
    folds: dict[object, Fold] = {}
    runs = []
    for settings in cells:
        fold = folds.get(settings.data) or folds.setdefault(settings.data, divide(store, settings.data))
        runs.append(finish(Run.create(folder, settings, store, fold), fold))
    return runs


def finish(run: Run, fold: Fold) -> Run:
    """Bring a planned run to its end without training."""
    rng = np.random.default_rng(int(run.id.rpartition("-")[2], 16))
    model, seconds = run.settings.model, 5.0 * run.settings.train.epochs
    skill = SKILL.get(model.name, 3.0) + model.dropout + rng.normal(0, 0.06)
    history = _history(rng, run.settings.train.epochs, model.dropout, skill)
    parameters, flops, peak, speed = COSTS.get(model.name, (100_000, 1e7, 300.0, 2000.0))
    run.write_history(history)
    parts = {name: _logits(part, skill, len(run.data.labels), rng) for name, part in _parts(fold)}
    run.write_logits(parts)
    write_json(run.path / "env.json", ENVIRONMENT)
    run.update(
        status="finished",
        stages=("fit", "valid", "test", "costs"),
        selected_epoch=max(history, key=lambda e: e.valid_accuracy).epoch,
        test_opened_at=("2024-05-01T12:00:00+00:00",),
        costs=Costs(
            parameters=parameters,
            flops=int(flops),
            activation_bytes=9_000_000,
            train_seconds=seconds * 400 / speed * float(rng.uniform(0.97, 1.03)),
            images_per_second=speed * float(rng.uniform(0.97, 1.03)),
            train_peak_mb=peak * float(rng.uniform(0.98, 1.02)),
            predict_peak_mb=peak * 0.5,
            predict_images_per_second=3 * speed,
            predict_batch=64,
        ),
    )
    return Run.open(run.path)


ENVIRONMENT = {
    "versions": {"python": "3.11.0", "mien": "0.1.0", "torch": "2.5.0"},
    "machine": {"system": "Linux", "processor": "A made-up processor", "cores": "2"},
    "device": "cpu",
    "threads": 2,
}


def _cells(networks: Sequence[str], dropouts: Sequence[float], seeds: int, epochs: int) -> Iterator[NetworkSettings]:
    for network in networks:
        for dropout in dropouts:
            for seed in range(seeds):
                changes = {"model.name": network, "model.dropout": dropout, "seed": seed, "train.epochs": epochs}
                yield override(NetworkSettings(), changes)


def _parts(fold: Fold) -> Iterator[tuple[str, Part]]:
    yield "valid", fold.valid
    yield "test", fold.test.open()


def _logits(part: Part, skill: float, classes: int, rng: np.random.Generator) -> Logits:
    """Each face has its own hardness, the same for all networks, so that runs are paired as real ones are."""
    hardness = np.random.default_rng(7).normal(0, 1.3, int(part.rows.max()) + 1)[part.rows]
    ease = np.linspace(-0.7, 0.9, classes)[part.labels]
    logits: NDArray[np.float32] = rng.normal(0, 1, (len(part), classes)).astype(np.float32)
    logits[np.arange(len(part)), part.labels] += (skill - 1.2 + ease - hardness).astype(np.float32)
    neighbour = (part.labels + 1) % classes
    logits[np.arange(len(part)), neighbour] += 0.9
    return Logits.of(part, logits)


def _history(rng: np.random.Generator, epochs: int, dropout: float, skill: float) -> list[Epoch]:
    t = np.arange(1, epochs + 1)
    ceiling = 0.55 + 0.08 * (skill - 2)
    valid = ceiling - (ceiling - 0.2) * np.exp(-t / 6) + rng.normal(0, 0.008, epochs)
    train = 0.995 - 0.12 * dropout - 0.78 * np.exp(-t / (9 + 15 * dropout))
    overfit = 0.012 * (1 - dropout) * np.maximum(t - 10, 0)
    return [
        Epoch(
            epoch=int(e),
            lr=1e-4,
            train_loss=float(1.9 * np.exp(-e / 10) + 0.02 + 0.2 * dropout),
            train_accuracy=float(a),
            valid_loss=float(1.1 + 0.8 * np.exp(-e / 5) + o + rng.normal(0, 0.015)),
            valid_accuracy=float(v),
        )
        for e, a, v, o in zip(t, train, valid, overfit, strict=True)
    ]
