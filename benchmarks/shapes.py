"""Why is `compact` shaped as it is? Other shapes of about the same arithmetic, and how fast they compute it.

    python benchmarks/shapes.py [--quick] [--into docs/benchmarks.md]

`compact-m` at 48 px beside networks of as many multiplications a face, each different in one thing: how the stem comes
down to 12×12 cells, deep and narrow or wide and short, large maps or small ones, dense or depthwise convolutions,
with squeeze-excite or without. The measure is that of `benchmarks/family.py`. It says which shapes keep a processor
busy, not which are accurate.
"""

from collections.abc import Iterator

from family import HEADS, SIDE, arguments, measure
from measure import publish, table
from torch import Tensor, nn

from mien.config import ModelSettings
from mien.crop import CropSpec
from mien.models import Network, build
from mien.models.compact import Compact, M, Plan
from mien.models.resnet import BasicBlock

PLAIN = ModelSettings(name="compact-m", in_chans=3)
DEEP = Plan(stem=(32, 32), channels=(32, 64, 80), depths=(8, 12, 3))
LARGE = Plan(stem=(32, 48), channels=(48, 64, 80), depths=(1, 2, 1))


def planned(plan: Plan, stem: str = "imagenet") -> Network:
    """A network of the family that has no name."""
    network = Compact(ModelSettings(in_chans=3, stem=stem), plan, classes=7, size=SIDE)  # type: ignore[arg-type]
    network.takes = (CropSpec(size=SIDE, channels=3).plane,)
    return network


def space_to_depth() -> Network:
    """Cells of 4×4 pixels as 48 channels, and one convolution, in place of two that stride."""
    network = build(PLAIN, classes=7, size=SIDE)
    before = M.channels[0]
    head = (nn.PixelUnshuffle(4), nn.Conv2d(48, before, 3, padding=1, bias=False), nn.BatchNorm2d(before))
    network.features = nn.Sequential(*head, nn.ReLU(inplace=True), *list(network.features)[6:])
    return network


def depthwise(width: float) -> Network:
    """Each 3×3 convolution of the blocks as one of a channel each and a 1×1 across them (Howard 2017, MobileNets)."""
    network = build(ModelSettings(name="compact-m", in_chans=3, width=width), classes=7, size=SIDE)
    for block in blocks(network):
        block.conv1, block.conv2 = separated(block.conv1), separated(block.conv2)
    return network


def separated(conv: nn.Conv2d) -> nn.Sequential:
    """A depthwise and a pointwise convolution in place of a dense one."""
    before, after = conv.in_channels, conv.out_channels
    own = nn.Conv2d(before, before, 3, conv.stride, padding=1, groups=before, bias=False)
    return nn.Sequential(own, nn.BatchNorm2d(before), nn.ReLU(inplace=True), nn.Conv2d(before, after, 1, bias=False))


def squeezed() -> Network:
    """A gate for each channel at the end of a block (Hu 2018, squeeze-and-excitation), a quarter wide."""
    network = build(PLAIN, classes=7, size=SIDE)
    for block in blocks(network):
        block.bn2 = nn.Sequential(block.bn2, Gate(block.conv2.out_channels))
    return network


class Gate(nn.Module):
    """(B, C, h, w) -> the same, each channel times a number from 0 to 1 that depends on all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        layers = (nn.Linear(channels, inner), nn.ReLU(inplace=True), nn.Linear(inner, channels), nn.Sigmoid())
        self.weigh = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weigh(maps.mean((2, 3)))[:, :, None, None]


def blocks(network: Network) -> list[BasicBlock]:
    """All of its residual blocks."""
    return [layer for layer in network.modules() if isinstance(layer, BasicBlock)]


def shapes() -> Iterator[tuple[str, Network]]:
    """The networks of the table."""
    yield "compact-m", build(PLAIN, classes=7, size=SIDE)
    yield "stem: 4×4 pixels to channels", space_to_depth()
    yield "narrow and deep", planned(DEEP)
    yield "narrow, maps of twice the side", planned(LARGE, stem="small")
    yield "depthwise, wide", depthwise(2.5)
    yield "squeeze-excite", squeezed()


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__).parse_args()
    lines, below = measure(shapes(), options)
    publish("shapes", f"{table(HEADS, lines)}\n\n{below}", options.into)


if __name__ == "__main__":
    main()
