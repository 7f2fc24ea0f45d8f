"""Ensembles as a method: finished runs become one row, from their saved logits.

In: a run with `EnsembleSettings`. Its members are runs of the same folder, data and fold. Out: the parameters of its
rule, fitted on validation, in `ensemble.npz`. No picture is read and no test part is opened: the logits of valid and
test follow from the members' (`answered`).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..calibration import softmax
from ..classifier import Classifier, logits_of
from ..config import SOUPS, EnsembleSettings, NetworkSettings, Settings, override
from ..data.splits import Part
from ..data.store import Store
from ..ensembles import RULES, Rule, cross_fitted
from ..errors import ConfigError, MemberMissing, RunError
from ..hooks import Hooks
from ..origins import joined_corpora, learnt_before
from ..planes import Batch, Plane
from ..reading import reading
from ..runs import Costs, Logits, Run, Stage, find_runs

__all__ = [
    "Ensemble",
    "EnsembleMethod",
    "fitted_of",
    "is_fitted",
    "joinable",
    "joined_logits",
    "keep_fitted",
    "keep_start",
    "members_of",
    "optimism",
    "out_of_bag",
    "rule_name",
    "rule_of",
    "rule_words",
    "stated_cpus",
    "units_of",
]

FITTED = "ensemble.npz"
OPTIMISM = "optimism"
"""In the file: accuracy on validation of the rule fitted on all of it, and cross-fitted."""


SOUP, GREEDY_SOUP = SOUPS
SOUP_WORDS = {
    SOUP: "one network whose weights are the mean of the members' (a uniform soup, Wortsman et al. 2022)",
    GREEDY_SOUP: "one network whose weights are the mean of those members that helped (a greedy soup, Wortsman et al. "
    "2022)",
}
SOUP_ARRAYS = {"weights": Array("f8", "M")}
"""The content of a soup's file: the share of each member."""
PREDICTED = ("predict_peak_mb", "predict_images_per_second", "predict_batch")
"""The costs that are measured for one run of a row."""
BAG = "out_of_bag"
"""In the file, of an ensemble of bagged networks: the out-of-bag accuracy, and of how many samples."""


class Ensemble:
    """The members of a run and its rule: a `mien.classifier.Classifier`."""

    def __init__(self, run: Run) -> None:
        self.labels: tuple[str, ...] = run.data.labels
        self.runs = members_of(run)
        self._rule, self._fitted = rule_of(run), fitted_of(run)

    @cached_property
    def members(self) -> tuple[Classifier, ...]:
        """The members' classifiers; loaded when the first logits are asked for."""
        from . import find_method

        return tuple(find_method(run.settings).load(run) for run in self.runs)

    @property
    def takes(self) -> tuple[Plane, ...]:
        """All planes that some member takes."""
        return tuple({plane.name: plane for member in self.members for plane in member.takes}.values())

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """Logits `(n, K)` of all members on a batch, joined."""
        stacked = np.stack([member.logits(batch) for member in self.members]).astype(np.float64)
        return self._rule.join(self._fitted, stacked).astype(np.float32)


class EnsembleMethod:
    """The method of ensembles; see `mien.methods.Method`."""

    def check(self, settings: Settings, store: Store) -> None:
        """Refuse an unknown rule, and an ensemble without members."""
        assert isinstance(settings, EnsembleSettings)
        table = settings.ensemble
        if table.rule not in (*RULES, *SOUPS):
            raise ConfigError(f"ensemble.rule is {table.rule!r}; it must be one of {', '.join((*RULES, *SOUPS))}.")
        if not table.members:
            raise ConfigError(f"{settings.name} joins nothing. Name its members, or put a network into the recipe.")

    def check_members(self, settings: Settings, members: Sequence[Settings], store: Store) -> None:
        """Do nothing: anything that gives logits can be joined."""

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> Classifier:
        """Fit the rule on the members' logits of validation."""
        members, rule = members_of(run), rule_of(run)
        joinable(members, "test")
        part, stacked = joinable(members, "valid")
        fitted = dict(rule.fit(stacked, part.labels)) if rule.fit else {}
        crossed = cross_fitted(rule, stacked, part.labels, units_of(part), run.settings.seed)
        ways = (rule.join(fitted, stacked), crossed)
        both = [replace(part, logits=joined.astype(np.float32)).accuracy for joined in ways]
        bagged = all(_is_bagged(member) and member.settings.data == run.settings.data for member in members)
        bags = {BAG: _out_of_bag(members, training)} if bagged else {}
        keep_fitted(run, both, {**fitted, **bags})
        keep_start(run, members)
        run.update(costs=_costs(members))
        return self.load(run)

    def tidy(self, run: Run) -> None:
        """Do nothing: a fit takes moments."""

    def load(self, run: Run) -> Classifier:
        """The ensemble; its members are loaded when they are needed."""
        return Ensemble(run)

    def answered(self, run: Run, part: Stage) -> Logits | None:
        """The logits of a part, from the members'; those of validation are cross-fitted, so that they are not too
        good for a fitted rule.
        """
        rule = rule_of(run)
        first, stacked = joinable(members_of(run), part)
        if part == "valid":
            joined = cross_fitted(rule, stacked, first.labels, units_of(first), run.settings.seed)
        else:
            joined = rule.join(fitted_of(run), stacked)
        return replace(first, logits=joined.astype(np.float32))

    def costs(self, run: Run) -> Costs:
        """The sums of its members' costs, and the speed of one after the other."""
        return _costs(members_of(run))

    def work(self, run: Run) -> float:
        """Almost no operations."""
        return 0.0


def members_of(run: Run) -> tuple[Run, ...]:
    """The finished runs that an ensemble joins, in the order of its settings.

    Raises `MemberMissing` where one is not there or not finished.
    """
    settings = run.of(EnsembleSettings)
    found = [_member(run, row, seed) for row in settings.ensemble.members for seed in settings.seeds]
    for member in found:
        if not member.finished:
            raise MemberMissing(f"{member.path} is {member.record.status}, and {run.id} joins it. Finish it first.")
    return tuple(found)


def stated_cpus(run: Run) -> int:
    """The processors that the settings of its first member state; 0 if they state none or it cannot be read."""
    with suppress(RunError):
        first = members_of(run)[0].settings
        return first.train.cpus if isinstance(first, NetworkSettings) else 0
    return 0


def joined_logits(run: Run, part: str) -> NDArray[np.float64]:
    """The members' logits of a part, `(M, N, K)`; raises `MemberMissing` where they are of different samples."""
    return joinable(members_of(run), part)[1]


def keep_fitted(run: Run, both: Sequence[float], fitted: Mapping[str, NDArray[np.float64]]) -> None:
    """Write the fitted parameters, and `both` accuracies on validation: fitted on all of it, and cross-fitted."""
    with run.writing(), new_file(run.path / FITTED) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **fitted, **{OPTIMISM: np.array(both)})


def keep_start(run: Run, members: Sequence[Run]) -> None:
    """Write into `env.json` the corpora that the members' initial weights were trained on, if there are any."""
    if corpora := joined_corpora(map(learnt_before, members)):
        run.write_environment({"start": {"corpora": corpora}})


def optimism(run: Run) -> tuple[float, float]:
    """Accuracy on validation: of the rule fitted on all of it, and cross-fitted."""
    fitted, crossed = _file(run)[OPTIMISM].tolist()
    return fitted, crossed


def out_of_bag(run: Run) -> tuple[float, int] | None:
    """Accuracy on the training samples by the members that did not draw them, and how many such samples there are.

    None for an ensemble whose members were not all bagged (`train.sampling = "bootstrap"`).
    """
    found = _file(run).get(BAG)
    return None if found is None else (float(found[0]), int(found[1]))


def rule_name(run: Run) -> str:
    """The key of an ensemble's rule in `RULES`."""
    return run.of(EnsembleSettings).ensemble.rule


def rule_of(run: Run) -> Rule:
    """The rule of an ensemble of answers."""
    return RULES[rule_name(run)]


def rule_words(run: Run) -> str:
    """An ensemble or a soup in the words of the report."""
    return SOUP_WORDS.get(rule_name(run)) or rule_of(run).words


def is_fitted(run: Run) -> bool:
    """Whether its rule was fitted, or its members chosen, on validation."""
    name = rule_name(run)
    return name == GREEDY_SOUP if name in SOUPS else rule_of(run).fit is not None


_rows: dict[Path, dict[str, Settings]] = {}


def _member(run: Run, row: str, seed: int) -> Run:
    """The run of a member's row at the ensemble's fold and repetition."""
    folder, fingerprint = run.path.parent, run.data.fingerprint
    if row not in _rows.get(folder, {}):
        _rows[folder] = {one.settings.row_id(one.data.fingerprint): one.settings for one in find_runs(folder, [])}
    if row not in _rows[folder]:
        raise MemberMissing(f"{folder} has no run of {row}, which {run.id} joins.")
    settings, place = _rows[folder][row], run.settings.data
    changes = {"data.fold": place.fold, "data.repeat": place.repeat}
    path = folder / override(settings, {**changes, "seed": seed}).run_id(fingerprint)
    if not path.exists() and not settings.random:
        path = folder / override(settings, changes).run_id(fingerprint)
    if not path.exists():
        raise MemberMissing(f"{folder} has no run of {row} with seed {seed}, which {run.id} joins.")
    return Run.open(path)


def joinable(members: tuple[Run, ...], part: str) -> tuple[Logits, NDArray[np.float64]]:
    """The first member's logits of a part, and those of all, `(M, N, K)`."""
    parts = [member.logits(part) for member in members]
    for member, own in zip(members, parts, strict=True):
        if not np.array_equal(own.ids, parts[0].ids):
            raise MemberMissing(f"{members[0].id} and {member.id} were judged on different samples of {part}.")
    return parts[0], np.stack([own.logits for own in parts]).astype(np.float64)


def units_of(part: Logits) -> NDArray[Any]:
    """`(n,)`: the subject of each sample if all are known, else the sample itself."""
    return part.subjects if (part.subjects != "").all() else part.ids


def fitted_of(run: Run) -> Mapping[str, NDArray[np.float64]]:
    """The fitted parameters of an ensemble's rule, by name."""
    return {name: array for name, array in _file(run).items() if name not in (OPTIMISM, BAG)}


def _file(run: Run) -> Mapping[str, NDArray[Any]]:
    path = run.path / FITTED
    if not path.exists():
        raise RunError(f"{path} is gone. Remove the folder {run.path} and run the same command again.")
    table = run.of(EnsembleSettings).ensemble
    members = len(table.members) * table.seeds
    arrays = SOUP_ARRAYS if rule_name(run) in SOUPS else rule_of(run).arrays
    wanted = {**arrays, OPTIMISM: Array("f8", "2"), BAG: Array("f8", "2", optional=True)}
    with reading(path, RunError, f"Remove the folder {run.path} and run the same command again."):
        return read_npz(path, wanted, M=members, K=len(run.data.labels))


def _is_bagged(run: Run) -> bool:
    settings = run.settings
    return (
        isinstance(settings, NetworkSettings)
        and settings.train.sampling == "bootstrap"
        and settings.method != "boosting"  # the rounds of boosting draw samples themselves
    )


def _out_of_bag(members: tuple[Run, ...], training: Part) -> NDArray[np.float64]:
    """Accuracy by the mean probability of those members that did not draw a sample, and of how many (Breiman 1996)."""
    from ..data.batches import bootstrap
    from . import find_method

    summed, count = np.zeros((len(training), len(training.store.labels))), np.zeros(len(training), np.int64)
    for member in members:
        left = np.ones(len(training), np.bool_)
        left[bootstrap(member.settings.seed, len(training)).numpy()] = False
        logits = logits_of(find_method(member.settings).load(member), training.store, training.rows[left])
        summed[left] += softmax(logits)
        count[left] += 1
    seen = count > 0
    right = summed[seen].argmax(axis=1) == training.labels[seen]
    return np.array([right.mean() if seen.any() else np.nan, seen.sum()], np.float64)


def _costs(members: tuple[Run, ...]) -> Costs:
    own = [_measured(member, members) for member in members]
    speeds = [cost.predict_images_per_second for cost in own]
    return Costs(
        parameters=sum(cost.parameters for cost in own),
        flops=sum(cost.flops for cost in own),
        activation_bytes=max(cost.activation_bytes for cost in own),
        train_seconds=sum(cost.train_seconds for cost in own),
        train_peak_mb=max(cost.train_peak_mb for cost in own),
        predict_peak_mb=sum(cost.predict_peak_mb for cost in own),
        predict_images_per_second=1 / sum(1 / speed for speed in speeds) if all(speeds) else 0.0,
        predict_batch=own[0].predict_batch,
    )


def _measured(member: Run, members: tuple[Run, ...]) -> Costs:
    """The costs of a member; what only one run of each row is measured for, from that run where it is a member too."""
    costs = member.record.costs
    row = member.settings.row_id(member.data.fingerprint)
    alike = (one.record.costs for one in members if one.settings.row_id(one.data.fingerprint) == row)
    found = next((one for one in (costs, *alike) if one.predict_batch), costs)
    return replace(costs, **{name: getattr(found, name) for name in PREDICTED})
