"""The settings of a run, and the recipe that spreads them into a grid.

Settings are frozen and typed: each field has a description, and its type has its range. There is a kind of settings for
each way to make a classifier (`KINDS`). A recipe is a TOML file with the same tables, a `[grid]` of factors,
`[networks.NAME]` for the deviating settings of one network, and `[rows.NAME]` for single rows of any kind. `--set
optimizer.lr=0.001` changes one setting, checked against its type.

    within     ranges that stand on types
    tables     the tables: one frozen dataclass for each question
    features   the table of the classical methods
    settings   the kinds: which tables a run has, its name, its id
    parsing    TOML and KEY=VALUE to settings, and the sentences for what does not fit
    recipe     a comparison to be made
"""

from .ensemble import SOUPS, EnsembleTable
from .features import FeaturesTable
from .parsing import check_names, override, parse_overrides, read_settings
from .recipe import Recipe, read_recipe, recipe_from, recipe_names
from .settings import KINDS, EnsembleSettings, FeaturesSettings, NetworkSettings, Settings
from .tables import (
    MLP,
    AugmentSettings,
    BoostingSettings,
    DataSettings,
    Head,
    LossSettings,
    ModelSettings,
    OptimizerSettings,
    StartSettings,
    Table,
    TrainSettings,
)
from .within import Within

__all__ = [
    "KINDS",
    "MLP",
    "SOUPS",
    "AugmentSettings",
    "BoostingSettings",
    "DataSettings",
    "EnsembleSettings",
    "EnsembleTable",
    "FeaturesSettings",
    "FeaturesTable",
    "Head",
    "LossSettings",
    "ModelSettings",
    "NetworkSettings",
    "OptimizerSettings",
    "Recipe",
    "Settings",
    "StartSettings",
    "Table",
    "TrainSettings",
    "Within",
    "check_names",
    "override",
    "parse_overrides",
    "read_recipe",
    "read_settings",
    "recipe_from",
    "recipe_names",
]
