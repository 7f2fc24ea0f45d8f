"""A batch of tries in a process of its own, so that a crash, a hang or a gigabyte is seen and its seed is named.

with trying("jpeg", 7, "bits 3 flipped"): ...   # in the process: says what is tried, and how long it took if long
in_a_process(__file__, "jpeg", 100, 50)         # in the test: runs the file, and asserts what must hold
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["MEMORY_KB", "SECONDS", "end", "in_a_process", "needs_proc", "trying"]

MEMORY_KB = 1_000_000
"""At most, of the whole process, with torch in it where that is loaded."""
SECONDS = 20.0
"""For one try, on a busy machine."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads VmHWM from /proc")


@contextmanager
def trying(kind: str, seed: int, what: str) -> Iterator[None]:
    """Around one try: the process's last line names the one that it died of."""
    print(f"\n{kind} {seed} {what!r}", end="", file=sys.__stdout__, flush=True)
    started = time.perf_counter()
    yield
    if (took := time.perf_counter() - started) > SECONDS:
        print(f" SLOW: {took:.0f} s", end="", file=sys.__stdout__)


def end() -> None:
    """All tries were made: say so, and the most memory that the process had, in kB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    print(f"\nend\n{peak}")


def in_a_process(script: str, *arguments: object, tries: int) -> None:
    """Run a file of tests with arguments, and assert that it ended well, in bounded time and memory."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 + tries * SECONDS, check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, ""), f"{lines[-1:]} {done.stderr[-2000:]}"
    assert lines[-2] == "end", lines[-1]
    assert sum(line.startswith(f"{arguments[0]} ") for line in lines) == tries
    assert not (slow := [line for line in lines if "SLOW" in line]), slow
    assert int(lines[-1]) < MEMORY_KB, f"{arguments}: {lines[-1]} kB"
