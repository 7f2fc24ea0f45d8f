"""What a rule is: the parameters that it fits on validation, if any, and how it joins logits, in numpy and in a graph.

Only a graph needs torch, so a rule imports it inside that function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Arrays", "Logits", "Rule", "Tensors"]

Logits = NDArray[np.float64]
"""`(M, N, K)` of members, or `(N, K)` of the ensemble."""
Arrays = Mapping[str, NDArray[np.float64]]
"""Fitted parameters by name."""
Tensors = Mapping[str, "Tensor"]
"""The same parameters as tensors."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How the logits of several members become the logits of one classifier."""

    words: str
    """The rule in the words of the report, such as "the members' majority vote"."""
    join: Callable[[Arrays, Logits], Logits]
    """From the fitted parameters and logits `(M, N, K)` to logits `(N, K)`."""
    graph: "Callable[[Tensors, Tensor], Tensor]"
    """The same as `join`, in operations of torch that ONNX has: from the fitted parameters and log probabilities
    `(M, N, K)` to logits `(N, K)`. An exported ensemble consists of its members and this function."""
    fit: Callable[[Logits, NDArray[np.int64]], Arrays] | None = None
    """Fits the parameters on validation, from logits `(M, N, K)` and labels `(N,)`; None if there are none."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """Type and shape of each fitted parameter, for reading it from a file: axes of M members and K classes."""
