"""Expressions as action units: the EMFACS prototypes, graded, blended and sometimes incomplete.

In: the name of an expression and a stream of chance. Out: intensities of the 13 action units in [0, 1], a value
for either side of the face. FACS grades an intensity A to E; here A ends at 0.2 and E at 1. Prototypes: Friesen
and Ekman 1983 (EMFACS-7), as listed in `PROTOTYPES`.
"""

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.chance import Chance
from mien.errors import ConfigError

__all__ = ["AUS", "PROTOTYPES", "draw_intensities", "require_expression"]

AUS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 20, 23, 26)
"""The action units drawn, in the order of intensities and of the bits of a mask."""

PROTOTYPES: dict[str, tuple[int, ...]] = {
    "anger": (4, 5, 7, 23),
    "disgust": (9, 15, 16),
    "fear": (1, 2, 4, 5, 7, 20, 26),
    "happiness": (6, 12),
    "neutral": (),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
}
"""The action units of each expression."""


def require_expression(name: str) -> None:
    """Raise ConfigError if `name` is not one of `PROTOTYPES`."""
    if name not in PROTOTYPES:
        raise ConfigError(f"Unknown expression {name!r}. Choose one of: {', '.join(PROTOTYPES)}.")


def draw_intensities(expression: str, chance: Chance) -> NDArray[np.float64]:
    """Intensities (2, 13) in [0, 1], multiples of 1/256: the image's left side of the face, then its right."""
    level = dict.fromkeys(AUS, 0.0)
    strength = chance.between(0.35, 1.0)
    prototype = PROTOTYPES[expression]
    for au in prototype:
        level[au] = strength + chance.spread(0.25)
    if len(prototype) > 2 and chance.often(20):
        level[chance.choose(prototype)] = 0.0
    if chance.often(35):
        trace = chance.between(0.08, 0.3)
        for au in PROTOTYPES[chance.choose(tuple(PROTOTYPES))]:
            level[au] = max(level[au], trace + chance.spread(0.05))
    even = np.array([level[au] for au in AUS])
    lean = chance.spread(0.2)
    sides = np.stack([even * (1 - lean), even * (1 + lean)])
    return np.clip(np.floor(sides * 256) / 256, 0.0, 1.0)
