"""mien trains, compares, explains and runs classifiers of facial expressions.

Importing it prints nothing and loads nothing: each name in `__all__` is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .bundle import Bundle
    from .errors import MienError
    from .predict import Prediction, Predictor
    from .session import Session

__all__ = ["Bundle", "MienError", "Prediction", "Predictor", "Session", "__version__"]

PLACES = {
    "Bundle": "bundle",
    "MienError": "errors",
    "Prediction": "predict",
    "Predictor": "predict",
    "Session": "session",
}
"""The module of each public name."""


def __getattr__(name: str) -> object:
    if name not in PLACES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
