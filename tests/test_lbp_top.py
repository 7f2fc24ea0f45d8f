"""LBP-TOP: histograms by hand, a clip against its still, and the whole road on drawn clips."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.feature import local_binary_pattern

from mien.config import DataSettings, FeaturesSettings, FeaturesTable
from mien.data.clips.drawn import draw_clip_store
from mien.data.clips.motion import MotionOptions
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import ConfigError
from mien.methods import find_method
from mien.methods.descriptors import describe
from mien.runs import Run
from mien.stages import finish_run

TABLE = FeaturesTable(plane="tim", descriptor="lbp-top", lbp_points=4, lbp_grid=5)
BINS = 4 * 3 + 3


def planes(clip: NDArray[np.uint8], table: FeaturesTable = TABLE) -> NDArray[np.float32]:
    """(3, grid², bins) shares on XY, XT and YT."""
    bins = table.lbp_points * (table.lbp_points - 1) + 3
    return np.asarray(describe(clip[None], table)[0] ** 2).reshape(3, -1, bins)


def noise(frames: int = 10, side: int = 24) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 200, (side, side, frames)).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Twelve drawn clips of six subjects and two expressions, as ten frames of 32 pixels."""
    path = tmp_path_factory.mktemp("clips") / "store"
    draw_clip_store(
        path,
        clips=12,
        subjects=6,
        expressions=("happiness", "surprise"),
        movement=MotionOptions(size=32, tim=10),
    )
    return Store.open(path)


def test_every_part_of_every_plane_has_shares_that_add_up_to_one() -> None:
    for side in (24, 27):
        found = planes(noise(side=side))
        assert found.shape == (3, 25, BINS)
        assert found.sum(axis=2) == pytest.approx(np.ones((3, 25)), abs=1e-5)


def test_light_that_rises_changes_the_planes_of_time_alone() -> None:
    still = np.repeat(noise(1), 10, axis=2)
    brighter = still + np.arange(10, dtype=np.uint8) * 3
    at_rest, seen = planes(still), planes(brighter)
    assert np.array_equal(seen[0], at_rest[0])
    assert np.abs(seen[1:] - at_rest[1:]).sum(axis=2).min() > 0.05


def test_rows_in_time_and_columns_in_time_change_places_with_the_sides() -> None:
    clip = noise(side=24)
    table = FeaturesTable(plane="tim", descriptor="lbp-top", lbp_points=4, lbp_grid=1)
    across, turned = planes(clip, table), planes(clip.transpose(1, 0, 2), table)
    assert np.array_equal(across[1], turned[2])
    assert not np.array_equal(across[1], across[2])


def test_a_frame_has_the_patterns_that_scikit_image_finds() -> None:
    frame = noise(1)[..., 0]
    table = FeaturesTable(plane="tim", descriptor="lbp-top", lbp_points=8, lbp_grid=1)
    (ours,) = planes(np.repeat(frame[..., None], 9, axis=2), table)[0]
    codes = local_binary_pattern(frame, 8, 1, method="nri_uniform")[1:-1, 1:-1]  # type: ignore[no-untyped-call]
    theirs = np.bincount(codes.astype(int).ravel(), minlength=59) / codes.size
    assert sorted(ours) == pytest.approx(sorted(theirs), abs=1e-6)  # they begin the circle elsewhere
    assert ours[-1] == pytest.approx(theirs[-1], abs=1e-6)


def test_a_drawn_clip_differs_from_its_still_in_time_and_hardly_in_space(store: Store) -> None:
    for clip in store.read(np.arange(4), ("tim",))["tim"]:
        still = np.repeat(clip[..., :1], clip.shape[-1], axis=2)
        space, *times = np.abs(planes(clip) - planes(still)).sum(axis=(1, 2))
        assert min(times) > 1.5 * space


def test_a_row_of_lbp_top_walks_the_road_by_loso(store: Store, tmp_path: Path) -> None:
    data = DataSettings(protocol="loso", valid_fraction=0.3)
    table = FeaturesTable(plane="tim", descriptor="lbp-top", lbp_points=4, lbp_grid=5, c=0.01)
    settings = FeaturesSettings(features=table, data=data).resolved(store.meta.crop)
    assert settings.name == "tim-lbp-top-linear-svm"
    find_method(settings).check(settings, store)
    run = Run.create(tmp_path / "runs", settings, store, divide(store, data))
    finish_run(run)
    answers = run.logits("test")
    assert np.isfinite(answers.logits).all()
    assert len(answers.logits) == 2


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"plane": "flow"}, "lbp-top does not describe flow"),
        ({"plane": "face"}, "lbp-top does not describe faces"),
        ({"descriptor": "hog"}, "hog does not describe clips, and features.plane is tim; choose lbp-top"),
        ({"lbp_time": 5}, "need clips of at least 7 px and 11 frames; these have 32 px and 10 frames"),
        ({"lbp_grid": 31}, "need clips of at least 33 px"),
    ],
)
def test_what_cannot_be_described_is_named(store: Store, features: dict[str, object], expected: str) -> None:
    table = FeaturesTable(**{"plane": "tim", "descriptor": "lbp-top", "lbp_grid": 5, **features})  # type: ignore[arg-type]
    settings = FeaturesSettings(features=table)
    with pytest.raises(ConfigError, match=expected):
        find_method(settings).check(settings, store)
