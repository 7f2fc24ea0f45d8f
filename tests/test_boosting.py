"""Boosting: SAMME held against scikit-learn and its paper's equations; and as a row, from planning to the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from made_committees import exported_answers_as_its_run, finish_in_pieces, same_bytes, trained
from mien.calibration import softmax
from mien.compare import collect, plan, stated
from mien.config import NetworkSettings, override, recipe_from
from mien.data.batches import Batches
from mien.data.splits import Part, divide
from mien.data.store import Store
from mien.ensembles.samme import boost, even_weights, weighted_votes
from mien.errors import ConfigError, NonFinite
from mien.judge import judge
from mien.losses import Objective
from mien.methods import boosting, find_method
from mien.methods.rounds import rounds_of
from mien.report.sections.methods import describe_methods
from mien.runs import Run
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def toy() -> tuple[np.ndarray, np.ndarray]:
    """Four classes that a stump cannot tell apart."""
    made: tuple[np.ndarray, np.ndarray] = make_classification(
        600, 10, n_informative=6, n_classes=4, n_clusters_per_class=1, class_sep=0.8, random_state=0
    )
    return made


@pytest.mark.parametrize("depth", [1, 3])
def test_weights_votes_and_predictions_are_scikit_learns(toy: tuple[np.ndarray, np.ndarray], depth: int) -> None:
    faces, labels = toy
    learner = DecisionTreeClassifier(max_depth=depth, random_state=0)
    theirs = AdaBoostClassifier(learner, n_estimators=8, random_state=0).fit(faces, labels)
    weights, alphas, errors, logs = even_weights(len(labels)), [], [], []
    for seed in [tree.random_state for tree in theirs.estimators_]:
        tree = DecisionTreeClassifier(max_depth=depth, random_state=seed).fit(faces, labels, sample_weight=weights)
        said = boost(tree.predict(faces) != labels, weights, 4)
        weights = said.weights
        alphas.append(said.alpha)
        errors.append(said.error)
        logs.append(np.log(np.eye(4)[tree.predict(faces)] * 0.9 + 0.025))
    np.testing.assert_allclose(errors, theirs.estimator_errors_, atol=1e-12)
    np.testing.assert_allclose(alphas, theirs.estimator_weights_, atol=1e-12)
    votes = weighted_votes(
        {"alphas": torch.tensor(alphas, dtype=torch.float64)}, torch.from_numpy(np.stack(logs))
    ).numpy()
    np.testing.assert_array_equal(votes.argmax(axis=1), theirs.predict(faces))
    # Their scores are 1 for a vote and -1 / (K - 1) against, over the sum of all votes.
    np.testing.assert_allclose((4 * votes - sum(alphas)) / 3 / sum(alphas), theirs.decision_function(faces), atol=1e-12)


def test_the_last_classifier_is_at_chance_under_the_new_weights() -> None:
    """What the step is made for: under the weights of the next round, SAMME's classifier errs as often as chance."""
    wrong = np.arange(50) % 7 == 0
    said = boost(wrong, even_weights(50), 5)
    assert said.weights[wrong].sum() == pytest.approx(1 - 1 / 5)
    assert said.weights.sum() == pytest.approx(1)
    assert boost(wrong, even_weights(50), 2).weights[wrong].sum() == pytest.approx(1 / 2)  # AdaBoost.M1


def test_boosting_ends_as_scikit_learn_ends_it() -> None:
    nothing, most = np.zeros(30, bool), np.arange(30) < 20
    assert (boost(nothing, even_weights(30), 3).alpha, boost(nothing, even_weights(30), 3).last) == (1.0, True)
    assert (boost(most, even_weights(30), 3).alpha, boost(most, even_weights(30), 3).last) == (0.0, True)
    assert boost(most[:], even_weights(30), 4).alpha > 0
    separable = np.arange(30)[:, None]
    theirs = AdaBoostClassifier(DecisionTreeClassifier(), n_estimators=5).fit(separable, np.arange(30) // 10)
    assert theirs.estimator_weights_.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


RECIPE: dict[str, Any] = {
    "grid": {"model.name": ["compact-s"], "boosting.rounds": [1, 3], "seed": [0]},
    "model": {"width": 0.25},
    "train": {"epochs": 2, "batch_size": 16},
    "optimizer": {"lr": 0.003},
}


@pytest.fixture(scope="module")
def runs(place: Path, store: Store) -> list[Run]:
    return trained(RECIPE, store, place / "runs")


def test_a_boosted_run_is_one_row_and_opens_the_test_once(runs: list[Run]) -> None:
    assert all(run.finished for run in runs), [run.record.reason for run in runs]
    assert [len(run.record.test_opened_at) for run in runs] == [1] * 2
    comparison = collect([Run.open(run.path) for run in runs], vary=stated(recipe_from(RECIPE, "boosting")))
    assert [row.name for row in comparison.rows] == ["compact-s, not boosted", "compact-s, boosted in 3 rounds"]
    said = describe_methods(judge(comparison))
    assert said is not None
    assert "by SAMME (Zhu et al. 2009): one network alone or at most 3 rounds, by row. Each network" in said.markdown
    assert "Multi-class AdaBoost" in said.markdown
    alone, boosted = runs[0].record.costs, runs[1].record.costs
    count = len(rounds_of(runs[1]).alphas)
    assert count > 1
    assert boosted.parameters == count * alone.parameters
    assert boosted.flops == count * alone.flops
    assert len(runs[1].history) == 2 * count


def test_no_id_of_a_network_without_boosting_has_changed() -> None:
    settings = override(NetworkSettings(), {"model.name": "compact-s", "seed": 3})
    assert settings.run_id("0" * 64) == "compact-s-39b2fb334e"
    assert override(settings, {"boosting.rounds": 4}).run_id("0" * 64) != settings.run_id("0" * 64)


def test_its_first_member_is_the_network_alone_and_the_others_are_not(runs: list[Run], store: Store) -> None:
    alone, boosted = (find_method(run.settings).load(run).network for run in (runs[0], runs[1]))  # type: ignore[attr-defined]
    same = [
        all(torch.equal(own, member.state_dict()[name]) for name, own in alone.state_dict().items())
        for member in boosted.members
    ]
    assert same == [True, *[False] * (len(same) - 1)]


def test_its_votes_are_weighed_as_samme_says(runs: list[Run], store: Store) -> None:
    """The rounds again, from the members' answers to the training part."""
    run = runs[1]
    network, found, training = find_method(run.settings).load(run).network, rounds_of(run), run.fold().train  # type: ignore[attr-defined]
    faces = torch.from_numpy(training.read()["face"])
    weights = even_weights(len(training))
    with torch.inference_mode():
        for number, member in enumerate(network.members):
            said = boost(member(faces).argmax(1).numpy() != training.labels, weights, 3)
            assert said.alpha == pytest.approx(found.alphas[number])
            weights = said.weights
        votes = sum(
            float(alpha) * np.eye(3)[member(torch.from_numpy(store.read(run.logits("test").ids)["face"])).argmax(1)]
            for alpha, member in zip(found.alphas, network.members, strict=True)
        )
    np.testing.assert_allclose(weights, found.weights)
    np.testing.assert_allclose(run.logits("test").logits, votes, rtol=1e-6)


def test_stopped_anywhere_it_ends_with_the_same_bytes(runs: list[Run], place: Path, store: Store) -> None:
    (again,) = [
        run for run in plan(recipe_from(RECIPE, "again"), store, place / "stop") if run.settings.method == "boosting"
    ]
    seen = finish_in_pieces(again)
    assert len(seen) > 14
    assert max(progress.done for progress in seen) <= 1
    same_bytes(again, runs[1], ("model.safetensors", "logits.npz", "boosting.npz", "history.csv"))
    assert not (again.path / "members").exists()


@pytest.mark.long
def test_it_is_exported_as_one_file(runs: list[Run], place: Path, store: Store) -> None:
    exported_answers_as_its_run(runs[1], store, place / "boosted.onnx")


def part_of(store: Store) -> Part:
    return divide(store, NetworkSettings().data).train


def test_a_weight_multiplies_the_loss_of_its_sample(store: Store) -> None:
    part = part_of(store)
    count = len(part)
    shares = np.random.default_rng(0).dirichlet(np.ones(count))
    logits, rows = torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), torch.arange(count)
    for name in ("cross-entropy", "focal", "logit-adjusted"):
        loss = override(NetworkSettings(), {"loss.name": name, "loss.class_weights": "balanced"}).loss
        plain, weighed = Objective(part, loss, CPU), Objective(part, loss, CPU, shares)
        each = torch.stack([plain(logits[[row]], rows[[row]]) for row in range(count)])
        expected = float((each * torch.from_numpy(count * shares)).sum())
        assert float(weighed(logits, rows)) == pytest.approx(expected, rel=1e-5)


def test_a_weight_is_the_chance_of_being_drawn(store: Store) -> None:
    part = part_of(store)
    shares = np.arange(len(part)) / sum(range(len(part)))
    settings = override(NetworkSettings(), {"boosting.rounds": 2, "boosting.by": "resampling", "train.batch_size": 32})
    batches = Batches(part, settings, CPU, shares)
    drawn = torch.cat([rows for epoch in range(300) for rows in batches.epoch(epoch)])
    assert len(drawn) == 300 * len(part)
    assert np.abs(drawn.bincount(minlength=len(part)).numpy() / len(drawn) - shares).max() < 0.004


def test_what_cannot_be_boosted_is_said(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"Set boosting\.by=resampling\."):
        override(NetworkSettings(), {"boosting.rounds": 2, "loss.name": "ldam", "model.classifier": "cosine"})
    with pytest.raises(ConfigError, match=r"train\.sampling=balanced draws them otherwise"):
        override(NetworkSettings(), {"boosting.rounds": 2, "boosting.by": "resampling", "train.sampling": "balanced"})
    *_, run = plan(recipe_from(RECIPE, "chance"), store, tmp_path)

    def hopeless(wrong: np.ndarray, weights: np.ndarray, classes: int) -> object:
        return boost(np.ones_like(wrong), weights, classes)

    monkeypatch.setattr(boosting, "boost", hopeless)
    finish_run(run)
    assert run.record.status == "failed"
    assert "as chance does, so boosting has nothing" in run.record.reason
    assert not (run.path / "members").exists()
    assert NonFinite.__doc__


def test_probabilities_are_those_of_the_exponential_loss() -> None:
    """Zhu 2009: with scores f of sum 0, one vote of alpha is (K-1)²/K alpha times (1, -1/(K-1), …), and
    p is proportional to exp(f / (K-1))."""
    classes, alphas, predicted = 5, np.array([0.7, 1.9, 0.4]), np.array([2, 0, 2])
    codes = np.where(np.eye(classes)[predicted] == 1, 1.0, -1 / (classes - 1))
    scores = ((classes - 1) ** 2 / classes * alphas[:, None] * codes).sum(axis=0)
    assert scores.sum() == pytest.approx(0)
    logs = torch.from_numpy(np.log(np.eye(classes)[predicted] + 0.01))[:, None]
    votes = weighted_votes({"alphas": torch.from_numpy(alphas)}, logs).numpy()
    np.testing.assert_allclose(softmax(votes)[0], np.exp(scores / (classes - 1)) / np.exp(scores / (classes - 1)).sum())
