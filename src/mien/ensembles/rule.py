"""What a rule of joining is: what it fits on validation, if anything, and how it joins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array

__all__ = ["Arrays", "Logits", "Rule"]

Logits = NDArray[np.float64]
"""`(M, N, K)` of members, or `(N, K)` joined."""
Arrays = Mapping[str, NDArray[np.float64]]
"""What was fitted, by name."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How members' logits become one's."""

    words: str
    """As the report says it."""
    join: Callable[[Arrays, Logits], Logits]
    """From what was fitted and logits `(M, N, K)` to logits `(N, K)`."""
    fit: Callable[[Logits, NDArray[np.int64]], Arrays] | None = None
    """From logits `(M, N, K)` and labels `(N,)` of validation; None where nothing is fitted."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """What `fit` gives, as it is read back from a file: axes of M members and K classes."""
