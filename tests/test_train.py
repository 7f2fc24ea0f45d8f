"""The training loop: the rate, the average, the choice, the targets; what it may depend on, and what it must not."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from conftest import Bars, plan_run, write_bars
from mien import train as module
from mien.checkpoint import State
from mien.config import AugmentSettings, LossSettings, NetworkSettings, OptimizerSettings, override, read_recipe
from mien.crop import CropSpec
from mien.data import augment
from mien.data.batches import Batches
from mien.data.splits import Fold, Part, divide
from mien.data.store import Store
from mien.errors import ConfigError, NonFinite
from mien.hooks import Hooks, Progress
from mien.inference import predict_logits
from mien.initial import build_network, rehearse
from mien.losses import Objective
from mien.material import Material
from mien.models import Network
from mien.optimise import build_optimizer, learning_rate
from mien.planes import Plane
from mien.runs import Epoch, Run
from mien.stages import finish_run
from mien.train import selected_epoch, train

CPU = torch.device("cpu")


def trained(run: Run, **options: Any) -> tuple[dict[str, Tensor], State]:
    fold = divide(Store.open(run.data.store), run.settings.data)
    network, state = train(run, fold.train, fold.valid, device=CPU, **options)
    return network.state_dict(), state


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


# What the result depends on


EVERYTHING: dict[str, Any] = {
    "optimizer__ema": 0.8,
    "loss__label_smoothing": 0.1,
    "loss__class_weights": "balanced",
    "train__sizes": [12, 16],
    "optimizer__clip_norm": 1.0,
    "model__dropout": 0.3,
    "model__block_dropout": 0.1,
    "augment__flip": True,
    "augment__shift": 2.0,
    "augment__contrast": 0.2,
    "augment__cutout": 4,
}


def test_same_settings_and_seed_give_the_same_bytes(tmp_path: Path, store: Store) -> None:
    runs = [plan_run(tmp_path / name, store, **EVERYTHING) for name in ("one", "two")]
    torch.manual_seed(1)
    finish_run(runs[0])
    torch.manual_seed(2)
    np.random.default_rng(3).random(5)
    finish_run(runs[1])
    for name in ("model.safetensors", "history.csv", "logits.npz"):
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes(), name


def test_a_seed_changes_weights_and_order(tmp_path: Path, store: Store) -> None:
    (first, _), (second, _) = (trained(plan_run(tmp_path, store, seed=seed)) for seed in (0, 1))
    assert not same(first, second)
    part = divide(store, NetworkSettings().data).train
    weights = [build_network(override(NetworkSettings(), {"seed": s, **SMALL}), part, CPU) for s in (0, 1)]
    assert not same(weights[0].state_dict(), weights[1].state_dict())


SMALL = {"model.name": "compact-s", "model.width": 0.25, "model.in_chans": 3}


class Orders:
    """Notes the samples of every step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[list[int]] = []
        plain = Batches.epoch

        def noted(batches: Batches, number: int) -> Iterator[Tensor]:
            for rows in plain(batches, number):
                self.seen.append(rows.tolist())
                yield rows

        monkeypatch.setattr(Batches, "epoch", noted)


def test_runs_of_one_seed_are_paired_whatever_the_network(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(monkeypatch)
    for name, dropout in (("compact-s", 0.0), ("compact-s", 0.5), ("vgg_paper", 0.0)):
        trained(plan_run(tmp_path, store, model__name=name, model__dropout=dropout, train__epochs=2))
    steps = len(orders.seen) // 3
    assert orders.seen[:steps] == orders.seen[steps : 2 * steps] == orders.seen[2 * steps :]
    assert steps == 10


def test_training_cannot_see_the_test(tmp_path: Path) -> None:
    """Another test, the same weights; only what is said of the test changes."""
    options: dict[str, Any] = {"model__dropout": 0.2, "augment__flip": True, "optimizer__ema": 0.8}
    runs = []
    for noise in ("", "test"):
        store = write_bars(tmp_path / f"store{noise}", noise_split=noise)
        runs.append(plan_run(tmp_path / "runs", store, **options))
        finish_run(runs[-1])
    one, other = runs
    assert one.id != other.id
    assert same(load_file(one.path / "model.safetensors"), load_file(other.path / "model.safetensors"))
    assert (one.path / "history.csv").read_bytes() == (other.path / "history.csv").read_bytes()
    assert one.record.selected_epoch == other.record.selected_epoch
    assert np.array_equal(one.logits("valid").logits, other.logits("valid").logits)
    assert not np.array_equal(one.logits("test").logits, other.logits("test").logits)


def test_the_test_is_opened_once_and_after_training(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []
    run = plan_run(tmp_path, store)
    from mien.data.splits import SealedPart

    plain = SealedPart.open
    monkeypatch.setattr(
        SealedPart, "open", lambda part: opened.append((run.path / "model.safetensors").exists()) or plain(part)
    )
    finish_run(run)
    assert opened == [True]
    assert len(run.record.test_opened_at) == 1


def test_normalisation_is_of_the_training_pixels_alone(tmp_path: Path) -> None:
    means = []
    for noise in ("", "valid", "test", "train"):
        store = write_bars(tmp_path / f"store-{noise}", noise_split=noise)
        part = divide(store, NetworkSettings().data).train
        network = build_network(override(NetworkSettings(), SMALL), part, CPU)
        means.append(network.pixel_mean.tolist())
        pixels = part.read()["face"] / 255.0
        assert network.pixel_mean.tolist() == pytest.approx(pixels.mean((0, 1, 2)))
        assert network.pixel_std.tolist() == pytest.approx(pixels.std((0, 1, 2)))
    assert means[0] == means[1] == means[2] != means[3]


# The learning rate


@pytest.mark.parametrize(
    ("schedule", "warmup", "points"),
    [
        ("constant", 0, {0: 1, 5: 1, 10: 1}),
        ("constant", 2, {0: 0.001, 1: 0.5, 1.999: 0.9995, 2: 1, 10: 1}),
        ("cosine", 0, {0: 1, 2.5: (1 + math.sqrt(0.5)) / 2, 5: 0.5, 10: 0}),
        ("cosine", 4, {0: 0.001, 2: 0.5, 4: 1, 7: 0.5, 10: 0}),
        ("onecycle", 0, {0: 1, 5: 0.5, 10: 0}),
        ("onecycle", 2, {0: 0.001, 1: 0.5, 2: 1, 6: 0.5, 9.9: 0.0125, 10: 0}),
        ("onecycle", 10, {0: 0.001, 5: 0.5, 9: 0.9}),
        ("cosine", 20, {0: 0.001, 10: 0.5}),
    ],
)
def test_the_learning_rate_at_its_corners(schedule: Any, warmup: float, points: dict[float, float]) -> None:
    options = OptimizerSettings(lr=0.2, schedule=schedule, warmup_epochs=warmup)
    for epoch, share in points.items():
        assert learning_rate(options, epoch, 10) == pytest.approx(0.2 * share, abs=1e-9), epoch


def test_every_step_has_the_rate_of_its_place(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = []
    plain = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *a: used.append(self.param_groups[1]["lr"]) or plain(self, *a)
    )
    run = plan_run(tmp_path, store, optimizer__schedule="onecycle", optimizer__warmup_epochs=1.0, optimizer__lr=0.01)
    _, state = trained(run)
    assert used == pytest.approx([learning_rate(run.settings.optimizer, step / 5, 3) for step in range(15)])
    assert [line.lr for line in state.history] == pytest.approx([0.01 * 0.001, 0.01, 0.005])


# The average, the choice of the epoch


def test_the_average_is_its_definition(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, Tensor]] = []
    plain = module.average

    def noted(averaged: dict[str, Tensor], network: Network, decay: float) -> None:
        states.append(copy.deepcopy(network.state_dict()))
        plain(averaged, network, decay)

    monkeypatch.setattr(module, "average", noted)
    run = plan_run(tmp_path, store, optimizer__ema=0.7, train__select="last")
    fold = divide(store, run.settings.data)
    expected = copy.deepcopy(build_network(run.settings, fold.train, CPU).state_dict())
    kept, _ = trained(run)
    assert len(states) == 15
    for now in states:
        for name, value in now.items():
            if value.is_floating_point():
                expected[name] = 0.7 * expected[name] + 0.3 * value
            else:
                expected[name] = value
    for name, value in expected.items():
        torch.testing.assert_close(kept[name], value, rtol=1e-4, atol=1e-6)
    assert not same(kept, states[-1])


def test_the_average_leaves_training_as_it_is(tmp_path: Path, store: Store) -> None:
    losses = []
    for ema in (0.0, 0.9):
        _, state = trained(plan_run(tmp_path, store, optimizer__ema=ema))
        losses.append([line.train_loss for line in state.history])
    assert losses[0] == losses[1]


def epochs(*figures: tuple[float, float]) -> list[Epoch]:
    return [
        Epoch(epoch=i + 1, lr=0.1, train_loss=1, train_accuracy=0.5, valid_loss=loss, valid_accuracy=accuracy)
        for i, (accuracy, loss) in enumerate(figures)
    ]


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([(0.5, 1.0), (0.7, 2.0), (0.6, 0.1)], 2),
        ([(0.7, 1.0), (0.7, 0.9), (0.7, 0.95)], 2),
        ([(0.7, 0.9), (0.7, 0.9), (0.6, 0.9)], 1),
        ([(0.1, 5.0)], 1),
        ([(0.1, 1.0), (0.2, 1.0), (0.3, 1.0)], 3),
    ],
)
def test_the_best_epoch_is_the_most_accurate_then_the_lowest_loss_then_the_first(
    figures: list[tuple[float, float]], best: int
) -> None:
    settings = NetworkSettings()
    assert selected_epoch(epochs(*figures), override(settings, {"train.select": "best"})) == best
    assert selected_epoch(epochs(*figures), override(settings, {"train.select": "last"})) == len(figures)


def test_where_class_weights_act_late_an_epoch_with_them_is_kept() -> None:
    late = {"train.epochs": 5, "train.select": "best", "loss.weights_from": 0.6, "loss.class_weights": "effective"}
    figures = [(0.7, 1.0), (0.9, 1.0), (0.8, 1.0), (0.5, 1.0), (0.6, 1.0)]
    assert selected_epoch(epochs(*figures), override(NetworkSettings(), late)) == 5
    assert selected_epoch(epochs(*figures[:2]), override(NetworkSettings(), late)) == 2, "none with them has ended"
    without = late | {"loss.class_weights": "none"}
    assert selected_epoch(epochs(*figures), override(NetworkSettings(), without)) == 2


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_weights_kept_are_those_of_the_selected_epoch(tmp_path: Path, store: Store, select: str) -> None:
    run = plan_run(tmp_path, store, train__epochs=6, optimizer__lr=0.03, train__select=select)
    kept, state = trained(run, keep_epochs=range(1, 7))
    chosen = selected_epoch(state.history, run.of(NetworkSettings))
    assert chosen == 6 or select == "best"
    files = sorted((run.path / "epochs").iterdir())
    assert [same(load_file(path), kept) for path in files] == [number == chosen for number in range(1, 7)]
    fold = divide(store, run.settings.data)
    network = build_network(run.settings, fold.train, CPU)
    network.load_state_dict(kept)
    accuracy = (predict_logits(network, fold.valid.read()["face"]).argmax(1) == fold.valid.labels).mean()
    assert accuracy == state.history[chosen - 1].valid_accuracy


# One step


class Linear(Network):
    """No batch norm, no dropout: every sample counts alike however the batch is cut."""

    def __init__(self, size: int) -> None:
        super().__init__(3)
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.reduce = nn.Flatten()
        self.classifier = nn.Linear(4 * (size - 2) ** 2, 3)


@pytest.fixture
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.initial.build_on", lambda takes, settings, *, classes: Linear(takes[0].shape[0]))


@pytest.mark.usefixtures("linear")
@pytest.mark.parametrize("micro", [1, 5, 7, 16])
def test_accumulated_gradients_are_the_gradient_of_the_batch(tmp_path: Path, store: Store, micro: int) -> None:
    options: dict[str, Any] = {"optimizer__name": "sgd", "optimizer__lr": 0.05, "loss__class_weights": "balanced"}
    options |= {"optimizer__clip_norm": 0.5, "data__train_limit": 50}
    whole, first = trained(plan_run(tmp_path, store, train__micro_batch=0, **options))
    parts, second = trained(plan_run(tmp_path, store, train__micro_batch=micro, **options))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6)
    for one, other in zip(first.history, second.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
        assert one.train_accuracy == other.train_accuracy


@pytest.mark.usefixtures("linear")
def test_one_step_is_gradient_descent_on_the_mean_loss(tmp_path: Path, store: Store) -> None:
    run = plan_run(
        tmp_path,
        store,
        optimizer__name="sgd",
        optimizer__momentum=0.0,
        optimizer__lr=0.1,
        train__batch_size=66,
        train__micro_batch=16,
        train__epochs=1,
        loss__label_smoothing=0.2,
        optimizer__weight_decay=0.01,
    )
    fold = divide(store, run.settings.data)
    network = build_network(run.settings, fold.train, CPU)
    loss = functional.cross_entropy(
        network(torch.from_numpy(fold.train.read()["face"])), torch.from_numpy(fold.train.labels), label_smoothing=0.2
    )
    loss.backward()
    kept, state = trained(run)
    for name, weight in network.named_parameters():
        assert weight.grad is not None
        decay = 0.01 * weight if weight.ndim > 1 else 0.0
        torch.testing.assert_close(kept[name], (weight - 0.1 * (weight.grad + decay)).detach(), rtol=1e-4, atol=1e-6)
    assert state.history[0].train_loss == pytest.approx(loss.item(), rel=1e-5)


def test_balanced_weights_are_inverse_frequencies_with_mean_one(bars: Bars) -> None:
    store = bars()
    part = divide(store, NetworkSettings().data).train
    rare = replace(part, rows=part.rows[(part.labels != 2) | (part.rows < 9)])
    weights = Objective(rare, LossSettings(class_weights="balanced"), CPU).weights
    counts = np.bincount(rare.labels)
    assert counts.tolist() == [22, 22, 3]
    assert weights is not None
    assert (weights.numpy() * counts).tolist() == pytest.approx([47 / 3] * 3)
    assert weights[torch.from_numpy(rare.labels)].mean().item() == pytest.approx(1.0)
    assert Objective(rare, LossSettings(), CPU).weights is None


def test_a_class_without_samples_has_a_finite_weight(store: Store) -> None:
    part = divide(store, NetworkSettings().data).train
    two = replace(part, rows=part.rows[part.labels != 1])
    weights = Objective(two, LossSettings(class_weights="balanced"), CPU).weights
    assert weights is not None
    assert weights[[0, 2]].tolist() == [1.0, 1.0]
    assert bool(weights.isfinite().all())


def test_clipping_bounds_the_norm_of_the_gradient(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    plain = torch.optim.SGD.step

    def noted(self: torch.optim.SGD, *rest: Any) -> Any:
        weights = [w for group in self.param_groups for w in group["params"]]
        norms.append(torch.cat([w.grad.ravel() for w in weights]).norm().item())
        return plain(self, *rest)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    trained(plan_run(tmp_path, store, optimizer__name="sgd", optimizer__clip_norm=0.05))
    clipped = list(norms)
    trained(plan_run(tmp_path, store, optimizer__name="sgd"))
    assert max(norms[len(clipped) :]) > 0.1
    assert max(clipped) <= 0.05001


def test_soft_labels_are_what_is_learnt(tmp_path: Path, bars: Bars) -> None:
    """The distributions say the next class, always; the labels do not."""
    store = bars(soft=True)
    fold = divide(store, NetworkSettings().data)
    said = {}
    for soft in (True, False):
        run = plan_run(tmp_path, store, loss__soft_labels=soft, train__epochs=6, train__select="last")
        network, _ = train(run, fold.train, fold.valid, device=CPU)
        said[soft] = predict_logits(network, fold.train.read()["face"]).argmax(1)
    assert (said[False] == fold.train.labels).mean() > 0.8
    assert (said[True] == (fold.train.labels + 1) % 3).mean() > 0.8


@pytest.mark.long
@pytest.mark.parametrize(("network", "width"), [("vgg16", 0.125), ("densenet121", 0.25), ("resnet34", 0.125)])
def test_the_recipe_fast_trains_the_networks_of_the_paper_made_small(
    tmp_path: Path, store: Store, network: str, width: float
) -> None:
    fast = override(read_recipe("fast").settings, {"train.epochs": 8, "optimizer.lr": 0.02, "train.batch_size": 16})
    settings = override(fast, {"model.name": network, "model.stem": "small", "model.width": width})
    run = Run.create(tmp_path, settings.resolved(store.meta.crop), store, divide(store, settings.data))
    _, state = trained(run)
    assert state.history[-1].train_loss < state.history[0].train_loss


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_works_on_a_processor(tmp_path: Path, store: Store, precision: str) -> None:
    whole, _ = trained(plan_run(tmp_path, store))
    half, state = trained(plan_run(tmp_path, store, train__precision=precision))
    assert {value.dtype for value in half.values()} == {value.dtype for value in whole.values()}
    assert not same(whole, half)
    assert state.history[-1].train_loss < state.history[0].train_loss


def test_float16_feels_gradients_that_it_cannot_hold(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of a ten-millionth have gradients below 6e-8, the least of float16: unscaled, no weight would move."""
    loss = module.functional.cross_entropy
    monkeypatch.setattr(module.functional, "cross_entropy", lambda *a, **k: loss(*a, **k) * 1e-7)
    run = plan_run(tmp_path, store, train__precision="float16", train__epochs=1)
    start = build_network(run.settings, divide(store, run.settings.data).train, CPU).state_dict()
    end, state = trained(run)
    first = next(name for name, tensor in start.items() if tensor.ndim == 4)
    assert not torch.equal(start[first], end[first])
    assert state.scaler.get_scale() == 65536.0


def test_float16_clips_gradients_as_they_are_unscaled(tmp_path: Path, store: Store) -> None:
    changes = {"optimizer__name": "sgd", "optimizer__momentum": 0.0, "optimizer__clip_norm": 0.01, "optimizer__lr": 1.0}
    run = plan_run(tmp_path, store, train__precision="float16", train__epochs=1, **changes)
    start = build_network(run.settings, divide(store, run.settings.data).train, CPU).state_dict()
    end, state = trained(run)
    names = [name for name, _ in state.network.named_parameters()]
    moved = math.sqrt(sum(float((end[name] - start[name]).square().sum()) for name in names))
    assert 0.01 < moved < 0.01 * state.images / 16 + 1e-6, "each step is at most lr times clip_norm long"


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_gradient_too_large_for_float16_is_no_step_and_halves_the_scale(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    loss, huge = module.functional.cross_entropy, iter([1e6])
    monkeypatch.setattr(module.functional, "cross_entropy", lambda *a, **k: loss(*a, **k) * next(huge, 1.0))
    _, state = trained(plan_run(tmp_path, store, train__precision="float16", optimizer__name=optimizer))
    assert 1.0 < state.scaler.get_scale() < 65536.0
    moments = [value for values in state.optimizer.state.values() for value in values.values()]
    assert all(tensor.abs().max() < 1e3 for tensor in [*moments, *state.network.parameters()])
    assert state.history[-1].train_loss < state.history[1].train_loss


def test_a_checkpoint_keeps_the_scale_of_float16(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store, train__precision="float16")
    before, after = (module._new_state(run.settings, divide(store, run.settings.data).train, CPU) for _ in range(2))
    before.scaler.load_state_dict(before.scaler.state_dict() | {"scale": 1024.0})
    module.save(run, before)
    module.load(run, after)
    assert after.scaler.state_dict() == before.scaler.state_dict()
    assert after.scaler.get_scale() == 1024.0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_weight_decay_spares_biases_and_norms(store: Store, optimizer: Any) -> None:
    settings = override(NetworkSettings(), SMALL | {"optimizer.name": optimizer, "optimizer.weight_decay": 0.1})
    network = build_network(settings, divide(store, settings.data).train, CPU)
    decayed, spared = build_optimizer(network, settings).param_groups
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert all(weight.ndim > 1 for weight in decayed["params"])
    assert all(weight.ndim == 1 for weight in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(network.parameters()))


class Shown:
    """Notes what the network is shown: for each epoch the row numbers, the pictures and who was mirrored."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epochs: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}
        plain, start, apply = Material.planes, Material.start, augment.apply
        mirrored: list[Tensor] = []

        def noted_apply(
            images: Tensor, settings: AugmentSettings, draws: Any, flip: Tensor, *rest: Any, **more: Any
        ) -> Tensor:
            mirrored.append(flip)
            return apply(images, settings, draws, flip, *rest, **more)

        def noted_start(material: Material, epoch: int) -> None:
            self.epochs[epoch] = []
            start(material, epoch)

        def noted(material: Material, rows: Tensor, draws: Any) -> tuple[Tensor, ...]:
            (images,) = plain(material, rows, draws)
            self.epochs[max(self.epochs)].append((rows, images, mirrored[-1]))
            return (images,)

        monkeypatch.setattr(augment, "apply", noted_apply)
        monkeypatch.setattr(Material, "start", noted_start)
        monkeypatch.setattr(Material, "planes", noted)

    def mirrored(self, epoch: int) -> Tensor:
        """`(n,)` who was mirrored, by row."""
        rows = torch.cat([rows for rows, _, _ in self.epochs[epoch]])
        return torch.cat([flip for _, _, flip in self.epochs[epoch]])[rows.argsort()]


@pytest.mark.parametrize("alternate", [True, False])
def test_each_picture_is_mirrored_every_other_epoch_or_by_a_coin(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, alternate: bool
) -> None:
    shown = Shown(monkeypatch)
    trained(plan_run(tmp_path, store, augment__flip=True, augment__alternate=alternate, train__epochs=4))
    first, second, third, fourth = (shown.mirrored(epoch) for epoch in range(4))
    assert 0.3 < first.float().mean() < 0.7
    assert torch.equal(first, ~second) == torch.equal(first, third) == torch.equal(second, fourth) == alternate


def test_nothing_is_mirrored_unasked(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    trained(plan_run(tmp_path, store, train__epochs=2))
    assert not torch.cat([shown.mirrored(0), shown.mirrored(1)]).any()
    rows, images, _ = shown.epochs[0][0]
    part = divide(store, NetworkSettings().data).train
    assert images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), part.read()["face"][rows.numpy()])


def test_pictures_grow_over_equal_parts_of_the_epochs(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown(monkeypatch)
    trained(plan_run(tmp_path, store, train__sizes=[8, 12, 16], train__epochs=7))
    sides = [{images.shape[1] for _, images, _ in shown.epochs[epoch]} for epoch in range(7)]
    assert sides == [{8}, {8}, {8}, {12}, {12}, {16}, {16}]


# What goes wrong


def test_a_loss_that_is_not_finite_stops_the_run_with_a_reason(tmp_path: Path, store: Store) -> None:
    run = plan_run(
        tmp_path, store, optimizer__name="sgd", optimizer__lr=100.0, optimizer__momentum=0.99, train__epochs=50
    )
    with pytest.raises(
        NonFinite, match=r"loss became (nan|inf) .*epoch \d+.*Lower optimizer\.lr, or set optimizer\.clip_norm"
    ):
        trained(run)
    finish_run(run)
    assert run.record.status == "failed"
    assert "loss became" in run.record.reason
    assert not (run.path / "checkpoint.safetensors").exists()
    assert not (run.path / "logits.npz").exists()


def test_a_loss_that_is_not_finite_on_valid_stops_it_too(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "predict_logits", lambda network, images, weights: np.full((len(images), 3), np.nan, dtype=np.float32)
    )
    with pytest.raises(NonFinite, match="validation loss became nan after epoch 1"):
        trained(plan_run(tmp_path, store))


@pytest.mark.parametrize(
    ("changes", "size", "sentence"),
    [
        ({"model.name": "vgg16"}, 16, "Faces of 16x16 px are too small"),
        (
            {"model.name": "compact-s", "model.head": "flat", "train.sizes": [32, 48]},
            48,
            "made for faces of 48 px, cannot be trained at 32 px",
        ),
        ({"model.name": "resnet34", "train.micro_batch": 1}, 16, "resnet34 at 16 px cannot be trained on one face"),
        ({"model.name": "resnet34", "train.batch_size": 1}, 16, "resnet34 at 16 px cannot be trained on one face"),
        ({"model.name": "resnet43"}, 48, "model.name is 'resnet43'"),
    ],
)
def test_a_rehearsal_finds_what_cannot_be_trained(changes: dict[str, Any], size: int, sentence: str) -> None:
    settings = override(NetworkSettings(), {"model.in_chans": 3, "model.width": 0.1} | changes)
    with pytest.raises(ConfigError, match=sentence):
        rehearse(settings, faces_of(size), classes=3)


def faces_of(size: int) -> tuple[Plane, ...]:
    return (CropSpec(size=size, channels=3).plane,)


def test_a_rehearsal_lets_pass_what_can(store: Store) -> None:
    for changes in (SMALL, SMALL | {"train.sizes": [8, 16]}, SMALL | {"model.head": "flat"}):
        rehearse(override(NetworkSettings(), changes), faces_of(16), classes=3)


@pytest.mark.parametrize(("count", "most", "sizes"), [(16, 8, [8, 8]), (17, 8, [6, 6, 5]), (5, 0, [5]), (5, 9, [5])])
def test_no_chunk_is_tiny(count: int, most: int, sizes: list[int]) -> None:
    assert [len(chunk) for chunk in module._chunks(torch.arange(count), most)] == sizes


def test_progress_is_reported_after_each_step(tmp_path: Path, store: Store) -> None:
    told: list[Progress] = []
    trained(plan_run(tmp_path, store, train__epochs=2), report=told.append)
    assert [round(p.done, 6) for p in told] == [round(step / 10, 6) for step in range(1, 11)]
    assert [p.epoch for p in told] == [1] * 5 + [2] * 5
    assert all(p.images_per_second > 0 and 0 <= p.accuracy <= 1 for p in told)


def test_it_learns(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store, train__epochs=8, optimizer__lr=0.01, train__batch_size=8)
    finish_run(run)
    assert run.finished
    test = run.logits("test")
    assert (test.logits.argmax(1) == test.labels).mean() > 0.9
    assert len(run.history) == 8
    costs = run.record.costs
    assert costs.parameters > 0
    assert costs.images_per_second == pytest.approx(8 * 66 / costs.train_seconds, rel=0.01)


def test_peeking_needs_every_epoch(tmp_path: Path, store: Store) -> None:
    """A run that was stopped without keeping its epochs starts anew when they are asked for."""
    run = plan_run(tmp_path, store)
    fold: Fold = divide(store, run.settings.data)
    stop_after(run, fold.train, fold.valid, steps=12)
    finish_run(run, hooks=Hooks(names=("peeking",)))
    assert run.peeking["epoch"].tolist() == [1, 2, 3]
    counts = run.peeked_confusions
    assert counts is not None
    assert [len(counts), *np.unique(counts.sum(axis=(1, 2)))] == [3, run.data.counts["test"]]
    hits = counts.trace(axis1=1, axis2=2) / run.data.counts["test"]
    assert hits.tolist() == pytest.approx(run.peeking["accuracy"].tolist())
    plain = plan_run(tmp_path / "plain", store)
    finish_run(plain)
    assert (plain.path / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()


def stop_after(run: Run, training: Part, valid: Part, steps: int) -> None:
    """Train with a checkpoint at every step, and stop."""

    class Stop(Exception):
        pass

    left = [steps]

    def count(_: Progress) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
        with pytest.raises(Stop):
            train(run, training, valid, device=CPU, report=count)
    assert (run.path / "checkpoint.safetensors").exists()
