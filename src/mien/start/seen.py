"""Checks whether weights were trained on the test faces of a run: certain overlap is refused, possible overlap is
reported.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..config import DataSettings, NetworkSettings
from ..data.store import Store
from ..errors import ConfigError, DataError
from ..familiar import count_copies, earlier_words, familiar
from ..origins import IMAGENET, Origin, joined_corpora, learnt_before
from ..planes import FACE

__all__ = ["check_folds", "corpora_of", "seen_words"]

WITHIN: dict[str, Any] = {
    name: getattr(DataSettings(), name) for name in ("train_limit", "label_noise", "valid_fraction")
}
"""Settings of the data that do not affect which faces are in the test."""


def check_folds(origin: Origin, settings: NetworkSettings, store: Store) -> None:
    """Refuse a run on the same store that may have been trained on what this one tests."""
    if origin.kind != "run" or origin.run.data.fingerprint != store.meta.sha256:
        return
    theirs, ours = (replace(one, **WITHIN) for one in (origin.run.settings.data, settings.data))
    if theirs == ours or theirs.protocol == ours.protocol == "holdout":
        return
    raise ConfigError(
        f"start.weights: {origin.name} was trained on this store with data.protocol={theirs.protocol}, fold "
        f"{theirs.fold}; this run tests with {ours.protocol}, fold {ours.fold}. It may have learnt the faces of the "
        "test. Start from a run with the same division, or from another corpus."
    )


def corpora_of(origin: Origin) -> str:
    """The corpora that weights were trained on, and those that their own initial weights were, joined by +; empty for
    weights from a plain file, of which nothing is known.
    """
    known: tuple[str, ...] = ()
    if origin.kind == "published":
        known = (IMAGENET,)
    elif origin.kind == "model":
        card = Bundle.open(origin.file).card
        known = (card.corpus, card.earlier)
    elif origin.kind == "run":
        known = (origin.run.data.corpus, learnt_before(origin.run))
    return joined_corpora(known)


def seen_words(origin: Origin, store: Store) -> str:
    """A warning about the faces that weights were trained on; empty if nothing connects them to these."""
    name = f"What it starts from, {origin.name},"
    if origin.kind == "model":
        card = Bundle.open(origin.file).card
        return familiar(name, card.corpus, card.fingerprint, store, "test", earlier=card.earlier)[0]
    if origin.kind != "run":
        return ""
    data, earlier = origin.run.data, learnt_before(origin.run)
    if data.fingerprint == store.meta.sha256:  # other folds are refused, and the test of a holdout was not used
        return earlier_words(name, earlier, store)
    words, _ = familiar(name, data.corpus, data.fingerprint, store, "test", earlier=earlier)
    return f"{words} {_copies(origin, store)}".strip()


def _copies(origin: Origin, store: Store) -> str:
    """How many faces that may be tested were used for training or selection, if that store still exists."""
    run = origin.run
    try:
        other = run.store()
    except DataError:
        return ""
    rows = store.rows("test") if len(store.rows("test")) else np.arange(len(store))
    if other.meta.crop.plane.shape != store.meta.crop.plane.shape:
        return ""
    batches = (store.read(part)[FACE] for part in np.split(rows, range(1024, len(rows), 1024)))
    equal = count_copies(other, other.samples.split != "test", batches)
    return f"Of {len(rows):,} faces to be tested on, {equal:,} are pictures that it was trained or chosen on."
