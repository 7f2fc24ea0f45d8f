"""Calibration against direct sums, scipy and statsmodels; the temperature against a known one."""

import doctest

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from statsmodels.stats.proportion import proportion_confint

from mien import calibration
from mien.errors import DataError


@pytest.fixture(params=[0, 1, 2])
def drawn(request):
    """Logits three times too sure, and labels drawn from the honest probabilities."""
    rng = np.random.default_rng(request.param)
    honest = rng.normal(size=(4000, 7)) * 1.5
    labels = (calibration.softmax(honest).cumsum(1) < rng.random((4000, 1))).sum(1)
    return 3 * honest, np.minimum(labels, 6)


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_is_that_of_statsmodels(level):
    for n in (1, 7, 100, 3589):
        hits = np.unique(np.linspace(0, n, 9).astype(int))
        low, high = calibration.wilson(hits, n, level)
        theirs = proportion_confint(hits, n, alpha=1 - level, method="wilson")
        np.testing.assert_allclose((low, high), theirs, atol=1e-12)
    assert np.isnan(calibration.wilson(0, 0)).all()


def test_ece_of_equal_width_bins_by_the_definition(drawn):
    logits, labels = drawn
    probs = calibration.softmax(logits)
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration.ece(probs, labels) == pytest.approx(expected)
    assert expected > 0.2


def test_bins_of_equal_mass(drawn):
    logits, labels = drawn
    probs = calibration.softmax(logits / 3)
    confidence, correct = probs.max(1), probs.argmax(1) == labels
    curve = calibration.reliability(confidence, correct, 10, "mass")
    assert curve.count.sum() == 4000
    assert curve.count.max() - curve.count.min() <= 2
    order = np.argsort(confidence)
    parts = np.split(order, np.cumsum(curve.count)[:-1])
    np.testing.assert_allclose(curve.confidence, [confidence[p].mean() for p in parts])
    np.testing.assert_allclose(curve.accuracy, [correct[p].mean() for p in parts])
    low, high = calibration.wilson([correct[p].sum() for p in parts], curve.count)
    np.testing.assert_allclose((curve.low, curve.high), (low, high))
    assert curve.ece < 0.04


def test_equal_confidences_share_a_bin_and_order_does_not_matter():
    confidence = np.repeat([0.5, 0.9], [30, 10])
    correct = np.arange(40) % 2 == 0
    one = calibration.reliability(confidence, correct, 5, "mass")
    assert sorted(one.count[one.count > 0].tolist()) == [10, 30]
    assert np.isnan(one.accuracy[one.count == 0]).all()
    swap = np.random.default_rng(0).permutation(40)
    assert calibration.reliability(confidence[swap], correct[swap], 5, "mass").ece == pytest.approx(one.ece)


def test_temperature_finds_the_minimum_and_the_truth(drawn):
    logits, labels = drawn
    found = calibration.fit_temperature(logits, labels)
    best = minimize_scalar(lambda t: calibration.nll(logits / np.exp(t), labels), bounds=(-4, 4), method="bounded")
    assert found == pytest.approx(np.exp(best.x), rel=1e-3)
    assert calibration.nll(logits / found, labels) <= best.fun + 1e-12
    assert found == pytest.approx(3, rel=0.08)
    before, after = (calibration.ece(calibration.softmax(z), labels) for z in (logits, logits / found))
    assert after < before / 5


def test_temperature_without_a_minimum_takes_the_bound():
    assert calibration.fit_temperature(np.eye(3), [0, 1, 2]) == pytest.approx(0.01)
    with pytest.raises(DataError, match="no samples"):
        calibration.fit_temperature(np.zeros((0, 3)), np.zeros(0, int))


def test_risk_coverage_by_the_definition():
    rng = np.random.default_rng(3)
    confidence = rng.random(500)
    correct = rng.random(500) < confidence
    curve = calibration.risk_coverage(confidence, correct)
    for answered in (1, 17, 500):
        surest = np.argsort(-confidence)[:answered]
        assert curve.risk[answered - 1] == pytest.approx(1 - correct[surest].mean())
        assert curve.threshold[answered - 1] == confidence[surest].min()
    assert curve.coverage[[0, -1]].tolist() == [1 / 500, 1]
    assert curve.aurc == pytest.approx(curve.risk.mean())
    assert curve.aurc < calibration.risk_coverage(-confidence, correct).aurc


def test_risk_coverage_of_ties_is_the_mean_over_orders():
    correct = np.array([True, False, False, True, True])
    tied = calibration.risk_coverage(np.full(5, 0.7), correct)
    np.testing.assert_allclose(tied.risk, 0.4)


def test_no_samples_is_undefined():
    probs, labels = np.zeros((0, 3)), np.zeros(0, int)
    assert np.isnan(calibration.ece(probs, labels))
    assert np.isnan(calibration.ece(probs, labels, by="mass"))
    assert np.isnan(calibration.brier(probs, labels))
    assert np.isnan(calibration.risk_coverage([], []).aurc)


def test_examples():
    assert doctest.testmod(calibration).failed == 0
