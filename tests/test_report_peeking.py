"""The price of peeking, and who opened the test: counted from what runs and store wrote down."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from made_runs import make_runs, make_store
from mien.atomic import write_text
from mien.compare import Comparison, collect
from mien.data.store import Store
from mien.metrics import scores
from mien.report import write_report
from mien.report.figures import select
from mien.report.openings import AGAIN, PEEKING, count_openings
from mien.report.peeking import gap_interval, peeked, peeked_rows, peeking_section
from mien.report.words import differences
from mien.runs import Run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", test=210)


def peek(run: Run, above: float) -> Run:
    """What `--teach peeking` leaves: every epoch on the test, the best of them `above` the honest figure."""
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


def test_the_gap_is_best_epoch_less_the_kept_one(tmp_path: Path, store: Store) -> None:
    gains = [0.01, 0.03, 0.02, 0.015]
    comparison = made(tmp_path / "runs", store, gains)
    found = {row.item.name: row for row in map(peeked, select(comparison.rows)) if row}
    assert found["vgg16"].gap("accuracy").tolist() == pytest.approx(gains[:2])
    assert found["resnet34"].gap("accuracy").tolist() == pytest.approx(gains[2:])
    assert found["vgg16"].gap("uar").tolist() == pytest.approx([0.005, 0.015])
    for row, scored in zip(found.values(), comparison.rows, strict=True):
        assert row.honest["accuracy"].tolist() == [one.accuracy for one in scored.scores]


def test_its_interval_is_students(tmp_path: Path) -> None:
    gaps = np.array([0.01, 0.03, 0.02, 0.015])
    got = gap_interval(gaps)
    low, high = stats.t.interval(0.95, 3, gaps.mean(), stats.sem(gaps))
    assert (got.low, got.high) == pytest.approx((low, high))
    assert gap_interval(np.array([0.0, 0.2])).low == 0
    assert np.isnan(gap_interval(np.array([0.1])).low)


def test_the_page_shows_both_figures(tmp_path: Path, store: Store) -> None:
    comparison = made(tmp_path / "runs", store, [0.01, 0.03, 0.02, 0.015])
    path = write_report(comparison, tmp_path / "report", faces=False)
    table = (path.parent / "tables" / "peeking.csv").read_text(encoding="utf-8")
    assert table.splitlines()[-1].startswith("all rows,4,")
    assert "+1.9 [0.5–3.2]" in table
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
    assert "It would also have named resnet34 as the best" in peeking_section(peeked_rows(select(comparison.rows))).lead


def test_nobody_peeked(tmp_path: Path, store: Store) -> None:
    comparison = collect(make_runs(tmp_path / "runs", store, networks=("vgg16",), dropouts=(0.0,)))
    section = peeking_section(peeked_rows(select(comparison.rows)))
    assert "--teach peeking" in section.lead
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
    assert "opened 9 times by the 4 runs of this page (4 of them by --teach peeking" in found.sentence
    assert "2 different settings" in found.sentence
    assert "and 3 times by 2 runs that are not on this page" in found.sentence
    (said,) = [sentence for sentence in differences(comparison) if "opened more than once" in sentence]
    assert runs[3].id in said
    assert runs[0].id not in said


def test_openings_without_a_store_or_strangers(tmp_path: Path, store: Store) -> None:
    comparison = collect(make_runs(tmp_path / "runs", store, networks=("vgg16",), dropouts=(0.0,)))
    assert count_openings(comparison, store).sentence.endswith("by nobody else, as the store's log has it.")
    assert "1 time by the 1 run of this page (one setting)" in count_openings(comparison, None).sentence
    assert "are not known" in count_openings(comparison, None).sentence
