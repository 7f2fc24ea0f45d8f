"""Losses and imbalance, each held to its paper: a special case, a formula written out, or what it is made for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from conftest import write_bars
from mien.compare import plan
from mien.config import LossSettings, ModelSettings, NetworkSettings, TrainSettings, recipe_from
from mien.crop import CropSpec
from mien.data.batches import Batches
from mien.data.splits import Part, divide
from mien.data.store import Sample, Store, create_store
from mien.errors import ConfigError
from mien.labels import LabelSet
from mien.losses import LOSSES, Objective, check
from mien.losses.weights import class_weights
from mien.models import build

COUNTS = torch.tensor([60.0, 30.0, 10.0])
LOGITS = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
TARGETS = functional.one_hot(torch.arange(20) % 3, 3).float()


def loss(name: str, logits: torch.Tensor = LOGITS, weights: torch.Tensor | None = None, **options: float) -> float:
    return float(LOSSES[name](LossSettings(name=name, **options), COUNTS)(logits, TARGETS, weights))  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "options"), [("focal", {"gamma": 0.0}), ("logit-adjusted", {"tau": 0.0})])
def test_without_its_parameter_a_loss_is_cross_entropy(name: str, options: dict[str, float]) -> None:
    weights = torch.tensor([0.5, 1.0, 2.0])
    assert loss(name, **options) == pytest.approx(loss("cross-entropy"), rel=1e-6)
    assert loss(name, weights=weights, **options) == pytest.approx(loss("cross-entropy", weights=weights), rel=1e-6)


def test_focal_loss_is_equation_4() -> None:
    probs = LOGITS.softmax(1)[torch.arange(20), torch.arange(20) % 3]
    assert loss("focal", gamma=2.0) == pytest.approx(float((-((1 - probs) ** 2) * probs.log()).sum()), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_has_a_finite_slope_where_a_sample_is_certain(gamma: float) -> None:
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    LOSSES["focal"](LossSettings(name="focal", gamma=gamma), torch.ones(3))(logits, torch.eye(3)[:1], None).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_logit_adjusted_loss_is_the_balanced_softmax_at_tau_1() -> None:
    scaled = LOGITS.exp() * COUNTS
    probs = (scaled / scaled.sum(1, keepdim=True))[torch.arange(20), torch.arange(20) % 3]
    assert loss("logit-adjusted", tau=1.0) == pytest.approx(float(-probs.log().sum()), rel=1e-5)


def test_a_rare_class_has_the_largest_margin() -> None:
    margins = 30 * 0.5 * (10 / COUNTS) ** 0.25
    moved = LOGITS - TARGETS * margins
    assert margins.tolist() == sorted(margins.tolist())
    assert loss("ldam") == pytest.approx(float(functional.cross_entropy(moved, TARGETS, reduction="sum")), rel=1e-6)


def test_ldam_is_equations_11_and_13_of_its_paper() -> None:
    """Margins fall with the fourth root of a class's samples, and the own class alone has to win by its margin."""
    sharp = 30.0  # logits of the paper are cosines, which the authors multiply by this
    margins = 0.5 * (COUNTS.min() / COUNTS) ** 0.25
    assert float(margins[2] / margins[0]) == pytest.approx((60 / 10) ** 0.25)
    total = 0.0
    for row, label in zip(LOGITS, range(20), strict=False):
        own = label % 3
        won = torch.exp(row[own] - sharp * margins[own])
        others = sum(torch.exp(row[other]) for other in range(3) if other != own)
        total += float(-torch.log(won / (won + others)))
    assert loss("ldam") == pytest.approx(total, rel=1e-5)


def test_the_class_balanced_loss_is_equation_11_of_its_paper() -> None:
    """Cui 2019: (1 - beta) / (1 - beta^n) of the label, times softmax cross-entropy; ours has mean weight 1."""
    weights = class_weights(LossSettings(class_weights="effective", beta=0.9), COUNTS)
    assert weights is not None
    labels = torch.arange(20) % 3
    factors = (1 - 0.9) / (1 - 0.9**COUNTS)
    theirs = (factors[labels] * -LOGITS.log_softmax(1)[torch.arange(20), labels]).sum()
    scale = COUNTS.sum() / (factors * COUNTS).sum()
    assert loss("cross-entropy", weights=weights) == pytest.approx(float(theirs * scale), rel=1e-5)


def test_ldam_needs_a_cosine_classifier_and_that_compares_directions() -> None:
    with pytest.raises(ConfigError, match=r"Set model\.classifier=cosine"):
        NetworkSettings(loss=LossSettings(name="ldam"))
    settings = ModelSettings(name="compact-s", width=0.25, in_chans=1, classifier="cosine")
    NetworkSettings(loss=LossSettings(name="ldam"), model=settings)
    layer = build(settings, classes=3, size=24).classifier
    vectors = torch.rand(5, layer.in_features)  # type: ignore[attr-defined,arg-type]
    logits = layer(vectors)
    assert logits.abs().max() <= 30
    torch.testing.assert_close(logits, layer(7 * vectors))


def test_class_weights_are_those_of_their_papers() -> None:
    balanced = class_weights(LossSettings(class_weights="balanced"), COUNTS)
    assert balanced is not None
    torch.testing.assert_close(balanced, 100 / (3 * COUNTS))
    effective = class_weights(LossSettings(class_weights="effective", beta=0.9), COUNTS)
    assert effective is not None
    raw = (1 - 0.9) / (1 - 0.9**COUNTS)
    torch.testing.assert_close(effective / effective[0], raw / raw[0])
    for weights in (balanced, effective):
        assert float((weights * COUNTS).sum()) == pytest.approx(100)
    alike = class_weights(LossSettings(class_weights="effective", beta=0.0), COUNTS)
    torch.testing.assert_close(alike, torch.ones(3))
    absent = class_weights(LossSettings(class_weights="effective"), torch.tensor([5.0, 0.0, 5.0]))
    assert absent is not None
    assert absent.tolist() == [1, 0, 1]


def test_a_loss_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"loss\.name is 'hinge'; it must be one of cross-entropy, focal"):
        check(LossSettings(name="hinge"))


def test_every_row_of_a_grid_has_its_loss_checked(tmp_path: Path) -> None:
    """The second network has the shape of the first, and was passed over."""
    grid = {"model.name": ["compact-s"], "loss.name": ["cross-entropy", "hinge"]}
    recipe = recipe_from({"grid": grid, "model": {"width": 0.25}}, "losses")
    with pytest.raises(ConfigError, match=r"loss\.name is 'hinge'"):
        plan(recipe, write_bars(tmp_path / "store"), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """A training part of 80, 16 and 4 bars."""
    path, rng = tmp_path_factory.mktemp("uneven") / "store", np.random.default_rng(0)
    with create_store(path, LabelSet(("a", "b", "c")), CropSpec(size=12)) as writer:
        for label, count in enumerate((80, 16, 4)):
            for number in range(count + 2):
                split = "train" if number < count else ("valid", "test")[number - count]
                face = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                writer.add(Sample(label=label, split=split, source=f"{label}/{number}"), face=face)
        writer.finish(corpus="uneven", licence="made for a test")
    return divide(Store.open(path), NetworkSettings().data).train


def test_balanced_sampling_draws_every_class_equally_often(uneven: Part) -> None:
    settings = NetworkSettings(train=TrainSettings(sampling="balanced", batch_size=10))
    batches = Batches(uneven, settings, torch.device("cpu"))
    drawn = torch.cat([rows for epoch in range(30) for rows in batches.epoch(epoch)])
    shares = torch.from_numpy(uneven.labels)[drawn].bincount() / len(drawn)
    assert len(drawn) == 30 * len(uneven)
    assert (shares - 1 / 3).abs().max() < 0.03
    again = torch.cat([rows for epoch in range(30) for rows in batches.epoch(epoch)])
    assert torch.equal(drawn, again)
    natural = Batches(uneven, replace(settings, train=TrainSettings(batch_size=10)), torch.device("cpu"))
    assert sorted(torch.cat([*natural.epoch(0)]).tolist()) == list(range(len(uneven)))


def test_ldam_drw_is_ldam_first_and_class_balanced_ldam_in_the_last_fifth(uneven: Part) -> None:
    """Cao 2019, Algorithm 1."""
    logits, rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)), torch.arange(100)
    drw = LossSettings(name="ldam", class_weights="effective", beta=0.9999, weights_from=0.8)
    objective = Objective(uneven, drw, torch.device("cpu"))
    plain = Objective(uneven, LossSettings(name="ldam"), torch.device("cpu"))
    objective.start(0.79)
    assert float(objective(logits, rows)) == float(plain(logits, rows))
    objective.start(0.8)
    each = torch.stack([plain(logits[[row]], rows[[row]]) for row in range(100)])
    counts = torch.tensor([80.0, 16.0, 4.0], dtype=torch.float64)
    factors = (1 - 0.9999) / (1 - 0.9999**counts)
    factors = factors * counts.sum() / (factors * counts).sum()
    expected = float((each * factors[torch.from_numpy(uneven.labels)]).sum())
    assert float(objective(logits, rows)) == pytest.approx(expected, rel=1e-5)


def test_weights_wait_for_their_share_of_the_epochs(uneven: Part) -> None:
    logits, rows = torch.zeros(3, 3), torch.tensor([0, 85, 97])
    deferred = LossSettings(class_weights="balanced", weights_from=0.8)
    objective = Objective(uneven, deferred, torch.device("cpu"))
    plain = float(Objective(uneven, LossSettings(), torch.device("cpu"))(logits, rows))
    objective.start(0.79)
    assert float(objective(logits, rows)) == plain
    objective.start(0.8)
    assert float(objective(logits, rows)) > 2 * plain
