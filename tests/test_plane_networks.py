"""Networks on other planes than the face: they learn flow, mirror it as flow, and walk the road to a finished run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mien.config import AugmentSettings, DataSettings, ModelSettings, NetworkSettings, OptimizerSettings, TrainSettings
from mien.crop import CropSpec
from mien.data.augment import Draws, apply
from mien.data.samples import Sample
from mien.data.splits import divide
from mien.data.store import Store, create_store
from mien.errors import ConfigError
from mien.initial import build_network
from mien.labels import LabelSet
from mien.methods import find_method
from mien.methods.network import load_network
from mien.models import FLOW_NETWORKS, build_on
from mien.planes import Plane, mirrored
from mien.runs import Run
from mien.stages import finish_run

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
