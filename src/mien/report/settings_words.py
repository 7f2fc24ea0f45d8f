"""Settings of runs in sentences: one value, a value for each network, or the values in which rows differ."""

from collections.abc import Callable
from typing import Any

from ..compare import FOLD, NAME, REPLICATES, Comparison
from ..config import KINDS, NetworkSettings
from ..words import listed, number

__all__ = ["SettingsWords"]


class SettingsWords:
    """The settings of all finished runs. It keeps track of the settings that were requested, because they have a
    sentence.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.own = comparison.own
        networks = [run for run in comparison.runs if isinstance(run.settings, NetworkSettings)]
        self.trains = bool(networks)
        """Whether some runs are networks that were trained; then all sentences are of these."""
        self.flat = [{NAME: run.settings.name} | run.settings.flat() for run in networks or comparison.runs]
        self.asked = {NAME, FOLD, *REPLICATES}

    def values(self, key: str) -> list[Any]:
        """The different values, in the table's order."""
        self.asked.add(key)
        return list(dict.fromkeys(flat[key] for flat in self.flat if key in flat))

    def anywhere(self, key: str) -> bool:
        """Whether some run has it on: not 0, False, empty or `none`."""
        return any(value not in (0, False, (), "none") for value in self.values(key))

    def words(self, key: str, show: Callable[[Any], str] = lambda value: number(value)) -> str:
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
        """Settings that were not requested and are not at their defaults."""
        defaults = {key: value for kind in KINDS.values() for key, value in kind().flat().items()}
        return [key for key in defaults if key not in self.asked and self.differs(key, defaults[key])]

    def differs(self, key: str, default: Any) -> bool:
        """Whether a run has another value; this does not count as a request."""
        return any(flat.get(key, default) != default for flat in self.flat)
