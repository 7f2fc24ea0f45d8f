"""Where a second plane comes from: landmarks of each crop, columns of a table, a drawn face taken apart."""

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import corpora_made as made
from mien.cli import main
from mien.config import AugmentSettings, ModelSettings, NetworkSettings, OptimizerSettings, TrainSettings
from mien.crop import CropSpec
from mien.data.corpora import ReadOptions
from mien.data.drawn import AUS, draw_faces
from mien.data.prepare import PrepareOptions, draw_store, prepare
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import BadSample, ConfigError, DataError
from mien.faces import Face, find_detector
from mien.faces.landmarks import landmarks_of
from mien.planes import Plane
from mien.runs import Run
from mien.stages import finish_run

needs_yuface = pytest.mark.skipif(find_spec("yuface") is None, reason="yuface has no wheel for this Python")


@dataclass(frozen=True)
class Centred:
    """A detector that finds a face wherever the picture is bright in the middle, its landmarks at known shares."""

    name: str = "centred"

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        side = picture.shape[0]
        if picture[side // 2, side // 2, 0] < 128:
            return []
        shares = np.array([[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.75, 0.75]], np.float32)
        unsure = Face(box=(0, 0, 9, 9), score=0.1, landmarks=np.zeros((5, 2), np.float32))
        return [unsure, Face(box=(0, 0, side, side), score=0.9, landmarks=shares * side - 0.5)]


def table(folder: Path, rows: list[dict[str, object]]) -> Path:
    """A CSV table of pictures of their own, with further columns."""
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", *rows[0]])
        writer.writeheader()
        for place, row in enumerate(rows):
            made.save(folder / f"{place}.png", place)
            writer.writerow({"path": f"{place}.png", "label": ("a", "b")[place % 2], **row})
    return path


@pytest.mark.parametrize("size", [24, 120])
def test_landmarks_are_in_pixels_of_the_crop_whatever_its_size(tmp_path: Path, size: int) -> None:
    path = table(tmp_path, [{"note": "x"}] * 30)
    options = PrepareOptions(crop=CropSpec(size=size, channels=1), labels="own", derived=(landmarks_of(Centred()),))
    meta = prepare(path, "csv", tmp_path / "store", options)
    store = Store.open(tmp_path / "store")
    points = store.read(np.arange(30), ["landmarks"])["landmarks"]
    found = store.images[:, size // 2, size // 2, 0] >= 160
    lost = store.images[:, size // 2, size // 2, 0] < 95
    assert found.any()
    assert lost.any()
    quarters = size * np.array([[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.75, 0.75]]) - 0.5
    np.testing.assert_allclose(points[found], np.broadcast_to(quarters, (found.sum(), 5, 2)), atol=1e-3)
    assert np.isnan(points[lost]).all()
    assert store.planes["landmarks"].pairs == ((0, 1), (3, 4))
    unknown = int(np.isnan(points).any((1, 2)).sum())
    assert f"Of {unknown} of 30 samples, landmarks are not known, or not all (NaN)." in meta.notes
    assert any("by centred" in note for note in meta.notes)


@needs_yuface
def test_yuface_finds_the_landmarks_of_drawn_faces() -> None:
    derived = landmarks_of(find_detector("yuface"))
    for _, face in draw_faces(6, seed=2, size=48):
        seen = derived.make({"face": face.image})["landmarks"]
        assert np.abs(seen - face.landmarks).max() < 5, "of 48 pixels"
        grey = derived.make({"face": face.image.mean(axis=2, keepdims=True).astype(np.uint8)})["landmarks"]
        assert np.abs(grey - face.landmarks).max() < 6


@pytest.mark.parametrize("name", ["haar", "none"])
def test_a_detector_without_landmarks_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"The face detector {name} has no landmarks; yuface and"):
        landmarks_of(find_detector(name))


def test_columns_become_numbers(tmp_path: Path) -> None:
    rows = [{"Age": 20 + place, "valence": "" if place == 3 else -place / 4} for place in range(6)]
    path = table(tmp_path, rows)  # type: ignore[arg-type]
    options = PrepareOptions(labels="own", read=ReadOptions(numbers=("valence", "age")))
    meta = prepare(path, "csv", tmp_path / "store", options)
    store = Store.open(tmp_path / "store")
    assert store.planes["numbers"] == Plane(name="numbers", kind="numbers", shape=(2,), dtype="float32")
    seen = store.read(np.arange(6), ["numbers"])["numbers"]
    expected = [[np.nan if place == 3 else -place / 4, 20 + place] for place in range(6)]
    np.testing.assert_array_equal(seen, np.array(expected, np.float32))
    assert "The plane numbers has the columns valence, age." in meta.notes
    assert "Of 1 of 6 samples, numbers are not known, or not all (NaN)." in meta.notes


@pytest.mark.parametrize("cell", ["old", "inf", "1e400", "1,5"])
def test_a_cell_that_is_no_number_is_a_bad_sample(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path, [{"age": 30}, {"age": 31}, {"age": cell}, {"age": 40}])
    options = PrepareOptions(labels="own", read=ReadOptions(numbers=("age",)))
    with pytest.raises(BadSample, match=rf"table.csv:4: age is '{cell}', expected a number, or an empty cell"):
        prepare(path, "csv", tmp_path / "store", options)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("numbers", "says"), [("mood", "table.csv has no column 'mood'; it has path, label, age"), ("age,age", "each once")]
)
def test_columns_that_are_not_there_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers: str, says: str
) -> None:
    path = table(tmp_path, [{"age": 30}, {"age": 31}])
    out = ["--out", str(tmp_path / "store"), "--labels", "own", "--numbers", numbers]
    with pytest.raises(SystemExit, match="2"):
        main(["data", "prepare", str(path), "--corpus", "csv", *out])
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "store").exists()


def test_numbers_are_of_tables_alone(tmp_path: Path) -> None:
    made.folders(tmp_path / "c")
    with pytest.raises(ConfigError, match="--numbers is for csv, and folder has no such thing"):
        prepare(tmp_path / "c", "folder", tmp_path / "s", PrepareOptions(read=ReadOptions(numbers=("age",))))
    with pytest.raises(DataError, match="at most 1,000 columns, each once; got 2"):
        prepare(table(tmp_path, [{"age": 1}] * 2), "csv", tmp_path / "s",
                PrepareOptions(labels="own", read=ReadOptions(numbers=("age", "AGE"))))  # fmt: skip


@needs_yuface
def test_the_command_line_makes_landmarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.folders(tmp_path / "c", each=1)
    common = ["data", "prepare", str(tmp_path / "c"), "--corpus", "folder", "--out", str(tmp_path / "s"), "--landmarks"]
    with pytest.raises(SystemExit, match="2"):
        main([*common, "--faces", "haar"])
    assert "haar has no landmarks" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit, match="0"):
        main(common)
    store = Store.open(tmp_path / "s")
    assert np.isnan(store.read(np.arange(len(store)), ["landmarks"])["landmarks"]).all(), "noise shows no face"


def test_a_drawn_face_taken_apart(tmp_path: Path) -> None:
    draw_store(tmp_path / "whole", count=30, size=24, seed=3)
    draw_store(tmp_path / "apart", count=30, size=24, seed=3, apart=True)
    whole, apart = Store.open(tmp_path / "whole"), Store.open(tmp_path / "apart")
    assert "numbers" not in whole.planes
    assert (apart.images[:, -2:] == 128).all(), "the chin is covered"
    np.testing.assert_array_equal(apart.images[:, :8], whole.images[:, :8])
    numbers = apart.read(np.arange(30), ["numbers"])["numbers"]
    faces = [face for _, face in draw_faces(30, seed=3, size=24)]
    np.testing.assert_array_equal(numbers, [[face.aus[AUS.index(unit)] for unit in (12, 15, 26)] for face in faces])


@pytest.mark.long
def test_fusion_gains_at_least_ten_points_over_either_plane(tmp_path: Path) -> None:
    """The face without its mouth beside what the mouth does. Seen: 37 and 52 % alone, 74 % late, 77 % gated."""
    draw_store(tmp_path / "store", count=1200, size=24, seed=3, apart=True)
    store = Store.open(tmp_path / "store")

    def accuracy(**model: object) -> float:
        options = {"name": "compact-s", "width": 0.25, **model}
        chosen = NetworkSettings(
            model=ModelSettings(**options),  # type: ignore[arg-type]
            optimizer=OptimizerSettings(lr=0.01, schedule="onecycle"),
            train=TrainSettings(epochs=8, batch_size=32, select="last"),
            augment=AugmentSettings(flip=True),
        ).resolved(store.meta.crop)
        run = Run.create(tmp_path / "runs", chosen, store, divide(store, chosen.data))
        finish_run(run)
        test = run.logits("test")
        return float((test.logits.argmax(1) == test.labels).mean())

    alone = max(accuracy(), accuracy(name="mlp", plane="numbers"))
    assert accuracy(beside="numbers") > alone + 0.1
    assert accuracy(beside="numbers", fusion="gated") > alone + 0.1
