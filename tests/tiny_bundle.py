"""A bundle made in a millisecond, without torch: a linear network with weights drawn from a seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.bundle import seal
from mien.card import Card, Figure
from mien.crop import CropSpec
from mien.labels import SEVEN

CARD = Card(
    labels=SEVEN.names,
    crop=CropSpec(size=16, channels=1),
    network="linear",
    run="linear-0123456789",
    corpus="drawn",
    fingerprint="f" * 64,
    licence="CC0-1.0",
    temperature=2.0,
    test={"accuracy": Figure(value=0.5, n=140, low=0.42, high=0.58)},
    recall={"anger": Figure(value=0.25, n=20)},
    known_failures=("anger is found in 25% of 20 test faces; 40% are taken for disgust.",),
    mien="0.1.0",
)


def model_bytes(card: Card = CARD, seed: int = 0) -> bytes:
    """uint8 (B, S, S, C) -> logits (B, K)."""
    spec, classes = card.crop, len(card.labels)
    side, pixels = spec.size, spec.size**2 * spec.channels
    weights = np.random.default_rng(seed).normal(0, 0.002, (pixels, classes)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", side, side, spec.channels])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(onnx.ModelProto.SerializeToString(model))


def write_bundle(path: Path, **changes: object) -> Path:
    """A bundle whose card has some fields changed."""
    card = replace(CARD, **changes)  # type: ignore[arg-type]
    path.write_bytes(seal(model_bytes(card), card))
    return path
