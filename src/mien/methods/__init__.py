"""Methods: what fits a classifier to a training part. A new one is a file here, a kind of settings and a line below.

In: a run with its settings, the parts to train on and to choose by. Out: a `Classifier`. A method never gets the test
part. Methods are imported when the first run of their kind is planned or fitted.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from ..classifier import Classifier
from ..config import Settings
from ..data.splits import Part
from ..data.store import Store
from ..hooks import Hooks
from ..runs import Costs, Logits, Run, Stage

__all__ = ["METHODS", "JoiningMethod", "Method", "find_joining", "find_method"]

METHODS = {
    "network": "mien.methods.network:NetworkMethod",
    "boosting": "mien.methods.boosting:BoostingMethod",
    "snapshots": "mien.methods.snapshots:SnapshotsMethod",
    "features": "mien.methods.features:FeaturesMethod",
    "ensemble": "mien.methods.ensemble:EnsembleMethod",
    "soup": "mien.methods.soup:SoupMethod",
}
"""Methods by `Settings.method`, which is the kind of settings unless these say more, as `module:class`."""


class Method(Protocol):
    """How runs of one kind are made."""

    def check(self, settings: Settings, store: Store) -> None:
        """Raise `ConfigError` or `DataError` for settings that cannot be fitted on a store, before anything is written.

        It is called once for each of a grid's settings that is new, so it takes at most seconds.
        """

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> Classifier:
        """Fit and choose on these parts, and keep in the run's folder all that `load` needs.

        Raises:
            NonFinite: it has no result, and the same settings would only repeat that.
            MemberMissing: it is made from other runs, and one of them is not finished.
            Pruned: `hooks` asked to stop early.
            KeyboardInterrupt: it was stopped; the run goes on from where it was.
        """

    def tidy(self, run: Run) -> None:
        """Remove what only a fit that has not ended needs. It is called after each fit, perhaps twice."""

    def load(self, run: Run) -> Classifier:
        """What was fitted; raises `RunError` where it is gone or damaged."""

    def answered(self, run: Run, part: Stage) -> Logits | None:
        """The logits of `valid` or `test` where they follow from other runs; None where the samples have to be read.

        What is given here opens no test part.
        """

    def costs(self, run: Run) -> Costs:
        """The run's costs with what is measured in a fresh process added: memory and speed."""

    def work(self, run: Run) -> float:
        """About how many floating-point operations a fit takes; an engine plans by it."""


class JoiningMethod(Method, Protocol):
    """How runs are made from other runs: of settings whose `JOINS` is true."""

    def check_members(self, settings: Settings, members: Sequence[Settings], store: Store) -> None:
        """Raise `ConfigError` for members that cannot be joined so; as `check`, before anything is written.

        `members` are the settings of the runs that are joined, of one fold.
        """


def find_joining(settings: Settings) -> JoiningMethod:
    """The method of settings whose `JOINS` is true."""
    assert settings.JOINS
    return cast(JoiningMethod, find_method(settings))


def find_method(settings: Settings) -> Method:
    """The method of some settings."""
    module, _, name = METHODS[settings.method].partition(":")
    return cast(Method, getattr(import_module(module), name)())
