"""The engine of one machine: a process for each run, whose crash is the end of one run; a signal stops them all."""

import json
import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import pytest

import mortal
from conftest import Bars, plan_run
from mien.compare import collect
from mien.data.store import Store
from mien.device import pick_device
from mien.engines import Update, find_engine, local
from mien.errors import ConfigError, RunError
from mien.hooks import Progress
from mien.machine import KEEP_PAGES, allocator, keeping_pages
from mien.runs import Run
from mien.stages import finish_run

finish = find_engine("local").finish
Diary = list[tuple[str, Update]]


@pytest.fixture
def quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes from a server that has torch loaded, in place of those that load it each time."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: mortal.SERVER)
    monkeypatch.setattr(local, "waiting_now", lambda: "spinning")


def runs_of(folder: Path, store: Store, seeds: int = 2, **changes: Any) -> list[Run]:
    return [plan_run(folder, store, seed=seed, **changes) for seed in range(seeds)]


def weights(run: Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("quick_processes")
def test_a_run_is_finished_in_a_process_of_its_own(tmp_path: Path, store: Store) -> None:
    told: Diary = []
    here = plan_run(tmp_path / "here", store)
    finish_run(here)
    (run,) = runs_of(tmp_path / "there", store, seeds=1)
    finish([run], lambda run, progress: told.append((run.id, progress)))
    assert run.finished
    assert weights(run) == weights(here)
    assert [progress.done if isinstance(progress, Progress) else None for _, progress in told] == [
        *(pytest.approx(step / 15) for step in range(1, 16)), None,
    ]  # fmt: skip
    costs = run.record.costs
    assert costs.predict_batch == 64
    assert costs.predict_peak_mb > 0
    assert costs.predict_images_per_second > 0
    assert costs.train_peak_mb > 0


def test_the_record_says_how_it_was_computed(tmp_path: Path, store: Store) -> None:
    chunked, whole = (plan_run(tmp_path, store, train__micro_batch=size) for size in (4, 0))
    told = []
    for run in (chunked, whole):
        finish_run(run)
        told.append(json.loads((run.path / "env.json").read_text(encoding="utf-8"))["training"])
    assert told[0]["passes"] == "chunks of at most 4, gradients add up"
    assert told[0]["batch norm"] == "statistics of a chunk"
    assert told[1]["passes"] == "whole batches"
    assert told[1]["batch norm"] == "statistics of the batch"


def test_finished_runs_are_left_alone_and_told(tmp_path: Path, store: Store, inline: list[str]) -> None:
    runs = runs_of(tmp_path, store)
    finish(runs, lambda run, progress: None)
    assert inline == ["finish 0", "finish 1", "measure 0"]
    told: Diary = []
    finish(runs, lambda run, progress: told.append((run.id, progress)))
    assert len(inline) == 3
    assert told == [(run.id, None) for run in runs]


def test_a_run_that_was_never_measured_is_measured_and_not_trained(
    tmp_path: Path, store: Store, inline: list[str]
) -> None:
    (run,) = runs_of(tmp_path, store, seeds=1)
    finish_run(run)
    finish([run], lambda run, progress: None)
    assert inline == ["measure 0"]
    assert run.record.costs.predict_batch == 64


def test_a_crash_while_measuring_leaves_the_run_finished(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs_of(tmp_path, store, seeds=1)
    finish_run(run)
    monkeypatch.setattr(local, "_in_fresh_process", lambda *_: -signal.SIGKILL)
    finish([run], lambda run, progress: None)
    assert run.finished
    assert run.record.costs.predict_batch == 0


def test_peeking_is_taught_to_runs_that_are_finished(tmp_path: Path, store: Store, inline: list[str]) -> None:
    runs = runs_of(tmp_path, store, seeds=1)
    finish(runs, lambda run, progress: None)
    before = weights(runs[0])
    finish(runs, lambda run, progress: None, hooks=["peeking"])
    assert inline == ["finish 0", "measure 0", "peeking 0"]
    assert weights(runs[0]) == before
    peeked = runs[0].peeking
    assert peeked["epoch"].tolist() == [1, 2, 3]
    assert not (runs[0].path / "epochs").exists()
    finish(runs, lambda run, progress: None, hooks=["peeking"])
    assert len(inline) == 3


def test_a_failed_run_is_marked_the_grid_goes_on_and_it_is_not_tried_again(
    tmp_path: Path, store: Store, inline: list[str]
) -> None:
    runs = [
        plan_run(tmp_path, store, optimizer__lr=lr, optimizer__name="sgd", optimizer__momentum=0.99)
        for lr in (100.0, 1e-3)
    ]
    finish(runs, lambda run, progress: None)
    assert [run.record.status for run in runs] == ["failed", "finished"]
    finish(runs, lambda run, progress: None)
    assert inline == ["finish 0", "finish 0", "measure 0"]
    failed, fine = collect(runs, vary=["optimizer.lr"]).rows
    assert len(fine.scores) == 1
    assert failed.failures[0].startswith(f"{runs[0].id}: The ")
    assert "Lower optimizer.lr" in failed.failures[0]


@pytest.mark.long
@pytest.mark.usefixtures("quick_processes")
def test_a_crashed_run_is_marked_the_grid_goes_on_and_it_is_tried_again(tmp_path: Path, store: Store) -> None:
    runs = runs_of(tmp_path, store)

    def murder(run: Run, progress: Update) -> None:
        if run.id == runs[0].id and isinstance(progress, Progress) and progress.done > 0.3:
            for child in multiprocessing.active_children():
                child.kill()

    finish(runs, murder)
    assert [run.record.status for run in runs] == ["crashed", "finished"]
    assert runs[0].record.reason == (
        "Its process was ended by SIGKILL; it may have run out of memory. The same command tries it again."
    )
    meanwhile = set()
    finish(runs, lambda run, progress: meanwhile.add((run.record.status, run.record.reason)) if progress else None)
    assert meanwhile == {("running", "")}
    assert [run.record.status for run in runs] == ["finished", "finished"]
    assert runs[0].record.reason == ""
    undisturbed = plan_run(tmp_path / "undisturbed", store)
    finish_run(undisturbed)
    assert weights(runs[0]) == weights(undisturbed)


@pytest.mark.long
@pytest.mark.usefixtures("quick_processes")
def test_a_run_that_crashes_once_is_finished_in_the_same_command(tmp_path: Path, store: Store) -> None:
    (run,) = runs_of(tmp_path, store, seeds=1)
    told: list[str] = []

    def murder_once(run: Run, progress: Update) -> None:
        if isinstance(progress, str):
            told.append(progress)
        elif progress and progress.done > 0.3 and not told:
            for child in multiprocessing.active_children():
                child.kill()

    finish([run], murder_once)
    assert run.finished
    assert run.record.reason == ""
    assert told == ["Its process was ended by SIGKILL; it may have run out of memory. It is tried again."]
    undisturbed = plan_run(tmp_path / "undisturbed", store)
    finish_run(undisturbed)
    assert weights(run) == weights(undisturbed)


@pytest.mark.usefixtures("quick_processes")
def test_a_refusal_in_the_process_is_its_sentence_here(tmp_path: Path, bars: Bars) -> None:
    store = bars()
    (run,) = runs_of(tmp_path / "runs", store, seeds=1)
    store.path.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is not a store"):
        finish([run], lambda run, progress: None)
    assert run.record.status == "running"


@pytest.mark.usefixtures("quick_processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_run_under_way_and_starts_no_other(
    tmp_path: Path, store: Store, number: signal.Signals
) -> None:
    runs = runs_of(tmp_path, store, train__epochs=400)
    told: Diary = []

    def strike(run: Run, progress: Progress | None) -> None:
        told.append((run.id, progress))
        if len(told) == 7:
            os.kill(os.getpid(), number)

    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        finish(runs, strike)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert {run for run, _ in told} == {runs[0].id}
    assert (runs[0].path / "checkpoint.safetensors").exists()
    assert not (runs[1].path / "env.json").exists()
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("quick_processes")
def test_a_signal_that_comes_while_the_process_starts_reaches_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs_of(tmp_path, store, seeds=1, train__epochs=2000)
    start = local._start

    def struck(process: Any, besides: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        start(process, besides)

    monkeypatch.setattr(local, "_start", struck)
    with pytest.raises(KeyboardInterrupt):
        finish([run], lambda run, progress: None)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("chosen", [{}, {"MALLOC_TRIM_THRESHOLD_": "1"}, {"LD_PRELOAD": "libjemalloc.so.2"}])
def test_a_process_starts_with_pages_to_keep_unless_somebody_chose(
    chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*KEEP_PAGES, "LD_PRELOAD", "MALLOC_CONF", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.39"))
    seen: list[str] = []
    before = dict(os.environ)

    class Started:
        def start(self) -> None:
            seen.append(allocator())

    local._start(cast(BaseProcess, Started()), {})
    said = ", ".join(f"{name}={value}" for name, value in chosen.items())
    assert seen == [said or "keeps its pages"]
    assert dict(os.environ) == before


@pytest.mark.parametrize("library", [("glibc", "2.31"), ("musl", "1.2.4"), ("", "")])
def test_other_c_libraries_are_asked_for_nothing(library: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: library)
    assert keeping_pages() == {}


def test_progress_into_a_closed_pipe_is_nothing(tmp_path: Path) -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    receiver.close()
    progress = Progress(epoch=1, epochs=2, done=0.1, loss=1.0, accuracy=0.5, images_per_second=10.0)
    assert local._progress_sender(sender, 0, set())(progress)
    assert not local._progress_sender(sender, 0, {0})(progress)


@pytest.mark.parametrize(
    ("code", "says"), [(-9, "SIGKILL; it may have run out of memory"), (-11, "by SIGSEGV."), (1, "code 1;")]
)
def test_a_crash_says_how(code: int, says: str) -> None:
    assert says in local._crash(code)


def test_the_device_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_DEVICE", "meta")
    assert pick_device().type == "meta"


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("MIEN_DEVICE", name)
    with pytest.raises(ConfigError, match=f"MIEN_DEVICE is '{name}' and cannot be used"):
        pick_device()
