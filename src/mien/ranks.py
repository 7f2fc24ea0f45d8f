"""One training in several processes, each with a device: how work is divided, and how results are joined.

The processes are those that torchrun starts (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT`). They
communicate by gloo on processors and by nccl on GPUs. Every share is contiguous, nothing is padded, and sums are taken
in the order of a single process. So a result does not depend on the number of processes.

The first process leads: it alone plans, writes and judges the test. The others wait until it tells them which run to
train. Nothing is pickled: the messages are tensors, and the path of a run as bytes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .device import pick_device
from .errors import ConfigError, RunError

__all__ = ["ALONE", "Ranks", "cut", "flat", "join_ranks", "leave_ranks"]

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TIMEOUT = timedelta(days=1)
"""Longest wait of the others while the leader works alone. The death of a process is noticed at once, because its
connection ends.
"""


class Ranks:
    """The processes of one training, seen from one of them; alone, it is all of them."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        self.rank = rank
        """Number of this process, from 0."""
        self.size = size
        """Number of processes."""
        self._device = device or torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process plans, writes and judges."""
        return self.rank == 0

    def share(self, count: int, whole: int = 1, rank: int | None = None) -> range:
        """The share of this process, or of another, of `count` places: consecutive ones, in groups of `whole`.

        The shares of all processes together are all places, each once; the last shares may be empty.
        """
        groups, rank = -(-count // whole), self.rank if rank is None else rank
        each, more = divmod(groups, self.size)
        start = rank * each + min(rank, more)
        end = start + each + (rank < more)
        return range(min(start * whole, count), min(end * whole, count))

    def joined(self, own: Tensor, count: int, whole: int = 1) -> Tensor:
        """All `count` rows, from the rows of each process's `share`: `(len(share), ...)` to `(count, ...)`."""
        if self.size == 1:
            return own
        found = torch.empty((count, *own.shape[1:]), dtype=own.dtype, device=self._device)
        with _together():
            for rank in range(self.size):
                share = self.share(count, whole, rank)
                if len(share):
                    part = found[share.start : share.stop]
                    if rank == self.rank:
                        part.copy_(own)
                    dist.broadcast(part, rank)
        return found.to(own.device)

    def add_up(self, parameters: Sequence[nn.Parameter], apart: Sequence[Tensor], count: int) -> None:
        """Give every process the sum of the gradients of `count` chunks, added in the order of the chunks.

        The first process has added up its own, in `grad`; the others have a flat gradient `apart` for each of theirs. A
        process without a chunk adds nothing.
        """
        if self.size == 1:
            return
        busy = min(self.size, count)
        total = flat(parameters) if self.leads else torch.empty(sum(p.numel() for p in parameters), device=self._device)
        with _together():
            if 0 < self.rank < busy:
                dist.recv(total, self.rank - 1)
                for gradient in apart:
                    total += gradient
            if self.rank < busy - 1:
                dist.send(total, self.rank + 1)
            dist.broadcast(total, busy - 1)
        _unflatten(total, parameters)

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is true in any process."""
        if self.size == 1:
            return list(flags)
        found = torch.tensor(flags, dtype=torch.int32, device=self._device)
        with _together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return [bool(flag) for flag in found.tolist()]

    def agree(self, digest: Callable[[], bytes], what: str) -> None:
        """Raise `RunError` if a digest, of eight bytes or more, differs between processes."""
        if self.size == 1:
            return
        own = torch.tensor([[int.from_bytes(digest()[:7], "little")]], device=self._device)
        found = self.joined(own, self.size)
        if (found != found[0]).any():
            raise RunError(
                f"The {self.size} processes of this training do not have the same {what}. Let them see one store and "
                "one folder of runs, on machines of one kind with the same versions, and run the same command again."
            )

    def send(self, message: str) -> None:
        """Send the other processes a message, which `receive` returns there; for the leader."""
        if self.size > 1:
            content = torch.frombuffer(bytearray(message.encode()), dtype=torch.uint8) if message else torch.empty(0)
            with _together():
                dist.broadcast(torch.tensor([len(content)], device=self._device), 0)
                if message:
                    dist.broadcast(content.to(self._device), 0)

    def receive(self) -> str:
        """The next message of the leader; waits for it."""
        length = torch.zeros(1, dtype=torch.int64, device=self._device)
        with _together():
            dist.broadcast(length, 0)
            content = torch.empty(int(length), dtype=torch.uint8, device=self._device)
            if len(content):
                dist.broadcast(content, 0)
        return bytes(content.tolist()).decode()


ALONE = Ranks()


def join_ranks() -> Ranks:
    """The processes that torchrun started, this one among them; `ALONE` if it started none, or one.

    Raises `ConfigError` if the variables are not numbers, or the processes do not find each other.
    """
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size(), pick_device())
    if not all(os.environ.get(name) for name in VARIABLES) or os.environ["WORLD_SIZE"] == "1":
        return ALONE
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        device = pick_device()
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"The processes that RANK and WORLD_SIZE speak of do not come together ({reason}). Start them with "
            "torchrun, or unset these variables."
        ) from None
    return Ranks(dist.get_rank(), dist.get_world_size(), device)


def leave_ranks() -> None:
    """Leave the other processes for good: from now on this process works alone."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
        for name in VARIABLES:
            os.environ.pop(name, None)


def flat(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradients of all parameters, one after the other, as one row of numbers; zeros where there is none."""
    return torch.cat([torch.zeros_like(p).reshape(-1) if p.grad is None else p.grad.reshape(-1) for p in parameters])


def cut(row: Tensor, like: Sequence[Tensor]) -> Sequence[Tensor]:
    """A row of numbers as parts of the sizes of these tensors, in their order."""
    parts: Sequence[Tensor] = torch.split(row, [tensor.numel() for tensor in like])
    return parts


def _unflatten(row: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Give each parameter its gradient, in the parameter's own layout: fused optimizers pair numbers by address."""
    for parameter, gradient in zip(parameters, cut(row, parameters), strict=True):
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad.copy_(gradient.view(parameter.shape))


@contextmanager
def _together() -> Iterator[None]:
    """Surrounds communication: the end of another process becomes a sentence."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise RunError(
            f"Another process of this training has ended ({reason}). Nothing but the steps since the last checkpoint "
            "is lost: start all of them again with the same command."
        ) from None
