"""Soups: the mean of weights, batch norm taken anew, the greedy choice and its optimism; other starts are refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from conftest import write_bars
from mien.bundle import Bundle
from mien.compare import collect, plan
from mien.config import ModelSettings, recipe_from
from mien.data.store import Store
from mien.errors import ConfigError
from mien.export import export
from mien.joining import outline_ensembles
from mien.judge.ensembles import joined_rows
from mien.methods import find_method
from mien.methods.ensemble import fitted_of, members_of, optimism, stated_cpus
from mien.methods.network import load_network
from mien.methods.soup import _Pot, average_weights
from mien.models import Network, build
from mien.report.sections.ensembles import ensembles_words
from mien.runs import Run
from mien.stages import finish_run, measure_costs

FACES = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


def network(seed: int) -> Network:
    torch.manual_seed(seed)
    made = build(ModelSettings(name="compact-s", width=0.25, in_chans=3), classes=3, size=16)
    with torch.no_grad():
        made.train()(torch.from_numpy(FACES))  # statistics of its own
    return made.eval()


def logits(of: Network) -> torch.Tensor:
    with torch.no_grad():
        return of.eval()(torch.from_numpy(FACES))


@pytest.mark.parametrize("count", [1, 3])
def test_averaging_one_network_changes_nothing(count: int) -> None:
    before = logits(network(0))
    assert torch.equal(logits(average_weights(iter([network(0) for _ in range(count)]), [FACES])), before)


def test_weights_are_the_mean_and_batch_norm_is_taken_anew() -> None:
    several = [network(seed) for seed in range(3)]
    soup = average_weights(iter([network(seed) for seed in range(3)]), [FACES])
    for name, parameter in soup.named_parameters():
        mean = torch.stack([dict(one.named_parameters())[name] for one in several]).double().mean(0)
        torch.testing.assert_close(parameter, mean.float())
    seen: list[torch.Tensor] = []
    norm = next(layer for layer in soup.modules() if isinstance(layer, nn.BatchNorm2d))
    norm.register_forward_hook(lambda _layer, inputs, _output: seen.append(inputs[0]))
    logits(soup)
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, seen[0].var((0, 2, 3)))
    assert norm.momentum == 0.1
    assert not norm.training


def pot_of(right: dict[tuple[int, ...], np.ndarray]) -> _Pot:
    made = object.__new__(_Pot)
    made._right = right
    return made


def test_a_greedy_soup_takes_who_helps() -> None:
    """Wortsman 2022, Recipe 1, by hand: 2 is best, 0 makes it better, 1 makes that worse, 3 leaves it as it is."""

    def accuracy(percent: int) -> np.ndarray:
        return np.arange(100) < percent

    alone = [accuracy(70), accuracy(69), accuracy(72), accuracy(60)]
    right = {(0, 2): accuracy(75), (0, 1, 2): accuracy(74), (0, 2, 3): accuracy(75)}
    everything = np.ones(100, bool)
    assert pot_of(right).greedy(alone, everything) == (0, 2, 3)


def test_a_choice_among_noise_is_told_to_be_optimistic() -> None:
    rng = np.random.default_rng(1)
    alone = [rng.random(200) < 0.5 for _ in range(8)]
    right = {tuple(place for place in range(8) if mask >> place & 1): rng.random(200) < 0.5 for mask in range(1, 256)}
    pot, parts = pot_of(right), np.arange(200) % 5
    chosen = pot.greedy(alone, np.ones(200, bool))
    fitted = (right[chosen] if len(chosen) > 1 else alone[chosen[0]]).mean()
    assert fitted > pot.crossed(alone, parts) + 0.03


RECIPE: dict[str, Any] = {
    "grid": {"model.name": ["compact-s"], "optimizer.lr": [0.001, 0.003], "model.dropout": [0.0, 0.2], "seed": [0]},
    "model": {"width": 0.25},
    "train": {"epochs": 2, "batch_size": 16},
    "rows": {
        "uniform": {"kind": "ensemble", "ensemble": {"rule": "soup"}},
        "greedy": {"kind": "ensemble", "ensemble": {"rule": "greedy-soup"}},
    },
}


@pytest.fixture(scope="module")
def runs(place: Path) -> list[Run]:
    planned = plan(recipe_from(RECIPE, "soups"), write_bars(place / "store"), place / "runs")
    for run in planned:
        finish_run(run)
    return planned


def test_a_soup_is_one_network_of_its_members_weights(runs: list[Run]) -> None:
    uniform, greedy = runs[-2:]
    assert all(run.finished for run in runs), [run.record.reason for run in runs]
    assert [len(run.record.test_opened_at) for run in runs] == [1] * 6
    for run in (uniform, greedy):
        shares = fitted_of(run)["weights"]
        assert shares.sum() == pytest.approx(1)
        members = [load_network(member) for member, share in zip(members_of(run), shares, strict=True) if share]
        for name, parameter in load_network(run).named_parameters():
            mean = torch.stack([dict(one.named_parameters())[name] for one in members]).double().mean(0)
            torch.testing.assert_close(parameter, mean.float())
        assert run.record.costs.parameters == runs[0].record.costs.parameters
    assert (fitted_of(uniform)["weights"] == 1 / 4).all()
    best = max(member.logits("valid").accuracy for member in members_of(greedy))
    assert greedy.logits("valid").accuracy >= best
    assert optimism(greedy)[0] == pytest.approx(greedy.logits("valid").accuracy)
    assert optimism(uniform)[0] == optimism(uniform)[1]


def test_it_stands_in_the_report_beside_its_members_at_their_cost(runs: list[Run]) -> None:
    comparison = collect(runs, vary=("optimizer.lr", "model.dropout"))
    uniform, greedy = joined_rows(comparison.rows)
    assert (uniform.soup, uniform.fitted, uniform.parameters) == (True, False, 1)
    assert (greedy.soup, greedy.fitted, greedy.count) == (True, True, 4)
    words = " ".join(ensembles_words(comparison))
    assert "a greedy soup, Wortsman et al. 2022" in words
    assert "no test opened" not in words
    assert "The members of greedy were chosen on validation, where it scores" in words


def test_it_computes_with_the_threads_of_its_first_member(place: Path) -> None:
    recipe = {**RECIPE, "train": {**RECIPE["train"], "epochs": 1, "cpus": 1}}
    recipe["grid"] = {"model.name": ["compact-s"], "optimizer.lr": [0.001, 0.003], "seed": [0]}
    *members, uniform, greedy = plan(recipe_from(recipe, "threads"), write_bars(place / "few"), place / "threads")
    before = torch.get_num_threads()
    assert stated_cpus(greedy) == 0, "its members are not there"
    try:
        for run in members:
            finish_run(run)
        for run in (uniform, greedy):
            torch.set_num_threads(2)
            finish_run(run, ["fit"])
            assert torch.get_num_threads() == stated_cpus(run) == 1
            torch.set_num_threads(2)
            find_method(run.settings).load(run)
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_it_needs_its_members_no_more(runs: list[Run], place: Path) -> None:
    alone = Run.open(shutil.copytree(runs[-2].path, place / "alone" / runs[-2].id))
    store = Store.open(place / "store")
    test = alone.logits("test")
    found = logits_of(load_network(alone), store.read(test.ids)["face"])
    np.testing.assert_allclose(found, test.logits, rtol=1e-5, atol=1e-5)
    (alone.path / "soup.toml").write_text("[model]\nname = 3\n", encoding="utf-8", newline="\n")
    with pytest.raises(Exception, match=r"soup\.toml"):
        load_network(alone)


def logits_of(of: Network, faces: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = of(torch.from_numpy(faces)).numpy()
    return found


@pytest.mark.parametrize(
    ("grid", "row", "sentence"),
    [
        ({"seed": [0, 1]}, {"seeds": 2}, r"compact-s-\w+ and compact-s-\w+ began with different weights\. Join"),
        (
            {"model.width": [0.25, 0.5], "seed": [0]},
            {},
            r"compact-s-\w+ are different networks\. Join",
        ),
        (
            {"boosting.rounds": [2], "seed": [0]},
            {"members": ["compact-s"]},
            "a soup of networks, and compact-s is none",
        ),
    ],
)
def test_runs_of_different_starts_are_refused(
    grid: dict[str, Any], row: dict[str, Any], sentence: str, place: Path, runs: list[Run]
) -> None:
    recipe = {
        "grid": {"model.name": ["compact-s"], **grid},
        "model": {} if "model.width" in grid else {"width": 0.25},
        "rows": {"x": {"kind": "ensemble", "ensemble": {"rule": "soup", **row}}},
    }
    with pytest.raises(ConfigError, match=sentence):
        plan(recipe_from(recipe, "refused"), Store.open(place / "store"), place / "refused")
    assert not (place / "refused").exists()


def test_the_verb_refuses_so_too(runs: list[Run]) -> None:
    rows = collect(runs[:4], vary=("optimizer.lr", "model.dropout")).rows
    assert next(run.id for run in outline_ensembles(rows, ["soup"])).startswith("soup-of-4-")
    changed = plan(
        recipe_from({**RECIPE, "rows": {}, "grid": {"model.name": ["compact-s"], "seed": [0, 1]}}, "two"),
        Store.open(runs[0].data.store),
        runs[0].path.parent.parent / "two",
    )
    for run in changed:
        finish_run(run)
    with pytest.raises(ConfigError, match="began with different weights"):
        outline_ensembles(collect(changed).rows, ["greedy-soup"], seeds=2)


def test_seeds_may_differ_where_the_start_brings_all_weights(runs: list[Run], place: Path) -> None:
    recipe = {
        **RECIPE,
        "grid": {"model.name": ["compact-s"], "seed": [0, 1]},
        "start": {"weights": str(runs[0].path)},
        "rows": {"x": {"kind": "ensemble", "ensemble": {"rule": "soup", "seeds": 2}}},
    }
    *members, soup = plan(recipe_from(recipe, "fine"), Store.open(place / "store"), place / "fine")
    assert len(members) == 2
    assert soup.settings.method == "soup"


@pytest.mark.long
def test_it_is_exported_as_one_network(runs: list[Run], place: Path) -> None:
    run, out = runs[-1], place / "soup.onnx"
    measure_costs(run)
    card = export(run, out)
    test = run.logits("test")
    found = Bundle.open(out).logits(Store.open(place / "store").read(test.ids))
    np.testing.assert_allclose(found, test.logits, atol=1e-3)
    assert (card.network, card.run) == ("compact-s", run.id)
