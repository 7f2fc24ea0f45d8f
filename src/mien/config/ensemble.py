"""The table of an ensemble: which runs are joined, and how."""

from dataclasses import dataclass
from typing import Annotated

from .tables import Table
from .within import Within

__all__ = ["SOUPS", "EnsembleTable"]

SOUPS = ("soup", "greedy-soup")
"""Values of `ensemble.rule` that average weights, and no answers."""


@dataclass(frozen=True, kw_only=True)
class EnsembleTable(Table):
    """Which runs are joined, and how."""

    TABLE = "ensemble"

    name: str = ""
    """How the row is called; "" is the rule and the number of members."""
    rule: str = "mean"
    """A key of `mien.ensembles.RULES`: mean, logits, vote, weighted, greedy or stacking; or `soup` or `greedy-soup`,
    which average the weights of runs of one start to one network."""
    members: tuple[str, ...] = ()
    """The rows that are joined, each by the id of its run of seed 0, fold 0 and repetition 0. A recipe names networks,
    or rows of its own; () is all of its rows that are no ensemble."""
    seeds: Annotated[int, Within(1, 100)] = 1
    """Runs of each row: the ensemble of seed s joins the seeds from s times this on."""
