"""The protocol of micro-expressions: figures of pooled folds, composites, parts, and one corpus left out."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import LABELS, SIZE
from mien.config import DataSettings
from mien.crop import CropSpec
from mien.data.splits import divide, fold_count
from mien.data.store import Sample, Store, create_store
from mien.errors import DataError
from mien.metrics import parts, scores

LOG = Path(os.environ.get("MIEN_STSTNET_LOG", Path(__file__).parents[2] / "shared/data/micro/ststnet_log.csv"))
CLASSES = ("negative", "positive", "surprise")
Ints = NDArray[np.int64]
Log = tuple[Ints, Ints, NDArray[np.str_], NDArray[np.str_]]
PUBLISHED = {"casme2": (0.8382, 0.8190), "smic": (0.6801, 0.6703), "samm": (0.6588, 0.6415)}


def answers(predicted: Ints) -> NDArray[np.float64]:
    return np.eye(len(CLASSES))[predicted]


def f1_of(labels: Ints, predicted: Ints, *, absent_is_0: bool) -> float:
    """The mean F1 of one subject, by hand: over the classes in labels or answers, or over all, 0 if absent."""
    each = []
    for k in range(len(CLASSES)):
        if (labels == k).any() or (predicted == k).any():
            hits = ((labels == k) & (predicted == k)).sum()
            each.append(2 * hits / ((labels == k).sum() + (predicted == k).sum()))
        elif absent_is_0:
            each.append(0.0)
    return float(np.mean(each))


@pytest.fixture(scope="module")
def log() -> Log:
    if not LOG.exists():
        pytest.skip(f"{LOG.name}, the log of a leave-one-subject-out of STSTNet, is not here")
    with LOG.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels, predicted = (np.array([CLASSES.index(row[key]) for row in rows]) for key in ("class", "predicted"))
    corpora = np.array([row["corpus"] for row in rows])
    return labels, predicted, corpora, np.array([f"{row['corpus']}/{row['subject']}" for row in rows])


def test_a_published_log_gives_its_uf1_and_uar_and_those_of_its_parts(log: Log) -> None:
    labels, predicted, corpora, subjects = log
    assert (len(labels), len(np.unique(subjects))) == (442, 68)
    pooled = scores(answers(predicted), labels)
    assert (round(pooled.macro_f1, 4), round(pooled.uar, 4)) == (0.7353, 0.7186)
    found = parts(answers(predicted), labels, corpora)
    assert {name: (round(one.macro_f1, 4), round(one.uar, 4)) for name, one in found.items()} == PUBLISHED


def test_the_mean_over_subjects_is_another_number(log: Log) -> None:
    labels, predicted, _, subjects = log
    own = [subjects == name for name in np.unique(subjects)]
    for absent_is_0, expected in ((False, 0.669), (True, 0.450)):
        means = [f1_of(labels[rows], predicted[rows], absent_is_0=absent_is_0) for rows in own]
        assert float(np.mean(means)) == pytest.approx(expected, abs=5e-4)


def test_all_negative_scores_as_stated() -> None:
    labels = np.repeat([0, 1, 2], [250, 109, 83])
    seen = scores(answers(np.zeros(442, np.int64)), labels)
    assert (round(seen.macro_f1, 4), round(seen.uar, 4)) == (0.2408, 0.3333)


def test_pooled_figures_differ_from_means_of_folds_by_hand() -> None:
    """Two subjects: four clips that are all right, one that is wrong. By hand: TP 2, 2; FP of class 0: 1."""
    labels, predicted, fold = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 0]), np.array(list("aaaab"))
    logits = np.eye(2)[predicted]
    pooled = scores(logits, labels)
    assert pooled.macro_f1 == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert pooled.uar == pytest.approx((1 + 2 / 3) / 2)
    each = parts(logits, labels, fold)
    assert np.mean([each["a"].accuracy, each["b"].accuracy]) == 0.5 != pooled.accuracy
    with pytest.raises(ValueError, match="4 names of parts for 5 predictions"):
        parts(logits, labels, fold[:4])


def composite(path: Path, corpora: tuple[str, ...]) -> Store:
    """Three subjects a corpus, six clips each; `s0` of two corpora are two people."""
    with create_store(path, LABELS, CropSpec(size=SIZE)) as writer:
        for i in range(18 * len(corpora)):
            corpus = corpora[i % len(corpora)]
            subject = f"{corpus}/s{i // len(corpora) % 3}"
            image = np.random.default_rng(i).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            label = i // (3 * len(corpora)) % 3
            groups = {"corpus": corpus}
            writer.add(Sample(label=label, split="train", source=str(i), subject=subject, groups=groups), face=image)
        writer.finish(corpus="made", licence="made for tests")
    return Store.open(path)


def test_hde_tests_one_corpus_and_trains_on_the_others(tmp_path: Path) -> None:
    store = composite(tmp_path / "store", ("smic", "casme2", "samm"))
    settings = {"protocol": "hde", "valid_fraction": 0.3}
    assert fold_count(store, DataSettings(**settings)) == 3  # type: ignore[arg-type]
    tested = []
    for number in range(3):
        fold = divide(store, DataSettings(**settings, fold=number))  # type: ignore[arg-type]
        test = fold.test.open()
        (corpus,) = set(test.groups["corpus"].tolist())
        tested.append(corpus)
        assert len(test) == 18
        assert corpus not in {*fold.train.groups["corpus"].tolist(), *fold.valid.groups["corpus"].tolist()}
        assert not set(fold.train.subjects.tolist()) & set(fold.valid.subjects.tolist())
    assert tested == ["casme2", "samm", "smic"]


def test_composite_loso_leaves_one_person_out_and_keeps_their_namesakes(tmp_path: Path) -> None:
    store = composite(tmp_path / "store", ("casme2", "samm"))
    assert fold_count(store, DataSettings(protocol="loso")) == 6
    fold = divide(store, DataSettings(protocol="loso", valid_fraction=0.3))
    assert set(fold.test.open().subjects.tolist()) == {"casme2/s0"}
    assert "samm/s0" in {*fold.train.subjects.tolist(), *fold.valid.subjects.tolist()}
    assert not set(fold.train.subjects.tolist()) & set(fold.valid.subjects.tolist())


def test_hde_of_one_corpus_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(DataError, match="has 1 corpus in its group corpus"):
        divide(composite(tmp_path / "one", ("samm",)), DataSettings(protocol="hde"))
    with pytest.raises(DataError, match="has no corpora in its group corpus"):
        divide(store, DataSettings(protocol="hde"))
