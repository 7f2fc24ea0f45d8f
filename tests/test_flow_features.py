"""Classical rows on flow: ridge as scikit-learn has it, descriptors by hand, and the whole road by LOSO."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mien.compare import collect
from mien.config import DataSettings, FeaturesSettings, FeaturesTable
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.errors import ConfigError
from mien.labels import LabelSet
from mien.methods import find_method
from mien.methods.decision import fit_decision
from mien.methods.descriptors import describe
from mien.planes import Plane
from mien.runs import Run
from mien.stages import finish_run, measure_costs

CLASSES = LabelSet(("negative", "positive", "surprise"))
SIDE = 14
PLANE = Plane(name="flow", kind="flow", shape=(SIDE, SIDE, 3), dtype="float32")


def clips(path: Path, subjects: int = 6) -> Store:
    """Flow of people: each class moves another part of the face, on a noise of its own."""
    rng = np.random.default_rng(0)
    with create_store(path, CLASSES, CropSpec(size=SIDE, channels=3), planes=(PLANE,)) as writer:
        for i in range(6 * subjects):
            label = i % 3
            flow = rng.normal(0, 0.2, (SIDE, SIDE, 3)).astype(np.float32)
            flow[4 * label : 4 * label + 4, 4:10, label % 2] += 0.5
            face = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            sample = Sample(label=label, split="train", source=str(i), subject=f"s{i // 6}")
            writer.add(sample, face=face, flow=flow)
        writer.finish(corpus="made", licence="made for tests")
    return Store.open(path)


@pytest.mark.parametrize(("count", "c"), [(90, 1.0), (90, 0.01), (20, 0.1)])
def test_ridge_is_that_of_scikit_learn_with_many_columns_and_with_few(count: int, c: float) -> None:
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(count, 30)).astype(np.float32), np.arange(count) % 3
    vectors[:, 0] += labels
    ours = fit_decision(vectors, labels, 3, FeaturesTable(classifier="ridge", c=c), 0).logits(vectors)
    theirs = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1 / c)).fit(vectors.astype(np.float64), labels)
    np.testing.assert_allclose(ours, theirs.decision_function(vectors.astype(np.float64)), atol=1e-4)


def described(flow: np.ndarray, name: str, grid: int = 1, bins: int = 4) -> list[float]:
    settings = FeaturesTable(plane="flow", descriptor=name, flow_grid=grid, flow_bins=bins)  # type: ignore[arg-type]
    return [round(float(x), 4) for x in describe(flow[None].astype(np.float32), settings)[0]]


def test_descriptors_of_flow_by_hand() -> None:
    flow = np.zeros((4, 4, 2))
    flow[0, 0], flow[0, 1], flow[3, 3] = (3, 0.1), (1, 0.1), (-0.1, -2)  # right twice, up once
    right = np.hypot(3, 0.1) + np.hypot(1, 0.1)
    up = np.hypot(0.1, 2)
    assert described(flow, "hoof") == [round(right / (right + up), 4), 0, round(up / (right + up), 4), 0]
    assert described(flow, "mdmo") == [2, 0.1]
    assert described(flow, "mdmo", grid=2) == [2, 0.1, 0, 0, 0, 0, -0.1, -2]
    assert described(flow, "hoof", grid=2)[:4] == [1, 0, 0, 0]
    assert described(flow, "pixels") == [round(float(x), 4) for x in flow.ravel()]


def test_bi_woof_weighs_parts_by_their_strain() -> None:
    flow = np.zeros((8, 8, 2))
    flow[:, :4, 0] = 1.0  # the left half moves as a whole, and is strained where it ends
    flow[2:6:2, 5:7, 1] = 3.0
    hoof, weighed = (np.reshape(described(flow, name, grid=2), (4, 4)) for name in ("hoof", "bi-woof"))
    shares = weighed.sum(axis=1)
    assert (hoof.sum(axis=1).round(3) == 1).all()
    assert shares.sum() == pytest.approx(1, abs=1e-3)
    assert shares[1] > shares[0] > 0
    assert described(np.zeros((4, 4, 2)), "bi-woof") == [0, 0, 0, 0]


def test_rows_on_flow_walk_the_road_of_faces_by_loso(tmp_path: Path) -> None:
    store = clips(tmp_path / "store")
    runs = []
    for name, fold in itertools.product(("pixels", "bi-woof"), range(6)):
        table = FeaturesTable(plane="flow", descriptor=name, classifier="ridge", c=0.01)  # type: ignore[arg-type]
        data = DataSettings(protocol="loso", valid_fraction=0.3, fold=fold)
        settings = FeaturesSettings(features=table, data=data).resolved(store.meta.crop)
        runs.append(Run.create(tmp_path / "runs", settings, store, divide(store, data)))
    for run in runs:
        finish_run(run)
    measure_costs(runs[0])
    found = collect(runs, vary=["features.descriptor"])
    assert [row.name for row in found.rows] == ["flow-pixels-ridge", "flow-bi-woof-ridge"]
    assert found.rows[0].scores[0].macro_f1 > 0.9
    (again,) = find_method(runs[0].settings).load(runs[0]).takes
    assert again == PLANE


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"plane": "flow", "descriptor": "hog"}, "hog does not describe flow, and features.plane is flow"),
        ({"descriptor": "hoof"}, "hoof does not describe faces, and features.plane is face"),
        ({"plane": "depth", "descriptor": "pixels"}, "features.plane is 'depth'; .* has face, flow"),
        ({"plane": "flow", "descriptor": "hoof", "flow_grid": 20}, "flow_grid 20 needs flow of at least 20 px"),
    ],
)
def test_planes_that_cannot_be_described_are_named(tmp_path: Path, features: dict[str, object], expected: str) -> None:
    store = clips(tmp_path / "store", subjects=3)
    settings = FeaturesSettings(features=FeaturesTable(**features))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=expected):
        find_method(settings).check(settings, store)
