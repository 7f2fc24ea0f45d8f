"""Snapshots of one training: the rate is that of the paper, members are the ends of its parts, one row, one file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from made_committees import exported_answers_as_its_run, finish_in_pieces, same_bytes, trained
from mien.compare import collect, plan, stated
from mien.config import NetworkSettings, OptimizerSettings, override, recipe_from
from mien.data.store import Store
from mien.errors import ConfigError
from mien.judge import judge
from mien.judge.ensembles import inside_rows
from mien.methods import find_method
from mien.methods.snapshots import last_epochs
from mien.optimise import learning_rate
from mien.report.sections.methods import describe_methods
from mien.runs import Run
from mien.runs.lines import read_line
from mien.stages import finish_run


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_the_rate_is_equation_2(parts: int) -> None:
    epochs, steps, peak = 10, 7, 0.2
    options = OptimizerSettings(lr=peak, schedule="cosine")
    total = epochs * steps
    for iteration in range(1, total + 1):  # t of the paper
        length = math.ceil(total / parts)
        expected = peak / 2 * (math.cos(math.pi * ((iteration - 1) % length) / length) + 1)
        epoch, step = divmod(iteration - 1, steps)
        assert learning_rate(options, epoch + step / steps, epochs, parts) == pytest.approx(expected, abs=1e-12)


def test_warm_up_is_in_the_first_part_alone() -> None:
    options = OptimizerSettings(lr=1.0, schedule="cosine", warmup_epochs=2)
    assert [learning_rate(options, epoch, 10, 2) for epoch in (1.0, 2.0, 5.0)] == pytest.approx([0.5, 1.0, 1.0])


RECIPE: dict[str, Any] = {
    "grid": {"model.name": ["compact-s"], "train.snapshots": [1, 3], "seed": [0]},
    "model": {"width": 0.25},
    "train": {"epochs": 6, "batch_size": 16},
    "optimizer": {"lr": 0.003, "schedule": "cosine"},
}


@pytest.fixture(scope="module")
def runs(place: Path, store: Store) -> list[Run]:
    return trained(RECIPE, store, place / "runs")


def test_a_row_is_several_networks_of_one_training(runs: list[Run]) -> None:
    assert all(run.finished for run in runs), [run.record.reason for run in runs]
    assert [len(run.record.test_opened_at) for run in runs] == [1, 1]
    comparison = collect(runs, vary=stated(recipe_from(RECIPE, "snapshots")))
    assert [row.name for row in comparison.rows] == ["compact-s, no snapshots", "compact-s, 3 snapshots"]
    said = describe_methods(judge(comparison))
    assert said is not None
    assert "(Huang, Li et al. 2017): one network alone or 3 snapshots, by row." in said.markdown
    assert "Train 1, get M for free".lower() in said.markdown.lower()
    alone, several = runs[0].record.costs, runs[1].record.costs
    assert several.parameters == 3 * alone.parameters
    assert [line.lr for line in runs[1].history] == pytest.approx([0.003, 0.0015] * 3)
    assert len(runs[1].history) == len(runs[0].history)
    assert not (runs[1].path / "epochs").exists()


def test_its_logits_are_the_mean_of_its_members_probabilities(runs: list[Run], store: Store) -> None:
    run = runs[1]
    test, network = run.logits("test"), find_method(run.settings).load(run).network  # type: ignore[attr-defined]
    faces = torch.from_numpy(store.read(test.ids)["face"])
    with torch.inference_mode():
        probs = torch.stack([member(faces).softmax(1) for member in network.members])
    assert len(probs) == 3
    assert (probs[0] != probs[2]).any()
    np.testing.assert_allclose(test.logits, probs.mean(0).log().numpy(), atol=1e-5)
    assert read_line(run.path).valid_accuracy == run.logits("valid").accuracy


def test_the_report_says_how_differently_its_networks_err(runs: list[Run], store: Store) -> None:
    (inside,) = inside_rows(collect(runs, vary=("train.snapshots",)).rows)
    run = runs[1]
    valid, network = run.logits("valid"), find_method(run.settings).load(run).network  # type: ignore[attr-defined]
    faces = torch.from_numpy(store.read(valid.ids)["face"])
    with torch.inference_mode():
        right = np.stack([member(faces).argmax(1).numpy() == valid.labels for member in network.members])
    assert (inside.name, inside.count) == ("compact-s, 3 snapshots", 3)
    assert inside.accuracy == valid.accuracy
    assert inside.mean_member == pytest.approx(right.mean())
    assert inside.best_member == pytest.approx(right.mean(axis=1).max())
    assert 0 <= inside.disagreement <= 1
    assert inside.disagreement >= abs(right[0] != right[1]).mean() / 3


def test_the_first_snapshot_is_a_shorter_training(runs: list[Run], store: Store, place: Path) -> None:
    """Until the rate rises again, it is the training of so many epochs, to the last bit."""
    short = {**RECIPE, "grid": {"model.name": ["compact-s"], "seed": [0]}}
    short["train"] = {**RECIPE["train"], "epochs": 2, "select": "last"}
    (run,) = plan(recipe_from(short, "short"), store, place / "short")
    finish_run(run)
    alone, several = (find_method(one.settings).load(one).network for one in (run, runs[1]))  # type: ignore[attr-defined]
    first = several.members[0].state_dict()
    assert all(torch.equal(own, first[name]) for name, own in alone.state_dict().items())


def test_stopped_anywhere_it_ends_with_the_same_bytes(runs: list[Run], place: Path, store: Store) -> None:
    again = plan(recipe_from(RECIPE, "again"), store, place / "stop")[1]
    assert len(finish_in_pieces(again)) > 21
    same_bytes(again, runs[1], ("model.safetensors", "logits.npz", "history.csv"))


def test_settings_that_give_no_snapshots_are_refused() -> None:
    good = {"train.epochs": 6, "train.snapshots": 3, "optimizer.schedule": "cosine"}
    assert list(last_epochs(override(NetworkSettings(), good))) == [2, 4, 6]
    for change, sentence in (
        ({"optimizer.schedule": "onecycle"}, r"falls at most once\. Set optimizer\.schedule=cosine\."),
        ({"train.epochs": 7}, r"train\.epochs=7 has no 3 equal parts for train\.snapshots\. Set train\.epochs=9\."),
        ({"boosting.rounds": 2}, "both make several networks"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            override(NetworkSettings(), {**good, **change})


@pytest.mark.long
def test_they_are_exported_as_one_file(runs: list[Run], place: Path, store: Store) -> None:
    exported_answers_as_its_run(runs[1], store, place / "snapshots.onnx")
