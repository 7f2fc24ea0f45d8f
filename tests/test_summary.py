"""A video's tracks and its timeline, in memory that does not grow with its length."""

import numpy as np
import pytest

from mien import summary
from mien.predict import Prediction, Seen
from mien.summary import SPANS, Timeline


def seen(time_s: float, *faces: tuple[int, str, float]) -> Seen:
    """A frame with faces of a track, a label, and the probability of "a"."""
    predictions = tuple(
        Prediction(
            label=label,
            confidence=max(a, 1 - a),
            probs={"a": a, "b": 1 - a},
            box=(0, 0, 9, 9),
            landmarks=None,
            score=1.0,
            source="film",
            frame=0,
            time_s=time_s,
            track=track,
        )
        for track, label, a in faces
    )
    return Seen(source="film", frame=0, time_s=time_s, predictions=predictions)


def test_tracks_with_their_times_and_shares() -> None:
    timeline = Timeline()
    for i in range(100):
        faces = [(1, "a" if i < 75 else "b", 0.5)]
        if 20 <= i < 40:
            faces.append((2, "uncertain", 0.5))
        timeline.add(seen(i / 25, *faces))
    timeline.add(seen(5.0))
    one, two = timeline.tracks()
    assert (one.track, one.first_s, one.last_s, one.frames, one.label) == (1, 0.0, 3.96, 100, "a")
    assert dict(one.shares) == {"a": 0.75, "b": 0.25}
    assert (two.track, two.first_s, two.last_s, two.frames, dict(two.shares)) == (2, 0.8, 1.56, 20, {"uncertain": 1.0})
    assert (timeline.frames, timeline.end_s) == (101, 5.0)


@pytest.mark.parametrize("fps", [25, 400])
@pytest.mark.parametrize("seconds", [2, 60, 3000])
def test_curves_are_means_over_equal_spans_at_any_length(seconds: int, fps: int) -> None:
    timeline = Timeline()
    step = max(1, seconds * fps // 20_000)
    for i in range(0, seconds * fps, step):
        time_s = i / fps
        timeline.add(seen(time_s, (1, "a", 0.9 if time_s < seconds / 2 else 0.1)))
    curve = timeline.curves()[1]
    assert curve.shape == (SPANS, 2)
    assert timeline.end_s < SPANS * timeline.span_s <= max(2.5 * seconds, 8)
    times = (np.arange(SPANS) + 0.5) * timeline.span_s
    known = ~np.isnan(curve[:, 0])
    assert np.allclose(curve[known].sum(axis=1), 1)
    assert np.allclose(curve[known & (times < seconds / 2 - timeline.span_s), 0], 0.9)
    assert np.allclose(curve[known & (times > seconds / 2 + timeline.span_s), 0], 0.1)
    assert not known[times > seconds + timeline.span_s].any()


def test_what_was_not_seen_has_no_curve() -> None:
    timeline = Timeline()
    for i in range(200):
        timeline.add(seen(i / 25, *([(1, "a", 0.9)] if i < 50 or i >= 150 else [])))
    curve = timeline.curves()[1]
    times = (np.arange(SPANS) + 0.5) * timeline.span_s
    assert np.isnan(curve[(times > 2.1) & (times < 5.9)]).all()


def test_of_many_tracks_the_long_ones_keep_their_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "MOST_CURVES", 3)
    timeline = Timeline()
    for i in range(400):
        timeline.add(seen(i / 25, (1, "a", 0.5), (100 + i // 4, "b", 0.5)))
    for i in range(400, 500):
        timeline.add(seen(i / 25, (900, "b", 0.5)))
    curves = timeline.curves()
    assert len(curves) == 3
    assert {1, 900} < set(curves)
    assert len(timeline.tracks()) == 102
    assert np.isnan(curves[900]).any()
    assert (~np.isnan(curves[900][:, 0])).sum() * timeline.span_s == pytest.approx(100 / 25, rel=0.2)


def test_without_faces_there_are_no_tracks() -> None:
    timeline = Timeline()
    timeline.add(seen(0.0))
    assert (timeline.tracks(), timeline.curves(), timeline.frames) == ([], {}, 1)
