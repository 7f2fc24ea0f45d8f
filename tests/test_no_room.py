"""A full or read-only disk, and a stdout that takes nothing: one sentence, exit code 2, nothing half written.

The table has every verb that writes, and every one that prints. A verb that is not in it fails a test.
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer

from made_runs import make_runs, make_store
from mien.checkpoint import save_tensors
from mien.cli import VERBS, app, main
from mien.data.drawn import draw_scene
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Store
from mien.initial import build_network
from mien.runs import Run
from tiny_bundle import write_bundle

WRITES = {
    "predict": ["predict --model tiny.onnx --faces none face.png --draw drawn"],
    "info": [],
    "serve": [],
    "export": ["export {run} --out new.onnx"],
    "data prepare": ["data prepare corpus -c folder --labels own -o new"],
    "data draw": ["data draw --count 14 --size 24 -o new", "data draw --count 14 --size 24 -o home --force"],
    "data info": [],
    "data audit": ["data audit home", "data audit home --page page.html", "data audit home --drop leaks -o new"],
    "data join": ["data join home twin -o new"],
    "data teach": ["data teach home -m tiny.onnx -o new"],
    "compare": ["compare demo --data home --set model.name=compact-s"],
    "ensemble": ["ensemble runs --out report"],
    "tune": ["tune demo --data home --over model.dropout --trials 1 --set model.name=compact-s"],
    "report": ["report runs --out report/below/it --no-faces"],
    "runs": ["runs runs --export-mlflow mlruns"],
    "evaluate": ["evaluate tiny.onnx --data home --out report"],
    "robustness": ["robustness runs --limit 7"],
    "across": ["across runs --data other"],
    "noise": ["noise runs --page doubts.html"],
    "spot": ["spot film.avi --out seen"],
    "explain": ["explain face.png --model tiny.onnx --faces none --out seen", "explain runs --truth --limit 7"],
}
"""What each verb writes with; `{run}` is a run folder."""
SLOW = ("export", "report", "evaluate")
ROWS = [
    pytest.param(words, marks=[pytest.mark.long] if words.split()[0] in SLOW else [])
    for each in WRITES.values()
    for words in each
]
PRINTS = [
    "--version",
    "--help",
    "predict --help",
    "info tiny.onnx",
    "info tiny.onnx --json",
    "data info home",
    "runs runs",
    "runs runs --json",
    "data draw --count 14 --size 24 -o new{n}",
    "predict --model tiny.onnx --faces none face.png",
]
"""What prints; `{n}` keeps the files of two apart."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the verbs need; nobody writes into it."""
    folder = tmp_path_factory.mktemp("made")
    torch.set_num_threads(1)
    draw_store(folder / "home", count=140, size=24)
    make_store(folder / "other", test=28, size=24, corpus="other")
    home = Store.open(folder / "home")
    shutil.copytree(folder / "home", folder / "twin")
    meta = folder / "twin" / "meta.json"
    meta.write_text(meta.read_text().replace(f'"corpus": "{home.meta.corpus}"', '"corpus": "twin"'))
    changes = {"networks": ("compact-s",), "dropouts": (0.0,), "seeds": 2, "epochs": 2}
    for run in make_runs(folder / "runs", home, **changes):  # type: ignore[arg-type]
        network = build_network(run.settings, divide(home, run.settings.data).train, torch.device("cpu"))
        save_tensors(run, "model.safetensors", network.state_dict(), {})
    write_bundle(folder / "tiny.onnx", labels=home.meta.labels, crop=home.meta.crop)
    scene = draw_scene(1, seed=3, height=240, width=320).image
    film = cv2.VideoWriter(str(folder / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for _ in range(12):
        film.write(scene[..., ::-1].copy())
    film.release()
    picture = np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)
    for place in ("face.png", "corpus/train/anger/1.png", "corpus/test/anger/2.png", "corpus/train/fear/3.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / place), picture // (1 + len(place) % 5))
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    return tmp_path / "made"


def verbs() -> Iterator[str]:
    group = typer.main.get_group(app)
    for name in VERBS:
        command = group.get_command(None, name)
        inner = getattr(command, "commands", None)
        yield from (f"{name} {verb}" for verb in inner) if inner else (name,)


def test_every_verb_is_in_the_table() -> None:
    assert set(verbs()) == set(WRITES)


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name not in ("lock", "test_openings.csv")  # an opening is noted before anything is seen
    }


def full(call: Callable[..., None]) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fail


def read_only(call: Callable[..., None]) -> Callable[..., None]:
    def fail(path: object, *rest: object, **options: object) -> None:
        if os.path.isdir(path):  # type: ignore[arg-type]
            call(path, *rest, **options)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))  # type: ignore[call-overload]

    return fail


@pytest.mark.parametrize(("call", "broken"), [("fsync", full), ("mkdir", read_only)], ids=["full", "read-only"])
@pytest.mark.parametrize("words", ROWS)
def test_a_disk_that_takes_nothing_is_one_sentence(
    place: Path,
    words: str,
    call: str,
    broken: Callable[..., Callable[..., None]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = next((place / "runs").iterdir())
    before = everything(place)
    monkeypatch.setattr(os, call, broken(getattr(os, call)))
    with pytest.raises(SystemExit) as end:
        main(words.format(run=run.relative_to(place)).split())
    monkeypatch.undo()
    _, said = capfd.readouterr()
    assert end.value.code == 2, said
    lines = [line for line in said.splitlines() if line.startswith("mien: ")]
    assert len(lines) == 1
    assert os.strerror(errno.ENOSPC if call == "fsync" else errno.EROFS) in lines[0]
    assert ".partial-" not in said, "users know nothing of temporary folders"
    after = everything(place)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name, content in after.items() if name not in before and content is not None]
    assert Run.open(run).record.status == "finished"


# stdout


def start(place: Path, words: str, **streams: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mien", *words.split()], cwd=place, stderr=subprocess.PIPE, text=True, **streams,  # type: ignore[call-overload]
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_stdout_is_one_sentence(place: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as sink:
        started = {words: start(place, words.format(n=n), stdout=sink) for n, words in enumerate(PRINTS)}
    for words, process in started.items():
        _, said = process.communicate(timeout=120)
        assert said.splitlines()[-1] == "mien: The results cannot be written (No space left on device).", words
        assert process.returncode == 2, words
        assert "Traceback" not in said


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="a shell closes it")
def test_a_closed_stdout_is_one_sentence_and_a_closed_stderr_none(place: Path) -> None:
    for closed, code, expected in (
        (">&-", 2, "mien: The standard output is closed. Send it to a file, or to the null device.\n"),
        ("2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
    ):
        line = f"exec {sys.executable} -m mien info tiny.onnx {closed}"
        done = subprocess.run(["sh", "-c", line], cwd=place, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, expected)
        assert bool(done.stdout) == (code == 0)


@pytest.mark.long
def test_a_reader_that_went_away_is_no_error(place: Path) -> None:
    for words in ("info tiny.onnx --json", "data info home", "--help"):
        process = start(place, words, stdout=subprocess.PIPE)
        process.stdout.close()  # type: ignore[union-attr]
        _, said = process.communicate(timeout=60)
        assert said == ""
        assert process.returncode in (141, 1), "1 is Typer's, for its own help"
