"""The network of a soup: the `[model]` table of its members in its own folder, so that it no longer needs them."""

from dataclasses import asdict

import tomli_w

from ..atomic import write_text
from ..config import ModelSettings, NetworkSettings, override
from ..config.parsing import flattened, read_toml
from ..errors import RunError
from ..reading import reading
from ..runs import Run

__all__ = ["keep_model", "model_of"]

MODEL = "soup.toml"


def keep_model(run: Run, settings: ModelSettings) -> None:
    """Write the settings of a soup's network."""
    with run.writing():
        write_text(run.path / MODEL, tomli_w.dumps({ModelSettings.TABLE: asdict(settings)}))


def model_of(run: Run) -> ModelSettings:
    """The settings of a soup's network; raises `RunError` if its file is missing or damaged."""
    path, remedy = run.path / MODEL, f"Remove the folder {run.path} and run the same command again."
    if not path.exists():
        raise RunError(f"{path} is gone. {remedy}")
    with reading(path, RunError, remedy):
        return override(NetworkSettings(), flattened(read_toml(path))).model
