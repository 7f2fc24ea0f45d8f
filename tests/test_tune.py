"""Tuning: the test stays sealed, folders are the study, timing changes nothing, and the report says what was done."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from conftest import TINY, Bars
from mien.cli import main
from mien.config import Recipe, Within, recipe_from
from mien.data.store import Store
from mien.engines import Report
from mien.errors import ConfigError, RunError
from mien.hooks import Hooks
from mien.runs import Run
from mien.stages import finish_run
from mien.tune import Trial, read_axis
from mien.tune.pruning import FEWEST, stopping_epoch
from mien.tune.record import Tuning, find_tunings
from mien.tune.sampler import Sampler
from mien.tune.search import STAGES, Plan, Search, search

TABLES: dict[str, Any] = {
    "model": {"name": "compact-s", "width": 0.25},
    "train": {"epochs": 3, "batch_size": 22, "micro_batch": 0},
    "optimizer": {"lr": 0.003},
}
OVER = ("optimizer.lr=1e-6..1e-2", "model.dropout=0..0.5")


def tables(**changes: Any) -> Recipe:
    return recipe_from({**TABLES, **changes}, "tiny")


def plan(store: Store, runs: Path, trials: int = 10, over: Sequence[str] = OVER, **others: Any) -> Plan:
    return Plan.of(tables(), over, trials=trials, store=store, runs=runs, **others)


def finish(runs: Sequence[Run], report: Report) -> None:
    """An engine in this process."""
    for run in runs:
        finish_run(run, STAGES, Hooks(report=partial(report, run)))


@pytest.fixture(scope="module")
def searched(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Search]:
    """A search with trials that were stopped."""
    made = plan(store, tmp_path_factory.mktemp("runs"))
    before = len(store.openings())
    found = search(made, finish)
    assert len(store.openings()) == before
    return made, found


def test_no_trial_opens_the_test(searched: tuple[Plan, Search]) -> None:
    made, found = searched
    assert found.openings == 0
    for trial in found.trials:
        run = Run.open(made.folder / trial.run)
        assert not run.record.test_opened_at
        assert "test" not in run.record.stages
        assert run.record.status != "finished"
        if trial.status == "complete":
            assert run.record.stages == STAGES
            assert not [name for name in np.load(run.path / "logits.npz").files if name.startswith("test")]


def test_the_first_trial_is_the_recipes_own_and_some_are_stopped(searched: tuple[Plan, Search]) -> None:
    made, found = searched
    assert found.trials[0].values == made.own == {"optimizer.lr": 0.003, "model.dropout": 0.0}
    assert [trial.number for trial in found.trials] == list(range(10))
    statuses = [trial.status for trial in found.trials]
    assert set(statuses) == {"complete", "pruned"}
    assert statuses[:4] == ["complete"] * 4
    for trial in found.trials:
        run = Run.open(made.folder / trial.run)
        assert (run.record.status == "pruned") == (trial.status == "pruned")
        assert len(trial.history) < 3 or trial.status == "complete"
        assert 1e-6 <= trial.values["optimizer.lr"] <= 1e-2
    assert found.best.score == max(trial.score for trial in found.trials if trial.status == "complete")


def test_the_folders_are_the_study(searched: tuple[Plan, Search]) -> None:
    """Asked again, nothing is trained; asked for more or fewer trials, those that are there are the same."""
    made, found = searched

    def none(runs: Sequence[Run], report: Report) -> None:
        pytest.fail(f"{[run.id for run in runs]} are trained again")

    assert search(made, none) == found
    fewer = search(plan(made.store, made.runs, trials=6), none)
    assert fewer.trials == found.trials[:6]


@pytest.mark.long
def test_neither_timing_nor_interruption_changes_a_search(searched: tuple[Plan, Search], tmp_path: Path) -> None:
    made, found = searched

    def deaf(runs: Sequence[Run], report: Report) -> None:
        """In another order, and every order to stop comes too late."""
        for run in reversed(runs):
            finish_run(run, STAGES, Hooks(report=lambda progress, run=run: report(run, progress) and None))

    late = search(plan(made.store, tmp_path / "late"), deaf)
    assert late.trials == found.trials

    killed: list[str] = []

    def stopped(runs: Sequence[Run], report: Report) -> None:
        for run in runs:
            finish_run(run, STAGES, Hooks(report=partial(report, run)))
            if run.id not in killed:
                killed.append(run.id)
                raise KeyboardInterrupt

    again = plan(made.store, tmp_path / "killed")
    for _ in range(40):
        try:
            assert search(again, stopped).trials == found.trials
            break
        except KeyboardInterrupt:
            continue
    assert len(killed) == 10


def test_a_stopped_trial_goes_on_where_the_rule_is_lifted(searched: tuple[Plan, Search], tmp_path: Path) -> None:
    made, found = searched
    stopped = next(trial for trial in found.trials if trial.status == "pruned")
    source = made.folder / stopped.run
    run = Run.create(tmp_path, Run.open(source).settings, made.store, Run.open(source).fold())
    for name in ("history.csv", "checkpoint.safetensors", "next.safetensors", "record.json", "env.json"):
        if (source / name).exists():
            (run.path / name).write_bytes((source / name).read_bytes())
    run = Run.open(run.path)
    assert run.record.status == "pruned"
    epochs = len(run.history)
    finish_run(run, STAGES)
    run = Run.open(run.path)
    assert run.record.stages == STAGES
    assert len(run.history) == 3 > epochs


def test_a_rule_of_histories_that_is_optunas() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        epochs = int(rng.integers(2, 9))
        earlier = [tuple(rng.random(epochs).round(2)) for _ in range(int(rng.integers(0, 9)))]
        history = tuple(rng.random(epochs).round(2))
        study = optuna.create_study(
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=FEWEST, n_warmup_steps=max(1, round(0.3 * epochs)), n_min_trials=1
            ),
        )
        for values in earlier:
            trial = study.ask()
            for epoch, value in enumerate(values, start=1):
                trial.report(value, epoch)
            study.tell(trial, values[-1])
        trial, theirs = study.ask(), 0
        for epoch, value in enumerate(history[:-1], start=1):
            trial.report(value, epoch)
            if trial.should_prune():
                theirs = epoch
                break
        assert stopping_epoch(history, earlier, epochs) == theirs


def test_other_schedules_are_not_held_against_each_other(store: Store, tmp_path: Path) -> None:
    made = plan(store, tmp_path, over=["train.epochs=[1, 2]"], trials=4)
    found = search(made, finish)
    assert [trial.status for trial in found.trials] == ["complete"] * 4
    assert {len(trial.history) for trial in found.trials} <= {1, 2}


def test_settings_that_no_network_can_have_fail_and_the_search_goes_on(store: Store, tmp_path: Path) -> None:
    made = plan(store, tmp_path, over=["model.head=['gap', 'flat']", "train.sizes=[[], [8]]"], trials=4)
    found = search(made, finish)
    failed = [trial for trial in found.trials if trial.status == "failed"]
    assert all("model.head" in trial.reason for trial in failed)
    assert found.best.status == "complete"


def test_a_search_with_nothing_complete_says_why() -> None:
    trial = Trial(number=0, run="", values={}, status="failed", score=0, history=(), reason="Too large.")
    with pytest.raises(RunError, match=r"None of 1 trials is complete\. Too large\."):
        _ = Search(trials=(trial,), importance={}, openings=0).best


def test_importance_finds_the_setting_that_matters() -> None:
    space = [read_axis(text, tables()) for text in OVER]
    sampler, number = Sampler(space, 0, {"optimizer.lr": 1e-3, "model.dropout": 0.1}), 0
    for _ in range(5):
        asked, told = sampler.ask(), []
        for values in asked:
            score = float(np.exp(-((np.log10(values["optimizer.lr"]) + 3) ** 2)))
            told.append(Trial(number=number, run="x", values=values, status="complete", score=score, history=(score,)))
            number += 1
        sampler.tell(told)
    found = sampler.importance()
    assert found["optimizer.lr"] > found["model.dropout"]
    assert abs(sum(found.values()) - 1) < 1e-6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model.dropout", "model.dropout: 0 to 0.95"),
        ("model.dropout=0..0.7", "model.dropout: 0 to 0.7"),
        ("optimizer.lr", "optimizer.lr: 0.0003 to 0.03, in logarithms"),
        ("train.batch_size", "train.batch_size: 2 to 220, in logarithms"),
        ("optimizer.weight_decay=1e-6..1e-2", "optimizer.weight_decay: 1e-06 to 0.01, in logarithms"),
        ("optimizer.weight_decay=0..1e-2", "optimizer.weight_decay: 0 to 0.01"),
        ("optimizer.schedule", "optimizer.schedule: constant, cosine or onecycle"),
        ("augment.flip", "augment.flip: no or yes"),
        ("model.name=['compact-s', 'resnet34']", "model.name: compact-s or resnet34"),
    ],
)
def test_an_axis_is_read_from_its_type(text: str, words: str) -> None:
    assert str(read_axis(text, tables())) == words


def test_values_of_the_grid_are_choices() -> None:
    recipe = tables(grid={"model.name": ["compact-s", "resnet34"], "seed": [0, 1]})
    assert read_axis("model.name", recipe).choices == ("compact-s", "resnet34")
    ranged = tables(grid={"model.dropout": [0.0, 0.2]})
    assert read_axis("model.dropout", ranged).within == Within(0, 0.95), "two values of a number are no range"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model.dropuot", "Did you mean 'model.dropout'"),
        ("seed", "cannot be tuned"),
        ("data.valid_fraction", "cannot be tuned"),
        ("optimizer.weight_decay", "Give its range: optimizer.weight_decay=LOW..HIGH"),
        ("model.dropout=0.5..0.1", "the first number is the lower one"),
        ("model.dropout=0..3", "0 to 0.95"),
        ("model.dropout=0.3", "LOW..HIGH"),
        ("model.dropout=[0.3]", "two or more"),
        ("model.name", "Name them"),
        ("optimizer.schedule=1..2", "no number with a range"),
        ("train.sizes", "is a list"),
    ],
)
def test_what_cannot_be_searched_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_axis(text, tables())
    assert words in str(error.value)


def test_a_plan_refuses_what_would_be_unfair(store: Store, tmp_path: Path) -> None:
    others: dict[str, Any] = {"trials": 4, "store": store, "runs": tmp_path}
    grid = tables(grid={"model.name": ["compact-s", "resnet34"]})
    with pytest.raises(ConfigError, match=r"--over model\.name, or choose one with --set model\.name=compact-s"):
        Plan.of(grid, OVER, **others)
    with pytest.raises(ConfigError, match="have seen the test"):
        Plan.of(tables(data={"protocol": "kfold"}), OVER, **others)
    with pytest.raises(ConfigError, match="once"):
        Plan.of(tables(), [*OVER, OVER[0]], **others)
    with pytest.raises(ConfigError, match="once"):
        Plan.of(tables(), [], **others)
    recipe = tables(grid={"model.name": ["compact-s", "vgg16"]}, networks={"vgg16": {"model": {"head": "flat"}}})
    made = Plan.of(recipe, ["model.name"], **others)
    assert made.settings({"model.name": "vgg16"}).model.head == "flat"  # what a network has of its own follows it
    assert made.settings({"model.name": "compact-s"}).model.head == "gap"


def test_a_damaged_record_is_left_out_with_its_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "tuning" / "x"
    folder.mkdir(parents=True)
    (folder / "tuning.json").write_text("{}")
    said: list[str] = []
    assert find_tunings(tmp_path, said) == []
    assert "tuning.json is damaged" in said[0]


@pytest.mark.long
@pytest.mark.usefixtures("inline", "plain_figures")
def test_from_the_command_line_to_the_report(
    tmp_path: Path, bars: Bars, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = bars()
    recipe = tmp_path / "tiny.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in TINY.items() if key != "train.epochs"]
    recipe.write_text("\n".join([*lines, "train.epochs = 1"]))
    command = ["tune", str(recipe), "--over", "model.dropout=0..0.5", "-n", "4", "--seeds", "2", "-d", str(store.path)]
    with pytest.raises(SystemExit) as end:
        main([*command, "--json"])
    out, err = capsys.readouterr()
    assert end.value.code == 0
    said = json.loads(out)
    names = [row["name"] for row in said["rows"]]
    assert len(names) in (1, 2)
    assert "4 of 4 trials" in err
    runs = {run for run, _ in ((run, when) for when, run in store.openings())}
    assert len(store.openings()) == len(runs) == 2 * len(names)
    page = Path(said["report"]).read_text(encoding="utf-8")
    assert "How the settings were found" in page
    assert "Trials opened the test 0 times" in page
    assert f"opened {2 * len(names)} times by the {2 * len(names)} runs" in page
    tuning = find_tunings(tmp_path / "runs")[0]
    assert isinstance(tuning, Tuning)
    assert tuning.seeds == (1, 2)
    assert sorted(runs) == sorted(tuning.runs)
    methods = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")
    assert "Optuna: a next-generation" in methods
    with pytest.raises(SystemExit) as end:
        main([*command, "--json"])
    assert json.loads(capsys.readouterr().out)["rows"] == said["rows"]
    assert len(store.openings()) == 2 * len(names)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--over", "model.drop"], "There is no setting"),
        (["--over", "model.dropout", "--set", "data.protocol=loso"], "have seen the test"),
    ],
)
def test_a_refusal_writes_nothing(
    words: list[str], sentence: str, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(
            ["tune", "fast", "-d", str(store.path), "--runs", str(tmp_path / "runs"), "-o", str(tmp_path / "r"), *words]
        )
    assert end.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


# Rows that are no networks

ROWS = {"rows": {"hog": {"kind": "features", "features": {"hog_cell": 4}}, "lbp": {"kind": "features"}}}


def test_a_classical_row_is_searched_and_opens_no_test(store: Store, tmp_path: Path) -> None:
    over = ["features.c=1e-4..1", 'features.classifier=["linear-svm", "ridge", "rbf-svm"]']
    recipe = tables(**ROWS, grid={"seed": [3, 4]})
    made = Plan.of(recipe, over, row="hog", trials=6, store=store, runs=tmp_path)
    before = len(store.openings())
    found = search(made, finish)
    assert len(store.openings()) == before
    assert found.openings == 0
    assert [trial.status for trial in found.trials] == ["complete"] * 6
    assert found.trials[0].values == {"features.c": 1.0, "features.classifier": "linear-svm"}
    assert {trial.history for trial in found.trials} == {()}
    tried = [Run.open(made.folder / trial.run).settings for trial in found.trials]
    assert {settings.KIND for settings in tried} == {"features"}
    assert {settings.seed for settings in tried} == {3}
    assert {settings.flat()["features.hog_cell"] for settings in tried} == {4}
    assert len({settings.flat()["features.c"] for settings in tried}) == 6


def test_the_row_is_the_one_that_has_the_setting(store: Store, tmp_path: Path) -> None:
    def planned(over: Sequence[str], **changes: Any) -> Plan:
        return Plan.of(tables(**changes), over, trials=1, store=store, runs=tmp_path)

    one = {"rows": {"hog": {"kind": "features"}, "all": {"kind": "ensemble"}}}
    assert planned(["features.c"], **one).base.name == "hog-linear-svm"
    assert planned(["optimizer.lr"], **one, grid={"features.c": [1, 2]}).base.name == "compact-s"
    for over, changes, sentence in (
        (["features.c"], {}, r"features\.c is a setting of rows of kind features, and the recipe tiny has none\."),
        (["features.c"], ROWS, r"The recipe tiny has 2 such rows: hog and lbp\. Name one with --row\."),
        (
            ["features.c", "optimizer.lr"],
            one,
            r"has all of features\.c and optimizer\.lr\. Search one",
        ),
        (["ensemble.rule"], one, "all joins other rows, which no trial has"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            planned(over, **changes)
    with pytest.raises(ConfigError, match=r"no single row 'sift'; its rows are hog and lbp\."):
        Plan.of(tables(**ROWS), ["features.c"], row="sift", trials=1, store=store, runs=tmp_path)


def test_a_method_without_randomness_is_trained_anew_once(store: Store, tmp_path: Path) -> None:
    from mien.cli.tune import _anew

    made = Plan.of(
        tables(**ROWS), ["features.c", "features.classifier"], row="hog", trials=1, store=store, runs=tmp_path
    )

    def seeds(**values: Any) -> list[int]:
        own = {f"features.{key}": value for key, value in {"c": 2.0, "classifier": "ridge", **values}.items()}
        trial = Trial(number=0, run="x", values=own, status="complete", score=0.5, history=())
        return [settings.seed for settings in _anew(made, trial, [7, 8, 9])]

    assert seeds() == [7, 7]
    assert seeds(classifier="rbf-svm") == [7, 8, 9] * 2
