"""Hooks observe a run while it is finished: they receive its progress, may stop it, and may measure more.

A hook that is called by name lives in the process of the run, wherever an engine starts that. A new one is a class with
the methods of `Hook` and a line in `HOOKS`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from .classifier import Classifier
from .data.splits import Part
from .errors import ConfigError
from .runs import Run

if TYPE_CHECKING:
    from .ranks import Ranks

__all__ = ["HOOKS", "Hook", "Hooks", "Progress", "Report", "find_hook"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a fit after a step."""

    epoch: int
    epochs: int
    """0 for a method without epochs; its loss and accuracy are then not numbers."""
    done: float
    """Share of the whole fit that is done, 0 to 1."""
    loss: float
    accuracy: float
    images_per_second: float
    valid_accuracy: float | None = None
    """Of the last epoch that was judged; None before the first."""
    note: str = ""
    """A note for the log on how the run is computed, shown once."""


Report = Callable[[Progress], bool | None]
"""Called with progress. If it returns False, the run stops early: it saves itself, and its status becomes `pruned`."""


class Hook(Protocol):
    """An addition to a run. It changes no result of the run."""

    keeps_epochs: bool
    """Whether it needs the weights of every epoch."""

    def lacks(self, run: Run) -> bool:
        """Whether a finished run has to be fitted again for this hook."""

    def tested(self, run: Run, classifier: Classifier, test: Callable[[], Part]) -> None:
        """Called after the test part was judged. `test` opens the part again, and the opening is recorded."""


def _alone() -> "Ranks":
    """Of a training in one process. Engines, which only pass progress on, need no torch."""
    from .ranks import ALONE

    return ALONE


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """All observers of a run, and the computing resources of its process."""

    report: Report | None = None
    names: tuple[str, ...] = ()
    """Keys of `HOOKS`."""
    threads: int = 0
    """Number of threads from now on; 0 keeps the run's earlier number."""
    ranks: "Ranks" = field(default_factory=_alone)
    """The processes that share the run's batches; this one leads them."""
    alone: bool = True
    """Whether this process does nothing but this run, so that its peak memory is the run's."""

    @property
    def named(self) -> tuple[Hook, ...]:
        """The hooks with these names."""
        return tuple(find_hook(name) for name in self.names)

    @property
    def keep_epochs(self) -> bool:
        """Whether the weights of every epoch are needed."""
        return any(hook.keeps_epochs for hook in self.named)


HOOKS = {"peeking": "mien.methods.peeking:Peeking"}
"""Hooks by name, as `module:class`."""


def find_hook(name: str) -> Hook:
    """The hook with this name; raises `ConfigError` if there is none."""
    if name not in HOOKS:
        raise ConfigError(f"There is no hook {name!r}; the hooks are {', '.join(HOOKS)}.")
    module, _, word = HOOKS[name].partition(":")
    return cast(Hook, getattr(import_module(module), word)())
