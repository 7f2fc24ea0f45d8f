"""The quickstart as a reader types it: every command of the page, in its order, in one folder, ten times in a row.

The commands are read from the page, so what is tried is what is written. Ten times on two threads, because the page's
own comparison once ended in heap corruption on some processors, in about every second run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "quickstart.md"
SOURCE = Path(__file__).parents[1] / "src"
FENCE = re.compile(r"^```(console|python runnable)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("make demo", ". .venv/bin/activate")
"""What sets the clone up; the rest of the page is typed after it."""
TIMES = 10
PATIENCE_S = 1800


def steps() -> list[tuple[str, str]]:
    """Commands and programs of the page in order, each with its kind: "console" or "python runnable"."""
    found: list[tuple[str, str]] = []
    for kind, body in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "console":
            found += [(kind, line[2:]) for line in body.replace("\\\n", " ").splitlines() if line.startswith("$ ")]
        else:
            found.append((kind, body))
    return [(kind, text) for kind, text in found if text not in ELSEWHERE]


def test_the_steps_are_those_of_the_page() -> None:
    texts = [text for _, text in steps()]
    verbs = [words.split()[1] for words in texts if words.startswith("mien ")]
    assert verbs[:3] == ["--help", "data", "data"]
    assert verbs.count("compare") == 2
    assert {"report", "export", "info", "predict"} <= set(verbs)
    assert sum(kind != "console" for kind, _ in steps()) == 1


@pytest.mark.long
@pytest.mark.skipif(shutil.which("bash") is None, reason="the page's commands are typed into bash")
@pytest.mark.parametrize("time", range(TIMES))
def test_every_command_of_the_page_ends_well(time: int, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    mien = tools / "mien"
    mien.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mien "$@"\n', encoding="utf-8")
    mien.chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "2"}
    for kind, text in steps():
        words = ["bash", "-c", text] if kind == "console" else [sys.executable, "-c", text]
        done = subprocess.run(
            words, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr
        assert "free(): invalid" not in done.stderr
    assert (here / "report/report.html").is_file()
    assert (here / "report-folds/report.html").is_file()
    assert (here / "mine.onnx").is_file()
