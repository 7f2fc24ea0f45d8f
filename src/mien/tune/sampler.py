"""Proposes the next trials: the tree-structured Parzen estimator of Optuna, in memory, rebuilt from earlier results.

It proposes whole batches, and takes results in the order of the trials. So its proposals depend on the seed and the
results, and not on which trial ended first.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from .record import Trial
from .space import Axis

__all__ = ["BATCH", "Sampler"]

BATCH = 4
"""Number of trials in a batch."""
AT_RANDOM = 8
"""First trials, drawn at random."""
FEWEST_FOR_IMPORTANCE = 8
"""Complete trials."""


class Sampler:
    """A study of Optuna's."""

    def __init__(self, space: Sequence[Axis], seed: int, first: Mapping[str, Any]) -> None:
        """`first` is tried first, if the space contains it."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = tuple(space)
        self._kinds = {axis.key: _distribution(axis) for axis in space}
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=AT_RANDOM, constant_liar=True),
            pruner=optuna.pruners.NopPruner(),
        )
        if all(axis.holds(first[axis.key]) for axis in space):
            self._study.enqueue_trial({axis.key: _label(axis, first[axis.key]) for axis in space})
        self._asked: list[optuna.trial.Trial] = []

    def ask(self) -> list[dict[str, Any]]:
        """The settings of the next batch."""
        self._asked = [self._study.ask(self._kinds) for _ in range(BATCH)]
        return [{axis.key: _value(axis, trial.params[axis.key]) for axis in self._space} for trial in self._asked]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take the results of the trials of this batch, in their order. Fewer than were proposed end the search."""
        for asked, trial in zip(self._asked, trials, strict=False):
            for epoch, accuracy in enumerate(trial.history, start=1):
                asked.report(accuracy, epoch)
            if trial.status == "complete":
                self._study.tell(asked, trial.score)
            else:
                state = TrialState.PRUNED if trial.status == "pruned" else TrialState.FAIL
                self._study.tell(asked, state=state)

    def importance(self) -> dict[str, float]:
        """The share of each setting in the variation between complete trials (fANOVA); empty if there are too few."""
        done = [trial.value for trial in self._study.get_trials(states=(TrialState.COMPLETE,))]
        if len(self._space) < 2 or len(done) < FEWEST_FOR_IMPORTANCE or len(set(done)) < 2:
            return {}
        found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {key: float(share) for key, share in found.items() if math.isfinite(share)}


def _distribution(axis: Axis) -> BaseDistribution:
    if axis.choices:
        return CategoricalDistribution([_label(axis, value) for value in axis.choices])
    low, high, log = axis.within.low, axis.within.high, axis.within.log
    return IntDistribution(int(low), int(high), log=log) if axis.whole else FloatDistribution(low, high, log=log)


def _label(axis: Axis, value: Any) -> Any:
    """A choice as Optuna takes it: by its place, as it knows no lists."""
    return axis.choices.index(value) if axis.choices else value


def _value(axis: Axis, label: Any) -> Any:
    return axis.choices[label] if axis.choices else axis.rounded(label)
