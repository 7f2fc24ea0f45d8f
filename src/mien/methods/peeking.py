"""Shows the effect of a common mistake: choosing the epoch on the test.

The hook keeps the weights of every epoch, judges each on the test, and writes `peeking.csv` and, as folds are
pooled by their counts, `peeking.npz`. No figure of the run is taken from there.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..checkpoint import load_weights
from ..classifier import Classifier, logits_of
from ..config import NetworkSettings
from ..data.splits import Part
from ..metrics import Predicted, metric
from ..runs import EPOCHS, Peek, Run
from ..words import listed
from .network import TrainedNetwork

__all__ = ["Peeking", "passed_over"]


class Peeking:
    """See `mien.hooks.Hook`."""

    keeps_epochs = True

    def lacks(self, run: Run) -> bool:
        """A network without these results is trained again, with the same weights, and every epoch is kept."""
        return _has_epochs(run) and not run.peeking

    def tested(self, run: Run, classifier: Classifier, test: Callable[[], Part]) -> None:
        """Judge every epoch on the test, and remove its weights."""
        if not isinstance(classifier, TrainedNetwork) or not (run.path / EPOCHS).is_dir():
            return
        part = test()
        lines, counts = list[Peek](), list[NDArray[np.int64]]()
        for path in sorted((run.path / EPOCHS).glob("*.safetensors")):
            load_weights(run, classifier.network, path)
            seen = Predicted(logits_of(classifier, part.store, part.rows), part.labels)
            figures = {key: metric(key).on(seen) for key in ("accuracy", "uar", "macro_f1")}
            lines.append(Peek(epoch=int(path.stem), **figures))
            counts.append(seen.confusion)
        run.write_peeking(lines, np.array(counts))
        load_weights(run, classifier.network)
        shutil.rmtree(run.path / EPOCHS)


def passed_over(runs: Sequence[Run]) -> str:
    """How many of the runs have no epochs to judge, in a sentence; empty where all have."""
    others = Counter(run.settings.method for run in runs if not _has_epochs(run))
    if not others:
        return ""
    kinds = listed([f"{count} of {method}" for method, count in sorted(others.items())])
    return f"--show-peeking judges every epoch of a single network, so it leaves out {kinds}."


def _has_epochs(run: Run) -> bool:
    """Whether one network answers, after each epoch: not of boosting, snapshots or ensembles, nor of features."""
    return run.settings.method == NetworkSettings.KIND
