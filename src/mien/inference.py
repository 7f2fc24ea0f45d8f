"""Prediction with a network: it is placed on a device and computes logits, batch by batch.

In: the planes that the network takes, `(n, *shape)` each. Out: logits `(n, K)` float32.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .models import Network

__all__ = ["PREDICT_BATCH", "placed", "predict_logits"]

PREDICT_BATCH = 32


def placed(network: Network, device: torch.device | str) -> Network:
    """The network on the device, its weights channels-last, which is also the order of images."""
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@torch.inference_mode()
def predict_logits(
    network: Network,
    *planes: NDArray[Any],
    batch_size: int = PREDICT_BATCH,
    weights: Mapping[str, Tensor] | None = None,
) -> NDArray[np.float32]:
    """Logits `(n, K)` float32 of the planes that the network takes, with the network in evaluation mode.

    A network of faces takes one, images `(n, H, W, C)` uint8; in general they are those of `Network.takes`.

    `weights`, by name, are used in place of the network's own, which stay as they are.
    """
    network.eval()
    device = network.pixel_mean.device
    chunks = [
        torch.func.functional_call(
            network, dict(weights or {}), tuple(torch.from_numpy(part).to(device) for part in parts)
        )
        for parts in zip(*(np.split(plane, range(batch_size, len(plane), batch_size)) for plane in planes), strict=True)
    ]
    return torch.cat(chunks).float().cpu().numpy()
