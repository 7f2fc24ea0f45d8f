"""Random numbers of the drawn faces, the same on every machine and under every numpy.

In: a key of whole numbers (seed, purpose, index). Out: whole numbers and multiples of 1/256. numpy promises that
`SeedSequence` and the raw 64-bit stream of `PCG64` never change; it does not promise that of `Generator.integers` or
`normal`, so those are not used: numbers are cut from the raw stream here.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chance"]

T = TypeVar("T")


class Chance:
    """A stream of random numbers. Two streams with one key are equal."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._stock: list[int] = []

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        if not self._stock:
            self._stock = self._bits.random_raw(64).tolist()
        return ((self._stock.pop() >> 32) * count) >> 32

    def between(self, low: float, high: float) -> float:
        """A number in [low, high], evenly spread, rounded down to a multiple of 1/256."""
        start = int(low * 256)
        return (start + self.below(int(high * 256) - start + 1)) / 256

    def spread(self, reach: float = 1.0) -> float:
        """A number in [-reach, reach], more often near 0 (a triangle), a multiple of 1/256."""
        steps = int(reach * 256)
        return (self.below(steps + 1) - self.below(steps + 1)) / 256

    def often(self, percent: int) -> bool:
        """True with a probability of `percent` per cent."""
        return self.below(100) < percent

    def choose(self, options: Sequence[T]) -> T:
        """One of the options, each with equal probability."""
        return options[self.below(len(options))]

    def grain(self, *shape: int) -> NDArray[np.int32]:
        """Noise of the given shape, whole numbers in [-255, 255], triangular, mean 0."""
        count = int(np.prod(shape))
        raw = self._bits.random_raw((count + 3) // 4).astype("<u8").view(np.uint8).astype(np.int32)
        return (raw[:count] - raw[-count:]).reshape(shape)
