"""Broken requests and broken pictures by the thousand: no fault without a number, no crash, no growth.

A part of them in each run of the tests, 10,000 of them among the long ones.
"""

import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")

from serving import png, ready, serving
from tiny_bundle import write_bundle

METHODS = (*["POST"] * 6, "GET", "GET", "PUT", "OPTIONS", "X")
PATHS = (
    *["/v1/predict"] * 4,
    "/v1/explain",
    "/v1/video",
    "/v1/models",
    "/v1/stream",
    "/",
    "/healthz",
    "/%00",
    "/v1/" + "x" * 300,
)
KINDS = (
    "image/png",
    "image/png",
    "image/jpeg",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "video/mp4",
    "text/x",
    "\xff",
)
QUERIES = (
    *[""] * 6,
    "?top_k=0",
    "?min_confidence=nan",
    "?model=%00",
    "?faces=yunet=/etc/passwd",
    "?fps=1e400",
    "?" + "a=b&" * 200,
)
MOST_GROWTH_MB = 40
"""After a fifth of the requests."""
PATIENT_S = 0.3
SOCKET = """GET /v1/stream HTTP/1.1\r
Host: 127.0.0.1:%d\r
Connection: upgrade\r
Upgrade: websocket\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
\r
"""


def picture(chance: random.Random) -> bytes:
    """The bytes of a picture, mostly with some of them changed, cut off or doubled."""
    noise = np.random.default_rng(chance.randrange(9)).integers(0, 256, (24, 31, 3), np.uint8)
    suffix = chance.choice((".png", ".jpg", ".bmp", ".tiff", ".webp", ".ppm"))
    content = bytearray(cv2.imencode(suffix, noise)[1].tobytes())
    for _ in range(chance.choice((0, 1, 3, 30))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    if chance.random() < 0.3:
        del content[chance.randrange(len(content)) :]
    return bytes(content * chance.choice((1, 1, 1, 2)))


def form(chance: random.Random) -> bytes:
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        % (chance.choice((b"a.png", b"../../x", b"\xff", b"")), picture(chance))
        for _ in range(chance.randrange(4))
    )
    return (parts + b"--x--\r\n")[: chance.choice((None, 10, 60, 200))]


def request(chance: random.Random, port: int) -> bytes:
    """A request that is broken somewhere, or nowhere."""
    body = chance.choice((picture, form, lambda c: c.randbytes(c.randrange(400))))(chance)
    length = chance.choice((len(body), len(body), len(body), len(body) + 5, max(0, len(body) - 5), "x", -1, 10**12))
    host = chance.choice((*[f"127.0.0.1:{port}"] * 8, "evil.example", ""))
    lines = [
        f"{chance.choice(METHODS)} {chance.choice(PATHS)}{chance.choice(QUERIES)} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {chance.choice(KINDS)}",
        chance.choice((f"Content-Length: {length}", f"Content-Length: {length}", "Transfer-Encoding: chunked", "")),
        chance.choice(
            (
                "",
                "",
                "Origin: https://evil.example",
                "Expect: 100-continue",
                "Upgrade: websocket\r\nConnection: upgrade",
            )
        ),
        "Connection: close",
    ]
    if chance.random() < 0.05:
        return (SOCKET % port).encode() + chance.choice((b"", b"\x82\xfe")) + chance.randbytes(chance.randrange(300))
    whole = "\r\n".join(line for line in lines if line).encode("latin-1") + b"\r\n\r\n" + body
    return chance.randbytes(200) if chance.random() < 0.05 else whole


def answered(port: int, content: bytes) -> bytes:
    """What the server says. A client that owes bytes ends its side after a while, and reads on."""
    said = b""
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=PATIENT_S) as line:
        line.sendall(content)
        try:
            while part := line.recv(1 << 16):
                said += part
        except TimeoutError:
            line.shutdown(socket.SHUT_WR)
            line.settimeout(20)
            while part := line.recv(1 << 16):
                said += part
    return said


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_broken_request_breaks_the_server(tmp_path: Path, count: int) -> None:
    """All of them in the same order each time, eight at once; memory is that of the server alone."""
    chance, model, statuses = random.Random(18), write_bundle(tmp_path / "tiny.onnx"), Counter[str]()
    with serving("--model", model, "--faces", "none", "--body-mb", "1") as (process, address), ready(address) as client:
        port, memory = int(address.rsplit(":", 1)[1].strip("/")), psutil.Process(process.pid).memory_info
        before = memory().rss
        with ThreadPoolExecutor(8) as pool:
            for start in range(0, count, 100):
                sent = [request(chance, port) for _ in range(100)]
                for said in pool.map(lambda each: answered(port, each), sent):
                    status = said.partition(b" ")[2][:3].decode("latin-1") or "hung up"
                    statuses[status] += 1
                    assert status != "500", said
                before = memory().rss if start < count // 5 else before
        usual, rare = {"101", "200", "204", "400", "403", "404", "405", "415", "421", "422"}, {"100", "413"}
        assert usual | (rare if count > 1000 else set()) <= set(statuses), statuses
        assert statuses["hung up"] < count / 5, statuses
        assert memory().rss - before < MOST_GROWTH_MB << 20
        assert client.post("/v1/predict", content=png()).status_code == 200
        counted = client.get("/metrics").text
        assert all(f"\nmien_{what} 0.0\n" in counted for what in ("queue_requests", "waiting", "videos", "sockets"))
        assert process.poll() is None
