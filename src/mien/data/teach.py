"""Distillation: a store whose training labels are mixed with the predictions of trained models, computed once.

In: a store, the model files that teach, the share of their predictions. Out: a new store in which each training
sample's distribution is `(1 - share) * its own + share * the mean of the teachers' calibrated probabilities`; "Its own"
is the distribution of annotators' votes, or the label where the corpus has no votes. Trained with `loss.soft_labels`, a
student learns which faces its teachers find alike (Hinton 2015, arXiv:1503.02531; students as large as their teachers:
Furlanello 2018, arXiv:1805.04770). Labels, splits, pixels and the order of rows stay, so the same validation part is
carved off; faces of valid and test splits keep their distributions.

A teacher must not have been trained on the student's validation or test faces: use models of the same store, protocol
and `split_seed`. The store's notes name teachers that were trained on another store. `mien.data.splits` refuses to
cross-validate over a taught store, because its teachers were trained on every fold. The models' predictions never count
as annotators' votes (`Store.votes`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from ..bundle import Bundle
from ..card import Card
from ..crop import CropSpec
from ..errors import ConfigError, DataError
from ..planes import FACE, Batch, one_by_one
from ..progress import track
from ..reading import GivenPath, given_path
from .store import Meta, Sample, Store, create_store

__all__ = ["teach"]


def teach(store: Store, teachers: Sequence[Bundle], share: float, out: GivenPath, *, force: bool = False) -> Meta:
    """Mix the predictions of `teachers` into the training distributions of `store`, and write the new store at `out`.

    Args:
        store: the store to read; it is not changed.
        teachers: models of the store's crops and classes, one or more. They predict training faces only.
        share: the teachers' weight in each training distribution; above 0, at most 1.
        out: a folder that is not there yet, or with `force` a store to replace.

    Raises:
        ConfigError: no teacher, a share out of its range, or a teacher of other crops or classes.
        DataError: `out` is `store`, or there already, or cannot be written; or the store is damaged.
        BundleError: ONNX Runtime cannot load a teacher.
    """
    _check(store, teachers, share)
    out = given_path(out, "A store", DataError)
    if out.resolve() == store.path.resolve():
        raise DataError(f"{out} is the store that is being taught. Choose another --out.")
    with create_store(out, store.labels, store.meta.crop, planes=store.others, replace=force) as writer:
        for planes, sample in track(_lessons(store, teachers, share), "Teaching", len(store)):
            writer.add(sample, **planes)
        return writer.finish_from(store, _note(store, teachers, share), taught=True)


def _check(store: Store, teachers: Sequence[Bundle], share: float) -> None:
    if not teachers:
        raise ConfigError("Teaching needs one model or more. Pass --model.")
    if not 0 < share <= 1:
        raise ConfigError(f"The teachers' share must be above 0 and at most 1; got {share}.")
    for teacher in teachers:
        card = teacher.card
        if (card.labels, card.crop) != (store.meta.labels, store.meta.crop):
            raise ConfigError(
                f"A teacher must have the store's crops and classes: {store.path} holds "
                f"{_faces(store.meta.crop, store.meta.labels)}; {teacher.path} takes {_faces(card.crop, card.labels)}. "
                "Choose another --model, or prepare the store with its --size, --grey or --rgb, --margin and --labels."
            )


def _faces(spec: CropSpec, labels: Sequence[str]) -> str:
    return f"{spec.size} px, {spec.channels} channels, margin {spec.margin:g}, {', '.join(labels)}"


def _lessons(store: Store, teachers: Sequence[Bundle], share: float) -> Iterator[tuple[Batch, Sample]]:
    """The planes and the sample of each row, in order. Training samples have the teachers' predictions mixed in."""
    rest = store.iter_samples()
    for batch in store.iter_batches(tuple(store.planes)):
        samples = list(islice(rest, len(batch[FACE])))
        learns = np.array([sample.split == "train" for sample in samples])
        own = np.array([_own(sample, len(store.labels)) for sample in samples])
        if learns.any():
            probabilities = np.mean([teacher.probs({FACE: batch[FACE][learns]}) for teacher in teachers], axis=0)
            own[learns] = (1 - share) * own[learns] + share * probabilities
        for planes, sample, soft in zip(one_by_one(batch), samples, own.tolist(), strict=True):
            yield planes, replace(sample, soft=tuple(soft))


def _own(sample: Sample, classes: int) -> tuple[float, ...]:
    """The sample's distribution; if it has none, all weight on its label."""
    return sample.soft or tuple(float(k == sample.label) for k in range(classes))


def _note(store: Store, teachers: Sequence[Bundle], share: float) -> str:
    return (
        f"Taught from the store {store.meta.sha256[:16]}: {100 * share:g} % of each training distribution is the mean "
        f"probability of {', '.join(_named(teacher.card, store) for teacher in teachers)}."
    )


def _named(card: Card, store: Store) -> str:
    """The teacher, its file's hash, and the store it was trained on. Another store may hold this store's test faces."""
    school = "this store" if card.fingerprint == store.meta.sha256 else f"the other store {card.fingerprint[:16]}"
    return f"{card.run} ({card.sha256[:16]}, trained on {school})"
