"""Drawn faces: what they promise is true of them, and the same bytes come out everywhere."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mien.data.drawn import (
    AUS,
    PROTOTYPES,
    Face,
    contact_sheet,
    draw_clip,
    draw_face,
    draw_faces,
    draw_scene,
    sheet_faces,
)
from mien.data.drawn.anatomy import ANATOMY
from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import draw_intensities
from mien.data.drawn.geometry import draw_view, project
from mien.data.drawn.identity import draw_identity
from mien.data.drawn.render import draw_masks, draw_scenery, photograph
from mien.errors import ConfigError

GOLDEN = "597892250c1ab78a83637932daa148b1b04101435afad7d6c80c8776c9e4e0cd"


def digest(faces: list[Face]) -> str:
    found = hashlib.sha256()
    for face in faces:
        for part in (face.image, face.au_masks, face.aus, face.landmarks):
            found.update(part.tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def corpus() -> list[tuple[str, Face]]:
    return list(draw_faces(800, seed=3))


def test_bytes_are_the_golden_ones() -> None:
    faces = [face for _, face in draw_faces(48, seed=11)] + [face for _, face in draw_faces(8, seed=12, size=96)]
    assert digest(faces) == GOLDEN


def test_a_face_depends_on_seed_and_number_alone(corpus: list[tuple[str, Face]]) -> None:
    few = [face for _, face in draw_faces(40, seed=3)]
    assert digest(few) == digest([face for _, face in corpus[:40]])
    other = [face for _, face in draw_faces(40, seed=4)]
    assert all((a.image != b.image).any() for a, b in zip(few, other, strict=True))


def test_subjects_are_disjoint_and_shares_are_70_10_20(corpus: list[tuple[str, Face]]) -> None:
    subjects = {name: {face.subject for split, face in corpus if split == name} for name in ("train", "valid", "test")}
    assert {name: len(found) for name, found in subjects.items()} == {"train": 70, "valid": 10, "test": 20}
    assert len(set.union(*subjects.values())) == 100


def test_classes_are_balanced_in_each_split(corpus: list[tuple[str, Face]]) -> None:
    for name in ("train", "valid", "test"):
        counts = Counter(face.label for split, face in corpus if split == name)
        assert set(counts) == set(PROTOTYPES)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_faces_are_shared_among_as_many_subjects_as_asked() -> None:
    faces = [face for _, face in draw_faces(30, subjects=5)]
    assert Counter(face.subject for face in faces) == {f"s000{n}": 6 for n in range(5)}


def test_a_subject_keeps_its_groups_and_all_groups_occur(corpus: list[tuple[str, Face]]) -> None:
    lasting = {(f.subject, f.groups["skin"], f.groups["glasses"], f.groups["age_lines"]) for _, f in corpus}
    assert len(lasting) == 100
    seen = {key: {face.groups[key] for _, face in corpus} for key in corpus[0][1].groups}
    assert seen["skin"] == {str(tone) for tone in range(1, 11)}
    assert seen["glasses"] == {"yes", "no"}
    assert seen["age_lines"] == {"none", "some", "many"}
    assert seen["pose"] == {"frontal", "turned"}


@pytest.mark.parametrize("name", [name for name in PROTOTYPES if PROTOTYPES[name]])
def test_the_prototype_dominates(corpus: list[tuple[str, Face]], name: str) -> None:
    mean = np.mean([face.aus for _, face in corpus if face.label == name], axis=0)
    own = [AUS.index(au) for au in PROTOTYPES[name]]
    others = np.delete(mean, own)
    assert mean[own].min() > 0.4
    assert others.max() < 0.15


def test_intensities_are_graded_blended_and_incomplete(corpus: list[tuple[str, Face]]) -> None:
    smiles = np.stack([face.aus for _, face in corpus if face.label == "happiness"])
    assert smiles.min() >= 0
    assert smiles.max() <= 1
    assert smiles[:, AUS.index(12)].std() > 0.1
    assert 0.1 < (np.delete(smiles, [AUS.index(6), AUS.index(12)], axis=1) > 0).any(axis=1).mean() < 0.6
    fears = np.stack([face.aus for _, face in corpus if face.label == "fear"])
    missing = (fears[:, [AUS.index(au) for au in PROTOTYPES["fear"]]] == 0).any(axis=1)
    assert 0.05 < missing.mean() < 0.4


def test_masks_are_where_aus_are(corpus: list[tuple[str, Face]]) -> None:
    for _, face in corpus:
        assert face.au_masks.shape == face.image.shape[:2]
        for bit, level in enumerate(face.aus):
            moved = ((face.au_masks >> bit) & 1).any()
            assert moved == (level > 0), f"AU{AUS[bit]} at {level}"
    still = [face for _, face in corpus if not face.aus.any()]
    assert still
    assert not any(face.au_masks.any() for face in still)


def test_masks_hold_what_truly_changed() -> None:
    inside, changed_total, masked_total = Counter[int](), Counter[int](), Counter[int]()
    for index in range(60):
        chance = Chance(5, 2, index)
        who = replace(draw_identity(5, index), glasses=False)
        intensities = draw_intensities(list(PROTOTYPES)[index % 7], chance)
        view, scenery = draw_view(chance, 48), draw_scenery(chance)
        points = project(who, intensities, view)
        full = photograph(who, points, intensities, view, scenery, 48)
        masks = draw_masks(points, intensities, view, 48)
        for bit, au in enumerate(AUS):
            if intensities[:, bit].any():
                without = intensities.copy()
                without[:, bit] = 0
                rest = photograph(who, project(who, without, view), without, view, scenery, 48)
                changed = np.abs(full - rest).max(axis=2) > 16
                mask = (masks >> bit) & 1 > 0
                inside[au] += int((changed & mask).sum())
                changed_total[au] += int(changed.sum())
                masked_total[au] += int(mask.sum())
    assert sum(inside.values()) >= 0.9 * sum(changed_total.values())
    for au in AUS:
        assert inside[au] >= 0.8 * changed_total[au], f"AU{au}"
    assert sum(masked_total.values()) < 4 * sum(changed_total.values())


def test_masks_leave_out_the_parts_of_a_curve_that_stay() -> None:
    who, view = draw_identity(0, 1), draw_view(Chance(0), 96)
    dropped = np.zeros((2, len(AUS)))
    dropped[:, AUS.index(26)] = 1.0
    points = project(who, dropped, view)
    head = points[ANATOMY.spans["outline"]] / 32
    mask = draw_masks(points, dropped, view, 96) > 0
    brow = int(points[ANATOMY.spans["brow_top.r"]][:, 1].min() / 32)
    assert mask[brow:].any()
    assert head[:, 1].min() < brow - 10
    assert not mask[:brow].any()


def test_an_au_moves_its_own_part_of_the_face() -> None:
    who, view = draw_identity(0, 1), draw_view(Chance(0), 96)
    still = np.zeros((2, len(AUS)))
    rest = project(who, still, view)

    def lift(au: int, curve: str) -> float:
        shown = still.copy()
        shown[:, AUS.index(au)] = 1.0
        moved = project(who, shown, view)[ANATOMY.spans[curve]] - rest[ANATOMY.spans[curve]]
        return float(-moved[-1, 1] if curve == "lip_top" else -moved[0, 1]) / 32

    assert lift(12, "lip_top") > 3  # pixels of 96
    assert lift(15, "lip_top") < -2
    assert lift(1, "brow_top.r") > 3
    assert lift(4, "brow_top.r") < -2
    assert lift(1, "lip_top") == 0


@pytest.mark.parametrize("size", [32, 48, 96])
def test_size(size: int) -> None:
    face = draw_face(2, "surprise", seed=1, index=0, size=size)
    assert face.image.shape == (size, size, 3)
    assert face.image.dtype == np.uint8
    assert face.au_masks.dtype == np.uint16
    x, y, width, height = face.box
    assert 0.45 * size < width < 0.9 * size
    for px, py in face.landmarks:
        assert x < px < x + width
        assert y < py < y + height
    assert face.landmarks[0, 0] < face.landmarks[2, 0] < face.landmarks[1, 0]
    assert face.landmarks[:2, 1].max() < face.landmarks[2, 1] < face.landmarks[3:, 1].min()


def test_a_larger_picture_shows_the_same_face() -> None:
    small = draw_face(2, "fear", seed=1, index=9, size=48, sensor=False).image.astype(int)
    large = draw_face(2, "fear", seed=1, index=9, size=96, sensor=False).image
    again = cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small - again).mean() < 5


@pytest.mark.parametrize("name", ["happiness", "surprise", "anger"])
def test_clip(name: str) -> None:
    clip = draw_clip(4, name, seed=2, index=7)
    assert clip.frames.shape == (40, 48, 48, 3)
    assert 0 < clip.onset < clip.apex < clip.offset < 40
    course = clip.aus.sum(axis=1)
    assert course.argmax() == clip.apex
    assert not course[: clip.onset + 1].any()
    assert not course[clip.offset :].any()
    assert (np.diff(course[clip.onset : clip.apex + 1]) >= 0).all()
    assert (np.diff(course[clip.apex : clip.offset + 1]) <= 0).all()
    assert 0.1 < clip.aus.max() < 0.75
    again = draw_clip(4, name, seed=2, index=7)
    assert np.array_equal(clip.frames, again.frames)


def test_scene() -> None:
    scene = draw_scene(10, seed=6, height=360, width=480)
    assert scene.image.shape == (360, 480, 3)
    assert scene.boxes.shape == (10, 4)
    assert scene.landmarks.shape == (10, 5, 2)
    sizes = scene.boxes[:, 3]
    assert sizes.max() > 2 * sizes.min()
    inside = (scene.landmarks >= scene.boxes[:, None, :2]) & (
        scene.landmarks <= scene.boxes[:, None, :2] + scene.boxes[:, None, 2:]
    )
    assert inside.mean() > 0.95
    assert np.array_equal(scene.image, draw_scene(10, seed=6, height=360, width=480).image)


def test_sheet_has_a_row_for_each_expression() -> None:
    rows = sheet_faces(size=48, columns=3)
    assert [row[0].label for row in rows] == list(PROTOTYPES)
    sheet = contact_sheet(rows)
    assert sheet.shape[0] == 7 * 48
    assert sheet.shape[2] == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: draw_face(0, "bored", seed=0, index=0), "Unknown expression 'bored'. Choose one of: anger"),
        (lambda: draw_face(0, "fear", seed=0, index=0, size=8), "8 pixels. Choose a size from 24 to 512"),
        (lambda: draw_faces(0), "Cannot draw 0 faces"),
        (lambda: draw_faces(5, subjects=9), "Cannot share 5 faces among 9 subjects"),
        (lambda: draw_clip(0, "fear", seed=0, index=0, frames=3), "clip of 3 frames is too short"),
        (lambda: draw_scene(500, seed=0, height=100, width=100), "No room for face"),
    ],
)
def test_impossible_wishes_are_refused_with_a_sentence(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        call()


@pytest.mark.long
def test_500_faces_a_second_on_one_core() -> None:
    cv2.setNumThreads(1)
    list(draw_faces(50))
    start = time.process_time()
    list(draw_faces(1000, seed=9))
    assert 1000 / (time.process_time() - start) >= 500
