"""The one crop: levelling, ready crops, borders, and the same bytes in training and in use."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.crop import CropSpec, crop
from mien.data.drawn import draw_face, draw_scene
from mien.data.prepare import PrepareOptions, prepare
from mien.data.store import Store
from mien.errors import ConfigError

SPEC = CropSpec(size=48)
LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def _turned(picture: NDArray[np.uint8], degrees: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The picture turned clockwise about its middle, and the matrix that moves points along."""
    side = picture.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), -degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), matrix


def test_eyes_of_a_tilted_face_come_out_level_and_the_crop_like_that_of_the_upright_face() -> None:
    face = draw_face(3, "happiness", seed=0, index=3, size=256)
    box = (40.0, 40.0, 175.0, 175.0)
    upright = crop(face.image, SPEC, box, face.landmarks).astype(float)
    for degrees in (-35.0, -10.0, 20.0, 50.0):
        picture, matrix = _turned(face.image, degrees)
        middle = matrix @ (127.5, 127.5, 1)
        points = (face.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        moved = (middle[0] - 87.5, middle[1] - 87.5, 175.0, 175.0)
        levelled = crop(picture, SPEC, moved, points).astype(float)
        tilted = crop(picture, SPEC, moved).astype(float)
        assert np.abs(levelled - upright).mean() < 4
        assert np.abs(tilted - upright).mean() > 2 * np.abs(levelled - upright).mean()


def test_level_eyes_change_no_byte() -> None:
    picture = draw_scene(3, seed=1, height=200, width=300).image
    points = np.array([[100, 90], [130, 90], [115, 105], [104, 120], [126, 120]], dtype=np.float32)
    assert np.array_equal(crop(picture, SPEC, (80, 60, 70, 70), points), crop(picture, SPEC, (80, 60, 70, 70)))


def test_eyes_of_a_profile_turn_nothing() -> None:
    picture = draw_scene(3, seed=1, height=200, width=300).image
    points = np.array([[100, 90], [102, 96], [90, 105], [99, 120], [101, 120]], dtype=np.float32)
    assert np.array_equal(crop(picture, SPEC, (80, 60, 70, 70), points), crop(picture, SPEC, (80, 60, 70, 70)))


def test_a_small_tilt_goes_over_into_none_without_a_jump() -> None:
    picture = draw_face(5, "fear", seed=0, index=5, size=192).image
    points = np.array([[70, 90], [120, 90], [95, 105], [80, 140], [110, 140]], dtype=np.float32)
    level = crop(picture, SPEC, (30, 30, 130, 130), points).astype(float)
    points[1, 1] += 0.01
    assert np.abs(crop(picture, SPEC, (30, 30, 130, 130), points) - level).max() <= 2


@pytest.mark.parametrize("margin", [0.0, 0.16])
def test_a_box_of_the_whole_picture_is_a_ready_made_crop(margin: float) -> None:
    picture = draw_scene(2, seed=4, height=90, width=140).image
    spec = CropSpec(size=32, margin=margin)
    points = np.array([[40, 30], [80, 50], [60, 50], [45, 70], [70, 75]], dtype=np.float32)
    assert np.array_equal(crop(picture, spec, (0.0, 0.0, 140.0, 90.0), points), crop(picture, spec))


def test_a_box_over_the_border_repeats_the_border_level_and_tilted() -> None:
    picture = np.full((60, 60, 3), 200, dtype=np.uint8)
    points = np.array([[0, 0], [20, 10], [8, 12], [0, 25], [15, 30]], dtype=np.float32)
    assert (crop(picture, SPEC, (-30, -30, 60, 60)) == 200).all()
    assert (crop(picture, SPEC, (-30, -30, 60, 60), points) == 200).all()


def test_prepare_and_prediction_cut_the_same_bytes(tmp_path: Path) -> None:
    """`data prepare` of a table with boxes writes what `crop` gives for the same picture and box."""
    scene = draw_scene(7, seed=2, height=300, width=400)
    cv2.imwrite(str(tmp_path / "scene.png"), scene.image[..., ::-1])
    boxes = [(float(x), float(y), float(w), float(h)) for x, y, w, h in scene.boxes]
    rows = [f"scene.png,{LABELS[i]},{x} {y} {w} {h}" for i, (x, y, w, h) in enumerate(boxes)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,box", *rows]))
    spec = CropSpec(size=40, channels=1, margin=0.1)
    prepare(tmp_path / "table.csv", "csv", tmp_path / "store", PrepareOptions(crop=spec))
    stored = Store.open(tmp_path / "store").images
    assert len(stored) == len(boxes)
    for row, box in enumerate(boxes):
        assert crop(scene.image, spec, box).tobytes() == stored[row].tobytes()


def gradient(height: int, width: int) -> np.ndarray:
    """Column number in red, row number in green."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.arange(width)
    picture[..., 1] = np.arange(height)[:, None]
    return picture


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(60, 40), (60, 40, 3), (60, 40, 1), (8, 8), (48, 48, 3)])
def test_shape_and_dtype(shape: tuple[int, ...], channels: int) -> None:
    face = crop(np.full(shape, 77, np.uint8), CropSpec(size=48, channels=channels))
    assert face.shape == (48, 48, channels)
    assert face.dtype == np.uint8
    assert (face == 77).all()
    assert face.flags["C_CONTIGUOUS"]


def test_a_picture_of_the_right_size_is_untouched() -> None:
    picture = gradient(48, 48)
    np.testing.assert_array_equal(crop(picture, CropSpec(size=48)), picture)


def test_box_cuts_exactly() -> None:
    face = crop(gradient(100, 100), CropSpec(size=32), box=(20, 30, 32, 32))
    assert face[0, 0].tolist() == [20, 30, 0]
    assert face[-1, -1].tolist() == [51, 61, 0]


def test_margin_widens_each_side_by_its_share() -> None:
    face = crop(gradient(100, 100), CropSpec(size=48, margin=0.25), box=(30, 30, 32, 32))
    assert face[0, 0].tolist() == [22, 22, 0]


def test_box_over_the_border_repeats_it() -> None:
    face = crop(gradient(100, 100), CropSpec(size=32), box=(-16, 84, 32, 32))
    assert (face[:, :16, 0] == 0).all()
    assert (face[16:, :, 1] == 99).all()


def test_a_narrow_box_becomes_square_about_its_middle() -> None:
    face = crop(gradient(100, 100), CropSpec(size=40), box=(50, 30, 20, 40))
    assert face[0, 0].tolist() == [40, 30, 0]


def test_grey_is_bt601_luma() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:] = (200, 100, 50)
    assert (crop(picture, CropSpec(size=8, channels=1)) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


@pytest.mark.parametrize("wrong", [{"size": 7}, {"size": 2000}, {"channels": 2}, {"margin": 1.5}, {"margin": -0.5}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="got"):
        CropSpec(**wrong)  # type: ignore[arg-type]
