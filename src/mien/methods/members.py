"""What each network of a run that has several says of validation, `members.npz`: how differently they err.

In: a run of boosting or snapshots, when it is fitted. Out: logits `(M, n, K)` of its M networks on validation.
"""

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..committee import Joined
from ..data.splits import Part
from ..errors import RunError
from ..inference import predict_logits
from ..models import Network
from ..planes import Batch
from ..reading import reading
from ..runs import Run

__all__ = ["keep_members", "member_logits"]

FILE = "members.npz"
ARRAYS = {"logits": Array("f4", "M n K")}


def keep_members(run: Run, network: Joined, valid: Part) -> None:
    """Write what each network says of validation, whole or not at all."""
    batch = valid.read([plane.name for plane in network.takes])
    found = [_logits(member, batch) for member in network.networks]
    with run.writing(), new_file(run.path / FILE) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, logits=np.stack(found))


def _logits(network: Network, batch: Batch) -> NDArray[np.float32]:
    return predict_logits(network, *(batch[plane.name] for plane in network.takes))


def member_logits(run: Run) -> NDArray[np.float64] | None:
    """Logits `(M, n, K)` of a run's networks on validation; None for a run of one network.

    Raises `RunError` where the file is damaged.
    """
    path = run.path / FILE
    if run.settings.method == run.settings.KIND or not path.exists():
        return None
    with reading(path, RunError, f"Remove the folder {run.path} and run the same command again."):
        found = read_npz(path, ARRAYS, n=run.data.counts["valid"], K=len(run.data.labels))["logits"]
        if not np.isfinite(found).all():
            raise ValueError("a logit is not a finite number")
    return np.asarray(found, np.float64)
