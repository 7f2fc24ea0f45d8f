"""What the report says of pairs of rows: which test carries it, what Holm leaves, what it would take to tell."""

import csv
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from made_runs import finish, make_runs, make_store
from mien.compare import Comparison, Row, collect
from mien.config import NetworkSettings, override
from mien.data.splits import divide, fold_count
from mien.data.store import Sample, Store, create_store
from mien.judge.certainty import TESTED, assess
from mien.judge.folds import Folds, RowFolds, fold_test, resampled
from mien.judge.replicates import shared
from mien.judge.select import select
from mien.judge.table import build_table
from mien.labels import SEVEN
from mien.metrics import class_scores, confusion_matrix, scores
from mien.report import as_json, write_report
from mien.report.figures import draw_critical_difference, draw_forest, looked
from mien.report.figures.ranks import joined
from mien.runs import Run
from mien.statistics import compare_pair, corrected_resampled_t, friedman_nemenyi, holm
from mien.statistics.resampling import Units


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return make_store(place / "store", test=350)


@pytest.fixture(scope="module")
def three_seeds(place: Path, store: Store) -> Comparison:
    return collect(make_runs(place / "three", store, dropouts=(0.0,), seeds=3))


def cross_validated(folder: Path, store: Store, protocol: str = "kfold", repeats: int = 1) -> Comparison:
    """Two unlike networks over the folds of a cross-validation."""
    shared = {"data.protocol": protocol, "data.valid_fraction": 0.3, "train.epochs": 3}
    folds = fold_count(store, override(NetworkSettings(), shared).data)
    runs = []
    for name, repeat, fold in itertools.product(("vgg16", "resnet34"), range(repeats), range(folds)):
        changes = shared | {"model.name": name, "data.fold": fold, "data.repeat": repeat}
        settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
        parts = divide(store, settings.data)
        runs.append(finish(Run.create(folder, settings, store, parts), parts))
    return collect(runs)


def people(path: Path) -> Store:
    """Ten subjects, two faces of each class from every one."""
    rng = np.random.default_rng(2)
    with create_store(path, SEVEN, make_store(path.parent / "shape", test=7).meta.crop) as writer:
        for i in range(140):
            image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            sample = Sample(label=i % 7, split="train", source=f"{i}.png", subject=f"s{i // 14}")
            writer.add(sample, face=image)
        writer.finish(corpus="people", licence="made for tests")
    return Store.open(path)


def test_every_pair_by_every_metric_is_that_of_the_statistics(three_seeds: Comparison) -> None:
    certainty = assess(three_seeds)
    names = [row.name for row in three_seeds.rows]
    for metric in TESTED:
        pairs = certainty.of(metric)
        assert [(pair.a, pair.b) for pair in pairs] == list(itertools.combinations(names, 2))
        np.testing.assert_allclose([pair.p_corrected for pair in pairs], holm([pair.p for pair in pairs]))
    rows = {row.name: np.stack([test.logits for test in row.tests.values()]) for row in three_seeds.rows}
    labels = next(iter(three_seeds.rows[0].tests.values())).labels
    for pair in certainty.pairs:
        theirs = compare_pair(rows[pair.a], rows[pair.b], labels, np.random.default_rng(5), metric=pair.metric)
        assert pair.effect == pytest.approx(theirs.effect)
        assert pair.interval.low == pytest.approx(theirs.interval.low, abs=0.01)
        assert pair.verdict.sign_flip == theirs.sign_flip


def test_bold_follows_the_verdicts_column_by_column(three_seeds: Comparison) -> None:
    certainty = assess(three_seeds)
    for line in build_table(three_seeds, certainty).lines:
        for key, cell in line.cells.items():
            own = [pair for pair in certainty.of(key) if line.name in (pair.a, pair.b)]
            assert cell.best == (bool(own) and all(pair.settled == line.name for pair in own)), (line.name, key)


def test_one_seed_settles_nothing(place: Path, store: Store) -> None:
    comparison = collect(make_runs(place / "one", store, dropouts=(0.0,)))
    certainty = assess(comparison)
    assert any(pair.better for pair in certainty.pairs)
    assert not any(pair.settled for pair in certainty.pairs)
    first = certainty.of("accuracy")[0]
    assert first.verdict.by_mcnemar
    assert first.p == first.verdict.mcnemar.p
    assert first.method == "McNemar's exact test"


def test_recalls_of_one_seed_are_wilsons(place: Path, store: Store) -> None:
    comparison = collect(make_runs(place / "wilson", store, networks=("vgg16",), dropouts=(0.0,)))
    (recalls,) = assess(comparison).recalls.values()
    test = comparison.rows[0].runs[0].logits("test")
    each = class_scores(confusion_matrix(test.labels, test.logits.argmax(1), 7))
    for got, recall, support in zip(recalls, each.recall, each.support, strict=True):
        expected = proportion_confint(round(recall * support), support, method="wilson")
        assert (got.interval.low, got.interval.high) == pytest.approx(expected)
        assert got.value == pytest.approx(recall)


def test_recalls_of_several_seeds_are_means_with_wider_intervals(three_seeds: Comparison) -> None:
    row = three_seeds.rows[0]
    each = [class_scores(confusion_matrix(t.labels, t.logits.argmax(1), 7)) for t in row.tests.values()]
    for k, got in enumerate(assess(three_seeds).recalls[row.name]):
        assert got.value == pytest.approx(np.mean([one.recall[k] for one in each]))
        assert 0 <= got.interval.low < got.value < got.interval.high <= 1


def test_no_interval_of_the_table_leaves_0_to_100_percent(place: Path) -> None:
    tiny = make_store(place / "seven", test=7)
    certainty = assess(collect(make_runs(place / "seven-runs", tiny, networks=("vgg16",), dropouts=(0.0,), seeds=2)))
    ends = np.array([(one.low, one.high) for one in certainty.intervals.values()])
    assert ends.min() < 1e-3 or ends.max() > 1 - 1e-3, "or nothing here would have left it"
    assert ((ends >= 0) & (ends <= 1)).all()


def test_the_forest_says_every_verdict(three_seeds: Comparison) -> None:
    certainty, shown = assess(three_seeds), looked(three_seeds.rows, select(three_seeds.rows))
    every = {"uar": certainty.of("uar"), "macro_f1": certainty.of("macro_f1")}
    looks = {item.name: item.look for item in shown}
    (drawing,) = draw_forest(every, looks)
    assert drawing.name == "forest"
    assert drawing.pdf.startswith(b"%PDF")
    lines = list(zip(*every.values(), strict=True))
    for one, other in lines:
        assert (one.a, one.b) == (other.a, other.b)
        assert drawing.svg.count(f"{one.a} − {one.b}<") == 1, "a pair has one line, whatever the metrics"
    both = [one for one, other in lines if one.better and one.better == other.better]
    words = [f">{'first' if one.better == one.a else 'second'} is better<" for one in both]
    assert sum(map(drawing.svg.count, dict.fromkeys(words))) == len(both) > 0
    neither = sum(not one.better and not other.better for one, other in lines)
    assert drawing.svg.count(">cannot tell<") == neither
    assert draw_forest({"uar": []}, looks) == []


def test_the_forest_names_the_metrics_that_tell_where_others_do_not(three_seeds: Comparison) -> None:
    certainty, shown = assess(three_seeds), looked(three_seeds.rows, select(three_seeds.rows))
    pairs = [pair for pair in certainty.of("uar") if pair.better]
    unsure = [replace(pair, p_corrected=1.0) for pair in certainty.of("macro_f1") if pair.better]
    assert len(pairs) == len(unsure) > 0
    (drawing,) = draw_forest({"uar": pairs, "macro_f1": unsure}, {item.name: item.look for item in shown})
    assert drawing.svg.count(" by UAR<") == len(pairs)
    assert "is better<" not in drawing.svg


def test_a_pair_that_a_metric_cannot_test_leaves_its_place_empty(three_seeds: Comparison) -> None:
    certainty, shown = assess(three_seeds), looked(three_seeds.rows, select(three_seeds.rows))
    pairs, looks = certainty.of("uar"), {item.name: item.look for item in shown}
    whole = draw_forest({"uar": pairs, "macro_f1": certainty.of("macro_f1")}, looks)[0].svg
    without = draw_forest({"uar": pairs, "macro_f1": certainty.of("macro_f1")[1:]}, looks)[0].svg
    last = draw_forest({"uar": pairs[1:], "macro_f1": certainty.of("macro_f1")}, looks)[0].svg
    for pair in pairs:
        assert all(drawing.count(f"{pair.a} − {pair.b}<") == 1 for drawing in (whole, without, last))
    assert whole != without != last


# Cross-validation


@pytest.mark.long
def test_folds_are_judged_by_the_corrected_resampled_t(place: Path, store: Store) -> None:
    comparison = cross_validated(place / "cv", store, repeats=2)
    certainty = assess(comparison)
    a, b = comparison.rows
    for pair in certainty.pairs:
        by_hand = [
            getattr(scores(one.logits("test").logits, one.logits("test").labels), pair.metric)
            - getattr(scores(two.logits("test").logits, two.logits("test").labels), pair.metric)
            for one, two in zip(a.runs, b.runs, strict=True)
        ]
        sizes = np.mean([(run.data.counts["train"], run.data.counts["test"]) for run in a.runs], axis=0)
        t, p = corrected_resampled_t(by_hand, *np.round(sizes).astype(int).tolist())
        assert (pair.folds.t, pair.p, pair.folds.folds) == (pytest.approx(t), pytest.approx(p), 10)
        assert pair.effect == pytest.approx(np.mean(by_hand))
        assert (pair.interval.low < 0 < pair.interval.high) == (p > 0.05)
    path = write_report(comparison, place / "cv-report")
    page = path.read_text(encoding="utf-8")
    with (path.parent / "differences.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["p_holm"]) for row in rows] == [pair.p_corrected for pair in certainty.pairs]
    assert [row["better"] for row in rows] == [pair.better or "" for pair in certainty.pairs]
    assert "corrected resampled t-test over 10 folds" in page
    assert certainty.holds("vgg16")
    assert as_json(comparison)["verdicts"][0]["method"] == "corrected resampled t over 10 folds"


def test_seeds_on_one_fold_are_averaged() -> None:
    a = Folds(scores={"uar": np.array([0.6, 0.7])}, keys=((0, 0), (0, 1)), train=90, test=10)
    b = Folds(scores={"uar": np.array([0.5, 0.55])}, keys=((0, 0), (0, 1)), train=90, test=10)
    test = fold_test(a, b, "uar")
    assert test.effect == pytest.approx(0.125)
    assert fold_test(a, Folds(scores=b.scores, keys=((0, 0), (0, 2)), train=90, test=10), "uar") is None
    absent = Folds(scores={"uar": np.array([math.nan, 0.5])}, keys=a.keys, train=90, test=10)
    assert fold_test(a, absent, "uar") is None


def test_folds_of_a_row(place: Path, store: Store) -> None:
    row = cross_validated(place / "cv-row", store).rows[0]
    assert resampled(row)
    found = RowFolds.of(row).over(shared([row]))
    assert found.keys == tuple((0, fold) for fold in range(5))
    assert found.train + found.test < len(store)  # valid is neither
    last = row.runs[4].logits("test")
    assert found.scores["accuracy"][4] == scores(last.logits, last.labels).accuracy


def test_repetitions_to_tell_reach_the_power() -> None:
    """Simulated: folds of equal correlation test / (test + train), the model that the correction assumes."""
    rng, ratio, deviation, effect = np.random.default_rng(4), 0.25, 0.02, 0.033
    keys = tuple((0, fold) for fold in range(5))
    noise = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    noise *= deviation / noise.std(ddof=1)
    a = Folds(scores={"uar": effect + noise}, keys=keys, train=400, test=100)
    needed = fold_test(a, Folds(scores={"uar": np.zeros(5)}, keys=keys, train=400, test=100), "uar").repeats_needed
    count, found = 5 * needed, 0
    rho = ratio / (1 + ratio)
    for _ in range(2000):
        shared, own = rng.normal(0, math.sqrt(rho), (1,)), rng.normal(0, math.sqrt(1 - rho), count)
        # the variance seen within folds is that of `own`, so scale it to the deviation that was planned with
        drawn = effect + deviation * (shared + own) / math.sqrt(1 - rho)
        found += corrected_resampled_t(drawn, 400, 100)[1] < 0.05
    assert 0.72 < found / 2000 < 0.9
    far = Folds(scores={"uar": 0.0001 + noise}, keys=keys, train=400, test=100)
    assert (
        fold_test(far, Folds(scores={"uar": np.zeros(5)}, keys=keys, train=400, test=100), "uar").repeats_needed is None
    )


def test_size_of_the_fold_test_on_correlated_folds() -> None:
    """Folds share three quarters of their training faces: the plain t-test claims more than twice too often."""
    rng, rho, told, plain = np.random.default_rng(6), 0.2, 0, 0
    for _ in range(2000):
        drawn = rng.normal(0, math.sqrt(rho)) + rng.normal(0, math.sqrt(1 - rho), 5)
        told += corrected_resampled_t(drawn, 400, 100)[1] < 0.05
        plain += stats.ttest_1samp(drawn, 0).pvalue < 0.05
    assert told / 2000 < stats.binom.ppf(0.999, 2000, 0.05) / 2000
    assert plain / 2000 > 0.11


def test_one_subject_out_redraws_subjects(place: Path) -> None:
    store = people(place / "people")
    comparison = cross_validated(place / "loso", store, "loso")
    assert not resampled(comparison.rows[0])
    certainty = assess(comparison)
    assert certainty.by_subject
    assert all(pair.folds is None and pair.verdict.spread.units == Units(10, "subjects") for pair in certainty.pairs)
    grouped = cross_validated(place / "grouped", store, "group-kfold")
    assert all(pair.folds for pair in assess(grouped).pairs)


def test_a_row_whose_folds_are_not_all_there_is_not_tested(place: Path, store: Store) -> None:
    whole = cross_validated(place / "broken", store)
    a, b = whole.rows
    short = Row(factors=b.factors, runs=b.runs[:-1], folds=5)
    partial = Comparison(**{**whole.__dict__, "rows": (a, short)})
    assert assess(partial).why_untested


# Ranks over corpora


def ranked(table: list[list[float]]) -> str:
    networks = ["vgg16", "densenet121", "resnet34", "compact-s"][: len(table[0])]
    drawings = draw_critical_difference(table, networks, [f"c{i}" for i in range(len(table))])
    return drawings[0].svg + drawings[0].caption if drawings else ""


def test_ranks_need_two_corpora_and_three_networks() -> None:
    assert ranked([[0.8, 0.7, 0.6]]) == ""
    assert ranked([[0.8, 0.7], [0.8, 0.7], [0.8, 0.7]]) == ""
    assert ranked([[0.8, 0.7, math.nan], [0.8, 0.7, 0.6]]) == ""
    assert draw_critical_difference([], [], []) == []
    assert "critical difference" in ranked([[0.8, 0.7, 0.6]] * 2)


def test_ranks_are_friedmans_and_undefined_corpora_are_named() -> None:
    table = [[0.8, 0.7, 0.6, 0.5], [0.9, 0.6, 0.7, 0.1], [0.8, 0.7, 0.6, math.nan], [0.7, 0.8, 0.6, 0.2]]
    text = ranked(table)
    found = friedman_nemenyi([row for row in table if not any(map(math.isnan, row))])
    assert f"χ² = {found.statistic:.2f}" in text
    assert f"{found.mean_ranks[0]:.2f}" in text
    assert "Left out, because a score is undefined there: c2" in text


def test_bars_join_what_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(0)
    found = friedman_nemenyi(rng.normal((0.9, 0.89, 0.6, 0.59), 0.02, (20, 4)))
    order = np.argsort(found.mean_ranks, kind="stable")
    bars = joined(found, order)
    ranks = found.mean_ranks[order]
    for i, j in itertools.combinations(range(4), 2):
        under_one = any(first <= i and j <= last for first, last in bars)
        assert under_one == (ranks[j] - ranks[i] < found.critical_difference)
    nothing = friedman_nemenyi(rng.normal(size=(3, 4)))
    assert nothing.p > 0.05
    assert joined(nothing, np.argsort(nothing.mean_ranks)) == [(0, 3)]
