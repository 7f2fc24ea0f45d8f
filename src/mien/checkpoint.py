"""The state of a training run, and the one file it is saved in.

A checkpoint is written under a temporary name and renamed, so there is always a whole one, of one moment:
weights, averaged and best weights, the optimizer's moments, the history, and where in which epoch it stands.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .atomic import new_file
from .errors import RunError
from .models import Network
from .runs import Epoch, Run

__all__ = ["CHECKPOINT", "State", "load", "save", "save_tensors"]

CHECKPOINT = "checkpoint.safetensors"
SCALARS = ("epoch", "step", "loss_sum", "correct", "seen", "seconds", "images")


@dataclass
class State:
    """All that changes while a run trains."""

    network: Network
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Averaged weights (EMA) by name; empty where `train.ema` is 0."""
    best: dict[str, Tensor]
    """The weights of the best epoch so far."""
    history: list[Epoch]
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    """Sum over the samples of the current epoch so far."""
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    """Spent in training steps; the only figure that differs between equal runs."""
    images: int = 0


def save(run: Run, state: State) -> None:
    """Write the checkpoint: one file, so that it is always of one moment."""
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in state.average.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in values.items()}
    scalars = {name: getattr(state, name) for name in SCALARS}
    text = json.dumps(scalars | {"history": [asdict(line) for line in state.history]})
    save_tensors(run, CHECKPOINT, tensors, {"state": text})


def save_tensors(run: Run, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as a safetensors file of the run, whole or not at all; raises `RunError` where it cannot."""
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with run.writing(), new_file(run.path / name) as temporary:
        try:
            save_file(whole, temporary, dict(metadata))
            shutil.copymode(run.path / "config.toml", temporary)  # it would be its owner's alone
        except SafetensorError as error:
            raise OSError(str(error)) from None


def load(run: Run, state: State) -> None:
    """Bring `state` to the moment of the run's checkpoint; raises `RunError` where the file is damaged."""
    path = run.path / CHECKPOINT
    try:
        with safe_open(path, "pt") as file:
            saved: dict[str, Any] = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _restore(state, saved, tensors)
    except Exception as error:
        raise RunError(f"{path} is damaged ({error}). Remove it: the run then starts from its first epoch.") from None


def _restore(state: State, saved: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    state.network.load_state_dict(_under(tensors, "network"))
    state.average = _under(tensors, "average")
    state.best = _under(tensors, "best")
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under(tensors, "optimizer").items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = tensor
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": moments})
    _align(state.optimizer)
    state.history = [Epoch(**line) for line in saved["history"]]
    for name in SCALARS:
        setattr(state, name, saved[name])


def _align(optimizer: torch.optim.Optimizer) -> None:
    """Lay the moments out in memory as their weights are: the fused optimizers pair them by address."""
    for weight, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == weight.shape:
                values[key] = torch.empty_like(weight).copy_(value)


def _under(tensors: Mapping[str, Tensor], word: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{word}."): tensor for name, tensor in tensors.items() if name.startswith(f"{word}.")}
