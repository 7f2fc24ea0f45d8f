"""Calibration in the report: temperatures come from valid alone, scores are the library's, intervals hold."""

from pathlib import Path

import numpy as np
import pytest

from made_runs import finish, make_runs, make_store
from mien.calibration import brier, ece, fit_temperature, nll, risk_coverage, softmax
from mien.compare import Row, collect
from mien.config import NetworkSettings, override
from mien.data.splits import divide
from mien.data.store import Store
from mien.judge.calibration import COVERAGES, RISK, SCORES, Calibrated, _probabilities, calibrate
from mien.judge.select import accuracy, select
from mien.report.figures import looked
from mien.report.parts import Section
from mien.report.sections.calibration import calibration_section
from mien.runs import Run


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return make_store(place / "store", test=350)


@pytest.fixture(scope="module")
def rows(place: Path, store: Store) -> tuple[Row, ...]:
    return select(collect(make_runs(place / "two", store, networks=("vgg16",), dropouts=(0.0, 0.2), seeds=2)).rows)


@pytest.fixture(scope="module")
def one(rows: tuple[Row, ...]) -> Calibrated:
    found = calibrate(rows[0])
    assert found
    return found


def section_of(rows: tuple[Row, ...]) -> Section:
    looks = {item.name: item.look for item in looked(rows, rows)}
    return calibration_section([found for row in rows if (found := calibrate(row))], looks)


def test_temperature_is_that_of_valid(one: Calibrated) -> None:
    expected = [fit_temperature(v.logits, v.labels) for run in one.row.runs for v in [run.logits("valid")]]
    assert one.temperatures == pytest.approx(expected)


@pytest.mark.parametrize("scaled", [False, True])
def test_scores_are_means_over_seeds_of_the_librarys(one: Calibrated, scaled: bool) -> None:
    seen = []
    for run, t in zip(one.row.runs, one.temperatures, strict=True):
        test = run.logits("test")
        z = test.logits.astype(float) / (t if scaled else 1)
        p = softmax(z)
        curve = risk_coverage(p.max(1), p.argmax(1) == test.labels)
        seen.append(
            (
                ece(p, test.labels),
                ece(p, test.labels, by="mass"),
                brier(p, test.labels),
                nll(z, test.labels),
                curve.aurc,
            )
        )
    form = one.after if scaled else one.before
    for key, value in zip((one.key for one in SCORES), np.mean(seen, axis=0), strict=True):
        assert form.scores[key].value == pytest.approx(value), key
        assert form.scores[key].interval.low < value < form.scores[key].interval.high
    assert form.risk[-1] == pytest.approx(1 - accuracy(one.row))


def test_pooled_seeds_do_not_narrow_the_reliability_intervals(rows: tuple[Row, ...], one: Calibrated) -> None:
    alone = calibrate(Row(factors=rows[0].factors, runs=rows[0].runs[:1]))
    assert alone
    assert one.before.curve.count.sum() == 2 * alone.before.curve.count.sum()
    top = -1  # the fullest bin: nearly the same accuracy in both
    widths = [c.high[top] - c.low[top] for c in (alone.before.curve, one.before.curve)]
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_the_threshold_is_chosen_on_valid_and_judged_on_test(one: Calibrated) -> None:
    coverages, risks = [], []
    for run, t in zip(one.row.runs, one.temperatures, strict=True):
        valid, test = run.logits("valid"), run.logits("test")
        p = softmax(valid.logits.astype(float) / t)
        limits = np.sort(p.max(1))
        wrong = p.argmax(1) != valid.labels
        fine = [limit for limit in limits if wrong[p.max(1) >= limit].mean() <= RISK]
        q = softmax(test.logits.astype(float) / t)
        answered = q.max(1) >= min(fine)
        coverages.append(answered.mean())
        risks.append((q.argmax(1) != test.labels)[answered].mean())
    assert one.coverage.value == pytest.approx(np.mean(coverages))
    assert one.risk.value == pytest.approx(np.mean(risks))
    assert 0 < one.coverage.interval.low < one.coverage.value < one.coverage.interval.high < 1


def test_nothing_is_learnt_from_the_test(place: Path, store: Store) -> None:
    (run,) = make_runs(place / "noise", store, networks=("resnet34",), dropouts=(0.0,))
    before = calibrate(select(collect([run]).rows)[0])
    test, valid = run.logits("test"), run.logits("valid")
    test.logits[:] = np.random.default_rng(0).normal(size=test.logits.shape)
    run.write_logits({"test": test, "valid": valid})
    after = calibrate(select(collect([Run.open(run.path)]).rows)[0])
    assert before
    assert after
    assert (after.temperatures, after.threshold) == (before.temperatures, before.threshold)
    assert after.risk.value != before.risk.value


def test_each_fold_has_its_own_temperature(place: Path, store: Store) -> None:
    runs = []
    for fold in range(3):
        changes = {"data.protocol": "kfold", "data.folds": 3, "data.fold": fold, "train.epochs": 3}
        settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
        parts = divide(store, settings.data)
        runs.append(finish(Run.create(place / "folds", settings, store, parts), parts))
    found = calibrate(select(collect(runs).rows)[0])
    assert found
    expected = [fit_temperature(run.logits("valid").logits, run.logits("valid").labels) for run in runs]
    assert found.temperatures == pytest.approx(expected)
    scaled, labels = [], []
    for run, t in zip(runs, expected, strict=True):
        scaled.append(run.logits("test").logits.astype(float) / t)
        labels.append(run.logits("test").labels)
    assert found.after.scores["nll"].value == pytest.approx(nll(np.concatenate(scaled), np.concatenate(labels)))


def test_no_answer_is_sure_enough(place: Path, store: Store) -> None:
    (run,) = make_runs(place / "lost", store, networks=("resnet34",), dropouts=(0.0,))
    test, valid = run.logits("test"), run.logits("valid")
    rng = np.random.default_rng(1)
    valid.logits[:] = rng.normal(size=valid.logits.shape)
    valid.logits[np.arange(len(valid.labels)), (valid.labels + 1) % 7] += 9
    run.write_logits({"test": test, "valid": valid})
    rows = select(collect([Run.open(run.path)]).rows)
    found = calibrate(rows[0])
    assert found
    assert found.coverage.value == 0
    assert np.isnan(found.risk.value)
    table = section_of(rows).panels[-1].table
    assert table
    assert "none is enough" in table.rows[0]
    assert "–" in table.rows[0]


def test_the_section_has_its_figures_and_tables(rows: tuple[Row, ...]) -> None:
    section = section_of(rows)
    names = [panel.drawing.name if panel.drawing else panel.table.name for panel in section.panels]
    assert names == ["reliability", "risk-coverage", "uncertain"]
    assert section.panels[0].table.name == "calibration"
    reliability = section.panels[0].drawing.svg
    assert all(row.name in reliability for row in rows)
    assert len(section.panels[0].table.rows) == 2 * len(rows)
    assert len(COVERAGES) == len(calibrate(rows[0]).after.risk)


@pytest.mark.long
def test_coverage_of_the_intervals() -> None:
    """A network that says 90 % and is right 70 % of the time: the truth of each score is known."""
    rng, p, right = np.random.default_rng(3), np.array([0.9, 0.1]), 0.7
    z = np.log(p)
    truth = {
        "ece": 0.2,
        "brier": right * 2 * 0.1**2 + (1 - right) * 2 * 0.9**2,
        "nll": -right * np.log(0.9) - (1 - right) * np.log(0.1),
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(300):
        labels = (rng.random(300) > right).astype(np.int64)
        found = _probabilities([np.tile(z, (300, 1))], labels, None).scores
        for key, value in truth.items():
            held[key] += found[key].interval.low <= value <= found[key].interval.high
    assert all(0.91 < count / 300 < 0.98 for count in held.values()), held


@pytest.mark.long
@pytest.mark.parametrize("sharper", [1.0, 1.1, 1.5])
def test_calibration_error_of_many_bins_is_covered_by_its_interval(sharper: float) -> None:
    """Labels drawn from what the network says; it then speaks too surely by a factor. At 1.0 it is perfect."""
    rng = np.random.default_rng(5)

    def seen(n: int) -> tuple[np.ndarray, np.ndarray]:
        z = rng.normal(0, 1.5, (n, 7))
        return sharper * z, (softmax(z).cumsum(1) < rng.random((n, 1))).sum(1)

    z, labels = seen(300_000)
    probs = softmax(z)
    truth = {"ece": ece(probs, labels), "ece_mass": ece(probs, labels, by="mass")}
    held = dict.fromkeys(truth, 0)
    for _ in range(60):
        z, labels = seen(1500)
        found = _probabilities([z], labels, None).scores
        for name, value in truth.items():
            held[name] += found[name].interval.low <= value <= found[name].interval.high
    assert all(count / 60 > 0.89 for count in held.values()), (held, truth)
