"""Broken requests and broken pictures by the thousand: no fault without a number, no crash, no growth.

A part of them in each run of the tests, 10,000 of them among the long ones.
"""

import random
import socket
from collections.abc import Iterator

import cv2
import numpy as np
import psutil
import pytest

pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")

from serving import Running, png, running, settings_for
from tiny_bundle import write_bundle

METHODS = ("POST", "POST", "GET", "PUT", "OPTIONS", "X")
PATHS = (
    "/v1/predict",
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
    "image/jpeg",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "video/mp4",
    "text/x",
    "\xff",
)
QUERIES = (
    "",
    "?top_k=0",
    "?min_confidence=nan",
    "?model=%00",
    "?faces=yunet=/etc/passwd",
    "?fps=1e400",
    "?" + "a=b&" * 200,
)
MOST_GROWTH_MB = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = write_bundle(tmp_path_factory.mktemp("model") / "tiny.onnx")
    with running(settings_for(model, {"body_mb": 1, "header_s": 5, "body_s": 0.5}, workers=2)) as server:
        yield server


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
    host = chance.choice((f"127.0.0.1:{port}", f"127.0.0.1:{port}", "evil.example", ""))
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
    whole = "\r\n".join(line for line in lines if line).encode("latin-1") + b"\r\n\r\n" + body
    return chance.randbytes(200) if chance.random() < 0.05 else whole


def answered(port: int, content: bytes) -> bytes:
    """What the server says, up to its end or two seconds of silence."""
    said = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as line:
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            while part := line.recv(1 << 16):
                said += part
    except OSError:
        pass
    return said


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_broken_request_breaks_the_server(server: Running, count: int) -> None:
    chance, process = random.Random(18), psutil.Process()
    statuses: dict[str, int] = {}
    before = 0
    for number in range(count):
        said = answered(server.port, request(chance, server.port))
        status = said.partition(b" ")[2][:3].decode("latin-1") or "hung up"
        statuses[status] = statuses.get(status, 0) + 1
        assert status != "500", said
        before = process.memory_info().rss if number == min(100, count // 2) else before
    assert {"200", "400", "422", "421", "403"} <= set(statuses), (
        "the requests are broken in many ways, and some in none"
    )
    assert process.memory_info().rss - before < MOST_GROWTH_MB << 20
    assert server.post(png()).status_code == 200
    assert server.state.gate.taken == server.state.gate.bytes == server.state.gate.videos == 0
