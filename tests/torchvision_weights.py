"""Weights and faces made by formula, so that the parity fixtures hold logits and no weights.

Each tensor is drawn from a generator seeded with the SHA-256 of its key; the scale keeps activations of order one
through the deepest network. `scripts/make_torchvision_fixtures.py` fills torchvision's networks with them,
`tests/test_models.py` fills mien's.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

NAMES = {"vgg16": "vgg16_bn", "densenet121": "densenet121", "resnet34": "resnet34"}
"""mien's name -> torchvision's."""
CLASSES = 7
BATCH = 2
SIZES = (64, 224)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def generator(key: str) -> np.random.Generator:
    """The generator that belongs to a key."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")))


def fill(named: Iterable[tuple[str, Tensor]]) -> None:
    """Overwrite float64 tensors, by key and shape, in place: weights, biases and running statistics alike."""
    for key, tensor in named:
        if tensor.dtype != torch.float64:
            tensor.zero_()
            continue
        values = tensor.detach().numpy()
        generator(key).random(out=values)
        if values.ndim > 1:  # uniform with variance 2 / inputs (He 2015)
            values -= 0.5
            values *= np.sqrt(24 / np.prod(values.shape[1:]))
        elif key.endswith(("weight", "running_var")):
            values += 0.5
        else:
            values -= 0.5
            values *= 0.2


def faces(size: int) -> np.ndarray:
    """(2, size, size, 3) uint8, not symmetric in anything."""
    return generator(f"faces {size}").integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
