"""What nobody should do, to show what it yields: choose the epoch on the test.

The hook keeps the weights of every epoch, judges each on the test, and writes `peeking.csv`. No figure of the run is
taken from there.
"""

import shutil
from collections.abc import Callable

from ..atomic import write_text
from ..checkpoint import load_weights
from ..classifier import Classifier
from ..config import NetworkSettings
from ..data.splits import Part
from ..metrics import scores
from ..runs import EPOCHS, Run
from .network import TrainedNetwork

__all__ = ["Peeking"]


class Peeking:
    """See `mien.hooks.Hook`."""

    keeps_epochs = True

    def lacks(self, run: Run) -> bool:
        """A network that nobody peeked at is trained again: the same weights, and every epoch kept."""
        return run.settings.method == NetworkSettings.KIND and not run.peeking

    def tested(self, run: Run, classifier: Classifier, test: Callable[[], Part]) -> None:
        """Judge every epoch on the test, and remove its weights."""
        if not isinstance(classifier, TrainedNetwork) or not (run.path / EPOCHS).is_dir():
            return
        part = test()
        batch, lines = part.read(), ["epoch,accuracy,uar,macro_f1"]
        for path in sorted((run.path / EPOCHS).glob("*.safetensors")):
            load_weights(run, classifier.network, path)
            seen = scores(classifier.logits(batch), part.labels)
            lines.append(f"{int(path.stem)},{seen.accuracy!r},{seen.uar!r},{seen.macro_f1!r}")
        with run.writing():
            write_text(run.path / "peeking.csv", "\n".join(lines) + "\n")
        load_weights(run, classifier.network)
        shutil.rmtree(run.path / EPOCHS)
