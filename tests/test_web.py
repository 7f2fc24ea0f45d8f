"""The page that needs no server: the crop in JavaScript is the crop of mien, and the folder holds what it must."""

import base64
import json
import os
import shutil
import subprocess
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.cli import main
from mien.crop import CropSpec, crop
from mien.web import PACKAGE, page_files, write_page
from mien.web.folder import FILES
from tiny_bundle import write_bundle

GOLDEN = Path(__file__).parent / "fixtures" / "crops.json"
PAGE = Path(__file__).parents[1] / "src" / "mien" / "web" / "page"
NODE = shutil.which("node")
EYES = ((40.0, 42.0), (66.0, 50.0), (53.0, 58.0), (43.0, 70.0), (62.0, 74.0))
CASES: list[dict[str, Any]] = [
    {"box": None},
    {"box": [0, 0, 120, 90]},
    {"box": [20, 10, 70, 70]},
    {"box": [20.5, 11.5, 69.3, 40.2], "margin": 0.16},
    {"box": [-20, -14, 90, 90]},
    {"box": [60, 50, 100, 100], "channels": 1},
    {"box": [30, 20, 24, 24]},
    {"box": [30, 20, 32, 32]},
    {"box": [10, 5, 80, 80], "size": 20, "channels": 1},
    {"box": [25, 25, 60, 60], "landmarks": EYES},
    {"box": [25, 25, 60, 60], "landmarks": EYES, "margin": 0.1, "channels": 1},
    {"box": [-8, 20, 60, 60], "landmarks": EYES},
    {"box": [0, 0, 120, 90], "landmarks": EYES, "size": 100},
]


def picture() -> NDArray[np.uint8]:
    """Edges, slopes and noise, so that every step of the arithmetic shows."""
    rng = np.random.default_rng(18)
    rows, columns = np.mgrid[:90, :120]
    made = np.stack([2 * columns, 2 * rows + 40, (columns * rows) % 256], axis=2).astype(np.float64)
    made[20:50, 30:70] = 255 - made[20:50, 30:70]
    made[60:, :40] = rng.integers(0, 256, (30, 40, 3))
    return np.clip(made, 0, 255).astype(np.uint8)


def cut(case: dict[str, Any]) -> NDArray[np.uint8]:
    spec = CropSpec(size=case.get("size", 32), channels=case.get("channels", 3), margin=case.get("margin", 0.0))
    marks = np.array(case["landmarks"], np.float32) if "landmarks" in case else None
    box = None if case["box"] is None else tuple(map(float, case["box"]))
    return crop(picture(), spec, box, marks)  # type: ignore[arg-type]


def golden() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return cases


def test_the_crop_gives_the_golden_bytes() -> None:
    """`python tests/test_web.py` writes them anew, for a change of the crop that is meant."""
    assert [{**each, "crop": ""} for each in golden()] == [
        {**case, "crop": ""} for case in json.loads(json.dumps(CASES))
    ]
    for case, each in zip(CASES, golden(), strict=True):
        expected = np.frombuffer(base64.b64decode(each["crop"]), np.uint8)
        assert np.abs(expected.astype(int) - cut(case).ravel()).max() <= 1, case


SCRIPT = """
import { crop } from "./crop.js";
let text = "";
for await (const part of process.stdin) text += part;
const { picture, cases } = JSON.parse(text);
const data = Uint8Array.from(Buffer.from(picture, "base64"));
const told = cases.map(({ box, landmarks, size = 32, channels = 3, margin = 0 }) =>
  Buffer.from(crop({ data, width: 120, height: 90 }, { size, channels, margin }, box, landmarks)).toString("base64"));
console.log(JSON.stringify(told));
"""


@pytest.mark.skipif(NODE is None, reason="there is no node to run JavaScript with")
def test_the_crop_in_javascript_is_within_one_level(tmp_path: Path) -> None:
    shutil.copy(PAGE / "crop.js", tmp_path / "crop.js")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "run.js").write_text(SCRIPT)
    opaque = np.dstack([picture(), np.full((90, 120), 255, np.uint8)])
    given = json.dumps({"picture": base64.b64encode(opaque.tobytes()).decode(), "cases": golden()})
    done = subprocess.run(
        [NODE or "", "run.js"], cwd=tmp_path, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for each, told in zip(golden(), json.loads(done.stdout), strict=True):
        expected, seen = (np.frombuffer(base64.b64decode(text), np.uint8).astype(int) for text in (each["crop"], told))
        assert expected.shape == seen.shape
        assert np.abs(expected - seen).max() <= 1, {**each, "crop": np.abs(expected - seen).max()}


# The folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the npm package, whose hashes are taken as the right ones."""
    import hashlib

    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in FILES:
            (tmp_path / name).write_text(name)
            archive.add(tmp_path / name, f"package/dist/{name}")
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in FILES}
    monkeypatch.setattr("mien.web.folder.FILES", hashes)
    return path


def test_the_folder_is_whole(tmp_path: Path, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, other = write_bundle(tmp_path / "tiny.onnx"), write_bundle(tmp_path / "other.onnx")
    words = ["--web", str(tmp_path / "web"), "--beside", str(other), "--runtime", str(package)]
    with pytest.raises(SystemExit) as end:
        main(["export", str(model), *words])
    assert end.value.code == 0
    assert "http.server" in capsys.readouterr().err
    told = json.loads((tmp_path / "web" / "models.json").read_text(encoding="utf-8"))
    assert [each["file"] for each in told["models"]] == ["tiny.onnx", "other.onnx"]
    assert told["models"][0]["labels"] == list(Bundle.open(model).labels)
    assert (tmp_path / "web" / "tiny.onnx").read_bytes() == model.read_bytes()
    assert {each.name for each in (tmp_path / "web" / "ort").iterdir()} == set(FILES)
    index = (tmp_path / "web" / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in index
    assert "MIT" in (tmp_path / "web" / "LICENSES.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--web", "tiny.onnx"], "--web tiny.onnx is there already"),
        (["--web", "web", "--runtime", "gone.tgz"], "gone.tgz cannot be used as onnxruntime-web"),
        (["--web", "web", "--runtime", "tiny.onnx"], "tiny.onnx cannot be used as"),
        (["--web", "web", "--beside", "tiny.onnx", "--runtime", "x"], "told apart by their files' names"),
        (["--beside", "small", "--out", "x.onnx"], "belong to --web"),
        ([], "Say what to write"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "tiny.onnx")
    with pytest.raises(SystemExit) as end:
        main(["export", "tiny.onnx", *words])
    assert end.value.code == 2
    assert says in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["tiny.onnx"]


def test_another_package_is_refused(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.web.folder.FILES", FILES)
    with pytest.raises(Exception, match="holds another"):
        write_page([Bundle.open(write_bundle(tmp_path / "tiny.onnx"))], tmp_path / "web", package)
    assert PACKAGE.startswith("onnxruntime-web@")


def test_the_page_loads_nothing_from_elsewhere_and_has_its_words_in_one_file() -> None:
    for backend in ("server", "browser"):
        files = page_files(backend)  # type: ignore[arg-type]
        for name, content in files.items():
            if name.endswith((".js", ".css", ".html")):
                text = content.decode().replace("http://www.w3.org/", "").replace("http://localhost", "")
                assert "http://" not in text, name
                assert "https://" not in text, name
                assert " style=" not in text, f"{name}: the policy forbids styles in markup"
        assert b"<script>" not in files["index.html"]
        assert not any(f"on{event}=" in files["index.html"].decode() for event in ("click", "load", "change"))
    words = Words()
    words.feed(page_files("server")["index.html"].decode())
    assert set(words.own) == {"mien"}
    assert len(words.asked) > 10
    texts = page_files("server")["texts.js"].decode()
    assert [key for key in words.asked if f"\n  {key}: " not in texts] == []


class Words(HTMLParser):
    """The words of a page: its own, and those that it asks `texts.js` for."""

    SPOKEN = ("alt", "title", "placeholder", "label", "aria-label", "aria-description", "aria-roledescription")

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []
        self.asked: list[str] = []

    def handle_data(self, data: str) -> None:
        self.own += [data.strip()] if data.strip() else []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.own += [value or "" for name, value in attrs if name in self.SPOKEN]
        self.asked += [value or "" for name, value in attrs if name in ("data-text", "data-label")]


if __name__ == "__main__":
    made = [{**case, "crop": base64.b64encode(cut(case).tobytes()).decode()} for case in CASES]
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8", newline="\n")
