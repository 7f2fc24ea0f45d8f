"""Groups and gaps: figures against plain counting, size and coverage by simulation, Holm over all gaps."""

import gc
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from made_runs import make_runs, make_store
from mien.compare import collect
from mien.data.corpora import ReadOptions, find_reader
from mien.errors import BadSample, CompareError
from mien.examine.groups import Groups, by_group, by_groups
from mien.examine.tested import at_home
from mien.runs import Logits
from mien.statistics import holm
from mien.statistics.estimates import hidden_variance, share, spreads

CLASSES = ("anger", "fear", "joy")


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels collects garbage in every correction: 70 ms a call in a process that holds torch."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def made(
    rng: np.random.Generator,
    accuracy: np.ndarray,
    groups: dict[str, np.ndarray],
    subjects: np.ndarray | None = None,
    seeds: int = 1,
) -> list[Logits]:
    """Tests in which each face is right with its own probability `accuracy (N,)`, else one of the other classes."""
    n = len(accuracy)
    labels = np.arange(n) % 3
    tests = []
    for _ in range(seeds):
        wrong = rng.random(n) >= accuracy
        predicted = np.where(wrong, (labels + rng.integers(1, 3, n)) % 3, labels)
        logits = np.eye(3, dtype=np.float32)[predicted]
        names = np.full(n, "") if subjects is None else subjects
        tests.append(Logits(ids=np.arange(n), labels=labels, logits=logits, subjects=names, groups=groups))
    return tests


def judged(tests: list[Logits], seed: int = 0, **options: int) -> Groups:
    return by_group("net", tests, CLASSES, np.random.default_rng(seed), **options)


def test_figures_are_plain_counts_and_means_over_seeds() -> None:
    rng = np.random.default_rng(0)
    column = np.array(["yes", "no", "no", ""])[rng.integers(0, 4, 600)]
    tests = made(rng, np.full(600, 0.7), {"glasses": column}, seeds=2)
    found = judged(tests)
    assert [(g.attribute, g.level) for g in found.groups] == [("glasses", "no"), ("glasses", "yes")]
    for group in found.groups:
        inside = column == group.level
        pairs = [(t.labels[inside], t.logits.argmax(1)[inside]) for t in tests]
        assert group.n == inside.sum() == sum(group.support)
        assert group.accuracy.value == pytest.approx(np.mean([(y == p).mean() for y, p in pairs]))
        assert group.uar.value == pytest.approx(np.mean([balanced_accuracy_score(y, p) for y, p in pairs]))
        recalls = np.mean([recall_score(y, p, average=None) for y, p in pairs], axis=0)
        assert [r.value for r in group.recall] == pytest.approx(recalls)
    no, yes = found.groups
    gaps = {(gap.level, gap.metric): gap for gap in found.gaps}
    assert gaps["yes", "accuracy"].value == pytest.approx(yes.accuracy.value - no.accuracy.value)
    assert gaps["yes", "uar"].value == pytest.approx(yes.uar.value - no.uar.value)
    assert gaps["yes", "uar"].p_corrected == gaps["no", "uar"].p_corrected
    assert {gap.tests for gap in found.gaps} == {2}


def test_a_real_gap_is_found_and_said() -> None:
    rng = np.random.default_rng(1)
    column = np.repeat(["dark", "fair"], [300, 700])
    found = judged(made(rng, np.where(column == "dark", 0.6, 0.8), {"skin": column}, seeds=3))
    dark = next(gap for gap in found.gaps if (gap.level, gap.metric) == ("dark", "accuracy"))
    assert dark.interval.low < -0.2 < dark.interval.high < 0
    assert dark.p_corrected < 0.001
    assert dark.sentence.startswith("skin dark: worse; accuracy -")
    assert "corrected p < .001, 2 gaps; 300 and 700 faces" in dark.sentence


@pytest.mark.long
@pytest.mark.parametrize(("accuracy", "size"), [(0.7, 60), (0.97, 40)])
def test_no_gap_is_claimed_in_more_than_1_of_20_corpora_without_one(accuracy: float, size: int) -> None:
    column = np.repeat(["few", "many"], [size, 300])
    claims, misses, trials = 0, 0, 150
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        gap = judged(made(rng, np.full(len(column), accuracy), {"a": column}), trial, draws=200).gaps[0]
        claims += gap.p < 0.05
        misses += not gap.interval.low <= 0 <= gap.interval.high
    assert claims / trials < 0.09
    assert claims == misses


def test_subjects_are_what_is_drawn() -> None:
    """Faces of a subject share luck: 12 subjects of 25 faces are no 300 faces, and no gap may be claimed."""
    subjects = np.repeat([f"s{i:02}" for i in range(24)], 25)
    column = np.repeat(["a", "b"], 300)
    by_subject, by_face = 0, 0
    for trial in range(80):
        rng = np.random.default_rng(trial)
        accuracy = np.repeat(rng.beta(3, 2, 24), 25)
        by_subject += judged(made(rng, accuracy, {"g": column}, subjects), draws=200).gaps[0].p < 0.05
        by_face += judged(made(rng, accuracy, {"g": column}), draws=200).gaps[0].p < 0.05
    assert by_subject / 80 < 0.12
    assert by_face / 80 > 0.3


def test_uar_gap_is_free_of_another_mix_of_classes() -> None:
    """Recalls of .9, .6, .6 in both groups; one group has far more of the easy class."""
    rng = np.random.default_rng(5)
    n = 3000
    labels = np.arange(n) % 3
    column = np.where(rng.random(n) < np.where(labels == 0, 0.8, 0.2), "easy", "hard")
    found = judged(made(rng, np.where(labels == 0, 0.9, 0.6), {"mix": column}))
    gaps = {(gap.level, gap.metric): gap for gap in found.gaps}
    assert gaps["easy", "accuracy"].p_corrected < 0.001
    assert gaps["easy", "uar"].p_corrected > 0.05


def test_small_groups_are_named_and_not_judged() -> None:
    rng = np.random.default_rng(2)
    column = np.repeat(["1", "2", "10"], [20, 140, 140])
    subjects = np.repeat(["a", "b", "c"], 100)
    found = judged(made(rng, np.full(300, 0.7), {"skin": column}))
    assert [g.level for g in found.groups] == ["2", "10"]
    assert found.left_out == ("skin 1: 20 faces, 280 in the rest",)
    assert {gap.tests for gap in found.gaps} == {4}
    with_subjects = judged(made(rng, np.full(300, 0.7), {"skin": column}, subjects))
    assert with_subjects.groups == () == with_subjects.gaps
    assert "skin 2: 140 faces of 2 subjects, 160 in the rest" in with_subjects.left_out
    assert with_subjects.subjects is not None
    assert with_subjects.subjects.n.tolist() == [100, 100, 100]
    assert (np.diff(with_subjects.subjects.accuracy) >= 0).all()


def test_a_group_that_is_all_right_gets_a_wide_interval() -> None:
    column = np.repeat(["few", "many"], [30, 300])
    tests = made(np.random.default_rng(3), np.where(column == "few", 1.0, 0.9), {"a": column})
    found = judged(tests)
    few = found.groups[0]
    assert few.accuracy.value == 1
    assert few.accuracy.interval.low == pytest.approx(0.886, abs=0.01)
    assert few.uar.interval.low < 0.95
    assert found.gaps[0].interval.high - found.gaps[0].interval.low > 0.1


def test_a_class_that_a_group_lacks_is_undefined_and_left_out_of_its_uar() -> None:
    labels = np.arange(300) % 3
    column = np.where((labels < 2) & (np.arange(300) < 200), "two", "all")
    found = judged(made(np.random.default_rng(4), np.full(300, 0.8), {"g": column}))
    two = next(g for g in found.groups if g.level == "two")
    assert np.isnan(two.recall[2].value)
    assert two.uar.value == pytest.approx(np.mean([r.value for r in two.recall[:2]]))


def test_all_gaps_of_all_rows_are_corrected_together(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", test=280)
    runs = make_runs(tmp_path / "runs", store, dropouts=(0.0,), seeds=2)
    rng = np.random.default_rng(6)
    column = np.array(["x", "y", "z"])[rng.integers(0, 3, 280)]
    for run in runs:
        test = run.logits("test")
        grouped = Logits(
            ids=test.ids, labels=test.labels, logits=test.logits, subjects=test.subjects, groups={"g": column}
        )
        run.write_logits({"valid": run.logits("valid"), "test": grouped})
    found = by_groups([at_home(row) for row in collect(runs).rows], np.random.default_rng(0))
    gaps = [gap for groups in found for gap in groups.gaps]
    assert sorted(groups.name for groups in found) == ["densenet121", "resnet34", "vgg16"]
    assert {groups.seeds for groups in found} == {2}
    assert {gap.tests for gap in gaps} == {18}
    assert [gap.p_corrected for gap in gaps] == pytest.approx(holm([gap.p for gap in gaps]).tolist())


def test_rows_without_attributes_give_nothing(tmp_path: Path) -> None:
    runs = make_runs(tmp_path / "runs", make_store(tmp_path / "store"), networks=("vgg16",))
    assert by_groups([at_home(row) for row in collect(runs).rows], np.random.default_rng(0)) == ()


def test_other_samples_are_refused() -> None:
    rng = np.random.default_rng(0)
    one, other = made(rng, np.full(90, 0.5), {}), made(rng, np.full(60, 0.5), {})
    with pytest.raises(CompareError, match="different samples"):
        judged(one + other)


@pytest.mark.parametrize(("rate", "n", "seeds"), [(0.7, 100, 1), (0.95, 60, 1), (0.8, 100, 3)])
def test_share_holds_the_truth_19_times_in_20(rate: float, n: int, seeds: int) -> None:
    hits, trials = 0, 300
    for trial in range(trials):
        rng = np.random.default_rng([trial, n])
        right = (rng.random((n, seeds)) < rate).astype(np.float32)
        figure = spreads(lambda counts: (counts @ right / n)[:, :, None], n, rng, draws=300)[0]  # noqa: B023
        interval = share(figure, n).interval
        hits += interval.low <= rate <= interval.high
    assert 0.925 <= hits / trials <= (1.0 if seeds > 1 else 0.985)


def test_hidden_variance_is_agresti_caffo_less_the_plain_one() -> None:
    p = np.array([0.0, 0.1, 0.5, 0.95, 1.0])
    nudged = (20 * p + 1) / 22
    expected = np.maximum(0, nudged * (1 - nudged) / 22 - p * (1 - p) / 20)
    np.testing.assert_allclose(hidden_variance(p, 20), expected)
    assert hidden_variance(0.5, 20) == 0 < hidden_variance(1.0, 20)


def rafdb(root: Path, annotations: dict[str, str]) -> list[object]:
    (root / "EmoLabel").mkdir(parents=True)
    (root / "Image" / "aligned").mkdir(parents=True)
    (root / "EmoLabel" / "list_patition_label.txt").write_text("train_00001.jpg 1\ntest_0001.jpg 4\n")
    for stem, text in annotations.items():
        (root / "Annotation" / "manual").mkdir(parents=True, exist_ok=True)
        (root / "Annotation" / "manual" / f"{stem}_manu_attri.txt").write_text(text)
    return list(find_reader("rafdb")(root, ReadOptions()).entries)


def test_rafdb_attributes_become_groups(tmp_path: Path) -> None:
    marks = "1.5\t2.5\n" * 5
    first, second = rafdb(tmp_path / "some", {"train_00001": f"{marks}1\n0\n4\n"})
    assert first.groups == {"gender": "female", "race": "caucasian", "age": "70+"}
    assert second.groups == {"gender": "", "race": "", "age": ""}
    assert [entry.groups for entry in rafdb(tmp_path / "none", {})] == [{}, {}]
    bad, _ = rafdb(tmp_path / "bad", {"train_00001": f"{marks}1\n7\n4\n"})
    assert isinstance(bad, BadSample)
    assert "race is '7', expected 0 to 2" in str(bad)
    short, _ = rafdb(tmp_path / "short", {"train_00001": marks})
    assert "0 lines after the landmarks" in str(short)


def test_an_interval_of_a_gap_never_says_more_than_100_points() -> None:
    """Few seeds that differ much have hardly a degree of freedom, and t then reaches beyond what shares can be."""
    rng = np.random.default_rng(12)
    column = np.array(["x", "y"])[np.arange(80) % 2]
    tests = [made(rng, np.where(column == "x", level, 0.5), {"g": column})[0] for level in (0.05, 0.95)]
    assert judged(tests).gaps
    for gap in judged(tests).gaps:
        assert -1 <= gap.interval.low < gap.value < gap.interval.high <= 1
    assert any(gap.spread.interval().high > 1 for gap in judged(tests).gaps), "the case is one that needs it"
