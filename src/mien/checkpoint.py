"""The state of a training run, and the one file it is saved in.

A checkpoint is written under a temporary name and renamed, so there is always a whole one, and all of it is of one
moment: weights, averaged weights, the optimizer's moments, the history, the epoch, and the position in the epoch. The
weights of the best epoch so far are in a file beside it, the one that the run will end with. Training does not need
them, so they would only fill memory. The weights of a newer best epoch wait in a file of their own for the next
checkpoint. A run that is killed might not reach the same epoch again if its arithmetic is not reproducible, as on a
GPU.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from errno import EIO
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .atomic import move, new_file
from .errors import RunError
from .models import Network
from .reading import Count, Measure, Positive, from_json, reading
from .runs import Epoch, Run

__all__ = [
    "CHECKPOINT",
    "NEXT",
    "WEIGHTS",
    "State",
    "digest",
    "load",
    "load_weights",
    "restore",
    "save",
    "save_tensors",
]

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "model.safetensors"
"""File of the weights of the best epoch that the checkpoint knows; in a finished run, of the chosen epoch."""
NEXT = "next.safetensors"
"""File of the weights of a better epoch; `epoch` in its metadata is its number."""
OPTIMIZER = "optimizer."
MOST_HEADER = 16 << 20
"""Most bytes of a file besides its tensors: their names, their shapes, and the history."""
SCALARS = ("epoch", "step", "loss_sum", "correct", "seen", "seconds", "images")
"""The fields of `State` that are stored in the checkpoint as numbers."""


@dataclass
class State:
    """All that changes while a run trains."""

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Scales losses up under float16, where small gradients would become 0 (Micikevicius 2018). Otherwise it does
    nothing.
    """
    average: dict[str, Tensor]
    """Averaged weights (EMA) by name; empty if `optimizer.ema` is 0."""
    history: list[Epoch]
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    """Sum over the samples of the current epoch so far."""
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0
    """Seconds spent in training steps; the only value that differs between equal runs."""
    images: int = 0
    threads: tuple[int, ...] = ()
    """Numbers of threads with which the steps were computed, in order. There are several if the run could not keep
    its first number.
    """


def save(run: Run, state: State) -> None:
    """Write the checkpoint as one file, so that all of it is of one moment."""
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in state.average.items()}
    for number, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in values.items()}
    scalars = {name: getattr(state, name) for name in SCALARS}
    scaler, history = state.scaler.state_dict(), [asdict(line) for line in state.history]
    text = json.dumps(scalars | {"threads": state.threads, "scaler": scaler, "history": history})
    save_tensors(
        run, CHECKPOINT, {name: _to_channels_last(tensor) for name, tensor in tensors.items()}, {"state": text}
    )
    _keep_best(run)


def _keep_best(run: Run) -> None:
    """Move the weights that waited for the checkpoint, if any, to the file of the best epoch."""
    with run.writing():
        if (run.path / NEXT).exists():
            move(run.path / NEXT, run.path / WEIGHTS)


def save_tensors(run: Run, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as a safetensors file of the run, whole or not at all.

    Raises `RunError` if that fails. `metadata` has one entry: several would be written in an arbitrary order, and equal
    runs would differ.
    """
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with run.writing(), new_file(run.path / name) as temporary:
        try:
            save_file(whole, temporary, dict(metadata))
            shutil.copymode(run.path / "config.toml", temporary)  # otherwise only its owner could read it
        except SafetensorError as error:
            raise _as_os_error(error) from None


def _as_os_error(error: SafetensorError) -> OSError:
    """The system's error that the library's message quotes, such as "No space left on device (os error 28)"."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(EIO, str(error))


def load_weights(run: Run, network: Network, path: Path | None = None) -> None:
    """Give `network` the weights of the run's `model.safetensors`, or of another file of the run at `path`.

    Raises `RunError` if the file is missing or damaged, or holds the weights of another network.
    """
    path = path or run.path / WEIGHTS
    if not path.exists():
        raise RunError(f"{run.path} has no weights ({path.name}). Train it again.")
    with reading(path, RunError, f"Remove the folder {run.path} and train it again."):
        tensors, _ = _read(path, network.state_dict())
        network.load_state_dict(tensors)


def load(run: Run, state: State) -> None:
    """Restore `state` from the run's checkpoint.

    Raises `RunError` if the file is damaged. Weights of a later epoch, which no checkpoint knows, are removed.
    """
    restore(run, state)
    if _waiting(run, state) > state.epoch:
        (run.path / NEXT).unlink()
    _keep_best(run)


def restore(run: Run, state: State) -> None:
    """Restore `state` from the run's checkpoint and write nothing; raises the errors of `load`."""
    path = run.path / CHECKPOINT
    with reading(path, RunError, "Remove it: the run then starts from its first epoch."):
        tensors, text = _read(path, _expected(state), "state")
        saved = from_json(text, Saved)
        _restore(state, saved, {name: _from_channels_last(tensor) for name, tensor in tensors.items()})


def digest(state: State) -> bytes:
    """The sha256 of all weights and running averages, and of their step."""
    found = hashlib.sha256(f"{state.epoch} {state.step}".encode())
    for tensor in state.network.state_dict().values():
        found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.digest()


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The values of a checkpoint besides its tensors."""

    epoch: Count
    step: Count
    loss_sum: Measure
    correct: Count
    seen: Count
    seconds: Measure
    images: Count
    history: tuple[Epoch, ...]
    scaler: dict[str, float | int] = field(default_factory=dict)
    threads: tuple[Positive, ...] = ()

    def __post_init__(self) -> None:
        if [line.epoch for line in self.history] != list(range(1, self.epoch + 1)):
            raise ValueError(f"its history does not have the {self.epoch} epochs that were trained")


def _waiting(run: Run, state: State) -> int:
    """The epoch whose weights wait for a checkpoint; 0 if there is none."""
    path = run.path / NEXT
    if not path.exists():
        return 0
    with reading(path, RunError, f"Remove it and {CHECKPOINT}: the run then starts from its first epoch."):
        return int(_read(path, state.network.state_dict(), "epoch")[1])


def _expected(state: State) -> dict[str, Tensor]:
    """Types and shapes of a checkpoint's tensors as stored in the file; those of the optimizer may be absent."""
    weights = state.network.state_dict()
    expected = {f"network.{name}": _to_channels_last(tensor) for name, tensor in weights.items()}
    expected |= {f"average.{name}": _to_channels_last(weights[name]) for name in state.average}
    return expected


def _read(path: Path, expected: Mapping[str, Tensor], entry: str = "") -> tuple[dict[str, Tensor], str]:
    """The tensors of a file, and an `entry` of its metadata; raises `ValueError` if they are not as `expected`.

    Names, shapes and types are compared by the header, before anything is loaded. The file may also hold moments of an
    optimizer, which `_moments` checks.
    """
    size, most = path.stat().st_size, MOST_HEADER + 4 * sum(tensor.nbytes for tensor in expected.values())
    if size > most:
        raise ValueError(f"it has {size:,} bytes, expected at most {most:,}")
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        if missing := sorted(expected.keys() - names):
            raise ValueError(f"it has no tensor {missing[0]}")
        for name in names:
            if name not in expected and not name.startswith(OPTIMIZER):
                raise ValueError(f"it has a tensor {name}, which the network does not have")
        for name, tensor in expected.items():
            seen = file.get_slice(name)
            if tuple(seen.get_shape()) != tuple(tensor.shape):
                raise ValueError(f"{name} is {tuple(seen.get_shape())}, expected {tuple(tensor.shape)}")
        tensors = {name: file.get_tensor(name) for name in names}
        text = (file.metadata() or {})[entry] if entry else ""
    for name, tensor in expected.items():
        if tensors[name].dtype != tensor.dtype:
            raise ValueError(f"{name} is {tensors[name].dtype}, expected {tensor.dtype}")
    return tensors, text


def _restore(state: State, saved: Saved, tensors: Mapping[str, Tensor]) -> None:
    state.network.load_state_dict(_under(tensors, "network"))
    device = state.network.pixel_mean.device
    state.average = {name: tensor.to(device) for name, tensor in _under(tensors, "average").items()}
    moments = _moments(state.optimizer, _under(tensors, "optimizer"))
    state.optimizer.load_state_dict(state.optimizer.state_dict() | {"state": moments})
    state.scaler.load_state_dict(saved.scaler)
    state.history = list(saved.history)
    state.threads = saved.threads
    for name in SCALARS:
        setattr(state, name, getattr(saved, name))


def _moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimizer's state by parameter; raises `ValueError` for a moment that does not belong to one."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        shape = () if key == "step" else parameters[int(number)].shape
        if tensor.shape != shape or tensor.dtype != torch.float32:
            raise ValueError(f"{OPTIMIZER}{name} is {tensor.dtype} {tuple(tensor.shape)}, expected {tuple(shape)}")
        moments.setdefault(int(number), {})[key] = tensor
    if len({frozenset(moment) for moment in moments.values()}) > 1:
        raise ValueError("the optimizer has other moments for some weights than for others")
    return moments


def _to_channels_last(tensor: Tensor) -> Tensor:
    """A contiguous view of the channels-last weights of a convolution, so that they are written without a copy."""
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def _from_channels_last(tensor: Tensor) -> Tensor:
    """The inverse. Weights, averages and moments need the same layout: fused optimizers pair them by address."""
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _under(tensors: Mapping[str, Tensor], word: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{word}."): tensor for name, tensor in tensors.items() if name.startswith(f"{word}.")}
