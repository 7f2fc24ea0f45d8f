"""The state of a training run, and the one file it is saved in.

A checkpoint is written under a temporary name and renamed, so there is always a whole one, of one moment:
weights, averaged weights, the optimizer's moments, the history, and where in which epoch it stands. The weights of the
best epoch so far lie beside it, in the file that the run will end with: not needed to train on, they would only fill
memory. Those of an epoch that no checkpoint knows yet wait in a file of their own for the next: a run that is killed
may not come to the same epoch again where its arithmetic does not repeat, as on a GPU.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .atomic import move, new_file
from .errors import RunError
from .models import Network
from .runs import Epoch, Run

__all__ = ["CHECKPOINT", "NEXT", "WEIGHTS", "State", "load", "load_weights", "save", "save_tensors"]

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "model.safetensors"
"""Of the best epoch that the checkpoint knows; in a finished run, of the chosen one."""
NEXT = "next.safetensors"
"""Of an epoch that is better than those; `epoch`, in its metadata, says which."""
SCALARS = ("epoch", "step", "loss_sum", "correct", "seen", "seconds", "images")
"""Fields of `State` that are numbers, as they stand in the checkpoint."""


@dataclass
class State:
    """All that changes while a run trains."""

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Scales losses up under float16, whose small gradients would be 0 (Micikevicius 2018); else passes them on."""
    average: dict[str, Tensor]
    """Averaged weights (EMA) by name; empty where `train.ema` is 0."""
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
    threads: tuple[int, ...] = ()
    """Numbers of threads that the steps were computed with, in order: several where a run could not keep its own."""


def save(run: Run, state: State) -> None:
    """Write the checkpoint: one file, so that it is always of one moment."""
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in state.average.items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in values.items()}
    scalars = {name: getattr(state, name) for name in SCALARS}
    scaler, history = state.scaler.state_dict(), [asdict(line) for line in state.history]
    text = json.dumps(scalars | {"threads": state.threads, "scaler": scaler, "history": history})
    save_tensors(run, CHECKPOINT, {name: _as_it_lies(tensor) for name, tensor in tensors.items()}, {"state": text})
    _keep_best(run)


def _keep_best(run: Run) -> None:
    """Let the weights that waited for the checkpoint be the best, where some did."""
    with run.writing():
        if (run.path / NEXT).exists():
            move(run.path / NEXT, run.path / WEIGHTS)


def save_tensors(run: Run, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as a safetensors file of the run, whole or not at all; raises `RunError` where it cannot.

    Of `metadata` there is one entry: several would be written in any order, and equal runs would differ.
    """
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with run.writing(), new_file(run.path / name) as temporary:
        try:
            save_file(whole, temporary, dict(metadata))
            shutil.copymode(run.path / "config.toml", temporary)  # it would be its owner's alone
        except SafetensorError as error:
            raise OSError(str(error)) from None


def load_weights(run: Run) -> dict[str, Tensor]:
    """The run's `model.safetensors` by name; raises `RunError` where it is missing or damaged."""
    path = run.path / WEIGHTS
    if not path.exists():
        raise RunError(f"{run.path} has no weights ({WEIGHTS}). Train it again.")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged ({error}). Train it again.") from None


def load(run: Run, state: State) -> None:
    """Bring `state` to the moment of the run's checkpoint; raises `RunError` where the file is damaged.

    Weights of a later epoch, of which the run was killed too soon to know, are removed.
    """
    path = run.path / CHECKPOINT
    try:
        with safe_open(path, "pt") as file:
            saved: dict[str, Any] = json.loads(file.metadata()["state"])
            tensors = {name: _as_it_lay(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        _restore(state, saved, tensors)
    except Exception as error:
        raise RunError(f"{path} is damaged ({error}). Remove it: the run then starts from its first epoch.") from None
    if _waiting(run) > state.epoch:
        (run.path / NEXT).unlink()
    _keep_best(run)


def _waiting(run: Run) -> int:
    """The epoch whose weights wait for a checkpoint; 0 where none do."""
    if not (run.path / NEXT).exists():
        return 0
    with safe_open(run.path / NEXT, "pt") as file:
        return int(file.metadata()["epoch"])


def _restore(state: State, saved: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    state.network.load_state_dict(_under(tensors, "network"))
    device = state.network.pixel_mean.device
    state.average = {name: tensor.to(device) for name, tensor in _under(tensors, "average").items()}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under(tensors, "optimizer").items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = tensor
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": moments})
    state.scaler.load_state_dict(saved.get("scaler", {}))
    state.history = [Epoch(**line) for line in saved["history"]]
    state.threads = tuple(saved.get("threads", ()))
    for name in SCALARS:
        setattr(state, name, saved[name])


def _as_it_lies(tensor: Tensor) -> Tensor:
    """Weights of convolutions lie channels-last: turned like this, they are written without a copy."""
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def _as_it_lay(tensor: Tensor) -> Tensor:
    """The inverse. Weights, averages and moments must lie alike: the fused optimizers pair them by address."""
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _under(tensors: Mapping[str, Tensor], word: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{word}."): tensor for name, tensor in tensors.items() if name.startswith(f"{word}.")}
