"""Folds that are people: UF1 and UAR of all, of each corpus of a composite, and what peeking makes of them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from mien.compare import Comparison, collect
from mien.config import DataSettings, FeaturesSettings, FeaturesTable
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.judge import judge
from mien.judge.parts import KEYS, pooled_rows
from mien.labels import LabelSet
from mien.metrics import scores
from mien.planes import Plane
from mien.report import write_report
from mien.runs import Run
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")

CLASSES = LabelSet(("negative", "positive", "surprise"))
SIDE, SUBJECTS, CLIPS = 14, 6, 6
PLANE = Plane(name="flow", kind="flow", shape=(SIDE, SIDE, 3), dtype="float32")
CORPORA = ("casme2", "samm")


def composite(path: Path) -> Store:
    """Flow of people of two corpora: each class moves another part of the face, faintly, on a noise of its own."""
    rng = np.random.default_rng(0)
    with create_store(path, CLASSES, CropSpec(size=SIDE, channels=3), planes=(PLANE,)) as writer:
        for i in range(SUBJECTS * CLIPS):
            label, corpus = (0, 0, 0, 1, 1, 2)[i % CLIPS], CORPORA[i // CLIPS % 2]
            flow = rng.normal(0, 0.6, (SIDE, SIDE, 3)).astype(np.float32)
            flow[4 * label : 4 * label + 4, 4:10, label % 2] += 0.3
            person = f"{corpus}/s{i // CLIPS}"
            sample = Sample(label=label, split="train", source=str(i), subject=person, groups={"corpus": corpus})
            writer.add(sample, face=np.full((SIDE, SIDE, 3), i, np.uint8), flow=flow)
        writer.finish(corpus="made", licence="made for tests")
    return Store.open(path)


def crossed(folder: Path, store: Store, protocol: str, folds: int) -> Comparison:
    runs = []
    for name, fold in itertools.product(("pixels", "hoof"), range(folds)):
        table = FeaturesTable(plane="flow", descriptor=name, classifier="ridge", c=0.01)  # type: ignore[arg-type]
        data = DataSettings(protocol=protocol, valid_fraction=0.3, fold=fold)  # type: ignore[arg-type]
        settings = FeaturesSettings(features=table, data=data).resolved(store.meta.crop)
        run = Run.create(folder, settings, store, divide(store, data))
        finish_run(run)
        runs.append(Run.open(run.path))
    return collect(runs)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return composite(tmp_path_factory.mktemp("composite") / "store")


@pytest.fixture(scope="module")
def loso(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Comparison:
    return crossed(tmp_path_factory.mktemp("loso"), store, "loso", SUBJECTS)


def test_figures_are_of_one_confusion_matrix_over_all_folds(loso: Comparison) -> None:
    found = pooled_rows(loso.rows)
    assert [one.row.name for one in found] == ["flow-pixels-ridge", "flow-hoof-ridge"]
    for one, row in zip(found, loso.rows, strict=True):
        (test,) = row.tests.values()
        every, *corpora = one.parts
        assert (every.name, every.n, every.subjects) == ("", SUBJECTS * CLIPS, SUBJECTS)
        assert [(part.name, part.n, part.subjects) for part in corpora] == [(name, 18, 3) for name in CORPORA]
        for part in one.parts:
            own = test.groups["corpus"] == part.name if part.name else np.ones(len(test.labels), np.bool_)
            by_hand = scores(test.logits[own], test.labels[own])
            for key in KEYS:
                figure = part.figures[key]
                assert figure.value == pytest.approx(getattr(by_hand, key), abs=1e-9)
                assert 0 <= figure.interval.low < figure.value < figure.interval.high <= 1


def test_the_interval_of_all_is_that_of_the_table(loso: Comparison) -> None:
    judgement = judge(loso)
    for row in judgement.pooled:
        for key in KEYS[:2]:
            own, table = row.parts[0].figures[key].interval, judgement.certainty.intervals[row.row.name, key]
            assert (own.low, own.high) == pytest.approx((table.low, table.high), abs=0.03), "other draws, one method"


def test_the_mean_of_subjects_is_told_apart(loso: Comparison) -> None:
    for row in pooled_rows(loso.rows):
        (test,) = row.row.tests.values()
        each = [test.subjects == name for name in np.unique(test.subjects)]
        by_hand = np.mean([scores(test.logits[own], test.labels[own]).macro_f1 for own in each])
        assert row.mean_of_subjects == pytest.approx(by_hand)
        assert row.mean_of_subjects != pytest.approx(row.parts[0].figures["macro_f1"].value, abs=1e-3)


def test_the_page_has_all_of_it(tmp_path: Path, loso: Comparison) -> None:
    path = write_report(loso, tmp_path / "report", faces=False)
    text = path.read_text(encoding="utf-8")
    assert 'id="pooled"' in text
    assert "Each fold tests a person. The predictions of all 6 folds make one confusion matrix" in text
    assert "See J., Yap M. H." in text, "the methods cite it"
    lines = (path.parent / "tables" / "parts.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("Row,Corpus,Clips,Subjects,")
    assert [line.split(",")[1] for line in lines[1:]] == 2 * ["all", *CORPORA]
    content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["pooled"]
    assert [part["name"] for part in content[0]["parts"]] == ["", *CORPORA]
    assert len((path.parent / "parts.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2 * 3 * len(KEYS)


def test_one_corpus_left_out_has_its_figures_and_holdout_has_no_such_section(tmp_path: Path, store: Store) -> None:
    left_out = crossed(tmp_path / "hde", store, "hde", len(CORPORA))
    assert [part.name for part in pooled_rows(left_out.rows)[0].parts] == ["", *CORPORA]
    folds = crossed(tmp_path / "folds", store, "group-kfold", DataSettings().folds)
    assert folds.rows[0].scores
    assert pooled_rows(folds.rows) == ()
