"""A comparison to be made: shared settings, a grid of factors, and single rows of another kind."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..shown import first_line
from .parsing import check_names, flattened, kinds, nearest, override, read_toml
from .settings import KINDS, NetworkSettings, Settings
from .within import Kind, shown

__all__ = ["Recipe", "read_recipe", "recipe_from", "recipe_names", "takes"]

SHARED = frozenset(kinds(Settings))
"""The settings that every kind has."""
NETWORK = kinds()
"""The settings of networks."""
SEED = "seed"
MOST_CELLS = 100_000
"""Most runs of one recipe."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Shared settings, factors to cross, deviating settings of single networks, and single rows of any kind."""

    name: str
    description: str = ""
    settings: NetworkSettings = field(default_factory=NetworkSettings)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: Mapping[str, Settings] = field(default_factory=dict)
    """Single rows beside the grid. They take its seeds, its data, and its factors that networks do not have. A row
    without randomness takes only the first seed.
    """

    def cells(self) -> Iterator[Settings]:
        """The settings of every run: the cross product of the grid in its order, then the single rows.

        A recipe that has single rows and names no network consists of these rows only.
        """
        if (count := math.prod(map(len, self.grid.values()))) > MOST_CELLS:
            raise ConfigError(f"The grid crosses to {count:,} runs; a recipe has at most {MOST_CELLS:,}.")
        factors = {key: values for key, values in self.grid.items() if key in NETWORK}
        for values in () if self._only_rows() else itertools.product(*factors.values()):
            settings = override(self.settings, dict(zip(factors, values, strict=True)))
            own = self.networks.get(settings.model.name, {})
            yield override(settings, {key: value for key, value in own.items() if key not in self.grid})
        yield from self._single()

    def _only_rows(self) -> bool:
        plain = replace(type(self.settings)(), seed=self.settings.seed, data=self.settings.data)
        return bool(self.rows) and not (set(self.grid) & set(NETWORK)) - SHARED and self.settings == plain

    def _single(self) -> Iterator[Settings]:
        for row in self.rows.values():
            taken = {key: values for key, values in self.grid.items() if takes(row, key)}
            seeds = taken.pop(SEED, ())
            for values in itertools.product(*taken.values()):
                settings = override(row, dict(zip(taken, values, strict=True)))
                for seed in seeds if settings.random else seeds[:1]:
                    yield override(settings, {SEED: seed})
                if not seeds:
                    yield settings

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """This recipe with some settings changed.

        A change to a factor of the grid replaces its values (a list crosses them). A list for any other setting makes
        it a new factor. A change overrules the same setting in `[networks]`. Single rows take the changes of seed and
        data, which all kinds have, and of settings that networks do not have, such as `features.c`.

        Raises `ConfigError` for a setting that neither the networks nor a single row has.
        """
        self.check_factors(changes)
        known = _every()
        for key, value in changes.items():
            if value == [] and not known[key].many:
                raise ConfigError(f"{key}=[] names no value. Name one or more, as in '{key}=[A, B]'.")
        factors = {
            key: tuple(value) if isinstance(value, list) else (value,)
            for key, value in changes.items()
            if key in self.grid or (isinstance(value, list) and not known[key].many)
        }
        single = {key: value for key, value in changes.items() if key not in factors}
        return replace(
            self,
            settings=override(self.settings, {key: value for key, value in single.items() if key in NETWORK}),
            grid={**self.grid, **factors},
            networks={n: {k: v for k, v in own.items() if k not in changes} for n, own in self.networks.items()},
            rows={
                name: override(row, {key: value for key, value in single.items() if takes(row, key)})
                for name, row in self.rows.items()
            },
        )

    def check_factors(self, keys: Iterable[str]) -> None:
        """Raise `ConfigError` for a dotted setting that does not exist, or that neither the networks nor a single
        row has.
        """
        for key in keys:
            if key in NETWORK or any(takes(row, key) for row in self.rows.values()):
                continue
            if key not in _every():
                check_names([key], NETWORK)
            kind = next(name for name, own in KINDS.items() if key in kinds(own))
            raise ConfigError(
                f"{key} is a setting of rows of kind {kind}, and the recipe {self.name} has none. Add one under [rows]."
            )


def _every() -> Mapping[str, Kind]:
    """The settings of all kinds."""
    return {key: kind for own in KINDS.values() for key, kind in kinds(own).items()}


def takes(row: Settings, key: str) -> bool:
    """Whether a single row follows a factor of the grid: the seed, the data, or a setting that networks do not have."""
    return key in kinds(type(row)) and (key in SHARED or key not in NETWORK)


def recipe_names() -> list[str]:
    """The recipes that come with mien."""
    folder = resources.files("mien") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def read_recipe(name_or_path: str) -> Recipe:
    """A recipe by its name, or from a TOML file.

    Raises `ConfigError` if there is neither, if the file is not TOML, or if a key or a value does not fit.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and name_or_path in recipe_names():
        path = Path(str(resources.files("mien") / "recipes" / f"{name_or_path}.toml"))
    elif not path.is_file():
        raise ConfigError(
            f"There is no recipe {first_line(name_or_path)!r}. Those that come with mien: {', '.join(recipe_names())}; "
            "or give the path of a TOML file."
        )
    try:
        return recipe_from(read_toml(path), path.stem)
    except OSError as error:
        raise ConfigError(f"Recipe {name_or_path} cannot be read ({error.strerror}).") from None
    except (ValueError, ConfigError) as error:  # of TOML, of UTF-8, of the settings
        raise ConfigError(f"Recipe {name_or_path}: {error}") from None


def recipe_from(content: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from the tables of its TOML file."""
    own = [f.name for f in fields(NetworkSettings)]
    known = {"description", "grid", "networks", "rows", *own}
    if unknown := sorted(content.keys() - known):
        raise ConfigError(f"There is no table {first_line(unknown[0])!r}.{nearest(unknown[0], known)}")
    flat = flattened({key: _table(content, key) if key != "seed" else content[key] for key in own if key in content})
    grid = {key: _values(key, values) for key, values in flattened(_table(content, "grid")).items()}
    networks = {name: flattened(_table(_table(content, "networks"), name)) for name in _table(content, "networks")}
    shared = {key: value for key, value in flat.items() if key in SHARED}
    recipe = Recipe(
        name=name,
        description=str(content.get("description", "")).strip(),
        settings=override(NetworkSettings(), flat),
        grid=grid,
        networks=networks,
        rows={name: _row(name, row, shared) for name, row in _table(content, "rows").items()},
    )
    recipe.check_factors(grid)
    levels = [{key: value} for key, values in grid.items() for value in values]
    for changes in (*networks.values(), *(level for level in levels if level.keys() <= NETWORK.keys())):
        override(recipe.settings, changes)
    for row in recipe.rows.values():
        for level in levels:
            if all(takes(row, key) for key in level):
                override(row, level)
    return recipe


def _row(name: str, content: Any, shared: Mapping[str, Any]) -> Settings:
    if not isinstance(content, Mapping) or content.get("kind") not in KINDS:
        raise ConfigError(f"[rows.{name}] needs kind, one of {', '.join(KINDS)}; got {shown(content)}.")
    own = flattened({key: value for key, value in content.items() if key != "kind"})
    kind = KINDS[content["kind"]]
    named = {kind.NAME: name} if kind().flat()[kind.NAME] == "" else {}
    return override(kind(), {**shared, **named, **own})


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name} is a table, [{name}] with KEY = VALUE lines below it; got {shown(table)}.")
    return table


def _values(key: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"[grid] {key} must be a list of one or more values; got {shown(values)}.")
    return tuple(values)
