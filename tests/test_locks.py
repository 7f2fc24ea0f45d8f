"""One process at a time, and nothing that stands in the lock's place is touched."""

from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from conftest import plan_run
from mien.data.store import Store
from mien.errors import RunBusy, RunError
from mien.locks import hold, is_held_here
from mien.runs import Run
from mortal import SERVER


def try_to_hold(path: Path) -> None:
    with hold(path, wait=0.1):
        pass


def from_elsewhere(path: Path) -> int | None:
    """The code of another process that tries to hold the lock: 0 where it can."""
    process = SERVER.Process(target=try_to_hold, args=(path,))
    process.start()
    process.join(60)
    return process.exitcode


def test_one_process_holds_it_again_and_others_wait_in_vain(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path):
        with hold(path):
            assert is_held_here(path)
        assert is_held_here(path), "the inner one gave back only what it took"
        assert from_elsewhere(path) == 1
    assert not is_held_here(path)
    assert from_elsewhere(path) == 0


def test_what_stands_in_its_place_is_left_as_it_is(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious", encoding="utf-8")
    (tmp_path / "soft").symlink_to(precious)
    (tmp_path / "hard").hardlink_to(precious)
    with pytest.raises(OSError, match="is a link; remove it"), hold(tmp_path / "soft"):
        pass
    with hold(tmp_path / "hard"):
        pass
    assert precious.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_run_whose_lock_is_something_else_is_a_sentence(tmp_path: Path, store: Store, kind: str) -> None:
    run = plan_run(tmp_path, store)
    if kind == "link":
        (run.path / "lock").symlink_to(tmp_path / "elsewhere")
    else:
        (run.path / "lock").mkdir()
    for act in (lambda: run.lock().__enter__(), lambda: run.update(status="failed")):
        with pytest.raises(RunError, match="Cannot write into"):
            act()
    assert not (tmp_path / "elsewhere").exists()


def test_a_record_is_changed_under_the_lock_alone(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan_run(tmp_path, store)
    with run.lock():
        run.update(selected_epoch=3)
    monkeypatch.setattr("mien.runs.run.UPDATE_SECONDS", 0.1)
    process = SERVER.Process(target=_keep, args=(run.path, gate := SERVER.Event(), done := SERVER.Event()))
    process.start()
    assert gate.wait(60)
    with pytest.raises(RunBusy):
        run.update(selected_epoch=4)
    done.set()
    process.join(60)
    assert run.record.selected_epoch == 3


def _keep(path: Path, gate: Event, done: Event) -> None:
    with Run.open(path).lock():
        gate.set()
        done.wait(60)
