"""The record of a search: `tuning.json` in the folder of its trials. Reports read it; a search never does."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..atomic import write_json
from ..errors import RunError
from ..reading import Count, Share, Text, from_json, read_bytes, reading

__all__ = ["FOLDER", "Trial", "Tuning", "find_tunings"]

FOLDER = "tuning"
"""Beside the run folders: a folder for each search, with its trials."""
FILE = "tuning.json"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial: a run that was never tested."""

    number: Count
    run: Text
    values: Mapping[str, Any]
    """Its settings."""
    status: Literal["complete", "pruned", "failed"]
    score: Share
    """Accuracy on valid of the chosen epoch, or of the best one until it was stopped; 0 if it failed."""
    history: tuple[Share, ...]
    """Accuracy on valid, an epoch each, until it was stopped."""
    reason: str = ""
    """Why it failed, a sentence."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A search and its results."""

    recipe: Text
    space: tuple[str, ...]
    """The axes of the search, in words."""
    seed: Count
    """Seed of all trials, and of the sampler."""
    epochs: Count
    """Most epochs that a trial had."""
    valid: Count
    """Faces that the trials were judged on."""
    trials: tuple[Trial, ...]
    chosen: Count
    """Number of the best trial."""
    openings: Count
    """How often trials opened the test; 0 unless somebody else used their folders."""
    importance: Mapping[str, Share]
    """Share of each setting in the variation of results, by fANOVA; empty if unknown."""
    runs: tuple[Text, ...]
    """The runs that trained the chosen settings anew, and the recipe's own beside them: they alone open the test."""
    seeds: tuple[Count, ...]
    """Seeds of these runs."""

    @property
    def best(self) -> Trial:
        """The trial that was chosen."""
        return next(trial for trial in self.trials if trial.number == self.chosen)

    def count(self, status: str) -> int:
        """Number of trials with this ending."""
        return sum(trial.status == status for trial in self.trials)

    def __post_init__(self) -> None:
        if self.chosen not in [trial.number for trial in self.trials]:
            raise ValueError("the chosen trial is not among the trials")

    def write(self, folder: Path) -> None:
        """Write it into the folder of the trials."""
        try:
            write_json(folder / FILE, asdict(self))
        except OSError as error:
            raise RunError(f"{folder} cannot be written ({error.strerror}). Pass another --runs.") from None


def find_tunings(runs: Path, left_out: list[str] | None = None) -> list[Tuning]:
    """The searches in a folder of runs, by name. A damaged one is left out, and its sentence goes to `left_out`."""
    found = []
    for path in sorted((runs / FOLDER).glob(f"*/{FILE}")):
        try:
            with reading(path, RunError, "The same `mien tune` again writes it anew."):
                found.append(from_json(read_bytes(path), Tuning))
        except RunError as error:
            if left_out is not None:
                left_out.append(str(error))
    return found
