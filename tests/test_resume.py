"""Killed at any moment, a run ends with the bytes of one that never was; stopped or short of room, it goes on later."""

import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import mortal
from conftest import plan_run, write_bars
from mien import checkpoint, threads
from mien import train as loop
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import RunBusy, RunError
from mien.hooks import Hooks, Progress
from mien.runs import Epoch, Logits, Run
from mien.stages import finish_run
from mien.train import train

RESULTS = ("model.safetensors", "history.csv", "logits.npz")
ALL: dict[str, Any] = {
    "optimizer__ema": 0.8,
    "loss__soft_labels": True,
    "loss__label_smoothing": 0.1,
    "loss__class_weights": "balanced",
    "train__sizes": [12, 16],
    "optimizer__clip_norm": 2.0,
    "optimizer__weight_decay": 1e-3,
    "optimizer__schedule": "onecycle",
    "optimizer__warmup_epochs": 1.0,
    "model__dropout": 0.3,
    "model__block_dropout": 0.2,
    "augment__flip": True,
    "augment__shift": 2.0,
    "augment__rotation": 10.0,
    "augment__contrast": 0.2,
    "augment__cutout": 3,
}
"""Everything that a resumed run could get wrong, together with micro-batches, which the tiny settings have."""
STEPS = 15


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_bars(tmp_path_factory.mktemp("soft") / "store", soft=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, soft: Store) -> dict[str, bytes]:
    """What a run of all settings leaves when nobody disturbs it."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), soft, **ALL)


def results(run: Run) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in RESULTS}


def undisturbed(folder: Path, store: Store, **changes: Any) -> dict[str, bytes]:
    run = plan_run(folder, store, **changes)
    assert mortal.live(run) == 0
    return results(run)


def finish(run: Run) -> int:
    """Finish the run in this process; returns how many steps were left."""
    taken: list[Progress] = []
    finish_run(run, hooks=Hooks(report=taken.append))
    return len(taken)


def left_behind(run: Run) -> list[str]:
    return [path.name for path in run.path.rglob(".*")]


@pytest.mark.long
def test_killed_again_and_again_it_ends_with_the_same_bytes(
    tmp_path: Path, soft: Store, expected: dict[str, bytes]
) -> None:
    """One run dies between two checkpoints, in the middle of one, and of the history; then it is left in peace."""
    run = plan_run(tmp_path, soft, **ALL)
    for every, moment in ((3, 26), (1, 12), (1, 24)):
        assert mortal.live(run, dies_at=moment, checkpoint_every=every) == -signal.SIGKILL
        assert not run.finished
        assert (run.path / "checkpoint.safetensors").exists()
    assert mortal.live(run) == 0
    assert results(run) == expected
    assert STEPS <= mortal.steps(run) <= STEPS + 3 * 3, "it went on from its checkpoints, and did not start anew"
    assert left_behind(run) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        ALL,
        ALL | {"optimizer__name": "sgd", "train__select": "last"},
        ALL | {"optimizer__name": "adamw", "train__precision": "bfloat16"},
        ALL | {"train__precision": "float16"},
        {"train__micro_batch": 0, "data__label_noise": 0.2, "data__train_limit": 60},
    ],
    ids=["adam", "sgd", "adamw-bfloat16", "adam-float16", "plain"],
)
def test_killed_at_every_kind_of_moment(tmp_path: Path, soft: Store, changes: dict[str, Any]) -> None:
    """Twenty deaths, each at a moment of the whole run drawn anew, each followed by a life in peace."""
    expected = undisturbed(tmp_path / "undisturbed", soft, **changes)
    chance = random.Random(1)
    died = 0
    for number, moment in enumerate(chance.sample(range(1, 70), 20)):
        run = plan_run(tmp_path / f"killed{number}", soft, **changes)
        died += mortal.live(run, dies_at=moment, checkpoint_every=chance.randint(1, 4)) == -signal.SIGKILL
        assert mortal.live(run) == 0
        assert results(run) == expected, f"killed at moment {moment}"
        assert left_behind(run) == []
    assert died >= 15, "some moments come after the end, where checkpoints are rare"


@pytest.mark.long
def test_killed_by_the_clock(tmp_path: Path, soft: Store) -> None:
    """The parent kills after a random time, wherever that is: until the run is finished."""
    changes = ALL | {"train__epochs": 12}
    run = plan_run(tmp_path / "undisturbed", soft, **changes)
    started = time.monotonic()
    assert mortal.live(run) == 0
    seconds = time.monotonic() - started
    expected = results(run)
    chance = random.Random(2)
    for number in range(6):
        run = plan_run(tmp_path / f"killed{number}", soft, **changes)
        for _ in range(40):
            process = mortal.start(run)
            process.join(chance.uniform(0.1, 0.7) * seconds)
            process.kill()
            process.join()
            if run.finished:
                break
        assert mortal.live(run) == 0
        assert results(run) == expected


def test_a_finished_run_is_not_trained_again(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store, train__epochs=1)
    assert finish(run) == 5
    assert finish(run) == 0


def test_each_opening_of_the_test_is_written_down(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends between the opening and the last word, so the test is opened twice, and the record says so."""
    run = plan_run(tmp_path, store, train__epochs=1)

    write = Run.write_logits

    def fail(run: Run, parts: Mapping[str, Logits]) -> None:
        if "test" in parts:
            raise RunError("no room")
        write(run, parts)

    monkeypatch.setattr(Run, "write_logits", fail)
    with pytest.raises(RunError):
        finish(run)
    assert len(run.record.test_opened_at) == 1
    assert run.record.stages == ("fit", "valid")
    monkeypatch.undo()
    assert finish(run) == 0, "the weights were chosen before, and stay"
    assert len(run.record.test_opened_at) == 2


# Stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_stops(
    tmp_path: Path, soft: Store, expected: dict[str, bytes], number: signal.Signals
) -> None:
    run = plan_run(tmp_path, soft, **ALL)
    seen = 0

    def strike(_: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen == 7:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)  # at once, as from a service manager: it counts as the same

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        finish_run(run, hooks=Hooks(report=strike))
    assert seen == 7
    assert signal.getsignal(number) is before
    assert finish(run) == STEPS - 7
    assert results(run) == expected


def test_a_later_signal_does_not_wait(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 10))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))
    run = plan_run(tmp_path, store)
    fold = divide(store, run.settings.data)

    def strike(_: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(run, fold.train, fold.valid, device=torch.device("cpu"), report=strike)
    assert not (run.path / "checkpoint.safetensors").exists()


def test_an_orphan_saves_and_stops(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent was killed with -9, and nobody hears of it any more."""
    run = plan_run(tmp_path, store)
    taken: list[Progress] = []
    engine = SimpleNamespace(is_alive=lambda: len(taken) < 3)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: engine)
    with pytest.raises(KeyboardInterrupt):
        finish_run(run, hooks=Hooks(report=taken.append))
    monkeypatch.undo()
    assert finish(run) == STEPS - 3


# Threads


def environment(run: Run) -> dict[str, Any]:
    return dict(json.loads((run.path / "env.json").read_text(encoding="utf-8")))


@pytest.mark.long
@pytest.mark.skipif(threads.usable_cores() < 2, reason="one core")
def test_a_run_goes_on_with_the_threads_that_it_began_with(tmp_path: Path, store: Store) -> None:
    """Also where it was finished, and trains again to see every epoch on the test."""
    changes = {
        "model__width": 1.0,
        "train__epochs": 1,
        "data__train_limit": 32,
    }  # large enough that two threads round otherwise than one
    alone, moved, other = (plan_run(tmp_path / name, store, **changes) for name in ("alone", "moved", "other"))
    assert mortal.live(alone, threads=2) == 0
    assert mortal.live(other, threads=1) == 0
    expected = results(alone)
    assert expected != results(other), "else this test shows nothing"
    assert mortal.live(moved, threads=2, dies_at=12) == -signal.SIGKILL
    alone.update(status="running")
    for run in (moved, alone):
        assert mortal.live(run, threads=1) == 0
        assert results(run) == expected
        assert environment(run)["threads"] == 2
        assert "threads_before" not in environment(run)


@pytest.mark.parametrize("reason", ["fewer cores", "asked for"])
def test_another_number_of_threads_is_said(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    run = plan_run(tmp_path, store)
    taken: list[Progress] = []

    def stop(progress: Progress) -> None:
        taken.append(progress)
        if len(taken) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(threads.torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 3)
    with pytest.raises(KeyboardInterrupt):
        finish_run(run, hooks=Hooks(report=stop))
    assert not any(progress.note for progress in taken)
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 2)
    finish_run(run, hooks=Hooks(report=taken.append, threads=2 if reason == "asked for" else 0))
    assert taken[-1].note.startswith("It goes on with 2 thread(s) after 3: its last digits differ")
    assert (environment(run)["threads"], environment(run)["threads_before"]) == (2, [3])


# One process at a time


def test_a_second_process_is_refused(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store)
    with run.lock():
        with pytest.raises(RunBusy, match=rf"Another process works in {run.path}\. Wait for it or stop it"):
            finish_run(Run.open(run.path))
        assert mortal.live(run) == 1, "nor is it let in from another process"
    finish_run(run)
    assert run.finished


def test_the_dead_hold_no_lock(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store)
    assert mortal.live(run, dies_at=5) == -signal.SIGKILL
    with run.lock():
        pass


def test_weights_of_an_epoch_that_died_unknown_do_not_count(tmp_path: Path, store: Store) -> None:
    """Where arithmetic does not repeat, the run may never come to that epoch again."""
    run = plan_run(tmp_path, store)
    part = divide(store, run.settings.data).train
    state = loop._new_state(run.settings, part, torch.device("cpu"))

    def written(name: str, epoch: int) -> None:
        weights = {key: torch.full_like(tensor, epoch) for key, tensor in state.network.state_dict().items()}
        checkpoint.save_tensors(run, name, weights, {"epoch": str(epoch)})

    def best() -> float:
        network = loop._new_state(run.settings, part, torch.device("cpu")).network
        checkpoint.load_weights(run, network)
        return float(next(iter(network.parameters())).detach().mean())

    figures = {"lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5, "valid_loss": 1.0, "valid_accuracy": 0.5}
    state.history = [Epoch(epoch=number, **figures) for number in (1, 2)]
    state.epoch = 2
    written(checkpoint.NEXT, 2)
    checkpoint.save(run, state)
    assert best() == 2.0
    written(checkpoint.NEXT, 3)
    checkpoint.load(run, state)
    assert best() == 2.0, "the checkpoint does not know of epoch 3"
    written(checkpoint.NEXT, 2)
    written(checkpoint.WEIGHTS, 1)
    checkpoint.load(run, state)
    assert best() == 2.0, "killed between the checkpoint and the weights that waited for it"
    assert not (run.path / checkpoint.NEXT).exists()


# No room


def test_a_full_disk_is_one_sentence_and_leaves_the_last_checkpoint(
    tmp_path: Path, soft: Store, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan_run(tmp_path, soft, **ALL)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    plain, calls = checkpoint.save_file, 0

    def full(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
        nonlocal calls
        calls += "checkpoint" in path.name
        if calls > 8:
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        plain(tensors, path, metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match=r"Cannot write into .* \(No space left on device\)\. .* intact: make room"):
        finish_run(run)
    assert left_behind(run) == []
    monkeypatch.undo()
    assert finish(run) == STEPS - 8
    assert results(run) == expected


@pytest.mark.parametrize("name", ["record.json", "history.csv", "model.safetensors", "logits.npz", "env.json"])
def test_no_room_for_any_other_file_is_one_sentence_too(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run = plan_run(tmp_path, store, train__epochs=1)
    plain = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(28, "No space left on device")
        plain(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="No space left on device"):
        finish_run(run)
    monkeypatch.undo()
    finish_run(run)
    assert run.finished
    assert left_behind(run) == []


def test_a_disk_that_is_really_full(tmp_path: Path, soft: Store, expected: dict[str, bytes]) -> None:
    """On a file system of its own, where a ballast leaves no room for a second checkpoint beside the first."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        run = plan_run(disk, soft, **ALL)
        assert mortal.live(run, dies_at=20) == -signal.SIGKILL
        with run.lock():
            assert left_behind(run) == []
        whole = (run.path / "checkpoint.safetensors").read_bytes()
        ballast = disk / "ballast"
        fill(ballast, room=len(whole) // 2)
        with pytest.raises(RunError, match="No space left on device"):
            finish_run(run)
        assert (run.path / "checkpoint.safetensors").read_bytes() == whole
        ballast.unlink()
        assert 0 < finish(run) < STEPS
        assert results(run) == expected
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(ballast: Path, room: int) -> None:
    """Leave so many bytes free."""
    free = os.statvfs(ballast.parent)
    ballast.write_bytes(b"\0" * (free.f_bavail * free.f_bsize - room))


# Damage


def test_a_damaged_checkpoint_is_said(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store)
    path = run.path / "checkpoint.safetensors"
    for content in (b"", b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"checkpoint\.safetensors is damaged .*Remove it"):
            finish_run(run)
    path.unlink()
    finish_run(run)
    assert run.finished


@pytest.mark.parametrize(
    ("name", "content"),
    [("record.json", "{"), ("record.json", '{"status": 1}'), ("data.json", "[]"), ("config.toml", "train = 3")],
)
def test_a_damaged_run_folder_is_said(tmp_path: Path, store: Store, name: str, content: str) -> None:
    run = plan_run(tmp_path, store)
    (run.path / name).write_text(content)
    with pytest.raises(RunError, match="damaged"):
        assert Run.open(run.path).record


def test_cut_logits_are_said(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store)
    finish_run(run)
    path = run.path / "logits.npz"
    for content in (b"", path.read_bytes()[:-40], path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"logits\.npz is damaged \(.*\)\. Remove the folder"):
            Run.open(run.path).logits("test")


def test_a_disk_without_locks_is_said(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    run = plan_run(tmp_path, store)
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(RunError, match=r"cannot be locked \(No locks available\)"), run.lock():
        pass


@pytest.mark.filterwarnings("ignore:.*non-meta parameter")
def test_averages_come_back_where_the_network_is(tmp_path: Path, store: Store) -> None:
    """On a device beside the processor, here torch's `meta`, which holds no values."""
    run = plan_run(tmp_path, store, optimizer__ema=0.9)
    part = divide(store, run.settings.data).train
    checkpoint.save(run, loop._new_state(run.settings, part, torch.device("cpu")))
    state = loop._new_state(run.settings, part, torch.device("cpu"))
    state.network.to("meta")
    checkpoint.load(run, state)
    assert {tensor.device.type for tensor in state.average.values()} == {"meta"}
