"""The predictions of each network of a run with several networks on validation, `members.npz`, for their diversity.

In: a run of boosting or snapshots, when it is fitted. Out: logits `(M, n, K)` of its M networks on validation. Nothing
here imports torch: model files are judged where there is none.
"""

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..errors import RunError
from ..reading import reading
from ..runs import Run

__all__ = ["keep_members", "member_logits"]

FILE = "members.npz"
ARRAYS = {"logits": Array("f4", "M n K")}


def keep_members(run: Run, logits: NDArray[np.float32]) -> None:
    """Write the logits of each network on validation, `(M, n, K)`, whole or not at all."""
    with run.writing(), new_file(run.path / FILE) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, logits=logits)


def member_logits(run: Run) -> NDArray[np.float64] | None:
    """Logits `(M, n, K)` of a run's networks on validation; None for a run of one network.

    Raises `RunError` if the file is damaged.
    """
    path = run.path / FILE
    if run.settings.method == run.settings.KIND or not path.exists():
        return None
    with reading(path, RunError, f"Remove the folder {run.path} and run the same command again."):
        found = read_npz(path, ARRAYS, n=run.data.counts["valid"], K=len(run.data.labels))["logits"]
        if not np.isfinite(found).all():
            raise ValueError("a logit is not a finite number")
    return np.asarray(found, np.float64)
