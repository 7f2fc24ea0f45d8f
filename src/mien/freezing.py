"""The stages of a network that are frozen in an epoch. In: a network, its settings, an epoch. Out: those stages.

A frozen stage does not change by a bit: its weights have no gradients, and its layers stay in evaluation mode, so batch
norm collects no statistics and dropout drops nothing.
"""

from .config import NetworkSettings, StartSettings
from .errors import ConfigError
from .models import Network
from .models.stages import Stage, stages_of

__all__ = ["check_frozen", "freeze", "frozen_count"]

ALL_BUT_THE_LAST = -1


def frozen_count(start: StartSettings, stages: int, epoch: int) -> int:
    """Number of stages, from the input, that are frozen in an epoch (from 0)."""
    asked = stages - 1 if start.frozen == ALL_BUT_THE_LAST else start.frozen
    thawed = epoch // start.unfreeze_epochs if start.unfreeze_epochs else 0
    return max(asked - thawed, 0)


def freeze(network: Network, start: StartSettings, epoch: int) -> tuple[Stage, ...]:
    """Turn off the gradients of exactly the stages that are frozen in an epoch; returns these stages."""
    if not start.frozen:
        return ()
    stages = stages_of(network)
    count = frozen_count(start, len(stages), epoch)
    for place, stage in enumerate(stages):
        for parameter in stage.parameters:
            parameter.requires_grad_(place >= count)
    return stages[:count]


def check_frozen(network: Network, settings: NetworkSettings) -> None:
    """Raise `ConfigError` if nothing of the network would be trained in the first epoch."""
    start, stages = settings.start, stages_of(network)
    if start.frozen >= len(stages):
        names = ", ".join(stage.name for stage in stages)
        raise ConfigError(
            f"start.frozen is {start.frozen}, and {settings.model.name} has {len(stages)} stages ({names}): at most "
            f"{len(stages) - 1} can be frozen."
        )
