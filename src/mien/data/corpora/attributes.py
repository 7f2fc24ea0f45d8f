"""Attributes of samples for subgroup reports, out of arrays: words as they are, numbers cut into ranges.

In: what the user asks for, `gender` or `age=25,35`, and arrays `(N,)`. Out: a text a sample, empty where nothing is
known: an empty word, a number below 0 or NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DataError

__all__ = ["Attribute", "attribute", "columns"]


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """An array that says something of each sample."""

    name: str
    borders: tuple[float, ...] = ()
    """Numbers are cut here, each border into the range above it."""


def attribute(text: str) -> Attribute:
    """What `NAME` or `NAME=25,35` asks for; raises `ConfigError` where it is neither."""
    name, cut, numbers = text.partition("=")
    try:
        borders = tuple(float(number) for number in numbers.split(",")) if cut else ()
    except ValueError:
        borders = (np.nan,)
    if not name or not np.isfinite(borders).all() or list(borders) != sorted(set(borders)):
        raise ConfigError(f"--group is an array, or an array of numbers and rising borders, age=25,35; got {text!r}.")
    return Attribute(name=name, borders=borders)


def columns(asked: Sequence[Attribute], arrays: Mapping[str, NDArray[np.generic]], count: int) -> dict[str, list[str]]:
    """The texts of each attribute, one a sample; raises `DataError` for an array that is not there or does not fit."""
    return {one.name: _texts(one, arrays.get(one.name), count) for one in asked}


def _texts(asked: Attribute, values: NDArray[np.generic] | None, count: int) -> list[str]:
    if values is None or values.shape != (count,):
        seen = "is not in the file" if values is None else f"has the shape {values.shape}"
        raise DataError(f"--group {asked.name}: the array {seen}; expected one of shape ({count},).")
    if values.dtype.kind == "U" and not asked.borders:
        return [str(value) for value in values]
    if values.dtype.kind in "iuf" and asked.borders:
        return _ranges(values.astype(np.float64), asked.borders)
    wanted = (
        "words, so it has no borders" if values.dtype.kind == "U" else f"{values.dtype}; give borders, such as 25,35"
    )
    raise DataError(f"--group {asked.name}: the array holds {wanted}.")


def _ranges(values: NDArray[np.float64], borders: Sequence[float]) -> list[str]:
    shown = [f"{border:g}" for border in borders]
    between = [f"{low} to below {high}" for low, high in pairwise(shown)]
    names = [f"0 to below {shown[0]}", *between, f"{shown[-1]} and above"]
    return [names[int(np.searchsorted(borders, value, side="right"))] if value >= 0 else "" for value in values]
