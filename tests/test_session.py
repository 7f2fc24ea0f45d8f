"""Faces over time: who is who, labels that do not flicker, no dependence on the frame rate, flat memory."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import ConfigError
from mien.faces import Face
from mien.session import Session


def face(x: float, y: float = 0.0, side: float = 100.0) -> Face:
    return Face(box=(x, y, side, side), score=1.0)


def tracks(session: Session, faces: list[Face], time_s: float) -> list[int]:
    return [f.track for f in session.follow(faces, np.zeros((len(faces), 2)), time_s)]


def smooth(session: Session, logits: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """One face that stays, its logits (n, K) smoothed."""
    return np.stack([session.follow([face(0)], row[None], i / fps)[0].logits for i, row in enumerate(logits)])


def test_numbers_follow_faces_that_move_and_swap_their_order() -> None:
    session = Session()
    assert tracks(session, [face(0, y=150), face(300)], 0.0) == [1, 2]
    for step in range(1, 11):  # one walks right, below the other, which walks left
        seen = [face(30 * step, y=150), face(300 - 30 * step)]
        leftmost_first = 1 if step <= 5 else -1
        assert tracks(session, seen[::leftmost_first], step / 25) == [1, 2][::leftmost_first]


def test_the_best_overlap_wins_whatever_the_order() -> None:
    session = Session()
    assert tracks(session, [face(0), face(50)], 0.0) == [1, 2]
    assert tracks(session, [face(45), face(10)], 0.1) == [2, 1]


def test_a_number_is_never_given_twice() -> None:
    session = Session(forget_s=0.5)
    assert tracks(session, [face(0)], 0.0) == [1]
    assert tracks(session, [], 0.2) == []
    assert tracks(session, [face(0)], 0.4) == [1]
    assert tracks(session, [], 0.8) == []
    assert tracks(session, [face(0)], 1.0) == [2]
    assert tracks(session, [face(500), face(0)], 1.1) == [3, 2]


def test_frames_further_apart_than_the_memory_still_follow_each_other() -> None:
    session = Session(forget_s=1.0)
    assert [tracks(session, [face(0)], 10.0 * i) for i in range(4)] == [[1]] * 4


def test_a_label_does_not_flicker() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([[1.0, 0.0], [0.0, 1.0]], 100, axis=0)
    logits = truth + rng.normal(0, 1.2, truth.shape)
    raw, calm = logits.argmax(1), smooth(Session(), logits, 25).argmax(1)
    assert (np.diff(raw) != 0).sum() > 40
    assert (np.diff(calm) != 0).sum() <= 9
    late = np.r_[15:100, 115:200]
    assert (calm == truth.argmax(1))[late].mean() > 0.97 > 0.8 > (raw == truth.argmax(1))[late].mean()


def test_smoothing_does_not_depend_on_the_frame_rate() -> None:
    def step(fps: int) -> NDArray[np.float64]:
        return smooth(Session(smoothing_s=0.4), np.repeat([[0.0], [1.0]], [2 * fps, 2 * fps], axis=0), fps)[:, 0]

    slow, fast = step(25), step(100)
    assert np.abs(fast[3::4] - slow).max() < 0.02
    assert slow[50 + 10] == pytest.approx(1 - math.exp(-0.44 / 0.4), abs=0.02)  # eleven frames of the new kind


def test_the_first_frames_weigh_like_any_other() -> None:
    logits = np.array([[8.0], [0.0], [0.0], [0.0], [0.0]])
    assert smooth(Session(smoothing_s=1e9), logits, 25)[:, 0] == pytest.approx([8, 4, 8 / 3, 2, 1.6])


def test_two_frames_of_one_time_count_both() -> None:
    session = Session()
    session.follow([face(0)], np.array([[0.0]]), 1.0)
    assert session.follow([face(0)], np.array([[1.0]]), 1.0)[0].logits == pytest.approx([0.5])


def test_no_smoothing_leaves_logits_as_they_are() -> None:
    logits = np.random.default_rng(1).normal(size=(20, 3))
    assert np.array_equal(smooth(Session(smoothing_s=0), logits, 25), logits)


def test_tracks_do_not_mix_their_logits() -> None:
    session = Session()
    for i in range(30):
        one, two = session.follow([face(0), face(400)], np.array([[5.0, 0.0], [0.0, 5.0]]), i / 25)
    assert one.logits == pytest.approx([5, 0])
    assert two.logits == pytest.approx([0, 5])


def test_what_is_forgotten_is_freed() -> None:
    session = Session(forget_s=1.0)
    for i in range(2000):
        tracks(session, [face(200.0 * i)], i / 25)
    assert len(session._tracks) <= 27


@pytest.mark.parametrize("wrong", [{"smoothing_s": -1.0}, {"forget_s": math.nan}, {"smoothing_s": math.inf}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="_s, in seconds, is a number, 0 to"):
        Session(**wrong)
