"""Explanations: each method against its definition or a reference, the truth check against made maps, the verb."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from made_runs import finish, make_runs, make_store
from mien.checkpoint import save_tensors
from mien.cli import main
from mien.compare import collect
from mien.config import ModelSettings, NetworkSettings, override
from mien.crop import CropSpec
from mien.data.corpora.pictures import load_picture
from mien.data.drawn import AUS, PROTOTYPES, draw_face
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import BundleError, CompareError, ConfigError, DataError, LabelError, RunError
from mien.explain import METHODS
from mien.explain.beside import Truth, summarise
from mien.explain.explainer import Explained, Explanation, explain, faces_of, methods_of, open_explainer
from mien.explain.gradients import grad_cam, grad_cam_pp, integrated_gradients, last_map
from mien.explain.occlusion import occlusion, patch_corners
from mien.explain.picture import SIDE, overlay, sheet
from mien.explain.pointing import energy, fixed_maps, moved, others, peaks, pointing, positive, says_nothing
from mien.explain.truth import CHANCES, FILE, STEPS, Grounding, load, measure, measured_rows
from mien.faces import find_detector
from mien.inference import predict_logits
from mien.initial import build_network
from mien.models import NETWORKS, Network, build
from mien.planes import Batch
from mien.runs import Run
from tiny_bundle import CARD, write_bundle

SIDE_PX = 24
CLASSES = 4


class Small(Network):
    """Two convolutions and a linear head over all cells: its CAM is known."""

    def __init__(self, *, gap: bool = True, mirror: bool = False) -> None:
        super().__init__(3)
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
        )
        cells = (SIDE_PX // 2) ** 2
        self.reduce = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()) if gap else nn.Flatten()
        self.classifier = nn.Linear(8 if gap else 8 * cells, CLASSES)
        self.mirror = mirror


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def faces() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (5, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


@pytest.fixture
def classes() -> np.ndarray:
    return np.array([0, 3, 1, 2, 0])


def seeded(make: Callable[[], Network]) -> Network:
    torch.manual_seed(5)
    return make().double().eval()


def features(network: Network, faces: np.ndarray) -> Tensor:
    return network.features(network.pixels(torch.from_numpy(faces)))


def enlarged(maps: Tensor) -> np.ndarray:
    large = functional.interpolate(maps[:, None], (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)
    return large[:, 0].detach().numpy()


def test_grad_cam_of_a_gap_head_is_cam(faces: np.ndarray, classes: np.ndarray) -> None:
    network = seeded(Small)
    weights = network.classifier.weight[torch.from_numpy(classes)]
    cam = torch.einsum("bk,bkhw->bhw", weights, features(network, faces)) / (SIDE_PX // 2) ** 2
    found = grad_cam(network, faces, classes)
    assert found.dtype == np.float32
    assert found.shape == faces.shape[:3]
    np.testing.assert_allclose(found, enlarged(cam.relu()), rtol=1e-5, atol=1e-7)
    assert found.max() > 0


def test_grad_cam_plus_plus_is_its_definition_by_derivatives_of_the_score(faces: np.ndarray) -> None:
    """Second and third derivatives of exp(f) by automatic differentiation, place by place."""
    network, label = seeded(lambda: Small(gap=False)), 3
    maps = features(network, faces[:1])[0].detach()
    leaf = maps.clone().requires_grad_()
    score = torch.exp(network.classify(leaf[None])[0, label])
    (first,) = torch.autograd.grad(score, leaf, create_graph=True)
    second, third = torch.zeros_like(maps), torch.zeros_like(maps)
    for place in np.ndindex(maps.shape):
        (row,) = torch.autograd.grad(first[place], leaf, create_graph=True)
        second[place] = row[place].detach()
        third[place] = torch.autograd.grad(row[place], leaf, retain_graph=True)[0][place]
    alpha = second / (2 * second + maps.sum((1, 2), keepdim=True) * third)
    weights = (alpha * first.detach().relu()).sum((1, 2)) / score.detach()
    expected = enlarged((weights[:, None, None] * maps).sum(0, keepdim=True).relu())
    found = grad_cam_pp(network, faces[:1], np.array([label]))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    assert found.max() > found.min()


def test_mirrored_networks_are_explained_by_both_looks(faces: np.ndarray, classes: np.ndarray) -> None:
    plain, both = seeded(Small), seeded(lambda: Small(mirror=True))
    mirrored = np.ascontiguousarray(faces[:, :, ::-1])
    expected = (grad_cam(plain, faces, classes) + grad_cam(plain, mirrored, classes)[:, :, ::-1]) / 4
    np.testing.assert_allclose(grad_cam(both, faces, classes), expected, rtol=1e-5, atol=1e-7)
    symmetric = np.concatenate([faces[:, :, : SIDE_PX // 2], mirrored[:, :, SIDE_PX // 2 :]], axis=2)
    found = integrated_gradients(both, symmetric, classes)
    np.testing.assert_allclose(found, found[:, :, ::-1], atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name", ["compact-s", "resnet34", "vgg16"])
def test_integrated_gradients_add_up_to_the_difference_of_logits(name: str) -> None:
    torch.manual_seed(1)
    settings = ModelSettings(name=name, width=0.25, in_chans=3, head="gap")
    network = build(settings, classes=CLASSES, size=48).eval()
    images = np.stack([draw_face(i, "happiness", seed=0, index=i).image for i in range(2)])
    flat = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape).astype(np.float32)
    with torch.no_grad():
        change = (network(torch.from_numpy(images)) - network(torch.from_numpy(flat))).numpy()
    labels = np.abs(change).argmax(axis=1)
    expected = change[np.arange(2), labels]
    found = integrated_gradients(network, images, labels).sum(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=0.05)
    coarse = integrated_gradients(network, images, labels, steps=1).sum(axis=(1, 2))
    assert np.abs(coarse - expected).max() > np.abs(found - expected).max()


def test_integrated_gradients_of_a_linear_network_are_exact(faces: np.ndarray, classes: np.ndarray) -> None:
    network = seeded(lambda: Small(gap=False))
    network.features = nn.Conv2d(3, 8, 3, stride=2, padding=1).double()
    image = torch.from_numpy(faces).double().requires_grad_()
    network(image).gather(1, torch.from_numpy(classes)[:, None]).sum().backward()
    way = faces - faces.mean(axis=(1, 2), keepdims=True)
    assert image.grad is not None
    np.testing.assert_allclose(
        integrated_gradients(network, faces, classes, steps=1), (way * image.grad.numpy()).sum(-1), rtol=1e-5, atol=1e-6
    )


def test_occlusion_finds_the_one_patch_that_is_read() -> None:
    def reads(batch: Batch) -> np.ndarray:
        seen = batch["face"][:, 8:16, 24:32].astype(np.float32).mean(axis=(1, 2, 3))
        return np.stack([seen, -seen], axis=1)

    faces = np.full((2, 48, 48, 3), 90, np.uint8)
    faces[:, 8:16, 24:32] = 250
    found = occlusion(reads, faces, np.array([0, 1]))
    assert found.shape == (2, 48, 48)
    row, column = np.unravel_index(found[0].argmax(), found[0].shape)
    assert 8 <= row < 16
    assert 24 <= column < 32
    np.testing.assert_allclose(found[1], -found[0])
    assert (found[0][:, :16] == 0).all()
    assert (found[0][24:] == 0).all()
    assert energy(found[:1], found[:1] > 0) == pytest.approx(1)


def test_occlusion_is_the_mean_loss_of_the_patches_that_cover_a_pixel() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(12 * 12, 2)).astype(np.float32)

    def linear(batch: Batch) -> np.ndarray:
        images = batch["face"]
        return images[..., 0].reshape(len(images), -1).astype(np.float32) @ weights

    face = rng.integers(0, 256, (1, 12, 12, 1), dtype=np.uint8)
    found = occlusion(linear, face, np.array([1]), patch=4)[0]
    mean = round(face.mean())
    lost = (face[0, ..., 0].astype(float) - mean) * weights[:, 1].reshape(12, 12)
    losses = [lost[top : top + 4, left : left + 4].sum() for top in (0, 2, 4) for left in (2, 4, 6)]
    assert found[4, 6] == pytest.approx(np.mean([losses[i] for i in (4, 5, 7, 8)]), rel=1e-3)
    assert patch_corners(12, 4).tolist() == [0, 2, 4, 6, 8]
    assert patch_corners(11, 4).tolist() == [0, 2, 4, 6, 7]
    assert patch_corners(1, 1).tolist() == [0]


@pytest.mark.parametrize("method", METHODS)
def test_a_face_is_explained_alike_alone_and_in_a_batch(method: str) -> None:
    torch.manual_seed(2)
    network = build(ModelSettings(name="compact-s", width=0.5, in_chans=3), classes=CLASSES, size=SIDE_PX)
    rng = np.random.default_rng(1)
    many = rng.integers(0, 256, (35, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, 35)
    run = methods_of(network)[method]
    together = run(many, labels)
    for place in (0, 34):
        alone = run(many[place : place + 1], labels[place : place + 1])[0]
        np.testing.assert_allclose(together[place], alone, atol=1e-5 * np.abs(alone).max() + 1e-7)
    assert run(many[:0], labels[:0]).shape == (0, SIDE_PX, SIDE_PX)
    assert all(weight.grad is None for weight in network.parameters())


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_all_that_reaches_the_logits_goes_through_the_map_that_is_explained(name: str, stem: str) -> None:
    torch.manual_seed(0)
    settings = ModelSettings(name=name, width=0.25, in_chans=3, stem=stem, head="gap")
    network = build(settings, classes=3, size=48).eval()
    layer = last_map(network, 48)
    assert min(layer.cells) >= 6
    deeper = last_map(network, 48, 1)
    assert min(deeper.cells) <= min(layer.cells)
    first, second = torch.randint(0, 256, (2, 1, 48, 48, 3), dtype=torch.uint8)
    kept: list[Tensor] = []
    with torch.no_grad():
        hook = layer.module.register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
        expected = network(first)
        hook.remove()
        hook = layer.module.register_forward_hook(lambda _m, _i, _out: kept[0])
        found = network(second)
        hook.remove()
    torch.testing.assert_close(found, expected)
    assert not torch.equal(network(second), expected)


def test_the_deepest_of_the_largest_maps_serves_where_none_is_large_enough() -> None:
    network = seeded(Small)
    assert last_map(network, SIDE_PX, 500).cells == (SIDE_PX // 2, SIDE_PX // 2)
    assert last_map(network, SIDE_PX, 500).name == "features"


def test_figures_of_made_maps() -> None:
    truth = np.zeros((4, 4, 4), bool)
    truth[:, :2] = True
    maps = np.full((4, 4, 4), -1.0)
    maps[0, 0, 0], maps[0, 3, 3] = 3, 1
    maps[1, 3, 3] = 2
    maps[2] = -5
    maps[3] = 7
    assert says_nothing(maps).tolist() == [False, False, True, True]
    assert pointing(maps, truth).tolist() == [1, 0, 0.5, 0.5]
    assert energy(maps, truth).tolist() == [0.75, 0, 0.5, 0.5]
    for spread in (peaks(maps), positive(maps)):
        np.testing.assert_allclose(spread.sum(axis=(1, 2)), 1)


def test_maps_of_others_are_those_of_other_classes() -> None:
    spread = np.zeros((3, 1, 3))
    spread[[0, 1, 2], 0, [0, 1, 2]] = 1
    found = others(spread, np.array([0, 0, 1]))
    np.testing.assert_allclose(found[:, 0], [[0, 0, 1], [0, 0, 1], [0.5, 0.5, 0]])
    np.testing.assert_allclose(others(spread, np.array([4, 4, 4])), 1 / 3)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Store:
    path = tmp_path_factory.mktemp("explain") / "drawn"
    draw_store(path, count=140, size=24)
    return Store.open(path)


def test_the_truth_is_what_the_own_expression_moved(drawn: Store) -> None:
    rows = np.arange(len(drawn))
    truth = moved(drawn, rows)
    names = np.array(drawn.meta.labels)[drawn.samples.label]
    assert not truth[names == "neutral"].any()
    assert truth[names != "neutral"].any(axis=(1, 2)).all()
    happy = np.flatnonzero(names == "happiness")
    smile = sum(1 << AUS.index(unit) for unit in PROTOTYPES["happiness"])
    np.testing.assert_array_equal(truth[happy], (drawn.array("moved")[happy] & np.uint16(smile)) != 0)


def test_fixed_maps_do_not_look_at_the_faces_they_judge(drawn: Store) -> None:
    training = drawn.rows("train")
    maps = fixed_maps(drawn, training)
    assert tuple(maps) == CHANCES
    np.testing.assert_allclose(maps["usual"], moved(drawn, training).mean(axis=0))
    assert maps["centre"].argmax() in (11 * 24 + 11, 11 * 24 + 12, 12 * 24 + 11, 12 * 24 + 12)
    np.testing.assert_allclose(maps["centre"], maps["centre"][::-1, ::-1])


def weighted_run(folder: Path, store: Store, seed: int = 0, **changes: object) -> Run:
    """A finished run of a tiny network with the weights of another seed, as if it had learned."""
    settings = override(
        NetworkSettings(),
        {"model.name": "compact-s", "model.width": 0.25, "train.epochs": 3, "seed": seed, **changes},
    )
    fold = divide(store, settings.data)
    run = finish(Run.create(folder, settings.resolved(store.meta.crop), store, fold), fold)
    other = replace(run.settings, seed=seed + 100)
    save_tensors(run, "model.safetensors", build_network(other, fold.train, torch.device("cpu")).state_dict(), {})
    return run


@pytest.mark.long
def test_measured_once_method_by_method_and_kept(tmp_path: Path, drawn: Store) -> None:
    run = weighted_run(tmp_path / "runs", drawn)
    done: list[int] = []
    first = measure(run, ["occlusion"], limit=6, report=done.append)
    assert sum(done) == STEPS
    assert first.scores.shape == (1, 3, 2, 6)
    assert np.isin(first.ids, drawn.rows("test")).all()
    assert not (drawn.samples.label[first.ids] == drawn.meta.labels.index("neutral")).any()
    done.clear()
    found = measure(run, limit=6, report=done.append)
    assert sum(done) == STEPS * len(METHODS)
    assert set(found.methods) == set(METHODS)
    np.testing.assert_array_equal(found.scores[0], first.scores[0])
    assert "cells" in found.layer
    (run.path / "model.safetensors").unlink()
    np.testing.assert_array_equal(measure(run, limit=6).scores, found.scores)
    with pytest.raises(RunError, match="no weights"):
        measure(run, limit=7)
    (run.path / FILE).write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"explanations.npz is damaged"):
        load(run)


def test_what_is_measured_is_what_the_maps_say(tmp_path: Path, drawn: Store) -> None:
    run = weighted_run(tmp_path / "runs", drawn)
    found = measure(run, ["grad-cam"], limit=18)
    truth, images = moved(drawn, found.ids), np.ascontiguousarray(drawn.images[found.ids])
    explainer = open_explainer(run.path)
    maps = explainer.methods["grad-cam"](images, found.labels)
    np.testing.assert_allclose(found.scores[0, 0, 0], pointing(maps, truth), atol=1e-5)
    np.testing.assert_allclose(found.scores[0, 0, 1], energy(maps, truth), atol=1e-5)
    untrained = build_network(run.settings, divide(drawn, run.settings.data).train, torch.device("cpu"))
    control = grad_cam(untrained, images, found.labels)
    np.testing.assert_allclose(found.scores[0, 2, 1], energy(control, truth), atol=1e-5)
    np.testing.assert_allclose(found.chance[0, 0], truth.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_array_equal(found.blank[0], says_nothing(maps))
    unit = found.action_units.index(12)
    own = np.flatnonzero(found.unit_area[unit] > 0)
    assert {drawn.meta.labels[label] for label in found.labels[own]} == {"happiness"}


def test_stores_without_truth_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", size=16, test=42)
    run = make_runs(tmp_path / "runs", store, networks=("compact-s",), dropouts=(0.0,))[0]
    with pytest.raises(DataError, match="does not know which pixels"):
        measure(run)


def made(rng: np.random.Generator, own: float, untrained: float, n: int = 300) -> Grounding:
    """Figures that are drawn around given means; the truth covers a fifth of each face."""
    energies = np.clip(rng.normal([own, 0.25, untrained], 0.1, (n, 3)), 0, 1).T
    hits = rng.random((3, n)) < np.array([[own], [0.25], [untrained]])
    scores = np.stack([hits.astype(float), energies], axis=1)[None].astype(np.float32)
    units = np.zeros((2, n), np.float32)
    units[0, : n // 2] = 0.1
    on_units = np.stack([units[0] * 3, units[1]])[None]
    return Grounding(
        ids=np.arange(n),
        labels=np.arange(n) % 3,
        subjects=np.full(n, ""),
        chance=np.full((3, 2, n), 0.2, np.float32),
        unit_area=units,
        scores=scores,
        blank=np.zeros((1, n), bool),
        units=on_units,
        methods=("occlusion",),
        action_units=(4, 12),
        layer="layer2 (6×6 cells)",
    )


def summed(rng: np.random.Generator, own: float, untrained: float) -> Truth:
    runs = {(seed, 0): made(rng, own, untrained) for seed in range(3)}
    return summarise({"network": runs}, np.random.default_rng(0))[0]


def test_summary_tells_what_is_there_and_only_that() -> None:
    better, same = (summed(np.random.default_rng(1), own, 0.3).methods[0] for own in (0.5, 0.3))
    assert better.energy.value.value == pytest.approx(0.5, abs=0.02)
    assert better.energy.controls["untrained"].value == pytest.approx(0.3, abs=0.02)
    assert better.energy.above["untrained"].value == pytest.approx(0.2, abs=0.02)
    assert better.energy.above["untrained"].interval.low > 0.1
    assert better.energy.above["area"].value == pytest.approx(0.3, abs=0.02)
    assert better.pointing.above["others"].interval.low > 0.1
    assert same.energy.above["untrained"].interval.low < 0 < same.energy.above["untrained"].interval.high
    assert better.units.keys() == {4}
    assert better.units[4].value == pytest.approx(3)


def test_interval_holds_the_truth_19_times_in_20() -> None:
    hits = 0
    for trial in range(80):
        runs = {"network": {(0, 0): made(np.random.default_rng(trial), 0.5, 0.3, n=80)}}
        gain = summarise(runs, np.random.default_rng(0))[0].methods[0].energy.above["untrained"]
        hits += gain.interval.low <= 0.2 <= gain.interval.high
    assert hits / 80 >= 0.87


def test_what_cannot_be_summed_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(CompareError, match="No explanation was compared"):
        summarise({}, rng)
    with pytest.raises(CompareError, match="different faces"):
        summarise({"a": {(0, 0): made(rng, 0.5, 0.3), (1, 0): made(rng, 0.5, 0.3, n=200)}}, rng)


def test_folds_are_pooled(tmp_path: Path, drawn: Store) -> None:
    folds = {"data.protocol": "group-kfold", "data.folds": 2, "data.valid_fraction": 0.3}
    runs = [weighted_run(tmp_path / "runs", drawn, **folds, **{"data.fold": fold}) for fold in range(2)]
    measure(runs[0], ["occlusion", "grad-cam"], limit=12)
    assert measured_rows(collect(runs).rows) == {}
    measure(runs[1], ["grad-cam"], limit=12)
    (found,) = measured_rows(collect(runs).rows)["compact-s"].values()
    assert found.methods == ("grad-cam",)
    assert found.scores.shape == (1, 3, 2, 24)
    assert len(np.unique(found.ids)) == 24


def test_an_overlay_is_orange_for_blue_against_and_grey_elsewhere() -> None:
    face = np.full((16, 16, 1), 100, np.uint8)
    values = np.zeros((16, 16))
    values[:4, :4], values[12:, 12:] = 1, -1
    red, _, blue = np.moveaxis(overlay(face, values).astype(int), -1, 0)
    assert red[4, 4] > blue[4, 4] + 100
    assert blue[-4, -4] > red[-4, -4] + 100
    assert red[SIDE // 2, SIDE // 2] == blue[SIDE // 2, SIDE // 2]
    still = overlay(face, np.full((16, 16), 3.0))
    assert (still == still[0, 0, 0]).all()


def test_explanations_of_rows_of_a_store(tmp_path: Path, drawn: Store) -> None:
    run = weighted_run(tmp_path / "runs", drawn)
    explainer, row = open_explainer(run.path), int(drawn.rows("test")[0])
    (face,) = faces_of(f"{drawn.path}:{row}", explainer.crop, find_detector("none"))
    np.testing.assert_array_equal(face.image, drawn.images[row])
    label = drawn.meta.labels[drawn.samples.label[row]]
    assert face.label == label
    (found,) = explain(explainer, [face], classes=[label, "joy"])
    np.testing.assert_allclose(sum(found.probs.values()), 1)
    assert {name for name, _ in found.maps} == {found.label, label, "happiness"}
    network = methods_of_run(run)
    own = np.array([drawn.samples.label[row]])
    again = network["grad-cam++"](face.image[None], own)[0]
    np.testing.assert_allclose(found.maps[label, "grad-cam++"], again, rtol=1e-5)
    entries = {(entry["class"], entry["method"]): entry for entry in found.summary()["maps"]}
    values = found.maps[label, "occlusion"]
    x, y = entries[label, "occlusion"]["peak"]
    assert values[y, x] == values.max()
    assert ("truth" in entries[label, "occlusion"]) == (label != "neutral")
    assert all("truth" not in entry for (name, _), entry in entries.items() if name != label)
    picture = sheet([found])
    assert picture.shape[1] > 5 * SIDE
    with pytest.raises(LabelError, match="no class 'envy'"):
        explain(explainer, [face], classes=["envy"])
    with pytest.raises(DataError, match=r"no row 140; its rows are 0 to 139"):
        faces_of(f"{drawn.path}:140", explainer.crop, find_detector("none"))


def methods_of_run(run: Run) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    return dict(open_explainer(run.path).methods)


def test_a_bundle_does_occlusion_and_says_what_the_rest_needs(tmp_path: Path) -> None:
    explainer = open_explainer(write_bundle(tmp_path / "tiny.onnx"))
    assert list(explainer.methods) == ["occlusion"]
    rng = np.random.default_rng(0)
    picture = tmp_path / "face.png"
    write_picture(picture, rng.integers(0, 256, (60, 50, 3), dtype=np.uint8))
    (face,) = faces_of(str(picture), explainer.crop, find_detector("none"))
    assert face.image.shape == (CARD.crop.size, CARD.crop.size, 1)
    (found,) = explain(explainer, [face])
    assert list(found.maps) == [(found.label, "occlusion")]
    logits = explainer.classifier({"face": face.image[None]})
    label = int(logits[0].argmax())
    np.testing.assert_array_equal(
        found.maps[found.label, "occlusion"], occlusion(explainer.classifier, face.image[None], np.array([label]))[0]
    )
    with pytest.raises(ConfigError, match=r"grad-cam needs .* tiny.onnx can do occlusion.*--model"):
        explain(explainer, [face], methods=["grad-cam"])
    with pytest.raises(ConfigError, match="no method 'lime'"):
        explain(explainer, [face], methods=["lime"])
    with pytest.raises(DataError, match="STORE:ROW"):
        faces_of(str(tmp_path / "absent.png"), explainer.crop, find_detector("none"))


def write_picture(path: Path, picture: np.ndarray) -> None:
    import cv2

    cv2.imwrite(str(path), picture[..., ::-1])


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


def test_the_verb_draws_and_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    face = draw_face(0, "surprise", seed=0, index=0, size=96).image
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name, face)
    options = ("--model", model, "--faces", "none")
    assert call("explain", tmp_path / "a.png", tmp_path / "b.png", *options, "-o", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "tiny.onnx"
    assert [Path(entry["picture"]).name for entry in told["inputs"]] == ["a.png", "b.png"]
    assert told["inputs"][0]["faces"][0]["maps"][0]["method"] == "occlusion"
    assert load_picture(tmp_path / "out" / "a.png", "a").shape[1] > 2 * SIDE
    loser = min(told["inputs"][0]["faces"][0]["probs"].items(), key=lambda item: item[1])[0]
    assert call("explain", tmp_path / "a.png", *options, "-o", tmp_path / "one.jpg", "--class", loser) == 0
    assert "Drawn: " in capsys.readouterr().out
    assert load_picture(tmp_path / "one.jpg", "one").shape[0] > 2 * SIDE


def test_the_verb_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    write_picture(tmp_path / "grey.png", np.full((64, 64, 3), 90, np.uint8))
    options = ("-o", tmp_path / "out")
    assert call("explain", tmp_path / "grey.png", "-m", model, "--method", "grad-cam", *options) == 2
    assert "mien[train]" in capsys.readouterr().err
    assert call("explain", tmp_path / "absent.png", "-m", model, *options) == 1
    assert "absent.png" in capsys.readouterr().err
    assert call("explain", tmp_path / "absent.png", "-m", model, *options, "--class", "gone") == 2
    assert "gone" in capsys.readouterr().err
    assert call("explain", tmp_path / "grey.png", "-m", tmp_path / "absent.onnx", *options) == 2
    assert call("explain", tmp_path / "grey.png", "-m", tmp_path, *options) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert call("explain", tmp_path / "grey.png", "-m", model, "--faces", "haar", *options) == 0
    assert "no face found" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    with pytest.raises(BundleError):
        open_explainer(tmp_path / "absent.onnx")


def test_a_bad_file_does_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    write_picture(tmp_path / "good.png", np.full((64, 64, 3), 90, np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    words = ("explain", tmp_path / "bad.png", tmp_path / "good.png", tmp_path / "gone.png", "https://example.org/a.png")
    options = ("-m", model, "--faces", "none", "-o", tmp_path / "out")
    assert call(*words, *options, "--json") == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert [Path(entry["source"]).name for entry in told["inputs"]] == ["good.png"]
    assert [Path(entry["source"]).name for entry in told["failures"]] == ["bad.png", "gone.png", "a.png"]
    assert "3 of 4 inputs could not be used:" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_no_explanation_is_drawn_over_an_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_bundle(tmp_path / "tiny.onnx")
    picture = tmp_path / "a.png"
    write_picture(picture, np.full((64, 64, 3), 90, np.uint8))
    before = picture.read_bytes()
    options = ("-m", model, "--faces", "none")
    assert call("explain", picture, *options, "-o", tmp_path) == 0
    assert (tmp_path / "a-2.png").is_file()
    assert call("explain", picture, *options, "-o", picture) == 2
    assert "would overwrite the input itself" in capsys.readouterr().err
    assert call("explain", picture, *options, "-o", tmp_path / "out.xyz") == 2
    assert "is neither a folder nor one of" in capsys.readouterr().err
    assert picture.read_bytes() == before
    assert not (tmp_path / "out.xyz").exists()


@pytest.mark.parametrize("methods", [METHODS[-1:], METHODS])
@pytest.mark.parametrize("word", ["fear", "a class with a name that is much too long for one tile of the picture"])
def test_no_text_is_cut_off(methods: tuple[str, ...], word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text ends before the margin, and before the next text of its line."""
    written: list[tuple[str, tuple[int, int], float, int]] = []
    honest = cv2.putText

    def noted(picture: np.ndarray, text: str, at: tuple[int, int], font: int, size: float, *rest: Any) -> Any:
        written.append((text, at, at[0] + cv2.getTextSize(text, font, size, 1)[0][0], picture.shape[1]))
        return honest(picture, text, at, font, size, *rest)

    monkeypatch.setattr(cv2, "putText", noted)
    names = (word, "disgust", *(f"class {number}" for number in range(5)))
    image = draw_face(0, "surprise", seed=0, index=0).image
    one = Explanation(
        face=Explained(source="x", image=image, label=names[1], moved=np.eye(48, dtype=bool)),
        probs=dict.fromkeys(names, 1 / 7),
        maps={(name, method): np.eye(48, dtype=np.float32) for name in names[:2] for method in methods},
    )
    sheet([one])
    assert len(written) > 12
    for text, at, end, width in written:
        assert end <= width - 8, f"{text} ends at {end} of {width}"
        if at[0] == 16:
            assert end <= 16 + SIDE or "against" in text, f"{text} runs into the next column"


def test_the_verb_holds_runs_against_the_truth(
    tmp_path: Path, drawn: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    weighted_run(tmp_path / "runs", drawn)
    words = ("explain", tmp_path / "runs", "--truth", "--limit", 12, "--method", "occlusion", "--method", "grad-cam")
    assert call(*words, "--json") == 0
    (truth,) = json.loads(capsys.readouterr().out)["truth"]
    assert [one["method"] for one in truth["methods"]] == ["grad-cam", "occlusion"]
    assert truth["n"] == 12
    assert 0 < truth["chance"]["area"]["energy"] < 0.5
    assert call(*words) == 0
    assert "Energy" in capsys.readouterr().out
    assert call("explain", tmp_path / "runs", "--truth", "--method", "lime") == 2


def test_comparisons_that_examine_explain_drawn_faces(
    tmp_path: Path, drawn: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli.explain import explain_drawn

    monkeypatch.setattr("mien.cli.explain.LIMIT", 6)
    monkeypatch.setattr("mien.cli.explain.METHODS", ("grad-cam",))
    real = make_runs(
        tmp_path / "real", make_store(tmp_path / "store", size=16), networks=("compact-s",), dropouts=(0.0,)
    )
    own = weighted_run(tmp_path / "runs", drawn)
    explain_drawn([*real, own])
    assert (own.path / FILE).exists()
    assert not (real[0].path / FILE).exists()


@pytest.mark.long
def test_the_report_shows_what_was_measured(tmp_path: Path, drawn: Store) -> None:
    from mien.report.figures.sheet import looks
    from mien.report.findings import find
    from mien.report.machine_readable import as_dict
    from mien.report.sections.explanations import explanations_section

    run = weighted_run(tmp_path / "runs", drawn)
    rows = collect([run]).rows
    look = dict(zip([row.name for row in rows], looks([("compact-s", 0.0)]), strict=True))
    empty = explanations_section((), look, "runs", drawn=True)
    assert "mien explain runs --truth" in empty.lead
    assert not empty.panels
    assert not explanations_section((), look, "runs", drawn=False).lead
    assert explanations_section("Why not.", look, "runs", drawn=True).lead == "Why not."
    measure(run, ["occlusion", "grad-cam"], limit=12)
    found = find(collect([run]))
    told = as_dict(found)["explained"]
    assert [one["method"] for one in told[0]["methods"]] == ["grad-cam", "occlusion"]
    assert set(told[0]["methods"][0]["energy"]) == {"value", "controls", "above"}
    section = explanations_section(found.explained, look, "runs", drawn=True)
    first, units = section.panels
    assert first.table is not None
    assert len(first.table.rows) == 2
    assert {len(row) for row in first.table.rows} == {len(first.table.heads)}
    assert first.drawing is not None
    assert first.drawing.svg.startswith("<svg")
    assert units.drawing is not None
    assert "lip corner puller" in units.drawing.svg
    lines = str(section.files["explanations.csv"]).splitlines()
    assert len({line.count(",") for line in lines}) == 1


@pytest.mark.long
def test_a_model_file_is_explained_without_torch(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny.onnx")
    write_picture(tmp_path / "face.png", draw_face(0, "fear", seed=0, index=0, size=64).image)
    program = (
        "import sys\n"
        "for name in ('torch', 'scipy', 'matplotlib', 'safetensors', 'tomli_w', 'sklearn', 'statsmodels'):\n"
        "    sys.modules[name] = None\n"
        "from mien.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    words = ["explain", "face.png", "-m", "tiny.onnx", "--faces", "none", "-o", "out"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "face.png").exists()
    (tmp_path / "run").mkdir()
    refused = subprocess.run(
        [sys.executable, "-c", program, *words[:2], "-m", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "mien[train]" in refused.stderr


def test_crops_are_those_of_prediction(tmp_path: Path) -> None:
    from mien.crop import crop
    from mien.faces import Face

    class Fixed:
        name = "fixed"

        def detect(self, picture: np.ndarray) -> list[Face]:
            return [Face(box=(10, 12, 40, 40), score=1.0), Face(box=(40, 20, 30, 30), score=1.0)]

    picture = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    write_picture(tmp_path / "two.png", picture)
    spec = CropSpec(size=32, margin=0.1)
    found = faces_of(str(tmp_path / "two.png"), spec, Fixed())
    assert [face.box for face in found] == [(10, 12, 40, 40), (40, 20, 30, 30)]
    np.testing.assert_array_equal(found[0].image, crop(picture, spec, (10, 12, 40, 40)))


def test_explained_logits_are_those_of_prediction(drawn: Store, tmp_path: Path) -> None:
    run = weighted_run(tmp_path / "runs", drawn)
    explainer = open_explainer(run.path)
    images = np.array(drawn.images[:3])
    from mien.methods.network import load_network

    np.testing.assert_array_equal(explainer.classifier({"face": images}), predict_logits(load_network(run), images))
