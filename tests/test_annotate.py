"""What is drawn: in the picture, in the class's colour, over no other face; and the timeline."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.annotate import COLOURS, annotate, draw_timeline
from mien.labels import SEVEN
from mien.predict import UNCERTAIN, Prediction, Seen
from mien.summary import Timeline

NAMES = SEVEN.names


def prediction(
    box: tuple[float, float, float, float],
    label: str = "happiness",
    share: float = 0.7,
    time_s: float | None = None,
    track: int | None = None,
    names: tuple[str, ...] = NAMES,
) -> Prediction:
    best = names[3] if label == UNCERTAIN else label
    probs = {name: share if name == best else (1 - share) / (len(names) - 1) for name in names}
    return Prediction(
        label=label,
        confidence=share,
        probs=probs,
        box=box,
        landmarks=None,
        score=1.0,
        source="",
        frame=0,
        time_s=time_s,
        track=track,
    )


def scene(*predictions: Prediction, height: int = 720, width: int = 960, time_s: float | None = None) -> Seen:
    picture = np.full((height, width, 3), 120, np.uint8)
    return Seen(source="", frame=0, time_s=time_s, picture=picture, predictions=predictions)


def has(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((picture == colour).all(axis=2))


def test_box_and_tag_have_the_colour_of_the_class() -> None:
    drawn = annotate(scene(prediction((300, 250, 200, 200))))
    colour = COLOURS[NAMES.index("happiness")]
    assert drawn.shape == (720, 960, 3)
    assert has(drawn, colour)[350, 298:303].any()
    assert has(drawn, colour)[448:453, 400].any()
    assert has(drawn, colour)[225:248, 300:420].mean() > 0.5
    assert (drawn[300:440, 310:490] == 120).all()


def test_the_bar_is_as_long_as_its_share() -> None:
    colour, lengths = COLOURS[3], []
    for share in (0.4, 0.8):
        drawn = annotate(scene(prediction((300, 250, 200, 200), share=share)))
        lengths.append(int(has(drawn, colour)[260:420, 520:].sum(axis=1).max()))
    assert lengths[1] == pytest.approx(2 * lengths[0], rel=0.1)


def test_the_picture_itself_is_left_alone() -> None:
    seen = scene(prediction((300, 250, 200, 200)))
    annotate(seen)
    assert seen.picture is not None
    assert (seen.picture == 120).all()


def test_no_face_is_a_copy() -> None:
    seen = scene()
    drawn = annotate(seen)
    assert np.array_equal(drawn, seen.picture)  # type: ignore[arg-type]
    assert drawn is not seen.picture


@pytest.mark.parametrize(("height", "width"), [(48, 48), (100, 30), (639, 500), (1, 1)])
def test_small_pictures_are_enlarged_by_a_whole_factor(height: int, width: int) -> None:
    drawn = annotate(scene(prediction((0, 0, width, height)), height=height, width=width))
    factor = drawn.shape[0] // height
    assert drawn.shape == (height * factor, width * factor, 3)
    assert 640 <= max(drawn.shape) < 640 + max(height, width)


def test_bars_stand_beside_a_face_and_cover_no_other() -> None:
    left, right = prediction((300, 250, 150, 150)), prediction((480, 250, 150, 150), label="fear")
    drawn = annotate(scene(left, right))
    for x in (300, 480):
        assert (drawn[260:390, x + 6 : x + 144] == 120).all()
    assert (drawn[250:400, 200:290] < 100).any()  # the left face's bars found room on its left
    assert (drawn[250:400, 640:780] < 100).any()


def test_without_room_bars_lie_in_the_box_with_a_key_below() -> None:
    crowd = [prediction((x, y, 150, 150)) for x in range(5, 900, 160) for y in range(40, 700, 170)]
    drawn = annotate(scene(*crowd))
    for colour in COLOURS[:7]:
        assert has(drawn[-22:], colour).any()
    row = has(drawn, COLOURS[3])[181, 10:150]
    assert row.mean() == pytest.approx(0.7, abs=0.1)


def test_a_film_has_its_bars_in_line_always() -> None:
    drawn = annotate(scene(prediction((300, 250, 200, 200), time_s=0.0, track=1), time_s=0.0))
    assert (drawn[255:690, 520:] == 120).all()
    assert has(drawn[-22:], COLOURS[0]).any()


@pytest.mark.parametrize(
    "box",
    [
        (-80.0, -80.0, 200.0, 200.0),
        (900.0, 650.0, 200.0, 200.0),
        (0.0, 0.0, 960.0, 720.0),
        (400.0, 300.0, 1.0, 1.0),
        (-50.0, 100.0, 2000.0, 2000.0),
    ],
)
@pytest.mark.parametrize("size", [(720, 960), (48, 48), (20, 900), (900, 20)])
def test_boxes_of_any_place_and_size(box: tuple[float, float, float, float], size: tuple[int, int]) -> None:
    drawn = annotate(scene(prediction(box), height=size[0], width=size[1]))
    assert drawn.dtype == np.uint8


def test_uncertain_has_no_class_colour() -> None:
    drawn = annotate(scene(prediction((300, 250, 200, 200), label=UNCERTAIN, share=0.3)))
    assert not has(drawn, COLOURS[3])[225:248, 300:500].any()
    assert not has(drawn, COLOURS[3])[448:453, 300:500].any()


def test_names_in_other_scripts_and_more_classes_than_colours() -> None:
    names = ("злость", "喜", *(f"class {n}" for n in range(9)))
    annotate(scene(prediction((300, 250, 200, 200), label="喜", names=names)))


def test_without_a_picture_there_is_nothing_to_draw_on() -> None:
    with pytest.raises(ValueError, match="no picture"):
        annotate(Seen(source="x", frame=0))


def film(tracks: int, seconds: float = 10.0) -> Timeline:
    timeline = Timeline()
    for i in range(int(seconds * 25)):
        found = [
            prediction((0, 0, 9, 9), label="fear" if i < 125 else "happiness", time_s=i / 25, track=track)
            for track in range(1, tracks + 1)
            if not (track == 2 and i < 125)
        ]
        timeline.add(Seen(source="film", frame=i, time_s=i / 25, predictions=tuple(found)))
    return timeline


def test_a_timeline_shows_what_was_likeliest_when() -> None:
    drawn = draw_timeline(film(2), NAMES)
    early, late = slice(100, 480), slice(560, 980)
    fear, happiness = COLOURS[NAMES.index("fear")], COLOURS[NAMES.index("happiness")]
    first, second = drawn[80:166], drawn[204:290]
    assert has(first[:, early], fear).mean() == pytest.approx(0.7, abs=0.06)
    assert has(first[:, late], happiness).mean() == pytest.approx(0.7, abs=0.06)
    assert not has(first[:, late], fear).mean() > 0.1
    assert (second[5:80, early] == 255).all()  # not in view
    assert has(second[:, late], happiness).mean() == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize(("tracks", "strips"), [(0, 1), (1, 1), (5, 5), (30, 12)])
def test_a_timeline_has_a_strip_a_track_up_to_twelve(tracks: int, strips: int) -> None:
    assert draw_timeline(film(tracks), NAMES).shape == (100 + 124 * strips, 1044, 3)


@pytest.mark.parametrize("seconds", [0.04, 1.0, 17.3, 7200.0])
def test_a_timeline_of_any_length(seconds: float) -> None:
    timeline = Timeline()
    for time_s in np.linspace(0, seconds, 50):
        timeline.add(Seen(source="", frame=0, time_s=float(time_s), predictions=(prediction((0, 0, 9, 9), track=1),)))
    drawn = draw_timeline(timeline, NAMES)
    assert has(drawn[80:166], COLOURS[3]).mean() > 0.4
