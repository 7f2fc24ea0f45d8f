"""The order of samples and the targets of a network: functions of (seed, purpose, epoch) and of nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from conftest import Bars
from mien.config import DataSettings, LossSettings, NetworkSettings, TrainSettings
from mien.data.batches import Batches, generator, stream
from mien.data.splits import Part, divide
from mien.data.store import Store
from mien.losses import Objective

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def part(store: Store) -> Part:
    """66 samples."""
    return divide(store, DataSettings()).train


def batches_of(part: Part, size: int = 512) -> Batches:
    return Batches(part, NetworkSettings(train=TrainSettings(batch_size=size)), CPU)


def targets_of(part: Part, **loss: Any) -> Tensor:
    return Objective(part, LossSettings(**loss), CPU).targets


def order(part: Part, epoch: int, seed: int = 0) -> list[int]:
    return torch.cat(list(Batches(part, NetworkSettings(seed=seed), CPU).epoch(epoch))).tolist()


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (16, [16, 16, 16, 16, 2]),
        (22, [22, 22, 22]),
        (100, [66]),
        (66, [66]),
        (65, [66]),
        (13, [13, 13, 13, 13, 14]),
        (64, [64, 2]),
        (1, [1] * 66),
    ],
)
def test_an_epoch_is_one_permutation_in_batches_of_one_size(part: Part, size: int, sizes: list[int]) -> None:
    batches = batches_of(part, size)
    rows = list(batches.epoch(0))
    assert [len(batch) for batch in rows] == sizes
    assert batches.steps == len(sizes)
    assert sorted(torch.cat(rows).tolist()) == list(range(66))


def test_the_order_is_a_function_of_seed_and_epoch_alone(part: Part) -> None:
    batches = batches_of(part, 16)
    later = torch.cat(list(batches.epoch(3)))
    torch.manual_seed(5)
    list(batches.epoch(0))
    assert torch.equal(torch.cat(list(batches.epoch(3))), later)
    assert order(part, 3) == later.tolist(), "the size of the batches does not matter"
    assert order(part, 4) != later.tolist()
    assert order(part, 3, seed=1) != later.tolist()


def test_streams_do_not_meet() -> None:
    seeds = [
        stream(seed, *purpose)
        for seed in range(20)
        for purpose in [
            ("weights",),
            *(("order", e) for e in range(20)),
            *(("augment", e, s) for e in range(5) for s in range(20)),
        ]
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream(1, "order", 23) != stream(1, "order", 2, 3) != stream(12, "order", 3)
    assert stream(0, "weights") == 7982651787856552238, "another value makes every run of every user another run"


def test_a_generator_starts_where_its_stream_says() -> None:
    first = torch.rand(4, generator=generator(0, "augment", 1, 2))
    torch.rand(100)
    assert torch.equal(torch.rand(4, generator=generator(0, "augment", 1, 2)), first)
    assert not torch.equal(torch.rand(4, generator=generator(0, "augment", 1, 3)), first)


def test_images_and_labels_are_the_parts(part: Part) -> None:
    batches = batches_of(part)
    (images,) = batches.planes(torch.arange(66))
    assert images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), part.store.images[part.rows])
    assert np.array_equal(batches.labels.numpy(), part.labels)
    assert len(batches) == len(part) == 66


def test_targets_are_the_labels(part: Part) -> None:
    targets = targets_of(part)
    assert targets.shape == (66, 3)
    assert torch.equal(targets, functional.one_hot(torch.from_numpy(part.labels), 3).float())


def test_smoothing_spreads_a_share_over_all_classes(part: Part) -> None:
    smooth = targets_of(part, label_smoothing=0.3)
    labels = torch.from_numpy(part.labels)
    logits = torch.randn(66, 3, generator=torch.Generator().manual_seed(0))
    theirs = functional.cross_entropy(logits, labels, label_smoothing=0.3)
    assert functional.cross_entropy(logits, smooth).item() == pytest.approx(theirs.item(), rel=1e-6)
    assert smooth[0].tolist() == pytest.approx([0.8, 0.1, 0.1])


def test_soft_labels_are_the_corpus_distributions_and_may_be_smoothed(bars: Bars) -> None:
    part = divide(bars(soft=True), DataSettings()).train
    soft = targets_of(part, soft_labels=True)
    assert part.soft is not None
    assert np.array_equal(soft.numpy(), part.soft)
    assert soft[0].tolist() == [0.0, 1.0, 0.0], "the store's distributions contradict its labels"
    both = targets_of(part, soft_labels=True, label_smoothing=0.3)
    assert both[0].tolist() == pytest.approx([0.1, 0.8, 0.1])
    assert both.sum(1).tolist() == pytest.approx([1.0] * 66)
    hard = targets_of(part)
    assert hard[0].tolist() == [1.0, 0.0, 0.0]


def test_soft_labels_of_a_corpus_without_them_are_its_labels(part: Part) -> None:
    assert torch.equal(targets_of(part, soft_labels=True), targets_of(part))


def test_the_targets_of_noisy_labels_are_the_noisy_ones(store: Store, tmp_path: Path) -> None:
    part = divide(store, DataSettings(label_noise=0.5)).train
    batches = batches_of(part)
    assert part.given is not None
    assert np.array_equal(batches.labels.numpy(), part.given)
    assert torch.equal(targets_of(part).argmax(1), batches.labels)
    changed = (part.given != store.samples.label[part.rows]).mean()
    assert 0.3 < changed < 0.7
