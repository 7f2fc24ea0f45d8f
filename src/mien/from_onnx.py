"""The weights of a model file, read back from its ONNX graph.

In: a bundle (`mien.bundle`). Out: its convolutions and linear layers under the network's own names, in float32.
Integers of an int8 file are converted back: weights have 7 bits and a scale for each channel. Batch norm was folded
into the convolutions when the file was written, so each of those has a bias instead (`mien.start` gives batch norm
back).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .card import Card
from .errors import ConfigError, MissingExtra

__all__ = ["Model", "read_model"]

QUANTIZED, SCALE, ZERO = "_quantized", "_scale", "_zero_point"
BIAS = "_bias"
"""Suffix of the exporter for the bias that replaces batch norm."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The content of a model file."""

    card: Card
    arrays: Mapping[str, NDArray[np.float32]]
    """Weights by name, and the bias of each convolution as `NAME.bias`."""
    strides: Mapping[str, int]
    """Of each convolution, by the name of its weight."""
    mean: tuple[float, ...]
    """Of each channel of its pixels in [0, 1]."""
    std: tuple[float, ...]


def read_model(path: Path) -> Model:
    """The weights of a model file.

    Raises `BundleError` if it is not a model file or is damaged, `ConfigError` if mien did not write its graph,
    `MissingExtra` without the onnx package.
    """
    card = Bundle.open(path).card
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError:
        raise MissingExtra("Starting from a model file", "train") from None
    try:
        graph = onnx.load(path, load_external_data=False).graph
        raw = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        arrays = {_plain(name): _value(name, raw) for name in raw if _is_weight(name, raw)}
        mean, std = _normalisation(graph, raw, card.takes[0].shape[-1])
    except Exception as error:  # of protobuf, of shapes that do not fit, of a graph without those nodes
        raise ConfigError(f"{path} is not a model file as mien writes it ({type(error).__name__}).") from None
    strides = {
        _plain(name.removesuffix("_DequantizeLinear_Output")): int(_ints(node, "strides", (1, 1))[0])
        for node in graph.node
        if node.op_type == "Conv"
        for name in node.input[1:2]
    }
    return Model(card=card, arrays=arrays, strides=strides, mean=mean, std=std)


def _is_weight(name: str, raw: Mapping[str, Any]) -> bool:
    """Whether it is a weight or bias of a layer; the exporter's own constants have no dot in their names."""
    scales = any(name.endswith(end) for end in (SCALE, ZERO))
    return "." in name and not scales and raw[name].dtype in (np.float32, np.int8, np.int32)


def _plain(name: str) -> str:
    """The network's name: `a.weight_bias_quantized` is `a.bias`."""
    name = name.removesuffix(QUANTIZED)
    return name.removesuffix(f"weight{BIAS}") + "bias" if name.endswith(f"weight{BIAS}") else name


def _value(name: str, raw: Mapping[str, Any]) -> NDArray[np.float32]:
    if not name.endswith(QUANTIZED):
        return np.array(raw[name], np.float32)
    plain = name.removesuffix(QUANTIZED)
    own = name if f"{name}{SCALE}" in raw else plain  # a bias has its scale under its longer name
    values, scale, zero = raw[name], raw[f"{own}{SCALE}"], raw[f"{own}{ZERO}"]
    shape = (-1, *[1] * (values.ndim - 1))
    floats = (values.astype(np.float64) - zero.reshape(shape)) * scale.reshape(shape)
    return np.asarray(floats, np.float32)


def _normalisation(graph: Any, raw: Mapping[str, Any], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of pixels, from the first product and the first sum after the cast of the images."""
    product = next(node for node in graph.node if node.op_type == "Mul")
    added = next(node for node in graph.node if node.op_type == "Add" and product.output[0] in node.input)
    scale, shift = (next(raw[name] for name in node.input if name in raw) for node in (product, added))
    std = 1 / (255 * scale.astype(np.float64).reshape(-1))
    mean = -shift.astype(np.float64).reshape(-1) * std
    if len(mean) != channels:
        raise ValueError("its normalisation has other channels than its card")
    return tuple(mean.tolist()), tuple(std.tolist())


def _ints(node: Any, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    return next((tuple(each.ints) for each in node.attribute if each.name == name), default)
