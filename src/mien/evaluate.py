"""From trained weights to saved logits: the one place where the test part is opened, once, at the end.

`Trained` is the network of a finished run as a `mien.classifier.Classifier`, for what is measured afterwards.
"""

import os
import shutil
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray

from .atomic import write_text
from .checkpoint import load_weights
from .crop import CropSpec
from .data.splits import Fold, Part
from .errors import ConfigError, RunError
from .metrics import scores
from .models import Network, build
from .planes import FACE
from .runs import EPOCHS, Logits, Run
from .train import placed, predict_logits

__all__ = ["Trained", "evaluate", "load_network", "open_for", "peek", "pick_device"]


class Trained:
    """The network of a finished run, on the device that `pick_device` names: a `mien.classifier.Classifier`."""

    def __init__(self, run: Run) -> None:
        """Load it; raises `RunError` where the run is not finished, or has no weights."""
        self.labels: tuple[str, ...] = run.data.labels
        self.crop: CropSpec = run.data.crop
        self.network: Network = load_network(run, pick_device())

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits `(n, K)` of the run's own crops `(n, H, W, C)`."""
        return predict_logits(self.network, images)


def evaluate(run: Run, network: Network, fold: Fold) -> None:
    """Save the logits of valid and test.

    Opening the test is written down before it happens, so a second opening cannot go unseen.
    """
    valid = _logits(network, fold.valid)
    test = _logits(network, _open(run, fold))
    run.write_logits({"valid": valid, "test": test})


def peek(run: Run, network: Network, fold: Fold) -> None:
    """What nobody should do, to show what it yields: judge every epoch on the test, into `peeking.csv`.

    Needs the weights of every epoch (`train(..., keep_epochs=True)`) and removes them.
    """
    test = _open(run, fold)
    lines = ["epoch,accuracy,uar,macro_f1"]
    for path in sorted((run.path / EPOCHS).glob("*.safetensors")):
        load_weights(run, network, path)
        seen = scores(predict_logits(network, test.read()[FACE]), test.labels)
        lines.append(f"{int(path.stem)},{seen.accuracy!r},{seen.uar!r},{seen.macro_f1!r}")
    with run.writing():
        write_text(run.path / "peeking.csv", "\n".join(lines) + "\n")
    shutil.rmtree(run.path / EPOCHS)


def load_network(run: Run, device: torch.device | str = "cpu") -> Network:
    """The network of a run, in evaluation mode; raises `RunError` where it is not finished, or has no weights."""
    if not run.finished:
        raise RunError(f"{run.path} is not finished: the command that started it goes on with it.")
    network = build(run.settings.model, classes=len(run.data.labels), size=run.data.crop.size)
    load_weights(run, network)
    return placed(network, device).eval()


def pick_device() -> torch.device:
    """A GPU where there is one, else the processor; `MIEN_DEVICE` overrules: `ConfigError` where it names none."""
    chosen = os.environ.get("MIEN_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:  # of a torch without CUDA
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"MIEN_DEVICE is {chosen!r} and cannot be used ({reason}). It is a device such as cpu, cuda or cuda:1."
        ) from None


def open_for(purpose: str, fold: Fold) -> Part:
    """Open the test part once more, to measure what was made of a finished run; the store's log says so before."""
    fold.train.store.log_opening(_now(), purpose)
    return fold.test.open()


def _open(run: Run, fold: Fold) -> Part:
    """Break the seal, and write down when, in the run and in the store, before anything is seen."""
    opened = _now()
    run.update(test_opened_at=(*run.record.test_opened_at, opened))
    fold.train.store.log_opening(opened, run.id)
    return fold.test.open()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _logits(network: Network, part: Part) -> Logits:
    return Logits.of(part, predict_logits(network, part.read()[FACE]))
