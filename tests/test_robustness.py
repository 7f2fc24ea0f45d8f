"""Robustness: what is measured of a run, and mean corruption error with its interval."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from made_runs import make_runs, make_store
from mien.checkpoint import save_tensors
from mien.compare import collect
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import CompareError, RunError
from mien.examine.corruptions import CORRUPTIONS, corrupt
from mien.examine.damaging import STEPS, Robustness, stratified_faces
from mien.examine.robustness import FILE, load, measure, measured_rows, summarise
from mien.inference import predict_logits
from mien.initial import build_network
from mien.methods.network import load_network
from mien.runs import Run


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def weighted_run(folder: Path) -> tuple[Run, Store]:
    """A finished run of a tiny network with untrained weights."""
    store = make_store(folder / "store", test=42, size=16)
    run = make_runs(folder / "runs", store, networks=("compact-s",), dropouts=(0.0,))[0]
    network = build_network(run.settings, divide(store, run.settings.data).train, torch.device("cpu"))
    save_tensors(run, "model.safetensors", network.state_dict(), {})
    return run, store


def made(errors: np.ndarray, rng: np.random.Generator, n: int = 400) -> Robustness:
    """Predictions that are wrong (class 1 of truth 0) at rates `(1 + C·5,)`, clean first, independently."""
    wrong = (rng.random((len(errors), n)) < errors[:, None]).astype(np.uint8)
    kinds = (len(errors) - 1) // 5
    return Robustness(
        ids=np.arange(n),
        labels=np.zeros(n, np.int64),
        subjects=np.full(n, ""),
        clean=wrong[0],
        predicted=wrong[1:].reshape(kinds, 5, n),
        corruptions=tuple(CORRUPTIONS)[:kinds],
    )


def test_measure_predicts_the_damaged_test_faces_and_keeps_them(tmp_path: Path) -> None:
    run, store = weighted_run(tmp_path)
    done: list[int] = []
    measured = measure(run, limit=21, report=done.append)
    assert measured.predicted.shape == (len(CORRUPTIONS), 5, 21)
    assert done == [1] * STEPS
    assert np.isin(measured.ids, store.rows("test")).all()
    network = load_network(run)
    images = store.images[measured.ids]
    np.testing.assert_array_equal(measured.clean, predict_logits(network, images).argmax(1))
    index = measured.corruptions.index("shift")
    again = predict_logits(network, corrupt("shift", images, 4)).argmax(1)
    np.testing.assert_array_equal(measured.predicted[index, 3], again)
    (run.path / "model.safetensors").unlink()
    np.testing.assert_array_equal(measure(run, limit=21).predicted, measured.predicted)
    with pytest.raises(RunError, match="no weights"):
        measure(run, limit=42)


def test_an_interrupted_measurement_goes_on_where_it_stopped(tmp_path: Path) -> None:
    run, _ = weighted_run(tmp_path)
    done: list[int] = []

    def stop(steps: int) -> None:
        done.append(steps)
        if len(done) == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(run, limit=21, report=stop)
    assert load(run) is None
    assert measured_rows(collect([run]).rows) == {}
    rest: list[int] = []
    measured = measure(run, limit=21, report=rest.append)
    assert rest == [10, *[1] * (STEPS - 10)]
    (run.path / FILE).unlink()
    np.testing.assert_array_equal(measure(run, limit=21).predicted, measured.predicted)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run, _ = weighted_run(tmp_path)
    assert load(run) is None
    (run.path / FILE).write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"robustness.npz is damaged"):
        load(run)


def test_rows_are_collected_by_name_and_seed(tmp_path: Path) -> None:
    run, _ = weighted_run(tmp_path)
    measure(run, limit=14)
    found = measured_rows(collect([run]).rows)
    assert list(found) == ["compact-s"]
    assert list(found["compact-s"]) == [(0, 0)]


def test_sample_is_stratified_and_the_same_for_all() -> None:
    labels = np.repeat([0, 1, 2], [700, 250, 50])
    picked = stratified_faces(labels, 100)
    assert len(np.unique(picked)) == 100
    np.testing.assert_allclose(np.bincount(labels[picked]), [70, 25, 5], atol=1)
    np.testing.assert_array_equal(picked, stratified_faces(labels, 100))
    np.testing.assert_array_equal(stratified_faces(labels, 5000), np.arange(1000))


def by_hand(own: Robustness, base: Robustness) -> tuple[float, float]:
    """The two definitions, written out."""
    ce, relative = [], []
    for kind in range(len(own.corruptions)):
        e_own, e_base = 1 - own.correct[kind].mean(1), 1 - base.correct[kind].mean(1)
        clean_own, clean_base = (own.clean != own.labels).mean(), (base.clean != base.labels).mean()
        ce.append(e_own.sum() / e_base.sum())
        relative.append((e_own - clean_own).sum() / (e_base - clean_base).sum())
    return float(np.mean(ce)), float(np.mean(relative))


def rates(clean: float, worst: float, kinds: int = 2) -> np.ndarray:
    return np.append(clean, np.tile(np.linspace(clean, worst, 6)[1:], kinds))


def two(rng: np.random.Generator, seeds: int = 3, n: int = 400) -> Mapping[str, Mapping[tuple[int, int], Robustness]]:
    return {
        "base": {(seed, 0): made(rates(0.3, 0.7), rng, n) for seed in range(seeds)},
        "other": {(seed, 0): made(rates(0.2, 0.6), rng, n) for seed in range(seeds)},
    }


def test_mce_is_the_definition_and_the_baseline_has_1() -> None:
    measured = two(np.random.default_rng(0))
    base, other = summarise(measured, np.random.default_rng(1))
    assert (base.mce.value, base.relative_mce.value) == pytest.approx((1, 1))
    assert base.mce.interval.low == pytest.approx(1) == base.mce.interval.high
    hands = [by_hand(measured["other"][seed], measured["base"][seed]) for seed in measured["base"]]
    assert (other.mce.value, other.relative_mce.value) == pytest.approx(np.mean(hands, axis=0))
    first = np.mean([one.correct[0, 4].mean() for one in measured["other"].values()])
    assert other.accuracy[0][4].value == pytest.approx(first)
    everything = np.mean([one.correct.mean() for one in measured["other"].values()])
    assert other.corrupted.value == pytest.approx(everything)
    for figure in (other.mce, other.clean, *other.accuracy[1], *other.ce):
        assert figure.interval.low < figure.value < figure.interval.high


@pytest.mark.long
def test_mce_interval_holds_the_truth_19_times_in_20() -> None:
    truth = rates(0.2, 0.6)[1:].sum() / rates(0.3, 0.7)[1:].sum()
    hits = 0
    for trial in range(150):
        rng = np.random.default_rng(trial)
        interval = summarise(two(rng, seeds=1, n=150), rng)[1].mce.interval
        hits += interval.low <= truth <= interval.high
    assert 0.89 <= hits / 150 <= 0.99


def test_relative_mce_is_undefined_where_the_baseline_loses_nothing() -> None:
    rng = np.random.default_rng(3)
    perfect = {"base": {(0, 0): made(np.zeros(6), rng)}, "other": {(0, 0): made(np.full(6, 0.2), rng)}}
    _, other = summarise(perfect, rng)
    assert np.isnan(other.relative_mce.value)
    assert np.isnan(other.mce.value)
    assert other.clean.value == pytest.approx(0.8, abs=0.07)


def test_relative_mce_leaves_out_what_the_baseline_hardly_loses_to() -> None:
    """A loss of a tenth of a point is a denominator around 0: the ratio would have an interval of any width."""
    rng = np.random.default_rng(5)
    hardly = np.concatenate([rates(0.3, 0.7), np.full(5, 0.301)])
    measured = {
        name: {(seed, 0): made(hardly - better, rng, n=1000) for seed in range(4)}
        for name, better in (("b", 0), ("o", 0.1))
    }
    base, other = summarise(measured, rng)
    assert base.relative_over == other.relative_over == base.corruptions[:2]
    assert base.relative_mce.value == pytest.approx(1)
    interval = other.relative_mce.interval
    assert 0.5 < interval.low < other.relative_mce.value < interval.high < 1.5


def test_what_cannot_be_compared_is_refused() -> None:
    rng = np.random.default_rng(4)
    one, fewer = made(rates(0.2, 0.5), rng), made(rates(0.2, 0.5), rng, n=300)
    with pytest.raises(CompareError, match="no network 'vgg99'"):
        summarise({"a": {(0, 0): one}}, rng, baseline="vgg99")
    with pytest.raises(CompareError, match="other faces"):
        summarise({"a": {(0, 0): one}, "b": {(0, 0): fewer}}, rng)
    with pytest.raises(CompareError, match="No seed"):
        summarise({"a": {(0, 0): one}, "b": {(1, 0): one}}, rng)
    with pytest.raises(CompareError, match="Nothing was measured"):
        summarise({}, rng)
