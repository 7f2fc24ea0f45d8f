"""Folds that are people: UF1 and UAR of all, of each corpus of a composite, and what peeking makes of them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from made_runs import finish
from mien.compare import Comparison, collect
from mien.config import DataSettings, FeaturesSettings, FeaturesTable, NetworkSettings, override
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.errors import RunError
from mien.judge import judge
from mien.judge.parts import KEYS, pooled_rows
from mien.judge.peeking_folds import peeked_folds
from mien.labels import LabelSet
from mien.metrics import class_scores, confusion_matrix, metric, scores
from mien.planes import Plane
from mien.report import write_report
from mien.runs import Peek, Run
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


# What choosing the epoch on the held-out subject would have claimed

UF1 = metric("macro_f1")


def peeked_networks(folder: Path, store: Store, epochs: int = 4) -> Comparison:
    """Networks that were never trained; of each epoch, counts that scatter around those of the kept one."""
    runs = []
    for seed, fold in itertools.product(range(2), range(SUBJECTS)):
        changes = {"data.protocol": "loso", "data.valid_fraction": 0.3, "data.fold": fold, "seed": seed}
        settings = override(NetworkSettings(), {**changes, "train.epochs": epochs}).resolved(store.meta.crop)
        parts = divide(store, settings.data)
        run = finish(Run.create(folder, settings, store, parts), parts)
        peek(run, epochs)
        runs.append(Run.open(run.path))
    return collect(runs)


def peek(run: Run, epochs: int) -> None:
    """What the hook leaves: the first epoch is the kept one, the others are other answers."""
    test, rng = run.logits("test"), np.random.default_rng(run.settings.data.fold)
    answers = [test.logits.argmax(1), *rng.integers(0, 3, (epochs - 1, len(test.labels)))]
    counts = np.array([confusion_matrix(test.labels, said, 3) for said in answers])
    each = [scores(np.eye(3)[said], test.labels) for said in answers]
    lines = [
        Peek(epoch=number, accuracy=one.accuracy, uar=one.uar, macro_f1=one.macro_f1)
        for number, one in enumerate(each, 1)
    ]
    run.write_peeking(lines, counts)


@pytest.fixture(scope="module")
def peeked(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Comparison:
    return peeked_networks(tmp_path_factory.mktemp("peeked"), store)


def test_the_three_ways_to_a_uf1_by_hand(peeked: Comparison) -> None:
    (found,) = peeked_folds(peeked.rows)
    (row,) = peeked.rows
    chosen, means = [], []
    for runs in row.replicates.values():
        best = []
        for run in runs:
            assert run.peeked_confusions is not None
            own = [float(UF1.function(class_scores(counts))) for counts in run.peeked_confusions]
            best.append((max(own), run.peeked_confusions[own.index(max(own))]))
        chosen.append(float(UF1.function(class_scores(sum(counts for _, counts in best)))))
        means.append(np.mean([own for own, _ in best]))
    assert found.folds == SUBJECTS
    assert found.honest.value == pytest.approx(np.mean([one.macro_f1 for one in row.scores]))
    assert found.best_epochs.value == pytest.approx(np.mean(chosen))
    assert found.mean_of_bests.value == pytest.approx(np.mean(means))
    assert found.best_gain.value == pytest.approx(found.best_epochs.value - found.honest.value)
    assert found.mean_gain.value == pytest.approx(found.mean_of_bests.value - found.honest.value)
    assert found.best_gain.value > 0.02, "of four tries a subject the best is better than the first"
    assert found.best_gain.interval.method.startswith("bootstrap standard error over folds")
    assert found.best_gain.interval.low < found.best_gain.value < found.best_gain.interval.high


def test_it_is_drawn_where_it_was_recorded_and_not_where_it_was_not(
    tmp_path: Path, peeked: Comparison, store: Store
) -> None:
    path = write_report(peeked, tmp_path / "report", faces=False)
    assert (path.parent / "figures" / "peeked-folds.svg").exists()
    assert (path.parent / "figures" / "peeked-folds.pdf").exists()
    assert "With the best epoch on each held-out subject it would claim" in path.read_text(encoding="utf-8")
    (told,) = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["peeked_folds"]
    assert told["best_epochs"]["value"] > told["honest"]["value"]
    lines = (path.parent / "peeked-folds.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 5
    first = peeked.runs[0]
    kept = (first.path / "peeking.npz").read_bytes()
    (first.path / "peeking.npz").unlink()
    assert peeked_folds(peeked.rows) == (), "an earlier version kept no confusions"
    (first.path / "peeking.npz").write_bytes(kept)


def test_counts_that_are_not_of_the_test_are_refused(tmp_path: Path, store: Store) -> None:
    first = peeked_networks(tmp_path / "runs", store, epochs=2).runs[0]
    lines = [Peek(epoch=number, accuracy=0.5, uar=0.5, macro_f1=0.5) for number in (1, 2)]
    first.write_peeking(lines, np.full((2, 3, 3), 7))
    with pytest.raises(RunError, match=r"peeking\.npz is damaged .*not those of 6 test samples.*--show-peeking"):
        _ = first.peeked_confusions
    first.write_peeking(lines, np.zeros((3, 3, 3), np.int64))
    with pytest.raises(RunError, match=r"peeking\.npz is damaged"):
        _ = first.peeked_confusions
