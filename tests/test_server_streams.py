"""Videos and cameras over the server: lines as frames are done, the newest frame only, and nothing left behind."""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from made_videos import numbered, write_video
from mien.predict import Predictor, record
from mien.server.films import _Source
from mien.server.keys import new_key
from mien.video import Capture, _file
from serving import Held, Running, png, running, settings_for
from tiny_bundle import write_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    write_video(path, numbered(20))
    return path


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Running]:
    with running(settings_for(model, {"sockets": 2, "videos": 1})) as server:
        yield server


def lines(server: Running, content: bytes, **params: float) -> list[dict[str, object]]:
    answer = server.post(content, "/v1/video", headers={"Content-Type": "video/mp4"}, params=params)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


# Videos


def test_a_video_is_answered_as_the_command_line_does(server: Running, model: Path, film: Path) -> None:
    expected = [record(seen) | {"source": "video"} for seen in Predictor(model, detector="none").stream(film)]
    *frames, end = lines(server, film.read_bytes())
    assert frames == expected
    assert end == {"end": {"frames": 20, "time_s": expected[-1]["time_s"]}}


def test_fewer_frames_a_second_can_be_asked_for(server: Running, film: Path) -> None:
    whole, thinned = lines(server, film.read_bytes())[:-1], lines(server, film.read_bytes(), fps=5)[:-1]
    times = [frame["time_s"] for frame in thinned]
    assert len(whole) / 6 < len(thinned) < len(whole) / 3
    assert set(times) <= {frame["time_s"] for frame in whole}


def test_what_is_no_video_is_a_sentence(server: Running, film: Path) -> None:
    for content, says in ((b"", "empty"), (png(), "is not a video"), (film.read_bytes()[:300], "cut off")):
        answer = server.post(content, "/v1/video", headers={"Content-Type": "video/mp4"})
        assert answer.status_code == 422
        assert says in answer.json()["error"]
        assert "/proc" not in answer.text
    assert server.post(png(), "/v1/video", headers={"Content-Type": "text/html"}).status_code == 415


def test_a_video_that_is_cut_off_gives_what_it_has(server: Running, tmp_path: Path, film: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, numbered(20))
    whole = path.read_bytes()
    *frames, end = lines(server, whole[: len(whole) * 2 // 3])
    assert len(frames) > 3
    assert "cut off" in str(end["error"])


def test_videos_have_places_and_give_them_back(model: Path, film: Path) -> None:
    held = Held()
    with running(settings_for(model, {"videos": 1}), held) as server, server.client() as client:
        sent = {"content": film.read_bytes(), "headers": {"Content-Type": "video/mp4"}}
        with client.stream("POST", "/v1/video", **sent):
            held.wait_for(1)
            answer = server.post(film.read_bytes(), "/v1/video", headers={"Content-Type": "video/mp4"})
            assert answer.status_code == 429
        client.close()  # in the middle of it
        held.open.set()
        until(lambda: server.state.gate.videos == 0)
        until(lambda: not [name for name in _descriptors() if "memfd:mien" in name])
        assert server.post(png()).status_code == 200


class Slow:
    """A decoder that waits in the middle of its third frame, and notes what is done to it when nothing may be."""

    def __init__(self, capture: Capture) -> None:
        self._capture, self._using = capture, threading.Lock()
        self.begun, self.open, self.faults, self.count, self.ended = threading.Event(), threading.Event(), [], 0, False

    def read(self) -> tuple[bool, object]:
        with self._using:
            self.faults += ["read after its end"] * self.ended
            self.count += 1
            if self.count == 3:
                self.begun.set()
                assert self.open.wait(20)
            return self._capture.read()

    def get(self, prop: int) -> float:
        return self._capture.get(prop)

    def release(self) -> None:
        self.faults += ["closed while it was read"] * self._using.locked()
        self.ended = True
        self._capture.release()


@contextmanager
def left(server: Running, film: Path) -> Iterator[None]:
    """A client that sends a film, and leaves at the end of the body."""
    content = film.read_bytes()
    head = f"POST /v1/video HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(head.encode() + content)
        yield


def test_who_leaves_while_a_frame_is_decoded_closes_nothing_under_it(
    model: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders: list[Slow] = []

    def slow(path: Path, called: str) -> Slow:
        decoders.append(Slow(_file(path, called)))
        return decoders[-1]

    monkeypatch.setattr("mien.video._file", slow)
    with running(settings_for(model, {"videos": 1})) as server:
        with left(server, film):
            until(lambda: decoders)
            assert decoders[0].begun.wait(20)
        time.sleep(0.3)  # the server sees that it left
        assert server.state.gate.videos == 1, "its place is taken until its thread is out"
        decoders[0].open.set()
        until(lambda: server.state.gate.videos == 0)
        until(lambda: not [name for name in _descriptors() if "memfd:mien" in name])
    assert decoders[0].ended
    assert decoders[0].faults == []


def test_a_film_that_is_closed_is_neither_opened_nor_read(film: Path) -> None:
    """A thread may come to it only then."""
    source, opened = _Source(), []
    source.open(film, lambda video: iter([[]]))
    asyncio.run(source.close())
    assert source.next() is None
    late = _Source()
    asyncio.run(late.close())
    late.open(film, lambda video: opened.append(video) or iter(()))
    assert opened == []


def _descriptors() -> list[str]:
    folder = Path("/proc/self/fd")
    return [os.readlink(each) for each in folder.iterdir() if each.is_symlink()] if folder.is_dir() else []


def until(holds: object) -> None:
    for _ in range(400):
        if holds():  # type: ignore[operator]
            return
        time.sleep(0.02)
    raise AssertionError("it does not come to that")


# Cameras


def camera(server: Running, query: str = "", **options: object) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/v1/stream{query}", proxy=None, **options)  # type: ignore[arg-type]


def test_a_frame_is_answered_and_its_face_keeps_its_number(server: Running) -> None:
    with camera(server, "?top_k=2&smooth_s=0") as socket:
        told = []
        for number in range(3):
            socket.send(png(number))
            told.append(json.loads(socket.recv(timeout=20)))
    assert [each["frame"] for each in told] == [0, 1, 2]
    assert {each["faces"][0]["track"] for each in told} == {1}
    assert {len(each["faces"][0]["probs"]) for each in told} == {2}
    assert [each["dropped"] for each in told] == [0, 0, 0]


def test_only_the_newest_frame_is_kept_and_the_others_are_counted(model: Path) -> None:
    held = Held()
    with running(settings_for(model), held) as server, camera(server) as socket:
        socket.send(png(0))
        held.wait_for(1)
        for number in range(1, 31):
            socket.send(png(number))
        socket.ping().wait(10)
        held.open.set()
        first, second = (json.loads(socket.recv(timeout=20)) for _ in range(2))
        assert (first["frame"], second["frame"]) == (0, 30)
        assert second["dropped"] == 29
        assert len(held.pictures) == 2


def test_a_frame_that_is_no_picture_is_said_and_the_camera_goes_on(server: Running) -> None:
    with camera(server) as socket:
        socket.send(b"no picture")
        assert "not a picture" in json.loads(socket.recv(timeout=20))["error"]
        socket.send(png())
        assert json.loads(socket.recv(timeout=20))["faces"]


@pytest.mark.parametrize(("frame", "code"), [("words", 1003), (bytes((2 << 20) + 1), 1009)], ids=["text", "too large"])
def test_what_is_no_frame_ends_the_camera(server: Running, frame: "str | bytes", code: int) -> None:
    with camera(server) as socket:
        socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code
    until(lambda: server.state.gate.sockets == 0)


def test_who_may_not_or_asks_for_what_is_not_there_gets_no_socket(server: Running) -> None:
    for query, headers, status in (
        ("", {"Origin": "https://evil.example"}, 403),
        ("", {"Origin": "null"}, 403),
        ("?model=gone", {}, 422),
        ("?topk=2", {}, 422),
        ("?smooth_s=nan", {}, 422),
    ):
        with pytest.raises(InvalidStatus) as refused:
            camera(server, query, additional_headers=headers)
        assert refused.value.response.status_code == status
        assert b'"id"' in refused.value.response.body
    assert server.state.gate.sockets == 0


def test_a_foreign_name_for_this_machine_gets_no_socket(server: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://evil.example:{server.port}/v1/stream", proxy=None, sock=_to(server))
    assert refused.value.response.status_code == 421


def _to(server: Running) -> object:
    return socket.create_connection(("127.0.0.1", server.port))


def test_cameras_have_places(server: Running) -> None:
    with camera(server), camera(server):
        with pytest.raises(InvalidStatus) as refused:
            camera(server)
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["Retry-After"]) > 0
    until(lambda: server.state.gate.sockets == 0)
    with camera(server):
        pass


def test_nothing_is_compressed(server: Running) -> None:
    with camera(server) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


def test_a_browser_gives_its_key_as_a_protocol(model: Path, tmp_path: Path) -> None:
    key, line = new_key()
    (tmp_path / "keys").write_text(f"{line} tests\n")
    with running(settings_for(model, keys=tmp_path / "keys")) as server:
        with camera(server, subprotocols=["mien.v1", f"mien.key.{key}"]) as socket:
            assert socket.subprotocol == "mien.v1"
            socket.send(png())
            assert json.loads(socket.recv(timeout=20))["faces"]
        for query, offered in ((f"?key={key}", ["mien.v1"]), ("", ["mien.v1", "mien.key.wrong"])):
            with pytest.raises(InvalidStatus) as refused:
                camera(server, query, subprotocols=offered)
            assert refused.value.response.status_code == 401


def test_a_camera_that_does_not_read_its_answers_is_hung_up_on(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[object] = []
    done = WebSocketsSansIOProtocol.connection_lost
    monkeypatch.setattr(
        WebSocketsSansIOProtocol, "connection_lost", lambda self, exc: (lost.append(self), done(self, exc))
    )
    monkeypatch.setattr("mien.server.frames.json_line", lambda facts: bytes(16 << 20))  # more than the system keeps
    content = png()
    frame = bytes([0x82, 0x80 | 126]) + len(content).to_bytes(2) + bytes(4) + content
    with running(settings_for(model, {"answer_s": 0.5})) as server:
        head = (
            f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        )
        head += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as deaf:
            deaf.sendall(head.encode())
            assert deaf.recv(12) == b"HTTP/1.1 101"
            for _ in range(3):
                deaf.sendall(frame)
                time.sleep(0.2)
            until(lambda: server.state.gate.sockets == 0)
            until(lambda: lost)


def test_a_camera_that_is_silent_is_hung_up_on_and_one_that_leaves_frees_its_place(model: Path) -> None:
    with running(settings_for(model, {"idle_s": 0.3})) as server:
        with camera(server) as socket, pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        until(lambda: server.state.gate.sockets == 0)
        threads = threading.active_count()
        for _ in range(3):
            with camera(server):
                pass
        until(lambda: server.state.gate.sockets == 0)
        assert threading.active_count() <= threads + 1
