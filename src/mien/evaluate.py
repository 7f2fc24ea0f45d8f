"""From trained weights to saved logits: the one place where the test part is opened, once, at the end."""

from datetime import UTC, datetime

import torch
from safetensors.torch import load_file

from .checkpoint import save_tensors, writing
from .data.splits import Fold, Part
from .errors import RunError
from .models import Network, build
from .runs import Logits, Run
from .train import predict_logits

__all__ = ["evaluate", "load_network"]


def evaluate(run: Run, network: Network, fold: Fold) -> None:
    """Save the chosen weights, then the logits of valid and test.

    Opening the test is written down before it happens, so a second opening cannot go unseen.
    """
    save_tensors(run, "model.safetensors", network.state_dict(), {"run": run.id})
    valid = _logits(network, fold.valid)
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    run.update(test_opened_at=(*run.record.test_opened_at, opened))
    test = _logits(network, fold.test.open())
    writing(run, lambda: run.write_logits({"valid": valid, "test": test}))


def load_network(run: Run, device: torch.device | str = "cpu") -> Network:
    """The network of a finished run, in evaluation mode; raises `RunError` where its weights are missing."""
    path = run.path / "model.safetensors"
    if not path.exists():
        raise RunError(f"{run.path} has no weights yet. Finish the run first.")
    network = build(run.settings.model, classes=len(run.data.labels), size=run.data.crop.size)
    network.load_state_dict(load_file(path))
    return network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _logits(network: Network, part: Part) -> Logits:
    return Logits.of(part, predict_logits(network, part.images()))
