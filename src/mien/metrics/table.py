"""The table of metrics: a new one is one entry in `METRICS`, and every table, interval, file and test then has it.

    Metric("worst", "Worst recall", "%", "recall of the class that is found least", lambda c: c.recall.min(-1))

The input of a metric (`of`) decides how it is computed on redrawn faces: of `classes` by confusion matrices, all draws
at once; of each `face` as a mean; of the `whole` part draw by draw, which is slow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..calibration import (
    Floats,
    brier_of_each,
    check_logits,
    nll_of_each,
    reliability,
    risk_coverage,
    softmax,
)
from .confusion import ClassScores, Ints, class_scores, confusion_matrix, ratio, weighted
from .ranking import auc_averages

__all__ = ["FROM_0", "METRICS", "SHARE", "Bounds", "Metric", "Predicted", "Scores", "metric", "parts", "scores"]

Bounds = tuple[float, float]
"""The least and the greatest possible value of a figure."""
SHARE: Bounds = (0.0, 1.0)
FROM_0: Bounds = (0.0, float("inf"))
Of = Literal["classes", "face", "whole"]
Place = Literal["page", "files", "probabilities", ""]
BINS = 15


class Predicted:
    """Logits `(N, K)` and labels `(N,)` of one part, and the quantities that metrics need, each computed once."""

    def __init__(self, logits: ArrayLike, labels: ArrayLike) -> None:
        self.logits, self.labels = check_logits(logits, labels)

    @cached_property
    def probs(self) -> Floats:
        """Probabilities `(N, K)`."""
        return softmax(self.logits)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the predicted class, `(N,)`."""
        return np.asarray(self.probs.max(axis=1), np.float64)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Whether the prediction, the first highest logit, is the label, `(N,)`."""
        return np.asarray(self.probs.argmax(axis=1) == self.labels)

    @cached_property
    def confusion(self) -> Ints:
        """Counts `(K, K)`; rows are labels."""
        return confusion_matrix(self.labels, self.logits.argmax(axis=1), self.logits.shape[1])

    @cached_property
    def classes(self) -> ClassScores:
        """Precision, recall and F1 of each class."""
        return class_scores(self.confusion)

    @cached_property
    def auc(self) -> dict[str, float]:
        """The averages of the area under the ROC curve."""
        return auc_averages(self.probs, self.labels)

    def calibration_error(self, by: Literal["width", "mass"]) -> float:
        """The mean gap between confidence and accuracy over `BINS` bins."""
        return reliability(self.confidence, self.right, BINS, by).ece


@dataclass(frozen=True)
class Metric:
    """One score of a set of predictions; nan where undefined."""

    key: str
    """Its name in JSON and CSV, and the attribute of `Scores`."""
    title: str
    """Over a column; `name` is the same inside a sentence."""
    unit: str
    """`%` for shares of 1, which are shown as 100 times their value."""
    meaning: str
    """Completes "it is the …"."""
    function: Callable[[Any], Any]
    """From what `of` says: `ClassScores` with any leading axes to figures, or `Predicted` to `(N,)` or to a figure."""
    of: Of = "classes"
    place: Place = "page"
    """Where it is shown: in the table of the page, only in files, beside the probabilities, or nowhere."""
    tested: bool = False
    """Whether differences between rows in it are tested."""
    lower_is_better: bool = False
    bounds: Bounds = SHARE
    digits: int = 1

    @property
    def scale(self) -> float:
        """Shown values are `value * scale`."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def name(self) -> str:
        """`accuracy`, `UAR`, `macro F1`, `weighted F1`: the title inside a sentence."""
        words = self.title.replace("W. ", "weighted ")
        return words if words[:2].isupper() else words[0].lower() + words[1:]

    def on(self, seen: Predicted) -> float:
        """The figure of one set of predictions."""
        if self.of == "face":
            each = self.function(seen)
            return float(each.mean()) if each.size else float("nan")
        return float(self.function(seen.classes if self.of == "classes" else seen))


def _accuracy(each: ClassScores) -> Floats:
    return ratio(each.hits.sum(axis=-1), each.support.sum(axis=-1))


def _precision(each: ClassScores, weights: Ints) -> Floats:
    return weighted(np.nan_to_num(each.precision), weights)


METRICS: tuple[Metric, ...] = (
    Metric("accuracy", "Accuracy", "%", "share of test faces that are named correctly", _accuracy, tested=True),
    Metric(
        "uar",
        "UAR",
        "%",
        "recall averaged over the classes with test faces, so that rare ones count as much as frequent ones",
        lambda each: weighted(each.recall, each.present),
        tested=True,
    ),
    Metric(
        "macro_f1",
        "Macro F1",
        "%",
        "F1 averaged over the classes with test faces",
        lambda each: weighted(each.f1, each.present),
        tested=True,
    ),
    Metric(
        "macro_precision",
        "Macro precision",
        "%",
        "precision averaged over the classes with test faces; one that is never predicted counts 0",
        lambda each: _precision(each, each.present),
        place="",
    ),
    Metric(
        "weighted_precision",
        "W. precision",
        "%",
        "precision averaged by class frequency, as in the paper",
        lambda each: _precision(each, each.support),
    ),
    Metric(
        "weighted_recall",
        "W. recall",
        "%",
        "recall averaged by class frequency: the accuracy by another name",
        _accuracy,
    ),
    Metric(
        "weighted_f1",
        "W. F1",
        "%",
        "F1 averaged by class frequency, as in the paper",
        lambda each: weighted(each.f1, each.support),
    ),
    Metric(
        "macro_auc",
        "AUC",
        "%",
        "area under the ROC curve, one class against the rest, averaged over classes",
        lambda seen: seen.auc["macro_auc"],
        of="whole",
    ),
    Metric(
        "weighted_auc",
        "W. AUC",
        "%",
        "the same averaged by class frequency",
        lambda seen: seen.auc["weighted_auc"],
        of="whole",
        place="files",
    ),
    Metric(
        "hand_till_auc",
        "Hand & Till AUC",
        "%",
        "AUC averaged over all pairs of classes; does not depend on how frequent classes are",
        lambda seen: seen.auc["hand_till_auc"],
        of="whole",
        place="",
    ),
    Metric(
        "ece",
        "ECE, 15 equal bins",
        "%",
        "mean gap between confidence and accuracy over 15 bins of equal width",
        lambda seen: seen.calibration_error("width"),
        of="whole",
        place="probabilities",
        lower_is_better=True,
    ),
    Metric(
        "ece_mass",
        "ECE, equal mass",
        "%",
        "the same over bins of equally many faces",
        lambda seen: seen.calibration_error("mass"),
        of="whole",
        place="probabilities",
        lower_is_better=True,
    ),
    Metric(
        "brier",
        "Brier",
        "",
        "Brier's score, 0 to 2",
        lambda seen: brier_of_each(seen.probs, seen.labels),
        of="face",
        place="probabilities",
        lower_is_better=True,
        bounds=(0.0, 2.0),
        digits=3,
    ),
    Metric(
        "nll",
        "NLL",
        "nats",
        "negative log-likelihood",
        lambda seen: nll_of_each(seen.logits, seen.labels),
        of="face",
        place="probabilities",
        lower_is_better=True,
        bounds=FROM_0,
        digits=3,
    ),
    Metric(
        "aurc",
        "AURC",
        "%",
        "area under the risk-coverage curve: the mean risk over all shares of faces that are answered",
        lambda seen: risk_coverage(seen.confidence, seen.right).aurc,
        of="whole",
        place="probabilities",
        lower_is_better=True,
    ),
)
"""Every metric, in the order of tables."""


def metric(key: str) -> Metric:
    """The metric of a key; raises `KeyError` where there is none."""
    return {one.key: one for one in METRICS}[key]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What `METRICS` say of one set of logits; nan where undefined. Each value is an attribute: `scores.accuracy`."""

    n: int
    """Samples."""
    values: Mapping[str, float]
    """By the keys of `METRICS`."""
    undefined: tuple[int, ...]
    """Classes that have labels and are never predicted: their precision is undefined and was counted as 0."""

    def __getattr__(self, key: str) -> float:
        values: Mapping[str, float] = self.__dict__.get("values", {})
        if key not in values:
            raise AttributeError(f"Scores have no {key!r}; they have {', '.join(values)}.")
        return values[key]


def scores(logits: ArrayLike, labels: ArrayLike) -> Scores:
    """All scores of logits `(N, K)` for labels `(N,)`. The prediction is the first highest logit.

    Raises `DataError` for shapes or labels that do not fit, and for logits that are not finite.

    >>> s = scores([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.0]], [0, 1, 2])
    >>> round(s.accuracy, 3), round(s.macro_precision, 3), s.undefined
    (0.667, 0.5, (2,))
    """
    seen = Predicted(logits, labels)
    ignored = (seen.confusion.sum(axis=1) > 0) & (seen.confusion.sum(axis=0) == 0)
    return Scores(
        n=len(seen.labels),
        values={one.key: one.on(seen) for one in METRICS},
        undefined=tuple(np.flatnonzero(ignored).tolist()),
    )


def parts(logits: ArrayLike, labels: ArrayLike, group: ArrayLike) -> dict[str, Scores]:
    """The scores of each part of pooled predictions, by its name in `group (N,)`: of each corpus of a composite.

    `logits (N, K)` and `labels (N,)` are of all folds together. Raises `ValueError` where the lengths differ.

    >>> found = parts([[2, 0], [0, 2], [2, 0]], [0, 1, 1], ["casme2", "casme2", "samm"])
    >>> {name: one.accuracy for name, one in found.items()}
    {'casme2': 1.0, 'samm': 0.0}
    """
    seen, names = Predicted(logits, labels), np.asarray(group, np.str_)
    if names.shape != seen.labels.shape:
        raise ValueError(f"{len(names)} names of parts for {len(seen.labels)} predictions")
    return {str(name): scores(seen.logits[names == name], seen.labels[names == name]) for name in np.unique(names)}
