"""A predictor in other processes: in the child of a fork, in a worker that was spawned, in a pool."""

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.data.drawn import draw_scene
from mien.errors import BundleError
from mien.faces import find_detector
from mien.predict import Predictor
from tiny_bundle import write_bundle

SCENE = draw_scene(6, seed=3, height=480, width=640).image
DETECTORS = ["haar", "yuface", "none"]
PATIENCE_S = 60
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny.onnx")


def in_a_child(work: Callable[[], None]) -> int:
    """The exit code of a forked child; a child that hangs is ended by its own alarm (-14)."""
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_S)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", DETECTORS)
def test_a_child_answers_as_its_parent_did(model: Path, name: str) -> None:
    predictor = Predictor(model, detector=name, threads=2)
    before = [found.probs for found in predictor.predict(SCENE)]
    assert before

    def work() -> None:
        for _ in range(3):
            assert [found.probs for found in predictor.predict(SCENE)] == before

    assert [in_a_child(work) for _ in range(2)] == [0, 0]
    assert [found.probs for found in predictor.predict(SCENE)] == before


@pytest.mark.parametrize("name", DETECTORS)
def test_a_predictor_that_was_pickled_answers_alike(model: Path, name: str) -> None:
    predictor = Predictor(model, detector=name, threads=1, min_confidence=0.2, min_score=0.5, min_face=30)
    before = predictor.predict(SCENE)
    again = pickle.loads(pickle.dumps(predictor))
    assert [(p.label, p.probs, p.box) for p in again.predict(SCENE)] == [(p.label, p.probs, p.box) for p in before]
    assert pickle.loads(pickle.dumps(before))[0].probs == before[0].probs


def found_in(predictor: Predictor) -> list[str]:
    return [found.label for found in predictor.predict(SCENE)]


def test_a_spawned_worker_takes_a_predictor(model: Path) -> None:
    predictor = Predictor(model, detector="haar", threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(found_in, [predictor], chunksize=1) == [found_in(predictor)]


def test_another_file_at_the_same_place_is_refused(model: Path) -> None:
    pickled = pickle.dumps(Predictor(model, detector="none"))
    write_bundle(model, temperature=3.0)
    with pytest.raises(BundleError, match="was replaced by another model while it was in use"):
        pickle.loads(pickled)


@pytest.mark.parametrize("name", ["haar", "yuface"])
def test_the_limits_of_a_detector_are_kept_and_changed(name: str) -> None:
    usual = find_detector(name).detect(SCENE)
    sure = max(face.score for face in usual)
    assert len(find_detector(name, min_score=0.0).detect(SCENE)) >= len(usual)
    surest = find_detector(name, min_score=sure).detect(SCENE)
    assert 0 < len(surest) <= len(usual)
    assert all(face.score >= sure for face in surest)
    side = float(np.median([face.box[2] for face in usual]))
    large = find_detector(name, min_face=side).detect(SCENE)
    assert len(large) < len(usual)
    assert all(face.box[2] >= side for face in large)
    assert [f.box for f in pickle.loads(pickle.dumps(find_detector(name, min_face=side))).detect(SCENE)] == [
        f.box for f in large
    ]
