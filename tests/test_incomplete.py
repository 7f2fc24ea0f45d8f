"""A cross-validation that lacks a fold: its row is refused with the reason, and all other rows are shown."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from made_runs import finish
from mien.compare import Comparison, collect, plan
from mien.config import Recipe, recipe_from
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.judge import judge
from mien.labels import SEVEN
from mien.report import as_json, terminal_table, write_report
from mien.report.sections.methods import describe_methods
from mien.report.sections.protocol import protocol_section
from mien.runs import Run, find_runs

pytestmark = pytest.mark.usefixtures("plain_figures")

FOLDS = {"kfold": 3, "group-kfold": 3, "loso": 5}
NAMES = ("vgg16", "resnet34")


def crashed(run: Run) -> None:
    run.update(status="crashed", reason="Its process was ended by SIGABRT.")


def failed(run: Run) -> None:
    run.update(status="failed", reason="The loss became nan.")


def pending(run: Run) -> None:
    run.update(status="running")


def deleted(run: Run) -> None:
    shutil.rmtree(run.path)


BREAKS: dict[str, Callable[[Run], None]] = {
    "fold 1 crashed": crashed,
    "fold 1 failed": failed,
    "fold 1 is not finished": pending,
    "fold 1 has no run folder": deleted,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Five people with twenty-one faces each."""
    import numpy as np

    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("incomplete") / "store"
    with create_store(path, SEVEN, CropSpec(size=48, channels=3)) as writer:
        for i in range(105):
            image = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            writer.add(Sample(label=i % 7, split="train", source=f"{i}.png", subject=f"s{i // 21}"), face=image)
        writer.finish(corpus="people", licence="For tests")
    return Store.open(path)


def recipe(protocol: str, seeds: int = 1) -> Recipe:
    content = {
        "data": {"protocol": protocol, "folds": 3, "valid_fraction": 0.34},
        "model": {"width": 0.05, "head": "gap"},
        "train": {"epochs": 3},
        "grid": {"seed": list(range(seeds)), "model.name": list(NAMES)},
    }
    return recipe_from(content, protocol)


def made(folder: Path, store: Store, protocol: str, seeds: int = 1) -> list[Run]:
    """All folds of two networks, finished without training; the network outermost, then seed and fold."""
    runs = plan(recipe(protocol, seeds), store, folder)
    done = [finish(run, divide(store, run.settings.data)) for run in runs]
    return sorted(done, key=lambda run: (NAMES.index(run.settings.model.name), run.settings.seed))


def words_of(comparison: Comparison, store: Store) -> str:
    judgement = judge(comparison, store=store)
    found = describe_methods(judgement)
    return (found.markdown if found else "") + " ".join(protocol_section(judgement).points)


@pytest.mark.parametrize(
    ("protocol", "lacks"),
    [*(("kfold", lacks) for lacks in BREAKS), ("group-kfold", "fold 1 crashed"), ("loso", "fold 1 has no run folder")],
)
def test_a_row_that_lacks_a_fold_is_refused_with_its_reason_and_the_other_is_shown(
    tmp_path: Path, store: Store, protocol: str, lacks: str
) -> None:
    runs = made(tmp_path / "runs", store, protocol)
    BREAKS[lacks](runs[1])
    comparison = collect(find_runs(tmp_path / "runs"))
    broken, whole = comparison.rows
    reason = f"seed 0 lacks 1 of {FOLDS[protocol]} folds (counted from 0): {lacks}"
    assert (broken.scores, broken.runs, broken.gaps) == ((), (), (reason,))
    assert len(broken.partial) == FOLDS[protocol] - 1
    assert whole.scores[0].n == 105
    console = Console(width=200, record=True)
    console.print(terminal_table(comparison))
    assert "incomplete cross-validation, so no figures are given" in " ".join(console.export_text().split())
    rows = {row["name"]: row for row in as_json(comparison)["rows"]}
    assert rows["vgg16"]["figures"]["accuracy"]["mean"] is None
    assert rows["vgg16"]["figures"]["train_peak_mb"]["mean"] is None
    assert rows["vgg16"]["incomplete"] == [reason]
    assert rows["resnet34"]["figures"]["accuracy"]["mean"] == whole.scores[0].accuracy
    text = words_of(comparison, store)
    assert "a seed that lacks a fold has no figures" in text
    assert "Every face was the test once;" not in text


@pytest.mark.parametrize("lacks", ["fold 1 crashed", "fold 1 has no run folder"])
def test_the_page_is_made_where_no_row_is_whole(tmp_path: Path, store: Store, lacks: str) -> None:
    runs = made(tmp_path / "runs", store, "kfold")
    for run in (runs[1], runs[4]):
        BREAKS[lacks](run)
    comparison = collect(find_runs(tmp_path / "runs"))
    page = write_report(comparison, tmp_path / "report").read_text(encoding="utf-8")
    assert "No cross-validation is complete yet" in page
    assert page.count(lacks) >= 2
    assert "each once" not in words_of(comparison, store)


@pytest.mark.long
def test_whole_seeds_of_a_row_are_shown_and_the_others_named(tmp_path: Path, store: Store) -> None:
    runs = made(tmp_path / "runs", store, "kfold", seeds=2)
    deleted(runs[2])
    crashed(runs[1])
    row = collect(find_runs(tmp_path / "runs")).rows[0]
    assert list(row.tests) == [(1, 0)]
    assert row.gaps == ("seed 0 lacks 2 of 3 folds (counted from 0): fold 1 crashed; fold 2 has no run folder",)
    page = write_report(collect(find_runs(tmp_path / "runs")), tmp_path / "report").read_text(encoding="utf-8")
    assert "these seeds are left out" in page


def test_half_a_copied_leave_one_subject_out_is_not_whole(tmp_path: Path, store: Store) -> None:
    """The last folds are not there, so nothing in the folder but the plan says that they should be."""
    runs = made(tmp_path / "runs", store, "loso")
    for run in (*runs[2:5], *runs[7:]):
        shutil.rmtree(run.path)
    comparison = collect(find_runs(tmp_path / "runs"))
    assert [row.scores for row in comparison.rows] == [(), ()]
    assert comparison.rows[0].gaps == ("seed 0 lacks 3 of 5 folds (counted from 0): folds 2–4 have no run folder",)


def test_a_folder_that_does_not_say_its_folds_is_told_them_by_the_same_command(tmp_path: Path, store: Store) -> None:
    runs = made(tmp_path / "runs", store, "loso")
    for run in runs:
        path = run.path / "data.json"
        path.write_text(path.read_text(encoding="utf-8").replace(',\n  "folds": 5', ""), encoding="utf-8")
    row = collect(find_runs(tmp_path / "runs")).rows[0]
    assert row.scores == ()
    assert "do not say how many folds there are" in row.gaps[0]
    plan(recipe("loso"), store, tmp_path / "runs")
    assert collect(find_runs(tmp_path / "runs")).rows[0].scores[0].n == 105
