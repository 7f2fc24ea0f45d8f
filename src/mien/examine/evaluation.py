"""Evaluates model files on a labelled store: accuracy, calibration, groups of people, robustness and labels.

In: opened model files and a part of a store. Out: `Evaluation`, a comparison whose rows are model files. It needs no
torch. All models see the same faces, so their differences are paired. Nothing is chosen or fitted here: each model
keeps the temperature that its card names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ..bundle import Bundle
from ..calibration import softmax
from ..card import Card
from ..compare import NAME, Comparison
from ..data.store import Store
from ..errors import CompareError, MissingExtra
from ..familiar import familiar, shared_faces
from ..planes import FACE
from ..runs import DataFacts, Logits
from .across import adapted
from .damaging import damaged, stratified_faces, undamaged
from .examined import Examined, most_accurate, place_of
from .labelnoise import LabelIssues, OutOfSample, find_issues
from .models import ONE, Common, ModelRow, answered, common_classes, faces_of
from .robustness import LIMIT, Damage, summarise
from .tested import Tested, votes_among

__all__ = ["Evaluation", "evaluate"]

COUNT_THEM = "Give the store of training with --trained-on to count them."
SEED = 0
"""Of the bootstrap: the same models give the same figures."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results of model files on one part of a store."""

    comparison: Comparison
    """Its rows are `ModelRow`s; its data are those of the store, with the common classes."""
    rows: tuple[ModelRow, ...]
    store: Store
    part: str
    """One of `models.PARTS`."""
    examined: Examined
    notes: tuple[str, ...]
    """Notes to read before the figures, in sentences: faces left out, models that were trained on these faces."""


def evaluate(
    models: Mapping[str, Bundle],
    store: Store,
    part: str = "test",
    *,
    damage: bool = False,
    limit: int = LIMIT,
    trained_on: Sequence[Store] = (),
    report: Callable[[int], None] | None = None,
) -> Evaluation:
    """Judge model files on a part of a store.

    Args:
        models: by the names under which they are shown; see `models.open_models`.
        store: with labels; groups, subjects and votes are used where it has them.
        part: one of `models.PARTS`. Opening the test is written into the store's log first, with the models' names.
        damage: also measure them on up to `limit` faces, damaged in 55 ways each.
        limit: see `damage`.
        trained_on: stores that models were trained on; faces that they share with the part are counted.
        report: called after every prediction of the damage suite, `damaging.STEPS` times a model.

    Raises:
        LabelError: the store and the models share fewer than two classes, or two classes of one mean the same.
        DataError: the store has no such part, or cannot be read.
        BundleError: the output of a model is NaN or infinite.
    """
    common = common_classes(models, store)
    faces = faces_of(store, part, common)
    _log_opening(models, store, faces)
    rows = tuple(answered(name, bundle, store, faces, common) for name, bundle in models.items())
    names = tuple(store.meta.labels[k] for k in common.of_store)
    damages = _damages(rows, models, store, limit, report) if damage else ()
    known = [_familiar(row.name, row.card, store, part) for row in rows]
    strangers = [row for row, (_, seen) in zip(rows, known, strict=True) if not seen]
    return Evaluation(
        comparison=_comparison(rows, store, names),
        rows=rows,
        store=store,
        part=part,
        examined=_examined(rows, strangers, store, names, damages, common),
        notes=(
            *(words for words, _ in known if words),
            *shared_faces(store, faces.ids, trained_on),
            *_notes(rows, store, faces, common),
        ),
    )


def _familiar(name: str, card: Card, store: Store, part: str) -> tuple[str, bool]:
    return familiar(name, card.corpus, card.fingerprint, store, part, earlier=card.earlier, advice=COUNT_THEM)


def _log_opening(models: Mapping[str, Bundle], store: Store, faces: Logits) -> None:
    """Write into the store's log that models open the test, before they do."""
    if not (store.samples.split[faces.ids] == "test").any():
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for name, bundle in models.items():
        shown = "".join(sign if sign.isprintable() else "?" for sign in name)
        store.log_opening(now, f"{shown} (model {bundle.card.sha256[:12]})")


def _comparison(rows: Sequence[ModelRow], store: Store, names: tuple[str, ...]) -> Comparison:
    data = DataFacts(
        corpus=store.meta.corpus,
        fingerprint=store.meta.sha256,
        labels=names,
        licence=store.meta.licence,
        crop=store.meta.crop,
        counts={"train": 0, "valid": 0, "test": len(rows[0].answers.labels)},
        store=str(store.path),
    )
    return Comparison(rows=tuple(rows), data=data, equal={}, own={}, factors=(NAME,), seeds=())


def _damages(
    rows: Sequence[ModelRow],
    models: Mapping[str, Bundle],
    store: Store,
    limit: int,
    report: Callable[[int], None] | None,
) -> tuple[Damage, ...]:
    """Accuracy under damage; the first model is the baseline of mCE."""
    faces = rows[0].answers
    picked = stratified_faces(faces.labels, limit)
    pictures = store.read(faces.ids[picked])[FACE]
    measured = {}
    for row in rows:
        found = undamaged(row.answers, picked, row.answers.logits[picked].argmax(axis=1).astype(np.uint8))
        for grown in damaged(models[row.name], pictures, found, report, row.columns):
            found = grown
        measured[row.name] = {ONE: found}
    return summarise(measured, np.random.default_rng(SEED))


def _examined(
    rows: Sequence[ModelRow],
    strangers: Sequence[ModelRow],
    store: Store,
    names: tuple[str, ...],
    damages: tuple[Damage, ...],
    common: Common,
) -> Examined:
    """Groups and votes by all models; doubtful labels by those that were not trained on these faces."""
    votes = votes_among(store.votes(rows[0].answers.ids), common.of_store)
    tested = {row.name: Tested(name=row.name, classes=names, tests=(row.answers,), votes=votes) for row in rows}
    corpus = store.meta.corpus
    notes: dict[str, tuple[str, ...]] = {}
    issues: LabelIssues | None = None
    try:
        issues = find_issues(_out_of_sample(strangers, names), np.random.default_rng(SEED))
    except (CompareError, MissingExtra) as error:
        notes["issues"] = (str(error),)
    return Examined(
        damages=damages, places=(place_of(corpus, corpus, most_accurate(rows), tested),), issues=issues, notes=notes
    )


def _out_of_sample(rows: Sequence[ModelRow], names: tuple[str, ...]) -> OutOfSample:
    """The models' mean calibrated probabilities. Raises `CompareError` if all of them were trained on these faces."""
    if not rows:
        raise CompareError("All of these models were trained on these faces, so they cannot judge the labels.")
    first = rows[0].answers
    probs = np.mean([softmax(row.answers.logits / np.float64(row.card.temperature)) for row in rows], axis=0)
    return OutOfSample(
        ids=first.ids,
        labels=first.labels,
        probs=probs,
        subjects=first.subjects,
        classes=names,
        runs=tuple(row.name for row in rows),
    )


def _notes(rows: Sequence[ModelRow], store: Store, faces: Logits, common: Common) -> Iterator[str]:
    """How the models and the store differ."""
    labels = store.meta.labels
    missing = [name for k, name in enumerate(labels) if k not in common.of_store]
    if missing:
        who = rows[0].name if len(rows) == 1 else "not every model"
        verb = "does not know" if len(rows) == 1 else "knows"
        yield f"Faces labelled {', '.join(missing)} are left out: {who} {verb} that class."
    unused = {row.name: ", ".join(n for i, n in enumerate(row.card.labels) if i not in row.columns) for row in rows}
    for classes in dict.fromkeys(filter(None, unused.values())):
        who = ", ".join(name for name, words in unused.items() if words == classes)
        yield f"Classes that {who} cannot predict here, because the store lacks them: {classes}."
    absent = [labels[k] for place, k in enumerate(common.of_store) if not (faces.labels == place).any()]
    if absent:
        yield f"No face here is labelled {', '.join(absent)}: UAR and macro F1 are over the other classes."
    changes: dict[str, list[str]] = {}
    for row in rows:
        for words in adapted(row.card.crop, store.meta.crop):
            changes.setdefault(words, []).append(row.name)
    yield from (f"{', '.join(names)}: {words}" for words, names in changes.items())
