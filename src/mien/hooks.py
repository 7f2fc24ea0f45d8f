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
    """How far a fit is, after each step."""

    epoch: int
    epochs: int
    """0 of a method that has none, as loss and accuracy are then no numbers."""
    done: float
    """Share of the whole fit that is done, 0 to 1."""
    loss: float
    accuracy: float
    images_per_second: float
    valid_accuracy: float | None = None
    """Of the last epoch that was judged; None before the first."""
    note: str = ""
    """What the log says once of how the run is computed."""


Report = Callable[[Progress], bool | None]
"""Is told of progress. False asks the run to stop early: it saves itself, and its status becomes `pruned`."""


class Hook(Protocol):
    """What a run also does while it is finished. It changes no result of the run."""

    keeps_epochs: bool
    """Whether it needs the weights of every epoch."""

    def lacks(self, run: Run) -> bool:
        """Whether a finished run has to be fitted again for this hook."""

    def tested(self, run: Run, classifier: Classifier, test: Callable[[], Part]) -> None:
        """The test part was judged. `test` opens it again; the opening is written down."""


def _alone() -> "Ranks":
    """Of a training in one process. Engines, which only pass progress on, need no torch."""
    from .ranks import ALONE

    return ALONE


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """All that looks on, and how the process may compute."""

    report: Report | None = None
    names: tuple[str, ...] = ()
    """Keys of `HOOKS`."""
    threads: int = 0
    """Compute with so many threads from here on; 0 keeps the number that the run was computed with."""
    ranks: "Ranks" = field(default_factory=_alone)
    """The processes that the run shares its batches with; this one leads them."""
    alone: bool = True
    """Whether this process does nothing but this run, so that its peak memory is the run's."""

    @property
    def named(self) -> tuple[Hook, ...]:
        """The hooks that were named."""
        return tuple(find_hook(name) for name in self.names)

    @property
    def keep_epochs(self) -> bool:
        """Whether the weights of every epoch are needed."""
        return any(hook.keeps_epochs for hook in self.named)


HOOKS = {"peeking": "mien.methods.peeking:Peeking"}
"""Hooks by name, as `module:class`."""


def find_hook(name: str) -> Hook:
    """The hook of a name; raises `ConfigError` where there is none."""
    if name not in HOOKS:
        raise ConfigError(f"There is no hook {name!r}; the hooks are {', '.join(HOOKS)}.")
    module, _, word = HOOKS[name].partition(":")
    return cast(Hook, getattr(import_module(module), word)())
