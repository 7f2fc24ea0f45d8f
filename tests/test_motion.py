"""From a clip to its planes: flow, apex, dynamic image, interpolation, magnification; and clips that have none."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.crop import CropSpec
from mien.data.clips.apex import find_apex
from mien.data.clips.clip import Clip
from mien.data.clips.dynamic import dynamic_image, weights
from mien.data.clips.magnify import magnified
from mien.data.clips.motion import MotionOptions, motion
from mien.data.clips.tim import interpolated
from mien.data.drawn import draw_clip
from mien.errors import BadSample, ConfigError
from mien.faces import Face
from mien.faces.anchor import Track
from mien.planes import mirrored

BOX = (10.0, 20.0, 108.0, 108.0)


class Known:
    """A detector that knows where the face is; none in a black picture."""

    name = "known"

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        return [Face(box=BOX, score=1.0)] if picture.max() else []


def clip(seed: int = 3, expression: str = "surprise", *, found: bool = True) -> Clip:
    drawn = draw_clip(1, expression, seed=seed, index=0, size=128)
    return Clip(
        name="s1/c1",
        subject="s1",
        label=expression,
        frames=drawn.frames,
        onset=drawn.onset,
        apex=drawn.apex if found else None,
        offset=drawn.offset,
        fps=drawn.fps,
    )


def test_the_planes_are_those_that_were_announced() -> None:
    options = MotionOptions(size=16, halves=True, dynamic=True, tim=5, crop=CropSpec(size=24, channels=1))
    made = motion(clip(), Known(), options)
    assert list(made) == ["face", "flow", "flow_back", "dynamic", "tim"]
    assert all(plane.fits(made[plane.name]) for plane in (options.crop.plane, *options.planes))


def test_flow_is_in_pixels_and_stretched_only_when_asked_to() -> None:
    plain, stretched = motion(clip(), Known()), motion(clip(), Known(), MotionOptions(stretch=True))
    assert 0.02 < np.abs(plain["flow"][..., :2]).mean() < 2
    assert plain["flow"][..., 2].min() >= 0
    np.testing.assert_allclose(stretched["flow"].min(axis=(0, 1)), 0)
    np.testing.assert_allclose(stretched["flow"].max(axis=(0, 1)), 1)


def test_a_still_clip_has_no_flow_and_is_not_stretched_to_one() -> None:
    still = replace(clip(), frames=np.repeat(clip().frames[:1], 40, axis=0))
    for stretch in (False, True):
        assert np.abs(motion(still, Known(), MotionOptions(stretch=stretch))["flow"]).max() < 1e-3


def test_back_is_about_the_way_that_came() -> None:
    made = motion(clip(), Known(), MotionOptions(halves=True))
    there, back = made["flow"][..., :2].ravel(), made["flow_back"][..., :2].ravel()
    assert np.corrcoef(there, -back)[0, 1] > 0.5


def test_a_mirrored_plane_negates_what_goes_right() -> None:
    (plane,) = MotionOptions().planes
    flow = motion(clip(), Known())["flow"]
    other = mirrored(plane, flow[None], side=28)[0]
    np.testing.assert_array_equal(other[..., 0], -flow[:, ::-1, 0])
    np.testing.assert_array_equal(other[..., 1:], flow[:, ::-1, 1:])


def test_an_apex_that_is_not_given_is_found_within_frames() -> None:
    off = []
    for seed in range(10):
        given = clip(seed)
        anchor = Track(Known()).anchor(given.frames[given.onset])
        assert anchor is not None
        off.append(abs(find_apex(given, anchor) - (given.apex or 0)))
    assert np.median(off) <= 2
    assert max(off) <= 6


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": np.zeros((1, 8, 8, 3), np.uint8)}, "a clip of 1 frame"),
        ({"apex": 99}, "the apex is frame 99 of a clip of 40"),
        ({"offset": 2, "onset": 6}, "is not after the onset"),
        ({"frames": np.zeros((40, 64, 64, 3), np.uint8)}, "no face was found in its onset frame"),
        ({"fps": 0.0}, "0 frames a second"),
    ],
)
def test_a_clip_without_a_movement_to_measure_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(BadSample, match=f"s1/c1.*{says}"):
        motion(replace(clip(), **change), Known())  # type: ignore[arg-type]


def test_frames_of_different_sizes_are_named() -> None:
    given = clip()
    frames = list(given.frames)
    frames[given.apex or 0] = frames[0][:100, :90]
    with pytest.raises(BadSample, match="frames of different sizes, 128×128 and 90×100"):
        motion(replace(given, frames=frames), Known())


@pytest.mark.parametrize("change", [{"flow": "raft"}, {"size": 4}, {"magnify": -1.0}, {"tim": 1}])
def test_options_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"the methods are|pixels a side|Magnification is|is interpolated to"):
        MotionOptions(**change)  # type: ignore[arg-type]


def test_a_dynamic_image_ranks_what_comes_later_higher() -> None:
    assert weights(5).sum() == pytest.approx(0)
    np.testing.assert_allclose(weights(3), [-4 / 3, 2 / 3, 2 / 3])
    rising = [np.full((4, 4), value, np.uint8) for value in (10, 20, 30)]
    assert (dynamic_image(rising) == 255).all()
    assert (dynamic_image(rising[::-1]) == 1).all()
    assert (dynamic_image([rising[0]] * 3) == 128).all()


def test_interpolation_keeps_ends_and_the_clip_of_that_length() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (6, 5)).astype(np.uint8) for _ in range(7)]
    np.testing.assert_array_equal(interpolated(frames, 7), np.stack(frames, axis=-1))
    ten = interpolated(frames, 10)
    assert ten.shape == (6, 5, 10)
    np.testing.assert_array_equal(ten[..., 0], frames[0])
    np.testing.assert_array_equal(ten[..., -1], frames[-1])
    np.testing.assert_array_equal(interpolated(frames[:1], 3), np.repeat(frames[0][..., None], 3, axis=-1))


def test_magnification_makes_a_movement_larger_and_noise_of_rest_no_movement() -> None:
    plain = motion(clip(), Known(), MotionOptions(steady=False))["flow"][..., :2]
    larger = motion(clip(), Known(), MotionOptions(steady=False, magnify=3))["flow"][..., :2]
    assert np.abs(larger).mean() > 1.3 * np.abs(plain).mean()
    still = [np.full((8, 8), 90, np.uint8)] * 5
    assert all((frame == 90).all() for _, frame in magnified(still, 200, 10, 0, range(5)))
