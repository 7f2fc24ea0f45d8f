"""Settings of runs as they are said in sentences, and what sentences are made of."""

from collections.abc import Callable, Iterable
from typing import Any

from ..compare import FOLD, NAME, REPLICATES, Comparison
from ..config import NetworkSettings

__all__ = ["SpokenSettings", "ended", "listed", "many", "number", "percent", "yes"]


class SpokenSettings:
    """The settings of all finished runs; remembers which of them were asked for, as those are said."""

    def __init__(self, comparison: Comparison) -> None:
        self.own = comparison.own
        self.flat = [run.settings.flat() for run in comparison.runs]
        self.asked = {NAME, FOLD, *REPLICATES}

    def values(self, key: str) -> list[Any]:
        """The different values, in the table's order."""
        self.asked.add(key)
        return list(dict.fromkeys(flat[key] for flat in self.flat))

    def anywhere(self, key: str) -> bool:
        """Whether some run has it on: not 0, False, empty or `none`."""
        return any(value not in (0, False, (), "none") for value in self.values(key))

    def said(self, key: str, show: Callable[[Any], str] = lambda value: number(value)) -> str:
        """One value; or each network's own; or the values that rows differ in."""
        seen = self.values(key)
        if len(seen) == 1:
            return show(seen[0])
        if key in self.own:
            networks = list(dict.fromkeys(flat[NAME] for flat in self.flat))
            by_value = {value: [name for name in networks if self.own[key].get(name) == value] for value in seen}
            return "; ".join(f"{show(value)} for {listed(names)}" for value, names in by_value.items())
        return f"{' or '.join(show(value) for value in seen)}, by row"

    def left(self) -> list[str]:
        """Settings that were not asked for and are not at their defaults."""
        defaults = NetworkSettings().flat()
        return [key for key in defaults if key not in self.asked and self.differs(key, defaults[key])]

    def differs(self, key: str, default: Any) -> bool:
        """Whether a run has another value; does not count as asking."""
        return any(flat[key] != default for flat in self.flat)


def number(value: object) -> str:
    """A setting's value for reading."""
    if isinstance(value, bool):
        return yes(value)
    if isinstance(value, tuple):
        return listed(value) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def listed(items: Iterable[object]) -> str:
    """`a, b and c`."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def many(count: int | float, thing: str) -> str:
    """`1 epoch`, `1,200 epochs`."""
    return f"{number(count)} {thing}" + "s" * (count != 1)


def percent(share: float) -> str:
    """`10 %`, or `12.5 %`."""
    return f"{100 * share:.4g}\u00a0%"


def ended(sentence: str) -> str:
    """The sentence with a full stop."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def yes(value: bool) -> str:
    return "yes" if value else "no"
