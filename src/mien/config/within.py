"""Ranges of settings, as part of their types: `lr: Annotated[float, Within(0, 100, log=True)]`.

The check of a value, the sentence of a refusal and the search space of a tuner all read them from there.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ..errors import ConfigError
from ..shown import first_line

__all__ = ["LARGEST", "Kind", "Letters", "Within", "kinds_of", "shown", "typed"]

LARGEST = (1 << 53) - 1
"""Largest whole number: every reader of JSON represents it exactly."""
LONGEST = 100
"""Most characters of a text; such a text is a name."""
NUMERAL = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?")
LISTED = {int: "whole numbers", str: "texts"}
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Within:
    """The least and the greatest allowed value of a number, or of each item of a list."""

    low: float
    high: float
    log: bool = False
    """Whether a search should step in logarithms."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Letters:
    """Most characters of a text that may be longer than a name."""

    most: int


@dataclass(frozen=True)
class Kind:
    """The allowed values of a setting: its plain type, and its range if it is a number."""

    type: Any
    within: Within | None = None
    letters: int = LONGEST
    """Most characters of a text."""

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values to choose from; empty if the type is not a choice."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def many(self) -> bool:
        """Whether the value is a list."""
        return get_origin(self.type) is tuple


_known: dict[type, Mapping[str, Kind]] = {}


def kinds_of(table: Any) -> Mapping[str, Kind]:
    """The kind of each field of a dataclass, by the field's name; computed once."""
    if table not in _known:
        hints = get_type_hints(table, include_extras=True)
        _known[table] = {field.name: _kind(hints[field.name]) for field in fields(table)}
    return _known[table]


def _kind(hint: Any) -> Kind:
    if get_origin(hint) is not Annotated:
        return Kind(hint)
    plain, *notes = get_args(hint)
    letters = next((note.most for note in notes if isinstance(note, Letters)), LONGEST)
    return Kind(plain, next((note for note in notes if isinstance(note, Within)), None), letters)


def typed(key: str, value: Any, kind: Kind) -> Any:
    """`value` in the type of the setting `key`: a list becomes a tuple, and a whole number becomes a float if needed.

    Raises `ConfigError`, one sentence, for a value of another type or outside its range.
    """
    if kind.choices:
        if value not in kind.choices:
            words = ", ".join(map(str, kind.choices))
            raise ConfigError(f"{key} is one of {words}; got {shown(value)}.{_how_written(key, value, kind)}")
        return value
    if kind.many:
        return _list(key, value, kind)
    if type(value) is int and abs(value) > LARGEST:
        raise ConfigError(f"{key} is at most {LARGEST:,}; got a number of {len(str(abs(value)))} digits.")
    if kind.type is float and type(value) is int:
        value = float(value)
    if type(value) is not kind.type:
        raise ConfigError(f"{key} is {WORDS[kind.type]}; got {shown(value)}.{_how_written(key, value, kind)}")
    if kind.type is str and "," in value:
        raise ConfigError(f"{key} is one name; got {shown(value)}.{_how_written(key, value, kind)}")
    if kind.type is str and len(value) > kind.letters:
        raise ConfigError(f"{key} has at most {kind.letters:,} letters; got {len(value):,}.")
    if kind.within is not None and (math.isnan(value) or value not in kind.within):
        raise ConfigError(f"{key} is {kind.within}; got {value:g}.")
    return value


def _list(key: str, value: Any, kind: Kind) -> tuple[Any, ...]:
    item_type = get_args(kind.type)[0]
    if not isinstance(value, list | tuple) or not all(type(item) is item_type for item in value):
        raise ConfigError(
            f"{key} is a list of {LISTED[item_type]}; got {shown(value)}.{_how_written(key, value, kind)}"
        )
    for item in value:
        if item_type is str and len(item) > LONGEST:
            raise ConfigError(f"{key} holds texts of at most {LONGEST} letters; got one of {len(item):,}.")
        if kind.within is not None and item not in kind.within:
            raise ConfigError(f"{key} holds numbers of {kind.within}; got {shown(item)}.")
    return tuple(value)


def _how_written(key: str, value: Any, kind: Kind) -> str:
    """The probable meaning of a text given in place of another type; empty if it is unknown."""
    if not isinstance(value, str):
        return ""
    if kind.type is bool and value.lower() in ("true", "false"):
        return f" Write it in small letters: {key}={value.lower()}."
    if "," in value:
        items = [item.strip(" '\"") for item in value.strip("[]() ").split(",")[:4]]
        listed = ", ".join(item if NUMERAL.fullmatch(item) else f'"{first_line(item)}"' for item in items)
        return f" A list is written in brackets, texts in quotes: '{key}=[{listed}]'."
    return ""


def shown(value: Any) -> str:
    """A value for a message: as it would be typed, and no longer than a line."""
    return first_line(repr(value))
