"""Spotting: when a face in a video of any length makes a micro- or a macro-expression.

In: frames, one after the other. Out: intervals with onset, apex and offset. Memory holds some small grey faces
and a few numbers a frame.

    skin       by how much the skin has moved against the head, measured from grey levels
    matched    swells that stand out from all else that the face does: the default
    movement   by how much each region of the face has moved against the whole face, by dense flow
    pulses     movements that rise and fall again, as intervals
    ring       the last faces of a video, cut alike
    mdmd       the field's baseline, which compares each frame with those before and after it
    softnet    a small network that looks at the flow around each frame
    spotter    the methods, by name
"""

from .movement import REGIONS
from .pulses import PulseOptions, find_pulses
from .spotter import SPOTTERS, Spotted, spot

__all__ = ["REGIONS", "SPOTTERS", "PulseOptions", "Spotted", "find_pulses", "spot"]
