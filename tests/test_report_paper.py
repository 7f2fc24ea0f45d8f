"""The paper's lines beside ours: only under its own settings, or with every difference named."""

from pathlib import Path
from typing import Any

import pytest

from made_runs import finish, make_store
from mien.compare import Comparison, collect
from mien.config import override, read_recipe
from mien.data.splits import divide
from mien.data.store import Store
from mien.judge.paper import PAPER, departures
from mien.judge.table import build_table
from mien.runs import Run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("paper") / "store", size=48, train=70, test=3068, corpus="rafdb")


def compared(folder: Path, store: Store, changes: dict[str, Any] | None = None) -> Comparison:
    """Three networks under the recipe `paper`, with some settings changed."""
    recipe, runs = read_recipe("paper").changed(changes or {}), []
    for cell in recipe.cells():
        settings = cell.resolved(store.meta.crop)
        fold = divide(store, settings.data)
        runs.append(finish(Run.create(folder, override(settings, {}), store, fold), fold))
    return collect(runs)


def test_the_papers_own_settings_need_no_word(tmp_path: Path, store: Store) -> None:
    comparison = compared(tmp_path, store, {"model.dropout": [0.0], "seed": [0, 1]})
    assert [departures(row) for row in comparison.rows] == [[], [], []]
    table = build_table(comparison)
    assert [line.name for line in table.lines if line.paper] == [
        f"{title}, as the paper has it" for title in ("VGG-16", "DenseNet-121", "ResNet-34")
    ]
    assert not any("repeat" in note for note in table.notes)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.epochs", 20, "train.epochs 20 (paper 75)"),
        ("train.batch_size", 64, "train.batch_size 64 (paper 512)"),
        ("model.width", 0.25, "model.width 0.25 (paper 1.0)"),
        ("model.dropout", [0.5], "model.dropout 0.5 (paper 0.0 or 0.2)"),
        ("train.select", "best", "train.select best (paper last)"),
        ("augment.flip", True, "augment.flip True (paper False)"),
        ("data.train_limit", 50, "data.train_limit 50 (paper 0)"),
        ("model.stem", "small", "model.stem small (paper imagenet)"),
    ],
)
def test_every_other_setting_is_named(tmp_path: Path, store: Store, key: str, value: Any, words: str) -> None:
    comparison = compared(tmp_path, store, {"model.dropout": [0.0]} | {key: value})
    notes = build_table(comparison).notes
    assert f"These runs are no repetition of the paper's. All differ in: {words}." in notes


def test_other_faces_are_named(tmp_path: Path) -> None:
    small = make_store(tmp_path / "store", size=64, train=70, test=70, corpus="rafdb")
    comparison = compared(tmp_path / "runs", small, {"model.dropout": [0.0]})
    assert departures(comparison.rows[0]) == ["faces of 64 px (paper 48 px)", "test faces 70 (paper 3068)"]


def test_rows_that_differ_apart_are_named_apart(tmp_path: Path, store: Store) -> None:
    comparison = compared(tmp_path, store, {"model.dropout": [0.2, 0.3], "model.name": ["vgg16"]})
    notes = build_table(comparison).notes
    assert "vgg16, dropout 0.3 differs from the paper's runs in: model.dropout 0.3 (paper 0.0 or 0.2)." in notes
    assert not any("vgg16, dropout 0.2" in note for note in notes)


def test_what_all_differ_in_is_said_once(tmp_path: Path, store: Store) -> None:
    comparison = compared(tmp_path, store, {"model.dropout": [0.2, 0.3], "model.name": ["vgg16"], "train.epochs": 9})
    notes = build_table(comparison).notes
    assert "These runs are no repetition of the paper's. All differ in: train.epochs 9 (paper 75)." in notes
    assert "vgg16, dropout 0.3 also differs from the paper's runs in: model.dropout 0.3 (paper 0.0 or 0.2)." in notes
    assert set(PAPER) == {"vgg16", "vgg_paper", "densenet121", "resnet34"}
