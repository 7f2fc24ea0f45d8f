"""What holds on every system: imports, text files, and the verbs without what only POSIX has."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mien"
WORDS = "_posixsubprocess crypt curses fcntl grp nis posix pty pwd readline resource spwd syslog termios tty"
POSIX_ONLY = set(WORDS.split())
TREES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}


def at_the_top(tree: ast.AST) -> Iterator[ast.AST]:
    """All that runs when a module is imported: not the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_the_top(node)


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in at_the_top(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_no_module_imports_a_posix_only_one_at_its_top() -> None:
    assert {name: found for name, tree in TREES.items() if (found := imported(tree) & POSIX_ONLY)} == {}


@pytest.mark.parametrize("code", ["import os, fcntl", "try:\n    from pwd import getpwnam\nexcept ImportError: pass"])
def test_the_parser_sees_every_kind_of_import(code: str) -> None:
    assert imported(ast.parse(code)) & POSIX_ONLY
    assert not imported(ast.parse("def f():\n    import fcntl")) & POSIX_ONLY


# Text files

NOT_FILES = {"archive", "test", "sealed"}
"""Names of things that have a method `open` and are no files; so have all classes."""


def careless(tree: ast.AST) -> list[str]:
    """Calls that open a text file and do not say its encoding, or write one and do not say its line ends."""
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and not _careful(node)]


def _careful(call: ast.Call) -> bool:
    function = call.func
    method = isinstance(function, ast.Attribute)
    name = function.attr if method else function.id if isinstance(function, ast.Name) else ""
    said = {keyword.arg for keyword in call.keywords}
    if name == "read_text" and method:
        return "encoding" in said
    if name == "write_text" and method:
        return {"encoding", "newline"} <= said
    if name not in ("open", "fdopen", "TextIOWrapper", "NamedTemporaryFile") or _is_no_file(function):
        return True
    mode = _mode(call, place=0 if method and name == "open" else 1)
    needed = {"encoding", "newline"} if set(mode) & set("wax+") else {"encoding"}
    return "b" in mode or needed <= said


def _is_no_file(function: ast.expr) -> bool:
    """`Store.open(path)`, `fold.test.open()`; also `os.open`, whose files have no text mode."""
    if not isinstance(function, ast.Attribute) or function.attr != "open":
        return False
    owner = function.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name[:1].isupper() or name in NOT_FILES or name in ("os", "cls", "_film", "_disk")


def _mode(call: ast.Call, place: int) -> str:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[place : place + 1]
    return given[0].value if given and isinstance(given[0], ast.Constant) else "r"


def test_text_files_say_their_encoding_and_line_ends() -> None:
    assert {name: found for name, tree in TREES.items() if (found := careless(tree))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "open(p)", "path.open()", "path.open('w', encoding='utf-8')", "open(p, mode='a', newline='')", "p.read_text()",
        "p.write_text(t, encoding='utf-8')", "os.fdopen(d, 'w')", "x = [open(p, 'r+') for p in q]",
    ],
)  # fmt: skip
def test_a_careless_call_is_seen(code: str) -> None:
    assert careless(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "open(p, 'rb')", "path.open('wb')", "path.open(encoding='utf-8')", "Store.open(p)", "fold.test.open()",
        "path.open('w', encoding='utf-8', newline='')", "write_text(p, t)", "read_text(p)", "os.fdopen(d, 'rb')",
    ],
)  # fmt: skip
def test_a_careful_call_is_not(code: str) -> None:
    assert not careless(ast.parse(code))


# Without POSIX


def mien(folder: Path, *words: object) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "without_posix"), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "mien", *map(str, words)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def done(process: subprocess.Popen[str], code: int = 0) -> str:
    out, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return out


@pytest.mark.long
def test_the_verbs_work_without_what_only_posix_has(tmp_path: Path) -> None:
    """Prepare, predict, a comparison that is interrupted, and its resume."""
    for label in ("anger", "fear", "happiness"):
        for split, count in (("train", 12), ("valid", 4), ("test", 4)):
            folder = tmp_path / "corpus" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                picture = np.random.default_rng([len(label), len(split), i]).integers(0, 256, (24, 24, 3), np.uint8)
                cv2.imwrite(str(folder / f"{i}.png"), picture)
    done(mien(tmp_path, "data", "prepare", "corpus", "-c", "folder", "--labels", "own", "-o", "store", "--size", 16))
    assert (tmp_path / "store/samples.csv").read_bytes().count(b"train/anger/") == 12
    assert "anger" in done(mien(tmp_path, "predict", "corpus/test/anger/0.png", "--faces", "none", "--json"))
    settings = {
        "model.name": "compact-s",
        "model.dropout": 0,
        "model.width": 0.25,
        "seed": 0,
        "train.epochs": 60,
    }
    changes = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    compare = ["compare", "demo", "--data", "store", "--out", "report", "--no-faces", *changes]
    process = mien(tmp_path, *compare)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not list(tmp_path.glob("runs/*/history.csv")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    done(process, code=130)
    (run,) = tmp_path.glob("runs/*/history.csv")
    epochs = len(run.read_text(encoding="utf-8").splitlines()) - 1
    assert 0 < epochs < 60
    assert (run.parent / "checkpoint.safetensors").exists(), "it saved itself when it was told to stop"
    done(mien(tmp_path, *compare))
    assert len(run.read_text(encoding="utf-8").splitlines()) == 61
    assert (tmp_path / "report/report.html").exists()


@pytest.mark.long
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_the_types_hold_on_other_systems(system: str) -> None:
    """A module, function or constant that the system does not have is an error of type."""
    command = [sys.executable, "-m", "mypy", "--platform", system, "--cache-dir", os.devnull]
    checked = subprocess.run(command, cwd=SOURCE.parents[1], capture_output=True, encoding="utf-8", check=False)
    assert checked.returncode == 0, checked.stdout
