"""A torch network as the bytes of an ONNX model, in float32 or in int8.

In: a network; for int8 also samples. Out: a model with the planes `(B, *shape)` that it takes in, and logits out.
Normalisation is inside, batch norm is folded into the convolutions before it, and the softmax stays outside, where the
temperature belongs.

Int8 models (Jacob 2018, arXiv:1712.05877) must give the same logits on every processor. Those with SSE4.1 or AVX2 and
without VNNI multiply unsigned activations with signed weights, add two neighbouring products in 16 bits, and cut off
what does not fit. With weights of 8 bits, up to 2 · 255 · 127 = 64,770 does not fit into 32,767. So weights have 7
bits, from −64 to 64: no two products exceed 2 · 255 · 64 = 32,640.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .bundle import BATCH, input_name, runtime
from .errors import MissingExtra

__all__ = ["onnx_bytes", "quantise"]

OPSET, IR_VERSION = 18, 8
"""Old enough for every ONNX Runtime since 1.14."""
LAYERS = ("Conv", "Gemm", "MatMul")
"""Operations with weights, as ONNX names them."""


def onnx_bytes(network: Any) -> bytes:
    """A network in evaluation mode as an ONNX model with a free batch size; no paths or stack traces inside.

    `network` is a `mien.models.Network`, or several joined as one (`mien.joined_network`).
    """
    import torch

    _require_exporter()
    network = network.eval().cpu()
    planes = network.blank(2)  # the exporter takes a batch of one for a constant
    batch = torch.export.Dim("batch")
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            network,
            planes,
            input_names=[input_name(plane) for plane in network.takes],
            output_names=["logits"],
            dynamic_shapes=_free(network, len(planes), {0: batch}),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    return _bare(program.model_proto)


def _free(network: Any, planes: int, batch: dict[int, Any]) -> tuple[Any, ...]:
    """The free sizes of each argument of `forward`; one that gathers planes with a star takes them as one tuple."""
    stars = any(each.kind is each.VAR_POSITIONAL for each in signature(network.forward).parameters.values())
    each = tuple(batch for _ in range(planes))
    return (each,) if stars else each


def quantise(model: bytes, samples: Mapping[str, NDArray[Any]]) -> bytes:
    """The model with int8 layers but for the first and the last, ranges taken from `samples`.

    `samples` are planes `(n, *shape)` by the names of the model's inputs: of faces `{"images": (n, H, W, C)}`.

    Weights have 7 bits, so that every processor gives the same integers.
    """
    _require_exporter()
    runtime()
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    network = onnx.load_from_string(model)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        small = Path(folder) / "int8.onnx"
        quantize_static(
            network,
            small,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "Add", "MaxPool", "Relu"],
            nodes_to_exclude=_kept_in_float([(node.name, node.op_type) for node in network.graph.node]),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _bare(onnx.load(small))


def _kept_in_float(nodes: Sequence[tuple[str, str]]) -> list[str]:
    """The names of the nodes of a graph (name, operation) at both its ends, which int8 would harm without making them
    faster.

    A convolution of one to three channels is faster in float; so what normalises pixels is not rounded step by step,
    and neither are logits to 256 levels.
    """
    layers = [i for i, (_, operation) in enumerate(nodes) if operation in LAYERS]
    if len(layers) < 3:
        return [name for name, _ in nodes]
    return [name for name, _ in (*nodes[: layers[1]], *nodes[layers[-1] :])]


class _Samples:
    """The calibration samples, batch by batch, as onnxruntime's quantiser asks for them."""

    def __init__(self, samples: Mapping[str, NDArray[Any]]) -> None:
        count = len(next(iter(samples.values())))
        self._batches = (
            {name: array[at : at + BATCH] for name, array in samples.items()} for at in range(0, count, BATCH)
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)


def _bare(model: Any) -> bytes:
    """The model's bytes without stack traces, paths and notes of the exporter, in a form that old runtimes open."""
    model.ir_version = IR_VERSION
    del model.metadata_props[:]
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _require_exporter() -> None:
    if any(find_spec(package) is None for package in ("torch", "onnx", "onnxscript")):
        raise MissingExtra("Exporting a model", "train")


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages of the exporter and the quantiser: deprecations and missing packages."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
