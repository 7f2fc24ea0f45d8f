"""`mien serve` over HTTP: what is asked is answered, what cannot be is one sentence, and every limit holds exactly."""

import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")

from uvicorn.protocols.http.h11_impl import H11Protocol

from made_videos import numbered, write_video
from mien.bundle import Bundle
from mien.data.drawn import draw_scene
from mien.labels import SEVEN
from mien.predict import Found, Predictor, heading, record
from mien.server.batcher import Batcher
from mien.server.keys import new_key
from mien.server.listen import _socket
from mien.server.models import Models, _opened
from mien.server.schemas import Answer
from mien.server.settings import Settings
from mien.server.work import Work
from serving import Held, Running, png, running, settings_for
from tiny_bundle import CARD, write_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Running]:
    with running(settings_for(model, {"body_mb": 1, "megapixels": 1, "files": 4})) as server:
        yield server


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", (f"{place}.png", content, "image/png")) for place, content in enumerate(contents)]


# Answers


def test_the_answer_is_that_of_the_command_line(server: Running, model: Path) -> None:
    predictor = Predictor(model, detector="none")
    seen = list(predictor.each([png(1), png(2)], ["0.png", "1.png"]))
    expected = heading(predictor.bundle, "none") | {"results": [record(each) for each in seen], "failures": []}
    with server.client() as client:
        assert client.post("/v1/predict", files=files(png(1), png(2))).json() == json.loads(json.dumps(expected))
    alone = server.post(png(1)).json()
    assert alone["results"] == [record(seen[0]) | {"source": ""}]


def test_options(server: Running) -> None:
    (face,) = server.post(png(), params={"top_k": 2, "min_confidence": 1, "faces": "none", "model": "tiny"}).json()[
        "results"
    ][0]["faces"]
    assert len(face["probs"]) == 2
    assert face["label"] == "uncertain"


def test_a_picture_that_cannot_be_read_fails_alone(server: Running) -> None:
    with server.client() as client:
        told = client.post("/v1/predict", files=files(png(), b"no picture")).json()
    assert [each["source"] for each in told["results"]] == ["0.png"]
    (failure,) = told["failures"]
    assert failure["source"] == "1.png"
    assert failure["error"].startswith("1.png: not a picture, expected PNG")


LARGE = png(3, 1200)
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("no picture", {"content": b"nothing"}, 422, "not a picture"),
    ("a picture cut off", {"content": png()[:200]}, 422, "truncated"),
    ("an empty body", {"content": b""}, 422, "empty"),
    ("too many pixels", {"content": png(0, 1100)[:60_000]}, 422, "1 megapixels"),
    ("too many bytes", {"content": LARGE}, 413, "more than 1 MB"),
    ("another type", {"content": b"{}", "headers": {"Content-Type": "application/json"}}, 415, "application/json"),
    ("an unknown option", {"content": png(), "params": {"topk": 1}}, 422, "topk"),
    ("an option out of range", {"content": png(), "params": {"min_confidence": "2"}}, 422, "min_confidence"),
    ("an unknown model", {"content": png(), "params": {"model": "../tiny"}}, 422, "There is no model '../tiny'"),
    ("a detector's file", {"content": png(), "params": {"faces": "yunet=/etc/passwd"}}, 422, "There are: default"),
]


@pytest.mark.parametrize(("what", "sent", "status", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_answered_is_one_sentence(
    server: Running, what: str, sent: dict[str, Any], status: int, says: str
) -> None:
    answer = server.post(**sent)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert says in told["error"]
    assert told["error"].endswith(".")
    assert told["id"] == answer.headers["X-Request-Id"]


def test_forms_that_cannot_be_read(server: Running) -> None:
    with server.client() as client:
        assert "Too many files" in client.post("/v1/predict", files=files(*[png()] * 5)).json()["error"]
        assert client.post("/v1/predict", files={"files": ("", b"")}).status_code in (400, 422)
        broken = {"Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/v1/predict", content=b"--y\r\n", headers=broken).status_code in (400, 422)
        no_boundary = {"Content-Type": "multipart/form-data"}
        assert client.post("/v1/predict", content=b"--y\r\n", headers=no_boundary).status_code == 400


def test_an_explanation_is_a_map_over_the_face(server: Running) -> None:
    told = server.post(png(), "/v1/explain", params={"label": "fear"}).json()
    assert told["label"] == "fear"
    assert (len(told["map"]), len(told["map"][0])) == (16, 16)
    assert server.post(png(), "/v1/explain", params={"face": 3}).status_code == 422
    assert server.post(png(), "/v1/explain", params={"label": "joy"}).status_code == 422


def test_models_say_their_figures_and_limits(server: Running) -> None:
    told = server.get("/v1/models").json()
    (card,) = told["models"]
    assert told["unusable"] == []
    assert card["name"] == "tiny"
    assert card["test"]["accuracy"] == {"value": 0.5, "n": 140, "low": 0.42, "high": 0.58}
    assert card["limits"] == list(CARD.limits)


def test_the_description_has_examples_and_says_what_is_answered(server: Running) -> None:
    described = server.get("/openapi.json").json()
    operation = described["paths"]["/v1/predict"]["post"]
    assert set(operation["requestBody"]["content"]) == {"image/*", "multipart/form-data"}
    assert {"200", "413", "422", "429", "503", "504"} <= set(operation["responses"])
    (example,) = described["components"]["schemas"]["Answer"]["examples"]
    with server.client() as client:
        told = client.post("/v1/predict", files=files(png(), b"none")).json()
    for each in (example, told):
        assert set(Answer.model_validate(each, extra="forbid").model_dump()) == set(each)


def test_there_is_nothing_elsewhere(server: Running) -> None:
    for path in ("/docs", "/redoc", "/v1", "/../etc/passwd", "/%2e%2e/x", "/v1/predict/x"):
        answer = server.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["id"]
    assert server.get("/v1/predict").status_code == 405


# Who may ask


def test_foreign_pages_are_kept_out(server: Running) -> None:
    def status(**headers: str) -> int:
        return server.post(
            png(), headers={name.replace("_", "-"): value for name, value in headers.items()}
        ).status_code

    here = f"127.0.0.1:{server.port}"
    assert status() == 200
    assert status(Host=f"LOCALHOST:{server.port}") == 200
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil",
        "",
        "localhost:80:80",
        "[::1",
        "169.254.1.1",
    ):
        assert status(Host=host) == 421, host
    assert status(Origin=f"http://{here}") == 200
    for origin in (
        "http://[::1",
        "http://x]",
        "//",
        "https://evil.example",
        "null",
        f"http://{here}.evil.example",
        "http://127.0.0.1:1",
        "file://",
        "x",
    ):
        assert status(Origin=origin) == 403, origin
    assert status(Sec_Fetch_Site="cross-site") == 403
    assert server.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200, (
        "a link from elsewhere may lead here"
    )


def test_another_site_is_let_in_by_its_name(model: Path) -> None:
    with running(settings_for(model, origins=("https://app.example",), hosts=("mien.example",))) as server:
        answer = server.post(png(), headers={"Origin": "https://app.example", "Host": "mien.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        with server.client() as client:
            asked = client.options("/v1/predict", headers={"Origin": "https://app.example"})
            assert (asked.status_code, asked.headers["Access-Control-Allow-Methods"]) == (204, "GET, POST")
            assert client.options("/v1/predict", headers={"Origin": "https://b.example"}).status_code == 403
        assert "Access-Control-Allow-Origin" not in server.post(png()).headers


def test_keys(model: Path, tmp_path: Path) -> None:
    (key, line), (other, _) = new_key(), new_key()
    (tmp_path / "keys").write_text(f"# keys\n{line} tests\n")
    with running(settings_for(model, keys=tmp_path / "keys")) as server:
        for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer {key}"}, {"X-API-Key": key}):
            assert server.post(png(), headers=headers).status_code == 200
        for headers in (
            {},
            {"Authorization": f"Bearer {other}"},
            {"X-API-Key": line},
            {"Authorization": f"Basic {key}"},
        ):
            answer = server.post(png(), headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert server.post(png(), params={"key": key, "api_key": key}).status_code == 401, "never in an address"
        assert server.get("/metrics").status_code == server.get("/v1/models").status_code == 401
        assert server.get("/healthz").status_code == server.get("/").status_code == 200


def test_every_answer_has_the_headers_that_keep_a_page_inside(server: Running) -> None:
    for path in ("/", "/healthz", "/gone", "/v1/models", "/openapi.json"):
        headers = server.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "server" not in headers
    assert server.get("/v1/models").headers["Cache-Control"] == "no-store"


# The queue


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Faces in each pass of the network that found some."""
    seen: list[int] = []
    honest = Bundle.logits

    def counted(self: Bundle, batch: Any) -> Any:
        seen.append(len(batch["face"]))
        return honest(self, batch)

    monkeypatch.setattr(Bundle, "logits", counted)
    return seen


def test_the_queue_holds_exactly_as_many_as_it_says(model: Path) -> None:
    held = Held()
    limits = {"queue": 5, "wait_s": 60}
    with running(settings_for(model, limits), held) as server, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(server.post, png(seed)) for seed in range(20)]
        refused = [answer.result() for answer in islice(as_completed(answers), 15)]
        assert [answer.status_code for answer in refused] == [429] * 15
        assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
        assert server.state.gate.taken == 5
        held.open.set()
        assert sorted(answer.result().status_code for answer in answers) == [200] * 5 + [429] * 15
        assert server.state.gate.taken == server.state.gate.bytes == 0
        assert server.counted("mien_refused") == 15


def test_what_waits_is_looked_at_together(model: Path, passes: list[int]) -> None:
    held = Held()
    with running(settings_for(model), held) as server, ThreadPoolExecutor(8) as pool:
        passes.clear()
        first = pool.submit(server.post, png(0))
        held.wait_for(1)
        others = [pool.submit(server.post, png(seed)) for seed in range(1, 8)]
        _until(lambda: len(server.state.batcher) == 7)
        held.open.set()
        assert all(answer.result().status_code == 200 for answer in [first, *others])
    assert passes == [1, 7]


@pytest.mark.long
def test_1000_pictures_at_once_get_the_answers_that_they_get_alone(passes: list[int]) -> None:
    """Four threads in one detector, and the faces of several requests in one pass of the network."""
    pytest.importorskip("yuface")
    scenes = (draw_scene(1 + seed % 4, seed=seed, height=240, width=320).image for seed in range(1000))
    contents = [cv2.imencode(".png", scene[..., ::-1])[1].tobytes() for scene in scenes]
    alone = [record(seen)["faces"] for seen in Predictor("small", detector="yuface", threads=1).each(contents)]
    with running(Settings(models=("small",), detector="yuface", workers=4)) as server, ThreadPoolExecutor(16) as pool:
        passes.clear()
        answers = list(pool.map(server.post, contents))
    together = [answer.json()["results"][0]["faces"] for answer in answers]
    assert max(passes) > 4, "several requests shared a pass"
    for one, other in zip(alone, together, strict=True):
        for face, expected in zip(other, one, strict=True):
            assert face["probs"] == pytest.approx(expected["probs"], abs=3e-6)
            rounded = {"probs": 0, "confidence": 0}
            assert face | rounded == json.loads(json.dumps(expected)) | rounded
    assert sum(map(len, alone)) > 500


def test_what_waited_too_long_is_never_looked_at(model: Path) -> None:
    held = Held()
    with running(settings_for(model, {"wait_s": 0.3}), held) as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.post, png(0))
        held.wait_for(1)
        late = server.post(png(1))
        assert late.status_code == 504
        assert "not looked at" in late.json()["error"]
        held.open.set()
        assert first.result().status_code == 200, "it was begun in time"
        assert server.post(png(2)).status_code == 200
        assert len(held.pictures) == 2
        assert server.counted('mien_dropped_total{why="expired"}') == 1


def test_who_left_is_dropped_before_a_pixel_is_decoded(model: Path) -> None:
    held = Held()
    with running(settings_for(model), held) as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(server.post, png(0))
        held.wait_for(1)
        for seed in range(3):
            with socket.create_connection(("127.0.0.1", server.port)) as left:
                left.sendall(_request(server, png(seed)))
                _until(lambda seed=seed: len(server.state.batcher) == seed + 1)
        _until(lambda: server.state.gate.taken == 1)
        held.open.set()
        assert first.result().status_code == 200
        assert server.post(png(9)).status_code == 200
        assert len(held.pictures) == 2
        assert server.counted('mien_dropped_total{why="dropped"}') == 3


def test_who_leaves_during_the_pass_gets_no_answer_made() -> None:
    """The answer is work too: an explanation is hundreds of passes."""

    class Looked:
        """Work whose pass and whose answer are seen."""

        pixels, slow = 1, False

        def __init__(self) -> None:
            self.predictor, self.bundle, self.answered = self, self, 0
            self.begun, self.open = threading.Event(), threading.Event()

        def find(self, gone: object) -> list[Found]:
            return [Found(faces=(), crops=np.zeros((0, 8, 8, 1), np.uint8))]

        def classify(self, found: list[Found]) -> list[Any]:
            self.begun.set()
            assert self.open.wait(20)
            return [np.zeros((0, 7), np.float32) for _ in found]

        def answer(self, logits: object) -> str:
            self.answered += 1
            return "answer"

    events: list[str] = []
    batcher, left, stays = Batcher(1, lambda event, _: events.append(event)), Looked(), Looked()
    stays.open.set()
    ticket = batcher.submit(left, 10)  # type: ignore[arg-type]
    assert left.begun.wait(20)
    assert not ticket.drop(), "it has begun"
    left.open.set()
    assert batcher.submit(stays, 10).future.result(20) == "answer"  # type: ignore[arg-type]
    batcher.stop()
    assert (left.answered, stays.answered) == (0, 1)
    assert events == ["batch", "dropped", "batch"]
    assert ticket.future.exception() is not None


def test_the_answers_of_a_batch_are_delivered_together() -> None:
    """One call wakes whoever waits for them; no answer is there before it."""

    class Looked:
        """Work without a picture, which is its own predictor and model."""

        pixels = 0

        def __init__(self, number: int) -> None:
            self.predictor, self.bundle, self.number, self.slow = self, model, number, number == 2

        def find(self, gone: object) -> list[Found]:
            assert free.wait(20)
            return [Found(faces=(), crops=np.zeros((0, 8, 8, 1), np.uint8))]

        def classify(self, found: list[Found]) -> list[Any]:
            return [np.zeros((0, 7), np.float32) for _ in found]

        def answer(self, logits: object) -> int:
            if self.number == 3:
                raise ValueError
            return self.number

    free, model, settles = threading.Event(), object(), queue.Queue[Callable[[], None]]()
    batcher = Batcher(1)
    batcher.deliver = settles.put
    tickets = [batcher.submit(Looked(number), 20) for number in range(5)]  # type: ignore[arg-type]
    free.set()
    batcher.stop()
    assert not any(ticket.future.done() for ticket in tickets)
    assert settles.qsize() < 5
    settles.get()()
    while not tickets[0].future.done():
        settles.get_nowait()()
    assert not tickets[2].future.done(), "the slow one has a delivery of its own"
    while not settles.empty():
        settles.get()()
    assert isinstance(tickets.pop(3).future.exception(0), ValueError)
    assert [ticket.future.result(0) for ticket in tickets] == [0, 1, 2, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep fewer connections waiting")
def test_a_flood_of_clients_that_left_takes_nothing_from_those_who_stay(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them knock while the loop is busy, so that it finds those who left and those who stayed together."""
    with running(settings_for(model, {"connections": 100, "queue": 30})) as server, ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as stalled:
            begun = threading.Event()
            stalled.setattr(server.state.gate, "check_open", lambda: begun.set() or time.sleep(1))
            busy = pool.submit(server.get, "/v1/models")
            assert begun.wait(20)
            for seed in range(300):
                with socket.create_connection(("127.0.0.1", server.port)) as left:
                    left.sendall(_request(server, png(seed % 3)))
            stay = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(30)]
            for each in stay:
                each.sendall(_request(server, png()))
            assert not busy.done(), "the loop was busy for too short a time"
        assert busy.result().status_code == 200
        assert [each.recv(12) for each in stay] == [b"HTTP/1.1 200"] * 30
        for each in stay:
            each.close()
        assert server.counted("mien_refused") == 0
        asked = server.get("/metrics").text.splitlines()
        seen = sum(
            float(line.split()[-1]) for line in asked if line.startswith('mien_requests_total{route="/v1/predict"')
        )
        assert seen == 30, "who left is not even asked for an answer"


def test_who_is_idle_longest_makes_room_and_who_is_at_work_does_not(model: Path) -> None:
    held = Held()
    with running(settings_for(model, {"connections": 3}), held) as server, ExitStack() as stack:

        def connected() -> HTTPConnection:
            return stack.enter_context(closing(HTTPConnection("127.0.0.1", server.port, timeout=10)))

        def asked(connection: HTTPConnection) -> int:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read()
            return answer.status

        busy, idle, newer = connected(), connected(), connected()
        busy.request("POST", "/v1/predict", png(), {"Content-Type": "image/png"})
        held.wait_for(1)
        assert [asked(idle), asked(newer), asked(connected()), asked(newer)] == [200] * 4
        with pytest.raises(ConnectionError):
            asked(idle)
        held.open.set()
        assert busy.getresponse().status == 200


def _request(server: Running, content: bytes, *, length: int = -1) -> bytes:
    size = len(content) if length < 0 else length
    head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: image/png\r\n"
    return f"{head}Content-Length: {size}\r\n\r\n".encode() + content


def _until(holds: Any) -> None:
    for _ in range(400):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it does not come to that")


def test_headers_and_bodies_have_deadlines(model: Path) -> None:
    with running(settings_for(model, {"header_s": 0.4, "body_s": 0.4})) as server:
        for begun in (b"", b"POST /v1/pre", _request(server, png())[:70]):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
                slow.sendall(begun)
                assert slow.recv(100) == b"", "hung up on"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
            slow.sendall(_request(server, png()[:50], length=500))
            assert slow.recv(1000).startswith(b"HTTP/1.1 408")
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as honest:
            for _ in range(2):
                honest.request("POST", "/v1/predict", png(), {"Content-Type": "image/png"})
                answer = honest.getresponse()
                assert answer.status == 200
                assert json.loads(answer.read())["results"]
                time.sleep(0.1)
        assert server.state.gate.taken == 0


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system keeps little of what is sent for a client that does not read it."""

    def opened(host: str, port: int) -> socket.socket:
        listening = _socket(host, port)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 10)
        return listening

    monkeypatch.setattr("mien.server.listen._socket", opened)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports of the clients whose connections the server is rid of."""
    ports: list[int] = []
    done = H11Protocol.connection_lost

    def noted(self: H11Protocol, exc: Exception | None) -> None:
        ports.append(self.client[1] if self.client else 0)
        done(self, exc)

    monkeypatch.setattr(H11Protocol, "connection_lost", noted)
    return ports


@pytest.mark.parametrize("asked", ["many answers", "one answer", "a film"])
def test_who_does_not_read_the_answer_is_hung_up_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little_room: None, lost: list[int], asked: str
) -> None:
    with running(settings_for(model, {"answer_s": 0.5})) as server, ExitStack() as stack:
        host = f"Host: 127.0.0.1:{server.port}\r\n"
        sent = f"GET /openapi.json HTTP/1.1\r\n{host}\r\n".encode() * 40
        if asked == "one answer":
            monkeypatch.setattr(server.state.models, "cards", lambda: ["words" * 100_000])
            sent = f"GET /v1/models HTTP/1.1\r\n{host}\r\n".encode()
        elif asked == "a film":
            film = write_video(tmp_path / "clip.mp4", numbered(600, 16, 128)).read_bytes()
            sent = f"POST /v1/video HTTP/1.1\r\n{host}Content-Length: {len(film)}\r\n\r\n".encode() + film
        slow = stack.enter_context(socket.socket())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
        slow.settimeout(20)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(sent)
        _until(lambda: slow.getsockname()[1] in lost)
        assert server.state.gate.videos == 0
        assert server.post(png()).status_code == 200


def test_work_that_takes_too_long_is_given_up(model: Path) -> None:
    held = Held()
    with running(settings_for(model, {"wait_s": 0.2, "answer_s": 0.4}), held) as server:
        started = time.monotonic()
        slow = server.post(png())
        assert slow.status_code == 504
        assert "more than 0.4 s" in slow.json()["error"]
        assert 0.4 < time.monotonic() - started < 10
        held.open.set()
        assert server.post(png(1)).status_code == 200


def test_it_stops_when_what_was_taken_is_done(model: Path) -> None:
    held = Held()
    with running(settings_for(model), held) as server, ThreadPoolExecutor(4) as pool:
        taken = [pool.submit(server.post, png(seed)) for seed in range(3)]
        _until(lambda: server.state.gate.taken == 3)
        with server.client() as client:
            client.get("/healthz")
            server.state.drain()
            assert _refused_until_closed(client)
        held.open.set()
        assert [answer.result().status_code for answer in taken] == [200] * 3


def _refused_until_closed(client: httpx.Client) -> bool:
    """Whether a stopping server takes nothing on and closes its address."""
    for _ in range(50):
        try:
            assert client.get("/readyz").status_code == 503
            assert client.post("/v1/predict", content=png()).status_code == 503
        except httpx.TransportError:
            return True
        time.sleep(0.05)
    return False


def test_until_the_models_are_loaded_it_is_unavailable(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("mien.server.models.Models.load", lambda models: gate.wait(20) and None)
    with running(settings_for(model), ready=False) as server:
        answer = server.post(png())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert server.get("/readyz").status_code == 503
        assert server.get("/healthz").status_code == 200
        gate.set()
        _until(lambda: server.get("/readyz").status_code == 200)


def test_a_fault_has_a_number_and_its_log_no_picture(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Work, gone: object) -> None:
        raise RuntimeError("pixels: " + "ab" * 40)

    monkeypatch.setattr("mien.server.work.Pictures.find", fail)
    with running(settings_for(model)) as server:
        answer = server.post(png())
        assert answer.status_code == 500
        _until(lambda: answer.json()["id"] in caplog.text)
        assert "RuntimeError" in caplog.text
        assert "pixels" not in caplog.text


# Models


def test_a_replaced_file_is_changed_over_to_without_losing_a_request(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    place = write_bundle(folder / "tiny.onnx")
    other = write_bundle(tmp_path / "other.onnx", labels=tuple(f"new {name}" for name in SEVEN.names))
    stop = threading.Event()

    def ask() -> list[tuple[int, str]]:
        seen = []
        with server.client() as client:
            while not stop.is_set():
                answer = client.post("/v1/predict", content=png(1))
                seen.append((answer.status_code, answer.json()["model"]["labels"][0]))
        return seen

    with running(settings_for(model, folder=folder)) as server, ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        place.write_bytes(other.read_bytes()[:500])  # as while it is being copied
        _until(lambda: server.get("/v1/models").json()["models"][0]["problem"])
        other.rename(place)
        _until(lambda: server.get("/v1/models").json()["models"][0]["labels"][0].startswith("new"))
        write_bundle(folder / "second.onnx")
        _until(lambda: len(server.get("/v1/models").json()["models"]) == 2)
        stop.set()
        seen = [each for answers in asking for each in answers.result()]
    assert {status for status, _ in seen} == {200}
    labels = [label for _, label in seen]
    assert {"anger", "new anger"} == set(labels)


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Models, Path]:
    """A folder of one model, looked at when the test says so, and its models."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_bundle(folder / "tiny.onnx")
    models = Models(settings_for(folder, folder=folder))
    models.load()
    models.stop()
    return models, folder


def test_a_file_that_cannot_be_used_stops_no_other(watched: tuple[Models, Path]) -> None:
    models, folder = watched
    (folder / "a-link.onnx").symlink_to(folder / "nowhere")
    (folder / "b-empty.onnx").touch()
    (folder / "c-folder.onnx").mkdir()
    write_bundle(folder / "new.onnx")
    models.look(folder)
    assert models.names == ["tiny", "new"]
    problems = {each["name"]: each["problem"] for each in models.unusable()}
    assert list(problems) == ["a-link", "b-empty", "c-folder"]
    assert "does not exist" in problems["a-link"]
    assert "is empty" in problems["b-empty"]
    assert [card["problem"] for card in models.cards()] == ["", ""]


def test_a_file_that_cannot_be_used_is_opened_and_logged_once(
    watched: tuple[Models, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    models, folder = watched
    opened: list[str] = []
    monkeypatch.setattr("mien.server.models._opened", lambda path: opened.append(path.stem) or _opened(path))
    (folder / "link.onnx").symlink_to(folder / "nowhere")
    (folder / "bad.onnx").write_bytes(b"no model")
    for _ in range(3):
        models.look(folder)
    assert sorted(opened) == ["bad", "link"]
    assert [sum(f"model {name} is not served" in line for line in caplog.messages) for name in ("bad", "link")] == [
        1,
        1,
    ]
    write_bundle(folder / "nowhere")
    (folder / "bad.onnx").write_bytes(b"no model again")
    models.look(folder)
    assert set(models.names) == {"tiny", "link"}
    assert sorted(opened) == ["bad", "bad", "link", "link"]
    (folder / "bad.onnx").unlink()
    models.look(folder)
    assert models.unusable() == []


def test_a_model_stays_where_its_link_leads_nowhere_and_says_so(watched: tuple[Models, Path]) -> None:
    models, folder = watched
    content = (folder / "tiny.onnx").read_bytes()
    (folder / "tiny.onnx").unlink()
    (folder / "tiny.onnx").symlink_to(folder / "nowhere")
    models.look(folder)
    assert "does not exist" in models.cards()[0]["problem"]
    assert models.unusable() == []
    assert models.predictor("tiny")
    (folder / "nowhere").write_bytes(content)
    models.look(folder)
    assert models.cards()[0]["problem"] == ""


def test_what_cannot_be_served_ends_the_start(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model.read_bytes()[:-9])
    with pytest.raises(Exception, match="cut off"), running(settings_for(broken), ready=False):
        time.sleep(0.5)
