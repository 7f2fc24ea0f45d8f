"""`mien serve` as a process: what it says, what it never does (write, call elsewhere), and how it ends."""

import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")


from websockets.sync.client import connect

from made_videos import numbered, write_video
from mien.cli import main
from serving import png, ready, serving
from tiny_bundle import write_bundle

OPENSSL = shutil.which("openssl")
WATCHED = """
import os, sys

def watch(event, given):
    if event == "open" and isinstance(given[0], str | bytes) and given[2] is not None:
        if given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and os.fsdecode(given[0]) != os.devnull:
            os.write(2, f"WROTE {given[0]}\\n".encode())
            raise OSError(30, "Read-only file system")
    if event in ("os.mkdir", "os.rename", "os.remove", "tempfile.mkstemp", "tempfile.mkdtemp"):
        os.write(2, f"WROTE {event} {given[0]}\\n".encode())
        raise OSError(30, "Read-only file system")
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        os.write(2, f"CALLED {event} {given[1:]}\\n".encode())

sys.dont_write_bytecode = True
sys.addaudithook(watch)
from mien.cli import main
main(sys.argv[1:])
"""
"""The command line on a disk that takes nothing, and a note of every call to another address."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny.onnx")


def test_it_writes_nothing_and_calls_nobody(model: Path, tmp_path: Path) -> None:
    """Five megabytes of pictures, a video, and an environment that asks for telemetry."""
    write_video(tmp_path / "clip.mp4", numbered(8))
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1200, 3), np.uint8)
    large = b"P6 1200 1500 255\n" + noise.tobytes()
    assert len(large) > 5 << 20
    elsewhere = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "TMPDIR": "/nowhere",
    }
    with serving("--model", model, "--faces", "none", code=WATCHED, **elsewhere) as (process, address):
        with ready(address) as client:
            files = [
                ("files", ("large.ppm", large, "image/x-portable-pixmap")),
                ("files", ("a.png", png(), "image/png")),
            ]
            answer = client.post("/v1/predict", files=files)
            assert [len(each["faces"]) for each in answer.json()["results"]] == [1, 1]
            film = (tmp_path / "clip.mp4").read_bytes()
            answer = client.post("/v1/video", content=film, headers={"Content-Type": "video/mp4"})
            assert len(answer.text.splitlines()) == 9
            assert client.post("/v1/predict", content=b"nothing").status_code == 422
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert "WROTE" not in said
    assert "CALLED" not in said


def test_the_watcher_sees_what_it_should(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    tries = """
import socket, tempfile
for act in (tempfile.TemporaryFile, lambda: socket.create_connection(("127.0.0.1", 9))):
    try:
        act()
    except OSError:
        pass
"""
    code = WATCHED.replace("from mien.cli import main\nmain(sys.argv[1:])\n", tries)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "WROTE" in done.stderr
    assert "CALLED socket.connect" in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(model: Path, sent: signal.Signals) -> None:
    with serving("--model", model, "--faces", "none", "--access-log") as (process, address):
        with ready(address) as client:
            assert client.post("/v1/predict?top_k=1", content=png()).status_code == 200
        process.send_signal(sent)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert re.search(r"POST /v1/predict 200 \d+ ms [0-9a-f]{16}", said)
        assert "top_k" not in said
        assert "Traceback" not in said


def test_clients_that_leave_in_the_middle_of_a_video_do_not_end_it(model: Path, tmp_path: Path) -> None:
    """A decoder that is closed while it decodes would end the process."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 1080, 1920, 3), np.uint8)  # takes long to decode
    film = write_video(tmp_path / "clip.mp4", noise).read_bytes()
    with serving("--model", model, "--faces", "none") as (process, address), ready(address) as client:
        for time_s in (0, 0.01, 0.03, 0.1, 0.2):
            port = int(address.rstrip("/").rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as left:
                head = f"POST /v1/video HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(film)}\r\n\r\n"
                left.sendall(head.encode() + film)
                left.settimeout(20)
                assert left.recv(12) == b"HTTP/1.1 200"
                time.sleep(time_s)
            while "mien_videos 0" not in client.get("/metrics").text:
                time.sleep(0.05)
        assert client.get("/healthz").status_code == 200
        assert process.poll() is None


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl to make a certificate with")
def test_https_serves_pictures_and_cameras(model: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
    name = ("-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1")
    made = [OPENSSL, "req", "-x509", *curve, *name, "-keyout", key, "-out", certificate]
    subprocess.run(made, check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=certificate)
    words = ("--model", model, "--faces", "none", "--tls-cert", certificate, "--tls-key", key)
    with serving(*words) as (_, address):
        assert address.startswith("https://127.0.0.1:")
        with ready(address, verify=trusted) as client:
            origin = {"Origin": address.strip("/")}
            assert client.post("/v1/predict", content=png(), headers=origin).json()["results"][0]["faces"]
        with connect(f"{address.replace('https', 'wss')}v1/stream", ssl=trusted, origin=address.strip("/")) as camera:
            camera.send(png())
            assert json.loads(camera.recv(20))["faces"]


def test_what_it_cannot_serve_with_is_one_sentence(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").write_text("secret\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "copy").mkdir()
    twice = write_bundle(tmp_path / "copy" / "tiny.onnx")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, says in (
            (["--port", str(port)], "Cannot listen on '127.0.0.1'"),
            (["--port", "0", "--keys", str(tmp_path / "keys")], "line 1: expected 64 hex digits"),
            (["--port", "0", "--keys", str(tmp_path / "gone")], "cannot be read"),
            (["--port", "0", "--keys", "/dev/zero"], "/dev/zero cannot be read (not a file)"),
            (["--port", "0", "--tls-cert", str(model)], "cannot be used for https"),
            (["--port", "0", "--tls-cert", "/dev/zero"], "/dev/zero cannot be used for https ('not a file')"),
            (["--port", "0", "--tls-key", str(model)], "is a key without its certificate"),
            (["--port", "0", "--host", "nonsense.invalid"], "Cannot listen on 'nonsense.invalid'"),
            (["--port", "0", "--models", str(tmp_path / "empty")], "has no NAME.onnx"),
            (["--port", "0", "--models", str(tmp_path / "gone")], "takes a folder"),
            (["--port", "0", "--model", str(model), "--model", str(twice)], "Two models are called tiny"),
            (["--port", "0", "--model", str(tmp_path / "gone.onnx")], "does not exist"),
            (["--port", "0", "--allow-origin", "example.org"], "An origin is a scheme and a host"),
            (["--queue", "0"], "queue is more than 0"),
            (["--faces", "mirror", "--port", "0"], "There is no face detector"),
        ):
            with pytest.raises(SystemExit) as end:
                main(["serve", *words])
            said = capsys.readouterr().err
            assert end.value.code == 2, words
            assert says in said
            assert "Traceback" not in said


def test_a_new_key_is_printed_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from mien.server.keys import read_keys, right

    with pytest.raises(SystemExit):
        main(["serve", "--new-key"])
    key, line = (row.partition(":")[2].strip() for row in capsys.readouterr().out.splitlines())
    (tmp_path / "keys").write_text(line.replace("NAME", "me"))
    assert right(key, read_keys(tmp_path / "keys"))
    assert key not in line
