"""Methods fit classifiers to a training part. A new one is a file here, a kind of settings and a line below.

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
"""Methods by `Settings.method`, which is the kind of settings unless a setting overrides it, as `module:class`."""


class Method(Protocol):
    """The method of one kind of runs."""

    def check(self, settings: Settings, store: Store) -> None:
        """Raise `ConfigError` or `DataError` for settings that cannot be fitted on a store, before anything is written.

        It is called once for each new combination of settings in a grid, so it takes at most seconds.
        """

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> Classifier:
        """Fit and choose on these parts, and write everything that `load` needs into the run's folder.

        Raises:
            NonFinite: there is no result, and the same settings would only repeat that.
            MemberMissing: the run is made from other runs, and one of them is not finished.
            Pruned: `hooks` asked to stop early.
            KeyboardInterrupt: it was stopped; the run resumes from this point.
        """

    def tidy(self, run: Run) -> None:
        """Remove files that only an unfinished fit needs. It is called after each fit, possibly twice."""

    def load(self, run: Run) -> Classifier:
        """The fitted classifier; raises `RunError` if it is missing or damaged."""

    def answered(self, run: Run, part: Stage) -> Logits | None:
        """The logits of `valid` or `test` if they follow from other runs; None if the samples must be read.

        Logits from here open no test part.
        """

    def costs(self, run: Run) -> Costs:
        """The run's costs with those measured in a fresh process: memory and speed."""

    def work(self, run: Run) -> float:
        """Approximate number of floating-point operations of a fit, by which an engine plans."""


class JoiningMethod(Method, Protocol):
    """The method of runs that are made from other runs: those of settings whose `JOINS` is true."""

    def check_members(self, settings: Settings, members: Sequence[Settings], store: Store) -> None:
        """Raise `ConfigError` for members that cannot be joined in this way; like `check`, before anything is written.

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
