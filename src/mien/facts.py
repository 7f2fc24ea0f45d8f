"""Facts for JSON: findings of a verb or a report as plain values.

>>> plain({"share": float("nan"), "n": (1, 2)})
{'share': None, 'n': [1, 2]}
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite
from types import NoneType
from typing import Any

import numpy as np

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Facts as values of JSON: nan becomes null, and arrays become lists."""
    if type(value) in (str, int, bool, NoneType):  # most values of an answer, which the server gives by the hundred
        return value
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
