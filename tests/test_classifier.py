"""One question for whatever is trained: a model file and the network of a run are both a `Classifier`."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from made_runs import make_runs, make_store
from mien.bundle import Bundle
from mien.checkpoint import save_tensors
from mien.classifier import CHUNK, Classifier, fitted, logits_of
from mien.crop import CropSpec, crop
from mien.data.splits import divide
from mien.errors import DataError
from mien.inference import predict_logits
from mien.initial import build_network
from mien.methods import find_method
from mien.methods.network import load_network
from mien.planes import Batch, Plane
from tiny_bundle import write_bundle

SOURCE = Path(__file__).parents[1] / "src" / "mien"


def test_a_model_file_answers_to_the_faces_of_any_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", train=140, size=24)
    classifier: Classifier = Bundle.open(write_bundle(tmp_path / "tiny.onnx"), threads=1)
    rows = store.rows("test")
    faces = np.stack([crop(face, classifier.crop) for face in store.images[rows]])
    np.testing.assert_array_equal(logits_of(classifier, store, rows), classifier.logits({"face": faces}))
    assert logits_of(classifier, store, rows[:0]).shape == (0, 7)


def test_the_network_of_a_run_is_a_classifier_too(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    store = make_store(tmp_path / "store", test=21, size=16)
    run = make_runs(tmp_path / "runs", store, networks=("compact-s",), dropouts=(0.0,))[0]
    network = build_network(run.settings, divide(store, run.settings.data).train, torch.device("cpu"))
    save_tensors(run, "model.safetensors", network.state_dict(), {})
    trained: Classifier = find_method(run.settings).load(run)
    rows = store.rows("test")
    assert (trained.labels, trained.takes) == (store.meta.labels, (store.meta.crop.plane,))
    expected = predict_logits(load_network(run), store.images[rows])
    np.testing.assert_array_equal(logits_of(trained, store, rows), expected)


def test_faces_that_fit_are_not_touched_and_many_are_read_in_chunks(tmp_path: Path) -> None:
    faces = np.zeros((2, 16, 16, 1), np.uint8)
    assert fitted({"face": faces}, [CropSpec(size=16, channels=1).plane])["face"] is faces
    assert fitted({"face": faces[:0]}, [CropSpec(size=8, channels=3).plane])["face"].shape == (0, 8, 8, 3)
    flow = Plane(name="flow", kind="flow", shape=(4, 4, 2), dtype="float32")
    with pytest.raises(DataError, match="takes the plane flow; these samples have face"):
        fitted({"face": faces}, [flow])
    with pytest.raises(DataError, match=r"takes flow of float32 \(4, 4, 2\); these samples have \(5, 5, 2\)"):
        fitted({"flow": np.zeros((1, 5, 5, 2), np.float32)}, [flow])
    store = make_store(tmp_path / "store", train=CHUNK + 100)
    asked: list[int] = []

    class Counting:
        labels = store.meta.labels
        takes = (store.meta.crop.plane,)

        def logits(self, batch: Batch) -> np.ndarray:
            images = batch["face"]
            asked.append(len(images))
            return images.reshape(len(images), -1)[:, :7].astype(np.float32)

    rows = store.rows("train")
    found = logits_of(Counting(), store, rows)
    assert asked == [CHUNK, 100]
    np.testing.assert_array_equal(found, store.images[rows].reshape(len(rows), -1)[:, :7])


@pytest.mark.parametrize("package", ["examine", "explain"])
def test_whoever_asks_a_run_asks_its_classifier(package: str) -> None:
    """`predict_logits` belongs to the training loop; what examines a trained network goes through `Trained`."""
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and "predict_logits" in [alias.name for alias in node.names]
    }
    assert users <= {"explain/explainer.py"}, "only `methods_of`, which is given a bare network, may"
