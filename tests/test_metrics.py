"""Every metric against scikit-learn, over a grid with an absent class, ties and an empty prediction column."""

import doctest
import json
import time
import warnings
from inspect import signature
from itertools import product

import numpy as np
import pytest
import sklearn.metrics as sk

from mien import metrics
from mien.calibration import softmax
from mien.errors import DataError
from mien.facts import plain
from mien.metrics import confusion, ranking, table

CASES = list(product(["plain", "absent", "ties", "never", "one", "two"], [2, 3, 7], [0, 1, 2]))


def drawn(kind: str, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know a little of the labels, bent to the case."""
    rng = np.random.default_rng([seed, classes])
    labels = rng.choice(classes, size=200, p=rng.dirichlet(np.full(classes, 5.0)))
    logits = rng.normal(size=(200, classes)) + np.eye(classes)[labels]
    if kind == "absent":
        labels[labels == 0] = 1
    if kind == "ties":
        logits = np.round(logits)
    if kind == "never":
        logits[:, -1] = -50
    if kind == "one":
        labels[:] = 1
    if kind == "two":
        logits, labels = logits[:2], np.array([0, 1])
    return logits, labels


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request):
    return drawn(*request.param)


def test_confusion_and_class_scores(case):
    logits, labels = case
    predicted, classes = logits.argmax(1), logits.shape[1]
    confusion = metrics.confusion_matrix(labels, predicted, classes)
    assert confusion.dtype == np.int64
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(labels, predicted, labels=range(classes)))
    ours = metrics.class_scores(confusion)
    theirs = sk.precision_recall_fscore_support(labels, predicted, labels=range(classes), zero_division=np.nan)
    for a, b in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        np.testing.assert_allclose(a, b)


def test_table_values(case):
    logits, labels = case
    predicted, s = logits.argmax(1), metrics.scores(logits, labels)
    present = np.unique(labels)
    assert s.n == len(labels)
    assert s.accuracy == s.weighted_recall == pytest.approx(sk.accuracy_score(labels, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn warns of a class only predicted
        assert s.uar == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    for kind in ("macro", "weighted"):
        precision, _, f1, _ = sk.precision_recall_fscore_support(
            labels, predicted, labels=present, average=kind, zero_division=0
        )
        assert getattr(s, f"{kind}_precision") == pytest.approx(precision)
        assert getattr(s, f"{kind}_f1") == pytest.approx(f1)
    assert s.undefined == tuple(sorted(set(present.tolist()) - set(predicted.tolist())))


def test_auc_one_vs_rest(case):
    logits, labels = case
    probs, s = softmax(logits), metrics.scores(logits, labels)
    ours, present = metrics.auc_one_vs_rest(probs, labels), np.unique(labels)
    if len(present) == 1:
        assert np.isnan(ours).all()
        assert np.isnan([s.macro_auc, s.weighted_auc, s.hand_till_auc]).all()
        return
    theirs = [sk.roc_auc_score(labels == k, probs[:, k]) for k in present]
    np.testing.assert_allclose(ours[present], theirs)
    assert np.isnan(np.delete(ours, present)).all()
    assert s.macro_auc == pytest.approx(np.mean(theirs))
    assert s.weighted_auc == pytest.approx(np.average(theirs, weights=np.bincount(labels)[present]))


def test_hand_and_till(case):
    logits, labels = case
    probs, present = softmax(logits), np.unique(labels)
    if len(present) < 2:
        return
    means = []
    for i, j in product(present, present):
        if i != j:
            of_pair = np.isin(labels, [i, j])
            means.append(sk.roc_auc_score(labels[of_pair] == i, probs[of_pair, i]))
    assert metrics.scores(logits, labels).hand_till_auc == pytest.approx(np.mean(means))
    if len(present) == logits.shape[1] > 2:
        assert np.mean(means) == pytest.approx(sk.roc_auc_score(labels, probs, multi_class="ovo"))


def test_proper_scores(case):
    logits, labels = case
    probs, s, classes = softmax(logits), metrics.scores(logits, labels), logits.shape[1]
    np.testing.assert_allclose(probs.sum(1), 1)
    if np.abs(logits).max() < 30:  # scikit-learn clips probabilities at the float's epsilon
        assert s.nll == pytest.approx(sk.log_loss(labels, probs, labels=range(classes)))
    assert s.brier == pytest.approx(np.square(probs - np.eye(classes)[labels]).sum(1).mean())
    if classes > 2 and "labels" in signature(sk.brier_score_loss).parameters:  # from scikit-learn 1.7 on
        assert s.brier == pytest.approx(sk.brier_score_loss(labels, probs, labels=list(range(classes))))


def test_roc_curve_has_the_same_area_with_fewer_points(case):
    logits, labels = case
    for k in np.unique(labels):
        score, positive = logits[:, k], labels == k
        fpr, tpr = metrics.roc_curve(score, positive)
        if positive.all():
            assert np.isnan(fpr).all()
            assert tpr[-1] == 1
            continue
        theirs = sk.roc_curve(positive, score, drop_intermediate=False)
        assert sk.auc(fpr, tpr) == pytest.approx(sk.roc_auc_score(positive, score))
        assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
        assert len(fpr) <= len(theirs[0])
        known = set(zip(theirs[0].round(9), theirs[1].round(9), strict=True))
        assert set(zip(fpr.round(9), tpr.round(9), strict=True)) <= known


def test_roc_curve_drops_points_on_a_line():
    fpr, tpr = metrics.roc_curve(np.arange(8)[::-1], [1, 1, 1, 0, 0, 0, 0, 1])
    assert fpr.tolist() == [0, 0, 1, 1]
    assert tpr.tolist() == [0, 0.75, 0.75, 1]


def test_undefined_is_nan_and_json_null():
    each = metrics.class_scores([[2, 1, 0], [0, 0, 0], [1, 0, 0]])
    assert plain(each) == {
        "hits": [2.0, 0.0, 0.0],
        "precision": [2 / 3, 0.0, None],
        "recall": [2 / 3, None, 0.0],
        "f1": [2 / 3, 0.0, 0.0],
        "support": [3, 0, 1],
    }
    assert np.isnan(metrics.class_scores(np.zeros((2, 2))).f1).all()
    empty = metrics.scores(np.zeros((0, 3)), np.zeros(0, int))
    told = plain(empty)
    assert told.pop("n") == 0
    assert told.pop("undefined") == []
    assert set(told.pop("values").values()) == {None}
    assert told == {}
    assert "NaN" not in json.dumps(plain(empty), allow_nan=False)


def test_infinite_or_huge_logits():
    s = metrics.scores([[1e6, 0.0], [1e6, 0.0]], [0, 1])
    assert s.nll == pytest.approx(5e5)
    with pytest.raises(DataError, match="1 of 2 rows of logits"):
        metrics.scores([[np.nan, 0.0], [1.0, 0.0]], [0, 1])


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 3)), [0, 3], "from 0 to 2"),
        (np.zeros((2, 3)), [0, -1], "from -1 to 0"),
        (np.zeros((2, 3)), [0.0, 1.0], "whole numbers"),
        (np.zeros((2, 3)), [0], r"\(2, 3\) and \(1,\)"),
        (np.zeros(3), [0], r"must be \(N, K\)"),
    ],
)
def test_unfit_arrays_are_refused(logits, labels, message):
    with pytest.raises(DataError, match=message):
        metrics.scores(logits, labels)


def test_scores_are_fast_enough_for_500_runs():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(3589, 7)).astype(np.float32), rng.integers(0, 7, 3589)
    taken = []
    for _ in range(10):
        start = time.process_time()
        metrics.scores(logits, labels)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.015


def test_examples():
    found = [doctest.testmod(part) for part in (confusion, ranking, table)]
    assert sum(one.failed for one in found) == 0
    assert sum(one.attempted for one in found) >= 8
