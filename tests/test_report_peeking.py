"""The price of peeking, and who opened the test: counted from what runs and store wrote down."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from made_runs import make_runs, make_store
from mien.atomic import write_text
from mien.compare import Comparison, collect, outline
from mien.config.recipe import recipe_from
from mien.data.store import Store
from mien.judge.openings import AGAIN, PEEKING, count_openings
from mien.judge.peeking import peeked, peeked_rows
from mien.judge.select import select
from mien.methods.peeking import passed_over
from mien.metrics import scores
from mien.report import write_report
from mien.report.conditions import differences
from mien.report.figures import looked
from mien.report.parts import Section
from mien.report.sections.peeking import peeking_section
from mien.runs import Run
from mien.statistics import gap_interval


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", test=210)


def peek(run: Run, above: float) -> Run:
    """What `--show-peeking` leaves: every epoch on the test, the best of them `above` the honest figure."""
    test = run.logits("test")
    own = scores(test.logits, test.labels)
    lines = ["epoch,accuracy,uar,macro_f1"]
    for epoch, better in ((1, -0.1), (2, 0.0), (3, above), (4, -0.02)):
        lines.append(f"{epoch},{own.accuracy + better!r},{own.uar + better / 2!r},{own.macro_f1 + better!r}")
    write_text(run.path / "peeking.csv", "\n".join(lines) + "\n")
    run.update(test_opened_at=("2024-05-01T12:00:00+00:00", "2024-05-01T12:00:09+00:00"))
    return Run.open(run.path)


def made(folder: Path, store: Store, gains: list[float]) -> Comparison:
    runs = make_runs(folder, store, networks=("vgg16", "resnet34"), dropouts=(0.0,), seeds=len(gains) // 2)
    return collect([peek(run, gain) for run, gain in zip(runs, gains, strict=True)])


def section_of(comparison: Comparison) -> Section:
    rows = select(comparison.rows)
    return peeking_section(peeked_rows(rows), {item.name: item.look for item in looked(comparison.rows, rows)})


def test_what_has_no_epochs_of_one_network_is_passed_over_in_a_sentence(tmp_path: Path, store: Store) -> None:
    shared = {"model": {"name": "compact-s"}, "train": {"epochs": 4}, "optimizer": {"schedule": "cosine"}}
    grids = ({"train.snapshots": [1, 2], "seed": [0, 1]}, {"boosting.rounds": [3], "seed": [0, 1]})
    recipes = [recipe_from({**shared, "grid": grid}, "kinds") for grid in grids]
    planned = [run for recipe in recipes for run in outline(recipe, store, tmp_path / "runs")]
    words = "--show-peeking judges every epoch of a single network, so it leaves out 2 of boosting and 2 of snapshots."
    assert passed_over(planned) == words
    assert passed_over(planned[:2]) == ""


def test_the_gap_is_best_epoch_less_the_kept_one(tmp_path: Path, store: Store) -> None:
    gains = [0.01, 0.03, 0.02, 0.015]
    comparison = made(tmp_path / "runs", store, gains)
    found = {row.row.name: row for row in map(peeked, select(comparison.rows)) if row}
    assert found["vgg16"].gap("accuracy").tolist() == pytest.approx(gains[:2])
    assert found["resnet34"].gap("accuracy").tolist() == pytest.approx(gains[2:])
    assert found["vgg16"].gap("uar").tolist() == pytest.approx([0.005, 0.015])
    for row, scored in zip(found.values(), comparison.rows, strict=True):
        assert row.honest["accuracy"].tolist() == [one.accuracy for one in scored.scores]


def test_its_interval_is_the_middle_of_a_share_times_an_exponential_mean() -> None:
    gaps, rng = np.array([0.01, 0.0, 0.02, 0.015]), np.random.default_rng(0)
    drawn = rng.beta(3.5, 1.5, 400_000) * gaps.sum() / rng.gamma(3, 1, 400_000)
    got = gap_interval(gaps)
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=0.02)
    assert got.method == "generalized, 0 or exponential, 3 of 4 runs gained"


def test_runs_that_gained_nothing_have_no_upper_end() -> None:
    none = gap_interval(np.zeros(3))
    assert none.low == 0
    assert np.isnan(none.high)
    assert np.isnan(gap_interval(np.array([0.1])).low)


def simulated_gaps(rng: np.random.Generator, shape: tuple[int, ...], epochs: int, sway: float) -> np.ndarray:
    """Best less chosen: curves that rise, sway from epoch to epoch, and are seen through other faces on each part."""
    curve = -0.2 * (1 - np.arange(1, epochs + 1) / epochs) ** 2 + rng.normal(0, sway, (*shape, epochs))
    test, valid = (curve + rng.normal(0, 0.005, curve.shape) for _ in range(2))
    kept = np.take_along_axis(test, valid.argmax(-1)[..., None], -1)[..., 0]
    return test.max(-1) - kept


@pytest.mark.long
@pytest.mark.parametrize(("epochs", "sway"), [(12, 0.005), (12, 0.02), (75, 0.005)])
def test_coverage_where_t_does_not_cover(epochs: int, sway: float) -> None:
    rng = np.random.default_rng(1)
    truth = simulated_gaps(rng, (40_000,), epochs, sway).mean()
    for runs in (3, 6, 18):
        held = {"own": 0, "t": 0}
        for gaps in simulated_gaps(rng, (250, runs), epochs, sway):
            own = gap_interval(gaps)
            held["own"] += own.low <= truth and not truth > own.high  # an end that is not known excludes nothing
            half = stats.t.ppf(0.975, runs - 1) * stats.sem(gaps)
            held["t"] += abs(gaps.mean() - truth) <= half
        assert held["own"] > 0.925 * 250
        if runs == 3 and epochs == 12:
            assert held["t"] < 0.85 * 250


@pytest.mark.long
def test_the_page_shows_both_figures(tmp_path: Path, store: Store) -> None:
    comparison = made(tmp_path / "runs", store, [0.01, 0.03, 0.02, 0.015])
    path = write_report(comparison, tmp_path / "report", faces=False)
    table = (path.parent / "tables" / "peeking.csv").read_text(encoding="utf-8")
    assert table.splitlines()[-1].startswith("all rows,4,")
    assert "+1.9 [0.7–6.3]" in table
    text = path.read_text(encoding="utf-8")
    assert "would have claimed 1.9 points of accuracy more" in text
    assert (path.parent / "figures" / "peeking.pdf").read_bytes().startswith(b"%PDF")
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["peeking"]
    assert sum(len(row["runs"]) for row in told) == 4
    gaps = [np.subtract(row["claimed"]["accuracy"], row["honest"]["accuracy"]) for row in told]
    assert np.mean(gaps) == pytest.approx(np.mean([0.01, 0.03, 0.02, 0.015]), abs=1e-9)
    assert comparison.rows[0].scores == collect(comparison.runs).rows[0].scores, "no other figure moves"


def test_another_winner_is_named(tmp_path: Path, store: Store) -> None:
    runs = make_runs(tmp_path / "runs", store, networks=("vgg16", "resnet34"), dropouts=(0.0,))
    comparison = collect([peek(runs[0], 0.0), peek(runs[1], 0.5)])
    assert "It would also have named resnet34 as the best" in section_of(comparison).lead


def test_nobody_peeked(tmp_path: Path, store: Store) -> None:
    comparison = collect(make_runs(tmp_path / "runs", store, networks=("vgg16",), dropouts=(0.0,)))
    section = section_of(comparison)
    assert "--show-peeking" in section.lead
    assert not section.panels


def test_openings_are_counted_by_run_settings_and_reason(tmp_path: Path, store: Store) -> None:
    comparison = made(tmp_path / "runs", store, [0.01, 0.03, 0.02, 0.015])
    runs = comparison.runs
    runs[3].update(test_opened_at=("2024-05-01T12:00:00", "2024-05-01T12:05:00", "2024-05-01T12:06:00"))
    for run in (*runs, *runs):
        store.log_opening("2024-05-01T12:00:00+00:00", run.id)
    store.log_opening("2024-06-01T12:00:00+00:00", "vgg16-0123456789")
    store.log_opening("2024-06-02T12:00:00+00:00", "vgg16-0123456789")
    store.log_opening("2024-06-02T12:00:00+00:00", "resnet34-abcdefabcd")
    found = count_openings(comparison, store)
    assert (len(found.own), found.settings, found.others, found.other_runs) == (9, 2, 3, 2)
    assert sum(one.why == PEEKING for one in found.own) == 4
    assert sum(one.why == AGAIN for one in found.own) == 1
    assert "opened 9 times by the 4 runs of this page (4 of them by --show-peeking" in found.sentence
    assert "2 different settings" in found.sentence
    assert "and 3 times by 2 runs that are not on this page" in found.sentence
    (said,) = [sentence for sentence in differences(comparison) if "opened more than once" in sentence]
    assert runs[3].id in said
    assert runs[0].id not in said


def test_openings_without_a_store_or_strangers(tmp_path: Path, store: Store) -> None:
    comparison = collect(make_runs(tmp_path / "runs", store, networks=("vgg16",), dropouts=(0.0,)))
    assert count_openings(comparison, store).sentence.endswith("The store's log shows no other opening.")
    assert "1 time by the 1 run of this page (one setting)" in count_openings(comparison, None).sentence
    assert "are unknown" in count_openings(comparison, None).sentence
