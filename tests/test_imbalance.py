"""Uneven classes: the adjustment of saved logits, its figures, and its section of the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import LABELS, SIZE, bar
from mien.calibration import adjusted, softmax
from mien.compare import Comparison, collect, plan
from mien.config import override, recipe_from
from mien.crop import CropSpec
from mien.data.store import Sample, Store, create_store
from mien.judge import judge
from mien.judge.imbalance import imbalance, is_plain, unevenness
from mien.metrics import scores
from mien.report import write_report
from mien.runs import Run
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")


def bars(path: Path, train: tuple[int, int, int]) -> Store:
    rng = np.random.default_rng(0)
    with create_store(path, LABELS, CropSpec(size=SIZE)) as writer:
        for split, counts in (("train", train), ("valid", (5, 5, 5)), ("test", (20, 20, 20))):
            for label, count in enumerate(counts):
                for number in range(count):
                    sample = Sample(label=label, split=split, source=f"{split}/{label}/{number}")  # type: ignore[arg-type]
                    writer.add(sample, face=bar(label, rng))
        writer.finish(corpus="bars", licence="made for a test")
    return Store.open(path)


def compared(path: Path, train: tuple[int, int, int]) -> Comparison:
    recipe = recipe_from(
        {
            "grid": {"model.name": ["compact-s"], "seed": [0, 1]},
            "model": {"width": 0.25},
            "train": {"epochs": 2, "batch_size": 32},
        },
        "uneven",
    )
    runs = plan(recipe, bars(path / "store", train), path / "runs")
    for run in runs:
        finish_run(run)
    return collect(runs)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(tmp_path_factory.mktemp("uneven"), (80, 40, 8))


def test_adjusted_probabilities_are_those_of_even_classes() -> None:
    """Bayes: of two kinds of faces with known likelihoods, the adjusted posterior is that of equal priors."""
    likelihood, counts = np.array([[0.9, 0.2], [0.3, 0.6]]), np.array([90, 10])
    posterior = likelihood * counts / (likelihood * counts).sum(axis=1, keepdims=True)
    even = likelihood / likelihood.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(adjusted(np.log(posterior), counts)), even)
    np.testing.assert_allclose(softmax(adjusted(np.log(posterior), counts, tau=0)), posterior)


def test_the_figures_are_those_of_the_adjusted_logits(uneven: Comparison) -> None:
    (row,) = uneven.rows
    assert row.runs[0].data.train_labels == (80, 40, 8)
    assert unevenness(row) == 10
    (found,) = imbalance(uneven.rows, None)
    tests = [run.logits("test") for run in row.runs]
    by_hand = [scores(adjusted(test.logits, [80, 40, 8]), test.labels) for test in tests]
    for key in ("accuracy", "uar", "ece"):
        assert found.changes[key].after == pytest.approx(np.mean([getattr(one, key) for one in by_hand]), abs=1e-6)
        assert found.changes[key].before == pytest.approx(np.mean([getattr(one, key) for one in row.scores]), abs=1e-6)
    change = found.changes["uar"]
    assert change.interval is not None
    assert change.interval.low <= change.after - change.before <= change.interval.high


def test_what_training_has_corrected_is_not_corrected_again(uneven: Comparison) -> None:
    (row,) = uneven.rows
    runs = tuple(Run(run.path, override(run.settings, {"train.sampling": "balanced"}), run.data) for run in row.runs)
    assert is_plain(row)
    assert not is_plain(replace(row, runs=runs))
    (found,) = imbalance([replace(row, runs=runs)], None)
    assert found.changes["uar"].before == pytest.approx(np.mean([one.uar for one in row.scores]))
    assert np.isnan(found.changes["uar"].after)
    assert found.changes["uar"].interval is None


def test_the_page_shows_both_and_even_classes_have_no_section(uneven: Comparison, tmp_path: Path) -> None:
    page = write_report(uneven, tmp_path / "uneven").read_text(encoding="utf-8")
    assert "What uneven classes cost" in page
    assert (tmp_path / "uneven" / "tables" / "imbalance.csv").exists()
    assert not judge(compared(tmp_path, (40, 40, 40))).imbalance
