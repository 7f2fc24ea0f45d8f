"""The results of the rounds of boosting, `boosting.npz` in a run's folder, and the networks of the rounds as one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..committee import Joined
from ..config import NetworkSettings
from ..ensembles.samme import weighted_votes
from ..errors import RunError
from ..models import Network
from ..reading import reading
from ..runs import Run

__all__ = ["ROUNDS", "Rounds", "join", "rounds_of"]

ROUNDS = "boosting.npz"
ARRAYS = {"alphas": Array("f8", "M"), "errors": Array("f8", "E"), "weights": Array("f8", "n")}

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """The results of SAMME for the rounds so far; see `mien.ensembles.samme`."""

    alphas: Floats
    """`(M,)` weights of the members' votes."""
    errors: Floats
    """`(E,)` weighted error of each on the training part; one more if the last network was at chance and was
    dropped.
    """
    weights: Floats
    """`(n,)` of the training samples, for the next round."""

    @property
    def ended(self) -> bool:
        """Whether the last network made no error, or was dropped; see `mien.ensembles.samme.boost`."""
        return len(self.errors) > len(self.alphas) or 0.0 in self.errors

    def save(self, run: Run) -> None:
        """Write them whole or not at all."""
        with run.writing(), new_file(run.path / ROUNDS) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: getattr(self, name) for name in ARRAYS})


def rounds_of(run: Run) -> Rounds:
    """The results of SAMME for the rounds of a run; raises `RunError` if they are missing or damaged."""
    path, remedy = run.path / ROUNDS, f"Remove the folder {run.path} and run the same command again."
    if not path.exists():
        raise RunError(f"{path} is gone. {remedy}")
    with reading(path, RunError, remedy):
        found = Rounds(**read_npz(path, ARRAYS, n=run.data.counts["train"]))
        most = run.of(NetworkSettings).boosting.rounds
        if not 1 <= len(found.alphas) <= most or not all(np.isfinite(found.alphas)):
            raise ValueError(f"it has {len(found.alphas)} rounds, expected 1 to {most} with finite votes")
    return found


def join(members: Sequence[Network], rounds: Rounds) -> Joined:
    """The networks of the rounds as one, which vote."""
    return Joined(members, weighted_votes, {"alphas": torch.from_numpy(rounds.alphas)})
