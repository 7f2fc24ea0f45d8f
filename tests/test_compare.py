"""From a recipe to runs, and from runs to a comparison: what may stand in one table, and what is pooled."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import made_runs
from conftest import TINY, Bars, plan_run
from mien.compare import Comparison, Row, collect, make, outline, plan, stated
from mien.config import Recipe, override, recipe_from
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import CompareError, ConfigError, DataError, RunError
from mien.metrics import scores
from mien.rows import level_words
from mien.runs import Run, find_runs
from mien.stages import finish_run


def recipe(grid: dict[str, list[Any]] | None = None, **tables: Any) -> Recipe:
    """The tiny settings with a grid; `networks` and other tables as in TOML."""
    plain = recipe_from({"grid": grid or {}, **tables}, "tiny")
    return Recipe(name="tiny", settings=override(plain.settings, TINY), grid=plain.grid, networks=plain.networks)


def finished(runs: Iterable[Run]) -> list[Run]:
    """The runs brought to an end without training."""
    return [made_runs.finish(run, divide(Store.open(run.data.store), run.settings.data)) for run in runs]


def only(comparison: Comparison) -> Row:
    (row,) = comparison.rows
    return row


# Plan


def test_a_plan_makes_a_folder_for_each_cell_in_order(tmp_path: Path, store: Store) -> None:
    chosen = recipe({"model.dropout": [0.0, 0.2], "seed": [0, 1]})
    runs = plan(chosen, store, tmp_path / "runs")
    assert [(run.settings.model.dropout, run.settings.seed) for run in runs] == [
        (0.0, 0), (0.0, 1), (0.2, 0), (0.2, 1),
    ]  # fmt: skip
    assert {path.parent.name for path in (tmp_path / "runs").glob("*/config.toml")} == {run.id for run in runs}
    assert (tmp_path / "runs/order.txt").read_text().split() == [run.id for run in runs]
    assert {run.record.status for run in runs} == {"running"}
    assert all(run.data.counts == {"train": 66, "valid": 21, "test": 30} for run in runs)


def test_the_same_plan_finds_its_runs_again(tmp_path: Path, store: Store) -> None:
    chosen = recipe({"model.dropout": [0.0, 0.2]})
    first = finished(plan(chosen, store, tmp_path))
    again = plan(chosen, store, tmp_path)
    assert [run.id for run in again] == [run.id for run in first]
    assert all(run.finished for run in again)
    wider = plan(recipe({"model.dropout": [0.2, 0.4]}), store, tmp_path)
    assert [run.finished for run in wider] == [True, False]


def test_a_run_says_all_of_its_settings(tmp_path: Path, store: Store) -> None:
    (run,) = plan(recipe(), store, tmp_path)
    assert run.settings.model.in_chans == 3
    assert run.settings.model.head == "gap"
    text = (run.path / "config.toml").read_text()
    assert all(key.rpartition(".")[2] in text for key in run.settings.flat())
    assert Run.open(run.path).settings == run.settings


def test_a_cell_that_comes_twice_is_one_run(tmp_path: Path, store: Store) -> None:
    runs = plan(recipe({"seed": [0, 0, 1]}), store, tmp_path)
    assert [run.settings.seed for run in runs] == [0, 1]
    assert len(only(collect(finished(runs))).tests) == 2


def test_a_store_that_has_moved_is_found(tmp_path: Path, bars: Bars) -> None:
    store = bars("old")
    (run,) = plan(recipe(), store, tmp_path / "runs")
    store.path.rename(tmp_path / "new")
    with pytest.raises(DataError, match="not a store"):
        finish_run(run)
    (again,) = plan(recipe(), Store.open(tmp_path / "new"), tmp_path / "runs")
    assert again.id == run.id
    assert again.data.store == str(tmp_path / "new")
    assert Run.open(run.path).data == again.data


def test_a_store_that_has_changed_is_refused_when_a_run_goes_on(tmp_path: Path, bars: Bars) -> None:
    (run,) = plan(recipe(), bars("one"), tmp_path / "runs")
    (tmp_path / "one").rename(tmp_path / "kept")
    bars("one", noise_split="train")
    with pytest.raises(DataError, match=r"has changed since its runs were planned"):
        finish_run(run)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"grid": {"model.name": ["compact-s", "vgg61"]}}, "model.name is 'vgg61'"),
        ({"grid": {"train.sizes": [[16], [48]], "model.head": ["flat"]}}, "made for faces of 16 px"),
        ({"grid": {"data.fold": [0]}, "data": {"protocol": "loso"}}, "needs the subject of every sample"),
    ],
)
def test_what_cannot_run_is_refused_before_a_folder_is_made(
    tmp_path: Path, store: Store, changes: dict[str, Any], sentence: str
) -> None:
    grid = changes.pop("grid")
    chosen = recipe(grid, **changes)
    with pytest.raises((ConfigError, DataError), match=sentence):
        plan(chosen, store, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"Cannot write into .*Not a directory"):
        plan(recipe(), store, tmp_path / "file")


# Collect: alike or not


def test_rows_are_networks_with_their_factors(tmp_path: Path, store: Store) -> None:
    chosen = recipe({"model.name": ["vgg_paper", "compact-s"], "model.dropout": [0.2, 0.0], "seed": [1, 0]})
    comparison = collect(finished(plan(chosen, store, tmp_path)))
    assert [row.name for row in comparison.rows] == [
        "vgg_paper, dropout 0.2",
        "vgg_paper, no dropout",
        "compact-s, dropout 0.2",
        "compact-s, no dropout",
    ]
    assert comparison.factors == ("model.name", "model.dropout")
    assert comparison.seeds == (0, 1)
    assert [run.settings.seed for run in comparison.rows[0].runs] == [0, 1]
    assert comparison.equal["train.epochs"] == 3
    assert not {"model.name", "model.dropout", "seed"} & comparison.equal.keys()


def test_rows_that_differ_in_one_thing_each_are_named_by_that_thing(tmp_path: Path, store: Store) -> None:
    """A full crossing names every level; one plain row and changes of it leave the defaults out."""
    changes: list[dict[str, Any]] = [{}, {"loss.name": "focal"}, {"train.sampling": "balanced"}]
    runs = [plan(recipe().changed(change), store, tmp_path)[0] for change in changes]
    vary = ["loss.name", "train.sampling"]
    assert [row.name for row in collect(runs, vary).rows] == [
        "compact-s",
        "compact-s, loss focal",
        "compact-s, sampling balanced",
    ]
    assert [row.name for row in collect(runs[:2], vary).rows] == [
        "compact-s, loss cross-entropy",
        "compact-s, loss focal",
    ]


def test_rows_come_as_their_runs_do_and_runs_by_seed(tmp_path: Path, store: Store) -> None:
    runs = finished(plan(recipe({"model.dropout": [0.0, 0.2], "seed": [0, 1]}), store, tmp_path))
    one, other = collect(runs), collect(runs[::-1])
    assert [row.name for row in one.rows] == [row.name for row in other.rows[::-1]]
    assert [row.name for row in one.rows] == ["compact-s, no dropout", "compact-s, dropout 0.2"]
    assert [[run.id for run in row.runs] for row in one.rows] == [
        [run.id for run in row.runs] for row in other.rows[::-1]
    ]


def test_a_folder_of_runs_keeps_the_order_of_the_latest_recipe(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "runs"
    first = plan(recipe({"model.name": ["vgg_paper", "compact-m", "compact-s"]}), store, folder)
    assert [run.id for run in find_runs(folder)] == [run.id for run in first]
    later = plan(recipe({"model.name": ["compact-s", "compact-l", "vgg_paper"]}), store, folder)
    stranger = plan_run(folder, store, train__epochs=7)
    assert [run.id for run in find_runs(folder)] == [*(run.id for run in later), first[1].id, stranger.id]
    order = folder / "order.txt"
    order.write_bytes(b"\xff\xfe no run\n" + order.read_bytes())
    assert [run.id for run in find_runs(folder)][:3] == [run.id for run in later]


def test_an_outline_writes_nothing(tmp_path: Path, store: Store) -> None:
    folder, chosen = tmp_path / "runs", recipe({"seed": [0, 1]})
    runs = outline(chosen, store, folder)
    assert not folder.exists()
    assert [run.record.status for run in runs] == ["running", "running"]
    make(runs[:1], folder)
    again = outline(chosen, store, folder)
    assert [run.id for run in again] == [run.id for run in runs]
    assert len(find_runs(folder)) == 1


def test_settings_that_differ_are_refused_by_name(tmp_path: Path, store: Store) -> None:
    one, other = plan_run(tmp_path, store, train__epochs=60), plan_run(tmp_path, store, train__epochs=90)
    with pytest.raises(CompareError) as caught:
        collect([one, other])
    assert str(caught.value) == (
        f"Cannot compare {one.id} with {other.id}: train.epochs differs (60, 90). "
        "Pass --vary train.epochs to state it in the report."
    )
    comparison = collect(finished([one, other]), vary=["train.epochs"])
    assert [row.name for row in comparison.rows] == ["compact-s, epochs 60", "compact-s, epochs 90"]
    assert "train.epochs" in comparison.factors


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data__valid_fraction": 0.2}, "data.valid_fraction"),
        ({"data__folds": 7}, "data.folds"),
        ({"data__protocol": "kfold"}, "data.protocol"),
        ({"augment__flip": True}, "augment.flip"),
        ({"optimizer__lr": 0.01}, "optimizer.lr"),
    ],
)
def test_nothing_but_the_network_and_the_seed_may_differ_unsaid(
    tmp_path: Path, store: Store, changes: dict[str, Any], key: str
) -> None:
    runs = [plan_run(tmp_path, store), plan_run(tmp_path, store, **changes)]
    with pytest.raises(CompareError, match=f"{key} differs"):
        collect(runs)
    collect(runs, vary=[key])


def test_vary_takes_whole_names_and_names_the_nearest(tmp_path: Path, store: Store) -> None:
    runs = [plan_run(tmp_path, store), plan_run(tmp_path, store, train__epochs=4)]
    with pytest.raises(ConfigError, match=r"no setting 'train\.epoch'\. Did you mean 'train\.epochs'"):
        collect(runs, vary=["train.epoch"])
    with pytest.raises(CompareError, match=r"train\.epochs differs"):
        collect(runs, vary=["optimizer.lr"])


def test_different_data_is_refused(tmp_path: Path, bars: Bars) -> None:
    runs = [plan_run(tmp_path, bars("a")), plan_run(tmp_path, bars("b", noise_split="test"))]
    prints = [run.data.fingerprint[:8] for run in runs]
    with pytest.raises(CompareError) as caught:
        collect(runs)
    assert str(caught.value) == (
        f"Cannot compare {runs[0].id} with {runs[1].id}: they were trained on different data (bars {prints[0]}, "
        f"bars {prints[1]}). Keep the runs of each store in a folder of their own."
    )


@pytest.mark.parametrize("name", ["labels", "crop"])
def test_runs_of_one_store_that_say_different_things_of_it_are_refused(tmp_path: Path, store: Store, name: str) -> None:
    """A label taken out of one run's `data.json` ended the report in a traceback."""
    first, second = plan_run(tmp_path, store), plan_run(tmp_path, store, seed=7)
    path = second.path / "data.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts[name] = facts[name][1:] if name == "labels" else facts[name] | {"margin": 0.5}
    path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(CompareError, match=rf"their data\.json differ in {name}, so one of the two is damaged"):
        collect([first, Run.open(second.path)])


def test_no_runs_are_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="no run to compare"):
        collect(find_runs(tmp_path))
    with pytest.raises(RunError, match="not a folder of runs"):
        find_runs(tmp_path / "nowhere")


def test_what_a_network_has_of_its_own_is_stated_and_is_no_factor(tmp_path: Path, store: Store) -> None:
    chosen = recipe(
        {"model.name": ["vgg_paper", "compact-s"]}, networks={"vgg_paper": {"optimizer.lr": 0.01, "model.head": "gap"}}
    )
    runs = finished(plan(chosen, store, tmp_path))
    assert stated(chosen) == ("model.name", "optimizer.lr", "model.head")
    comparison = collect(runs, vary=stated(chosen))
    assert comparison.factors == ("model.name",)
    assert comparison.own == {"optimizer.lr": {"compact-s": 0.003, "vgg_paper": 0.01}}
    assert [row.name for row in comparison.rows] == ["vgg_paper", "compact-s"]
    with pytest.raises(CompareError, match=r"optimizer\.lr differs"):
        collect(runs)


def test_failed_and_pending_runs_are_counted(tmp_path: Path, store: Store) -> None:
    runs = plan(recipe({"seed": [0, 1, 2, 3]}), store, tmp_path)
    finished(runs[:1])
    runs[1].update(status="failed", reason="The loss became nan.")
    runs[2].update(status="crashed", reason="Its process was ended.")
    row = only(collect(runs))
    assert [run.id for run in row.runs] == [runs[0].id]
    assert row.failures == (f"{runs[1].id}: The loss became nan.", f"{runs[2].id}: Its process was ended.")
    assert row.pending == 1
    assert len(row.scores) == 1


# Collect: pooled folds


@pytest.mark.parametrize("protocol", ["kfold", "group-kfold", "loso"])
def test_the_folds_of_a_replicate_are_pooled(tmp_path: Path, bars: Bars, protocol: str) -> None:
    store = bars(subjects=True, splits=(("train", 40), ("test", 20)))
    chosen = recipe({"seed": [0, 1]}, data={"protocol": protocol, "folds": 3, "valid_fraction": 0.3})
    runs = finished(plan(chosen, store, tmp_path / "runs"))
    folds = 15 if protocol == "loso" else 3
    assert len(runs) == 2 * folds
    assert [run.settings.data.fold for run in runs] == [*range(folds)] * 2
    row = only(collect(runs))
    assert row.folds == folds
    assert list(row.tests) == [(0, 0), (1, 0)]
    for key, test in row.tests.items():
        own = [run for run in row.runs if run.settings.seed == key[0]]
        assert test.ids.tolist() == list(range(60)), "each sample once, in order"
        assert np.array_equal(test.labels, store.samples.label)
        assert np.array_equal(test.subjects, store.samples.subject)
        assert set(test.groups) == {"half"}
        for run in own:
            part = run.logits("test")
            assert np.array_equal(test.logits[part.ids], part.logits)
    pooled = row.tests[0, 0]
    assert row.scores[0].accuracy == scores(pooled.logits, pooled.labels).accuracy
    assert len(row.valids[0, 0]) == folds


def test_a_replicate_that_lacks_a_fold_is_left_out(tmp_path: Path, bars: Bars) -> None:
    chosen = recipe({"seed": [0, 1]}, data={"protocol": "kfold", "folds": 3})
    runs = plan(chosen, bars(), tmp_path / "runs")
    finished(runs[:-1])
    row = only(collect(runs))
    assert list(row.tests) == [(0, 0)]
    assert (len(row.runs), len(row.partial), row.pending) == (3, 2, 1)
    assert row.gaps == ("seed 1 lacks 1 of 3 folds (counted from 0): fold 2 is not finished",)
    assert len(collect(runs).runs) == 5, "what has seen the test is counted"


def test_repetitions_of_a_cross_validation_are_replicates(tmp_path: Path, bars: Bars) -> None:
    chosen = recipe({"data.repeat": [0, 1]}, data={"protocol": "kfold", "folds": 3})
    row = only(collect(finished(plan(chosen, bars(), tmp_path / "runs"))))
    assert list(row.tests) == [(0, 0), (0, 1)]
    first, second = (
        [run.logits("test").ids.tolist() for run in row.runs if run.settings.data.repeat == r] for r in (0, 1)
    )
    assert first != second


def test_cross_validation_trains_chooses_and_judges_apart(tmp_path: Path, bars: Bars) -> None:
    store = bars(subjects=True)
    chosen = recipe(data={"protocol": "group-kfold", "folds": 2}, train={"select": "best"})
    runs = plan(chosen, store, tmp_path / "runs")
    for run in runs:
        finish_run(run)
        valid, test = run.logits("valid"), run.logits("test")
        assert not set(valid.ids) & set(test.ids)
        assert not set(valid.subjects) & set(test.subjects)
        assert run.record.selected_epoch == max(run.history, key=lambda e: (e.valid_accuracy, -e.valid_loss)).epoch
        assert sum(run.data.counts.values()) == len(store)
    assert only(collect(runs)).tests[0, 0].ids.tolist() == list(range(len(store)))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model.dropout", 0, "no dropout"),
        ("model.dropout", 0.2, "dropout 0.2"),
        ("loss.name", "focal", "loss focal"),
        ("loss.class_weights", "none", "no class weights"),
        ("model.beside", "", "the face alone"),
        ("model.beside", "landmarks", "and landmarks"),
        ("start.weights", "", "from random weights"),
        ("data.train_limit", 2400, "2,400 training faces"),
    ],
)
def test_a_level_of_a_factor_is_named_as_one_would_say_it(key: str, value: Any, words: str) -> None:
    assert level_words(key, value) == words
