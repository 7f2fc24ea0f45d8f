"""From a finished run to one file that predicts without torch.

In: a run folder. Out: `NAME.onnx`, a sealed bundle: uint8 `(B, H, W, C)` in, normalisation inside, batch norm folded
into the convolutions before it, logits out. The softmax stays outside, where the temperature belongs. `int8` makes
a statically quantised one (Jacob 2018, arXiv:1712.05877) and measures what that costs on the validation part.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import write_bytes
from .bundle import BATCH, Bundle, runtime, seal
from .calibration import binned_gaps, fit_temperature, softmax, upward_bias, wilson
from .card import Card, Figure
from .data.splits import Fold
from .errors import MissingExtra, RunError
from .evaluate import load_network
from .metrics import confusion_matrix, scores
from .models import Network
from .runs import Logits, Run
from .statistics.intervals import bootstrap
from .version import __version__

__all__ = ["export", "judge", "onnx_bytes"]

OPSET, IR_VERSION = 18, 8
"""Old enough for every ONNX Runtime since 1.14."""
CALIBRATION_FACES = 512
"""Training faces that the ranges of int8 activations are taken from."""
LAYERS = ("Conv", "Gemm", "MatMul")
"""Operations with weights, as ONNX names them."""
WEAK_RECALL = 0.6
"""Classes found less often than this are named on the card."""


def export(run: Run, out: Path | str, *, int8: bool = False) -> Card:
    """Write the network of a finished run to `out` as a bundle.

    The same run gives the same bytes. Test figures and temperature come from the run's saved logits; the test
    part is not opened again. An int8 network gets its own temperature, and both accuracies on the validation part.

    Raises:
        RunError: the run is not finished, or `out` cannot be written.
        DataError: `int8`, and the store that the run was trained on is gone or has changed.
        MissingExtra: the exporter's packages are not installed.
    """
    if not run.finished:
        raise RunError(f"{run.id} is {run.record.status}, not finished. Finish it with the command that started it.")
    out = Path(out)
    if out.suffix != ".onnx" or not out.resolve().parent.is_dir():
        raise RunError(f"Cannot write {out}: a model is NAME.onnx in a folder that is there.")
    fold = run.fold() if int8 else None
    model, card = onnx_bytes(load_network(run), run.data.crop.size), describe(run)
    try:
        if fold is not None:
            model, card = _quantised(fold, out, model, card)
        write_bytes(out, seal(model, card))
    except OSError as error:
        raise RunError(f"Cannot write {out}, or a file on the way to it ({error.strerror or error}).") from None
    return Bundle.open(out).card


def onnx_bytes(network: Network, size: int) -> bytes:
    """The network in evaluation mode as an ONNX model with a free batch size; no paths or stack traces inside."""
    import torch

    _require_exporter()
    network = network.eval().cpu()
    # Two faces: the exporter takes a batch of one for a constant.
    faces = torch.zeros(2, size, size, len(network.pixel_mean), dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            network,
            (faces,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    return _bare(program.model_proto)


def describe(run: Run) -> Card:
    """The card of a finished run's float32 network, from what the run saved."""
    valid, test = run.logits("valid"), run.logits("test")
    names = run.data.labels
    temperature = fit_temperature(valid.logits, valid.labels)
    figures, recall = judge(test, names, temperature)
    return Card(
        labels=names,
        crop=run.data.crop,
        network=run.settings.model.name,
        run=run.id,
        corpus=run.data.corpus,
        fingerprint=run.data.fingerprint,
        licence=run.data.licence,
        temperature=temperature,
        test=figures,
        recall=recall,
        valid={"accuracy": _figure(valid, "accuracy")},
        known_failures=_failures(_confusion(test, names), names),
        mien=__version__,
    )


def judge(part: Logits, names: tuple[str, ...], temperature: float) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Accuracy, UAR, macro F1 and ECE of a part at a temperature; and the share of each class's faces that is found."""
    confusion = _confusion(part, names)
    calibrated = replace(part, logits=part.logits / np.float32(temperature))
    recall = {
        name: _share(hits, n)
        for name, hits, n in zip(names, np.diag(confusion), confusion.sum(axis=1), strict=True)
        if n
    }
    return {name: _figure(calibrated, name) for name in ("accuracy", "uar", "macro_f1", "ece")}, recall


def _confusion(part: Logits, names: tuple[str, ...]) -> NDArray[np.int64]:
    return confusion_matrix(part.labels, part.logits.argmax(axis=1), len(names))


def _figure(part: Logits, metric: str) -> Figure:
    if metric == "accuracy":
        return _share((part.logits.argmax(axis=1) == part.labels).sum(), len(part.labels))
    value, rng = getattr(scores(part.logits, part.labels), metric), np.random.default_rng(0)
    if metric == "ece":
        interval, probs = bootstrap(part.logits[None], part.labels, metric, rng, method="t"), softmax(part.logits)
        gaps = binned_gaps(probs.max(axis=1), probs.argmax(axis=1) == part.labels)
        low = max(interval.low - upward_bias(gaps), 0.0)
    else:
        interval = bootstrap(part.logits[None], part.labels, metric, rng)
        low = interval.low
    return Figure(value=value, n=len(part.labels), low=low, high=interval.high)


def _share(hits: Any, n: Any) -> Figure:
    low, high = wilson(hits, n)
    return Figure(value=float(hits / n), n=int(n), low=float(low), high=float(high))


def _failures(confusion: NDArray[np.int64], names: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence for each class found seldom, the worst first."""
    support = confusion.sum(axis=1)
    recall = np.diag(confusion) / np.maximum(support, 1)
    wrong = confusion - np.diag(np.diag(confusion))
    return tuple(
        f"{names[k]} is found in {recall[k]:.0%} of {support[k]} test faces; "
        f"{wrong[k].max() / support[k]:.0%} are taken for {names[wrong[k].argmax()]}."
        for k in np.argsort(recall, kind="stable")
        if support[k] and recall[k] < WEAK_RECALL
    )


def _quantised(fold: Fold, out: Path, model: bytes, card: Card) -> tuple[bytes, Card]:
    """The int8 model, and the card with its own temperature and validation accuracy."""
    train, faces = fold.train, fold.valid.images()
    rows = train.rows[:: max(1, len(train) // CALIBRATION_FACES)]
    small = quantise(model, train.store.read(rows))
    card = replace(card, precision="int8")
    valid = Logits.of(fold.valid, Bundle(out, card, small, threads=0).logits(faces))
    accuracies = {"accuracy": _figure(valid, "accuracy"), "float32 accuracy": card.valid["accuracy"]}
    return small, replace(card, valid=accuracies, temperature=fit_temperature(valid.logits, valid.labels))


def quantise(model: bytes, faces: NDArray[np.uint8]) -> bytes:
    """The model with int8 layers but for the first and the last, ranges taken from `faces (n, H, W, C)`."""
    _require_exporter()
    runtime()
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    network = onnx.load_from_string(model)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        small = Path(folder) / "int8.onnx"
        quantize_static(
            network,
            small,
            _Faces(faces),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "Add", "MaxPool", "Relu"],
            nodes_to_exclude=_kept_in_float([(node.name, node.op_type) for node in network.graph.node]),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _bare(onnx.load(small))


def _kept_in_float(nodes: Sequence[tuple[str, str]]) -> list[str]:
    """The names of those of a graph's nodes (name, operation) that int8 would harm and not hasten: both its ends.

    A convolution of one to three channels is faster in float; so what normalises pixels is not rounded step by step,
    and neither are logits to 256 levels.
    """
    layers = [i for i, (_, operation) in enumerate(nodes) if operation in LAYERS]
    if len(layers) < 3:
        return [name for name, _ in nodes]
    return [name for name, _ in (*nodes[: layers[1]], *nodes[layers[-1] :])]


class _Faces:
    """The calibration faces, batch by batch, as onnxruntime's quantiser asks for them."""

    def __init__(self, faces: NDArray[np.uint8]) -> None:
        self._batches = iter(np.split(faces, range(BATCH, len(faces), BATCH)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _bare(model: Any) -> bytes:
    """The model's bytes without stack traces, paths and notes of the exporter, in a form old runtimes open."""
    model.ir_version = IR_VERSION
    del model.metadata_props[:]
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _require_exporter() -> None:
    if any(find_spec(package) is None for package in ("torch", "onnx", "onnxscript")):
        raise MissingExtra("Exporting a model", "train")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter and the quantiser say of themselves: deprecations and missing packages."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
