"""The types of the files of a run folder: each file is read back into the type that wrote it (`mien.reading`)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..crop import CropSpec
from ..data.splits import Part
from ..data.store import SPLITS
from ..labels import LabelSet
from ..movement import Movement
from ..planes import Plane
from ..reading import Count, Fingerprint, Measure, Number, Positive, Share, Text

__all__ = [
    "GROUP",
    "LOGITS",
    "PEEKED",
    "RESULTS",
    "Costs",
    "DataFacts",
    "Environment",
    "Epoch",
    "Logits",
    "Peek",
    "Record",
    "Stage",
]

Stage = Literal["fit", "valid", "test", "costs"]
RESULTS: tuple[Stage, ...] = ("fit", "valid", "test")
"""The stages of a run that is finished, in their order."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data of a run."""

    corpus: Text
    fingerprint: Fingerprint
    labels: tuple[Text, ...]
    licence: str
    crop: CropSpec
    counts: Mapping[str, Count]
    """Samples in train, valid and test."""
    train_labels: tuple[Count, ...] = ()
    """Training samples of each class, in the order of `labels`; empty in folders that do not record them."""
    store: str
    """Path of the store, for pictures in the report; not part of the run's identity."""
    planes: tuple[Plane, ...] = ()
    """The planes of the store's samples besides the crop."""
    movement: Movement | None = None
    """The method of the flow of its clips, if the store records it."""
    folds: int = 0
    """Number of runs of one replicate, written when it is planned: 1 for a holdout, every fold of a
    cross-validation. 0 in folders of earlier versions, which did not write it.
    """

    def __post_init__(self) -> None:
        LabelSet(self.labels)
        if sorted(self.counts) != sorted(SPLITS):
            raise ValueError(f"it counts {', '.join(self.counts)}, expected {', '.join(SPLITS)}")

    @property
    def every_plane(self) -> Mapping[str, Plane]:
        """The planes of the store by name; the face comes first."""
        return {plane.name: plane for plane in (self.crop.plane, *self.planes)}


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of `history.csv`; training figures are running means over the epoch, with augmentation and dropout."""

    epoch: Positive
    lr: Number
    train_loss: Number
    train_accuracy: Share
    valid_loss: Number
    valid_accuracy: Share


@dataclass(frozen=True, kw_only=True)
class Peek:
    """One line of `peeking.csv`: the scores of an epoch on the test; nan if undefined."""

    epoch: Positive
    accuracy: float
    uar: float
    macro_f1: float


PEEKED = {"confusions": Array("i8", "E K K")}
"""The content of `peeking.npz`: the confusion matrix of each epoch on the test, rows are labels."""


class Environment(TypedDict, total=False):
    """`env.json`: where and how a run was trained. Another version may write more, or less."""

    versions: Mapping[str, Text]
    machine: Mapping[str, Text]
    device: Text
    threads: Count
    allocator: Text
    training: Mapping[str, Text]
    start: Mapping[str, Text]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The costs of a run, each with its conditions; 0 if not measured."""

    parameters: Count = 0
    flops: Count = 0
    """FLOPs of one forward pass of one image: two for each multiply-add of convolutions and linear layers."""
    activation_bytes: Count = 0
    """Bytes of the outputs of all layers, for one image in one forward pass of training."""
    train_seconds: Measure = 0.0
    """Wall time of all training steps, over all processes that worked on the run; validation is left out."""
    images_per_second: Measure = 0.0
    """Training images per second of that time."""
    train_peak_mb: Measure = 0.0
    """Peak memory of the training process: resident set, or allocated on the GPU (10^6 bytes)."""
    predict_peak_mb: Measure = 0.0
    """The same of a fresh process that predicts at `predict_batch`."""
    predict_images_per_second: Measure = 0.0
    predict_batch: Count = 0


@dataclass(frozen=True, kw_only=True)
class Record:
    """`record.json`: the status of the run."""

    status: Literal["running", "finished", "failed", "crashed", "pruned"] = "running"
    """running (or still to come); finished; failed: its loss is not finite, which the same settings would only
    repeat; crashed: its process was ended, and the same command tries it again; pruned: it was stopped early.
    """
    reason: str = ""
    """The reason why it has no result, in a sentence."""
    stages: tuple[Stage, ...] = ()
    """The finished stages; a finished run has all of `RESULTS`."""
    selected_epoch: Count = 0
    test_opened_at: tuple[Text, ...] = ()
    """Times (UTC, ISO 8601) at which the test part was opened; more than one needs an explanation."""
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        if self.status == "finished" and not set(RESULTS) <= set(self.stages):
            raise ValueError(f"it is finished and has done {', '.join(self.stages) or 'nothing'}")


GROUP = "group:"
LOGITS = {
    "ids": Array("i8", "n"),
    "labels": Array("i8", "n"),
    "logits": Array("f4", "n K"),
    "subjects": Array("U", "n"),
    f"{GROUP}*": Array("U", "n"),
}
"""The arrays that are kept of each part of the data, by name."""


@dataclass(frozen=True, kw_only=True)
class Logits:
    """The logits of the chosen weights on one part."""

    ids: NDArray[np.int64]
    """`(n,)` rows of the store."""
    labels: NDArray[np.int64]
    """`(n,)`."""
    logits: NDArray[np.float32]
    """`(n, K)`."""
    subjects: NDArray[np.str_]
    """`(n,)`; empty texts where unknown."""
    groups: Mapping[str, NDArray[np.str_]]

    @property
    def accuracy(self) -> float:
        """The share of samples whose highest logit is that of the label; nan without samples."""
        return float((self.logits.argmax(axis=1) == self.labels).mean()) if len(self.labels) else math.nan

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Logits":
        """From arrays under the names of `LOGITS`."""
        groups = {name.removeprefix(GROUP): array for name, array in arrays.items() if name.startswith(GROUP)}
        return cls(groups=groups, **{name: arrays[name] for name in ("ids", "labels", "logits", "subjects")})

    def check(self, classes: int) -> None:
        """Raise `ValueError` for values that no network and no store can have produced."""
        if (self.ids < 0).any() or len(np.unique(self.ids)) != len(self.ids):
            raise ValueError("ids are not different rows of a store")
        if not ((self.labels >= 0) & (self.labels < classes)).all():
            raise ValueError(f"a label is outside 0..{classes - 1}")
        if not np.isfinite(self.logits).all():
            raise ValueError("a logit is not a finite number")

    @classmethod
    def of(cls, part: Part, logits: NDArray[np.float32]) -> "Logits":
        """Join a part with its logits."""
        return cls(ids=part.rows, labels=part.labels, logits=logits, subjects=part.subjects, groups=part.groups)
