"""What the benchmarks share: sides that take turns in fresh processes, ratios with their range, Markdown tables.

Two figures that were taken one after the other cannot be compared: clocks, heat and neighbours drift. So each side is
a process of its own, all are started, and they take turns, A B A B; each round gives a ratio, and a table shows the
median with the least and the most. A side's peak memory is its own, since nothing else ever ran in its process.

`Side` starts a side and gives it its turns; `Turns` is the same pipe seen from inside it. A side may run in another
environment, so nothing is imported here at the top but Python's own and `mien.machine`, which is no more.
"""

import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO, TypeVar

from mien.machine import describe

__all__ = [
    "Side",
    "SideFailed",
    "Slice",
    "Turns",
    "alternate",
    "children_peak_mb",
    "conditions",
    "draw_pictures",
    "publish",
    "ratios",
    "spread",
    "table",
]

T = TypeVar("T")

DISTINCT = 1200
"""Faces that are drawn for a folder of pictures; a larger one holds copies of them."""


class SideFailed(Exception):
    """A side broke off; the text says how."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What a side did in one turn."""

    count: int
    """Images, faces, whatever the side counts."""
    seconds: float

    @property
    def rate(self) -> float:
        """Of them a second."""
        return self.count / self.seconds


class Side:
    """One side of a comparison: a fresh process that works when it is its turn."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the process.

        Args:
            name: as in the table.
            command: of a program that works through `Turns`.
            environment: variables that it gets beside those of this process.
        """
        self.name = name
        self._started = time.perf_counter()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by __exit__; a pipe would fill up
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=os.environ | dict(environment or {}),
        )

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.perf_counter() - self._started

    def turn(self, amount: int = 1, word: str = "") -> Slice:
        """Let it do `amount` of its units of work, of the kind `word`; waits until it is done."""
        return Slice(**self._asked([amount, word]))

    def finish(self) -> dict[str, Any]:
        """Let it end; returns the facts that it states about itself, such as its peak memory."""
        return self._asked(None)

    def _asked(self, question: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; what it said stands below
        answer = self._process.stdout.readline()
        if not answer:
            raise SideFailed(self._last_words())
        found: dict[str, Any] = json.loads(answer)
        return found

    def _last_words(self) -> str:
        self._process.communicate()
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()]
        return " ".join(lines[-1:]) or f"ended with code {self._process.returncode}"


class Turns:
    """A side's end of the pipe: `over` hands out work only in its turns, `close` states facts and ends.

    Takes standard output for itself; what other parts of the process print goes to standard error.
    """

    def __init__(self) -> None:
        self._answers: TextIO = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.word = ""
        """The kind of work of the turn under way."""

    def over(self, items: Iterable[T], count: int = 1) -> Iterator[T]:
        """Pass `items` through, as many in a turn as the turn asks for; the caller works on each.

        A turn's time runs from its start until the caller has worked on its last item; each counts as `count`.
        """
        source = iter(items)
        while (asked := json.loads(sys.stdin.readline())) is not None:
            amount, self.word = asked
            started = time.perf_counter()
            for _ in range(amount):
                yield next(source)
            self._answer(count=count * amount, seconds=time.perf_counter() - started)

    def close(self, **facts: object) -> None:
        """Answer the last question."""
        self._answer(**facts)

    def _answer(self, **fields: object) -> None:
        print(json.dumps(fields), file=self._answers, flush=True)


def alternate(
    sides: Sequence[Side], rounds: int, *, seconds: float, most: int = 10**9, word: str = ""
) -> list[list[Slice]]:
    """`rounds` turns of each side, A B A B, after a turn each to warm up.

    The first turn is one unit of work; from it follows how many units of the side make up `seconds`, at most `most`.

    Returns:
        The slices of each side, one a round.
    """
    warm = [side.turn(1, word).seconds for side in sides]
    amounts = [min(most, max(1, round(seconds / taken))) for taken in warm]
    found: list[list[Slice]] = [[] for _ in sides]
    for _ in range(rounds):
        for slices, side, amount in zip(found, sides, amounts, strict=True):
            slices.append(side.turn(amount, word))
    return found


def ratios(slices: Sequence[Slice], others: Sequence[Slice]) -> list[float]:
    """How many times as fast as the other side, round by round."""
    return [one.rate / other.rate for one, other in zip(slices, others, strict=True)]


def spread(values: Iterable[float], places: int = 2) -> str:
    """`1.32 (1.28–1.35)`: the median, the least and the most."""
    numbers = list(values)
    low, middle, high = (f"{v:.{places}f}" for v in (min(numbers), statistics.median(numbers), max(numbers)))
    return middle if low == high else f"{middle} ({low}–{high})"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    rules = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rules, *rows))


def conditions(packages: Sequence[str], *, n: str) -> str:
    """The lines below a table: command, commit, versions, machine, how busy it was, and what `n` counts."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_told(sys.argv[1:])])
    python = ".".join(map(str, sys.version_info[:3]))
    versions = ", ".join([f"Python {python}", *filter(None, map(_version, packages))])
    machine = describe()
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"`{command}` at {_commit()}; {versions}; {machine['processor']}, {machine['cores']} cores, {load}.\n{n}"


def publish(name: str, text: str, into: Path | None) -> None:
    """Print `text`; of a page, replace what stands between `<!-- table: NAME -->` and `<!-- end of table -->`."""
    from mien.atomic import write_text

    print(text, flush=True)
    if into is None:
        return
    start, end = f"<!-- table: {name} -->", "<!-- end of table -->"
    before, found, rest = into.read_text(encoding="utf-8").partition(start)
    _, also, after = rest.partition(end)
    if not (found and also):
        raise SystemExit(f"{into} has no place for this table: it needs a line {start} and a line {end} below it.")
    write_text(into, f"{before}{start}\n{text}\n{end}{after}")


def children_peak_mb() -> float:
    """Largest resident sets of this process's living children so far, added up, in 10^6 bytes (Linux).

    Pages that they share count in each.
    """
    found = 0.0
    for task in Path("/proc/self/task").glob("*/children"):
        for child in task.read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            found += int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return found


def draw_pictures(folder: Path, *, distinct: int = DISTINCT, **counts: int) -> Path:
    """Write drawn faces as `folder/SPLIT/CLASS/NUMBER.png`, 48 px RGB, the way corpora come; returns `folder`.

    Args:
        folder: to be made.
        distinct: faces to draw; where there are fewer than pictures, they are written again under other numbers.
        counts: pictures of each split, such as `train=12271`.
    """
    import cv2

    from mien.data.drawn import draw_faces

    drawn = [face for _, face in draw_faces(min(distinct, sum(counts.values())), seed=0, size=48)]
    faces = itertools.cycle([(face.label, cv2.imencode(".png", face.image[..., ::-1])[1].tobytes()) for face in drawn])
    for split, count in counts.items():
        for number, (label, picture) in enumerate(itertools.islice(faces, count)):
            path = folder / split / label / f"{number:06}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
    return folder


def _told(arguments: Sequence[str]) -> list[str]:
    """Arguments as they may stand on a page: folders outside the project by their last name."""
    return [Path(word).name if word.startswith("/") else word for word in arguments]


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    """Of the code that was measured; the page that tables are put into may have changed."""
    place = Path(__file__).parents[1]
    changed = _git(place, "status", "--porcelain", "--", "src", "benchmarks")
    return f"{_git(place, 'rev-parse', '--short', 'HEAD') or 'an unknown commit'}{'-dirty' * bool(changed)}"


def _git(place: Path, *words: str) -> str:
    told = subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True, check=False)
    return told.stdout.strip()
