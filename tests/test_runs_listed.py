"""`mien runs`: the list and what it leaves out, the index that changes no answer, and the removal of runs."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import plan_run
from made_runs import make_runs, make_store
from mien.cli import main
from mien.data.store import Store
from mien.locks import hold
from mien.runs import Run, alike, find_runs, index, read_lines
from mien.runs.index import index_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for caches of its own, and an index for as few runs as the tests have."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "FEWEST", 1)
    monkeypatch.setattr(index, "FRESH_SECONDS", -60.0)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six finished runs, one that failed, one that was only planned."""
    store = make_store(tmp_path / "store")
    runs = make_runs(tmp_path / "runs", store, networks=("vgg16", "resnet34"), dropouts=(0.0, 0.2), seeds=2, epochs=3)
    runs[0].update(status="failed", reason="The training loss became nan.\nAt once.", stages=())
    for name in ("record.json", "env.json", "history.csv", "logits.npz"):
        (runs[1].path / name).unlink()
    return tmp_path / "runs"


@pytest.fixture
def listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the verb on the folder: exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["runs", str(folder), *words])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


Listed = Callable[..., tuple[int, str, str]]


def ids(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_a_line_a_run_and_only_settings_that_differ_are_columns(listed: Listed, folder: Path) -> None:
    code, out, err = listed()
    head, first, *_ = out.splitlines()
    assert code == 0
    assert head.split() == [
        "run", "status", "epoch", "valid", "seed", "model.name", "model.dropout", "model.head", "reason",
    ]  # fmt: skip
    assert ids(out) == [run.id for run in find_runs(folder)]
    assert "failed" in out
    assert "The training loss became nan. At once." in out
    assert first.split()[2] == "3/3"
    assert err == f"8 runs in {folder}: 1 planned, 6 finished, 1 failed.\n"


def test_what_all_share_is_no_column(listed: Listed) -> None:
    _, out, _ = listed("--where", "model.name=resnet34", "-w", "model.dropout=0")
    assert out.splitlines()[0].split() == ["run", "status", "epoch", "valid", "seed"]
    _, out, _ = listed("--where", "model.name=resnet34", "-w", "model.dropout=0", "-w", "seed=1")
    assert out.splitlines()[0].split() == ["run", "status", "epoch", "valid"]


def test_filters_are_all_met_and_a_list_means_any(listed: Listed) -> None:
    assert len(ids(listed("--where", "model.name=vgg16")[1])) == 4
    assert len(ids(listed("--where", "seed=[0,1]")[1])) == 8
    assert len(ids(listed("--where", "seed=0", "--where", "seed=1")[1])) == 8
    assert len(ids(listed("--where", "seed=1", "--where", "model.dropout=0.2")[1])) == 2
    assert len(ids(listed("--status", "failed", "--status", "planned")[1])) == 2
    assert listed("--where", "seed=7")[1] == ""
    assert listed("--where", "features.descriptor=hog")[1] == "", "a setting that a kind lacks has no value"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--where", "model.nme=vgg16"], "Did you mean 'model.name'?"),
        (["--where", "seed"], "An override is KEY=VALUE"),
        (["--where", "seed=first"], "seed is a whole number"),
        (["--status", "done"], "--status is one of planned, running, finished"),
        (["--prune"], "--prune removes the runs that are listed. Say which"),
        (["--prune", "--status", "failed"], "Pass --yes."),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    listed: Listed, folder: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    code, out, err = listed(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert len(find_runs(folder)) == 8


def test_json_says_what_is_equal_once_and_what_differs_with_each(listed: Listed, folder: Path) -> None:
    code, out, err = listed("--json")
    said = json.loads(out)
    assert (code, err, said["count"]) == (0, "", 8)
    assert said["equal"]["train.epochs"] == 3
    for each, run in zip(said["runs"], find_runs(folder), strict=True):
        assert {**said["equal"], **each["settings"]} == json.loads(json.dumps(run.settings.flat()))
        assert each["fingerprint"] == run.data.fingerprint
        assert set(each["settings"]) == set(said["varying"])
    finished = [each for each in said["runs"] if each["status"] == "finished"]
    for each in finished:
        run = Run.open(folder / each["id"])
        assert each["valid_accuracy"] == run.history[run.record.selected_epoch - 1].valid_accuracy


def test_the_index_reads_no_folder_twice_and_changes_no_answer(
    listed: Listed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = listed("--json")
    assert index_path(folder).is_file()  # type: ignore[union-attr]
    read: list[str] = []
    real = index.read_line
    monkeypatch.setattr(index, "read_line", lambda path: read.append(path.name) or real(path))
    assert listed("--json") == first
    assert read == []
    changed = find_runs(folder)[3]
    changed.update(status="crashed", reason="Its process ended.")
    again = listed("--json")[1]
    assert read == [changed.id]
    index_path(folder).unlink()  # type: ignore[union-attr]
    assert listed("--json")[1] == again
    assert len(read) == 9


def damage(place: Path, how: str) -> None:
    content = place.read_bytes()
    if how == "cut":
        place.write_bytes(content[: len(content) // 2])
    elif how == "another figure":  # valid JSON still
        assert b'"failed"' in content
        place.write_bytes(content.replace(b'"failed"', b'"pruned"'))
    elif how == "another version":
        body = content.partition(b"\n")[2].replace(b'"known":"', b'"known":"0')
        place.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    elif how == "another type":
        place.write_bytes(hashlib.sha256(b"[1]").hexdigest().encode() + b"\n[1]")
    elif how == "empty":
        place.write_bytes(b"")
    else:
        place.unlink()
        place.mkdir()


@pytest.mark.parametrize("how", ["cut", "another figure", "another version", "another type", "empty", "a folder"])
def test_a_damaged_index_is_made_anew(listed: Listed, folder: Path, how: str) -> None:
    first = listed("--json")
    place = index_path(folder)
    assert place is not None
    whole = place.read_bytes()
    damage(place, how)
    assert listed("--json") == first
    if how != "a folder":
        assert place.read_bytes() == whole


def test_lists_of_settings_come_back_as_they_were(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path / "runs", store, train__sizes=(8, 16))
    first, again = read_lines(tmp_path / "runs"), read_lines(tmp_path / "runs")
    assert first == again
    assert again[0].settings == run.settings.flat()
    assert alike([line.settings for line in again]) == run.settings.flat()


def test_a_file_that_changed_a_moment_ago_is_read_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "FRESH_SECONDS", 2.0)
    run = plan_run(tmp_path / "runs", store)
    run.update(status="failed")
    seen = os.stat(run.path / "record.json")
    assert read_lines(tmp_path / "runs")[0].status == "failed"
    content = (run.path / "record.json").read_text().replace("failed", "pruned")
    (run.path / "record.json").write_text(content)  # in place, of the same length
    os.utime(run.path / "record.json", ns=(seen.st_atime_ns, seen.st_mtime_ns))  # within a tick of the clock
    assert read_lines(tmp_path / "runs")[0].status == "pruned"


@pytest.mark.parametrize("cache_is", ["a file", "read-only", "nowhere"])
def test_without_a_cache_the_answer_is_the_same(
    listed: Listed, tmp_path: Path, cache_is: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = listed("--json")
    other = tmp_path / "other"
    if cache_is == "a file":
        other.write_text("")
    elif cache_is == "read-only":
        other.mkdir()
        other.chmod(stat.S_IRUSR | stat.S_IXUSR)
        monkeypatch.setattr("mien.runs.index.write_bytes", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(other))
    if cache_is == "nowhere":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert listed("--json") == first


def test_readers_take_no_lock_and_write_nothing_beside_the_runs(listed: Listed, folder: Path) -> None:
    for run in find_runs(folder):
        (run.path / "lock").unlink(missing_ok=True)
    before = sorted(folder.rglob("*"))
    with hold(find_runs(folder)[0].path / "lock"):
        assert listed()[0] == 0
    (find_runs(folder)[0].path / "lock").unlink()
    assert sorted(folder.rglob("*")) == before


def test_a_damaged_folder_is_a_line(listed: Listed, folder: Path) -> None:
    run = find_runs(folder)[2]
    (run.path / "history.csv").write_text("nothing")
    code, out, err = listed("--status", "damaged")
    assert code == 0
    assert ids(out) == [run.id]
    assert "history.csv is damaged" in out
    assert "1 of 8 runs" in err
    (run.path / "config.toml").unlink()
    assert ids(listed("--status", "damaged")[1]) == [run.id]
    assert run.id not in ids(listed("--where", "seed=[0,1]")[1])


def test_methods_without_epochs_have_their_accuracy_on_valid(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    (run,) = make_runs(tmp_path / "runs", store, networks=("vgg16",), dropouts=(0.0,))
    (run.path / "history.csv").unlink()
    (line,) = read_lines(tmp_path / "runs")
    assert (line.epochs, line.valid_accuracy) == (0, run.logits("valid").accuracy)


def test_prune_removes_what_is_listed_and_nothing_else(listed: Listed, folder: Path) -> None:
    gone = {line.id for line in read_lines(folder) if line.status == "failed"}
    before = {run.id for run in find_runs(folder)}
    beside = sorted(path.name for path in folder.iterdir() if path.name not in before)
    code, _, err = listed("--status", "failed", "--prune", "--yes")
    assert code == 0
    assert "Removed 1 of 1 runs." in err
    assert {run.id for run in find_runs(folder)} == before - gone
    assert sorted(path.name for path in folder.iterdir() if path.name not in before) == beside


@pytest.mark.parametrize(("answer", "left"), [("y", 7), ("n", 8)])
def test_prune_asks(folder: Path, answer: str, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, **_: asked.append(question) or answer == "y")
    with pytest.raises(SystemExit):
        main(["runs", str(folder), "--status", "failed", "--prune"])
    assert asked == ["Remove 1 of 8 runs?"]
    assert len(find_runs(folder)) == left


def test_a_run_that_is_worked_in_stays(folder: Path, cache: Path) -> None:
    busy = next(run for run in find_runs(folder) if run.finished)
    words = [sys.executable, "-m", "mien", "runs", str(folder), "--status", "finished", "--prune", "--yes"]
    with hold(busy.path / "lock"):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"mien: Another process works in {busy.path}." in done.stderr
    assert "Removed 5 of 6 runs." in done.stderr
    assert busy.finished


def test_what_cannot_be_removed_is_said_and_the_others_go(
    listed: Listed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, rename = next(run for run in find_runs(folder) if run.finished), os.rename

    def fail(source: Any, target: Any) -> None:
        if Path(source) == stays.path:
            raise PermissionError(13, "Permission denied", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    code, _, err = listed("--status", "finished", "--prune", "--yes")
    assert code == 1
    assert f"mien: {stays.path} cannot be removed (Permission denied)." in err
    assert "Removed 5 of 6 runs." in err
    assert stays.path in [run.path for run in find_runs(folder)]
    assert Run.open(stays.path).finished
