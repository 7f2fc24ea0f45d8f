"""Every error that mien raises on purpose. Each message names what was seen, what was expected and the remedy.

MienError
├── ConfigError      a setting, a recipe or an override that cannot be used
├── LabelError       class names that cannot be mapped to a label set
├── DataError        a corpus, a store or one of its files that cannot be used
│   └── BadSample    one sample of a corpus; `--skip-bad` counts these and goes on
├── RunError         a run folder that cannot be written, opened or resumed
│   ├── RunBusy      another process works in it
│   └── NonFinite    the loss became NaN or infinite
├── CompareError     runs that cannot stand in one table
├── BundleError      a model file that is not a whole mien bundle
└── MissingExtra     an optional part of mien that is not installed
"""

from .shown import sentence

__all__ = [
    "BadSample",
    "BundleError",
    "CompareError",
    "ConfigError",
    "DataError",
    "LabelError",
    "MienError",
    "MissingExtra",
    "NonFinite",
    "RunBusy",
    "RunError",
]


class MienError(Exception):
    """The root: the command line prints its message alone, without a traceback, and exits with 2."""

    def __init__(self, message: str) -> None:
        """Shorten the message to a readable length, whatever it quotes."""
        super().__init__(sentence(message))


class ConfigError(MienError):
    """A setting, a recipe or an override that cannot be used."""


class LabelError(MienError):
    """Class names that cannot be mapped to a label set."""


class DataError(MienError):
    """A corpus, a store or one of its files that cannot be used."""


class BadSample(DataError):
    """One sample of a corpus that cannot be read; names the file and, for tables, the line."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Keep all arguments when the error is pickled by a worker of a pool."""
        return type(self), (self.where, self.reason)


class RunError(MienError):
    """A run folder that cannot be written, opened or resumed."""


class RunBusy(RunError):
    """Another process works in this run folder."""


class NonFinite(RunError):
    """The loss became NaN or infinite."""


class Pruned(RunError):
    """A fit was stopped early, because its result would not be wanted."""


class MemberMissing(RunError):
    """A member of an ensemble is missing or not finished."""


class CompareError(MienError):
    """Runs that cannot stand in one table."""


class BundleError(MienError):
    """A model file that is not a whole mien bundle."""


class MissingExtra(MienError):
    """An optional part of mien that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of mien. Install it with: pip install 'mien[{extra}]'")
        self._said = what, extra

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """See `BadSample.__reduce__`."""
        return type(self), self._said
