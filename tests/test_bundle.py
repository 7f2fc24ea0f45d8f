"""The model file: opens whole, is refused in a sentence when it is anything else, and needs no torch."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien import bundle as bundle_module
from mien.bundle import Bundle, _unseal, seal
from mien.card import write_card
from mien.cli import main
from mien.config import override, read_recipe
from mien.crop import CropSpec
from mien.errors import BundleError, ConfigError, DataError
from mien.modelfile import entry
from tiny_bundle import CARD, model_bytes, write_bundle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny.onnx")


def faces(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)


def test_card_comes_back_whole(path: Path) -> None:
    card = Bundle.open(path).card
    assert write_card(card) == write_card(CARD)
    assert card.sha256 == hashlib.sha256(path.read_bytes()[: -len(entry(b"mien.sha256", b"0" * 64))]).hexdigest()
    assert str(card.test["accuracy"]) == "0.500 [0.420, 0.580] n=140"


def test_onnx_itself_opens_the_file_and_sees_the_card(path: Path) -> None:
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {entry.key: entry.value for entry in model.metadata_props}["mien"] == write_card(CARD)


def test_probs_are_the_softmax_of_logits_over_temperature(path: Path) -> None:
    bundle = Bundle.open(path, threads=1)
    logits = bundle.logits({"face": faces(3)})
    assert logits.dtype == np.float32
    expected = np.exp(logits / 2.0)
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(bundle.probs({"face": faces(3)}), expected, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_any_number_of_faces(path: Path, count: int) -> None:
    bundle = Bundle.open(path, threads=1)
    many = faces(count)
    alone = [bundle.logits({"face": face[None]})[0] for face in many]
    assert bundle.logits({"face": many}).shape == (count, 7)
    assert np.allclose(bundle.logits({"face": many}), np.reshape(alone, (count, 7)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_cut_off_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match=r"is empty|is cut off|is not a mien bundle"):
        Bundle.open(path)


def test_no_shorter_and_no_changed_content_is_whole(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 3):
        with pytest.raises(BundleError):
            _unseal(content[:length])
    for at in range(0, len(content), 3):
        with pytest.raises(BundleError, match=r"^.{10,400}$"):
            _unseal(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_swapped_labels_are_refused(path: Path) -> None:
    content = path.read_bytes()
    assert b'"anger","disgust"' in content
    path.write_bytes(content.replace(b'"anger","disgust"', b'"disgust","anger"'))
    with pytest.raises(BundleError, match="was changed after it was written"):
        Bundle.open(path)


def test_what_is_added_at_the_end_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + entry(b"note", b"hello"))
    with pytest.raises(BundleError, match="something was added"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"hello, I am a text\n", "is not an ONNX model"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not an ONNX model"),
        (model_bytes(), "is not a mien bundle: it has no card"),
        (model_bytes() + entry(b"mien", b"{}"), "does not end with its hash"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=sentence):
        Bundle.open(path)


@pytest.mark.parametrize("address", ["https://a.org/b.onnx", "s3://bucket/b.onnx", "http://localhost:1/x y"])
def test_an_address_is_no_model_file(address: str) -> None:
    with pytest.raises(BundleError, match=rf"^{re.escape(address)}: mien reads no URLs; download the model first"):
        Bundle.open(Path(address))


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (b"{}", "a card that cannot be used"),
        (b"[1]", "a card that cannot be used"),
        (b"[" * 100_000, "a card that cannot be used"),
        (write_card(CARD).replace('"format":1', '"format":2').encode(), "format 2, and this mien reads 1"),
        (write_card(CARD).replace('"temperature":2.0', '"temperature":0').encode(), "> 0.0 - at `\\$.temperature`"),
        (write_card(CARD).replace('"size":16', '"size":1').encode(), "8 to 1024 pixels"),
        (write_card(CARD).replace('"anger","disgust"', '"anger","anger"').encode(), "cannot be used"),
        (b" " * (2 << 20), "has a card of 2 MB"),
    ],
)
def test_a_sealed_card_that_makes_no_sense_is_refused(tmp_path: Path, card: bytes, sentence: str) -> None:
    content = model_bytes() + entry(b"mien", card)
    path = tmp_path / "odd.onnx"
    path.write_bytes(content + entry(b"mien.sha256", hashlib.sha256(content).hexdigest().encode()))
    with pytest.raises(BundleError, match=sentence):
        Bundle.open(path)


def test_a_network_that_does_not_fit_its_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(seal(model_bytes(), replace(CARD, crop=CropSpec(size=32, channels=1))))
    with pytest.raises(BundleError, match="does not fit its card"):
        Bundle.open(path).logits({"face": np.zeros((1, 32, 32, 1), np.uint8)})


def test_a_network_that_does_not_load_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(seal(model_bytes().replace(b"Gemm", b"Grmm"), CARD))
    with pytest.raises(BundleError, match="ONNX Runtime cannot load the network"):
        Bundle.open(path).logits({"face": faces(1)})


def test_a_model_that_comes_with_mien_is_opened_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = {name: Bundle.open(name).card.run for name in ("default", "small", "ferplus")}
    assert len(set(runs.values())) == 3
    Path("ferplus").write_bytes(b"no model")
    assert Bundle.open("ferplus").card.run == runs["ferplus"], "a name is a name; a file of that name is ./ferplus"
    with pytest.raises(BundleError, match="is not an ONNX model"):
        Bundle.open("./ferplus")


@pytest.mark.parametrize(("model", "recipe"), [("default", "shipped"), ("small", "small")])
def test_the_recipe_of_a_model_is_the_one_that_trained_it(model: str, recipe: str) -> None:
    """`ferplus` is older than the default of `train.micro_batch` that its run id stands on."""
    card = Bundle.open(model).card
    resolved = {"model.in_chans": card.crop.channels, "model.head": "gap"}
    assert override(read_recipe(recipe).settings, resolved).run_id(card.fingerprint) == card.run


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"does not exist; .* come with mien: .*default"):
        Bundle.open(tmp_path / "absent.onnx")
    with pytest.raises(BundleError, match="is not a file"):
        Bundle.open(tmp_path)


def test_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MAX_BYTES", 100)
    with pytest.raises(BundleError, match="at most 0"):
        Bundle.open(path)


def test_sealing_twice_is_refused(path: Path) -> None:
    with pytest.raises(BundleError, match="a mien bundle already"):
        seal(path.read_bytes(), CARD)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 16, 16, 3), np.uint8),
        np.zeros((16, 16, 1), np.uint8),
        np.zeros((1, 16, 16, 1), np.float32),
    ],
)
def test_crops_of_another_shape_or_type(path: Path, images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"takes uint8 \(B, 16, 16, 1\); got"):
        Bundle.open(path).logits({"face": images})


def test_negative_threads(path: Path) -> None:
    with pytest.raises(ConfigError, match="threads"):
        Bundle.open(path, threads=-1)


def test_opens_and_predicts_without_torch_and_onnx(path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "import numpy as np; from mien.bundle import Bundle\n"
        f"print(Bundle.open({str(path)!r}, threads=1).probs({{'face': np.zeros((2, 16, 16, 1), np.uint8)}}).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(2, 7)\n"
    assert done.stderr == ""


def test_the_runtime_tells_nobody(path: Path, tmp_path: Path) -> None:
    """ONNX Runtime's telemetry would leave an identifier of the device and a queue of reports in the home folder."""
    code = f"from mien import Bundle; Bundle.open({str(path)!r}).load()"
    home = tmp_path / "home"
    home.mkdir()
    wanted = {"PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT"}
    env = {name: value for name, value in os.environ.items() if name in wanted} | {"HOME": str(home)}
    subprocess.run([sys.executable, "-B", "-c", code], check=True, env=env)
    assert not list(home.rglob("*"))


@pytest.mark.parametrize("name", ["default", "small", "ferplus"])
def test_the_models_that_come_with_mien_say_what_their_figures_are_of(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["info", name, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["precision"], said["test_precision"]) == ("int8", "int8")
    assert "7-bit weights" in said["quantisation"]


def test_an_int8_file_from_before_says_that_processors_may_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.onnx"
    old = json.loads(write_card(replace(CARD, precision="int8")))
    for later in ("quantisation", "test_precision"):
        del old[later]
    content = model_bytes() + entry(b"mien", json.dumps(old).encode())
    path.write_bytes(content + entry(b"mien.sha256", hashlib.sha256(content).hexdigest().encode()))
    with pytest.raises(SystemExit):
        main(["info", str(path)])
    said = " ".join(capsys.readouterr().out.split())
    assert "Processors with AVX2 and without VNNI may give other answers. Export it again." in said
    assert "test, float32" in said
