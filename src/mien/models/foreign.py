"""Names of weights that others give the networks of mien: timm's, where they are not torchvision's.

In: a network's name, and the names in a file. Out: mien's name of each. ResNet-34 and DenseNet-121 have torchvision's
names in timm too; EfficientNet-Lite0 has those of the port that its weights come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mien.models.efficientnet_lite0 import STAGES

__all__ = ["own_names"]

SEPARABLE = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
"""Layers of timm's blocks without widening; of those with it, below."""
INVERTED = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
ENDS = {
    "efficientnet-lite0": {
        "conv_stem.": "_conv_stem.",
        "bn1.": "_bn0.",
        "conv_head.": "_conv_head.",
        "bn2.": "_bn1.",
        "classifier.": "_fc.",
    },
    "vgg16": {"pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3.", "head.fc.": "classifier.6."},
}
"""What timm's names begin with, and mien's, of the layers outside the blocks."""
BLOCK = re.compile(r"blocks\.(\d)\.(\d)\.(\w+)\.(.+)")


def own_names(network: str, names: Iterable[str]) -> Mapping[str, str]:
    """mien's name by that in the file; names that timm does not have stay."""
    return {name: _own(network, name) for name in names}


def _own(network: str, name: str) -> str:
    for theirs, ours in ENDS.get(network, {}).items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    block = BLOCK.fullmatch(name)
    if network != "efficientnet-lite0" or block is None or int(block[1]) >= len(STAGES):
        return name
    stage, place = int(block[1]), int(block[2])
    layer = (SEPARABLE if stage == 0 else INVERTED).get(block[3], block[3])
    return f"_blocks.{sum(depth for depth, *_ in STAGES[:stage]) + place}.{layer}.{block[4]}"
