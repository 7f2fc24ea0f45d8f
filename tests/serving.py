"""A server of `mien serve` in a thread of the tests or in a process, and detectors that wait to be told."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.faces import Face
from mien.server.listen import listen
from mien.server.settings import Limits, Settings
from mien.server.state import State

__all__ = ["Held", "Running", "png", "ready", "running", "serving", "settings_for"]


def png(seed: int = 0, side: int = 24) -> bytes:
    """A small picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())


class Held:
    """The whole picture is the face, but nothing is found before `release`."""

    name = "held"

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.pictures: list[NDArray[np.uint8]] = []

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        self.pictures.append(picture)
        self.begun.release()
        assert self.open.wait(30)
        return [Face(box=(0.0, 0.0, float(picture.shape[1]), float(picture.shape[0])), score=1.0)]

    def wait_for(self, count: int) -> None:
        """Until so many more pictures are being looked at."""
        for _ in range(count):
            assert self.begun.acquire(timeout=20)


class Running:
    """A server that runs."""

    def __init__(self, state: State, address: str) -> None:
        self.state, self.address = state, address
        self.port = int(address.rsplit(":", 1)[1].strip("/"))

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=30, trust_env=False, **options)

    def post(self, content: bytes, path: str = "/v1/predict", **options: Any) -> httpx.Response:
        headers = {"Content-Type": "image/png", **options.pop("headers", {})}
        with self.client() as client:
            return client.post(path, content=content, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **options)

    def counted(self, name: str) -> float:
        """A counter of /metrics, 0 where it has not counted."""
        lines = self.get("/metrics").text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def settings_for(model: Path, limits: dict[str, Any] | None = None, **changes: Any) -> Settings:
    """The settings of a server with one tiny model, whose pictures are faces."""
    given: dict[str, Any] = {"models": (str(model),), "detector": "none", "workers": 1} | changes
    return Settings(limits=Limits(**(limits or {})), **given)


@contextmanager
def running(settings: Settings, detector: object = None, *, ready: bool = True) -> Iterator[Running]:
    """The server until the body ends; `detector` takes the place of the one of the settings."""
    state, opened = State(settings), Future[str]()
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            listen(settings, port=0, started=opened.set_result, state=state)
        except BaseException as error:
            failure.append(error)
            if not opened.done():
                opened.set_exception(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        server = Running(state, opened.result(20))
        if ready:
            wait_until_ready(server)
            if detector is not None:
                state.models._detectors["default"] = detector  # type: ignore[assignment]
        yield server
    finally:
        if isinstance(detector, Held):
            detector.open.set()
        state.drain()
        thread.join(40)
        assert not thread.is_alive(), "the server does not stop"
    if failure:
        raise failure[0]


def wait_until_ready(server: Running) -> None:
    for _ in range(400):
        try:
            if server.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        threading.Event().wait(0.05)
    raise AssertionError("the server does not become ready")


@contextmanager
def serving(*words: object, code: str = "", **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, which it says on stderr once it listens."""
    start = [sys.executable, "-c", code or "from mien.cli import main; import sys; main(sys.argv[1:])"]
    process = subprocess.Popen(
        [*start, "serve", "--port", "0", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"https?://\S+", line):
                break
        else:
            pytest.fail("it does not start")
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def ready(address: str, **options: Any) -> Iterator[httpx.Client]:
    """A client of the server, once that is ready."""
    with httpx.Client(base_url=address, timeout=30, trust_env=False, **options) as client:
        for _ in range(200):
            if client.get("/readyz").status_code == 200:
                break
            time.sleep(0.05)
        yield client
