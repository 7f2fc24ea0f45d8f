"""One answer over all networks: what a setting changes, averaged over them, paired by seed and by face."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_runs import finish, make_runs, make_store
from mien.compare import Comparison, collect
from mien.config import NetworkSettings, override
from mien.data.splits import divide
from mien.data.store import Store
from mien.judge.answers import answer_sentence, answers_in_short
from mien.judge.certainty import assess
from mien.judge.contrasts import Contrast
from mien.judge.finding import finding
from mien.report import as_json
from mien.report.sections.contrasts import answers_file, answers_panel
from mien.runs import Run
from mien.statistics import spread
from mien.statistics.resampling import Units

pytestmark = pytest.mark.usefixtures("plain_figures")

NETWORKS = ("vgg16", "densenet121", "resnet34")


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return make_store(place / "store", test=350)


@pytest.fixture(scope="module")
def grid(place: Path, store: Store) -> Comparison:
    return collect(make_runs(place / "grid", store, seeds=3))


def of(comparison: Comparison, metric: str = "accuracy") -> list[Contrast]:
    return [one for one in assess(comparison).contrasts if one.pair.metric == metric]


def runs_of(folder: Path, store: Store, grid: dict[str, Sequence[Any]]) -> list[Run]:
    runs = []
    for values in itertools.product(*grid.values()):
        settings = override(NetworkSettings(), dict(zip(grid, values, strict=True)) | {"train.epochs": 3}).resolved(
            store.meta.crop
        )
        fold = divide(store, settings.data)
        runs.append(finish(Run.create(folder, settings, store, fold), fold))
    return runs


def test_the_effect_is_the_mean_over_networks_and_seeds(grid: Comparison) -> None:
    (found,) = of(grid)
    accuracy = {row.name: np.array([score.accuracy for score in row.scores]) for row in grid.rows}
    each = [accuracy[f"{name}, dropout 0.2"] - accuracy[f"{name}, no dropout"] for name in NETWORKS]
    assert found.pair.effect == pytest.approx(np.mean(each))
    assert [pair.effect for pair in found.each] == pytest.approx(np.mean(each, axis=1))
    assert (found.key, found.level, found.reference) == ("model.dropout", 0.2, 0.0)
    assert found.question == "Does dropout help?"
    assert found.networks == "3 networks"
    assert {one.pair.metric for one in assess(grid).contrasts} == {"accuracy", "uar", "macro_f1"}


def test_its_spread_is_paired_by_seed_and_face(grid: Comparison) -> None:
    """The variance over faces is that of the mean difference of each face: redrawing faces cannot give another."""
    (found,) = of(grid)
    right = {row.name: np.stack([t.logits.argmax(1) == t.labels for t in row.tests.values()]) for row in grid.rows}
    by_face = np.mean(
        [right[f"{n}, dropout 0.2"].astype(float) - right[f"{n}, no dropout"] for n in NETWORKS], axis=(0, 1)
    )
    assert found.pair.verdict.spread.faces == pytest.approx(by_face.var() / len(by_face), rel=0.15)
    by_seed = np.mean(
        [right[f"{n}, dropout 0.2"].mean(1) - right[f"{n}, no dropout"].mean(1) for n in NETWORKS], axis=0
    )
    assert found.pair.verdict.spread.seeds == pytest.approx(by_seed.var(ddof=1) / 3)


@pytest.mark.long
def test_networks_together_tell_what_none_tells_alone() -> None:
    """Simulated: dropout gives 2 points to each of three networks, with three seeds on 600 faces."""
    rng, alone, pooled, equal = np.random.default_rng(0), 0, 0, 0
    for _ in range(300):
        values, draws = drawn(rng, effect=0.02)
        alone += spread(values[0], draws[0], Units(600)).p < 0.05
        pooled += spread(values.mean(0), draws.mean(0), Units(600)).p < 0.05
        values, draws = drawn(rng, effect=0.0)
        equal += spread(values.mean(0), draws.mean(0), Units(600)).p < 0.05
    assert pooled > 1.5 * alone
    assert equal / 300 < 0.09, "a setting without effect is said to have one in about 5 %"


def drawn(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Differences of right faces `(networks, seeds)`, and on 200 bootstrap draws `(networks, draws, seeds)`."""
    ease = rng.normal(1.2, 1.5, 600)
    shape, luck = (3, 3, 600), rng.normal(0, 0.05, (2, 3, 3, 1))
    chance = 1 / (1 + np.exp(-(ease + rng.normal(0, 0.7, (3, 1, 600)) + luck)))
    first, second = (rng.random(shape) < np.clip(chance[i] + (effect if i else 0), 0, 1) for i in (0, 1))
    difference = second.astype(np.float32) - first
    counts = rng.multinomial(600, np.full(600, 1 / 600), size=200).astype(np.float32) / 600
    return difference.mean(2), np.moveaxis(difference @ counts.T, 2, 1)


def test_the_answer_stands_in_the_finding_the_table_and_the_json(grid: Comparison) -> None:
    (found,) = of(grid)
    sentence = answer_sentence(found)
    assert sentence.startswith(
        "Does dropout help? Over 3 networks, dropout 0.2 against no dropout changes accuracy by "
    )
    assert "paired by seed and face, 3 seeds" in sentence
    assert found.answer in sentence
    assert sentence in finding(grid, assess(grid))
    assert list(answers_in_short([found])) == [sentence]
    (both,) = answers_in_short([found, found])
    assert both.startswith(
        "Does dropout help? Over 3 networks, against no dropout, accuracy changes with dropout 0.2 by "
    )
    assert both.count("with dropout 0.2 by") == 2
    assert both.count(found.answer) == 1
    panel = answers_panel(assess(grid).contrasts)
    assert panel
    assert panel.table
    assert [row[0] for row in panel.table.rows][:4] == [
        "dropout 0.2 − no dropout, mean of 3 networks",
        *(f"{name}, dropout 0.2 − {name}, no dropout" for name in NETWORKS),
    ]
    content = as_json(grid)
    assert content["answers"] == [sentence]
    assert content["contrasts"][0]["mean"]["effect"] == found.pair.effect
    assert [own["a"] for own in content["contrasts"][0]["each"]] == [f"{name}, dropout 0.2" for name in NETWORKS]


def test_what_a_level_costs_stands_beside_its_verdict(place: Path, store: Store) -> None:
    runs = make_runs(place / "costs", store, networks=("vgg16", "resnet34"), seeds=1)
    for run, factor in zip(runs, (1.0, 1.2, 1.0, 1.5), strict=True):
        run.update(costs=replace(run.record.costs, train_seconds=40 * factor, train_peak_mb=900 * factor**2))
    found = of(collect([Run.open(run.path) for run in runs]))
    assert found[0].seconds == pytest.approx((1.2, 1.5))
    panel = answers_panel(found)
    assert panel
    assert panel.table
    assert panel.table.heads[-3:] == ("Verdict", "Training time", "Peak memory")
    assert [row[-2:] for row in panel.table.rows] == [("× 1.35", "× 1.84"), ("× 1.20", "× 1.44"), ("× 1.50", "× 2.25")]
    assert answers_file(found).splitlines()[0].endswith("better,train_seconds,train_peak_mb")


def test_one_seed_claims_nothing_about_the_luck_of_training(place: Path, store: Store) -> None:
    (found,) = of(collect(make_runs(place / "one", store)))
    sentence = answer_sentence(found)
    assert "paired by face, one seed" in sentence
    assert "one seed does not show the variance of training" in sentence
    assert found.pair.settled is None


def test_seeds_that_all_rows_share_are_compared(place: Path, store: Store) -> None:
    """A pair takes the seeds that both of its rows have, and the mean those that all of its rows have."""
    runs = make_runs(place / "uneven", store, networks=("vgg16", "resnet34"), seeds=3)
    comparison = collect([run for run in runs if (run.settings.model.name, run.settings.seed) != ("vgg16", 2)])
    seeds = {frozenset((pair.a, pair.b)): pair.verdict.seeds for pair in assess(comparison).of("accuracy")}
    assert len(seeds) == 6
    assert {pair: 2 if any("vgg16" in name for name in pair) else 3 for pair in seeds} == seeds
    (found,) = of(comparison)
    assert found.pair.verdict.seeds == 2


def test_each_level_stands_against_the_default_and_holm_corrects_them(place: Path, store: Store) -> None:
    runs = runs_of(
        place / "levels",
        store,
        {"model.name": ("vgg16", "resnet34"), "model.dropout": (0.4, 0.2, 0.0), "seed": (0, 1)},
    )
    found = of(collect(runs))
    assert [(one.level, one.reference) for one in found] == [(0.4, 0.0), (0.2, 0.0)]
    assert all(one.pair.p_corrected >= one.pair.p for one in found)
    assert max(one.pair.p_corrected / one.pair.p for one in found) == pytest.approx(2)


def test_a_setting_that_is_never_off_is_asked_for_by_its_levels(place: Path, store: Store) -> None:
    runs = runs_of(place / "rates", store, {"model.name": ("vgg16", "resnet34"), "optimizer.lr": (0.01, 0.02)})
    (found,) = of(collect(runs, vary=["optimizer.lr"]))
    assert found.question == "Is lr 0.02 better than lr 0.01?"


def test_one_network_has_no_mean_over_networks(place: Path, store: Store) -> None:
    assert of(collect(make_runs(place / "alone", store, networks=("vgg16",)))) == []
    unlike = make_runs(place / "unlike", store, networks=("vgg16",), dropouts=(0.0,))
    unlike += make_runs(place / "unlike", store, networks=("resnet34",), dropouts=(0.2,))
    assert of(collect(unlike)) == []


def test_folds_are_judged_by_the_corrected_resampled_t(place: Path, store: Store) -> None:
    runs = runs_of(
        place / "folds",
        store,
        {
            "data.protocol": ("kfold",),
            "model.name": ("vgg16", "resnet34"),
            "model.dropout": (0.0, 0.2),
            "data.fold": range(5),
        },
    )
    (found,) = of(collect(runs))
    assert found.pair.folds
    assert found.pair.method == "corrected resampled t over 5 folds"
    assert found.pair.effect == pytest.approx(np.mean([pair.effect for pair in found.each]))
    assert "paired over 5 folds" in answer_sentence(found)
