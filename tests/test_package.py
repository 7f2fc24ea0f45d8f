"""`from mien import …` is lazy and silent, and the base install needs nothing of the extras."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import mien
from mien.data.drawn import draw_scene
from tiny_bundle import write_bundle

EXTRAS = ("torch", "scipy", "sklearn", "statsmodels", "matplotlib", "safetensors", "jinja2", "onnx", "onnxscript",
          "tomli_w", "cleanlab", "pandas", "yuface", "ray", "fastapi", "starlette", "uvicorn", "prometheus_client",
          "websockets", "multipart", "python_multipart")  # fmt: skip
BASE = f"""
import sys
for name in {EXTRAS}:
    sys.modules[name] = None
from mien.cli import main
main(sys.argv[1:])
"""


def python(code: str, *words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_the_public_names() -> None:
    assert mien.__all__ == ["Bundle", "MienError", "Prediction", "Predictor", "Session", "__version__"]
    assert set(mien.__all__) <= set(dir(mien))
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    from mien import Bundle, Predictor
    from mien.bundle import Bundle as Place

    assert Bundle is Place
    assert Predictor.__module__ == "mien.predict"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'Oracle'"):
        _ = mien.Oracle  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Oracle'"):
        from mien import Oracle  # type: ignore[attr-defined]  # noqa: F401


def test_importing_mien_is_silent_and_loads_nothing() -> None:
    done = python(
        "import sys; import mien\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'torch', 'rich', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert {name for name in sys.modules if name.startswith('mien')} == {'mien', 'mien.version'}\n"
        "from mien import Predictor, Bundle\n"
        "assert 'cv2' in sys.modules and not {'onnxruntime', 'torch', 'rich', 'typer'} & set(sys.modules)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_command_line_starts_without_what_its_verb_does_not_need() -> None:
    done = python(
        "import sys\nfrom mien.cli import main\n"
        "try: main(['--version'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'cv2', 'onnxruntime', 'torch'} & set(sys.modules)))"
    )
    assert done.stdout == f"mien {mien.__version__}\n[]\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["predict", "scene.png", "--model", "tiny.onnx", "--draw", "out"], "scene.png"),
        (["predict", "scene.png", "--model", "tiny.onnx", "--faces", "none", "--json"], '"detector": "none"'),
        (["info", "tiny.onnx"], "linear-0123456789"),
        (["data", "draw", "--out", "new", "--count", "30", "--size", "24"], "30 of 24×24 RGB"),
        (["data", "prepare", "corpus", "-c", "folder", "-o", "store", "--labels", "own"], "14 of 48×48 RGB"),
        (["--help"], "predict"),
    ],
)
def test_the_base_install_is_enough(tmp_path: Path, words: list[str], says: str) -> None:
    write_bundle(tmp_path / "tiny.onnx")
    scene = draw_scene(3, seed=3, height=240, width=320).image
    cv2.imwrite(str(tmp_path / "scene.png"), scene[..., ::-1])
    for place in range(14):
        folder = tmp_path / "corpus" / "train" / ("anger", "fear")[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{place}.png"), scene[place : place + 48, :48, ::-1])
    done = python(BASE, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("verb", "words", "extra"),
    [("export", ["run", "-o", "x.onnx"], "train"), ("compare", ["demo"], "train"), ("serve", [], "serve")],
)
def test_what_needs_more_says_what_to_install(tmp_path: Path, verb: str, words: list[str], extra: str) -> None:
    done = python(BASE, verb, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"mien: `mien {verb}` needs an optional part of mien. Install it with: pip install 'mien[{extra}]'\n"
    )
