"""An int8 file answers alike on every processor: its integer layers with the sums of kernels that are not here."""

from functools import partial

import cv2
import numpy as np
import onnxruntime.quantization
import pytest
import torch
from numpy.typing import NDArray

import integer_kernels
from mien.bundle import Bundle, find_model
from mien.config import ModelSettings
from mien.data.drawn import draw_faces
from mien.models import build
from mien.to_onnx import onnx_bytes, quantise

SHIPPED = {"default": 1, "small": 3, "ferplus": 2}
"""The models that come with mien, and how many faces the slow arithmetic of numpy is asked for."""
CUTTING = ("channels", "cells")
FACES = np.random.default_rng(3).integers(0, 256, (64, 24, 24, 1), dtype=np.uint8)


def drawn(count: int) -> NDArray[np.uint8]:
    """`(count, 48, 48, 1)` faces in grey."""
    faces = [cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY) for _, face in draw_faces(count, seed=1, size=48)]
    return np.stack(faces)[..., None]


@pytest.fixture(scope="module")
def steep() -> bytes:
    """A network whose weights all add up: each is positive, and all are near the largest."""
    torch.manual_seed(0)
    network = build(ModelSettings(name="compact-s", width=0.25, in_chans=1), classes=7, size=24)
    with torch.no_grad():
        for name, values in network.named_parameters():
            if values.ndim == 4:
                values.uniform_(0.9, 1.0)
            if name.endswith("classifier.weight"):
                values.uniform_(-1, 1)
        for _ in range(20):  # batch norm learns what such layers give
            network.train()(torch.from_numpy(FACES))
    return onnx_bytes(network.eval())


def answers(content: bytes, faces: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return {kernel: integer_kernels.run(content, faces, kernel) for kernel in ("exact", *CUTTING)}


@pytest.mark.parametrize("name", SHIPPED)
def test_no_two_products_of_a_shipped_file_leave_16_bits(name: str) -> None:
    layers = integer_kernels.weights_of(find_model(name).read_bytes())
    assert len(layers) > 10
    worst = {layer: integer_kernels.largest_pairs(weights).max() for layer, weights in layers.items()}
    assert max(worst.values()) <= integer_kernels.HIGHEST, worst


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_answers_alike_with_every_kernel(name: str) -> None:
    faces, content = drawn(SHIPPED[name]), find_model(name).read_bytes()
    seen = answers(content, faces)
    for kernel in CUTTING:
        assert np.array_equal(seen[kernel], seen["exact"]), kernel
    here = Bundle.open(name, threads=1).logits({"face": faces})
    assert np.abs(here - seen["exact"]).max() < 0.1  # a pixel's rounding in float may move an activation by one step
    assert np.array_equal(here.argmax(axis=1), seen["exact"].argmax(axis=1))


def test_a_network_that_would_saturate_is_exported_so_that_it_does_not(steep: bytes) -> None:
    content = quantise(steep, {"images": FACES})
    seen = answers(content, FACES[:4])
    assert all(np.array_equal(seen[kernel], seen["exact"]) for kernel in CUTTING)
    worst = [integer_kernels.largest_pairs(weights).max() for weights in integer_kernels.weights_of(content).values()]
    assert max(worst) <= integer_kernels.HIGHEST


def test_the_same_network_with_weights_of_8_bits_depends_on_the_kernel(
    steep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter-proof: the arithmetic above sees what it is meant to see."""
    whole = partial(_with_8_bits, onnxruntime.quantization.quantize_static)
    monkeypatch.setattr(onnxruntime.quantization, "quantize_static", whole)
    seen = answers(quantise(steep, {"images": FACES}), FACES[:4])
    for kernel in CUTTING:
        assert np.abs(seen[kernel] - seen["exact"]).max() > 0.1, kernel


def _with_8_bits(quantize: object, *given: object, **how: object) -> None:
    quantize(*given, **{**how, "reduce_range": False})  # type: ignore[operator]
