"""Networks and their training in words, from the settings of the runs."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from ..compare import Comparison
from ..config import NetworkSettings
from ..data.store import Store
from ..planes import FACE
from ..words import listed, many, yes
from .settings_words import SettingsWords

__all__ = ["networks_words", "training_words"]

NETWORKS: Mapping[str, str] = {
    "vgg16": "VGG-16 with batch norm (Simonyan & Zisserman 2015; Ioffe & Szegedy 2015)",
    "densenet121": "DenseNet-121 (Huang et al. 2017)",
    "resnet34": "ResNet-34 (He et al. 2016)",
    "vgg_paper": "VGG with four blocks of two convolutions",
    "compact-s": "compact-s, small residual blocks (He et al. 2016)",
    "compact-m": "compact-m, small residual blocks (He et al. 2016)",
    "compact-l": "compact-l, small residual blocks (He et al. 2016)",
    "efficientnet-lite0": "EfficientNet-Lite0 (Tan & Le 2019; Liu 2020)",
}
STEMS = {
    "imagenet": "as published for 224 pixels",
    "small": "with stride 1 and without the first pool",
    "stride1": "the published convolution with stride 1 and without the first pool",
}
FUSION = {
    "late": "late fusion: both vectors side by side",
    "gated": "a gated multimodal unit (Arevalo et al. 2017)",
}
HEADS = {
    "gap": "global average pooling and one linear layer",
    "flat": "the flattened map and the published hidden layers",
    "fc": "7 × 7 average pooling and the published hidden layers",
    "published": "as published",
}
ATTENTION = {
    "none": "none",
    "se": "squeeze and excitation (Hu et al. 2018)",
    "eca": "efficient channel attention (Wang et al. 2020)",
    "cbam": "the convolutional block attention module (Woo et al. 2018)",
    "coordinate": "coordinate attention (Hou et al. 2021)",
}


def networks_words(comparison: Comparison, settings: SettingsWords) -> Iterator[str]:
    sizes: dict[str, set[int]] = {}
    for run in comparison.runs:
        if not isinstance(run.settings, NetworkSettings):
            continue
        sizes.setdefault(run.settings.name, set()).add(run.record.costs.parameters)
    words = (f"{NETWORKS.get(name, name)}, {_millions(found)}" for name, found in sizes.items())
    yield f"Compared were {'; '.join(words)}."
    yield from _start_words(comparison, settings)
    yield from _plane_words(settings)
    if settings.values("model.width") != [1.0]:
        yield f"Every channel count was multiplied by {settings.words('model.width')}."
    yield f"Stem: {settings.words('model.stem', lambda value: STEMS.get(value, value))}."
    yield f"Head: {settings.words('model.head', lambda value: HEADS.get(value, value))}."
    if settings.anywhere("model.dropout"):
        yield f"Dropout before the classifier (Srivastava et al. 2014): {settings.words('model.dropout')}."
    else:
        yield "No dropout before the classifier."
    if settings.anywhere("model.block_dropout"):
        yield f"Dropout inside the blocks: {settings.words('model.block_dropout')}."
    if settings.values("model.attention") != ["none"]:
        yield f"Attention: {settings.words('model.attention', lambda value: ATTENTION.get(value, value))}."
    if settings.values("model.classifier") != ["linear"]:
        yield f"The last layer compares vectors by: {settings.words('model.classifier')}."
    if settings.values("model.init") != ["published"]:
        words_of = {"published": "as published", "dirac": "3 × 3 convolutions that start as the identity"}
        yield f"Initial weights: {settings.words('model.init', words_of.__getitem__)} (Zagoruyko & Komodakis 2017)."
    if settings.anywhere("model.mirror"):
        flipped = settings.words("model.mirror", yes)
        yield f"In prediction, the logits of each face and of its mirror image were averaged: {flipped}."
    pretrained = [value for value in settings.values("start.weights") if value]
    yield (
        f"A network takes bytes ({settings.words('model.in_chans')} colour channels) and normalises them inside by "
        f"mean and deviation of the training part{', or of what it started from' * bool(pretrained)}."
    )


def _plane_words(settings: SettingsWords) -> Iterator[str]:
    """The planes that the networks read, if these are not just the face."""
    if settings.values("model.plane") != [FACE]:
        yield f"Of each sample was read the plane: {settings.words('model.plane')}."
    if settings.values("model.beside") == [""]:
        return
    yield (
        f"Beside it, by a network of its own, was read the plane: {settings.words('model.beside', _or_none)}. The two "
        f"became one by {settings.words('model.fusion', FUSION.__getitem__)}."
    )
    if settings.values("model.branch") != [""]:
        yield f"The network of the second plane: {settings.words('model.branch', _usual)}."


def _or_none(plane: str) -> str:
    return plane or "none"


def _usual(network: str) -> str:
    return network or "the same as of the first, or an MLP of points and numbers"


def _start_words(comparison: Comparison, settings: SettingsWords) -> Iterator[str]:
    """The initial weights, and the frozen ones."""
    started = {run.settings.start.weights: run for run in comparison.runs if isinstance(run.settings, NetworkSettings)}
    settings.values("start.sha256")
    if set(settings.values("start.weights")) <= {""}:
        yield "Initial weights were random; nothing was pretrained."
    elif "" in started:
        yield "Initial weights were random in the rows that name no other start."
    for weights, run in started.items():
        if weights:
            yield from _pretrained(weights, (run.environment or {}).get("start", {}))
    if settings.anywhere("start.frozen"):
        yield f"Frozen were, with their batch norm: {settings.words('start.frozen', _frozen)}."
        if settings.anywhere("start.unfreeze_epochs"):
            yield f"A stage more was trained after every {settings.words('start.unfreeze_epochs', _epochs)}."


def _pretrained(weights: str, facts: Mapping[str, str]) -> Iterator[str]:
    name = facts.get("weights", PurePath(weights).name)
    yield f"Pretrained: rows that start from {PurePath(weights).name} began with the weights of {name}."
    if facts:
        yield f"{facts['said']} Pixels are normalised as they were there ({facts['normalisation']})."
        yield f"The sha256 of these weights begins with {facts['sha256'][:12]}."
        if "seen" in facts:
            yield facts["seen"]


def _frozen(count: int) -> str:
    if count < 0:
        return "all stages but the classifier"
    return many(count, "stage") + " from the input" if count else "no stage"


OPTIMIZERS = {
    "adam": "Adam (Kingma & Ba 2015)",
    "adamw": "AdamW (Loshchilov & Hutter 2019)",
    "sgd": "stochastic gradient descent",
}
SCHEDULES = {
    "constant": "constant",
    "cosine": "falling by half a cosine to 0 (Loshchilov & Hutter 2017)",
    "onecycle": "falling linearly to 0, in one cycle (Smith & Topin 2019)",
}

LOSSES = {
    "cross-entropy": "cross-entropy",
    "focal": "the focal loss (Lin et al. 2017)",
    "logit-adjusted": "the logit-adjusted loss (Menon et al. 2021)",
    "ldam": "the LDAM loss (Cao et al. 2019)",
}
WEIGHTS = {
    "none": "nothing",
    "balanced": "the inverse of their frequency",
    "effective": "the inverse of their effective number of samples (Cui et al. 2019)",
}
SAMPLING = {
    "natural": "once an epoch each",
    "balanced": "equally often from every class, with replacement",
    "bootstrap": "once for the whole training, with replacement (bagging, Breiman 1996)",
}
SHUFFLES = {
    "full": "fully shuffled in every epoch",
    "blocks": "blocks of neighbours, shuffled in every epoch and interleaved",
}


BOOSTING = {
    "weights": "losses that were weighted by the errors of the earlier networks",
    "resampling": "samples that were drawn by the errors of the earlier networks",
}


def training_words(settings: SettingsWords, store: Store | None) -> Iterator[str]:
    """The training in words; `store` is that of the runs, if it still exists."""
    yield (
        f"{settings.words('train.epochs', _epochs)} of {settings.words('loss.name', _loss)} against "
        f"{_targets(settings, store)}, by "
        f"{settings.words('optimizer.name', OPTIMIZERS.__getitem__)} at batches of "
        f"{settings.words('train.batch_size')}."
    )
    yield _passes(settings)
    yield (
        f"The learning rate peaked at {settings.words('optimizer.lr')}; it was{_warmup(settings)} "
        f"{settings.words('optimizer.schedule', SCHEDULES.__getitem__)}. {_momentum(settings)} {_decay(settings)}"
    )
    for key, words in (
        ("loss.label_smoothing", "Labels were smoothed by {} (Szegedy et al. 2016)."),
        ("optimizer.ema", "Running averages of the weights (decay {} at each step) were evaluated and kept."),
        (
            "optimizer.layer_decay",
            "In rows with a start, the rate of each stage was that of the next, towards the classifier, times {}.",
        ),
        ("optimizer.clip_norm", "Gradients were clipped to a norm of {}."),
        ("train.sizes", "Training images were resized over equal parts of the epochs, to {} pixels a side."),
    ):
        if settings.anywhere(key) and settings.values(key) != [1.0]:
            yield words.format(settings.words(key))
    for key, loss, words in (
        ("loss.gamma", "focal", "The focal loss had gamma {}."),
        ("loss.tau", "logit-adjusted", "Logits were adjusted with tau {}."),
    ):
        if loss in settings.values("loss.name"):
            yield words.format(settings.words(key))
    if settings.anywhere("loss.class_weights"):
        yield f"Classes were weighted by {settings.words('loss.class_weights', WEIGHTS.__getitem__)}."
        if "effective" in settings.values("loss.class_weights"):
            yield f"The effective number of samples was that of beta {settings.words('loss.beta')}."
        if settings.anywhere("loss.weights_from"):
            yield f"Weights acted after a share of the epochs: {settings.words('loss.weights_from')}."
    if settings.values("train.sampling") != ["natural"]:
        yield f"Training samples were drawn {settings.words('train.sampling', SAMPLING.__getitem__)}."
    if settings.values("data.shuffle") != ["full"]:
        yield f"The order of the training faces: {settings.words('data.shuffle', SHUFFLES.__getitem__)}."
    if settings.values("train.snapshots") != [1]:
        yield (
            f"One training gave several networks, each where the rate had fallen to 0 again (Huang, Li et al. 2017): "
            f"{settings.words('train.snapshots', _snapshots)}. They answer by their mean probability."
        )
    if settings.values("boosting.rounds") != [1]:
        yield (
            f"Networks were boosted by SAMME (Zhu et al. 2009): {settings.words('boosting.rounds', _rounds)}. Each "
            f"network was trained on {settings.words('boosting.by', BOOSTING.__getitem__)}; they vote."
        )
    yield f"Arithmetic: {settings.words('train.precision')}."
    if settings.values("train.cpus") != [0]:
        yield f"Threads of each training: {settings.words('train.cpus', _threads)}."
    yield _augmentation(settings)


def _threads(cpus: int) -> str:
    return str(cpus) if cpus else "as many as the machine gave"


def _loss(name: str) -> str:
    """A loss in words; one without words here has its name."""
    return LOSSES.get(name, f"the loss {name}")


def _targets(settings: SettingsWords, store: Store | None) -> str:
    """The targets of the loss: distributions only if they were requested and the data has some."""
    asked = settings.values("loss.soft_labels")
    if not any(asked):
        return "the labels"
    if store is not None and store.samples.soft is None:
        return "the labels (loss.soft_labels was set, and the data has no distributions)"
    what = "the data's label distributions" + ", where it has some" * (store is None)
    return what if all(asked) else f"single labels or {what} ({settings.words('loss.soft_labels', yes)})"


def _passes(settings: SettingsWords) -> str:
    """Whether a batch passes whole; only a run whose parts are smaller than its batch passes it in parts."""
    settings.values("train.micro_batch")
    parts = {
        flat["train.micro_batch"] if 0 < flat["train.micro_batch"] < flat["train.batch_size"] else 0
        for flat in settings.flat
    }
    if parts == {0}:
        return "Each batch passed through the network whole."
    size = settings.words("train.micro_batch", _whole)
    said = f"A batch passed in parts of at most {size} faces, whose gradients add up; batch norm sees one part."
    if settings.values("train.chunks") == ["chained"]:
        return said
    return f"{said} Random draws and averages of batch norm, from part to part: {settings.words('train.chunks')}."


def _warmup(settings: SettingsWords) -> str:
    if not settings.anywhere("optimizer.warmup_epochs"):
        return ""
    return f" rising linearly for {settings.words('optimizer.warmup_epochs', _epochs)}, then"


def _momentum(settings: SettingsWords) -> str:
    """Momentum is what SGD has, and under Adam the first beta."""
    kinds = set(settings.values("optimizer.name"))
    if not settings.anywhere("optimizer.momentum"):
        return "There was no momentum." if kinds == {"sgd"} else "Adam's first beta was 0."
    value = settings.words("optimizer.momentum")
    if kinds == {"sgd"}:
        return f"Nesterov momentum was {value}."
    return f"Adam's first beta was {value}." if "sgd" not in kinds else f"Momentum, or Adam's first beta, was {value}."


def _decay(settings: SettingsWords) -> str:
    if not settings.anywhere("optimizer.weight_decay"):
        return "There was no weight decay."
    return f"Weight decay, on weights but not on biases and norms, was {settings.words('optimizer.weight_decay')}."


def _augmentation(settings: SettingsWords) -> str:
    parts = []
    if settings.anywhere("augment.flip"):
        how = {True: "every other epoch", False: "by a coin"}
        ways = settings.words("augment.alternate", how.__getitem__)
        parts.append(f"mirroring left and right, {ways} ({settings.words('augment.flip', yes)})")
    for key, words in (
        ("augment.shift", "shifts of up to {} pixels"),
        ("augment.rotation", "rotations of up to {} degrees"),
        ("augment.scale", "changes of scale of up to {}"),
        ("augment.contrast", "changes of contrast and brightness of up to {}"),
        ("augment.cutout", "a grey square of {} pixels at a random place (DeVries & Taylor 2017)"),
    ):
        if settings.anywhere(key):
            parts.append(words.format(settings.words(key)))
    return f"Training images were changed at random: {listed(parts)}." if parts else "There was no augmentation."


def _millions(counts: set[int]) -> str:
    shown = sorted(f"{count / 1e6:.2f} M" for count in counts if count)
    return f"{' or '.join(dict.fromkeys(shown))} parameters" if shown else "parameters not counted"


def _epochs(value: float) -> str:
    return many(value, "epoch")


def _snapshots(value: int) -> str:
    return f"{value} snapshots" if value > 1 else "one network alone"


def _rounds(value: int) -> str:
    return f"at most {value} rounds" if value > 1 else "one network alone"


def _whole(value: int) -> str:
    return f"{value:,}" if value else "the whole batch's"
