"""The search space: `KEY`, `KEY=LOW..HIGH` or `KEY=[A, B]` becomes an axis, by the type of the setting.

A range that is not given is the one that stands on the type; of a setting that a search steps through in logarithms,
it reaches from a tenth to ten times of what the recipe has.
"""

import re
from dataclasses import dataclass
from typing import Any

from ..config import Recipe, Settings, Within, check_names, parse_overrides
from ..config.parsing import kinds
from ..config.within import Kind, typed
from ..errors import ConfigError
from ..shown import first_line
from ..words import listed, number

__all__ = ["Axis", "axis_key", "read_axis"]

RANGE = re.compile(r"\s*(\S+?)\s*\.\.\s*(\S+)\s*")
NEVER = ("seed", "data.")
"""Settings that repeat or define the measurement cannot be searched."""
AROUND = 10.0
DIGITS = 4
"""Significant digits of a number that is tried."""


NOWHERE = Within(0, 0)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One setting and its possible values."""

    key: str
    choices: tuple[Any, ...] = ()
    """The values to choose from; empty for a range."""
    within: Within = NOWHERE
    """The range, both ends allowed."""
    whole: bool = False
    """Whether its numbers are whole."""

    def __str__(self) -> str:
        """`optimizer.lr: 0.0001 to 0.01, in logarithms`."""
        if self.choices:
            return f"{self.key}: {listed(map(number, self.choices), 'or')}"
        return f"{self.key}: {self.within}{', in logarithms' * self.within.log}"

    def holds(self, value: Any) -> bool:
        """Whether a value can be tried."""
        return value in self.choices if self.choices else value in self.within

    def rounded(self, value: Any) -> Any:
        """A value as it is tried: a number of few digits that is still in the range."""
        if self.choices or self.whole:
            return value
        short = float(f"{value:.{DIGITS}g}")
        return min(max(short, self.within.low), self.within.high)


def axis_key(text: str) -> str:
    """The setting that the command line's words name."""
    return text.partition("=")[0].strip()


def read_axis(text: str, recipe: Recipe, settings: Settings | None = None) -> Axis:
    """An axis from the command line's words; raises `ConfigError` for a setting or a range that cannot be searched.

    `settings` are those of the row that is searched; the recipe's network unless given.
    """
    settings = settings or recipe.settings
    key, given, spread = (part.strip() for part in text.partition("="))
    known = kinds(type(settings))
    check_names([key], known)
    if key.startswith(NEVER):
        raise ConfigError(f"{key} repeats or defines the measurement, so it cannot be tuned. Set it with --set.")
    kind = known[key]
    if match := RANGE.fullmatch(spread):
        return _range(key, kind, match.groups())
    choices = _choices(key, kind, text if given else "", recipe)
    if choices:
        if len(choices) < 2:
            raise ConfigError(f"{key} has one value; a search needs two or more, as in '{key}=[A, B]'.")
        return Axis(key=key, choices=choices)
    if kind.within is None:
        raise ConfigError(f"{key} has no list of values to choose from. Name them, as in '{key}=[A, B]'.")
    return _usual(key, kind, kind.within, settings.flat()[key])


def _choices(key: str, kind: Kind, assignment: str, recipe: Recipe) -> tuple[Any, ...]:
    """The values that were named; else, where no range is known, those of the grid or of the type; else none."""
    if assignment:
        values = parse_overrides([assignment])[key]
        if not isinstance(values, list):
            raise ConfigError(
                f"--over takes a setting, a range or a list: {key}, {key}=LOW..HIGH or '{key}=[A, B]'; got "
                f"{first_line(assignment)}."
            )
        return tuple(dict.fromkeys(typed(key, value, kind) for value in values))
    if kind.within is None and len(recipe.grid.get(key, ())) > 1:
        return tuple(typed(key, value, kind) for value in recipe.grid[key])
    return (False, True) if kind.type is bool else kind.choices


def _range(key: str, kind: Kind, ends: tuple[str | Any, ...]) -> Axis:
    if kind.within is None or kind.many or kind.type not in (int, float):
        raise ConfigError(f"{key} is no number with a range. Name its values, as in '{key}=[A, B]'.")
    low, high = (typed(key, parse_overrides([f"{key}={end}"])[key], kind) for end in ends)
    if not low < high:
        raise ConfigError(f"{key}={number(low)}..{number(high)} is no range: the first number is the lower one.")
    log = kind.within.log and low > 0
    return Axis(key=key, within=Within(low, high, log=log), whole=kind.type is int)


def _usual(key: str, kind: Kind, within: Within, value: Any) -> Axis:
    """The range of the type, or around the recipe's own value."""
    if kind.many:
        raise ConfigError(f"{key} is a list. Name what it may be, as in '{key}=[[], [32, 48]]'.")
    low, high, whole = within.low, within.high, kind.type is int
    if within.log:
        if not value:
            raise ConfigError(
                f"{key} is 0 in the recipe, and is searched in logarithms. Give its range: {key}=LOW..HIGH."
            )
        low, high = max(low, value / AROUND), min(high, value * AROUND)
        low, high = (max(1, round(low)), round(high)) if whole else (low, high)
    return Axis(key=key, within=Within(low, high, log=within.log), whole=whole)
