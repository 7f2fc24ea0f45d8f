"""Two planes in one network: what each carries is joined, both change alike, and a run walks the whole road."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from mien.bundle import Bundle
from mien.classifier import fitted
from mien.config import AugmentSettings, DataSettings, ModelSettings, NetworkSettings, OptimizerSettings, TrainSettings
from mien.crop import CropSpec
from mien.data.augment import Draws, apply, change, draw
from mien.data.samples import Sample
from mien.data.splits import divide
from mien.data.store import Store, create_store
from mien.errors import ConfigError, RunError
from mien.explain.explainer import open_explainer
from mien.export import export
from mien.freezing import freeze
from mien.initial import build_network
from mien.labels import LabelSet
from mien.methods import find_method
from mien.models import FLOW_NETWORKS, NETWORKS, build_on
from mien.models.cost import count
from mien.models.fused import Fused, Gate
from mien.models.stages import stages_of
from mien.planes import Plane, mirrored
from mien.runs import Run
from mien.stages import finish_run
from mien.to_onnx import onnx_bytes

SIDE = 24
FACE = CropSpec(size=SIDE, channels=1).plane
FLOW = Plane(name="flow", kind="flow", shape=(16, 16, 3), dtype="float32")
POINTS = Plane(name="landmarks", kind="points", shape=(3, 2), dtype="float32", pairs=((0, 1),))
NUMBERS = Plane(name="numbers", kind="numbers", shape=(4,), dtype="float32")
SECOND = {plane.name: plane for plane in (FLOW, POINTS, NUMBERS)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four classes of two bits. One is in the face, bright on the left or on the right. The other is in the third
    number, high or low, and in the flow, down or up: a movement that the face at its apex does not show."""
    rng, path = np.random.default_rng(5), tmp_path_factory.mktemp("fused") / "store"
    planes = [FLOW, POINTS, NUMBERS]
    with create_store(path, LabelSet(("a", "b", "c", "d")), CropSpec(size=SIDE, channels=1), planes=planes) as writer:
        for place in range(320):
            label, split = place % 4, "test" if place >= 240 else "train"
            face = rng.integers(60, 120, FACE.shape, dtype=np.uint8)
            half = slice(0, SIDE // 2) if label % 2 else slice(SIDE // 2, SIDE)
            face[:, half] += rng.integers(20, 80, face[:, half].shape, dtype=np.uint8)
            numbers = rng.normal(1000, 3, 4).astype(np.float32)
            numbers[2] += 14 * (label // 2)
            if place % 7 == 0:
                numbers[0] = np.nan
            flow = rng.normal(0, 0.01, FLOW.shape).astype(np.float32)
            flow[4:12, 4:12, 1] += 0.03 * (2 * (label // 2) - 1)
            points = rng.uniform(0, SIDE, POINTS.shape).astype(np.float32)
            sample = Sample(label=label, split=split, source=str(place))
            writer.add(sample, face=face, flow=flow, landmarks=points, numbers=numbers)
        writer.finish(corpus="bits", licence="made for a test")
    return Store.open(path)


def settings(**model: object) -> NetworkSettings:
    options = {"name": "compact-s", "width": 0.25, "beside": "numbers", **model}
    return NetworkSettings(
        model=ModelSettings(**options),  # type: ignore[arg-type]
        data=DataSettings(valid_fraction=0.2),
        optimizer=OptimizerSettings(lr=0.01),
        train=TrainSettings(epochs=6, batch_size=20, select="last"),
    )


def finished(folder: Path, store: Store, chosen: NetworkSettings) -> tuple[Run, float]:
    """A finished run, and its accuracy on the test."""
    run = Run.create(folder, chosen.resolved(store.meta.crop), store, divide(store, chosen.data))
    finish_run(run)
    logits = run.logits("test")
    return run, float((logits.logits.argmax(1) == logits.labels).mean())


def fused(second: str, **model: object) -> Fused:
    torch.manual_seed(0)
    network = build_on((FACE, SECOND[second]), settings(beside=second, **model).model, classes=4)
    assert isinstance(network, Fused)
    return network


def samples(second: str, number: int = 4) -> list[NDArray[np.generic]]:
    rng = np.random.default_rng(2)
    other = rng.normal(8, 4, (number, *SECOND[second].shape)).astype(np.float32)
    return [rng.integers(0, 256, (number, *FACE.shape), dtype=np.uint8), other]


@pytest.mark.parametrize("model", [{}, {"fusion": "gated"}, {"beside": "flow", "branch": "ststnet"}])
def test_two_planes_say_more_than_either(store: Store, tmp_path: Path, model: dict[str, object]) -> None:
    """Each plane alone tells two of four classes apart, so it is right in half of the cases; together in all.

    The last case is the two streams of micro-expressions: the face at the apex, and the flow to it.
    """
    run, both = finished(tmp_path, store, settings(**model))
    assert both > 0.9
    logits = run.logits("test")
    classifier = find_method(run.settings).load(Run.open(run.path))
    names = ["face", str(model.get("beside", "numbers"))]
    assert [plane.name for plane in classifier.takes] == names
    batch = store.read(logits.ids, names)
    np.testing.assert_allclose(classifier.logits(batch), logits.logits, rtol=1e-4, atol=1e-4)
    assert run.record.costs.flops > 0
    if model == {"fusion": "gated"}:
        export(run, tmp_path / "model.onnx")
        bundle = Bundle.open(tmp_path / "model.onnx")
        assert bundle.takes == classifier.takes
        np.testing.assert_allclose(bundle.logits(batch), logits.logits, rtol=1e-3, atol=1e-3)
        assert np.isnan(batch["numbers"]).any(), "one that is not known is read alike"
    with pytest.raises(RunError, match=f"reads {names[0]} and {names[1]}; mien explains networks that read the face"):
        open_explainer(run.path)


@pytest.mark.parametrize(
    "alone",
    [
        {"beside": ""},
        {"name": "mlp", "plane": "numbers", "beside": ""},
        {"name": "ststnet", "width": 1.0, "plane": "flow", "beside": ""},
    ],
)
def test_either_plane_alone_says_half(store: Store, tmp_path: Path, alone: dict[str, object]) -> None:
    _, accuracy = finished(tmp_path, store, settings(**alone))
    assert 0.35 < accuracy < 0.65, "half of 80, and three standard deviations"


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("fusion", ["late", "gated"])
def test_a_fused_network_answers_alike_to_a_mirrored_sample(second: str, fusion: str) -> None:
    network, planes = fused(second, fusion=fusion, mirror=True).eval(), samples(second)
    other = [mirrored(FACE, planes[0], SIDE).copy(), mirrored(SECOND[second], planes[1], SIDE).copy()]
    with torch.no_grad():
        seen, turned = (network(*map(torch.from_numpy, each)) for each in (planes, other))
        assert torch.allclose(seen, turned, atol=1e-5)
        network.mirror = False
        assert not torch.allclose(network(*map(torch.from_numpy, planes)), network(*map(torch.from_numpy, other)))


def test_a_model_file_answers_as_the_network_does() -> None:
    """Mirrored samples included, which the file makes itself."""
    network, planes = fused("landmarks", mirror=True).eval(), samples("landmarks", 5)
    session = InferenceSession(onnx_bytes(network))
    names = [one.name for one in session.get_inputs()]
    (seen,) = session.run(None, dict(zip(names, planes, strict=True)))
    with torch.no_grad():
        np.testing.assert_allclose(seen, network(*map(torch.from_numpy, planes)).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [*NETWORKS, *(name for name in FLOW_NETWORKS if name != "rcn-a")])
def test_every_network_is_a_branch(name: str) -> None:
    """Every weight learns, belongs to a stage, and the last stage is the classifier alone; costs are both branches'."""
    torch.manual_seed(0)
    face = CropSpec(size=32, channels=1).plane
    model = ModelSettings(name="compact-s", width=0.25, beside="flow", branch=name, head="gap")
    flow = replace(FLOW, shape=(32, 32, 3))
    network = build_on((face, flow), model, classes=3)
    images = torch.randint(0, 256, (4, *face.shape), dtype=torch.uint8)
    logits = network(images, torch.randn(4, *flow.shape))
    torch.nn.functional.cross_entropy(logits, torch.arange(4) % 3).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    stages = stages_of(network)
    assert [stage.name for stage in stages[-2:]] == ["beside", "classifier"]
    assert stages[-1].parameters[0].shape[0] == 3
    alone = count(build_on((face,), replace(model, beside="", branch=""), classes=3))
    assert count(network).flops > alone.flops


def test_the_gate_is_that_of_the_paper() -> None:
    """With a gate that is shut or open the vector is that of one plane alone; else the formula by hand."""
    torch.manual_seed(0)
    gate, v, w = Gate(3, 2, 5), torch.randn(4, 3), torch.randn(4, 2)
    z = torch.sigmoid(torch.cat([v, w], dim=1) @ gate.gate.weight.T)
    by_hand = z * torch.tanh(v @ gate.first.weight.T) + (1 - z) * torch.tanh(w @ gate.second.weight.T)
    assert torch.allclose(gate(v, w), by_hand, atol=1e-6)
    with torch.no_grad():
        gate.gate.weight.zero_()
        gate.gate.weight[:, 0] = 1e4
    open_, shut = torch.ones(1, 3), -torch.ones(1, 3)
    assert torch.allclose(gate(open_, w[:1]), torch.tanh(open_ @ gate.first.weight.T), atol=1e-6)
    assert torch.allclose(gate(shut, w[:1]), torch.tanh(w[:1] @ gate.second.weight.T), atol=1e-6)


def test_points_move_with_what_is_under_them() -> None:
    """A bright dot at each point: after any change the brightest pixel is where the point went."""
    big = Plane(name="landmarks", kind="points", shape=(1, 2), dtype="float32")
    side, number = 64, 16
    face = CropSpec(size=side, channels=1).plane
    options = AugmentSettings(rotation=25, scale=0.2, shift=6, flip=True)
    rng = np.random.default_rng(4)
    places = rng.integers(20, 44, (number, 1, 2))
    images = torch.zeros(number, *face.shape)
    for image, ((x, y),) in zip(images, places, strict=True):
        image[y - 1 : y + 2, x - 1 : x + 2] = 100
        image[y, x] = 255
    draws = draw(options, number, torch.Generator().manual_seed(0))
    flip = torch.arange(number) % 2 == 0
    pictures = change(images, face, options, draws, flip, side=side, size=side, face=side)
    points = change(torch.from_numpy(places).float(), big, options, draws, flip, side=side, size=side, face=side)
    for picture, ((x, y),) in zip(pictures[..., 0], points.tolist(), strict=True):
        row, column = divmod(int(picture.argmax()), side)
        assert abs(column - x) <= 1
        assert abs(row - y) <= 1
    assert (points - torch.from_numpy(places)).abs().max() > 5, "nothing was moved"


def test_planes_of_other_sizes_are_moved_by_the_same_share() -> None:
    """A shift of six pixels of the face is one of three pixels of a plane half as wide; so is a hole."""
    face, half = CropSpec(size=32, channels=1).plane, Plane(name="half", kind="image", shape=(16, 16, 1), dtype="uint8")
    options = AugmentSettings(shift=6, cutout=8)
    still = torch.zeros(1)
    draws = Draws(
        angle=still, zoom=still + 1, shift=torch.tensor([[6.0, -2.0]]), gain=still + 1, offset=still,
        hole=torch.tensor([[0.75, 0.5]]),
    )  # fmt: skip
    images = torch.full((1, 16, 16, 1), 10.0)
    images[0, 8, 8] = 200.0
    large = images.repeat_interleave(2, 1).repeat_interleave(2, 2)
    flip = torch.tensor([False])
    wide = change(large, face, options, draws, flip, side=32, size=32, face=32)
    narrow = change(images, half, options, draws, flip, side=32, size=32, face=32)
    assert narrow.shape == images.shape
    assert torch.equal(wide[:, ::2, ::2], narrow)
    assert (narrow == 127.5).sum() == 16
    assert int(narrow[..., 0].argmax()) == 9 * 16 + 5


def test_numbers_stay_and_pairs_change_places() -> None:
    options, flip = AugmentSettings(flip=True), torch.tensor([True, False])
    draws = draw(options, 2, torch.Generator().manual_seed(0))
    numbers = torch.randn(2, 4)
    assert torch.equal(change(numbers, NUMBERS, options, draws, flip, side=24, size=24, face=SIDE), numbers)
    points = torch.rand(2, 3, 2) * SIDE
    seen = change(points, POINTS, options, draws, flip, side=24, size=24, face=SIDE)
    assert torch.allclose(seen[:1], torch.from_numpy(mirrored(POINTS, points[:1].numpy(), SIDE)))
    assert torch.equal(seen[1:], points[1:])
    face = torch.randint(0, 256, (2, *FACE.shape), dtype=torch.uint8)
    assert torch.equal(
        change(face, FACE, options, draws, flip, side=SIDE, size=SIDE, face=SIDE),
        apply(face, options, draws, flip, SIDE),
    )


def test_points_grow_with_faces_of_another_size() -> None:
    rng = np.random.default_rng(0)
    large = {"face": rng.integers(0, 256, (2, 48, 48, 1), dtype=np.uint8), "landmarks": np.zeros((2, 3, 2), np.float32)}
    large["landmarks"][:, 1] = 47, 23.5
    seen = fitted(large, (FACE, POINTS))
    assert seen["face"].shape == (2, *FACE.shape)
    np.testing.assert_allclose(seen["landmarks"][0], [[-0.25, -0.25], [23.25, 11.5], [-0.25, -0.25]])
    assert seen["landmarks"].dtype == np.float32
    same = fitted(seen, (FACE, POINTS))
    np.testing.assert_array_equal(same["landmarks"], seen["landmarks"])


def test_each_branch_has_the_normalisation_of_its_plane(store: Store) -> None:
    chosen = settings(beside="numbers")
    fold = divide(store, chosen.data)
    network = build_network(chosen, fold.train, torch.device("cpu"))
    batch = fold.train.read(["face", "numbers"])
    face, numbers = (
        branch.pixels(torch.from_numpy(batch[name]))
        for branch, name in zip(network.branches, ("face", "numbers"), strict=True)
    )
    assert abs(float(face.mean())) < 0.01
    known = ~np.isnan(batch["numbers"])
    for column in range(4):
        values = numbers[:, column].numpy()[known[:, column]]
        assert abs(values.mean()) < 0.01
        assert abs(values.std() - 1) < 0.01
    assert (numbers.numpy()[~known] == 0).all()
    assert (~known).any()


def test_the_first_branch_can_be_frozen_alone(store: Store) -> None:
    chosen = settings()
    network = build_network(chosen, divide(store, chosen.data).train, torch.device("cpu"))
    names = [stage.name for stage in stages_of(network)]
    frozen = freeze(network, replace(chosen.start, frozen=names.index("beside")), 0)
    assert {stage.name for stage in frozen} == set(names[: names.index("beside")])
    learns = {name.partition(".")[0] for name, weight in network.named_parameters() if weight.requires_grad}
    assert learns == {"beside", "classifier"}


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"beside": "flaw"}, "model.beside is 'flaw'; the store has face, flow, landmarks, numbers."),
        ({"beside": "face"}, "model.beside is face, which model.plane reads already"),
        ({"beside": "", "fusion": "gated"}, "model.fusion is gated, and the network reads one plane alone"),
        ({"beside": "", "branch": "mlp"}, "model.branch is mlp, and the network reads one plane alone"),
        ({"beside": "flow", "branch": "resnet3"}, "model.branch is 'resnet3'; it must be one of compact-l"),
        ({"beside": "flow", "branch": "mlp"}, "model.beside is flow, flow .*; mlp reads points and numbers"),
        ({"branch": "compact-s"}, "model.beside is numbers, numbers .*; a network reads square images"),
        ({"beside": "flow", "branch": "rcn-a"}, "rcn-a weighs its map by its own classifier"),
        ({"plane": "landmarks", "beside": ""}, "model.plane is landmarks, points"),
        ({"name": "mlp", "beside": ""}, "model.plane is face, image .*; mlp reads points"),
        ({"name": "mlp", "plane": "landmarks", "beside": "flow", "branch": "ststnet", "mirror": True, "width": 1.0},
         "model.mirror turns landmarks about the middle of the face"),
        ({"name": "mlp", "plane": "numbers", "beside": "", "stem": "small"}, "model.stem is 'small'; mlp is built"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_one_sentence(store: Store, model: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        find_method(NetworkSettings()).check(settings(**model).resolved(store.meta.crop), store)
    assert "\n" not in str(refused.value)


def test_weights_of_one_network_do_not_start_two() -> None:
    chosen = settings()
    with pytest.raises(ConfigError, match=r"with model\.beside=numbers there are two"):
        replace(chosen, start=replace(chosen.start, weights="default"))


def test_a_run_without_a_second_plane_keeps_its_id() -> None:
    """The settings of fusion have defaults, so ids of runs that were made before them are those of today."""
    assert settings(beside="").run_id("0" * 64) == "compact-s-753290df36"
    assert settings().run_id("0" * 64) != settings(fusion="gated").run_id("0" * 64)
