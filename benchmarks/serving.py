"""What `mien serve` costs beside the bare predictor, by an open loop: requests come at a fixed rate, whoever waits.

    $ python benchmarks/serving.py                 # capacity, then 50, 80 and 120 % of it, for three kinds of pictures
    $ python benchmarks/serving.py --quick         # the same in a minute, to try it
    $ python benchmarks/serving.py --requests 100000 --kinds crops    # none lost, none wrong, flat memory
    $ python benchmarks/serving.py --flood         # clients that leave, and then 1,000 that do not

A closed loop (as of wrk) sends the next request when the last one is answered, and so never sees a queue: its tails are
too short. Here a request's time runs from the moment at which it was due. Both sides get the same bytes. It runs on a
machine that does nothing else, or says nothing.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice

import cv2
import numpy as np
import psutil

from mien.data.drawn import draw_face, draw_scene
from mien.predict import Predictor

LOADS = (0.5, 0.8, 1.2)
CONNECTIONS = 48
IMPATIENT_S = 0.05


def pictures(kind: str) -> list[bytes]:
    """Some pictures of a kind, as files."""
    if kind == "crops":
        made = [draw_face(n, "happiness", seed=5, index=n, size=48).image for n in range(32)]
    else:
        height, width = (480, 640) if kind == "640x480" else (3000, 4000)
        scenes = (draw_scene(1, seed=n, height=480, width=640).image for n in range(8 if height > 480 else 24))
        made = [cv2.resize(scene, (width, height)) for scene in scenes]
    suffix = ".png" if kind == "crops" else ".jpg"
    return [bytes(cv2.imencode(suffix, image[..., ::-1])[1].tobytes()) for image in made]


@dataclass
class Told:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0

    def share(self, percent: float) -> float:
        """A percentile of the answered requests, milliseconds."""
        return 1000 * float(np.percentile(self.seconds, percent)) if self.seconds else float("nan")


@contextmanager
def server(faces: str) -> Iterator[tuple[int, psutil.Process]]:
    """`mien serve` in a process of its own: its port, and the process."""
    words = [sys.executable, "-m", "mien", "serve", "--port", "0", "--faces", faces, "--model", "default"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = next(int(found[1]) for line in process.stderr if (found := re.search(r":(\d+)/", line)))
    try:
        time.sleep(3)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def message(content: bytes, port: int) -> bytes:
    head = f"POST /v1/predict?top_k=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: image/png\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Line:
    """One connection that stays open; where the server closed it between two requests, the next one opens another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        if self._writer is not None:
            try:
                return await self._exchange(self._writer, sent)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.hang_up()
                if getattr(error, "partial", b""):
                    raise
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return await self._exchange(self._writer, sent)

    async def _exchange(self, writer: asyncio.StreamWriter, sent: bytes) -> tuple[int, bytes]:
        writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head[9:12]), body

    def hang_up(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None


async def load(port: int, contents: Sequence[bytes], rate: float, count: int, expected: Sequence[bytes] = ()) -> Told:
    """`count` requests, `rate` a second; `rate` 0 sends as fast as the connections are answered."""
    told, due, started = Told(), iter(range(count)), time.perf_counter()
    messages = [message(content, port) for content in contents]

    async def work() -> None:
        line = Line(port)
        for number in due:
            at = started + number / rate if rate else time.perf_counter()
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            try:
                status, body = await line.ask(messages[number % len(messages)])
            except (OSError, asyncio.IncompleteReadError):
                line.hang_up()
                status, body = 0, b""
            told.statuses[status] += 1
            if status == 200:
                told.seconds.append(time.perf_counter() - at)
                told.wrong += bool(expected) and expected[number % len(expected)] not in body
        line.hang_up()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return told


async def flood(port: int, content: bytes, count: int) -> None:
    """Clients that send a picture and leave at once."""
    sent = message(content, port)

    async def leave() -> None:
        line = Line(port)
        try:
            async with asyncio.timeout(IMPATIENT_S):
                await line.ask(sent)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        line.hang_up()

    for _ in range(count // 100):
        await asyncio.gather(*(leave() for _ in range(100)))


def bare(contents: Sequence[bytes], faces: str, count: int) -> float:
    """Pictures a second of `Predictor.each`, in this process."""
    predictor = Predictor("default", detector=faces)
    list(predictor.each(contents[:4]))
    started = time.perf_counter()
    for _ in predictor.each(islice(cycle(contents), count)):
        pass
    return count / (time.perf_counter() - started)


def row(kind: str, count: int) -> None:
    """A table's rows for one kind of pictures."""
    faces, contents = "none" if kind == "crops" else "default", pictures(kind)
    alone = bare(contents, faces, count)
    predictor = Predictor("default", detector=faces)
    expected = [
        f'"label": "{seen.predictions[0].label}"'.encode() if seen.predictions else b'"faces": []'
        for seen in predictor.each(contents)
    ]
    with server(faces) as (port, process):
        asyncio.run(load(port, contents, 0, min(200, count)))
        before, started = process.memory_info().rss, time.perf_counter()
        full = asyncio.run(load(port, contents, 0, count, expected))
        capacity = sum(full.statuses.values()) / (time.perf_counter() - started)
        after = process.memory_info().rss
        lost = count - full.statuses[200]
        print(f"| {kind} | bare | {alone:.0f} | | | | |")
        said = f"{lost} lost, {full.wrong} wrong, RSS {(after - before) / 2**20:+.0f} MB"
        print(f"| {kind} | all that fits | {capacity:.0f} ({capacity / alone:.2f} of bare) | | | | {said} |")
        for share in LOADS:
            told = asyncio.run(load(port, contents, share * capacity, count, expected))
            refused = told.statuses[429]
            print(f"| {kind} | {share:.0%} | {share * capacity:.0f} | {told.share(50):.1f} | {told.share(99):.1f} "
                  f"| {refused} | {dict(told.statuses)}, {told.wrong} wrong |")  # fmt: skip


def flooded(count: int) -> None:
    with server("none") as (port, process):
        contents = pictures("crops")
        asyncio.run(flood(port, contents[0], count))
        told = asyncio.run(load(port, contents, 0, 1000))
        rss = process.memory_info().rss >> 20
        print(f"after {count} that left: {dict(told.statuses)} of the next 1,000; RSS {rss} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kinds", nargs="+", default=["crops", "640x480", "12MP"])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--flood", action="store_true")
    given = parser.parse_args()
    count = 60 if given.quick else given.requests
    print(f"{psutil.cpu_count()} cores, load average {psutil.getloadavg()[0]:.2f} before the start\n")
    if given.flood:
        flooded(300 if given.quick else 5000)
        return
    print("| pictures | load | a second | p50, ms | p99, ms | refused | answers |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for kind in given.kinds:
        row(kind, max(20, count // 10) if kind == "12MP" else count)


if __name__ == "__main__":
    main()
