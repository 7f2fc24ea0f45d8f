"""The networks: parity with torchvision, the shared options, the cost."""

import dataclasses
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mien.config import ModelSettings
from mien.errors import ConfigError, DataError
from mien.models import NETWORKS, Network, build
from mien.models.cost import count
from mien.models.layers import CellAverage, map_shape, scaled
from torchvision_weights import CLASSES, MEAN, NAMES, SIZES, STD, faces, fill

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "models" / "torchvision.json").read_text())
HEADS = ("published", "fc", "flat", "gap")
STEMS = ("imagenet", "small")
LARGE = {"densenet121", "vgg16", "compact-l"}
"""Networks whose every option is tried in the long tests alone."""
NORMALISATION = {"pixel_mean", "pixel_std"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other tests share the machine; one thread also keeps sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def settings(name: str, **options: object) -> ModelSettings:
    return dataclasses.replace(ModelSettings(name=name, in_chans=3), **options)  # type: ignore[arg-type]


def small(name: str, **options: object) -> Network:
    return build(settings(name, **{"width": 0.25, **options}), classes=CLASSES, size=48)


def images(count: int, chans: int = 3, size: int = 48) -> Tensor:
    return torch.randint(0, 256, (count, size, size, chans), dtype=torch.uint8)


def parameters(name: str, classes: int, **options: object) -> int:
    with torch.device("meta"):
        network = build(settings(name, **options), classes=classes, size=48)
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "thousand", "seven"),
    [
        ("vgg16", 138_365_992, 134_297_671),
        ("resnet34", 21_797_672, 21_288_263),
        ("densenet121", 7_978_856, 6_961_031),
    ],
)
def test_parameters_are_those_of_the_papers(name: str, thousand: int, seven: int) -> None:
    assert parameters(name, 1000) == thousand
    assert parameters(name, 7) == seven


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        network = build(settings(name), classes=CLASSES, size=SIZES[0])
    network = network.double().to_empty(device="cpu").eval()
    network.set_normalisation(MEAN, STD)
    theirs = {key: value for key, value in network.state_dict().items() if key not in NORMALISATION}
    assert len(theirs) == FIXTURE[name]["keys"]
    fill(theirs.items())  # by key: a key named otherwise gets other weights, and other logits
    for size in SIZES:
        with torch.inference_mode():
            logits = network(torch.from_numpy(faces(size)))
        np.testing.assert_allclose(logits.numpy(), FIXTURE[name]["logits"][str(size)], rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("vgg16", ["features.0.weight", "features.41.running_var", "classifier.0.weight", "classifier.6.bias"]),
        ("resnet34", ["conv1.weight", "layer2.0.downsample.1.bias", "layer4.2.bn2.weight", "fc.weight"]),
        (
            "densenet121",
            [
                "features.conv0.weight",
                "features.denseblock1.denselayer1.norm1.weight",
                "features.transition3.conv.weight",
                "features.norm5.running_mean",
                "classifier.weight",
            ],
        ),
    ],
)
def test_keys_are_torchvisions_also_with_dropout(name: str, keys: list[str]) -> None:
    plain, dropped = (small(name, dropout=p, block_dropout=p).state_dict() for p in (0.0, 0.2))
    assert set(keys) <= set(plain)
    assert list(plain) == list(dropped)


def test_torchvision_weights_load_but_for_the_normalisation() -> None:
    network = small("resnet34")
    theirs = {key: value for key, value in network.state_dict().items() if key not in NORMALISATION}
    missing, unexpected = network.load_state_dict(theirs, strict=False)
    assert set(missing) == NORMALISATION
    assert not unexpected


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LARGE else []) for name in NETWORKS]
)
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(
    "head", [pytest.param(head, marks=[pytest.mark.long] if head == "fc" else []) for head in HEADS]
)
def test_every_option_gives_logits(name: str, stem: str, head: str) -> None:
    for chans in (1, 3):
        network = small(name, stem=stem, head=head, in_chans=chans).eval()
        with torch.inference_mode():
            logits = network(images(2, chans))
        assert logits.shape == (2, CLASSES)
        assert logits.isfinite().all()
        assert (logits[0] != logits[1]).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_face_has_its_logits_alone_and_in_a_batch(name: str) -> None:
    network, batch = small(name), images(8)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # one pass sets the statistics, and with them the scale of a trained network
    with torch.inference_mode():
        network(images(32))
        together = network.eval()(batch)
        alone = torch.cat([network(face[None]) for face in batch])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("option", ["dropout", "block_dropout"])
def test_dropout_acts_in_training_alone(name: str, option: str) -> None:
    batch = images(8)
    network = small(name, **{option: 0.5, "head": "gap"})
    for layer in network.modules():  # batch norm by running statistics: chance is left to dropout
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 0.0
    with torch.no_grad():
        assert not torch.equal(network(batch), network(batch))
        network.eval()
        assert torch.equal(network(batch), network(batch))


@pytest.mark.parametrize("name", NETWORKS)
def test_without_dropout_training_is_deterministic(name: str) -> None:
    network, batch = small(name), images(8)
    with torch.no_grad():
        assert torch.equal(network(batch), network(batch))


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_falls_before_the_classifier(name: str) -> None:
    network = small(name, dropout=0.5, head="gap")
    maps = network.features(network.pixels(images(64)))
    vectors = network.reduce(torch.ones_like(maps))
    assert set(vectors.unique().tolist()) == {0.0, 2.0}
    assert 0.3 < (vectors == 0).float().mean() < 0.7


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns(name: str) -> None:
    network = small(name, dropout=0.1, block_dropout=0.1)
    network(images(8)).square().sum().backward()
    idle = [key for key, weight in network.named_parameters() if weight.grad is None]
    assert not idle


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LARGE else []) for name in NETWORKS]
)
def test_parameters_grow_with_width(name: str) -> None:
    counts = [parameters(name, 7, width=width) for width in (0.25, 0.5, 1.0, 1.5)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    ("name", "stem", "cells"),
    [
        ("vgg16", "imagenet", 1),
        ("vgg16", "small", 3),
        ("vgg_paper", "imagenet", 3),
        ("resnet34", "imagenet", 2),
        ("resnet34", "small", 6),
        ("densenet121", "imagenet", 1),
        ("densenet121", "small", 6),
        ("compact-s", "imagenet", 3),
        ("compact-s", "small", 6),
    ],
)
def test_the_stem_decides_how_many_cells_a_face_ends_in(name: str, stem: str, cells: int) -> None:
    network = small(name, stem=stem)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert map_shape(network, 48)[1:] == (cells, cells)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_paper_network_is_four_blocks_of_two_convolutions_and_two_hidden_layers() -> None:
    with torch.device("meta"):
        network = build(settings("vgg_paper", dropout=0.1), classes=7, size=48)
    layers = list(network.modules())
    convs = [layer.out_channels for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    linear = [layer.in_features for layer in layers if isinstance(layer, torch.nn.Linear)]
    drops = [layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)]
    assert convs == [64, 64, 128, 128, 256, 256, 512, 512]
    assert linear == [3 * 3 * 512, 4096, 4096]
    assert drops == [0.1, 0.1]


@pytest.mark.parametrize("size", [32, 40, 48])
def test_compact_takes_growing_faces_without_rebuilding(size: int) -> None:
    with torch.inference_mode():
        assert small("compact-m").eval()(images(2, size=size)).shape == (2, CLASSES)


def test_pixels_are_normalised_by_channel_without_a_copy_of_the_layout() -> None:
    network = small("compact-s")
    network.set_normalisation((0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
    batch = images(2)
    seen = network.pixels(batch)
    mean, std = (torch.tensor(v) for v in ((0.1, 0.2, 0.3), (0.5, 0.25, 0.125)))
    torch.testing.assert_close(seen, ((batch / 255 - mean) / std).permute(0, 3, 1, 2))
    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(network.pixels(batch.float()), seen)
    assert network.double().pixels(batch).dtype == torch.float64


def test_gradients_reach_float_pixels() -> None:
    batch = images(1).float().requires_grad_()
    small("compact-s").eval()(batch).sum().backward()
    assert batch.grad is not None
    assert batch.grad.abs().sum() > 0


def test_the_seed_decides_the_weights() -> None:
    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([weight.flatten() for weight in small("densenet121").parameters()])

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_dirac_convolutions_begin_by_passing_their_input_on() -> None:
    network = small("resnet34", init="dirac")
    same = network.layer1[0].conv1  # type: ignore[union-attr, index]
    maps = torch.rand(2, 16, 6, 6)
    assert torch.equal(same(maps), maps)
    wider = network.layer2[0].conv1.weight  # type: ignore[union-attr, index]
    assert torch.equal(wider[:16, :, 1, 1], torch.eye(16))
    assert wider[16:].std() > 0, "channels beyond the input's keep what was drawn"


@pytest.mark.parametrize("name", ["compact-s", "resnet34", "vgg16"])
def test_mirrored_faces_have_equal_logits_in_use_and_not_in_training(name: str) -> None:
    network, batch = small(name, mirror=True).eval(), images(3)
    plain = small(name).eval()
    plain.load_state_dict(network.state_dict())
    with torch.inference_mode():
        logits = network(batch)
        torch.testing.assert_close(logits, network(batch.flip(2)))
        torch.testing.assert_close(logits, (plain(batch) + plain(batch.flip(2))) / 2)
    assert count(network, 48).flops == 2 * count(plain, 48).flops
    network.train()
    assert not torch.allclose(network(batch), network(batch.flip(2)))


@pytest.mark.parametrize("cells", [(1, 1), (2, 3), (6, 6), (7, 7), (10, 15)])
def test_the_7x7_average_is_the_adaptive_pool(cells: tuple[int, int]) -> None:
    maps = torch.rand(2, 5, *cells, dtype=torch.float64)
    torch.testing.assert_close(CellAverage()(maps), torch.nn.AdaptiveAvgPool2d(7)(maps), rtol=1e-14, atol=0)


def test_scaled_rounds_to_a_multiple_and_never_to_nothing() -> None:
    assert [scaled(64, width) for width in (1.0, 0.5, 0.3, 0.01)] == [64, 32, 16, 8]
    assert scaled(32, 0.4, multiple=4) == 12


@pytest.mark.parametrize(
    ("options", "size", "words"),
    [
        ({"name": "vgg19"}, 48, "model.name is 'vgg19'; it must be one of compact-l"),
        ({"stem": "tiny"}, 48, "model.stem is one of imagenet, small, stride1; got 'tiny'."),
        ({"head": "mlp"}, 48, "model.head is one of published, .*; got 'mlp'."),
        ({"dropout": 1.0}, 48, "model.dropout is 0 to 0.95; got 1."),
        ({"block_dropout": -0.1}, 48, "model.block_dropout is 0 to 0.95; got -0.1."),
        ({"width": 0.0}, 48, "model.width is 0.01 to 8; got 0."),
        ({"in_chans": 0}, 48, "model.in_chans is 0"),
        ({"name": "vgg16"}, 16, "16x16 px are too small"),
        ({"name": "densenet121"}, 16, "16x16 px are too small"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, object], size: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        build(settings(**{"name": "resnet34", "width": 0.25, **options}), classes=7, size=size)  # type: ignore[arg-type]


def test_one_class_is_not_enough() -> None:
    with pytest.raises(ConfigError, match="number of classes is 1"):
        build(settings("resnet34"), classes=1, size=48)


def test_images_and_normalisations_of_other_channels_are_refused() -> None:
    network = small("compact-s")
    with pytest.raises(DataError, match=r"takes \(B, H, W, 3\)"):
        network(images(2, chans=1))
    with pytest.raises(ConfigError, match="1 means"):
        network.set_normalisation([0.5], [0.2])
    with pytest.raises(ConfigError, match="above 0"):
        network.set_normalisation([0.5] * 3, [0.2, 0.0, 0.2])


@pytest.mark.parametrize("name", NETWORKS)
def test_flops_are_those_of_torch(name: str) -> None:
    network = small(name)
    cost = count(network, 48)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(images(1))
    seen = counter.get_flop_counts()["Global"]
    assert cost.flops == seen[torch.ops.aten.convolution] + seen[torch.ops.aten.addmm]
    assert cost.parameters == sum(weight.numel() for weight in network.parameters())


def test_activation_bytes_by_hand() -> None:
    """compact-s at 48 px, floats: in place, a ReLU adds nothing; views add nothing."""
    cost = count(build(settings("compact-s"), classes=7, size=48), 48)
    stem = 2 * (24 * 24 * 16 + 12 * 12 * 32)  # convolution and batch norm of both
    first = 4 * 12 * 12 * 32
    second = (4 + 2 + 4) * 6 * 6 * 64  # the 2 are the projection of the first block
    third = (4 + 2) * 3 * 3 * 96
    assert cost.activation_bytes == 4 * (stem + first + second + third + 96 + 7)


@pytest.mark.parametrize(
    ("name", "most_flops", "most_parameters"),
    [("compact-s", 20e6, 0.5e6), ("compact-m", 150e6, 1.5e6), ("compact-l", 400e6, 6e6)],
)
def test_the_compact_family_keeps_its_budget(name: str, most_flops: float, most_parameters: float) -> None:
    cost = count(build(settings(name), classes=7, size=48), 48)
    assert most_flops / 2 < cost.flops < most_flops
    assert most_parameters / 2 < cost.parameters < most_parameters


def test_the_page_on_adding_a_network_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "adding-a-network.md").read_text(encoding="utf-8")
    path = tmp_path / "tiny.py"
    path.write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("tiny", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for head in HEADS:
        network = module.Tiny(settings("tiny", head=head, width=0.25), classes=CLASSES, size=48)
        assert network(images(2)).shape == (2, CLASSES)
