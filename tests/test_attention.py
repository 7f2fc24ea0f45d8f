"""Attention: the counts of each kind at each network, its gates, its place, and its way into an exported file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mien.bundle import Bundle, seal
from mien.config import ModelSettings
from mien.crop import CropSpec
from mien.errors import ConfigError
from mien.models import NETWORKS, build
from mien.models.attention import ATTENTION, attention
from mien.models.cost import count
from mien.to_onnx import onnx_bytes
from mien.train import predict_logits
from tiny_bundle import CARD

KINDS = sorted(ATTENTION.keys() - {"none"})


def parameters(name: str, kind: str) -> int:
    with torch.device("meta"):
        network = build(ModelSettings(name=name, in_chans=3, attention=kind), classes=7, size=48)  # type: ignore[arg-type]
    return sum(weight.numel() for weight in network.parameters())


def small(name: str, kind: str) -> nn.Module:
    settings = ModelSettings(name=name, in_chans=3, width=0.25, head="gap")
    return build(dataclasses.replace(settings, attention=kind), classes=7, size=48)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("resnet34", {"se": 161_196, "eca": 74, "cbam": 162_796, "coordinate": 135_496}),
        pytest.param(
            "densenet121",
            {"se": 306_096, "eca": 20, "cbam": 306_496, "coordinate": 233_224},
            marks=pytest.mark.long,
        ),
        ("vgg16", {"se": 77_852, "eca": 23, "cbam": 78_352, "coordinate": 63_016}),
    ],
)
def test_added_parameters_are_those_of_the_papers(name: str, added: dict[str, int]) -> None:
    plain = parameters(name, "none")
    assert {kind: parameters(name, kind) - plain for kind in KINDS} == added


def test_a_kind_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.attention is 'self'; it must be one of none, se, eca"):
        small("compact-s", "self")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if name == "compact-s" or kind == "eca" else pytest.mark.long)
        for name in NETWORKS
        for kind in KINDS
    ],
)
def test_every_network_has_every_kind_and_its_weights_learn(name: str, kind: str) -> None:
    plain, network = small(name, "none"), small(name, kind)
    assert set(plain.state_dict()) < set(network.state_dict())
    network(torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)).square().sum().backward()
    idle = [key for key, weight in network.named_parameters() if weight.grad is None]
    assert not idle


@pytest.mark.parametrize("kind", KINDS)
def test_gates_only_weaken_a_map(kind: str) -> None:
    maps = torch.rand(2, 32, 5, 7)
    weighed = attention(kind, 32).eval()(maps)
    assert weighed.shape == maps.shape
    assert (weighed > 0).all()
    assert (weighed < maps).all()


def test_channels_and_cells_are_weighed_as_each_paper_says() -> None:
    maps = torch.rand(1, 32, 5, 7)
    for kind in ("se", "eca"):  # one gate for all cells of a channel
        gates = attention(kind, 32)(maps) / maps
        torch.testing.assert_close(gates, gates[..., :1, :1].expand_as(gates))
    gates = attention("coordinate", 32).eval()(maps) / maps  # rows times columns
    torch.testing.assert_close(gates[..., 0, 0] * gates[..., 3, 4], gates[..., 0, 4] * gates[..., 3, 0])
    gates = attention("cbam", 32).eval()(maps) / maps  # channels times cells
    torch.testing.assert_close(gates[:, 0, 0, 0] * gates[:, 9, 3, 4], gates[:, 0, 3, 4] * gates[:, 9, 0, 0])


def test_eca_is_written_out_by_hand() -> None:
    module, maps = attention("eca", 8), torch.rand(1, 8, 3, 3)
    weights = [*module.state_dict()["conv.weight"].flatten().tolist()]
    assert len(weights) == 3
    means = [0.0, *maps.mean((2, 3))[0].tolist(), 0.0]
    gates = torch.tensor([sum(w * means[c + k] for k, w in enumerate(weights)) for c in range(8)]).sigmoid()
    torch.testing.assert_close(module(maps), maps * gates[None, :, None, None])


BLOCKS = ((16, 3), (32, 4), (64, 6), (128, 3))
"""Channels of a ResNet-34 of a quarter width, and how many blocks have them."""


def test_the_arithmetic_of_attention_is_counted() -> None:
    plain, weighed = (count(small("resnet34", kind), 48) for kind in ("none", "se"))  # type: ignore[arg-type]
    assert weighed.flops - plain.flops == 2 * sum(2 * c * max(4, c // 16) * n for c, n in BLOCKS)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_file_has_it(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    network = small("compact-s", kind)
    faces = np.random.default_rng(3).integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
    with torch.no_grad():
        network(torch.from_numpy(faces))
    path = tmp_path / "it.onnx"
    path.write_bytes(seal(onnx_bytes(network.eval()), dataclasses.replace(CARD, crop=CropSpec(size=48, channels=3))))  # type: ignore[arg-type]
    assert np.abs(Bundle.open(path, threads=1).logits({"face": faces}) - predict_logits(network, faces)).max() < 1e-4  # type: ignore[arg-type]
