"""What `mien serve` costs beside the bare predictor, and beside another classifier behind plain FastAPI.

    $ python benchmarks/serving.py                  # capacity, then 50, 80 and 120 % of it, for three kinds of pictures
    $ python benchmarks/serving.py --fer-environment ferenv    # beside it the classifier of the package `fer`
    $ python benchmarks/serving.py --quick          # the same in a minute, to try it
    $ python benchmarks/serving.py --requests 100000 --kinds crops    # none lost, none wrong, flat memory
    $ python benchmarks/serving.py --flood          # clients that leave, and then 1,000 that do not

Capacity is a closed loop: each line sends its next request when the last one is answered. The sides take turns, A B A
B, and a ratio is of one round. A closed loop never sees a queue, so its tails are too short (as those of wrk). So
the loads are an open loop: requests come at a fixed rate, whoever waits, and a request's time runs from the moment at
which it was due. All sides get the same bytes. Ends with code 1 where an answer is lost or wrong.
"""

import argparse
import asyncio
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, takewhile
from pathlib import Path

import cv2
import numpy as np
import psutil
from load import Line, Service, Told, closed_loop, flood, open_loop
from measure import Slice, conditions, publish, ratios, spread, table
from prediction import install_fer

from mien.data.drawn import draw_face, draw_scene
from mien.predict import Predictor

LOADS = (0.5, 0.8, 1.2)
LINES = {"crops": 48, "640x480": 16, "12MP": 8}
"""Of the closed loop, by kind of pictures: enough to keep all workers at work."""
BOUNDARY = "benchmark"
PLAIN_NEEDS = ("fastapi", "uvicorn", "python-multipart")


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


@contextmanager
def mien_service(contents: Sequence[bytes], faces: str) -> Iterator[Service]:
    """`mien serve` in a process of its own; the right answers are the bare predictor's."""
    port = _free_port()
    words = [sys.executable, "-m", "mien", "serve", "--port", str(port), "--faces", faces, "--model", "default"]
    head = f"POST /v1/predict?top_k=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: image/png\r\n"
    messages = [f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content for content in contents]
    expected = [
        f'"label": "{seen.predictions[0].label}"'.encode() if seen.predictions else b'"faces": []'
        for seen in Predictor("default", detector=faces).each(contents)
    ]
    with _process(words, f"http://127.0.0.1:{port}/readyz") as process:
        yield Service(name="mien serve", port=port, process=process, messages=messages, expected=expected)


def install_plain(folder: Path) -> None:
    """What `plain_service` needs, unless it is there."""
    python = folder / "bin" / "python"
    if not python.exists():
        install_fer(folder, python, *PLAIN_NEEDS)


@contextmanager
def plain_service(contents: Sequence[bytes], faces: str, environment: Path) -> Iterator[Service]:
    """`serving_plain.py` in a process of its own; the right answers are those that it gives one at a time."""
    port = _free_port()
    words = [str(environment / "bin" / "python"), str(Path(__file__).with_name("serving_plain.py")), str(port), faces]
    with _process(words, f"http://127.0.0.1:{port}/openapi.json") as process:
        alone = Service(
            name="fer, plain FastAPI",
            port=port,
            process=process,
            messages=[_form(content, port) for content in contents],
            expected=[],
        )
        yield Service(**vars(alone) | {"expected": asyncio.run(_one_by_one(alone))})


async def _one_by_one(service: Service) -> list[bytes]:
    line = Line(service.port)
    answers = [await line.ask(message) for message in service.messages]
    line.hang_up()
    assert all(status == 200 for status, _ in answers), answers[0]
    return [body for _, body in answers]


def _form(content: bytes, port: int) -> bytes:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = part.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: multipart/form-data; "
    return f"{head}boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def _process(words: Sequence[str], ready: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        _wait(process, ready)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, f"{process.args} has ended"
            time.sleep(0.2)
    raise AssertionError(f"{address} does not answer")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def bare(contents: Sequence[bytes], faces: str) -> Callable[[float], Slice]:
    """A turn of `Predictor.each` in this process, for so many seconds."""
    predictor = Predictor("default", detector=faces)
    list(predictor.each(contents[:4]))

    def turn(seconds: float) -> Slice:
        started = time.perf_counter()
        due = takewhile(lambda _: time.perf_counter() < started + seconds, cycle(contents))
        done = sum(1 for _ in predictor.each(due))
        return Slice(count=done, seconds=time.perf_counter() - started)

    return turn


@dataclass
class Tables:
    """The rows so far, and how many answers were lost or wrong where none may be."""

    capacity: list[list[str]] = field(default_factory=list)
    loads: list[list[str]] = field(default_factory=list)
    bad: int = 0


def measured(kind: str, given: argparse.Namespace, tables: Tables) -> None:
    """The rows of one kind of pictures."""
    faces, contents = "none" if kind == "crops" else "default", pictures(kind)
    with ExitStack() as stack:
        services = [stack.enter_context(mien_service(contents, faces))]
        if given.fer_environment:
            services.append(stack.enter_context(plain_service(contents, faces, given.fer_environment)))
        alone, turns = _capacity(kind, given, bare(contents, faces), services)
        tables.capacity.append([kind, "Predictor.each", "1.00", _rates(alone), "–", "–"])
        for service, told in zip(services, turns, strict=True):
            slices, all_told = [each.slice for each in told], sum((each.statuses for each in told), Counter())
            wrong = sum(each.wrong for each in told)
            shares = spread(ratios(slices, alone))
            tables.capacity.append([kind, service.name, shares, _rates(slices), _answers(all_told), str(wrong)])
            for load in given.loads:
                rate = load * float(np.median([s.rate for s in slices]))
                seen = asyncio.run(open_loop(service, rate, 4 * given.seconds))
                due, times = f"{rate:.{_places(rate)}f}", (f"{seen.share(50):.1f}", f"{seen.share(99):.1f}")
                answers = (_answers(seen.statuses), str(seen.wrong))
                tables.loads.append([kind, service.name, f"{load:.0%}", due, *times, *answers])
                wrong += seen.wrong + seen.statuses[0]
            if service is services[0]:
                tables.bad += wrong + sum(n for status, n in all_told.items() if status != 200)


def _capacity(
    kind: str, given: argparse.Namespace, alone: Callable[[float], Slice], services: Sequence[Service]
) -> tuple[list[Slice], list[list[Told]]]:
    """Rounds in which each side has its turn, after one of each to warm up."""
    first: list[Slice] = []
    turns: list[list[Told]] = [[] for _ in services]
    for _ in range(given.rounds + 1):
        first.append(alone(given.seconds))
        for told, service in zip(turns, services, strict=True):
            told.append(asyncio.run(closed_loop(service, LINES[kind], seconds=given.seconds)))
    return first[1:], [told[1:] for told in turns]


def _rates(slices: Sequence[Slice]) -> str:
    rates = [each.rate for each in slices]
    return spread(rates, _places(min(rates)))


def _places(rate: float) -> int:
    return 0 if rate >= 20 else 1


def _answers(statuses: Counter[int]) -> str:
    return ", ".join(f"{number:,} × {status or 'none'}" for status, number in sorted(statuses.items()))


def endured(kind: str, requests: int) -> int:
    """Many requests: what is lost or wrong, and what memory does. Returns the number of bad answers."""
    faces, contents = "none" if kind == "crops" else "default", pictures(kind)
    with mien_service(contents, faces) as service:
        asyncio.run(closed_loop(service, LINES[kind], requests=min(2000, requests)))
        before = service.process.memory_info().rss
        told = asyncio.run(closed_loop(service, LINES[kind], requests=requests))
        after = service.process.memory_info().rss
    lost = requests - told.statuses[200]
    print(f"{kind}: {requests:,} requests, {lost} lost, {told.wrong} wrong, RSS {before >> 20} MB before and "
          f"{after >> 20} MB after; {told.slice.rate:.0f} a second")  # fmt: skip
    return lost + told.wrong


def flooded(count: int) -> int:
    """Clients that leave, then 1,000 that stay. Returns how many of those were not answered."""
    with mien_service(pictures("crops"), "none") as service:
        asyncio.run(flood(service, count))
        told = asyncio.run(closed_loop(service, LINES["crops"], requests=1000))
        rss = service.process.memory_info().rss >> 20
    print(f"after {count:,} that left, of the next 1,000: {_answers(told.statuses)}; RSS {rss} MB")
    return 1000 - told.statuses[200]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kinds", nargs="+", default=list(LINES), choices=LINES)
    parser.add_argument("--rounds", type=int, default=5, help="of turns, A B A B")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn; a load takes four times as long")
    parser.add_argument("--loads", type=float, nargs="*", default=LOADS, help="shares of the capacity")
    parser.add_argument("--requests", type=int, help="in place of all this: so many, one after the other")
    parser.add_argument("--flood", action="store_true", help="in place of all this: clients that leave")
    parser.add_argument("--fer-environment", type=Path, help="where `fer` is installed, or will be")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--into", type=Path, help="the page whose tables are replaced")
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.rounds = 0.5, 2
    if given.flood:
        return int(flooded(300 if given.quick else 5000) > 0)
    if given.requests:
        return int(sum(endured(kind, given.requests) for kind in given.kinds) > 0)
    if given.fer_environment:
        install_plain(given.fer_environment)
    tables, before = Tables(), psutil.getloadavg()[0]
    for kind in given.kinds:
        measured(kind, given, tables)
    n = (f"n: {given.rounds} rounds of {given.seconds:g} s a side, in turns; median (least–most) of the rounds; ratios "
         f"are of one round. Load {before:.1f} at the start.")  # fmt: skip
    capacity = table(("pictures", "side", "ratio", "a second", "answers", "wrong"), tables.capacity)
    heads = ("pictures", "side", "load", "a second", "p50, ms", "p99, ms", "answers", "wrong")
    text = f"{capacity}\n\n{table(heads, tables.loads)}\n\n{conditions(PACKAGES, n=n)}"
    publish("serving", text, given.into)
    return int(tables.bad > 0)


PACKAGES = ("mien", "onnxruntime", "numpy", "fastapi", "uvicorn")

if __name__ == "__main__":
    sys.exit(main())
