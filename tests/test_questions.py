"""Which differences are tested: contrasts in place of all pairs, shared replicates, and rows without randomness."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from made_runs import make_runs, make_store
from mien.compare import Comparison, Row, collect
from mien.config import NetworkSettings
from mien.data.store import Store
from mien.judge import judge
from mien.judge.certainty import TESTED, assess
from mien.judge.questions import best_simple, questions
from mien.judge.replicates import shared
from mien.judge.table import build_table
from mien.report import as_json, write_report
from mien.runs import Run
from mien.statistics import holm

NETWORKS = ("vgg16", "densenet121", "resnet34")


class Plain(NetworkSettings):
    """A kind that is simple, and gives the same result for every seed."""

    RANDOM = False
    SIMPLE = True


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return make_store(place / "store", test=210)


@pytest.fixture(scope="module")
def nine(place: Path, store: Store) -> Comparison:
    return collect(make_runs(place / "nine", store, dropouts=(0.0, 0.2, 0.4), seeds=2))


def plain(run: Run) -> Run:
    settings = Plain(**{field.name: getattr(run.settings, field.name) for field in fields(run.settings)})
    return Run(run.path, settings, run.data)


def compared(rows: Sequence[Row], like: Comparison) -> Comparison:
    return Comparison(**{**like.__dict__, "rows": tuple(rows)})


def row(name: str, runs: Sequence[Run]) -> Row:
    return Row(factors={"model.name": name}, runs=tuple(runs))


def test_a_ninth_row_silences_nothing(nine: Comparison) -> None:
    certainty = assess(nine)
    pairs = [(pair.a, pair.b) for pair in certainty.of("accuracy")]
    networks = [
        (f"{name}, {level}", f"resnet34, {level}")
        for level in ("no dropout", "dropout 0.2", "dropout 0.4")
        for name in NETWORKS[:2]
    ]
    levels = [(f"{name}, dropout {level}", f"{name}, no dropout") for name in NETWORKS for level in (0.2, 0.4)]
    assert set(pairs) == {*networks, *levels}
    assert len(pairs) == 12
    assert certainty.why_untested == ""
    assert certainty.asked == "each network against resnet34 and each level of dropout against no dropout"
    for metric in TESTED:
        own = certainty.of(metric)
        np.testing.assert_allclose([pair.p_corrected for pair in own], holm([pair.p for pair in own]))
    assert {one.level for one in certainty.contrasts} == {0.2, 0.4}


def test_bold_is_not_given_where_a_row_was_not_held_against_all_others(nine: Comparison) -> None:
    assert not any(cell.best for line in build_table(nine, assess(nine)).lines for cell in line.cells.values())


@pytest.mark.long
def test_one_row_with_other_seeds_silences_nothing_and_is_named(place: Path, store: Store) -> None:
    runs = make_runs(place / "seeds", store, dropouts=(0.0,), seeds=4)
    kept = [run for run in runs if (run.settings.seed > 1) == (run.settings.name == "resnet34")]
    found = assess(collect(kept))
    assert [(pair.a, pair.b) for pair in found.of("accuracy")] == [("vgg16", "densenet121")]
    assert [one.sentence for one in found.untested] == [
        "vgg16 − resnet34: they share no finished seed.",
        "densenet121 − resnet34: they share no finished seed.",
    ]
    path = write_report(collect(kept), place / "seeds-report", faces=False)
    assert "vgg16 − resnet34: they share no finished seed." in path.read_text(encoding="utf-8")
    assert as_json(collect(kept))["untested"][0]["rows"] == ["vgg16", "resnet34"]


def test_a_pair_takes_the_seeds_that_both_have(place: Path, store: Store) -> None:
    runs = make_runs(place / "shared", store, networks=("vgg16", "resnet34"), dropouts=(0.0,), seeds=4)
    kept = [run for run in runs if run.settings.name == "vgg16" or run.settings.seed in (1, 3)]
    comparison = collect(kept)
    assert shared(comparison.rows) == (((1,), 0), ((3,), 0))
    (pair,) = assess(comparison).of("accuracy")
    scores = [
        {key[0]: score.accuracy for key, score in zip(one.tests, one.scores, strict=True)} for one in comparison.rows
    ]
    assert pair.verdict.seeds == 2
    assert pair.effect == pytest.approx(np.mean([scores[0][seed] - scores[1][seed] for seed in (1, 3)]))


def test_a_row_without_randomness_stands_for_every_seed(place: Path, store: Store) -> None:
    runs = make_runs(place / "plain", store, networks=("vgg16", "resnet34"), dropouts=(0.0,), seeds=3)
    network, simple = row("vgg16", runs[:3]), row("hog", [plain(runs[4])])
    (pair,) = assess(compared((network, simple), collect(runs))).of("accuracy")
    accuracy = np.array([score.accuracy for score in network.scores])
    assert pair.verdict.seeds == 3
    assert pair.effect == pytest.approx(accuracy.mean() - simple.scores[0].accuracy)
    assert pair.verdict.spread.seeds == pytest.approx(accuracy.var(ddof=1) / 3), "the simple row adds none"


def test_two_rows_without_randomness_need_no_seeds_for_bold(place: Path, store: Store) -> None:
    runs = make_runs(place / "both", store, networks=("vgg16", "resnet34"), dropouts=(0.0,))
    certainty = assess(compared([row("hog", [plain(runs[0])]), row("pixels", [plain(runs[1])])], collect(runs)))
    (pair,) = certainty.of("accuracy")
    assert pair.better == pair.settled == "hog"
    assert pair.caution == ""
    assert certainty.holds("hog")


def test_each_method_stands_against_the_best_simple_one_on_validation(place: Path, store: Store) -> None:
    runs = make_runs(place / "simple", store, networks=[f"net{i}" for i in range(9)], dropouts=(0.0,))
    rows = [row(f"net{i}", [run]) for i, run in enumerate(runs)]
    rows[3], rows[7] = (row(f"simple{i}", [plain(runs[i])]) for i in (3, 7))
    valid = [np.mean(run.logits("valid").logits.argmax(1) == run.logits("valid").labels) for run in runs]
    best = best_simple(rows)
    assert best is rows[3 if valid[3] >= valid[7] else 7]
    asked = [one for one in questions(rows, ("model.name",)) if one.why == "simple"]
    assert {one.second.name for one in asked} == {best.name}
    # the first row is held against the simple one as a network of the first level already
    assert len(questions(rows, ("model.name",))) == 8 + 6


def test_few_rows_are_all_compared_and_it_is_said(place: Path, store: Store) -> None:
    comparison = collect(make_runs(place / "few", store, seeds=1))
    found = judge(comparison)
    assert found.certainty.asked == "all 15 pairs of rows"
    assert len(found.certainty.of("uar")) == 15
    assert found.certainty.untested == ()


def test_a_row_without_figures_is_named(place: Path, store: Store) -> None:
    runs = make_runs(place / "gone", store, dropouts=(0.0,))
    runs[1].update(status="failed", reason="The loss became NaN in epoch 3.")
    found = assess(collect([Run.open(run.path) for run in runs]))
    assert [one.sentence for one in found.untested] == ["densenet121: it has no figures yet."]
    assert len(found.of("accuracy")) == 1
