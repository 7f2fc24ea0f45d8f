"""Compares each ensemble with its members: the gain, the costs, and how different the members' errors are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ensembles.diversity import disagreement, q_statistic
from ..methods.ensemble import is_fitted, joined_logits, optimism, out_of_bag, rule_words
from ..methods.members import member_logits
from ..rows import Row
from .costs import mean_cost, times
from .select import accuracy, valid_accuracy

__all__ = ["Inside", "Joined", "best_member", "inside_rows", "joined_rows", "members_among"]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """One ensemble; accuracies and costs are means over its replicates, shares of 1."""

    name: str
    rule: str
    """In words."""
    members: tuple[str, ...]
    """The rows of this comparison that it joins."""
    count: int
    """Runs that one ensemble joins."""
    accuracy: float
    mean_member: float
    """Accuracy of its members' rows, averaged."""
    best_member: str
    """The row that was most accurate on validation."""
    best_accuracy: float
    disagreement: float
    """Share of test faces on which two members predict different classes."""
    q: float
    """Yule's Q of who is right; see `mien.ensembles.diversity`."""
    soup: bool
    """Whether weights are averaged instead of answers."""
    fitted: bool
    """Whether its rule was fitted, or its members chosen, on validation."""
    optimism: float
    """Validation accuracy of the rule that was fitted on the whole part, minus the cross-fitted accuracy."""
    out_of_bag: float
    """Accuracy on training samples by members that did not draw them; nan where members were not bagged."""
    parameters: float
    """Relative to those of the best member; nan if either is not known."""
    seconds: float
    """Time of a prediction, relative to that of the best member; nan if either was not measured."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """One row that has several networks in each run: boosting, snapshots. Means over its runs, all on validation."""

    name: str
    count: float
    """Networks."""
    accuracy: float
    """Accuracy of all networks together."""
    mean_member: float
    best_member: float
    disagreement: float
    q: float


def inside_rows(rows: Sequence[Row]) -> tuple[Inside, ...]:
    """The rows whose runs have several networks."""
    return tuple(found for row in rows if (found := _inside(row)) is not None)


def _inside(row: Row) -> Inside | None:
    kept = [(logits, run.logits("valid")) for run in row.runs if (logits := member_logits(run)) is not None]
    if not kept:
        return None
    own = [(logits.argmax(axis=2) == part.labels).mean(axis=1) for logits, part in kept]
    return Inside(
        name=row.name,
        count=float(np.mean([len(one) for one in own])),
        accuracy=float(np.mean([part.accuracy for _, part in kept])),
        mean_member=float(np.mean([one.mean() for one in own])),
        best_member=float(np.mean([one.max() for one in own])),
        disagreement=float(np.mean([disagreement(logits) for logits, _ in kept])),
        q=float(np.mean([q_statistic(logits, part.labels) for logits, part in kept])),
    )


def joined_rows(rows: Sequence[Row]) -> tuple[Joined, ...]:
    """The ensembles among the rows whose members are rows too."""
    return tuple(_joined(row, rows) for row in rows if members_among(row, rows))


def members_among(row: Row, rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows that an ensemble joins; empty for a row that joins none."""
    if not row.runs or not row.runs[0].settings.JOINS:
        return ()
    wanted = set(row.runs[0].settings.flat()["ensemble.members"])
    return tuple(
        one for one in rows if one.runs and one.runs[0].settings.row_id(one.runs[0].data.fingerprint) in wanted
    )


def best_member(row: Row, rows: Sequence[Row]) -> Row | None:
    """The member with the highest accuracy on validation; None for a row that joins none of these."""
    return max(members_among(row, rows), key=valid_accuracy, default=None)


def _joined(row: Row, rows: Sequence[Row]) -> Joined:
    members, best = members_among(row, rows), best_member(row, rows)
    assert best is not None
    stacked = [(joined_logits(run, "test"), run.logits("test").labels) for run in row.runs]
    both = np.array([optimism(run) for run in row.runs])
    return Joined(
        name=row.name,
        rule=rule_words(row.runs[0]),
        members=tuple(one.name for one in members),
        count=len(stacked[0][0]),
        accuracy=accuracy(row),
        mean_member=float(np.mean([accuracy(one) for one in members])),
        best_member=best.name,
        best_accuracy=accuracy(best),
        disagreement=float(np.mean([disagreement(logits) for logits, _ in stacked])),
        q=float(np.mean([q_statistic(logits, labels) for logits, labels in stacked])),
        soup=row.runs[0].settings.method == "soup",
        fitted=is_fitted(row.runs[0]),
        optimism=float((both[:, 0] - both[:, 1]).mean()),
        out_of_bag=float(np.mean([found[0] if (found := out_of_bag(run)) else np.nan for run in row.runs])),
        parameters=times(mean_cost(row, "parameters"), mean_cost(best, "parameters")),
        seconds=times(*(mean_cost(one, "predict_images_per_second") for one in (best, row))),
    )
