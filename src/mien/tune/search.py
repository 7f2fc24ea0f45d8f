"""The search: batches of trials, each a run folder with the stages fit and valid. The test is not touched.

Nothing else is kept. A search that is started again gets the same proposals from the sampler, finds finished trials in
their run folders, and continues with the others. So it ends with the same trials, even if it was killed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import Recipe, Settings
from ..config.parsing import kinds
from ..config.recipe import takes
from ..data.splits import Fold, divide
from ..data.store import Store
from ..engines import Report, Update
from ..errors import ConfigError, RunError
from ..hooks import Progress
from ..methods import find_method
from ..origins import with_start
from ..runs import Run, Stage
from ..shown import first_line
from ..words import listed
from .pruning import stopping_epoch
from .record import FOLDER, Trial
from .sampler import Sampler
from .space import Axis, axis_key, read_axis

__all__ = ["STAGES", "Finish", "Plan", "Search", "search"]

STAGES: tuple[Stage, ...] = ("fit", "valid")
"""The stages of a trial."""
SEED = "seed"
SCHEDULE = ("train.epochs", "train.sizes", "train.snapshots", "optimizer.schedule", "optimizer.warmup_epochs")
"""Settings of the schedule. Trials that differ in them are not compared with each other for pruning."""

Finish = Callable[[Sequence[Run], Report], None]
"""Does `STAGES` of runs on an engine, and tells of them; False as an answer to progress stops a run."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a search: the space, the data and the number of trials."""

    recipe: Recipe
    """One cell: a grid of one value each, and at most one row, which is then what is searched. Its seed is that of all
    trials and of the sampler."""
    space: tuple[Axis, ...]
    trials: int
    store: Store
    runs: Path
    """Folder of the run folders; trials get one of their own in it."""
    prune: bool = True
    """Whether trials that fall behind are stopped."""

    @classmethod
    def of(cls, recipe: Recipe, over: Sequence[str], *, row: str = "", **others: Any) -> "Plan":
        """The plan of a recipe and the words of `--over`; `row` names the single row whose settings are searched.

        Raises `ConfigError` where a setting cannot be searched, or where the recipe has several values of another.
        """
        row = row or _row_of(recipe, [axis_key(text) for text in over])
        if row and row not in recipe.rows:
            rows = listed(recipe.rows) or "none"
            raise ConfigError(f"The recipe {recipe.name} has no single row {first_line(row)!r}; its rows are {rows}.")
        settings = recipe.rows[row] if row else recipe.settings
        if settings.JOINS:
            raise ConfigError(f"{row} joins other rows, which no trial has. Search a row that is fitted itself.")
        space = tuple(read_axis(text, recipe, settings) for text in over)
        searched = {axis.key for axis in space}
        for key, values in recipe.grid.items():
            followed = takes(settings, key) if row else key in kinds()
            if len(values) > 1 and key not in (*searched, SEED) and followed:
                raise ConfigError(
                    f"The recipe {recipe.name} has {len(values)} values of {key} ({listed(values)}). Search them with "
                    f"--over {key}, or choose one with --set {key}={values[0]}."
                )
        single = replace(
            recipe, rows={row: settings} if row else {}, grid={key: values[:1] for key, values in recipe.grid.items()}
        )
        return cls(recipe=single, space=space, **others)

    @cached_property
    def base(self) -> Settings:
        """The recipe's own settings, resolved."""
        return self.settings({})

    def __post_init__(self) -> None:
        if self.base.data.protocol != "holdout":
            raise ConfigError(
                f"data.protocol is {self.base.data.protocol}: every face is tested in some fold, so settings chosen on "
                "any of them have seen the test. Tune with data.protocol=holdout."
            )
        twice = [axis.key for axis in self.space]
        if len(set(twice)) < len(twice) or not twice:
            raise ConfigError("Name each setting to search once: --over KEY, or more of them.")

    @property
    def folder(self) -> Path:
        """Of the trials. The same search finds it again; another number of trials continues it."""
        facts = [self.base.run_id(self.store.meta.sha256), *map(str, self.space)]
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]
        return self.runs / FOLDER / f"{self.base.name}-{name}"

    @property
    def own(self) -> dict[str, Any]:
        """The recipe's own value on each axis."""
        flat = self.base.flat()
        return {axis.key: flat[axis.key] for axis in self.space}

    def settings(self, values: Mapping[str, Any], seed: int | None = None) -> Settings:
        """The recipe's settings with these values, and with another seed where one is given."""
        again = {} if seed is None else {SEED: seed}
        cells = tuple(self.recipe.changed({**values, **again}).cells())
        found = cells[-1] if self.recipe.rows else cells[0]
        return with_start(found.resolved(self.store.meta.crop))


@dataclass(frozen=True, kw_only=True)
class Search:
    """The result of a search."""

    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    openings: int
    """Openings of the test by trials."""

    @property
    def best(self) -> Trial:
        """The complete trial with the highest accuracy on valid, of equals the first."""
        done = [trial for trial in self.trials if trial.status == "complete"]
        if not done:
            reason = next((trial.reason for trial in self.trials if trial.reason), "")
            raise RunError(f"None of {len(self.trials)} trials is complete. {reason}".strip())
        return max(done, key=lambda trial: (trial.score, -trial.number))


def search(plan: Plan, finish: Finish, on_batch: Callable[[Sequence[Trial]], None] = lambda trials: None) -> Search:
    """Run the trials, batch by batch; `on_batch` is called with all trials after each batch.

    Raises `KeyboardInterrupt` as an engine does: the same search goes on from there.
    """
    sampler, fold = Sampler(plan.space, plan.base.seed, plan.own), divide(plan.store, plan.base.data)
    trials: list[Trial] = []
    while len(trials) < plan.trials:
        batch = _Batch(plan, fold, trials, sampler.ask()[: plan.trials - len(trials)])
        batch.finish(finish)
        trials += batch.trials
        sampler.tell(batch.trials)
        on_batch(trials)
    runs = (Run.open(plan.folder / trial.run) for trial in trials if trial.run)
    opened = sum(len(run.record.test_opened_at) for run in runs)
    return Search(trials=tuple(trials), importance=sampler.importance(), openings=opened)


class _Batch:
    """Trials of one batch, which are not compared with each other for pruning."""

    def __init__(self, plan: Plan, fold: Fold, before: Sequence[Trial], asked: Sequence[Mapping[str, Any]]) -> None:
        self._plan, self._first, self._asked = plan, len(before), asked
        self._refused: dict[int, str] = {}
        self._runs = [self._planned(place, values, fold) for place, values in enumerate(asked)]
        done = [trial for trial in before if trial.status == "complete" and plan.prune]
        self._earlier = [(_schedule(plan.settings(trial.values)), trial.history) for trial in done]
        self._epochs: dict[str, int] = {}

    def finish(self, finish: Finish) -> None:
        """Finish the rest of the batch."""
        left = {run.id: run for run in self._runs if run is not None and self._has_to_do(run)}
        if left:
            finish(list(left.values()), self._report)

    @property
    def trials(self) -> list[Trial]:
        """How each ended."""
        return [self._trial(place, run) for place, run in enumerate(self._runs)]

    def _planned(self, place: int, values: Mapping[str, Any], fold: Fold) -> Run | None:
        """The run of a trial; None where no method can have its settings."""
        settings = self._plan.settings(values)
        run = Run.outline(self._plan.folder, settings, self._plan.store, fold)
        try:
            if not run.path.exists():
                find_method(settings).check(settings, self._plan.store)
        except ConfigError as error:
            self._refused[place] = str(error)
            return None
        run.make()
        return run

    def _has_to_do(self, run: Run) -> bool:
        if run.has("valid") or run.record.status == "failed" or self._stopped(run):
            return False
        if run.record.status == "pruned":  # by another rule, or by hand
            run.update(status="running", reason="")
        return True

    def _report(self, run: Run, update: Update) -> bool | None:
        """Stop a trial that has fallen behind, as soon as its history shows it."""
        if not isinstance(update, Progress) or update.epoch == self._epochs.get(run.id):
            return None
        self._epochs[run.id] = update.epoch
        return not self._stopped(run)

    def _stopped(self, run: Run) -> int:
        """The epoch at which a trial is stopped, or 0: never, if its epochs belong to several networks."""
        epochs = run.settings.flat().get("train.epochs", 0) if run.settings.method == run.settings.KIND else 0
        return stopping_epoch(_accuracies(run), self._comparable(run), epochs) if epochs else 0

    def _comparable(self, run: Run) -> list[Sequence[float]]:
        schedule = _schedule(run.settings)
        return [history for own, history in self._earlier if own == schedule]

    def _trial(self, place: int, run: Run | None) -> Trial:
        facts: dict[str, Any] = {"number": self._first + place, "values": dict(self._asked[place])}
        if run is None:
            return Trial(run="", status="failed", score=0.0, history=(), reason=self._refused[place], **facts)
        history, record = _accuracies(run), run.record
        if stop := self._stopped(run):
            return Trial(run=run.id, status="pruned", score=max(history[:stop]), history=history[:stop], **facts)
        if run.has("valid"):
            return Trial(run=run.id, status="complete", score=run.logits("valid").accuracy, history=history, **facts)
        return Trial(run=run.id, status="failed", score=0.0, history=history, reason=record.reason, **facts)


def _schedule(settings: Settings) -> tuple[Any, ...]:
    flat = settings.flat()
    return tuple(flat.get(key) for key in SCHEDULE)


def _row_of(recipe: Recipe, keys: Sequence[str]) -> str:
    """The single row that has all these settings; empty where they are those of networks.

    Raises `ConfigError` where several rows have them, or none has all.
    """
    recipe.check_factors(keys)
    if all(key in kinds() for key in keys):
        return ""
    rows = [name for name, row in recipe.rows.items() if all(key in kinds(type(row)) for key in keys)]
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise ConfigError(f"No row of the recipe {recipe.name} has all of {listed(keys)}. Search one method at a time.")
    raise ConfigError(f"The recipe {recipe.name} has {len(rows)} such rows: {listed(rows)}. Name one with --row.")


def _accuracies(run: Run) -> tuple[float, ...]:
    """On valid, an epoch each, as the folder has them now."""
    return tuple(line.valid_accuracy for line in Run.open(run.path).history)
