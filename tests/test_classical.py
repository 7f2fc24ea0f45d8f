"""Classical methods: descriptors, logits from plain arrays that are scikit-learn's own, and their rows in a report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from conftest import Bars, plan_run
from mien.compare import collect, plan, stated
from mien.config import FeaturesSettings, FeaturesTable, override, read_recipe, recipe_from
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import ConfigError, MissingExtra, RunError
from mien.methods import find_method
from mien.methods.decision import Decision, fit_decision
from mien.methods.descriptors import describe, grey
from mien.report import write_report
from mien.runs import Run
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")

SMALL = {"features.hog_cell": 4, "features.lbp_grid": 4, "features.landmarks": 30}


def clouds(classes: int = 3, n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 12 numbers around a centre a class, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    return (rng.normal(0, 1, (classes, 12))[labels] + rng.normal(0, 0.8, (n, 12))).astype(np.float32), labels


def decided(pipeline: Any, vectors: np.ndarray) -> np.ndarray:
    """The decision values of scikit-learn, a column a class."""
    return np.asarray(pipeline.decision_function(vectors.astype(np.float64)))


@pytest.mark.parametrize("components", [0, 5])
@pytest.mark.parametrize("classifier", ["linear-svm", "logistic", "rbf-svm"])
def test_logits_are_the_decisions_of_scikit_learn(classifier: str, components: int) -> None:
    vectors, labels = clouds()
    settings = FeaturesTable(classifier=classifier, components=components, landmarks=40, c=0.5)
    logits = fit_decision(vectors, labels, 3, settings, 7).logits(vectors)
    steps: list[Any] = [PCA(components, svd_solver="covariance_eigh")] if components else []
    steps.append(StandardScaler())
    if classifier == "rbf-svm":
        steps.append(Nystroem(gamma=1 / (components or 12), n_components=40, random_state=7))
    steps.append(LogisticRegression(C=0.5) if classifier == "logistic" else LinearSVC(C=0.5, dual=False))
    theirs = make_pipeline(*steps).fit(vectors.astype(np.float64), labels)
    np.testing.assert_allclose(logits, decided(theirs, vectors), atol=2e-3)
    assert (logits.argmax(axis=1) == theirs.predict(vectors.astype(np.float64))).all()


@pytest.mark.parametrize("classifier", ["linear-svm", "logistic"])
def test_two_classes_are_as_far_apart_as_scikit_learn_has_them(classifier: str) -> None:
    vectors, labels = clouds(classes=2)
    logits = fit_decision(vectors, labels, 2, FeaturesTable(classifier=classifier), 0).logits(vectors)
    model = LogisticRegression(C=1.0) if classifier == "logistic" else LinearSVC(C=1.0, dual=False)
    theirs = make_pipeline(StandardScaler(), model).fit(vectors.astype(np.float64), labels)
    apart = 1 if classifier == "logistic" else 2  # two machines, one against the other
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], apart * decided(theirs, vectors), atol=2e-3)


def test_centroids_give_the_probabilities_of_scikit_learn() -> None:
    vectors, labels = clouds()
    logits = fit_decision(vectors, labels, 3, FeaturesTable(classifier="centroid"), 0).logits(vectors).astype(float)
    theirs = make_pipeline(StandardScaler(), NearestCentroid()).fit(vectors.astype(np.float64), labels)
    ours = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs.predict_log_proba(vectors.astype(np.float64)), atol=1e-3)


@pytest.mark.parametrize("classifier", ["linear-svm", "rbf-svm", "logistic", "centroid"])
def test_a_class_without_a_training_face_comes_last(classifier: str) -> None:
    vectors, labels = clouds(classes=3)
    decision = fit_decision(vectors, labels + (labels == 2), 5, FeaturesTable(classifier=classifier, landmarks=20), 0)
    logits = decision.logits(vectors)
    assert logits.shape == (90, 5)
    assert np.isfinite(logits).all()
    assert set(logits.argmax(axis=1)) == {0, 1, 3}
    assert (logits[:, [2, 4]] < logits[:, [0, 1, 3]].min(axis=1, keepdims=True)).all()


@pytest.mark.parametrize("classifier", ["linear-svm", "rbf-svm"])
def test_a_decision_is_read_back_as_it_was_and_another_file_is_refused(tmp_path: Path, classifier: str) -> None:
    vectors, labels = clouds()
    settings = FeaturesTable(classifier=classifier, components=5, landmarks=20)
    decision = fit_decision(vectors, labels, 3, settings, 0)
    decision.save(tmp_path / "a.npz")
    fit_decision(vectors, labels, 3, settings, 0).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = Decision.read(tmp_path / "a.npz", 3)
    np.testing.assert_array_equal(again.logits(vectors), decision.logits(vectors))
    with pytest.raises(ValueError, match="expected"):
        Decision.read(tmp_path / "a.npz", 4)
    arrays = dict(np.load(tmp_path / "a.npz"))
    for name, wrong in (("scale", np.full(5, np.nan)), ("weights", np.zeros((2, 3))), ("basis", np.zeros((12, 4)))):
        np.savez(tmp_path / "wrong.npz", **(arrays | {name: wrong}))
        with pytest.raises(ValueError, match=r"finite|fit together|expected"):
            Decision.read(tmp_path / "wrong.npz", 3)


def test_descriptors_have_the_lengths_they_say_and_see_what_they_are_for() -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (2, 48, 48, 1), dtype=np.uint8)
    lengths = {"hog": 5 * 5 * 4 * 9, "lbp": 36 * 59, "hog+lbp": 900 + 2124, "pixels": 48 * 48}
    for name, length in lengths.items():
        assert describe(faces, FeaturesTable(descriptor=name)).shape == (2, length)
    shares = describe(faces, FeaturesTable(descriptor="lbp")).reshape(2, 36, 59) ** 2
    np.testing.assert_allclose(shares.sum(axis=2), 1, rtol=1e-5)
    dark, brighter = ((faces // 2 + light).astype(np.uint8) for light in (1, 61))  # the same faces in other light
    for name in ("hog", "lbp"):
        one, same = (describe(each, FeaturesTable(descriptor=name)) for each in (dark, brighter))
        assert np.abs(one - same).mean() < 0.05 * np.abs(one[0] - one[1]).mean()


def test_grey_of_any_number_of_channels() -> None:
    faces = np.full((1, 4, 4, 1), 77, np.uint8)
    for channels in (1, 3, 4):
        assert (grey(np.repeat(faces, channels, axis=3)) == 77).all()


def refused(changes: dict[str, Any], store: Store) -> str:
    settings = override(FeaturesSettings(), {f"features.{key}": value for key, value in changes.items()})
    with pytest.raises(ConfigError) as error:
        find_method(settings).check(settings, store)
    return str(error.value)


def test_faces_too_small_are_refused_before_anything_is_written(store: Store) -> None:
    assert refused({"hog_cell": 16}, store) == (
        "features.hog_cell 16 needs faces of at least 32 px, as a block has 2 × 2 cells; these have 16 px. Lower it."
    )
    assert "lbp_grid 20 needs faces of at least 20 px" in refused({"descriptor": "lbp", "lbp_grid": 20}, store)


def test_a_missing_library_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.methods.features.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'mien\[classical\]'"):
        find_method(FeaturesSettings()).check(FeaturesSettings(), store)


def test_a_run_is_fitted_loaded_and_refused_when_damaged(tmp_path: Path, bars: Bars) -> None:
    store = bars()
    settings = override(FeaturesSettings(), SMALL)
    run = Run.create(tmp_path / "runs", settings, store, divide(store, settings.data))
    assert run.id.startswith("hog-linear-svm-")
    finish_run(run)
    record = Run.open(run.path).record
    assert record.status == "finished"
    assert len(record.test_opened_at) == 1
    assert record.costs.parameters > 0
    test = run.logits("test")
    assert (test.logits.argmax(axis=1) == test.labels).mean() > 0.9
    again = find_method(settings).load(run).logits({"face": store.read(test.ids)["face"]})
    np.testing.assert_array_equal(again, test.logits)
    (run.path / "features.npz").write_bytes(b"PK")
    with pytest.raises(RunError, match="Remove the folder"):
        find_method(settings).load(run)
    (run.path / "features.npz").unlink()
    with pytest.raises(RunError, match="is gone"):
        find_method(settings).load(run)


def test_training_cannot_see_the_test(tmp_path: Path, bars: Bars) -> None:
    settings = override(FeaturesSettings(), SMALL | {"features.classifier": "rbf-svm"})
    fitted = []
    for name in ("", "test"):
        store = bars(f"with-{name}", noise_split=name)
        run = Run.create(tmp_path / f"runs-{name}", settings, store, divide(store, settings.data))
        finish_run(run, ["fit"])
        assert not run.record.test_opened_at
        fitted.append((run.path / "features.npz").read_bytes())
    assert fitted[0] == fitted[1]


def test_no_torch_is_needed_by_the_method(tmp_path: Path) -> None:
    import ast

    import mien.methods.features as method

    folder = Path(method.__file__).parent
    files = [
        folder / "features.py",
        folder / "decision.py",
        folder / "speed.py",
        *(folder / "descriptors").glob("*.py"),
    ]
    for path in files:
        names = [
            alias.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        assert "torch" not in names
        assert "pickle" not in names


def test_the_recipe_has_six_rows_and_one_seed_where_there_is_no_randomness() -> None:
    cells = [cell for cell in read_recipe("classical").cells() if isinstance(cell, FeaturesSettings)]
    seeds = {name: [cell.seed for cell in cells if cell.name == name] for name in dict.fromkeys(c.name for c in cells)}
    assert len(seeds) == 6
    assert seeds.pop("hog-rbf-svm") == [0, 1, 2]
    assert all(own == [0] for own in seeds.values())


RECIPE: dict[str, Any] = {
    "grid": {"model.name": ["compact-s"], "seed": [0, 1]},
    "model": {"width": 0.25},
    "train": {"epochs": 1, "batch_size": 30},
    "rows": {
        "a": {"kind": "features", "features": {"hog_cell": 4}},
        "b": {"kind": "features", "features": {"hog_cell": 4, "classifier": "rbf-svm", "landmarks": 30}},
        "c": {"kind": "features", "features": {"descriptor": "pixels", "components": 5, "classifier": "logistic"}},
    },
}


def test_their_settings_can_be_changed_and_crossed() -> None:
    recipe = read_recipe("classical").changed({"features.c": [0.1, 1.0], "features.hog_cell": 6, "seed": [0, 1]})
    own = [cell for cell in recipe.cells() if cell.KIND == "features"]
    assert {cell.flat()["features.hog_cell"] for cell in own} == {6}
    assert sorted({cell.flat()["features.c"] for cell in own}) == [0.1, 1.0]
    assert [cell.seed for cell in own if cell.name == "hog-linear-svm"] == [0, 0]
    assert [cell.seed for cell in own if cell.name == "hog-rbf-svm"] == [0, 1] * 2
    assert [cell.seed for cell in recipe.cells() if cell.KIND == "network"] == [0, 1]
    with pytest.raises(
        ConfigError, match=r"features\.c is a setting of rows of kind features, and the recipe demo has"
    ):
        read_recipe("demo").changed({"features.c": 1.0})
    with pytest.raises(ConfigError, match=r"features\.c is 1e-06 to 1e\+06; got 0\."):
        read_recipe("classical").changed({"features.c": 0.0})


@pytest.mark.parametrize("networks", [pytest.param(True, marks=pytest.mark.long), False])
def test_rows_stand_in_a_report_with_or_without_networks(tmp_path: Path, bars: Bars, networks: bool) -> None:
    recipe = recipe_from(RECIPE, "both")
    runs = [
        run for run in plan(recipe, bars(), tmp_path / "runs") if networks or isinstance(run.settings, FeaturesSettings)
    ]
    for run in runs:
        finish_run(run)
    comparison = collect([Run.open(run.path) for run in runs])  # no --vary: the table that names rows may differ
    names = [row.name for row in comparison.rows]
    assert names[-3:] == ["hog-linear-svm", "hog-rbf-svm", "pixels-pca-logistic"]
    assert [len(row.scores) for row in comparison.rows[-3:]] == [1, 2, 1]
    assert "features.descriptor" not in stated(recipe)
    page = write_report(comparison, tmp_path / "report")
    said = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert min(row["figures"]["accuracy"]["mean"] for row in said["rows"][-3:]) > 0.8
    methods = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")
    assert "Dalal N., Triggs B." in methods
    assert "fitted once" in methods
    assert "Settings that differ from mien's defaults: features" not in methods
    assert ("Initial weights were random" in methods) == networks
    assert ("epoch" in methods) == networks
    text = page.read_text(encoding="utf-8")
    assert "features.hog_cell" not in text


def test_a_run_of_another_kind_is_no_network(tmp_path: Path, store: Store) -> None:
    """What is for networks alone says so in a sentence."""
    from mien.export import export

    settings = override(FeaturesSettings(), SMALL)
    run = Run.create(tmp_path, settings, store, divide(store, settings.data))
    finish_run(run)
    with pytest.raises(RunError, match="kind"):
        export(run, tmp_path / "x.onnx")
    assert plan_run(tmp_path, store).settings.KIND == "network"
