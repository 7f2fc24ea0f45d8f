"""A run in a process of its own that dies by SIGKILL at a moment it is told.

Moments are counted: after every step, around every rename, before every fsync, and when a checkpoint is half
written. So a death can be placed anywhere, and the same number is the same place.
"""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien import atomic, checkpoint
from mien import train as loop
from mien.checkpoint import State
from mien.hooks import Hooks, Progress
from mien.runs import Run
from mien.stages import finish_run

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["mien.methods.network"])


def start(run: Run, *, dies_at: int = 0, checkpoint_every: int = 1, threads: int = 1) -> BaseProcess:
    """Start to finish the run; it dies at the moment `dies_at`, counted from 1, or not at all."""
    process = SERVER.Process(target=_live, args=(run.path, dies_at, checkpoint_every, threads))
    process.start()
    return process


def live(run: Run, *, dies_at: int = 0, checkpoint_every: int = 1, threads: int = 1) -> int:
    """Let it live, and return the code that its process ended with."""
    process = start(run, dies_at=dies_at, checkpoint_every=checkpoint_every, threads=threads)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def replace_folder(path: Path, *, dies_at: int, swaps: bool) -> int:
    """Put a new folder in the place of the one at `path`, and return the code that the process ended with.

    Without `swaps` the system cannot exchange two folders in one step.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: this child uses none
        child = os.fork()
    if not child:
        try:
            _replace_folder(path, dies_at, swaps)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _replace_folder(path: Path, dies_at: int, swaps: bool) -> None:
    moment = _countdown(dies_at)

    def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            moment()
            result = call(*arguments, **options)
            moment()
            return result

        return wrapped

    vars(os).update({name: mortal(getattr(os, name)) for name in ("rename", "replace", "fsync", "rmdir", "unlink")})
    vars(atomic)["exchange"] = mortal(atomic.exchange) if swaps else lambda one, other: False
    with atomic.new_folder(path, replace=True) as folder:
        for name in ("a", "b"):
            (folder / name).write_bytes(b"new")


def steps(run: Run) -> int:
    """Steps that all its lives took together."""
    path = _diary(run.path)
    return path.stat().st_size if path.exists() else 0


def _diary(path: Path) -> Path:
    return path.with_name(f"{path.name}-steps")


def _live(path: Path, dies_at: int, checkpoint_every: int, threads: int) -> None:
    torch.set_num_threads(threads)
    moment = _countdown(dies_at)
    _die_while_writing(moment)
    _save_every(checkpoint_every)

    def stepped(_: Progress) -> None:
        with _diary(path).open("ab") as file:
            file.write(b".")
        moment()

    finish_run(Run.open(path), hooks=Hooks(report=stepped))


def _countdown(left: int) -> Callable[[], None]:
    def moment() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return moment


def _die_while_writing(moment: Callable[[], None]) -> None:
    replace, sync, save_file = os.replace, atomic._sync, checkpoint.save_file

    def mortal_replace(source: Path, target: Path) -> None:
        moment()
        replace(source, target)
        moment()

    def mortal_sync(path: Path) -> None:
        moment()
        sync(path)

    def mortal_save(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
        save_file(dict(tensors), path, dict(metadata))
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        moment()
        path.write_bytes(whole)

    patches: dict[str, Any] = {"replace": mortal_replace}
    vars(os).update(patches)
    vars(atomic)["_sync"] = mortal_sync
    vars(checkpoint)["save_file"] = mortal_save


def _save_every(steps: int) -> None:
    save, calls = loop.save, 0

    def now_and_then(run: Run, state: State) -> None:
        nonlocal calls
        calls += 1
        if calls % steps == 0 or state.epoch == run.settings.train.epochs:
            save(run, state)

    vars(loop).update(CHECKPOINT_SECONDS=-1.0, save=now_and_then)
