"""The page of an evaluation: its first sentences, its sections, and the facts about models and faces at the end.

The sections are those of the report of runs; this module adds the words that differ for model files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.store import Store
from ..examine.models import ALL, ModelRow
from ..judge.calibration import Calibrated
from ..words import in_percent, listed
from .evaluated import Judged, figure
from .figures.sheet import Look
from .parts import Panel, Section
from .pictures import mistakes
from .sections.calibration import calibration_section
from .sections.classes import classes_section
from .sections.damage import damage_section
from .sections.differences import differences_section
from .sections.doubts import doubts_section
from .sections.groups import groups_sections

__all__ = ["sections", "words"]


def words(found: Judged) -> dict[str, Any]:
    """The texts of the page outside its sections: `title`, `finding`, `caption`, `facts`."""
    return {"title": _title(found), "finding": _finding(found), "caption": _caption(found), "facts": _facts(found)}


def _title(found: Judged) -> str:
    """The title: the models and the faces."""
    names = [row.name for row in found.evaluation.rows]
    return f"{listed(names)} on {found.evaluation.store.meta.corpus}"


def _caption(found: Judged) -> str:
    """The caption of Table 1."""
    n, part = len(found.evaluation.rows[0].answers.labels), found.evaluation.part
    where = f"all {n:,} faces" if part == ALL else f"the {n:,} faces of the part {part}"
    over = "subjects" if found.judgement.certainty.by_subject else "faces"
    return (
        f"Scores on {where} of {found.comparison.data.corpus}. In brackets 95 % intervals over {over} (bootstrap). UAR "
        "is the recall averaged over classes, AUC the area under the ROC curve averaged over classes, ECE the mean gap "
        "between confidence and accuracy at the temperature of the model's card."
    )


def _finding(found: Judged) -> str:
    """The first sentences: the accuracy of the best model, its significance, and its worst class."""
    best = max(found.evaluation.rows, key=lambda row: row.scores[0].accuracy)
    n, interval = len(best.answers.labels), found.judgement.certainty.intervals.get((best.name, "accuracy"))
    words = figure(best.scores[0].accuracy, interval)
    first = f"{best.name} has an accuracy of {words} % on {n:,} faces"
    others = [row.name for row in found.evaluation.rows if row is not best]
    pairs = [found.judgement.certainty.between(best.name, other) for other in others]
    tied = [other for other, pair in zip(others, pairs, strict=True) if pair is None or pair.better is None]
    if others:
        first += (
            f", which does not differ significantly from {', '.join(tied)}"
            if tied
            else ", higher than that of every other model here"
        )
    return f"{first}. {_worst(best, found)}".strip()


def _worst(best: ModelRow, found: Judged) -> str:
    recalls = found.judgement.certainty.recalls.get(best.name, ())
    known = [(one.value, name, one) for one, name in zip(recalls, found.comparison.data.labels, strict=False)]
    known = [one for one in known if np.isfinite(one[0])]
    if not known:
        return ""
    _, name, figure = min(known, key=lambda one: one[0])
    return f"Its worst class is {name}, with a recall of {in_percent(figure)} %."


def _facts(found: Judged) -> list[tuple[str, str]]:
    """The store and the models, for the end of the page."""
    store = found.evaluation.store
    counts = np.bincount(found.evaluation.rows[0].answers.labels, minlength=len(found.comparison.data.labels))
    classes = ", ".join(f"{name} {n:,}" for name, n in zip(found.comparison.data.labels, counts, strict=True))
    crop = store.meta.crop
    models = [
        (
            row.name,
            f"{row.card.network}, {row.card.precision}; run {row.card.run}; trained on {row.card.corpus} "
            f"({row.card.fingerprint[:16]}); temperature {row.card.temperature:.3f}; sha256 {row.card.sha256[:16]}",
        )
        for row in found.evaluation.rows
    ]
    return [
        ("Corpus", f"{store.meta.corpus}, part {found.evaluation.part}: {counts.sum():,} faces ({classes})"),
        ("Picture", f"{crop.size} × {crop.size} px, {'RGB' if crop.channels == 3 else 'grey'}"),
        ("Licence", store.meta.licence or "not stated"),
        ("Data fingerprint", store.meta.sha256),
        *models,
    ]


def sections(found: Judged, *, faces: bool) -> list[Section]:
    """The sections of the page; those with nothing to say are left out."""
    parts = _sections(found, found.evaluation.store if faces else None)
    return [section for section in parts if section.panels or section.lead or section.points]


def _sections(found: Judged, store: Store | None) -> Iterator[Section]:
    labels, shown, examined = found.comparison.data.labels, found.shown, found.evaluation.examined
    looks = found.looks
    if len(shown) > 1:
        yield differences_section(found.judgement.certainty, found.every_look)
    yield classes_section(shown, labels, found.judgement.certainty)
    yield replace(
        calibration_section(found.judgement.calibration, looks), lead=_calibration_lead(found.judgement.calibration)
    )
    groups = list(groups_sections(examined, looks))
    yield from groups or [_nothing_of_groups()]
    yield _damage(found, looks, store)
    yield doubts_section(examined, shown, found.evaluation.store, "", faces=store is not None)
    if store is not None:
        yield _mistakes(found, store)


def _nothing_of_groups() -> Section:
    how = (
        "This store has no information about the people in it, so groups cannot be compared. A CSV corpus gives it "
        "in the columns subject and group:NAME."
    )
    return Section(id="groups", title="Whom they fail", lead=how)


def _damage(found: Judged, looks: Mapping[str, Look], store: Store | None) -> Section:
    if found.examined.damages:
        return damage_section(found.examined, looks, store, "")
    how = "Not measured. Add --examine to the command; it takes minutes for each model."
    return Section(id="robustness", title="What damage they withstand", lead=how)


def _calibration_lead(rows: Sequence[Calibrated]) -> str:
    words = "; ".join(f"{row.row.name} {in_percent(row.after.scores['ece'])} %" for row in rows)
    return (
        "Each model's logits were divided by the temperature T of its card, which was fitted when the model was "
        f"made. The gap between confidence and accuracy (ECE) on these faces: {words}."
    )


def _mistakes(found: Judged, store: Store) -> Section:
    rows = mistakes(store, found.shown)
    if not any(row.pictures for row in rows):
        return Section(id="mistakes", title="")
    panel = Panel(
        title="The most confident mistakes",
        caption="Each caption reads: label → prediction, with its probability before temperature scaling. Look for "
        "labels that are doubtful themselves, and for what these faces have in common.",
        pictures=tuple(rows),
        folded=True,
    )
    return Section(id="mistakes", title="The most confident mistakes", panels=(panel,))
