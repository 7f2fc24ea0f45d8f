"""An exported int8 network on processors that are not here: its integer layers with the sums of three kinds of kernels.

A kernel multiplies unsigned activations with signed weights and adds the products up. `exact` keeps every sum in 32
bits, as processors with VNNI do. The other two add two neighbouring products in 16 bits first and cut off what does not
fit, as `pmaddubsw` does on processors with AVX2 alone. They differ in which products are neighbours: `channels` of one
cell (maps that lie NHWC) or `cells` of one channel (NCHW).
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

DOMAIN = "kernels"
LOWEST, HIGHEST = -(1 << 15), (1 << 15) - 1
"""What 16 bits hold."""


def run(content: bytes, images: NDArray[np.uint8], kernel: str) -> NDArray[np.float32]:
    """Logits `(B, K)` of a quantised model with the sums of a `kernel`: exact, channels or cells."""
    model = onnx.load_from_string(content)
    for node in integer_layers(model):
        node.attribute.append(helper.make_attribute("kernel", kernel))
    model.opset_import[0].version = 19  # the reference has no quantisation of 18, whose arithmetic is the same
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return np.asarray(ReferenceEvaluator(model, new_ops=[IntegerConv]).run(None, {"images": images})[0])


def integer_layers(model: Any) -> list[Any]:
    """The convolutions of quantised activations, each turned into one of ours that takes the integers themselves.

    Its inputs are then x, scale, zero point, w, scale, zero point and the float bias.
    """
    before = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in model.graph.node if node.op_type == "Conv" and node.input[0] in before]
    for node in layers:
        x, w = before[node.input[0]], before[node.input[1]]
        node.input[:] = [*x.input, *w.input, *node.input[2:]]
        node.op_type, node.domain = "IntegerConv", DOMAIN
    return layers


def weights_of(content: bytes) -> dict[str, NDArray[np.int8]]:
    """The integer weights `(C', C, h, w)` of each layer by its name."""
    model = onnx.load_from_string(content)
    arrays = {array.name: array for array in model.graph.initializer}
    return {node.name: numpy_helper.to_array(arrays[node.input[3]]) for node in integer_layers(model)}


class IntegerConv(OpRun):
    """A convolution of integers, one group, then scaled to float as ONNX Runtime scales it."""

    op_domain = DOMAIN

    def _run(self, x: Any, x_scale: Any, x_zero: Any, w: Any, w_scale: Any, w_zero: Any, bias: Any = None, **how: Any):  # type: ignore[no-untyped-def]
        assert not w_zero.any()
        assert how.get("group", 1) == 1
        rows = patches(x, w.shape[2:], how["strides"], how["pads"], int(x_zero), how["kernel"])
        matrix = w.transpose(0, 2, 3, 1) if how["kernel"] == "channels" else w
        sums = products(rows, matrix.reshape(len(w), -1), cut=how["kernel"] != "exact")
        sums -= int(x_zero) * w.reshape(len(w), -1).sum(axis=1, dtype=np.int64)
        scale = (x_scale * w_scale).astype(np.float32)
        sums += 0 if bias is None else np.rint(bias / scale).astype(np.int64)
        return (np.moveaxis(sums * scale, -1, 1).astype(np.float32),)


def patches(x: Any, size: Any, strides: Any, pads: Any, zero: int, kernel: str) -> NDArray[np.int32]:
    """`(B, H', W', C·h·w)`: what each output sees, in the order in which the kernel multiplies."""
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=zero)
    seen = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(2, 3))[:, :, :: strides[0], :: strides[1]]
    order = (0, 2, 3, 4, 5, 1) if kernel == "channels" else (0, 2, 3, 1, 4, 5)
    seen = seen.transpose(order)
    return seen.reshape(*seen.shape[:3], -1).astype(np.int32)


def products(rows: NDArray[np.int32], matrix: NDArray[np.int8], *, cut: bool) -> NDArray[np.int64]:
    """`(B, H', W', C')` sums of products; `cut` keeps each two neighbours within 16 bits."""
    if not cut:
        return np.rint(rows.astype(np.float64) @ matrix.T.astype(np.float64)).astype(np.int64)
    odd = rows.shape[-1] % 2
    rows, weights = np.pad(rows, ((0, 0),) * 3 + ((0, odd),)), np.pad(matrix.astype(np.int32), ((0, 0), (0, odd)))
    sums = np.zeros((*rows.shape[:3], len(weights)), np.int64)
    for k in range(0, rows.shape[-1], 2):
        pair = rows[..., k, None] * weights[:, k] + rows[..., k + 1, None] * weights[:, k + 1]
        sums += np.clip(pair, LOWEST, HIGHEST)
    return sums


def largest_pairs(weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """`(C',)`: the largest sum of two products that any two weights of an output channel can have, in absolute terms.

    Activations are 0 to 255, so two weights of unlike signs never add up; whichever weights a kernel puts side by side,
    no two of them exceed this.
    """
    rows = np.sort(weights.reshape(len(weights), -1).astype(np.int64), axis=1)
    high, low = np.maximum(rows[:, -2:], 0).sum(axis=1), np.minimum(rows[:, :2], 0).sum(axis=1)
    return np.maximum(high, -low) * 255
