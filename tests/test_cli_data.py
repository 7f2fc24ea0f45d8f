"""`mien data`: the verbs, what they print, and their exit codes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import corpora_made as made
from mien import progress
from mien.cli import main


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A store with a leak, made by the command line."""
    root = made.folders(tmp_path / "corpus")
    made.save(root / "test/happy/copy.png", 30)
    assert run("data", "prepare", root, "--corpus", "folder", "--out", tmp_path / "store", "--grey") == 0
    out = capsys.readouterr().out
    assert "happiness" in out
    assert "1 test in train" in out
    return tmp_path / "store"


def test_prepare_prints_json_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = made.rafdb(tmp_path / "corpus")
    assert run("data", "prepare", root, "-c", "rafdb", "-o", tmp_path / "s", "--size", 64, "--json") == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == ""
    assert said["meta"]["crop"] == {"size": 64, "channels": 3, "margin": 0.0}
    assert said["meta"]["count"] == 28
    assert said["audit"]["images"] == 28


def test_info(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "info", store) == 0
    out = capsys.readouterr().out
    assert "43 of 48×48 grey" in out
    assert run("data", "info", store, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"]["test"]["happiness"] == 4
    assert said["meta"]["corpus"] == "folder"


def test_audit_writes_findings_and_page_beside_the_store(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "audit", store) == 0
    out = capsys.readouterr().out
    assert "1 test in train" in out
    assert "mien data audit" in out
    folder = store.parent / "store-audit"
    assert (folder / "audit.html").read_text().startswith("<!doctype html>")
    assert "test/happy/copy.png" in (folder / "findings.csv").read_text()
    said = json.loads((folder / "findings.json").read_text())
    assert [len(one["images"]) for one in said["findings"] if one["across_splits"]] == [2]
    assert said["exact_across_splits"]["test"] == {"train": 1}


def test_audit_writes_where_it_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = store.parent / "pages" / "p.html"
    page.parent.mkdir()
    assert run("data", "audit", store, "--page", page, "--no-faces") == 0
    assert "data:image" not in page.read_text()
    assert sorted(path.name for path in page.parent.iterdir()) == ["findings.csv", "findings.json", "p.html"]
    capsys.readouterr()
    assert run("data", "audit", store, "--out", store.parent / "found", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["findings"] == str(store.parent / "found" / "findings.json")
    assert said["next"].startswith("mien data audit ")
    assert run("data", "audit", store, "--out", store) == 2
    assert "is a store; findings go elsewhere" in capsys.readouterr().err


def test_audit_drops_leaks(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = store.parent / "clean"
    assert run("data", "audit", store, "--drop", "leaks", "--drop", "blanks", "--out", out, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["cleaned"]["count"] == 42
    assert said["audit"]["exact_across_splits"] == {"train": {"test": 1}, "test": {"train": 1}}
    assert "train/happy/train_0.png,train,leaks" in (out / "dropped.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "audit", "STORE", "--drop", "leaks"], "--drop writes a cleaned store: say where with --out"),
        (["data", "audit", "STORE", "--drop", "dirt", "--out", "x"], "got ['dirt']"),
        (["data", "audit", "STORE", "--page", "STORE/no/p.html"], "cannot be written"),
        (["data", "audit", "nowhere"], "not a store"),
        (["data", "info", "nowhere"], "not a store"),
        (["data", "draw", "--out", "STORE"], "--force"),
        (["data", "draw", "--out", "new", "--count", "0"], "Cannot draw 0 faces"),
        (["data", "prepare", ".", "-c", "folder", "-o", "new", "--size", "4"], "8 to 1024"),
        (["data", "prepare", ".", "-c", "folder", "-o", "new", "--labels", "nine"], "seven, eight or own"),
        (
            ["data", "prepare", ".", "-c", "rafdb", "-o", "new", "--public-test", "test"],
            "--public-test is for fer2013 and ferplus, and rafdb has no such thing; leave it out",
        ),
        (
            ["data", "prepare", ".", "-c", "fer2013", "-o", "new", "--original-votes", "3"],
            "is for ferplus, and fer2013",
        ),
        (["data", "prepare", ".", "-c", "folder"], "--out"),
        (["data", "prepare", ".", "-c", "folder", "-o", "new", "--size", "big"], "--size"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    store: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    assert run(*[word.replace("STORE", "store") for word in arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err


def test_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "draw", "--count", 30, "--size", 32, "--seed", 5, "--out", tmp_path / "d", "--json") == 0
    meta = json.loads(capsys.readouterr().out)["meta"]
    assert (meta["count"], meta["corpus"]) == (30, "drawn")
    assert "seed 5" in meta["notes"][0]


def test_a_terminal_sees_a_bar_on_stderr_and_a_pipe_sees_none(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "corpus")
    command = [sys.executable, "-m", "mien", "data", "prepare", str(root), "-c", "folder", "--json"]
    quiet = subprocess.run([*command, "-o", str(tmp_path / "a")], capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    leader, follower = pty.openpty()
    with subprocess.Popen([*command, "-o", str(tmp_path / "b")], stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        seen = b""
        try:
            while block := os.read(leader, 4096):
                seen += block
        except OSError:
            pass  # Linux says so when the other end of a terminal closes
        assert process.stdout is not None
        json.loads(process.stdout.read())
    assert b"Preparing folder" in seen
    assert process.returncode == 0


def test_plain_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    assert list(progress.track(range(6), "Preparing x", 6)) == list(range(6))
    assert capsys.readouterr().err.splitlines() == [
        "Preparing x: 3 of 6, about 30 s left",
        "Preparing x: 6 of 6, about 0 s left",
    ]
    with progress.progress("Counting") as advance:
        for _ in range(3):
            advance(100)
    assert capsys.readouterr().err.splitlines() == ["Counting: 300 in 30 s"]
