"""A training beside other work: load and speed decide how its threads wait, and no byte of the result changes."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import mortal
from conftest import plan_run
from mien.data.store import Store
from mien.engines import Update, find_engine, local, neighbours
from mien.engines.neighbours import Neighbours, Waiting, Window, advise, environment, waiting_now
from mien.runs import Run
from mien.stages import finish_run
from mien.waiting import WAITING, waiting_words

finish = find_engine("local").finish
QUIET, BUSY = 0.05, 1.0


def windows(*seen: tuple[float, float]) -> list[Window]:
    """Windows of (cores that others used, speed)."""
    return [Window(others=others, speed=speed) for others, speed in seen]


@pytest.fixture(autouse=True)
def _nobody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("waiting", "seen", "advised"),
    [
        ("spinning", [], "spinning"),
        ("spinning", [(QUIET, 1.0)] * 9, "spinning"),
        ("spinning", [(QUIET, 1.0), (BUSY, 0.1), (BUSY, 0.1)], "sleeping"),
        ("spinning", [(QUIET, 1.0), (BUSY, 0.1)], "spinning"),  # one window may be chance
        ("spinning", [(QUIET, 1.0), (BUSY, 0.1), (QUIET, 0.9)], "spinning"),
        ("spinning", [(QUIET, 1.0), (BUSY, 0.8), (BUSY, 0.8)], "spinning"),  # it has cores enough
        ("spinning", [(QUIET, 1.0), (QUIET, 0.1), (QUIET, 0.1)], "spinning"),  # growing pictures
        ("spinning", [(BUSY, 0.1), (BUSY, 0.1)], "sleeping"),  # never seen quiet
        ("sleeping", [(BUSY, 0.4)] * 9, "sleeping"),
        ("sleeping", [(BUSY, 0.4), *[(QUIET, 0.6)] * 5], "sleeping"),
        ("sleeping", [(BUSY, 0.4), *[(QUIET, 0.6)] * 6], "spinning"),
    ],
)
def test_load_and_speed_decide(waiting: Waiting, seen: Sequence[tuple[float, float]], advised: Waiting) -> None:
    assert advise(waiting, windows(*seen)) == advised


@pytest.mark.parametrize(
    ("others", "waiting"), [(0.0, "spinning"), (0.3, "spinning"), (0.5, "sleeping"), (2.0, "sleeping")]
)
def test_the_load_at_the_start_decides(others: float, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter((100.0, 100.0 + others * neighbours.SAMPLE_SECONDS))
    monkeypatch.setattr(neighbours, "_busy_seconds", lambda: next(readings))
    assert waiting_now() == waiting


def test_a_process_is_told_to_sleep_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment("sleeping") == {"OMP_WAIT_POLICY": "passive"}
    assert environment("spinning") == {}
    assert waiting_words() == "as the library has it"
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert waiting_words() == "sleep"
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    assert environment("sleeping") == {}
    assert waiting_words() == "OMP_WAIT_POLICY=passive, GOMP_SPINCOUNT=1000"


class Machine:
    """In place of clock and counters: a training of speed `speed`, others that use `others` cores."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.own = self.others_s = self.done = 0.0
        self.others, self.speed = QUIET, 0.001
        monkeypatch.setattr(neighbours.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(neighbours, "_busy_seconds", lambda: self.own + self.others_s)
        monkeypatch.setattr(neighbours, "_seconds_of", lambda process: self.own)

    def go(self, seen: Neighbours, seconds: int) -> bool:
        """Let a second pass after the other; returns whether another process was asked for."""
        for _ in range(seconds):
            self.now, self.own, self.others_s = self.now + 1, self.own + 2, self.others_s + self.others
            self.done += self.speed
            if seen.see(1, self.done):
                return True
        return False


def test_a_neighbour_that_comes_and_goes_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, seen = Machine(monkeypatch), Neighbours("spinning")
    assert not machine.go(seen, 60)
    machine.others, machine.speed = BUSY, 0.0001
    assert machine.go(seen, 40)
    assert seen.wanted == "sleeping"
    assert seen.why.startswith("Other processes use 1.0 cores and slow it down. It goes on from its checkpoint")
    assert not machine.go(seen, 60), "it was asked once"
    seen, machine.speed = Neighbours("sleeping"), 0.0004
    assert not machine.go(seen, 200)
    machine.others = QUIET
    assert machine.go(seen, 90)
    assert seen.why.startswith("The machine is quiet again.")


def test_near_its_end_a_training_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, seen = Machine(monkeypatch), Neighbours("spinning")
    machine.done, machine.others, machine.speed = 0.95, BUSY, 0.001
    assert not machine.go(seen, 49)


def test_who_chose_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "0")
    machine, seen = Machine(monkeypatch), Neighbours("spinning")
    machine.others = BUSY
    assert not machine.go(seen, 100)


@pytest.mark.long
def test_a_run_goes_on_in_a_process_that_waits_the_other_way(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, after a third of its steps; the result has the bytes of a run that nobody disturbed."""
    started: list[dict[str, str]] = []
    start = local._start

    def watched(process: Any, besides: dict[str, str]) -> None:
        started.append(besides)
        start(process, besides)

    def crowded(self: Neighbours, process: int, done: float) -> bool:
        if self.waiting == "spinning" and done > 0.3:
            self._windows = windows((BUSY, 0.1))
            self.wanted = "sleeping"
            return True
        return False

    monkeypatch.setattr(multiprocessing, "get_context", lambda _: mortal.SERVER)
    monkeypatch.setattr(local, "waiting_now", lambda: "spinning")
    monkeypatch.setattr(local, "_start", watched)
    monkeypatch.setattr(Neighbours, "see", crowded)
    run = plan_run(tmp_path, store, train__epochs=30)
    notes: list[str] = []

    def note(run: Run, told: Update) -> None:
        if isinstance(told, str):
            notes.append(told)

    finish([run], note)
    assert run.finished
    assert started == [{}, {"OMP_WAIT_POLICY": "passive"}, {}], "trained, trained on, measured"
    assert [note.partition(".")[0] for note in notes] == ["Other processes use 1"]
    undisturbed = plan_run(tmp_path / "undisturbed", store, train__epochs=30)
    finish_run(undisturbed)
    for name in ("model.safetensors", "logits.npz", "history.csv"):
        assert (run.path / name).read_bytes() == (undisturbed.path / name).read_bytes()
    assert len(run.record.test_opened_at) == 1


@contextmanager
def busy_process() -> Iterator[None]:
    """A process that keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(1)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_beside_a_real_neighbour_threads_sleep_and_the_bytes_stay(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = psutil.cpu_count() or 1
    if cores < 2:
        pytest.skip("one core: there is no thread to wait for")
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
    results, speeds = [], []
    with busy_process():
        assert waiting_now() == "sleeping"
        for waiting in ("spinning", "sleeping"):
            monkeypatch.setattr(local, "waiting_now", lambda waiting=waiting: waiting)
            monkeypatch.setattr(Neighbours, "see", lambda *_: False)
            run = plan_run(tmp_path / waiting, store, train__epochs=20)
            finish([run], lambda *_: None)
            results.append((run.path / "model.safetensors").read_bytes())
            speeds.append(run.record.costs.images_per_second)
            told = json.loads((run.path / "env.json").read_text(encoding="utf-8"))
            assert told["waiting"] == {"spinning": "as the library has it", "sleeping": "sleep"}[waiting]
    assert results[0] == results[1]
    if sys.platform == "linux" and len(os.sched_getaffinity(0)) == cores:
        assert speeds[1] > 1.2 * speeds[0]
