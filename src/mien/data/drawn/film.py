"""Drawn films: a face in time, with expressions of known onset, apex and offset, and with the other movements of a
face.

In: a subject, acts (expressions in time), a seed. Out: `Film`: frames that are drawn on request, in any order, so that
a film of 20 minutes takes no memory; and the truth: intensities, landmarks, and the movement of every pixel between any
two frames. Distractors are options: the head sways and nods, eyes blink and look about, the mouth speaks, light
flickers, the sensor has noise, frames went through JPEG (which may differ in a bit between machines).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.anatomy import ANATOMY
from mien.data.drawn.chance import Chance
from mien.data.drawn.course import FULL, Swell, strongest, sway, swells
from mien.data.drawn.expression import AUS, PROTOTYPES, require_expression
from mien.data.drawn.faces import groups_of, require_size
from mien.data.drawn.field import movement_field
from mien.data.drawn.geometry import GRID, View, corners, draw_view, project
from mien.data.drawn.identity import Identity, draw_identity
from mien.data.drawn.render import Scenery, draw_scenery, grainy, photograph
from mien.errors import ConfigError

__all__ = ["MACRO_PX", "Act", "Film", "FilmOptions", "draw_film", "draw_long_film"]

KEY = 13
"""Keys of the random streams."""
MACRO_PX = (4.0, 12.0)
"""Movement of the strongest point of a macro-expression, in pixels of a picture 128 wide."""
SWAY_S = 0.5
LONGEST = 1_000_000


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """The options of a film. Raises `ConfigError` if a value is out of its range."""

    size: int = 128
    """Side of the picture in pixels."""
    fps: float = 200.0
    """Frames a second, such as 30, 100, 200; 10 to 1000."""
    pixels: tuple[float, float] = (0.3, 2.0)
    """Least and greatest movement of the strongest point of a micro-expression, in pixels of a picture 128 wide:
    from FACS trace to slight.
    """
    sway: float = 0.5
    """Drift of the head to and fro, in pixels of a picture 128 wide; at most 16."""
    nods: bool = False
    blinks: bool = False
    gaze: bool = False
    """Whether the eyes look aside now and then."""
    speech: bool = False
    """Whether the mouth opens and closes as in speech."""
    grain: int = 4
    """The sensor's noise, 0 to 24."""
    flicker: int = 0
    """Change of the light from frame to frame, in 256ths, 0 to 64."""
    jpeg: int = 0
    """Quality of JPEG, 1 to 100; 0 for none."""

    def __post_init__(self) -> None:
        require_size(self.size)
        low, high = self.pixels
        checks = {
            f"Films have 10 to 1000 frames a second; got {self.fps:g}.": 10 <= self.fps <= 1000,
            f"A face's strongest point moves by 0.1 to 16 pixels; got {low:g} to {high:g}.": 0.1 <= low <= high <= 16,
            f"A head sways by 0 to 16 pixels; got {self.sway:g}.": 0 <= self.sway <= 16,
            f"The sensor's grain is 0 to 24; got {self.grain}.": 0 <= self.grain <= 24,
            f"The flicker is 0 to 64; got {self.flicker}.": 0 <= self.flicker <= 64,
            f"The quality of JPEG is 1 to 100, or 0 for none; got {self.jpeg}.": 0 <= self.jpeg <= 100,
        }
        for sentence, right in checks.items():
            if not right:
                raise ConfigError(sentence)


@dataclass(frozen=True, kw_only=True)
class Act:
    """One expression in a film."""

    label: str
    kind: str
    """micro or macro."""
    course: Swell
    """Its onset, apex and offset, and the course between them."""
    pixels: float
    """Movement of its strongest point, in pixels of a picture 128 wide."""
    peak: NDArray[np.float64]
    """(2, 13) intensities at the apex, multiples of 1/4096."""


class Film:
    """Frames of one face, (S, S, 3) RGB uint8 by place; made by `draw_film` and `draw_long_film`."""

    def __init__(self, subject: int, acts: tuple[Act, ...], frames: int, stage: "_Stage") -> None:
        self.subject, self.acts, self.options = f"s{subject:04d}", acts, stage.options
        self._frames, self._stage = frames, stage
        self._moves = _moves(stage, frames)
        self.groups = groups_of(stage.who, stage.view)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: int, /) -> NDArray[np.uint8]:
        place = self._place(place)
        stage, chance = self._stage, Chance(*self._stage.key, 1, place)
        scenery = replace(stage.scenery, gain=stage.scenery.gain + int(chance.spread() * self.options.flicker))
        levels = self.intensities(place)
        clean = photograph(stage.who, self.points(place), levels, self._view(place), scenery, self.options.size)
        image = grainy(clean, scenery, chance)
        if self.options.jpeg:
            _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.options.jpeg])
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1]
        return np.ascontiguousarray(image)

    def intensities(self, place: int) -> NDArray[np.float64]:
        """(2, 13) of the action units, those of speech included: the image's left side of the face, then its right."""
        levels = np.zeros((2, len(AUS)))
        for act in self.acts:
            if share := act.course.at(place):
                levels = np.maximum(levels, np.floor(act.peak * share * FULL) / FULL)
        jaw = levels[:, AUS.index(26)]
        np.maximum(jaw, np.floor(strongest(self._moves.speech, place) * FULL) / FULL, out=jaw)
        return levels

    def points(self, place: int) -> NDArray[np.int32]:
        """Points (P, 2) of all curves of the face in 1/32 pixel."""
        points = project(self._stage.who, self.intensities(place), self._view(place))
        look = next(((x, y) for start, x, y in reversed(self._moves.gaze) if start <= place), (0, 0))
        shut = int(strongest(self._moves.blinks, place) * 256)
        return _eyes(points, look, shut)

    def landmarks(self, place: int) -> NDArray[np.float32]:
        """(5, 2) x, y in pixels, as `Face.landmarks`."""
        return corners(self.points(place))

    def box(self, place: int) -> tuple[float, float, float, float]:
        """x, y, width, height in pixels of the square from the middle of the forehead to the chin."""
        view = self._view(place)
        unit, (x, y) = view.unit / GRID, (middle / GRID for middle in view.middle)
        return x - 1.16 * unit, y - 0.9 * unit, 2.32 * unit, 2.32 * unit

    def flow(self, before: int, after: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Movement of each pixel from one frame to another, (S, S, 2), and where it is known, (S, S)."""
        who = self._stage.who
        return movement_field(self.points(before), self.points(after), self.options.size, who.glasses)

    def _place(self, place: int) -> int:
        if not -self._frames <= place < self._frames:
            raise IndexError(place)
        return place % self._frames

    def _view(self, place: int) -> View:
        view, moves = self._stage.view, self._moves
        x, y = sway(moves.stops, moves.every, place)
        return replace(
            view, pitch=view.pitch + strongest(moves.nods, place), middle=(view.middle[0] + x, view.middle[1] + y)
        )


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """The constant parts of a film."""

    key: tuple[int, ...]
    who: Identity
    view: View
    scenery: Scenery
    options: FilmOptions


@dataclass(frozen=True, kw_only=True)
class _Moves:
    """The movements in a film besides its expressions."""

    stops: tuple[tuple[int, int], ...]
    every: int
    nods: tuple[Swell, ...]
    blinks: tuple[Swell, ...]
    speech: tuple[Swell, ...]
    gaze: tuple[tuple[int, int, int], ...]
    """Direction of the eyes from each frame on: how far right and down, in 1/32 pixel."""


def _moves(stage: _Stage, frames: int) -> _Moves:
    options, fps = stage.options, stage.options.fps
    chance = Chance(*stage.key, 2)
    every = max(2, int(SWAY_S * fps))
    reach = options.sway * options.size / 128 * GRID
    stops = tuple((int(chance.spread() * reach), int(chance.spread() * reach)) for _ in range(frames // every + 2))
    nods = swells(frames, fps, chance, every=(1.0, 4.0), lasts=(0.4, 1.0), height=0.06) if options.nods else ()
    blinks = swells(frames, fps, chance, every=(1.0, 4.0), lasts=(0.12, 0.3), height=1.0) if options.blinks else ()
    speech = swells(frames, fps, chance, every=(0.0, 0.3), lasts=(0.12, 0.3), height=0.3) if options.speech else ()
    return _Moves(stops=stops, every=every, nods=nods, blinks=blinks, speech=speech, gaze=_looks(stage, frames, chance))


def _looks(stage: _Stage, frames: int, chance: Chance) -> tuple[tuple[int, int, int], ...]:
    looks, start, reach = [], 0, stage.view.unit // 16
    while stage.options.gaze and start < frames:
        looks.append((start, int(chance.spread() * reach), int(chance.spread() * reach) // 2))
        start += int(chance.between(0.2, 1.5) * stage.options.fps)
    return tuple(looks)


@lru_cache(maxsize=1)
def _eye_rows() -> tuple[NDArray[np.int64], list[tuple[slice, slice, slice]]]:
    spans = ANATOMY.spans
    balls = [spans[f"{name}.{side}"] for name in ("iris", "pupil", "glint") for side in "lr"]
    rows = np.concatenate([np.arange(span.start, span.stop) for span in balls])
    return rows, [(spans[f"lid_upper.{s}"], spans[f"lid_lower.{s}"], spans[f"lid_crease.{s}"]) for s in "lr"]


def _eyes(points: NDArray[np.int32], look: tuple[int, int], shut: int) -> NDArray[np.int32]:
    """The points with the eyes turned by `look`, in 1/32 pixel, and shut by so many 256ths."""
    balls, lids = _eye_rows()
    points = points.copy()
    points[balls] += np.array(look, dtype=np.int32)
    for upper, lower, crease in lids if shut else ():
        way = (points[lower] - points[upper]) * shut >> 8
        points[upper] += way
        points[crease] += way >> 2
    return points


def _act(label: str, kind: str, course: Swell, range_px: tuple[float, float], stage: _Stage, chance: Chance) -> Act:
    pixels = chance.between(*range_px)
    lean = chance.spread(0.2)
    even = np.zeros(len(AUS))
    for au in PROTOTYPES[label]:
        even[AUS.index(au)] = 1 + chance.spread(0.15)
    sides = np.stack([even * (1 - lean), even * (1 + lean)])
    rest, full = (project(stage.who, levels, stage.view).astype(np.int64) for levels in (sides * 0, sides))
    reach = np.sqrt(((full - rest) ** 2).sum(axis=1).max()) / GRID
    share = pixels * stage.options.size / 128 / max(reach, 1e-9)
    peak = np.clip(np.floor(sides * share * FULL) / FULL, 0.0, 1.0)
    return Act(label=label, kind=kind, course=course, pixels=pixels, peak=peak)


def _course(first: int, room: int, longest: float, shortest: float, chance: Chance) -> Swell:
    """A swell of `shortest` to `longest` frames within `room` frames from `first`."""
    most = max(4, min(int(longest), room - 3))
    least = min(most, max(4, int(shortest)))
    length = least + chance.below(most - least + 1)
    onset = first + 1 + chance.below(max(1, room - length - 2))
    apex = onset + max(2, length * (90 + chance.below(77)) // 256)
    return Swell(onset=onset, apex=apex, offset=onset + length)


def _staged(subject: int, seed: int, index: int, options: FilmOptions, chance: Chance) -> _Stage:
    view, scenery = draw_view(chance, options.size), draw_scenery(chance)
    return _Stage(
        key=(seed, KEY, index),
        who=draw_identity(seed, subject),
        view=replace(view, yaw=view.yaw / 2),
        scenery=replace(scenery, soft=False, grain=options.grain),
        options=options,
    )


def draw_film(
    subject: int, expression: str, *, seed: int, index: int, frames: int = 40, options: FilmOptions | None = None
) -> Film:
    """A film of one micro-expression, which lasts at most half a second.

    Args:
        subject: its number; with `seed` it fixes the identity.
        expression: one of `PROTOTYPES`.
        seed: of the corpus.
        index: of the film; two films of one corpus have two.
        frames: 12 or more.
        options: how it is taken.

    Raises:
        ConfigError: the expression is unknown or `frames` out of range.
    """
    require_expression(expression)
    _require_frames(frames)
    options, chance = options or FilmOptions(), Chance(seed, KEY, index)
    stage = _staged(subject, seed, index, options, chance)
    course = _course(0, frames, options.fps / 2, min(options.fps / 2, frames) * 0.55, chance)
    return Film(subject, (_act(expression, "micro", course, options.pixels, stage, chance),), frames, stage)


def draw_long_film(
    subject: int,
    *,
    seed: int,
    index: int,
    seconds: float = 20.0,
    micro: int = 3,
    macro: int = 2,
    options: FilmOptions | None = None,
) -> Film:
    """A long film with several micro-expressions (1/5 to 1/2 second) and macro-expressions (0.8 to 2.5 seconds).

    Raises:
        ConfigError: it is too short for so many, or too long.
    """
    options, chance = options or FilmOptions(fps=30.0), Chance(seed, KEY, index)
    frames = int(seconds * options.fps)
    _require_frames(frames)
    if min(micro, macro) < 0 or (micro + macro) * 3 > seconds:
        raise ConfigError(f"{seconds:g} seconds have no room for {micro} and {macro} expressions: 3 seconds for each.")
    stage = _staged(subject, seed, index, options, chance)
    kinds = ["micro"] * micro + ["macro"] * macro
    names = [name for name in PROTOTYPES if name != "neutral"]
    acts = []
    for number in range(len(kinds)):
        kind = kinds.pop(chance.below(len(kinds)))
        room = frames // (micro + macro)
        lasts, px = ((0.5, 0.2), options.pixels) if kind == "micro" else ((2.5, 0.8), MACRO_PX)
        course = _course(number * room, room, lasts[0] * options.fps, lasts[1] * options.fps, chance)
        acts.append(_act(chance.choose(names), kind, course, px, stage, chance))
    return Film(subject, tuple(acts), frames, stage)


def _require_frames(frames: int) -> None:
    if not 12 <= frames <= LONGEST:
        raise ConfigError(f"A film has 12 to {LONGEST:,} frames; got {frames}.")
