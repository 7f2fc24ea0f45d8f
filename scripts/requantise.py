"""Make an int8 model file anew whose run was not kept: its weights become float32 again and are quantised as today.

    python scripts/requantise.py OLD.onnx --recipe ferplus --data STORE --out ferplus.onnx

STORE is the one it was trained on: its training part gives the ranges of the activations, its validation part the
temperature and the two accuracies, its test part the figures of the card. The opening of the test is noted in the
store. The card keeps run, corpus, fingerprint and licence. The weights are those of the old file to its 8 bits.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from mien.atomic import write_bytes
from mien.bundle import Bundle, seal
from mien.config import NetworkSettings, override, read_recipe
from mien.data.splits import Fold, Part, divide
from mien.data.store import Store
from mien.export import calibration_samples, judged, measured_int8
from mien.initial import build_network
from mien.models import Network
from mien.planes import FACE
from mien.runs import Logits
from mien.stages import open_for
from mien.to_onnx import onnx_bytes, quantise
from mien.version import __version__

SOURCE = " Made from the 8-bit weights of an earlier file of the same run."
NORM = ("weight", "bias", "running_mean", "running_var")


def rebuilt(path: Path, settings: NetworkSettings, training: Part) -> Network:
    """The float32 network that an int8 file was made of, as near as its 8 bits tell; normalisation from the faces."""
    network = build_network(settings, training, torch.device("cpu"))
    state = network.state_dict()
    model = onnx.load(path)
    values = _floats(model.graph)
    for node in model.graph.node:
        state.update(_of_node(node, values, state))
    network.load_state_dict(state)
    return network.eval()


def _floats(graph: Any) -> dict[str, Tensor]:
    """Every constant of a graph by name, the quantised ones as floats under the name of what they are taken for."""
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    values = dict(arrays)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            whole, scale, zero = (arrays[name].astype(np.float32) for name in node.input)
            shape = (-1,) + (1,) * (whole.ndim - 1) if scale.ndim else ()
            values[node.output[0]] = (whole - zero.reshape(shape)) * scale.reshape(shape)
    return {name: torch.from_numpy(np.array(array)) for name, array in values.items()}


def _of_node(node: Any, values: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a convolution, batch norm or classifier of the graph sets in the network's state."""
    if node.op_type == "Conv":
        name = node.input[1].removesuffix("_DequantizeLinear_Output").removesuffix(".weight")
        folded = _unit_norm(_norm_after(name), values[node.input[2]], state) if len(node.input) > 2 else {}
        return {f"{name}.weight": values[node.input[1]]} | folded
    if node.op_type == "BatchNormalization":
        norm = node.input[3].removesuffix(".running_mean")
        return {f"{norm}.{part}": values[name] for part, name in zip(NORM, node.input[1:], strict=True)}
    if node.op_type == "Gemm":
        return {"classifier.weight": values[node.input[1]], "classifier.bias": values[node.input[2]]}
    return {}


def _norm_after(conv: str) -> str:
    """The batch norm that follows a convolution: `conv1` and `bn1` of a block, or neighbours in a sequence."""
    above, _, last = conv.rpartition(".")
    return f"{above}.{int(last) + 1}" if last.isdigit() else f"{above}.{last.replace('conv', 'bn')}"


def _unit_norm(norm: str, bias: Tensor, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch norm that only adds the bias: it was folded into the convolution before it."""
    deviation = torch.nn.BatchNorm2d(1).eps
    mean, ones = torch.zeros_like(state[f"{norm}.running_mean"]), torch.ones_like(state[f"{norm}.running_var"])
    return {f"{norm}.{part}": value for part, value in zip(NORM, (ones, bias, mean, ones - deviation), strict=True)}


def requantised(old: Bundle, network: Network, fold: Fold) -> bytes:
    """The sealed file, with figures of its own."""
    model = quantise(onnx_bytes(network), calibration_samples(fold.train, old.takes))
    logits = Bundle(old.path, old.card, model, threads=0).logits
    card = measured_int8(replace(old.card, valid=_float_figures(old)), _judged_by(logits, fold.valid))
    card = judged(card, _judged_by(logits, open_for(f"requantised: {card.run}", fold)))
    return seal(model, replace(card, quantisation=card.quantisation + SOURCE, mien=__version__))


def _judged_by(logits: Any, part: Part) -> Logits:
    return Logits.of(part, logits(part.read()[FACE]))


def _float_figures(old: Bundle) -> dict[str, Any]:
    """What the validation part said of the float32 network while there was one."""
    return {"accuracy": old.card.valid["float32 accuracy"]}


def main() -> None:
    """Read, rebuild, quantise, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the int8 file, or the name of a model that comes with mien")
    parser.add_argument("--recipe", required=True, help="the recipe that trained it")
    parser.add_argument("--data", type=Path, required=True, help="the store that it was trained on")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    old, store = Bundle.open(options.model), Store.open(options.data)
    if (store.meta.labels, store.meta.crop) != (old.card.labels, old.card.crop):
        parser.error(f"{store.path} does not fit {old.path}: other labels or another crop.")
    settings = override(
        read_recipe(options.recipe).settings, {"model.in_chans": old.card.crop.channels, "model.head": "gap"}
    )
    fold = divide(store, settings.data)
    content = requantised(old, rebuilt(old.path, settings, fold.train), fold)
    write_bytes(options.out, content)
    for name, figure in (Bundle.open(options.out).card.valid | Bundle.open(options.out).card.test).items():
        print(f"{name}: {figure}")


if __name__ == "__main__":
    main()
