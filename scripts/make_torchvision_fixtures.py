"""Write the logits of torchvision's networks for tests/test_models.py: tests/fixtures/models/torchvision.json.

Run where torchvision imports: `python scripts/make_torchvision_fixtures.py`. mien itself is not imported. Weights
and faces come from the formula in tests/torchvision_weights.py, logits are float64, in evaluation mode.
"""

import json
import sys
from pathlib import Path

import torch
import torchvision

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from torchvision_weights import CLASSES, MEAN, NAMES, SIZES, STD, faces, fill  # noqa: E402


def logits(theirs: torch.nn.Module, size: int) -> list[list[float]]:
    """Logits of the two faces of `size` px; repr of a float is exact, so JSON loses nothing."""
    pixels = torch.from_numpy(faces(size)).double() / 255
    pixels = (pixels - torch.tensor(MEAN, dtype=torch.float64)) / torch.tensor(STD, dtype=torch.float64)
    with torch.no_grad():
        return theirs(pixels.permute(0, 3, 1, 2).contiguous()).tolist()


def main() -> None:
    """Build, fill, run, write."""
    fixture: dict[str, object] = {"torchvision": torchvision.__version__, "torch": torch.__version__}
    for ours, theirs in NAMES.items():
        with torch.device("meta"):
            network = getattr(torchvision.models, theirs)(num_classes=CLASSES)
        network = network.double().to_empty(device="cpu").eval()
        fill(network.state_dict().items())
        fixture[ours] = {
            "keys": len(network.state_dict()),
            "logits": {str(size): logits(network, size) for size in SIZES},
        }
    path = ROOT / "tests" / "fixtures" / "models" / "torchvision.json"
    path.write_text(json.dumps(fixture, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
