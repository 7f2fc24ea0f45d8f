"""Networks of micro-expressions: the published parameter counts, and the road of every network of mien."""

import pytest
import torch
from torch import nn

from mien.config import ModelSettings
from mien.errors import ConfigError
from mien.models import FLOW_NETWORKS, build
from mien.models.cost import count
from mien.models.softnet import SIDE, SoftNet
from mien.models.stages import stages_of

PUBLISHED = {
    "ststnet": (28, 1_683),
    "offapexnet": (28, 2_664_475),
    "dual-inception": (28, 6_449_867),
    "rcn-a": (60, 15_331),
}


def settings(name: str, **options: object) -> ModelSettings:
    return ModelSettings(name=name, in_chans=3, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FLOW_NETWORKS)
def test_parameters_are_those_published(name: str) -> None:
    size, expected = PUBLISHED[name]
    network = build(settings(name), classes=3, size=size)
    assert count(network, size).parameters == expected


def test_the_streams_of_ststnet_are_those_that_were_published() -> None:
    """Three streams written apart, with the weights of the one convolution: the same maps in training and in use."""
    torch.manual_seed(3)
    network = build(settings("ststnet"), classes=3, size=28)
    conv, _, norm, *_ = network.features
    flow, begin, apart = torch.randn(8, 3, 28, 28), 0, []
    for channels in (3, 5, 8):
        stream = nn.Sequential(nn.Conv2d(3, channels, 3, padding=2), nn.ReLU(), nn.BatchNorm2d(channels))
        part = slice(begin, begin + channels)
        stream[0].load_state_dict({name: weight[part] for name, weight in conv.state_dict().items()})
        apart.append(nn.Sequential(stream, nn.MaxPool2d(3, 3, padding=1)))
        begin += channels
    pool = nn.AvgPool2d(2)
    for training in (True, False):
        network.train(training)
        maps = torch.cat([stream.train(training)(flow) for stream in apart], dim=1)
        assert torch.allclose(network.features(flow), pool(maps), atol=1e-5)
    assert norm.running_mean.abs().max() > 0


def test_softnet_has_its_parameters_and_one_score_a_frame() -> None:
    network = SoftNet()
    assert sum(weight.numel() for weight in network.parameters()) == 314_817
    flow = torch.randn(4, 3, SIDE, SIDE)
    scores = network(flow)
    assert scores.shape == (4,)
    scores.sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


@pytest.mark.parametrize("name", FLOW_NETWORKS)
def test_every_weight_learns_and_belongs_to_a_stage(name: str) -> None:
    torch.manual_seed(0)
    network = build(settings(name, block_dropout=0.2, dropout=0.2), classes=3, size=32)
    logits = network(torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8))
    assert logits.shape == (8, 3)
    torch.nn.functional.cross_entropy(logits, torch.arange(8) % 3).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert stages_of(network)[-1].parameters[0].shape[0] == 3


@pytest.mark.parametrize("name", FLOW_NETWORKS)
def test_dropout_acts_in_training_alone(name: str) -> None:
    torch.manual_seed(0)
    network = build(settings(name, block_dropout=0.5), classes=3, size=28)
    images = torch.randint(0, 256, (8, 28, 28, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        network.eval()
        assert torch.equal(network(images), network(images))


def test_u_and_v_pass_streams_apart_and_strain_is_not_looked_at() -> None:
    network = build(settings("offapexnet"), classes=3, size=28).eval()
    images = torch.randint(0, 256, (2, 28, 28, 3), dtype=torch.uint8)
    other = images.clone()
    other[..., 2] = 0
    with torch.no_grad():
        assert torch.equal(network(images), network(other))
        other[..., 1] = 0
        assert not torch.equal(network(images), network(other))


@pytest.mark.parametrize("option", [{"width": 0.5}, {"attention": "se"}, {"stem": "small"}, {"head": "fc"}])
def test_options_that_they_do_not_have_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"model.{next(iter(option))} is .*ststnet is built as published"):
        build(settings("ststnet", **option), classes=3, size=28)


def test_one_channel_has_no_u_and_v() -> None:
    with pytest.raises(ConfigError, match="takes u and v apart; these planes have 1 channel"):
        build(ModelSettings(name="dual-inception", in_chans=1), classes=3, size=28)
