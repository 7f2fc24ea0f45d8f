"""From TOML and KEY=VALUE to settings, with sentences for values that do not fit.

A dotted key is `table.name`, such as `optimizer.lr`; `seed` belongs to no table.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError
from ..reading import from_toml, read_text
from ..shown import first_line
from .settings import KINDS, NetworkSettings, Settings
from .within import Kind, kinds_of, shown, typed

__all__ = ["check_names", "flattened", "kinds", "nearest", "override", "parse_overrides", "read_settings", "read_toml"]

LARGEST_TOML = 1 << 16
"""Most characters of a recipe or of a run's settings; the recipes of mien have 2,000."""
LONGEST_VALUE = 10_000
"""Most characters of one value of `--set`."""

S = TypeVar("S", bound=Settings)


def override(settings: S, changes: Mapping[str, Any]) -> S:
    """`settings` with dotted keys changed; raises `ConfigError` for an unknown key or a value of another type."""
    known = kinds(type(settings))
    check_names(changes, known)
    values = {key: typed(key, value, known[key]) for key, value in changes.items()}
    tables: dict[str, dict[str, Any]] = {}
    single: dict[str, Any] = {}
    for key, value in values.items():
        table, dot, name = key.partition(".")
        if dot:
            tables.setdefault(table, {})[name] = value
        else:
            single[key] = value
    changed = {table: replace(getattr(settings, table), **own) for table, own in tables.items()}
    return replace(settings, **single, **changed)


def kinds(of: Any = NetworkSettings) -> Mapping[str, Kind]:
    """The kind of value that each dotted setting of a class may have."""
    found: dict[str, Kind] = {}
    for name, kind in kinds_of(of).items():
        table = kinds_of(kind.type) if is_dataclass(kind.type) else {}
        found |= {f"{name}.{key}": own for key, own in table.items()} or {name: kind}
    return found


def check_names(keys: Iterable[str], known: Mapping[str, Kind] | None = None) -> None:
    """Raise `ConfigError` for the first of the dotted `keys` that is not a setting; it names the nearest setting.

    By default the settings of every kind are known.
    """
    names = known if known is not None else {key for kind in KINDS.values() for key in kinds(kind)}
    for key in keys:
        if key not in names:
            raise ConfigError(f"There is no setting {first_line(key)!r}.{nearest(key, names)}")


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """`["optimizer.lr=0.001", "model.name=vgg16"]` as a mapping; values are TOML, and bare words are strings."""
    changes = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"An override is KEY=VALUE, such as optimizer.lr=0.001; got {first_line(assignment)!r}.")
        changes[key.strip()] = _toml_value(key.strip(), text.strip())
    return changes


def read_settings(path: Path) -> Settings:
    """The settings of a run from its `config.toml`, which names their kind.

    Raises `ValueError` or `ConfigError` if they do not fit.
    """
    content = read_toml(path)
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"kind is one of {', '.join(KINDS)}; got {shown(kind)}.")
    return override(KINDS[kind](), flattened({key: value for key, value in content.items() if key != "kind"}))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file of settings; raises `ValueError` or `OSError` if it cannot be read."""
    return from_toml(read_text(path, LARGEST_TOML), LARGEST_TOML)


def flattened(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def nearest(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'train.epochs'?`, or the list of the settings.

    A setting of the same name in another table is preferred to similar spellings: `train.seed` means `seed`.
    """
    words = sorted(known)
    namesakes = [each for each in words if each.rpartition(".")[2] == word.rpartition(".")[2]]
    close = difflib.get_close_matches(word, namesakes or words, n=1, cutoff=0 if namesakes else 0.5)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(words)}."


def _toml_value(key: str, text: str) -> Any:
    """The value of one override: TOML, or otherwise a bare word."""
    try:
        return from_toml(f"value = {text}", LONGEST_VALUE)["value"]
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise ConfigError(f"{first_line(key)} cannot be set to {first_line(text)!r}: {error}.") from None
