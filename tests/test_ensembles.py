"""Ensembles: each rule held to a property or a reference; and as rows of a comparison, from planning to the page."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import write_bars
from mien.bundle import Bundle
from mien.calibration import softmax
from mien.cli import main
from mien.compare import collect, plan, stated
from mien.config import override, recipe_from
from mien.data.store import Store
from mien.ensembles import RULES, cross_fitted
from mien.ensembles.diversity import disagreement, q_statistic
from mien.errors import CompareError, ConfigError, MemberMissing
from mien.examine.labelnoise import out_of_sample
from mien.export import export
from mien.joining import outline_ensembles
from mien.judge import judge
from mien.judge.ensembles import joined_rows
from mien.judge.imbalance import is_plain
from mien.judge.openings import count_openings
from mien.judge.replicates import shared
from mien.methods import find_method
from mien.methods.ensemble import joined_logits, members_of, out_of_bag
from mien.report import write_report
from mien.runs import Run, find_runs
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 400)
SIGNAL = 1.5 * np.eye(4)[LABELS]
MEMBERS = np.stack([SIGNAL + RNG.normal(0, 1.5, (400, 4)) for _ in range(5)])


def joined(rule: str, logits: np.ndarray, labels: np.ndarray = LABELS) -> np.ndarray:
    fit = RULES[rule].fit
    return RULES[rule].join(fit(MEMBERS[: len(logits)], labels) if fit else {}, logits)


def accuracy(logits: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == LABELS).mean())


@pytest.mark.parametrize("rule", ["mean", "logits", "weighted", "greedy"])
def test_one_member_alone_is_unchanged(rule: str) -> None:
    np.testing.assert_allclose(softmax(joined(rule, MEMBERS[:1])), softmax(MEMBERS[0]), atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_joining_independent_members_gains(rule: str) -> None:
    assert accuracy(joined(rule, MEMBERS)) > max(accuracy(one) for one in MEMBERS) + 0.05


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_members_does_not_matter(rule: str) -> None:
    fit, turned = RULES[rule].fit, MEMBERS[::-1]
    again = RULES[rule].join(fit(turned, LABELS) if fit else {}, turned)
    np.testing.assert_allclose(softmax(again), softmax(joined(rule, MEMBERS)), atol=1e-3)


def test_the_mean_is_that_of_probabilities_and_the_other_that_of_logs() -> None:
    probs = np.stack([softmax(one) for one in MEMBERS])
    np.testing.assert_allclose(softmax(joined("mean", MEMBERS)), probs.mean(axis=0))
    geometric = np.exp(np.log(probs).mean(axis=0))
    np.testing.assert_allclose(softmax(joined("logits", MEMBERS)), geometric / geometric.sum(axis=1, keepdims=True))


def test_a_majority_wins_and_the_mean_settles_ties() -> None:
    sure = np.log([[0.98, 0.01, 0.01]])
    two = np.log([[0.3, 0.4, 0.3]])
    assert joined("vote", np.stack([sure, two, two])).argmax() == 1
    assert joined("vote", np.stack([sure, two])).argmax() == 0


def test_weights_climb_the_likelihood_and_leave_noise_out() -> None:
    noise = RNG.normal(0, 3, (1, 400, 4))
    members = np.concatenate([MEMBERS[:2], noise])
    fit = RULES["weighted"].fit
    assert fit is not None
    weights = fit(members, LABELS)["weights"]
    assert weights.sum() == pytest.approx(1)
    assert weights[2] < 0.05
    assert _likelihood(RULES["weighted"].join({"weights": weights}, members)) >= _likelihood(joined("mean", members))
    greedy = RULES["greedy"].fit
    assert greedy is not None
    assert greedy(members, LABELS)["weights"][2] < 0.05


def _likelihood(logits: np.ndarray) -> float:
    return float(np.log(softmax(logits)[np.arange(len(LABELS)), LABELS]).mean())


def test_stacking_is_scikit_learns_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    from mien.calibration import log_softmax

    columns = np.concatenate([np.maximum(log_softmax(one), -12) for one in MEMBERS], axis=1)
    theirs = LogisticRegression(C=0.01, max_iter=1000).fit(columns, LABELS).predict_proba(columns)
    np.testing.assert_allclose(softmax(joined("stacking", MEMBERS)), theirs, atol=1e-9)


def test_stacking_does_with_two_classes_and_with_one() -> None:
    fit, join = RULES["stacking"].fit, RULES["stacking"].join
    assert fit is not None
    two = LABELS % 2
    fitted = fit(MEMBERS, two)
    assert set(join(fitted, MEMBERS).argmax(axis=1)) <= {0, 1}
    assert set(join(fit(MEMBERS, np.full(400, 2)), MEMBERS).argmax(axis=1)) == {2}


def test_cross_fitting_sees_no_sample_of_the_unit_that_it_predicts() -> None:
    """Labels are noise, and known per subject: only a rule that has seen a subject can predict it."""
    noise, units = RNG.integers(0, 4, 400), np.repeat(np.arange(40), 10)
    given = RNG.normal(0, 1, (12, 400, 4))
    fit, join = RULES["stacking"].fit, RULES["stacking"].join
    assert fit is not None
    inside = (join(fit(given, noise), given).argmax(axis=1) == noise).mean()
    crossed = (cross_fitted(RULES["stacking"], given, noise, units, 0).argmax(axis=1) == noise).mean()
    assert inside > crossed + 0.05
    changed = noise.copy()
    changed[units == 7] = (changed[units == 7] + 1) % 4
    before, after = (cross_fitted(RULES["stacking"], given, one, units, 0) for one in (noise, changed))
    np.testing.assert_array_equal(before[units == 7], after[units == 7])
    assert (before != after).any()


def test_diversity_is_that_of_the_textbook() -> None:
    labels = np.zeros(4, np.int64)
    a, b = ([[1.0, 0]] * 2 + [[0.0, 1]] * 2), ([[1.0, 0], [0, 1]] * 2)
    both = np.array([a, b])
    assert disagreement(both) == 0.5
    assert q_statistic(both, labels) == 0.0
    assert np.isnan(disagreement(both[:1]))
    assert np.isnan(q_statistic(both[:1], labels))


RECIPE: dict[str, Any] = {
    "grid": {"model.name": ["compact-s"], "model.dropout": [0.0, 0.3], "seed": [0, 1]},
    "model": {"width": 0.25},
    "train": {"epochs": 2, "batch_size": 16},
    "rows": {
        "averaged": {"kind": "ensemble"},
        "stacked": {"kind": "ensemble", "ensemble": {"rule": "stacking"}},
        "deep": {"kind": "ensemble", "ensemble": {"seeds": 2}},
    },
}


@pytest.fixture(scope="module")
def runs(place: Path) -> list[Run]:
    store = write_bars(place / "store")
    planned = plan(recipe_from(RECIPE, "ensembles"), store, place / "runs")
    for run in planned:
        finish_run(run)
    return planned


def test_an_ensemble_is_made_after_its_members_and_opens_no_test(runs: list[Run]) -> None:
    assert [run.settings.name for run in runs] == ["compact-s"] * 4 + ["averaged"] * 2 + ["stacked"] * 2 + ["deep"]
    assert all(run.finished for run in runs), [run.record.reason for run in runs]
    assert [len(run.record.test_opened_at) for run in runs] == [1] * 4 + [0] * 5
    for run in runs[4:6]:
        assert {member.settings.seed for member in members_of(run)} == {run.settings.seed}
        np.testing.assert_allclose(
            run.logits("test").logits, RULES["mean"].join({}, joined_logits(run, "test")), rtol=1e-6
        )
    assert [(member.settings.seed) for member in members_of(runs[-1])] == [0, 1, 0, 1]


def test_the_saved_logits_are_those_of_its_classifier(runs: list[Run]) -> None:
    store, run = Store.open(runs[0].data.store), runs[6]
    test = run.logits("test")
    assert run.settings.name == "stacked"
    logits = find_method(run.settings).load(run).logits(store.read(test.ids))
    np.testing.assert_allclose(logits, test.logits, atol=1e-4)


def test_it_costs_what_its_members_cost(runs: list[Run]) -> None:
    members, costs = members_of(runs[4]), runs[4].record.costs
    assert costs.parameters == sum(member.record.costs.parameters for member in members)
    assert costs.flops == sum(member.record.costs.flops for member in members)


def test_a_member_that_was_not_measured_costs_what_its_row_does(runs: list[Run]) -> None:
    measured = {"predict_peak_mb": 100.0, "predict_images_per_second": 50.0, "predict_batch": 64}
    members, deep = members_of(runs[-1]), runs[-1]
    before = [member.record.costs for member in members]
    for member in members:
        if member.settings.seed == 0:
            member.update(costs=replace(member.record.costs, **measured))
    costs = find_method(deep.settings).costs(deep)
    for member, own in zip(members, before, strict=True):
        member.update(costs=own)
    assert (costs.predict_peak_mb, costs.predict_batch) == (400.0, 64)
    assert costs.predict_images_per_second == pytest.approx(50 / 4)


def test_several_seeds_are_held_against_the_mean_of_the_same_seeds(runs: list[Run]) -> None:
    comparison = collect(runs, vary=stated(recipe_from(RECIPE, "ensembles")))
    rows = {row.name: row for row in comparison.rows}
    best = next(row for row in joined_rows(comparison.rows) if row.name == "deep").best_member
    pair = judge(comparison).certainty.between("deep", best)
    assert pair is not None
    assert pair.verdict.seeds == 1
    members = np.mean([score.accuracy for score in rows[best].scores])
    sign = 1 if pair.a == "deep" else -1
    assert sign * pair.effect == pytest.approx(rows["deep"].scores[0].accuracy - members)
    assert shared([rows["deep"], rows["averaged"]]) == (((0, 1), 0),)


def test_ensembles_open_no_test_doubt_no_label_and_are_plain_if_their_members_are(runs: list[Run]) -> None:
    comparison = collect(runs, vary=stated(recipe_from(RECIPE, "ensembles")))
    assert count_openings(comparison, None).settings == 2
    assert set(out_of_sample(runs).runs) == {run.id for run in runs[:4]}
    averaged = next(row for row in comparison.rows if row.name == "averaged")
    votes = tuple(Run(run.path, override(run.settings, {"ensemble.rule": "vote"}), run.data) for run in averaged.runs)
    assert is_plain(averaged)
    assert not is_plain(replace(averaged, runs=votes))


def test_the_page_holds_each_against_its_best_member(runs: list[Run], tmp_path: Path) -> None:
    comparison = collect(runs, vary=stated(recipe_from(RECIPE, "ensembles")))
    by_name = {row.name: row for row in joined_rows(comparison.rows)}
    assert set(by_name) == {"averaged", "stacked", "deep"}
    assert by_name["deep"].count == 4
    assert by_name["averaged"].parameters == pytest.approx(2)
    assert by_name["stacked"].fitted
    assert judge(comparison).certainty.between("averaged", by_name["averaged"].best_member)
    page = write_report(comparison, tmp_path / "report")
    assert "What joining networks gained" in page.read_text(encoding="utf-8")
    methods = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")
    assert "**Ensembles.** averaged joins 2 runs of" in methods
    assert "cross-fitted: each face" in methods
    said = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert {"averaged", "stacked", "deep"} <= {row["name"] for row in said["rows"]}


def test_the_same_recipe_finds_its_ensembles_again_and_their_id_follows_from_their_members(
    runs: list[Run], place: Path
) -> None:
    store = Store.open(place / "store")
    assert [run.id for run in plan(recipe_from(RECIPE, "again"), store, place / "runs")] == [run.id for run in runs]
    other = {**RECIPE, "train": {**RECIPE["train"], "epochs": 1}}
    ids = {run.id for run in plan(recipe_from(other, "other"), store, place / "others")}
    assert not ids & {run.id for run in runs}


def test_a_member_that_is_not_finished_leaves_it_to_be_tried_again(place: Path) -> None:
    small = {**RECIPE, "grid": {**RECIPE["grid"], "seed": [0]}, "rows": {"averaged": {"kind": "ensemble"}}}
    planned = plan(recipe_from(small, "small"), Store.open(place / "store"), place / "unfinished")
    finish_run(planned[0])
    finish_run(planned[-1])
    record = planned[-1].record
    assert record.status == "crashed"
    assert "Finish it first." in record.reason
    with pytest.raises(MemberMissing):
        members_of(planned[-1])
    finish_run(planned[1])
    finish_run(planned[-1])
    assert planned[-1].finished


@pytest.mark.long
def test_the_verb_joins_what_is_there(runs: list[Run], place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = place / "members"
    members.mkdir()
    for run in runs[:4]:
        (members / run.id).symlink_to(run.path)
    with pytest.raises(SystemExit) as ended:
        main(["ensemble", str(members), "-r", "vote", "-r", "greedy", "--out", str(place / "page"), "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert {"vote-of-2", "greedy-of-2"} <= {row["name"] for row in said["rows"]}
    assert all(run.finished for run in find_runs(members))


def test_the_verb_joins_the_run_folders_that_it_is_given(
    runs: list[Run], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, elsewhere = place / "named", place / "elsewhere"
    for folder in (named, elsewhere):
        folder.mkdir()
        for run in runs[:4]:
            (folder / run.id).symlink_to(run.path)
    first = [run for run in runs[:4] if run.settings.seed == 0]
    words = ["ensemble", *(str(named / run.id) for run in first), "--name", "pair", "--out", str(place / "pair")]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["seeds"] for row in said["rows"] if row["name"] == "pair"] == [[0]]
    joined = [run for run in find_runs(named) if run.settings.JOINS]
    assert {run.id for one in joined for run in members_of(one)} == {run.id for run in first}
    with pytest.raises(SystemExit) as ended:
        main(["ensemble", str(named / first[0].id), str(elsewhere / first[1].id)])
    assert ended.value.code == 2
    assert "joins runs of one folder" in capsys.readouterr().err


def test_what_cannot_be_joined_is_said(runs: list[Run], place: Path) -> None:
    rows = collect(runs, vary=("model.dropout",)).rows
    with pytest.raises(CompareError, match="joins two runs or more"):
        outline_ensembles(rows[:1], ["mean"], seeds=1)
    with pytest.raises(CompareError, match="no finished row"):
        outline_ensembles([], ["mean"])
    with pytest.raises(ConfigError, match=r"ensemble\.rule is 'best'; it must be one of mean, logits"):
        outline_ensembles(rows, ["best"])
    absent = {**RECIPE, "rows": {"x": {"kind": "ensemble", "ensemble": {"members": ["vgg16"]}}}}
    with pytest.raises(ConfigError, match="x joins vgg16, and there is no such row; there are compact-s"):
        plan(recipe_from(absent, "absent"), Store.open(place / "store"), place / "absent")


@pytest.mark.parametrize("rule", RULES)
def test_the_graph_joins_as_the_rule_does(rule: str) -> None:
    import torch

    fit = RULES[rule].fit
    fitted = dict(fit(MEMBERS, LABELS)) if fit else {}
    logs = torch.from_numpy(MEMBERS).log_softmax(dim=2)
    graph = RULES[rule].graph({name: torch.from_numpy(array) for name, array in fitted.items()}, logs)
    np.testing.assert_allclose(softmax(graph.numpy()), softmax(RULES[rule].join(fitted, MEMBERS)), atol=1e-9)


@pytest.mark.long
def test_an_ensemble_is_exported_as_one_file_and_can_teach(runs: list[Run], place: Path) -> None:
    run, out = runs[6], place / "stacked.onnx"
    card = export(run, out)
    test = run.logits("test")
    store = Store.open(run.data.store)
    logits = Bundle.open(out).logits(store.read(test.ids))
    np.testing.assert_allclose(logits, test.logits, atol=1e-3)
    assert card.network == "stacked"
    assert card.test["accuracy"].value == pytest.approx((test.logits.argmax(axis=1) == test.labels).mean())
    for teacher, name in ((out, "by-file"), (run.path, "by-run")):
        with pytest.raises(SystemExit) as ended:
            main(["data", "teach", str(store.path), "--model", str(teacher), "--out", str(place / name)])
        assert ended.value.code == 0
    by_file, by_run = Store.open(place / "by-file"), Store.open(place / "by-run")
    assert by_file.samples.soft is not None
    np.testing.assert_array_equal(by_run.samples.soft, by_file.samples.soft)
    assert f"the mean probability of {run.id} (" in by_run.meta.notes[-1]


def test_a_bag_holds_632_of_1000_samples() -> None:
    from mien.data.batches import bootstrap

    shares = [len(set(bootstrap(seed, 5000).tolist())) / 5000 for seed in range(10)]
    assert np.mean(shares) == pytest.approx(1 - np.exp(-1), abs=0.005)
    assert bootstrap(3, 50).tolist() == bootstrap(3, 50).tolist() != bootstrap(4, 50).tolist()


def test_bagged_members_estimate_themselves_out_of_the_bag(runs: list[Run], place: Path) -> None:
    bagged = {
        "grid": {"model.name": ["compact-s"], "seed": [0, 1, 2, 3]},
        "model": {"width": 0.25},
        "train": {"epochs": 2, "batch_size": 16, "sampling": "bootstrap"},
        "rows": {"bagging": {"kind": "ensemble", "ensemble": {"seeds": 4}}},
    }
    store = Store.open(runs[0].data.store)
    planned = plan(recipe_from(bagged, "bagging"), store, place / "bagged")
    for run in planned:
        finish_run(run)
    found = out_of_bag(planned[-1])
    assert found is not None
    accuracy, count = found
    training = len(store.rows("train"))
    assert 0.7 * training < count <= training  # four members leave out 1 − 0.632⁴ = 84 % at least once
    assert 0.2 < accuracy <= 1
    assert joined_rows(collect(planned).rows)[0].out_of_bag == accuracy
