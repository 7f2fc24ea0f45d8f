"""From a finished run to one file that predicts without torch.

In: a run folder. Out: `NAME.onnx`, a sealed bundle of the network as `to_onnx` makes it, float32 or int8, with its
card. The figures on the card come with intervals, from the logits that the run saved; those of an int8 network come
from its own logits.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import write_bytes
from .bundle import Bundle, input_name, seal
from .calibration import binned_gaps, fit_temperature, softmax, upward_bias, wilson
from .card import LIMITS, Card, Figure
from .data.splits import Fold, Part
from .errors import RunError
from .joined_network import joined_network
from .methods.network import load_network
from .methods.soup_model import model_of
from .metrics import confusion_matrix, scores
from .origins import learnt_before
from .planes import FACE, Plane
from .reading import GivenPath, given_path
from .runs import Logits, Run
from .stages import open_for
from .statistics.intervals import bootstrap
from .to_onnx import onnx_bytes, quantise
from .version import __version__

__all__ = ["calibration_samples", "export", "judge", "judged", "measured_int8", "recalls"]

CALIBRATION_FACES = 512
"""Number of training faces that set the ranges of int8 activations."""
QUANTISATION = (
    "8-bit activations, 7-bit weights for each channel: no sum of two products leaves 16 bits, so processors with and "
    "without VNNI give the same integers."
)
"""The sentence about quantisation on the card of an int8 network."""
DRAWN = "It was trained on drawings alone and never saw a person: it shows how things work, and no more."
WEAK_RECALL = 0.6
"""Classes found less often than this are named on the card."""


def export(run: Run, out: GivenPath, *, int8: bool = False) -> Card:
    """Write the network of a finished run to `out` as a bundle.

    The same run gives the same bytes. Test figures and temperature come from the run's saved logits. An int8 network
    answers differently, so it gets its own temperature, both accuracies on the validation part, and its own test
    figures: for them the test part is opened once more, and the store's log records it.

    Raises:
        RunError: the run is not finished, or `out` cannot be written.
        DataError: `int8`, and the store that the run was trained on is gone or has changed.
        MissingExtra: the exporter's packages are not installed.
    """
    if not run.finished:
        raise RunError(f"{run.id} is {run.record.status}, not finished. Finish it with the command that started it.")
    out = given_path(out, "The model to be written", RunError)
    if out.suffix != ".onnx" or not out.resolve().parent.is_dir():
        raise RunError(f"Cannot write {out}: a model is NAME.onnx in a folder that is there.")
    fold = run.fold() if int8 else None
    network = joined_network(run) if run.settings.method == "ensemble" else load_network(run)
    model, card = onnx_bytes(network), describe(run, network.takes)
    try:
        if fold is not None:
            model, card = _quantised(run, fold, model, card)
        write_bytes(out, seal(model, card))
    except OSError as error:
        raise RunError(f"Cannot write {out}, or a file on the way to it ({error.strerror or error}).") from None
    return Bundle.open(out).card


def describe(run: Run, takes: tuple[Plane, ...]) -> Card:
    """The card of a finished run's float32 network with these planes, from the results that the run saved."""
    valid = run.logits("valid")
    drawn = (DRAWN,) if run.data.corpus == "drawn" else ()
    card = Card(
        labels=run.data.labels,
        crop=run.data.crop,
        planes=tuple(plane.name for plane in takes),
        forms=tuple(plane for plane in takes if plane.name != FACE),
        movement=run.data.movement if any(plane.kind == "flow" for plane in takes) else None,
        network=model_of(run).name if run.settings.method == "soup" else run.settings.name,
        run=run.id,
        corpus=run.data.corpus,
        fingerprint=run.data.fingerprint,
        earlier=learnt_before(run),
        protocol=protocol_words(run),
        licence=run.data.licence,
        temperature=fit_temperature(valid.logits, valid.labels),
        valid={"accuracy": _figure(valid, "accuracy")},
        limits=(*LIMITS, *drawn),
        mien=__version__,
    )
    return judged(card, run.logits("test"))


def protocol_words(run: Run) -> str:
    """How train and test of a run were divided, for its card."""
    data = run.settings.data
    if data.protocol == "holdout":
        return "holdout: the corpus's own test"
    return f"{data.protocol}: tested on fold {data.fold + 1} of {run.data.folds}, trained on others"


def judged(card: Card, test: Logits) -> Card:
    """The card with test figures from its own network's logits, at its own temperature."""
    figures, recall = judge(test, card.labels, card.temperature)
    failures = _failures(_confusion(test, card.labels), card.labels)
    return replace(card, test=figures, recall=recall, known_failures=failures, test_precision=card.precision)


def judge(part: Logits, names: tuple[str, ...], temperature: float) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Accuracy, UAR, macro F1 and ECE of a part at a temperature, and the recall of each class."""
    calibrated = replace(part, logits=part.logits / np.float32(temperature))
    figures = {name: _figure(calibrated, name) for name in ("accuracy", "uar", "macro_f1", "ece")}
    return figures, recalls(part.labels, part.logits, names)


def recalls(labels: NDArray[np.int64], logits: NDArray[np.float32], names: tuple[str, ...]) -> dict[str, Figure]:
    """The recall of each class that occurs in `labels` `(n,)`, from logits `(n, K)`."""
    confusion = confusion_matrix(labels, logits.argmax(axis=1), len(names))
    found = zip(names, np.diag(confusion), confusion.sum(axis=1), strict=True)
    return {name: _share(hits, n) for name, hits, n in found if n}


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


def _quantised(run: Run, fold: Fold, model: bytes, card: Card) -> tuple[bytes, Card]:
    """The int8 model and its card, whose figures are those of the int8 network."""
    small = quantise(model, calibration_samples(fold.train, card.takes))
    logits = Bundle(run.path, card, small, threads=0).logits
    card = measured_int8(card, Logits.of(fold.valid, logits(fold.valid.read(card.planes))))
    test = open_for(f"int8 export: {run.id}", fold)
    return small, judged(card, Logits.of(test, logits(test.read(card.planes))))


def measured_int8(card: Card, valid: Logits) -> Card:
    """The card of an int8 network, from that of its float32 network and its own logits of the validation part."""
    accuracies = {"accuracy": _figure(valid, "accuracy"), "float32 accuracy": card.valid["accuracy"]}
    temperature = fit_temperature(valid.logits, valid.labels)
    return replace(card, precision="int8", quantisation=QUANTISATION, valid=accuracies, temperature=temperature)


def calibration_samples(train: Part, takes: Sequence[Plane]) -> dict[str, NDArray[Any]]:
    """The training samples that set the ranges of activations, by the names of a model's inputs."""
    rows = train.rows[:: max(1, len(train) // CALIBRATION_FACES)]
    batch = train.store.read(rows, [plane.name for plane in takes])
    return {input_name(plane): batch[plane.name] for plane in takes}
