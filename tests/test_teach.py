"""A store that models have taught: what changes, what stays, and who may not teach."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import LABELS, SIZE, Bars
from mien.bundle import Bundle
from mien.cli import main
from mien.config import DataSettings, LossSettings, NetworkSettings
from mien.crop import CropSpec
from mien.data.drawn import moved_plane
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.data.teach import teach
from mien.errors import ConfigError, DataError
from mien.losses import Objective
from tiny_bundle import write_bundle


def teacher_of(store: Store, path: Path, **changes: object) -> Bundle:
    """A linear teacher that takes the store's faces, unless its card is changed."""
    facts = {"labels": store.meta.labels, "crop": store.meta.crop, "recall": {}, "known_failures": ()}
    return Bundle.open(write_bundle(path, **(facts | changes)))


def teachers_of(store: Store, folder: Path, names: str = "ab") -> list[Bundle]:
    """Teachers that differ in their temperature."""
    return [teacher_of(store, folder / f"{n}.onnx", temperature=1.0 + i, run=n) for i, n in enumerate(names)]


def write_votes(path: Path) -> Store:
    """Bars that two annotators of three agree on, with a mask each."""
    with create_store(path, LABELS, CropSpec(size=SIZE), planes=[moved_plane(SIZE)]) as writer:
        for i in range(60):
            soft = tuple((np.eye(3)[i % 3] * 2 + np.eye(3)[(i + 1) % 3]) / 3)
            split = "train" if i < 30 else "test"
            image = np.full((SIZE, SIZE, 3), i, np.uint8)
            mask = np.full((SIZE, SIZE), i, np.uint16)
            writer.add(Sample(label=i % 3, split=split, source=str(i), soft=soft), face=image, moved=mask)
        writer.finish(corpus="votes", licence="made for tests")
    return Store.open(path)


@pytest.fixture(params=[False, True], ids=["labels", "votes"])
def plain(request: pytest.FixtureRequest, bars: Bars) -> Store:
    return bars(soft=request.param)


def own(store: Store) -> np.ndarray:
    return np.eye(3)[store.samples.label] if store.samples.soft is None else store.samples.soft


def test_training_faces_carry_the_mean_of_their_teachers(plain: Store, tmp_path: Path) -> None:
    teachers = teachers_of(plain, tmp_path)
    teach(plain, teachers, 0.25, tmp_path / "taught")
    taught, train = Store.open(tmp_path / "taught"), plain.rows("train")
    said = (teachers[0].probs(plain.read(train)) + teachers[1].probs(plain.read(train))) / 2
    assert taught.samples.soft is not None
    np.testing.assert_allclose(taught.samples.soft[train], 0.75 * own(plain)[train] + 0.25 * said, atol=2e-6)


def test_all_else_stays(plain: Store, tmp_path: Path) -> None:
    meta = teach(plain, teachers_of(plain, tmp_path), 1.0, tmp_path / "taught")
    taught = Store.open(tmp_path / "taught")
    judged = np.concatenate([plain.rows("valid"), plain.rows("test")])
    assert taught.samples.soft is not None
    np.testing.assert_array_equal(taught.samples.soft[judged], own(plain)[judged])
    np.testing.assert_array_equal(taught.images, plain.images)
    for column in ("label", "split", "source", "subject"):
        np.testing.assert_array_equal(getattr(taught.samples, column), getattr(plain.samples, column))
    assert taught.samples.groups.keys() == plain.samples.groups.keys()
    assert meta.sha256 != plain.meta.sha256
    assert "100 % of each training distribution is the mean probability of a (" in meta.notes[-1]
    assert plain.meta.sha256[:16] in meta.notes[-1]


def test_a_carved_validation_part_is_the_same_and_the_student_gets_the_mix(bars: Bars, tmp_path: Path) -> None:
    store = bars(splits=(("train", 90), ("test", 30)))
    teach(store, teachers_of(store, tmp_path), 0.5, tmp_path / "taught")
    taught, settings = Store.open(tmp_path / "taught"), NetworkSettings()
    before, after = divide(store, settings.data), divide(taught, settings.data)
    np.testing.assert_array_equal(before.valid.rows, after.valid.rows)
    np.testing.assert_array_equal(before.valid.labels, after.valid.labels)
    targets = Objective(after.train, LossSettings(soft_labels=True), torch.device("cpu")).targets.numpy()
    assert (targets.max(axis=1) < 1).all()
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)


def test_the_word_of_models_counts_nowhere_as_votes(plain: Store, tmp_path: Path) -> None:
    teach(plain, teachers_of(plain, tmp_path), 0.5, tmp_path / "taught")
    taught = Store.open(tmp_path / "taught")
    assert taught.meta.taught
    for split in ("train", "test"):
        assert taught.votes(plain.rows(split)) is None, "written from labels, or by models"


def test_votes_of_the_test_stay_votes(tmp_path: Path) -> None:
    store = write_votes(tmp_path / "votes")
    rows = store.rows("test")
    own = store.votes(rows)
    teach(store, teachers_of(store, tmp_path), 0.5, tmp_path / "taught")
    taught = Store.open(tmp_path / "taught")
    np.testing.assert_array_equal(taught.votes(rows), own)
    assert taught.votes(np.arange(len(store))) is None
    assert store.votes(np.arange(len(store))) is not None
    np.testing.assert_array_equal(taught.array("moved"), store.array("moved"))


@pytest.mark.parametrize("protocol", ["kfold", "group-kfold", "loso"])
def test_a_taught_store_cannot_be_cross_validated(bars: Bars, tmp_path: Path, protocol: Any) -> None:
    store = bars(subjects=True)
    teach(store, teachers_of(store, tmp_path), 0.5, tmp_path / "taught")
    with pytest.raises(DataError, match="test on faces that its teachers were trained on"):
        divide(Store.open(tmp_path / "taught"), DataSettings(protocol=protocol))


def test_teachers_are_asked_about_training_faces_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    probs = Bundle.probs
    monkeypatch.setattr(Bundle, "probs", lambda bundle, batch: asked.append(len(batch["face"])) or probs(bundle, batch))
    teach(store, teachers_of(store, tmp_path, "a"), 0.5, tmp_path / "taught")
    assert sum(asked) == len(store.rows("train"))


def test_the_note_says_where_a_teacher_learned(store: Store, tmp_path: Path) -> None:
    own = teacher_of(store, tmp_path / "own.onnx", fingerprint=store.meta.sha256)
    meta = teach(store, [own, *teachers_of(store, tmp_path, "b")], 0.125, tmp_path / "taught")
    assert "12.5 %" in meta.notes[-1]
    assert "trained on this store), b (" in meta.notes[-1]
    assert f"trained on the other store {'f' * 16})" in meta.notes[-1]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_shares_that_are_none(store: Store, tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        teach(store, teachers_of(store, tmp_path), share, tmp_path / "taught")
    assert not (tmp_path / "taught").exists()


def test_without_a_teacher(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one model or more"):
        teach(store, [], 0.5, tmp_path / "taught")


@pytest.mark.parametrize("changed", [{"crop": CropSpec(size=16, channels=1)}, {"labels": ("anger", "fear", "joy")}])
def test_a_teacher_of_other_faces_or_classes(store: Store, tmp_path: Path, changed: dict[str, object]) -> None:
    stranger = teacher_of(store, tmp_path / "s.onnx", **changed)
    with pytest.raises(ConfigError, match="A teacher must have the store's crops and classes"):
        teach(store, [stranger], 0.5, tmp_path / "taught")


def test_it_does_not_overwrite_what_it_reads(bars: Bars, tmp_path: Path) -> None:
    store = bars()
    with pytest.raises(DataError, match="being taught"):
        teach(store, teachers_of(store, tmp_path), 0.5, store.path, force=True)
    assert len(Store.open(store.path)) == 117


def test_the_command_line(bars: Bars, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, teachers = bars(), teachers_of(bars("other"), tmp_path)
    words = ["data", "teach", store.path, "--share", 0.3, "--out", tmp_path / "taught", "--json"]
    words += [word for teacher in teachers for word in ("--model", teacher.path)]
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert not end.value.code
    said = json.loads(capsys.readouterr().out)
    assert "30 % of each training distribution" in said["meta"]["notes"][-1]
    assert said["meta"]["sha256"] == Store.open(tmp_path / "taught").meta.sha256
