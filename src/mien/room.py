"""Checks that a training fits into memory. It counts on torch's meta device, before any memory is allocated."""

import torch

from .config import NetworkSettings, TrainSettings
from .errors import ConfigError
from .machine import memory_bytes
from .models import sketch_on
from .models.cost import count
from .optimise import MOMENTS
from .planes import Plane

__all__ = ["check_room"]


def check_room(settings: NetworkSettings, takes: tuple[Plane, ...], *, classes: int) -> None:
    """Raise `ConfigError` if training on these planes takes more memory than the machine or its GPU has.

    Counted are weights, gradients, moments and averaged weights, and the outputs of all layers for one chunk of
    faces: the least that it takes. Faces, buffers of convolutions and Python come on top.
    """
    model, step, options = settings.model, settings.optimizer, settings.train
    try:
        cost = count(sketch_on(takes, model, classes=classes), max(options.sizes, default=None))
    except RuntimeError:
        return  # a head for faces of another size: the rehearsal says so
    weights = 4 * cost.parameters * (2 + MOMENTS[step.name] + bool(step.ema))
    outputs = cost.activation_bytes * _chunk(options) // (1 if options.precision == "float32" else 2)
    if weights + outputs > (most := _most_memory()):
        cure = "model.width, or set model.head to gap" if weights > outputs else "train.micro_batch or train.batch_size"
        raise ConfigError(
            f"{model.name} at width {model.width:g} with head {model.named_head} has {cost.parameters / 1e6:,.0f} "
            f"million parameters: training it takes at least {(weights + outputs) / 1e9:,.0f} GB of memory, and this "
            f"machine has {most / 1e9:,.0f} GB. Lower {cure}."
        )


def _chunk(options: TrainSettings) -> int:
    """Faces in one pass."""
    return min(options.micro_batch or options.batch_size, options.batch_size)


def _most_memory() -> int:
    if torch.cuda.is_available():
        return max(memory_bytes(), torch.cuda.get_device_properties(0).total_memory)
    return memory_bytes()
