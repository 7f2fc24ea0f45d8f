"""The apex that a clip does not give: in drawn films, where it is known, and in clips too short for a course."""

from dataclasses import replace

import numpy as np
import pytest

from mien.data.clips.apex import find_apex
from mien.data.clips.clip import Clip
from mien.data.clips.drawn import FilmDetector, drawn_clips
from mien.data.drawn import FilmOptions
from mien.data.drawn.film import Film
from mien.faces.anchor import Anchor, Track

DISTRACTED = FilmOptions(pixels=(1.0, 1.0), nods=True, blinks=True, gaze=True, speech=True, flicker=4)


def anchored(clip: Clip, film: Film) -> Anchor:
    anchor = Track(FilmDetector(film, clip.onset)).anchor(film[clip.onset])
    assert anchor is not None
    return anchor


def test_the_apex_of_films_with_distractors_is_found_within_two_frames() -> None:
    """A floor for `benchmarks/flow.py`, which has the figures; the middle of a clip is as near in half of them."""
    off = []
    for clip, film in drawn_clips(10, subjects=10, seed=1, options=DISTRACTED):
        found = find_apex(replace(clip, apex=None), anchored(clip, film))
        assert clip.apex is not None
        off.append(abs(found - clip.apex))
    assert (np.array(off) <= 2).sum() >= 9


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_a_clip_too_short_for_a_course_has_its_apex_where_the_skin_is_furthest(frames: int) -> None:
    clip, film = next(drawn_clips(1, seed=1, options=FilmOptions(pixels=(2.0, 2.0))))
    assert clip.apex is not None
    rising = np.linspace(clip.onset, clip.apex, frames).round().astype(int)
    short = replace(clip, frames=np.stack([film[place] for place in rising]), onset=0, apex=None, offset=frames - 1)
    assert find_apex(short, anchored(clip, film)) == frames - 1
