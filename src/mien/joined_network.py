"""The networks of an ensemble as one network (`mien.committee`), for the export to one file.

In: a finished run of an ensemble whose members are networks. Out: a `Joined` module for `mien.to_onnx`.
"""

import torch

from .committee import Joined
from .config import NetworkSettings
from .errors import RunError
from .methods.ensemble import fitted_of, members_of, rule_of
from .methods.network import load_network
from .runs import Run

__all__ = ["joined_network"]


def joined_network(run: Run) -> Joined:
    """The networks and the rule of a finished ensemble; raises `RunError` if a member is not a network."""
    members = members_of(run)
    for member in members:
        if not isinstance(member.settings, NetworkSettings):
            raise RunError(
                f"{run.id} joins {member.id}, which is no network, so it cannot be exported. Join networks alone."
            )
    fitted = {name: torch.from_numpy(array) for name, array in fitted_of(run).items()}
    joined = Joined([load_network(member) for member in members], rule_of(run).graph, fitted)
    return joined.eval()
