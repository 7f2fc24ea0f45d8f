"""The device of all computations: the processor, or a GPU if there is one."""

import os

import torch

from .errors import ConfigError

__all__ = ["pick_device"]


def pick_device() -> torch.device:
    """A GPU if there is one, else the processor. `MIEN_DEVICE` overrules this; raises `ConfigError` if it names no
    device.
    """
    chosen = os.environ.get("MIEN_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:  # from a torch without CUDA
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"MIEN_DEVICE is {chosen!r} and cannot be used ({reason}). It is a device such as cpu, cuda or cuda:1."
        ) from None
