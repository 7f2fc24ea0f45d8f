"""One line for each run: its entry in a list of thousands of run folders, and the settings that differ.

In: run folders. Out: a `Line` of each, from the folder itself. `mien.runs.index` remembers lines between commands.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..config import KINDS
from ..errors import RunError
from ..reading import Count, Share
from .files import Record
from .run import Run

__all__ = ["STATUSES", "Line", "alike", "equal_and_differing", "read_line"]

Status = Literal["planned", "running", "finished", "failed", "crashed", "pruned", "damaged"]
STATUSES: tuple[Status, ...] = ("planned", "running", "finished", "failed", "crashed", "pruned", "damaged")
"""Those of `Record`; `planned`: nothing was done yet; `damaged`: the folder cannot be read."""
BEGUN = ("record.json", "env.json", "history.csv")
"""Files of a run that has begun; a folder without them was only planned."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """The entry of a run in a list."""

    id: str
    status: Status
    reason: str = ""
    """The reason why it has no result, in a sentence."""
    epochs: Count = 0
    """Epochs that were trained so far; 0 for a method without epochs."""
    valid_accuracy: Share | None = None
    """Accuracy on valid of the chosen epoch, or of the last one while the run trains; None before the first."""
    kind: str = ""
    """The key in `mien.config.KINDS`; empty for a damaged folder."""
    changed: Mapping[str, Any] = field(default_factory=dict)
    """The dotted settings that differ from the defaults of its kind."""
    corpus: str = ""
    fingerprint: str = ""
    """SHA-256 of its store."""

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by dotted key; none of a damaged folder."""
        return {**_defaults(self.kind), **self.changed} if self.kind else {}


def read_line(path: Path) -> Line:
    """The line of a run folder, read from its files. A damaged folder has that status, and a sentence."""
    try:
        run = Run.open(path)
        record, begun = run.record, any(os.path.exists(path / name) for name in BEGUN)
        return Line(
            id=run.id,
            status=record.status if begun else "planned",
            reason=record.reason,
            epochs=len(run.history),
            valid_accuracy=_valid_accuracy(run, record),
            kind=run.settings.KIND,
            changed={k: v for k, v in run.settings.flat().items() if v != _defaults(run.settings.KIND)[k]},
            corpus=run.data.corpus,
            fingerprint=run.data.fingerprint,
        )
    except RunError as error:
        return Line(id=path.name, status="damaged", reason=str(error))


def alike(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings with one value in all runs that have them. A setting that a kind lacks is not a difference."""
    seen: dict[str, set[Any]] = defaultdict(set)
    for flat in values:
        for key, value in flat.items():
            seen[key].add(value)
    return {key: next(iter(own)) for key, own in seen.items() if len(own) == 1}


def equal_and_differing(lines: Sequence[Line]) -> tuple[dict[str, Any], list[str]]:
    """The settings with one value in all lines, and the keys of the others in their order. A setting that no run
    changed is looked at once for each kind, so that ten thousand lines take no second.
    """
    changed = {key for line in lines for key in line.changed}
    kinds = [_defaults(kind) for kind in dict.fromkeys(line.kind for line in lines) if kind]
    untouched = [{key: value for key, value in flat.items() if key not in changed} for flat in kinds]
    touched = [{key: flat[key] for key in changed & flat.keys()} for flat in (line.settings for line in lines)]
    equal = alike([*untouched, *touched])
    return equal, list(dict.fromkeys(key for flat in kinds for key in flat if key not in equal))


def _valid_accuracy(run: Run, record: Record) -> float | None:
    if (
        run.history and run.settings.method == run.settings.KIND
    ):  # otherwise each epoch belongs to one of several networks
        chosen = record.selected_epoch or len(run.history)
        return run.history[min(chosen, len(run.history)) - 1].valid_accuracy
    accuracy = run.logits("valid").accuracy if "valid" in record.stages else None
    return None if accuracy is None or accuracy != accuracy else accuracy


@cache
def _defaults(kind: str) -> dict[str, Any]:
    return KINDS[kind]().flat()
