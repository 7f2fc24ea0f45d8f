"""NetworkSettings, overrides, recipes: what fits is taken, what does not is one sentence that helps."""

import ast
import inspect
import tomllib
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from mien.config import (
    AugmentSettings,
    DataSettings,
    LossSettings,
    ModelSettings,
    NetworkSettings,
    OptimizerSettings,
    TrainSettings,
    override,
    parse_overrides,
    read_recipe,
    read_settings,
    recipe_from,
    recipe_names,
)
from mien.config.parsing import flattened
from mien.errors import ConfigError

PRINT = "f" * 64


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.epoch", "train.epochs"),
        ("train.learning", "train."),
        ("model.dropuot", "model.dropout"),
        ("train.seed", "seed'"),
        ("data.seed", "seed'"),
        ("lr", "optimizer.lr'"),
        ("train.lr", "optimizer.lr'"),
        ("optimizer.batch_size", "train.batch_size'"),
    ],
)
def test_an_unknown_key_names_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=rf"no setting '{key}'. Did you mean '{nearest}"):
        override(NetworkSettings(), {key: 1})


def test_a_key_near_to_nothing_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"There are: augment\.alternate, .*train\.sizes"):
        override(NetworkSettings(), {"zzzzzz": 1})


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("train.epochs", 1.5, "train.epochs is a whole number; got 1.5."),
        ("train.epochs", True, "train.epochs is a whole number; got True."),
        ("optimizer.lr", "fast", "optimizer.lr is a number; got 'fast'."),
        ("optimizer.lr", True, "optimizer.lr is a number; got True."),
        ("loss.soft_labels", 1, "loss.soft_labels is true or false; got 1."),
        ("model.name", 3, "model.name is a text; got 3."),
        ("optimizer.name", "lion", "optimizer.name is one of adam, adamw, sgd; got 'lion'."),
        ("train.sizes", [32, 4.5], "train.sizes is a list of whole numbers; got [32, 4.5]."),
        ("train.sizes", [4], "train.sizes holds numbers of 8 to 1024; got 4."),
        ("train.epochs", 0, "train.epochs is 1 to 100000; got 0."),
        ("optimizer.lr", float("nan"), "optimizer.lr is 0 to 100; got nan."),
        ("model.dropout", 1.0, "model.dropout is 0 to 0.95; got 1."),
        ("data.valid_fraction", -0.1, "data.valid_fraction is 0.01 to 0.5; got -0.1."),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(NetworkSettings(), {key: value})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("assignment", "advice"),
    [
        ("seed=0,1,2", "A list is written in brackets, texts in quotes: 'seed=[0, 1, 2]'."),
        ("optimizer.lr=1e-3,1e-4", "'optimizer.lr=[1e-3, 1e-4]'."),
        ("seed=(0,1)", "'seed=[0, 1]'."),
        ("train.sizes=24, 48", "'train.sizes=[24, 48]'."),
        ("model.stem=small,imagenet", """'model.stem=["small", "imagenet"]'."""),
        ("model.name=vgg16,resnet34", """'model.name=["vgg16", "resnet34"]'."""),
        ("model.name=[vgg16, resnet34]", """'model.name=["vgg16", "resnet34"]'."""),
        ("augment.flip=True", "got 'True'. Write it in small letters: augment.flip=true."),
        ("augment.flip=FALSE", "Write it in small letters: augment.flip=false."),
        ("seed=True", "seed is a whole number; got 'True'."),
        ("optimizer.lr=TRUE", "optimizer.lr is a number; got 'TRUE'."),
        ("train.sizes=False", "train.sizes is a list of whole numbers; got 'False'."),
        ("seed=[]", "seed=[] names no value. Name one or more, as in 'seed=[A, B]'."),
        ("model.dropout=[]", "model.dropout=[] names no value."),
    ],
)
def test_a_value_that_is_nearly_right_says_how_it_is_written(assignment: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list(read_recipe("demo").changed(parse_overrides([assignment])).cells())
    assert advice in str(caught.value)
    written = str(caught.value).rpartition(": ")[2].strip(".'")
    if "=" in written and "[]" not in written:  # the advice is taken as it stands
        assert list(read_recipe("demo").changed(parse_overrides([written])).cells())


def test_a_whole_number_is_a_number() -> None:
    rate = override(NetworkSettings(), {"optimizer.lr": 1}).optimizer.lr
    assert rate == 1.0
    assert type(rate) is float


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        NetworkSettings().optimizer.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "table", [DataSettings, ModelSettings, LossSettings, OptimizerSettings, TrainSettings, AugmentSettings]
)
def test_every_field_has_a_docstring(table: type) -> None:
    body = ast.parse(inspect.getsource(table)).body[0].body  # type: ignore[attr-defined]
    told = {field.target.id for field, text in pairwise(body) if isinstance(field, ast.AnnAssign) and _is_text(text)}
    assert told == {field.name for field in fields(table)}


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optimizer.lr=0.001", 0.001),
        ("train.epochs=9", 9),
        ("model.name=vgg16", "vgg16"),
        ('model.name="vgg16"', "vgg16"),
        ("augment.flip=true", True),
        ("seed=[0, 1]", [0, 1]),
        ("model.name=[vgg16", "[vgg16"),
        ("optimizer.lr = 1e-3", 1e-3),
    ],
)
def test_overrides_are_toml_values_or_bare_words(text: str, value: Any) -> None:
    assert list(parse_overrides([text]).values()) == [value]


def test_an_override_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_overrides(["optimizer.lr"])


def test_run_ids_depend_on_settings_and_data_and_on_nothing_else() -> None:
    plain = NetworkSettings()
    changed = override(plain, {"optimizer.lr": 0.01})
    assert plain.run_id(PRINT) == "resnet34-303542b2cb", "a changed id orphans every run that users have"
    assert changed.run_id(PRINT) != plain.run_id(PRINT) != plain.run_id("0" * 64)
    assert override(changed, {"optimizer.lr": 1e-4}).run_id(PRINT) == plain.run_id(PRINT)


def test_config_toml_leaves_nothing_implicit_and_comes_back_equal(tmp_path: Path) -> None:
    settings = override(NetworkSettings(), {"train.sizes": [16, 24], "model.width": 0.5, "augment.flip": True})
    text = tomli_w.dumps({"kind": settings.KIND, **asdict(settings)})
    (tmp_path / "config.toml").write_text(text)
    assert read_settings(tmp_path / "config.toml") == settings
    assert set(flattened(tomllib.loads(text))) == {"kind", *settings.flat()}


RECIPE = {
    "grid": {"model.name": ["vgg16", "resnet34"], "model.dropout": [0.0, 0.2], "seed": [0, 1]},
    "networks": {"vgg16": {"model.head": "flat"}},
    "train": {"epochs": 5},
}


def test_a_grid_is_a_cross_product_in_its_own_order() -> None:
    cells = list(recipe_from(RECIPE, "r").cells())
    assert [(c.model.name, c.model.dropout, c.seed) for c in cells] == [
        (name, dropout, seed) for name in ("vgg16", "resnet34") for dropout in (0.0, 0.2) for seed in (0, 1)
    ]
    assert {c.train.epochs for c in cells} == {5}


def test_the_networks_table_changes_its_own_network_only() -> None:
    heads = {(c.model.name, c.model.head) for c in recipe_from(RECIPE, "r").cells()}
    assert heads == {("vgg16", "flat"), ("resnet34", "published")}


def test_an_override_of_a_factor_replaces_its_values() -> None:
    cells = list(recipe_from(RECIPE, "r").changed({"model.dropout": 0.5, "seed": [3]}).cells())
    assert {(c.model.dropout, c.seed) for c in cells} == {(0.5, 3)}
    assert len(cells) == 2


def test_a_recipe_of_rows_alone_has_no_network() -> None:
    rows = {"rows": {"ridge": {"kind": "features", "features": {"classifier": "ridge"}}}}
    alone = recipe_from({"grid": {"seed": [0, 1]}, "data": {"protocol": "loso"}, **rows}, "r")
    assert [cell.name for cell in alone.cells()] == ["hog-ridge"]
    for network in ({"train": {"epochs": 3}}, {"model": {"name": "compact-s"}}, {"grid": {"model.name": ["vgg16"]}}):
        assert len({cell.name for cell in recipe_from({**rows, **network}, "r").cells()}) == 2


def test_a_list_for_a_single_setting_makes_it_a_factor() -> None:
    changed = recipe_from(RECIPE, "r").changed({"optimizer.lr": [0.1, 0.2]})
    assert changed.grid["optimizer.lr"] == (0.1, 0.2)
    assert len(list(changed.cells())) == 16


def test_a_list_for_a_setting_that_is_a_list_stays_one_value() -> None:
    changed = recipe_from(RECIPE, "r").changed({"train.sizes": [16, 24]})
    assert {c.train.sizes for c in changed.cells()} == {(16, 24)}
    assert len(list(changed.cells())) == 8


def test_an_override_overrules_the_networks_table() -> None:
    heads = {c.model.head for c in recipe_from(RECIPE, "r").changed({"model.head": "gap"}).cells()}
    assert heads == {"gap"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"trian": {}}, "There is no table 'trian'. Did you mean 'train'?"),
        ({"train": {"epoch": 1}}, "There is no setting 'train.epoch'. Did you mean 'train.epochs'?"),
        ({"grid": {"seed": 3}}, "[grid] seed must be a list of one or more values; got 3."),
        ({"grid": {"seed": []}}, "[grid] seed must be a list of one or more values; got []."),
        ({"grid": {"optimizer.lr": ["x"]}}, "optimizer.lr is a number; got 'x'."),
        ({"networks": {"vgg16": {"model.haed": "x"}}}, "There is no setting 'model.haed'. Did you mean 'model.head'?"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe_from(content, "r")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["train = 3", "[grid]\ngrid = 1", "[train\n", "networks = 1", "[networks]\nvgg16 = 1"])
def test_a_recipe_of_another_shape_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.toml"):
        list(read_recipe(str(path)).cells())


def test_a_recipe_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'papper'.*demo.*paper"):
        read_recipe("papper")


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml"):
        read_recipe(str(path))


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_of_mien_can_be_read(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.description
    assert list(recipe.cells())


def test_the_paper_recipe_is_the_papers_protocol() -> None:
    cells = list(read_recipe("paper").cells())
    assert [(c.model.name, c.model.dropout) for c in cells] == [
        (name, dropout) for name in ("vgg16", "densenet121", "resnet34") for dropout in (0.0, 0.2)
    ]
    assert {(c.optimizer.name, c.optimizer.lr, c.train.epochs, c.train.batch_size) for c in cells} == {
        ("adam", 1e-4, 75, 512)
    }
    assert {c.augment for c in cells} == {AugmentSettings()}
    assert {c.optimizer.schedule for c in cells} == {"constant"}
    assert {c.model.width for c in cells} == {1.0}
