"""The tables of a run's settings, one for each question: which data, which network, which loss, which optimizer, how
long. A table checks its values when it is made, so every existing table is valid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal

from ..errors import ConfigError
from ..planes import FACE, PICTURES, Plane
from .within import LARGEST, Letters, Within, kinds_of, typed

__all__ = [
    "MLP",
    "AugmentSettings",
    "BoostingSettings",
    "DataSettings",
    "Head",
    "LossSettings",
    "ModelSettings",
    "OptimizerSettings",
    "StartSettings",
    "Table",
    "TrainSettings",
]


class Table:
    """Common to all tables: their name in TOML, and the check of their values."""

    TABLE: ClassVar[str]

    def __post_init__(self) -> None:
        kinds = kinds_of(type(self))
        for field in fields(self):  # type: ignore[arg-type]
            key = f"{self.TABLE}.{field.name}"
            object.__setattr__(self, field.name, typed(key, getattr(self, field.name), kinds[field.name]))


@dataclass(frozen=True, kw_only=True)
class DataSettings(Table):
    """Which samples a run sees."""

    TABLE = "data"

    valid_fraction: Annotated[float, Within(0.01, 0.5)] = 0.1
    """Share of the training split that becomes the validation part if the store has no valid split."""
    split_seed: Annotated[int, Within(0, LARGEST)] = 0
    """Seed of that division. It is the same for all runs of a comparison, so that they are paired."""
    train_limit: Annotated[int, Within(0, 10**9)] = 0
    """Use at most this many training samples, stratified by class. 0 uses all."""
    protocol: Literal["holdout", "kfold", "group-kfold", "loso", "hde"] = "holdout"
    """The corpus's own test split; or cross-validation over all samples: stratified, by subject, one subject out, one
    corpus out."""
    folds: Annotated[int, Within(2, 1000)] = 5
    """Number of folds of `kfold` and `group-kfold`. `loso` has one for each subject, `hde` for each corpus."""
    fold: Annotated[int, Within(0, 10**6)] = 0
    """Which fold is the test, from 0. A comparison runs them all."""
    repeat: Annotated[int, Within(0, 10**6)] = 0
    """Which repetition of the cross-validation. Another value divides the samples anew."""
    label_noise: Annotated[float, Within(0, 0.9)] = 0.0
    """Share of training labels replaced by another class at random, to see what wrong labels cost."""
    shuffle: Literal["full", "blocks"] = "full"
    """The order of the training faces. `full` shuffles all of them, in memory. `blocks` shuffles blocks of
    neighbours, 128 at a time, which are read from the disk when they are needed (`mien.data.blocks`).
    """


Head = Literal["fc", "flat", "gap"]
PUBLISHED_HEADS: Mapping[str, Head | Literal["published"]] = {
    "vgg16": "fc",
    "vgg_paper": "flat",
    **dict.fromkeys(("dual-inception", "mlp", "offapexnet", "rcn-a", "ststnet"), "published"),
}
"""Published heads of the networks that do not have the default, `gap`. Those of micro-expressions and of values have
no other name.
"""
MLP = "mlp"
"""The network that reads values; all others read pictures."""
READ = (("image", "uint8"), ("flow", "float32"), ("points", "float32"), ("numbers", "float32"))
"""Kinds and types of the planes that a network can read."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Table):
    """The network, and its deviations from the published one."""

    TABLE = "model"

    name: str = "resnet34"
    """A key of `mien.models.NETWORKS`."""
    dropout: Annotated[float, Within(0, 0.95)] = 0.0
    """Probability of dropping a feature before the classifier (in VGG's head: after each hidden layer)."""
    block_dropout: Annotated[float, Within(0, 0.95)] = 0.0
    """Probability of dropping an activation inside the blocks."""
    width: Annotated[float, Within(0.01, 8, log=True)] = 1.0
    """Multiplier of every channel count. 1 is the published network."""
    stem: Literal["imagenet", "small", "stride1"] = "imagenet"
    """`imagenet` as published for 224 px; `small` keeps the resolution of a 48 px face; `stride1` keeps it too, and the
    published kernels, so that published weights fit."""
    head: Literal["published", "fc", "flat", "gap"] = "published"
    """`fc`: 7×7 pool and 4096-wide layers; `flat`: the map as it is; `gap`: global average; or as published."""
    plane: Annotated[str, Letters(32)] = "face"
    """The plane of the store that the network reads: the face, or another of images or of flow; `mlp` reads one of
    points or of numbers."""
    beside: Annotated[str, Letters(32)] = ""
    """A second plane, which a network of its own reads (`mien.models.fused`). Empty: none."""
    branch: str = ""
    """The network that reads the second plane. Empty: `model.name` again, or `mlp` for points and numbers."""
    fusion: Literal["late", "gated"] = "late"
    """How two planes are fused: their vectors are concatenated (`late`), or weighted by a gate (`gated`, Arevalo
    2017).
    """
    in_chans: Annotated[int, Within(0, 64)] = 0
    """Channels of the input. 0 takes those of the plane."""
    attention: str = "none"
    """An attention module, which weights channels or cells of a feature map: `none`, or a key of
    `mien.models.attention.ATTENTION`.
    """
    classifier: Literal["linear", "cosine"] = "linear"
    """The last layer. `cosine` gives 30 times the cosine between feature and class vectors, as `loss.name = "ldam"`
    needs it.
    """
    init: Literal["published", "dirac"] = "published"
    """Initial weights: as published, or with 3×3 convolutions that begin as the identity (`dirac`)."""
    mirror: bool = False
    """In prediction, average the logits of each face and its mirror image: test-time flip, at twice the cost."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beside == self.plane:
            raise ConfigError(f"model.beside is {self.beside}, which model.plane reads already. Name another plane.")
        for key in ("branch", "fusion"):
            if not self.beside and (value := getattr(self, key)) != getattr(ModelSettings, key):
                raise ConfigError(
                    f"model.{key} is {value}, and the network reads one plane alone. Name a second one in model.beside."
                )

    @property
    def named_head(self) -> Head | Literal["published"]:
        """The head; the published one is given by its name."""
        return PUBLISHED_HEADS.get(self.name, "gap") if self.head == "published" else self.head

    @property
    def reads_face(self) -> bool:
        """Whether the face is all that the network reads."""
        return self.plane == FACE and not self.beside

    def taken(self, planes: Mapping[str, Plane]) -> tuple[Plane, ...]:
        """The planes of a store that the network reads.

        Raises `ConfigError` if the store has no such plane, or a network cannot read it.
        """
        first = _readable("model.plane", self.plane, planes, self.name)
        if not self.beside:
            return (first,)
        seen = planes.get(self.beside)
        return first, _readable("model.beside", self.beside, planes, self.branch_on(seen) if seen else "")

    def branch_on(self, plane: Plane) -> str:
        """The network that reads a second plane."""
        return self.branch or (self.name if plane.kind in PICTURES else MLP)


def _readable(key: str, name: str, planes: Mapping[str, Plane], network: str) -> Plane:
    """The plane with this name; raises `ConfigError` if there is none or the network cannot read it."""
    plane = planes.get(name)
    if plane is None:
        raise ConfigError(f"{key} is {name!r}; the store has {', '.join(planes)}.")
    values = plane.kind not in PICTURES
    square = len(plane.shape) == 3 and plane.shape[0] == plane.shape[1]
    if (plane.kind, plane.dtype) in READ and values == (network == MLP) and (values or square):
        return plane
    if network == MLP:
        reads = "mlp reads points and numbers of float32, and other networks read pictures"
    else:
        reads = "a network reads square images (H, W, C) of uint8, or square flow of float32, and mlp reads values"
    raise ConfigError(f"{key} is {plane.name}, {plane.kind} {plane}; {reads}.")


@dataclass(frozen=True, kw_only=True)
class LossSettings(Table):
    """The loss: which function, on which targets, with which class weights."""

    TABLE = "loss"

    name: str = "cross-entropy"
    """A key of `mien.losses.LOSSES`: `cross-entropy`, `focal`, `logit-adjusted` or `ldam`."""
    gamma: Annotated[float, Within(0, 10)] = 2.0
    """For `focal`: how fast the weight of a sample falls as it is learned. 0 is cross-entropy."""
    tau: Annotated[float, Within(0, 10)] = 1.0
    """For `logit-adjusted`: how many times the log of a class's share is subtracted. 1 is the balanced softmax."""

    label_smoothing: Annotated[float, Within(0, 0.99)] = 0.0
    """Label smoothing: share of the target that is spread evenly over all classes."""
    soft_labels: bool = False
    """Train on the store's distributions (FER+ votes, outputs of teachers) instead of labels, for samples that have
    them.
    """
    class_weights: Literal["none", "balanced", "effective"] = "none"
    """`balanced` weighs a class by the inverse of its frequency in training, `effective` by that of its effective
    number of samples (Cui 2019)."""
    beta: Annotated[float, Within(0, 0.999999)] = 0.999
    """For `effective`: 0 weights all classes equally; towards 1 it becomes `balanced`."""
    weights_from: Annotated[float, Within(0, 1)] = 0.0
    """Class weights apply after this share of the epochs (deferred re-weighting, Cao 2019), and one with them is
    kept. 0: from the start."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Table):
    """The optimizer and its learning rate."""

    TABLE = "optimizer"

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """`sgd` is with Nesterov momentum."""
    lr: Annotated[float, Within(0, 100, log=True)] = 1e-4
    """Peak learning rate."""
    momentum: Annotated[float, Within(0, 0.9999)] = 0.9
    """Momentum of `sgd`, first beta of Adam and AdamW."""
    weight_decay: Annotated[float, Within(0, 10, log=True)] = 0.0
    """L2 penalty (`adam`, `sgd`) or decoupled decay (`adamw`). Biases and norms have none."""
    schedule: Literal["constant", "cosine", "onecycle"] = "constant"
    """The learning rate after warm-up: constant, half a cosine down to 0, or linearly up and down."""
    warmup_epochs: Annotated[float, Within(0, 100_000)] = 0.0
    """Epochs of linear rise from 0 to `lr`; for `onecycle` the length of its rise."""
    ema: Annotated[float, Within(0, 0.999999)] = 0.0
    """Decay per step of the averaged weights that are evaluated and kept. 0 keeps the trained weights."""
    clip_norm: Annotated[float, Within(0, 1e9, log=True)] = 0.0
    """Largest norm of the gradient. 0 does not clip."""
    layer_decay: Annotated[float, Within(0.01, 1)] = 1.0
    """The learning rate of each stage is this factor times that of the next stage, towards the classifier. 1: all
    stages have one rate, as they have without `start.weights`: random weights have nothing to keep.
    """


@dataclass(frozen=True, kw_only=True)
class StartSettings(Table):
    """The initial weights, and which of them stay frozen (`mien.models.stages`)."""

    TABLE = "start"

    weights: Annotated[str, Letters(1000)] = ""
    """A run folder, a model file, a model that comes with mien (`default`), a `.safetensors` file with torchvision's or
    timm's keys, `timm/NAME` from the Hugging Face hub, or `imagenet` for efficientnet-lite0. Empty: random."""
    frozen: Annotated[int, Within(-1, 100)] = 0
    """Number of frozen stages, counted from the input. -1: all but the classifier (a linear probe)."""
    unfreeze_epochs: Annotated[int, Within(0, 100_000)] = 0
    """After each such number of epochs one more stage is unfrozen, the last one first. 0: never."""
    sha256: str = ""
    """SHA-256 of the content of `weights`, filled in when a run is planned. If a recipe gives it, other weights are
    refused.
    """


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Table):
    """The length of the training, its batches, and the choice of the epoch."""

    TABLE = "train"

    epochs: Annotated[int, Within(1, 100_000, log=True)] = 75
    """Passes over the training part."""
    batch_size: Annotated[int, Within(1, 1_000_000, log=True)] = 512
    """Samples in an optimizer step."""
    micro_batch: Annotated[int, Within(0, 1_000_000)] = 64
    """Samples in a forward pass, a chunk. Gradients add up over a batch, and batch norm sees one chunk. 0: the whole
    batch.
    """
    chunks: Literal["chained", "apart"] = "chained"
    """Whether random draws and the averages of batch norm continue from one chunk to the next (`chained`), or each
    chunk is independent (`apart`), as is necessary if several processes share a batch (`mien.chunks`).
    """
    sampling: Literal["natural", "balanced", "bootstrap"] = "natural"
    """`balanced` draws every class equally often, with replacement. `bootstrap` draws once for all epochs, with
    replacement, as bagging does. An epoch has as many samples as before."""
    sizes: Annotated[tuple[int, ...], Within(8, 1024)] = ()
    """Side of the training images in pixels, for equal parts of the epochs (progressive resizing). (): as stored."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of forward and backward; the weights stay float32."""
    select: Literal["last", "best"] = "best"
    """The kept epoch: the last one, or the most accurate one on valid (of equals, that with the lowest loss)."""
    cpus: Annotated[int, Within(0, 1024)] = 0
    """Threads of the run, and processors that an engine reserves for it, so that results have equal bytes on every
    engine and node. 0: as many threads as the process has.
    """
    snapshots: Annotated[int, Within(1, 100)] = 1
    """Number of networks from one training (Huang, Li 2017). The learning rate falls to 0 as often, over equal parts
    of the epochs, and the last epoch of each part is kept. The prediction is their mean probability. 1 is a single
    network.
    """


@dataclass(frozen=True, kw_only=True)
class BoostingSettings(Table):
    """Boosting: networks are trained one after another, each with more weight on the errors of the earlier ones
    (SAMME, Zhu 2009).
    """

    TABLE = "boosting"

    rounds: Annotated[int, Within(1, 100)] = 1
    """Largest number of networks. 1 is a single network, without boosting."""
    by: Literal["weights", "resampling"] = "weights"
    """How a sample's weight is applied: as a factor of its loss, or as the probability of drawing it, in each epoch
    anew.
    """


@dataclass(frozen=True, kw_only=True)
class AugmentSettings(Table):
    """Random changes to training images; all off by default."""

    TABLE = "augment"

    flip: bool = False
    """Mirror left and right."""
    alternate: bool = True
    """Mirror each image every other epoch, starting at random (alternating flip). False: each image is mirrored with
    probability 0.5.
    """
    shift: Annotated[float, Within(0, 64)] = 0.0
    """Largest shift, in pixels at the stored size."""
    rotation: Annotated[float, Within(0, 180)] = 0.0
    """Largest rotation, in degrees."""
    scale: Annotated[float, Within(0, 0.9)] = 0.0
    """Largest change of scale: 0.1 is 90 to 110 %."""
    contrast: Annotated[float, Within(0, 0.9)] = 0.0
    """Largest change of contrast and of brightness: 0.2 is 80 to 120 % and ± 20 % of the range."""
    cutout: Annotated[int, Within(0, 512)] = 0
    """Side of a square, in pixels at the stored size, that is set to mid-grey at a random place."""
