"""The settings of a run, and the recipe that spreads them into a grid.

`Settings` is frozen and typed; each field says what it does. A recipe is a TOML file with the same tables
(`[data]`, `[model]`, `[train]`, `[augment]`), a `[grid]` of factors, and `[networks.NAME]` for what one
network takes differently. `--set train.lr=0.001` changes one setting, checked against its type.
"""

import difflib
import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .errors import ConfigError
from .reading import from_toml, read_text
from .shown import first_line

__all__ = [
    "AugmentSettings",
    "DataSettings",
    "Head",
    "ModelSettings",
    "Recipe",
    "Settings",
    "TrainSettings",
    "check_names",
    "override",
    "parse_overrides",
    "read_recipe",
    "read_settings",
    "recipe_names",
]


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which samples a run sees."""

    valid_fraction: float = 0.1
    """Share of the training split carved off for validation where the store has no valid split, 0.01 to 0.5."""
    split_seed: int = 0
    """Seed of that carving; the same for all runs of a comparison, so that they are paired."""
    train_limit: int = 0
    """Use at most this many training samples, stratified by class; 0 uses all."""
    protocol: Literal["holdout", "kfold", "group-kfold", "loso"] = "holdout"
    """The corpus's own test split; or cross-validation over all samples: stratified, by subject, one subject out."""
    folds: int = 5
    """Number of folds of `kfold` and `group-kfold`, 2 to 1000; `loso` has one a subject."""
    fold: int = 0
    """Which fold is the test, from 0; a comparison runs them all."""
    repeat: int = 0
    """Which repetition of the cross-validation: another value divides the samples anew."""
    label_noise: float = 0.0
    """Share of training labels replaced by another class at random, 0 to 0.9: to see what wrong labels cost."""


LARGEST_TOML = 1 << 16
"""Letters of a recipe or of a run's settings; those that come with mien have 2,000."""
LONGEST_VALUE = 10_000
"""Letters of one value of `--set`."""
LARGEST_NUMBER = (1 << 53) - 1
"""Of a whole number: any reader of JSON holds it exactly."""
LONGEST_NAME = 100
"""Letters of the name of a network."""
MOST_CELLS = 100_000
"""Runs of one recipe."""
Head = Literal["fc", "flat", "gap"]
PUBLISHED_HEADS: Mapping[str, Head] = {"vgg16": "fc", "vgg_paper": "flat"}
"""Heads as published; of all other networks it is `gap`."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Which network, and how it differs from the published one."""

    name: str = "resnet34"
    """A key of `mien.models.NETWORKS`."""
    dropout: float = 0.0
    """Probability of dropping a feature before the classifier (in VGG's head: after each hidden layer)."""
    block_dropout: float = 0.0
    """Probability of dropping an activation inside the blocks."""
    width: float = 1.0
    """Multiplier of every channel count; 1 is the published network."""
    stem: Literal["imagenet", "small"] = "imagenet"
    """`imagenet` as published for 224 px; `small` keeps the resolution of a 48 px face."""
    head: Literal["published", "fc", "flat", "gap"] = "published"
    """`fc`: 7×7 pool and 4096-wide layers; `flat`: the map as it is; `gap`: global average; or as published."""
    in_chans: int = 0
    """Colour channels of the input; 0 takes the store's."""
    init: Literal["published", "dirac"] = "published"
    """Initial weights: as published, or 3×3 convolutions that begin by passing their input on (`dirac`)."""
    mirror: bool = False
    """In use, average the logits of each face and its mirror image: test-time flip, at twice the cost."""

    @property
    def named_head(self) -> Head:
        """The head, the published one by its name."""
        return PUBLISHED_HEADS.get(self.name, "gap") if self.head == "published" else self.head


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """The protocol of training."""

    epochs: int = 75
    """Passes over the training part."""
    batch_size: int = 512
    """Samples per optimizer step."""
    micro_batch: int = 64
    """Samples per forward pass; gradients accumulate over a batch, and batch norm sees one chunk. 0: the batch."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """`sgd` is with Nesterov momentum."""
    lr: float = 1e-4
    """Peak learning rate."""
    momentum: float = 0.9
    """Momentum of `sgd`, first beta of Adam and AdamW."""
    weight_decay: float = 0.0
    """L2 penalty (`adam`, `sgd`) or decoupled decay (`adamw`); not on biases and norms."""
    schedule: Literal["constant", "cosine", "onecycle"] = "constant"
    """How the rate moves after warm-up: not at all, by half a cosine to 0, or up and down linearly."""
    warmup_epochs: float = 0.0
    """Epochs of linear rise from 0 to `lr`; for `onecycle` the length of its rise."""
    label_smoothing: float = 0.0
    """Share of the target spread evenly over all classes."""
    soft_labels: bool = False
    """Train on the store's distributions (FER+ votes, what teachers said) instead of labels, where it has them."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs a class by the inverse of its frequency in the training part."""
    ema: float = 0.0
    """Decay per step of the averaged weights that are evaluated and kept; 0 keeps the trained weights."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    sizes: tuple[int, ...] = ()
    """Side of the training images in pixels, over equal parts of the epochs (progressive resizing); () as stored."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of forward and backward; the weights stay float32."""
    select: Literal["last", "best"] = "best"
    """Which epoch is kept: the last one, or the one most accurate on valid (of equals, the lowest loss)."""
    seed: int = 0
    """Seed of initial weights, order and augmentation (three separate streams)."""


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Random changes to training images; all off by default."""

    flip: bool = False
    """Mirror left and right."""
    alternate: bool = True
    """Mirror each image every other epoch, starting at random (alternating flip); false throws a coin each time."""
    shift: float = 0.0
    """Largest shift, in pixels at the stored size."""
    rotation: float = 0.0
    """Largest rotation, in degrees."""
    scale: float = 0.0
    """Largest change of scale: 0.1 is 90 to 110 %."""
    contrast: float = 0.0
    """Largest change of contrast and of brightness: 0.2 is 80 to 120 % and ± 20 % of the range."""
    cutout: int = 0
    """Side of a square, in pixels at the stored size, that is set to mid-grey at a random place."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that defines a run beside the data itself."""

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        _check(self)

    def flat(self) -> dict[str, Any]:
        """`{"train.lr": 0.0001, ...}`, in the order of the fields."""
        return {f"{table}.{key}": value for table, keys in asdict(self).items() for key, value in keys.items()}

    def run_id(self, fingerprint: str) -> str:
        """The network's name and a hash of settings and data fingerprint: equal ids are the same run.

        Only what differs from the defaults is hashed, so a setting that a later version adds keeps old ids.
        """
        defaults = Settings().flat()
        content = json.dumps([{k: v for k, v in self.flat().items() if v != defaults[k]}, fingerprint], sort_keys=True)
        return f"{self.model.name}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A comparison to be made: shared settings, factors to cross, and what single networks take differently."""

    name: str
    description: str = ""
    settings: Settings = field(default_factory=Settings)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def cells(self) -> Iterator[Settings]:
        """The settings of every run: the cross product of the grid, in its order."""
        if (count := math.prod(map(len, self.grid.values()))) > MOST_CELLS:
            raise ConfigError(f"The grid crosses to {count:,} runs; a recipe has at most {MOST_CELLS:,}.")
        for values in itertools.product(*self.grid.values()):
            settings = override(self.settings, dict(zip(self.grid, values, strict=True)))
            own = self.networks.get(settings.model.name, {})
            yield override(settings, {key: value for key, value in own.items() if key not in self.grid})

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """This recipe with some settings changed.

        A change to a factor of the grid replaces its values (a list crosses them); a list for any other
        setting makes it a new factor; a change overrules what `[networks]` says of the same setting.
        """
        factors = {
            key: tuple(value) if isinstance(value, list) else (value,)
            for key, value in changes.items()
            if key in self.grid or (isinstance(value, list) and _types().get(key) != tuple[int, ...])
        }
        single = {key: value for key, value in changes.items() if key not in factors}
        return replace(
            self,
            settings=override(self.settings, single),
            grid={**self.grid, **factors},
            networks={n: {k: v for k, v in own.items() if k not in changes} for n, own in self.networks.items()},
        )


def override(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """`settings` with dotted keys changed; raises `ConfigError` for an unknown key or a value of another type."""
    tables: dict[str, dict[str, Any]] = {}
    check_names(changes)
    for key, value in changes.items():
        table, name = key.split(".")
        tables.setdefault(table, {})[name] = _typed(key, value, _types()[key])
    return replace(settings, **{t: replace(getattr(settings, t), **values) for t, values in tables.items()})


def check_names(keys: Iterable[str]) -> None:
    """Raise `ConfigError`, which names the nearest setting, for the first of the dotted `keys` that is none."""
    known = _types()
    for key in keys:
        if key not in known:
            raise ConfigError(f"There is no setting {first_line(key)!r}.{_nearest(key, known)}")


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """`["train.lr=0.001", "model.name=vgg16"]` as a mapping; values are TOML, bare words are strings."""
    changes = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"An override is KEY=VALUE, such as train.lr=0.001; got {first_line(assignment)!r}.")
        changes[key.strip()] = _toml_value(key.strip(), text.strip())
    return changes


def recipe_names() -> list[str]:
    """The recipes that come with mien."""
    folder = resources.files("mien") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def read_recipe(name_or_path: str) -> Recipe:
    """A recipe by its name, or from a TOML file.

    Raises `ConfigError` where it is neither, is no TOML, or has a key or value that does not fit.
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
        return recipe_from(from_toml(read_text(path, LARGEST_TOML), LARGEST_TOML), path.stem)
    except OSError as error:
        raise ConfigError(f"Recipe {name_or_path} cannot be read ({error.strerror}).") from None
    except (ValueError, ConfigError) as error:  # of TOML, of UTF-8, of the settings
        raise ConfigError(f"Recipe {name_or_path}: {error}") from None


def read_settings(path: Path) -> Settings:
    """The settings of a run, from its `config.toml`; raises `ValueError` or `ConfigError` where it holds none."""
    return override(Settings(), _flatten(from_toml(read_text(path, LARGEST_TOML), LARGEST_TOML)))


def recipe_from(content: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from the tables of its TOML file."""
    tables = [f.name for f in fields(Settings)]
    known = {"description", "grid", "networks", *tables}
    if unknown := sorted(content.keys() - known):
        raise ConfigError(f"There is no table {first_line(unknown[0])!r}.{_nearest(unknown[0], known)}")
    flat = {f"{table}.{key}": value for table in tables for key, value in _table(content, table).items()}
    grid = {key: _values(key, values) for key, values in _flatten(_table(content, "grid")).items()}
    own = _table(content, "networks")
    networks = {name: _flatten(_table(own, name)) for name in own}
    recipe = Recipe(
        name=name,
        description=str(content.get("description", "")).strip(),
        settings=override(Settings(), flat),
        grid=grid,
        networks=networks,
    )
    for changes in networks.values():
        override(recipe.settings, changes)
    for key, values in grid.items():
        for value in values:
            override(recipe.settings, {key: value})
    return recipe


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name} is a table, [{name}] with KEY = VALUE lines below it; got {_shown(table)}.")
    return table


def _values(key: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise ConfigError(f"[grid] {key} must be a list of one or more values; got {_shown(values)}.")
    return tuple(values)


def _flatten(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


@cache
def _types() -> Mapping[str, Any]:
    return {
        f"{table.name}.{key}": kind
        for table in fields(Settings)
        for key, kind in get_type_hints(get_type_hints(Settings)[table.name]).items()
    }


def _typed(key: str, value: Any, expected: Any) -> Any:
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            raise ConfigError(f"{key} is one of {', '.join(map(str, get_args(expected)))}; got {_shown(value)}.")
        return value
    if get_origin(expected) is tuple:
        if not isinstance(value, list | tuple) or not all(type(item) is int for item in value):
            raise ConfigError(f"{key} is a list of whole numbers; got {_shown(value)}.")
        return tuple(value)
    if type(value) is int and abs(value) > LARGEST_NUMBER:
        raise ConfigError(f"{key} is at most {LARGEST_NUMBER:,}; got a number of {len(str(abs(value)))} digits.")
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise ConfigError(f"{key} is {words[expected]}; got {_shown(value)}.")
    if expected is str and len(value) > LONGEST_NAME:
        raise ConfigError(f"{key} has at most {LONGEST_NAME} letters; got {len(value):,}.")
    return value


def _shown(value: Any) -> str:
    return first_line(repr(value))


RANGES: dict[str, tuple[float, float]] = {
    "data.valid_fraction": (0.01, 0.5),
    "data.split_seed": (0, LARGEST_NUMBER),
    "data.train_limit": (0, 10**9),
    "data.folds": (2, 1000),
    "data.fold": (0, 10**6),
    "data.repeat": (0, 10**6),
    "data.label_noise": (0, 0.9),
    "model.dropout": (0, 0.95),
    "model.block_dropout": (0, 0.95),
    "model.width": (0.01, 8),
    "model.in_chans": (0, 16),
    "train.epochs": (1, 100_000),
    "train.batch_size": (1, 1_000_000),
    "train.micro_batch": (0, 1_000_000),
    "train.lr": (0, 100),
    "train.momentum": (0, 0.9999),
    "train.weight_decay": (0, 10),
    "train.warmup_epochs": (0, 100_000),
    "train.label_smoothing": (0, 0.99),
    "train.ema": (0, 0.999999),
    "train.clip_norm": (0, 1e9),
    "train.seed": (0, LARGEST_NUMBER),
    "augment.shift": (0, 64),
    "augment.rotation": (0, 180),
    "augment.scale": (0, 0.9),
    "augment.contrast": (0, 0.9),
    "augment.cutout": (0, 512),
}


def _check(settings: Settings) -> None:
    flat = settings.flat()
    for key, (low, high) in RANGES.items():
        if not low <= flat[key] <= high:
            raise ConfigError(f"{key} is {low:g} to {high:g}; got {flat[key]:g}.")
    if settings.data.label_noise and settings.train.soft_labels:
        raise ConfigError("data.label_noise changes labels, and train.soft_labels does not look at them. Set only one.")
    for size in settings.train.sizes:
        if not 8 <= size <= 1024:
            raise ConfigError(f"train.sizes holds sides of 8 to 1024 pixels; got {_shown(size)}.")


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(sorted(known))}."


def _toml_value(key: str, text: str) -> Any:
    """The value of one override: TOML, or where it is none, a bare word."""
    try:
        return from_toml(f"value = {text}", LONGEST_VALUE)["value"]
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise ConfigError(f"{first_line(key)} cannot be set to {first_line(text)!r}: {error}.") from None
