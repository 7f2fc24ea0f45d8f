"""A store whose training faces carry what trained models say of them: distillation, with the teacher asked once.

In: a store, the model files that teach, the share of their word. Out: a new store in which each training sample's
distribution is `(1 - share) * its own + share * the mean of the teachers' calibrated probabilities`; its own is the
annotators' votes where the corpus has them, else its label. Trained with `train.soft_labels`, a student learns which
faces its teachers find alike (Hinton 2015, arXiv:1503.02531; students as large as their teachers: Furlanello 2018,
arXiv:1805.04770). Labels, splits, pixels and the order of rows stay, so the same validation part is carved off; faces
of valid and test splits keep their distributions, by which answers are judged.

A teacher must not have seen what judges the student: give it models of the same store, whose split they share. The
store's notes say which teachers learned elsewhere. Cross-validation over a taught store has no honest test, since its
teachers saw every fold; distributions that models gave count nowhere as annotators' votes (`Store.votes`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..card import Card
from ..crop import CropSpec
from ..errors import ConfigError, DataError
from ..progress import track
from .store import Meta, Sample, Store, create_store

__all__ = ["teach"]


def teach(store: Store, teachers: Sequence[Bundle], share: float, out: Path, *, force: bool = False) -> Meta:
    """Write `store` with the word of `teachers` in its training distributions as a new store at `out`, whole or not.

    Raises `ConfigError` where there is no teacher, `share` is outside (0, 1], or a teacher was made for other crops or
    other classes; `DataError` where `out` cannot be written.
    """
    _check(store, teachers, share)
    if out.resolve() == store.path.resolve():
        raise DataError(f"{out} is the store that is being taught. Choose another --out.")
    samples = zip(chain.from_iterable(store.iter_images()), store.iter_samples(), _said(store, teachers), strict=True)
    try:
        with create_store(out, store.labels, store.meta.crop, replace=force) as writer:
            for row, (image, sample, said) in enumerate(track(samples, "Teaching", len(store))):
                taught = replace(sample, soft=_mixed(sample, said, share))
                writer.add(image, taught, None if store.au_masks is None else store.au_masks[row])
            return writer.finish_from(store, _note(store, teachers, share), taught=True)
    except OSError as error:
        raise DataError(f"The store {out} cannot be written ({error.strerror or error}).") from None


def _check(store: Store, teachers: Sequence[Bundle], share: float) -> None:
    if not teachers:
        raise ConfigError("A store is taught by one model or more; pass --model.")
    if not 0 < share <= 1:
        raise ConfigError(f"The teachers' share is above 0 and at most 1; got {share}.")
    for teacher in teachers:
        card = teacher.card
        if (card.labels, card.crop) != (store.meta.labels, store.meta.crop):
            raise ConfigError(
                f"A teacher has the store's crops and classes: {store.path} holds "
                f"{_faces(store.meta.crop, store.meta.labels)}; {teacher.path} takes {_faces(card.crop, card.labels)}."
            )


def _faces(spec: CropSpec, labels: Sequence[str]) -> str:
    return f"{spec.size} px, {spec.channels} channels, margin {spec.margin:g}, {', '.join(labels)}"


def _said(store: Store, teachers: Sequence[Bundle]) -> Iterator[NDArray[np.float64]]:
    """The mean of the teachers' probabilities `(K,)` for each image, in order."""
    for images in store.iter_images():
        yield from np.mean([teacher.probs(images) for teacher in teachers], axis=0)


def _mixed(sample: Sample, said: NDArray[np.float64], share: float) -> tuple[float, ...]:
    own = np.array(sample.soft) if sample.soft else np.eye(len(said))[sample.label]
    mixed = (1 - share) * own + share * said if sample.split == "train" else own
    return tuple(mixed.tolist())


def _note(store: Store, teachers: Sequence[Bundle], share: float) -> str:
    return (
        f"Taught from the store {store.meta.sha256[:16]}: {100 * share:g} % of each training distribution is the mean "
        f"probability of {', '.join(_named(teacher.card, store) for teacher in teachers)}."
    )


def _named(card: Card, store: Store) -> str:
    """The teacher, its file's hash, and where it learned: on another store it may have seen this one's test."""
    school = "this store" if card.fingerprint == store.meta.sha256 else f"the other store {card.fingerprint[:16]}"
    return f"{card.run} ({card.sha256[:16]}, trained on {school})"
