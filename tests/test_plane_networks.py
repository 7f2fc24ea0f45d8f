"""Networks on other planes than the face: they learn flow, mirror it as flow, and walk the road to a finished run."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mien.bundle import Bundle, seal
from mien.classifier import logits_of
from mien.cli import main
from mien.committee import Joined
from mien.config import AugmentSettings, DataSettings, ModelSettings, NetworkSettings, OptimizerSettings, TrainSettings
from mien.crop import CropSpec
from mien.data.augment import Draws, apply
from mien.data.samples import Sample
from mien.data.splits import divide
from mien.data.store import Store, create_store
from mien.ensembles.averages import mean_probabilities
from mien.errors import ConfigError, DataError
from mien.export import describe, export
from mien.hooks import Hooks
from mien.initial import build_network
from mien.labels import LabelSet
from mien.methods import find_method
from mien.methods.network import load_network
from mien.metrics import confusion_matrix
from mien.models import FLOW_NETWORKS, build_on
from mien.planes import Batch, Plane, mirrored
from mien.runs import Run
from mien.stages import finish_run
from mien.to_onnx import onnx_bytes

SIDE, SUBJECTS, EACH = 28, 6, 8
FLOW = Plane(name="flow", kind="flow", shape=(SIDE, SIDE, 3), dtype="float32")
POINTS = Plane(name="points", kind="points", shape=(5, 2), dtype="float32")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two movements, up and down, of a few thousandths of a pixel; the faces say nothing of them."""
    rng, path = np.random.default_rng(3), tmp_path_factory.mktemp("clips") / "store"
    with create_store(path, LabelSet(("down", "up")), CropSpec(size=12, channels=1), planes=[FLOW, POINTS]) as writer:
        for number in range(SUBJECTS * EACH):
            label = number % 2
            flow = rng.normal(0, 0.001, FLOW.shape).astype(np.float32)
            flow[8:16, 8:20, 1] += 0.004 * (1 - 2 * label)
            face = rng.integers(0, 256, (12, 12, 1), dtype=np.uint8)
            sample = Sample(label=label, split="train", source=str(number), subject=f"s{number // EACH}")
            writer.add(sample, face=face, flow=flow, points=np.zeros((5, 2), np.float32))
        writer.finish(corpus="moved", licence="made for a test")
    return Store.open(path)


def settings(**model: object) -> NetworkSettings:
    return NetworkSettings(
        model=ModelSettings(**{"name": "ststnet", "plane": "flow", **model}),  # type: ignore[arg-type]
        data=DataSettings(protocol="loso", valid_fraction=0.2),
        optimizer=OptimizerSettings(lr=0.01),
        train=TrainSettings(epochs=6, batch_size=16, select="last"),
        augment=AugmentSettings(flip=True),
    )


def planned(folder: Path, store: Store, chosen: NetworkSettings) -> Run:
    return Run.create(folder, chosen.resolved(store.meta.crop), store, divide(store, chosen.data))


def test_a_network_learns_tiny_flow_of_people_it_never_saw(clips: Store, tmp_path: Path) -> None:
    run = planned(tmp_path, clips, settings())
    finish_run(run)
    logits = run.logits("test")
    assert (logits.logits.argmax(1) == logits.labels).all()
    classifier = find_method(run.settings).load(Run.open(run.path))
    assert classifier.takes == (FLOW,)
    batch = clips.read(logits.ids, ["flow"])
    np.testing.assert_allclose(classifier.logits(batch), logits.logits, rtol=1e-5, atol=1e-5)
    assert Run.open(run.path).record.costs.flops > 0


def test_normalisation_is_that_of_the_flow(clips: Store) -> None:
    fold = divide(clips, settings().data)
    network = build_network(settings(), fold.train, torch.device("cpu"))
    flow = torch.from_numpy(fold.train.read(["flow"])["flow"])
    pixels = network.pixels(flow)
    assert pixels.mean((0, 2, 3)).abs().max() < 1e-3
    np.testing.assert_allclose(pixels.std((0, 2, 3)), 1, atol=1e-3)


@pytest.mark.parametrize("name", [*FLOW_NETWORKS, "compact-s", "resnet34"])
def test_every_network_takes_flow_and_its_mirror_image(name: str) -> None:
    model = ModelSettings(name=name, plane="flow", mirror=True, width=1.0 if name in FLOW_NETWORKS else 0.25)
    network = build_on((FLOW,), model, classes=3).eval()
    flow = torch.randn(4, *FLOW.shape, generator=torch.Generator().manual_seed(0))
    other = torch.from_numpy(mirrored(FLOW, flow.numpy(), SIDE).copy())
    with torch.no_grad():
        assert torch.allclose(network(flow), network(other), atol=1e-5)
        network.mirror = False
        assert not torch.allclose(network(flow), network(other), atol=1e-5)


def test_mirrored_training_flow_is_the_mirrored_plane() -> None:
    flow = torch.randn(4, *FLOW.shape, generator=torch.Generator().manual_seed(1))
    still = Draws(
        angle=torch.zeros(4), zoom=torch.ones(4), shift=torch.zeros(4, 2), gain=torch.ones(4), offset=torch.zeros(4),
        hole=torch.zeros(4, 2),
    )  # fmt: skip
    flip = torch.tensor([True, False, True, False])
    expected = mirrored(FLOW, flow.numpy(), SIDE)
    for options in (AugmentSettings(flip=True), AugmentSettings(flip=True, rotation=1.0)):
        seen = apply(flow, options, still, flip, SIDE, "flow").numpy()
        np.testing.assert_allclose(seen[flip], expected[flip], atol=1e-4)
        np.testing.assert_allclose(seen[~flip], flow.numpy()[~flip], atol=1e-4)


def test_turned_flow_points_where_the_turned_picture_moves() -> None:
    """A whole image that moves right, turned by a quarter, moves along the turned axis, as far as it is enlarged."""
    flow = torch.zeros(1, SIDE, SIDE, 3)
    flow[..., 0] = 2.0
    flow[..., 2] = 0.5
    quarter = Draws(
        angle=torch.tensor([torch.pi / 2]), zoom=torch.tensor([1.5]), shift=torch.zeros(1, 2), gain=torch.ones(1),
        offset=torch.zeros(1), hole=torch.zeros(1, 2),
    )  # fmt: skip
    turned = apply(flow, AugmentSettings(rotation=90.0), quarter, torch.tensor([False]), SIDE, "flow")
    # The dot that was at the right edge of the picture shows which way the axis went.
    picture = torch.zeros(1, SIDE, SIDE, 1)
    picture[0, SIDE // 2, SIDE // 2 + 4] = 100.0
    moved = apply(picture, AugmentSettings(rotation=90.0), quarter, torch.tensor([False]), SIDE)[0, ..., 0]
    row, column = divmod(int(moved.argmax()), SIDE)
    axis = np.array([column - (SIDE - 1) / 2, row - (SIDE - 1) / 2])
    axis /= np.linalg.norm(axis)
    np.testing.assert_allclose(turned[0, 5, 5, :2], 3.0 * np.round(axis), atol=1e-4)
    np.testing.assert_allclose(turned[..., 2], 0.5, atol=1e-5)


@pytest.mark.parametrize(
    ("plane", "says"),
    [("flaw", "model.plane is 'flaw'; the store has face, flow, points."), ("points", "model.plane is points, points")],
)
def test_a_plane_that_no_network_reads_is_one_sentence(clips: Store, plane: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        find_method(settings()).check(settings(plane=plane).resolved(clips.meta.crop), clips)


def test_a_run_on_the_face_keeps_its_id(clips: Store) -> None:
    """The plane is a setting with a default, so ids of runs that were made before it are those of today."""
    face = NetworkSettings().resolved(clips.meta.crop)
    assert face.run_id("0" * 64) == replace(face, model=replace(face.model, plane="face")).run_id("0" * 64)
    assert face.run_id("0" * 64) != replace(face, model=replace(face.model, plane="flow")).run_id("0" * 64)


def test_weights_of_another_plane_are_not_loaded_for_this_one(clips: Store, tmp_path: Path) -> None:
    run = planned(tmp_path, clips, settings())
    finish_run(run)
    network = load_network(run)
    assert network.takes == (FLOW,)
    assert network.pixel_std.max() * 255 < 0.1, "its own units, tiny ones"


# Model files


@pytest.mark.parametrize(
    "name",
    [
        "ststnet",
        "rcn-a",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("dual-inception", "offapexnet", "compact-s")),
    ],
)
def test_a_model_file_of_flow_answers_as_its_network(name: str, clips: Store, tmp_path: Path) -> None:
    chosen = settings(name=name, mirror=True, width=1.0 if name in FLOW_NETWORKS else 0.25)
    run = planned(tmp_path, clips, replace(chosen, train=replace(chosen.train, epochs=1)))
    finish_run(run)
    card = export(run, tmp_path / "model.onnx")
    assert card.takes == (FLOW,)
    assert not card.movement, "this store does not say how its flow was computed"
    bundle = Bundle.open(tmp_path / "model.onnx")
    rows = np.arange(len(clips))
    batch = clips.read(rows, ["flow"])
    np.testing.assert_allclose(bundle.logits(batch), load_logits(run, batch), rtol=1e-3, atol=1e-4)
    assert logits_of(bundle, clips, rows).shape == (len(clips), 2), "it is measured on a store as any classifier is"


def load_logits(run: Run, batch: Batch) -> NDArray[np.float32]:
    return find_method(run.settings).load(run).logits(batch)


def test_an_int8_file_of_flow_is_calibrated_on_flow(clips: Store, tmp_path: Path) -> None:
    run = planned(tmp_path, clips, settings(name="compact-s", width=0.25))
    finish_run(run)
    card = export(run, tmp_path / "model.onnx", int8=True)
    assert card.precision == "int8"
    test = run.logits("test")
    logits = Bundle.open(tmp_path / "model.onnx").logits(clips.read(test.ids, ["flow"]))
    assert (logits.argmax(1) == test.logits.argmax(1)).mean() > 0.8


def test_networks_of_two_planes_are_one_file(clips: Store, tmp_path: Path) -> None:
    """A late fusion of two trainings: each member reads its own plane."""
    flow = planned(tmp_path, clips, settings())
    face = planned(tmp_path, clips, settings(name="compact-s", plane="face", width=0.25, stem="small"))
    for run in (face, flow):
        finish_run(run)
    joined = Joined([load_network(face), load_network(flow)], mean_probabilities.graph, {}).eval()
    assert [plane.name for plane in joined.takes] == ["face", "flow"]
    path = tmp_path / "both.onnx"
    path.write_bytes(seal(onnx_bytes(joined), replace(describe(face, joined.takes), network="mean-of-2")))
    batch = clips.read(np.arange(9), ["face", "flow"])
    with torch.no_grad():
        expected = joined(*(torch.from_numpy(batch[name]) for name in ("face", "flow"))).numpy()
    np.testing.assert_allclose(Bundle.open(path).logits(batch), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ({"face": np.zeros((1, 12, 12, 1), np.uint8)}, r"takes flow as float32 \(B, 28, 28, 3\); got object \(\)"),
        ({"flow": np.zeros((1, 28, 28, 3))}, r"got float64 \(1, 28, 28, 3\)"),
        ({"flow": np.zeros((1, 14, 14, 3), np.float32)}, r"got float32 \(1, 14, 14, 3\)"),
    ],
)
def test_other_samples_are_refused(flow_model: Path, batch: Batch, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Bundle.open(flow_model).logits(batch)


@pytest.fixture(scope="module")
def flow_model(clips: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    run = planned(folder, clips, settings())
    finish_run(run)
    export(run, folder / "flow.onnx")
    return folder / "flow.onnx"


def test_what_labels_pictures_refuses_a_model_of_flow(
    flow_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "face.png").write_bytes(cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    model = str(flow_model)
    for words in (
        ["predict", "face.png", "--model", model],
        ["explain", "face.png", "--model", model],
        ["export", model, "--web", "page"],
        ["data", "teach", "store", "--model", model, "--out", "new"],
        ["serve", "--model", model, "--port", "0"],
    ):
        with pytest.raises(SystemExit) as end:
            main(words)
        said = capsys.readouterr().err
        assert end.value.code == 2, words
        assert "takes flow, so it labels clips and no single pictures" in said or words[0] == "data", said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.png"]


def test_its_card_says_what_it_takes(flow_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["info", str(flow_model)])
    assert end.value.code == 0
    assert "flow, float32 (28, 28, 3)" in capsys.readouterr().out


def test_peeking_reads_the_plane_of_the_network(tmp_path: Path, clips: Store) -> None:
    short = replace(settings(), train=TrainSettings(epochs=2, batch_size=16, select="last"))
    run = planned(tmp_path, clips, short)
    finish_run(run, hooks=Hooks(names=("peeking",)))
    counts, test = run.peeked_confusions, run.logits("test")
    assert counts is not None
    last = confusion_matrix(test.labels, test.logits.argmax(axis=1), 2)
    assert counts[-1].tolist() == last.tolist(), "the last epoch is the one that was kept"
