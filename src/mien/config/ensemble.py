"""The settings of an ensemble: which runs are joined, and how."""

from dataclasses import dataclass
from typing import Annotated

from .tables import Table
from .within import Within

__all__ = ["SOUPS", "EnsembleTable"]

SOUPS = ("soup", "greedy-soup")
"""Values of `ensemble.rule` that average weights instead of answers."""


@dataclass(frozen=True, kw_only=True)
class EnsembleTable(Table):
    """Which runs are joined, and how."""

    TABLE = "ensemble"

    name: str = ""
    """Name of the row; "" is the rule and the number of members."""
    rule: str = "mean"
    """A key of `mien.ensembles.RULES`: mean, logits, vote, weighted, greedy or stacking; or `soup` or `greedy-soup`,
    which average the weights of runs with the same start into one network.
    """
    members: tuple[str, ...] = ()
    """The rows that are joined, each by the id of its run of seed 0, fold 0 and repetition 0. A recipe names
    networks, or its single rows; () means all rows that are not ensembles.
    """
    seeds: Annotated[int, Within(1, 100)] = 1
    """Number of runs of each row: the ensemble of seed s joins as many seeds, from s times this number on."""
