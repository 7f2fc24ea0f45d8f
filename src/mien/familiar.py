"""Tells whether a model was trained on given faces: by its card, by names of corpora, and by counting equal pictures.

A figure on faces of training measures memory, not recognition. A card names the corpus and the fingerprint of the
training store. If that store still exists, the pictures in both can be counted.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .classifier import fitted
from .data.store import Store
from .planes import FACE

__all__ = ["count_copies", "earlier_words", "familiar", "shared_faces"]

SAME_PICTURES = {"ferplus": "fer2013"}
"""Corpora that have the pictures of another corpus, with other labels."""
FORMS = frozenset(("npz", "csv", "folder"))
"""Names of corpora that say how the pictures came, and not which they are."""
NO_CORPUS = frozenset(("", "imagenet"))
"""Names of what no store of faces can share pictures with."""
CHUNK = 1024


def familiar(
    name: str, corpus: str, fingerprint: str, store: Store, part: str, *, earlier: str = "", advice: str = ""
) -> tuple[str, bool]:
    """A warning about a model on a part of a store, and whether its faces were used for training or validation.

    Args:
        name: of the model.
        corpus: its training corpus, by its card or its run.
        fingerprint: the sha256 of its training store.
        store: another one, or the same.
        part: train, valid, test or all.
        earlier: the corpora that its initial weights were trained on; empty for random ones, or where nobody knows.
        advice: a sentence about what to do if only the names of the corpora connect the two.

    Returns:
        A sentence, empty if nothing connects the two; and whether figures on that part are too good.
    """
    if fingerprint == store.meta.sha256:
        if part == "test":
            words = (
                f"{name} was trained on this store, without its test part, unless its run was a fold of a "
                "cross-validation. These faces resemble those of training: others may be harder."
            )
            return f"{words} {earlier_words(name, earlier, store)}".strip(), False
        return (
            f"{name} was trained on this store, and its training used the part {part}: figures are too high.",
            True,
        )
    if _pictures(corpus) & _pictures(store.meta.corpus):
        return (
            f"{name} was trained on {corpus}, from another store; this one is of {store.meta.corpus}. The same "
            f"pictures may be in both. {advice}".strip(),
            part == "train",
        )
    if (FORMS & _names(corpus)) or (FORMS & _names(store.meta.corpus)):
        return (
            f"{name} was trained on {corpus}, and this store is of {store.meta.corpus}: these names do not say whether "
            f"the same pictures are in both. {advice}".strip(),
            False,
        )
    return earlier_words(name, earlier, store), False


def earlier_words(name: str, earlier: str, store: Store) -> str:
    """A warning about the corpora that a model's initial weights were trained on; empty if nothing connects them to a
    store.
    """
    theirs = _names(earlier) - NO_CORPUS
    unnamed = FORMS & (theirs | _names(store.meta.corpus))
    if not theirs or not (unnamed or _pictures(earlier) & _pictures(store.meta.corpus)):
        return ""
    return (
        f"{name} began with weights that were trained on {earlier}. Pictures of this store, of {store.meta.corpus}, "
        "may be among them."
    )


def _pictures(corpus: str) -> set[str]:
    """The corpora whose pictures are in one of this name, such as `fer2013-ferplus`."""
    words = _names(corpus) - FORMS
    return words | {SAME_PICTURES[word] for word in words if word in SAME_PICTURES}


def _names(corpus: str) -> set[str]:
    """The corpora in a name: of several annotations (`fer2013-ferplus`), or of joined stores (`fer2013+rafdb`)."""
    return set(re.split("[-+]", corpus))


def shared_faces(store: Store, rows: NDArray[np.int64], others: Sequence[Store]) -> Iterator[str]:
    """How many of these rows are in the train or valid part of each other store, one sentence a store. It counts equal
    pictures, at the size and in the colours of the other store, and equal sources (a file, or a row of a table).
    """
    for other in others:
        learnt = other.samples.split != "test"
        parts = np.split(rows, range(CHUNK, len(rows), CHUNK))
        pictures = (fitted(store.read(part), [other.meta.crop.plane])[FACE] for part in parts)
        equal = count_copies(other, learnt, pictures)
        named = int(np.isin(store.samples.source[rows], other.samples.source[learnt]).sum())
        yield (
            f"Of {len(rows):,} faces, {equal:,} are also in train or valid of {other.path.name}, and "
            f"{named:,} have a source of the same name there."
        )


def count_copies(store: Store, learnt: NDArray[np.bool_], pictures: Iterator[NDArray[np.uint8]]) -> int:
    """How many of the `pictures`, batches `(n, H, W, C)`, are byte for byte among the `learnt (N,)` rows of a store."""
    own = (image for batch in store.iter_images() for image in batch)
    known = {_digest(image) for image, counts in zip(own, learnt, strict=True) if counts}
    return sum(_digest(image) in known for batch in pictures for image in batch)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
