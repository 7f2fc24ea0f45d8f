"""From trained weights to saved logits: the one place where the test part is opened, once, at the end."""

import shutil
from datetime import UTC, datetime

import torch

from .atomic import write_text
from .checkpoint import load_weights
from .data.splits import Fold, Part
from .errors import RunError
from .metrics import scores
from .models import Network, build
from .runs import EPOCHS, Logits, Run
from .train import placed, predict_logits

__all__ = ["evaluate", "load_network", "peek"]


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
        seen = scores(predict_logits(network, test.images()), test.labels)
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


def _open(run: Run, fold: Fold) -> Part:
    """Break the seal, and write down when, in the run and in the store, before anything is seen."""
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    run.update(test_opened_at=(*run.record.test_opened_at, opened))
    fold.train.store.log_opening(opened, run.id)
    return fold.test.open()


def _logits(network: Network, part: Part) -> Logits:
    return Logits.of(part, predict_logits(network, part.images()))
