"""Flow that others computed, as arrays, becomes a store with subjects: `mien data prepare FLOW.npz --corpus npz`."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.cli import main
from mien.config.tables import DataSettings
from mien.data.splits import fold_count
from mien.data.store import Store

N, SIDE = 12, 28
LABELS = np.array(["negative", "positive", "surprise"] * 4)
SUBJECTS = np.array(["1"] * 3 + ["2"] * 3 + ["1"] * 6)
CORPORA = np.array(["casme2"] * 6 + ["samm"] * 6)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


def flows(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(N, SIDE, SIDE, 3)).astype(np.float32)


def write(path: Path, **changes: Any) -> Path:
    arrays = {"labels": LABELS, "subjects": SUBJECTS, "corpus": CORPORA, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def prepared(tmp_path: Path, *options: str, **changes: Any) -> Store:
    path = write(tmp_path / "flow.npz", **changes)
    assert run("data", "prepare", str(path), "-c", "npz", "--out", str(tmp_path / "store"), *options, "--json") == 0
    return Store.open(tmp_path / "store")


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str, **changes: Any) -> str:
    path = write(tmp_path / "flow.npz", **changes)
    assert run("data", "prepare", str(path), "--corpus", "npz", "--out", str(tmp_path / "store"), *options) == 2
    assert not (tmp_path / "store").exists()
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["flow", "images"])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_flow_of_floats_is_kept_as_it_is(tmp_path: Path, name: str, kind: str) -> None:
    flow = flows().astype(kind)
    store = prepared(tmp_path, **{name: flow})
    plane = store.planes["flow"]
    assert (plane.kind, plane.shape, plane.dtype) == ("flow", (SIDE, SIDE, 3), "float32")
    assert (store.array("flow") == flow.astype(np.float32)).all()
    assert store.meta.labels == ("negative", "positive", "surprise")
    assert store.samples.subject.tolist()[::6] == ["casme2/1", "samm/1"]
    assert store.samples.groups["corpus"].tolist() == CORPORA.tolist()
    assert fold_count(store, DataSettings(protocol="loso")) == 3


def test_where_there_is_no_face_the_flow_is_shown(tmp_path: Path) -> None:
    flow = np.zeros((N, SIDE, SIDE, 3), np.float32)
    flow[3, 5, 5] = (-2.0, 1.0, 0.5)
    flow[4, 6, 6] = (1.0, 0.5, 0.25)
    store = prepared(tmp_path, flow=flow)
    assert store.images.shape == (N, SIDE, SIDE, 3)
    assert store.images[3, 5, 5].tolist() == [0, 255, 255]
    assert store.images[4, 6, 6].tolist() == [191, 191, 191]  # all samples on one scale
    assert store.images[0].max() == store.images[0].min() == 128
    assert any("the plane face shows the flow" in note for note in store.meta.notes)


def test_flow_beside_faces(tmp_path: Path) -> None:
    faces = np.random.default_rng(1).integers(0, 255, (N, 64, 64, 3), dtype=np.uint8)
    store = prepared(tmp_path, images=faces, flow=flows())
    assert store.images.shape == (N, SIDE, SIDE, 3)
    assert not any("shows the flow" in note for note in store.meta.notes)
    store = prepared(tmp_path, "--size", "48", "--force", images=faces, flow=flows())
    assert store.images.shape == (N, 48, 48, 3)
    assert store.array("flow").shape == (N, SIDE, SIDE, 3)


def test_channels_may_come_first(tmp_path: Path) -> None:
    flow = flows()
    store = prepared(tmp_path, flow=np.ascontiguousarray(flow.transpose(0, 3, 1, 2)))
    assert (store.array("flow") == flow).all()


def test_bytes_are_pictures_unless_the_user_says_flow(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 255, (N, SIDE, SIDE, 3), dtype=np.uint8)
    image[0, 0, 0] = (0, 255, 51)
    assert "flow" not in prepared(tmp_path, images=image).planes
    store = prepared(tmp_path, "--as-flow", "--force", images=image)
    assert np.allclose(store.array("flow")[0, 0, 0], (-1, 1, -0.6))
    assert any("stretched" in note for note in store.meta.notes)
    named = prepared(tmp_path, "--force", flow=image)
    assert named.meta.sha256 == store.meta.sha256


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        (
            {"flow": flows()[:, :4, :4]},
            (),
            "has flow float32 (12, 4, 4, 3); expected floats or uint8 (N, H, W, 2 to 8)",
        ),
        ({"flow": flows()[:, 0]}, (), "has flow float32 (12, 28, 3); expected"),
        (
            {"images": abs(flows())},
            (),
            "expected uint8 (N, H, W) or (N, H, W, 1 or 3). Flow that has no negative values",
        ),
        (
            {"images": np.zeros((N, 28, 28), np.uint8)},
            ("--as-flow",),
            "has images uint8 (12, 28, 28), which cannot be flow",
        ),
        (
            {"images": np.zeros((9, 28, 28), np.uint8), "flow": flows()},
            (),
            "has 9 images, but flow float32 (12, 28, 28, 3)",
        ),
        ({}, (), "but needs images.npy (or flow.npy) and labels.npy"),
        ({"flow": flows(), "corpus": CORPORA[:4]}, (), "has corpus of shape (4,); expected (12,)"),
        ({"flow": np.where(flows() > 3, np.nan, flows())}, (), "the flow holds values that are no finite numbers"),
    ],
)
def test_what_is_no_flow_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], options: tuple[str, ...], words: str
) -> None:
    assert words in refused(tmp_path, capsys, *options, **changes)


def test_the_option_is_of_arrays_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "prepare", str(tmp_path), "--corpus", "folder", "--as-flow", "--out", str(tmp_path / "s")) == 2
    assert "--as-flow is for npz, and folder has no such thing" in capsys.readouterr().err


def test_a_large_file_is_a_stream(tmp_path: Path) -> None:
    many = np.zeros((600, 16, 16, 2), np.float32)
    many[:, :, :, 0] = np.arange(600)[:, None, None] / 600
    labels = np.arange(600) % 3
    names = np.array(["a", "b", "c"])
    store = prepared(tmp_path, flow=many, labels=labels, class_names=names, subjects=None, corpus=None)
    assert (store.array("flow") == many).all()
    assert store.images[599, 0, 0].tolist()[2] == 128  # a flow of two channels


RECIPE = """
[grid]
seed = [0]
"model.name" = ["ststnet"]

[data]
protocol = "loso"

[model]
plane = "flow"

[train]
epochs = 2
batch_size = 8
select = "last"

[rows.ridge]
kind = "features"
features = { plane = "flow", descriptor = "pixels", classifier = "ridge" }
"""


@pytest.mark.long
def test_from_arrays_to_a_report_of_one_subject_left_out(tmp_path: Path) -> None:
    """Flow whose class is its direction, which a ridge finds; one subject has a single class, one a single clip."""
    rng = np.random.default_rng(3)
    subjects = np.array([f"s{place // 6}" for place in range(24)] + ["one class"] * 5 + ["one clip"])
    classes = np.array([place % 3 for place in range(24)] + [2] * 6)
    flow = rng.normal(0, 0.05, (30, 28, 28, 3)).astype(np.float32)
    ways = np.array([(0.0, -0.4, 0.1), (0.4, 0.0, 0.1), (0.0, 0.4, 0.1)], np.float32)
    flow[:, 8:20, 8:20] += ways[classes][:, None, None]
    labels = np.array(["negative", "positive", "surprise"])[classes]
    prepared(tmp_path, flow=flow, labels=labels, subjects=subjects, corpus=None)
    (tmp_path / "road.toml").write_text(RECIPE, encoding="utf-8")
    report, runs = tmp_path / "report", tmp_path / "runs"
    words = ["--data", str(tmp_path / "store"), "--runs", str(runs), "--out", str(report)]
    assert run("compare", str(tmp_path / "road.toml"), *words) == 0
    with (report / "table.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert len(rows) == 2
    (ridge,) = (row for name, row in rows.items() if "ridge" in name)
    assert float(ridge["macro_f1"]) == 1
    assert len(list(runs.glob("ststnet-*"))) == 6
    assert "UF1" in (report / "report.html").read_text(encoding="utf-8")
