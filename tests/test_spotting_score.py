"""The rule of MEGC on cases counted by hand: disjoint, touching, nested, double, and videos without an expression."""

import pytest

from mien.metrics.spotting import Interval, f1_interval, iou, matched, recognition_f1, spot_scores, strs


def at(onset: int, offset: int, kind: str = "micro", label: str = "") -> Interval:
    return Interval(onset=onset, offset=offset, kind=kind, label=label)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ((0, 9), (0, 9), 1.0),
        ((0, 9), (10, 19), 0.0),  # touching: no frame in both
        ((0, 9), (30, 39), 0.0),  # disjoint
        ((0, 9), (9, 18), 1 / 19),  # one frame in both
        ((0, 19), (5, 14), 0.5),  # nested
        ((7, 7), (7, 7), 1.0),  # one frame
    ],
)
def test_intersection_over_union_counts_frames(first: tuple[int, int], second: tuple[int, int], share: float) -> None:
    assert iou(at(*first), at(*second)) == iou(at(*second), at(*first)) == pytest.approx(share)


def test_half_is_enough_and_less_is_not() -> None:
    assert matched([at(0, 19)], [at(5, 14)]) == [(0, 0)]
    assert matched([at(0, 19)], [at(5, 13)]) == []


def test_a_double_detection_is_one_hit_and_one_false_alarm() -> None:
    score = spot_scores([([at(0, 9)], [at(0, 9), at(1, 8)])])["micro"]
    assert (score.true_positives, score.false_positives, score.misses) == (1, 1, 0)


def test_the_largest_pairing_is_found_though_a_greedy_one_is_smaller() -> None:
    coded = [at(0, 9), at(4, 13)]
    found = [at(1, 10), at(0, 7)]  # the first fits both, the second fits the first alone
    assert iou(coded[1], found[0]) >= 0.5 > iou(coded[1], found[1])
    assert matched(coded, found) == [(0, 1), (1, 0)]


def test_kinds_are_apart_and_overall_pools_them() -> None:
    videos = [
        ([at(0, 9), at(50, 89, "macro")], [at(0, 9), at(50, 89)]),  # the macro was found as a micro
        ([], [at(5, 9, "macro")]),  # a video without an expression counts too
        ([at(3, 9)], []),
    ]
    scores = spot_scores(videos)
    assert (scores["micro"].true_positives, scores["micro"].false_positives, scores["micro"].misses) == (1, 1, 1)
    assert (scores["macro"].true_positives, scores["macro"].false_positives, scores["macro"].misses) == (0, 1, 1)
    assert scores["overall"].f1 == pytest.approx(2 / (2 + 2 + 2))
    assert scores["macro"].f1 == scores["macro"].precision == scores["macro"].recall == 0


def test_the_interval_of_f1_is_over_videos() -> None:
    """Of two videos with two expressions each, one is spotted whole and one not at all: F1 of a redraw is 0, 4/7 or 1.

    By hand: of the second video alone TP 0, FP 1, FN 2; of both TP 2, FP 1, FN 2, F1 = 4/7.
    """
    right, wrong = ([at(0, 9), at(20, 29)], [at(0, 9), at(20, 29)]), ([at(0, 9), at(20, 29)], [at(50, 59)])
    assert f1_interval([right, wrong], "micro") == (0.0, 1.0)
    assert f1_interval([right, right]) == (1.0, 1.0)
    assert f1_interval([right]) is None
    low, high = f1_interval([right, wrong] * 50) or (0.0, 0.0)
    assert low < 4 / 7 < high
    assert high - low < 0.25


def test_nothing_coded_and_nothing_found_is_no_hit() -> None:
    assert spot_scores([([], [])])["overall"].f1 == 0


def test_recognition_counts_true_positives_alone() -> None:
    coded = [at(0, 9, label="positive"), at(20, 29, label="negative"), at(40, 49, label="negative")]
    found = [at(0, 9, label="positive"), at(20, 29, label="positive"), at(80, 89, label="negative")]
    # of two spotted: precision (1/2 + 0) / 2, recall (1 + 0) / 2; spotting: 2 hits, 1 false alarm, 1 miss
    assert recognition_f1([("positive", "positive"), ("negative", "positive")]) == pytest.approx(1 / 3)
    assert strs([(coded, found)]) == pytest.approx(4 / 6 / 3)
    assert strs([([], [])]) == 0


def test_an_interval_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="from frame 9 to 3"):
        at(9, 3)
    with pytest.raises(ValueError, match="outside 1 to 3"):
        Interval(onset=1, apex=7, offset=3)
