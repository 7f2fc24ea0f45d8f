"""Across corpora: labels by name, pictures adapted, openings logged, copies counted, figures against plain counting."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from made_runs import make_runs, make_store
from mien.checkpoint import save_tensors
from mien.crop import CropSpec, crop
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.errors import CompareError, DataError, LabelError
from mien.examine.across import _change, _redraw, across
from mien.inference import predict_logits
from mien.initial import build_network
from mien.labels import LabelSet
from mien.methods.network import load_network
from mien.runs import Logits, Run


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def weighted_runs(folder: Path, store: Store, seeds: int = 2) -> list[Run]:
    runs = make_runs(folder, store, networks=("compact-s",), dropouts=(0.0,), seeds=seeds)
    for run in runs:
        network = build_network(run.settings, divide(store, run.settings.data).train, torch.device("cpu"))
        save_tensors(run, "model.safetensors", network.state_dict(), {})
    return runs


def foreign(path: Path, names: tuple[str, ...], *, size: int = 24, channels: int = 1, split: str = "test") -> Store:
    """A store of other classes, size and colours."""
    draw = np.random.default_rng(9)
    with create_store(path, LabelSet(names), CropSpec(size=size, channels=channels, margin=0.1)) as writer:
        for i in range(90):
            image = draw.integers(0, 256, (size, size, channels), dtype=np.uint8)
            writer.add(Sample(label=i % len(names), split=split if i > 8 else "train", source=f"{i}.png"), face=image)
        writer.finish(corpus="other", licence="made for tests")
    return Store.open(path)


def test_labels_are_mapped_pictures_adapted_and_figures_plain(tmp_path: Path) -> None:
    home = make_store(tmp_path / "home", size=16)
    runs = weighted_runs(tmp_path / "runs", home)
    other = foreign(tmp_path / "other", ("Happy", "contempt", "sad", "ang"))
    matrix = across(runs, [other], rng())
    assert matrix.corpora == ("made", "other")
    cell = matrix.cell("compact-s", "made", "other")
    assert cell.classes == ("anger", "happiness", "sadness")
    assert cell.left_out == ("contempt",)
    assert cell.unused == ("disgust", "fear", "neutral", "surprise")
    rows = [r for r in other.rows("test") if other.samples.label[r] != 1]
    truth = np.array([{0: 1, 2: 2, 3: 0}[int(other.samples.label[r])] for r in rows])
    images = np.stack([crop(other.images[r], home.meta.crop) for r in rows])
    said = [predict_logits(load_network(run), images)[:, [0, 3, 5]].argmax(1) for run in runs]
    assert cell.n == len(rows)
    assert cell.accuracy.value == pytest.approx(np.mean([accuracy_score(truth, s) for s in said]))
    assert cell.uar.value == pytest.approx(np.mean([balanced_accuracy_score(truth, s) for s in said]))
    assert cell.accuracy.interval.low < cell.accuracy.value < cell.accuracy.interval.high
    assert cell.copies == 0
    assert cell.notes == (
        "Pictures were brought from 24 to 16 pixels.",
        "Grey pictures were repeated as RGB.",
        "Faces were cut with another margin (0.1, in training 0).",
    )


def test_home_is_judged_over_the_same_classes(tmp_path: Path) -> None:
    runs = weighted_runs(tmp_path / "runs", make_store(tmp_path / "home", size=16), seeds=1)
    matrix = across(runs, [foreign(tmp_path / "other", ("happy", "sad", "angry"))], rng())
    test = runs[0].logits("test")
    kept = np.isin(test.labels, [0, 3, 5])
    right = np.array([0, 3, 5])[test.logits[kept][:, [0, 3, 5]].argmax(1)] == test.labels[kept]
    cell = matrix.cell("compact-s", "made", "other")
    assert cell.home_accuracy.value == pytest.approx(right.mean())
    assert cell.home_n == kept.sum()
    own = matrix.cell("compact-s", "made", "made")
    assert own.own
    assert own.accuracy.value == pytest.approx((test.logits.argmax(1) == test.labels).mean())
    with pytest.raises(KeyError):
        matrix.cell("compact-s", "other", "made")


def test_the_foreign_test_is_opened_once_a_run_and_logged(tmp_path: Path) -> None:
    runs = weighted_runs(tmp_path / "runs", make_store(tmp_path / "home", size=16))
    other = foreign(tmp_path / "other", ("happy", "sad"))
    first = across(runs, [other], rng())
    assert sorted(run for _, run in other.openings()) == sorted(run.id for run in runs)
    for run in runs:
        (run.path / "model.safetensors").unlink()
    assert across(runs, [other], rng()) == first
    assert len(other.openings()) == 2


def test_copies_of_training_pictures_are_counted(tmp_path: Path) -> None:
    home = make_store(tmp_path / "home", size=16)
    runs = weighted_runs(tmp_path / "runs", home, seeds=1)
    trained, tested = home.rows("train")[:6], home.rows("test")[:3]
    shown = [*home.images[trained], *home.images[tested], *(255 - home.images[trained])]
    with create_store(tmp_path / "copied", home.labels, home.meta.crop) as writer:
        for row, image in enumerate(shown):
            writer.add(Sample(label=row % 7, split="test", source=str(row)), face=image)
        writer.finish(corpus="made", licence="made for tests")
    copied = Store.open(tmp_path / "copied")
    matrix = across(runs, [copied, home], rng())
    names = tuple(f"made {store.meta.sha256[:6]}" for store in (home, copied))
    assert matrix.corpora == names
    assert matrix.cell("compact-s", *names).copies == 6, "the three of its own test part are nothing it learnt from"
    assert len(matrix.cells) == 2


def test_what_cannot_be_tested_is_refused(tmp_path: Path) -> None:
    runs = weighted_runs(tmp_path / "runs", make_store(tmp_path / "home", size=16), seeds=1)
    with pytest.raises(LabelError, match="fewer than two classes"):
        across(runs, [foreign(tmp_path / "few", ("happy", "bored", "awed"))], rng())
    with pytest.raises(DataError, match="no test split"):
        across(runs, [foreign(tmp_path / "none", ("happy", "sad"), split="valid")], rng())
    with pytest.raises(CompareError, match="No run is finished"):
        across([], [], rng())


def _answers(draw: np.random.Generator, chances: np.ndarray, n: int) -> list[Logits]:
    """Runs that name each of `n` faces of three classes rightly with their own chance; faces have a hardness."""
    labels, hardness = np.arange(n) % 3, draw.uniform(-0.2, 0.2, n)
    tests = []
    for chance in chances:
        wrong = draw.random(n) >= chance + hardness
        said = np.where(wrong, (labels + draw.integers(1, 3, n)) % 3, labels)
        logits = np.eye(3, dtype=np.float32)[said]
        tests.append(Logits(ids=np.arange(n), labels=labels, logits=logits, subjects=np.full(n, ""), groups={}))
    return tests


def test_the_interval_of_a_change_holds_the_truth_19_times_in_20() -> None:
    """Newly trained runs on new faces of both corpora, 20 points worse away, by a seed a little more or less."""
    held = 0
    for trial in range(200):
        draw = np.random.default_rng(trial)
        home = 0.7 + draw.normal(0, 0.03, 3)
        away = home - 0.2 + draw.normal(0, 0.02, 3)
        own, other = (_redraw(_answers(draw, chances, 240), (0, 1, 2), draw) for chances in (home, away))
        interval = _change(other, own).interval
        held += interval.low <= -0.2 <= interval.high
    assert 0.91 <= held / 200 <= 0.99, held
