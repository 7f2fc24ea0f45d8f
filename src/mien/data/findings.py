"""All findings of an audit in words: a summary of each kind, and every group with all of its images.

In: a store and its `Audit`. Out: `summary`, one line for each kind with its meaning and the next command; `findings`,
all groups and blank images as plain values for JSON; `findings_csv`, the same with one line for each image. The page
shows the first of each kind; nothing is left out here.
"""

import csv
import io
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..shown import csv_cell
from ..words import listed, many
from .audit import Audit, Group
from .store import Sample, Store

__all__ = ["Line", "findings", "findings_csv", "next_command", "summary"]

IDENTICAL, NEAR, BLANK = "identical", "nearly identical", "blank"
HEADS = ("finding", "kind", "across_splits", "different_labels", "reason", "row", "split", "label", "subject", "source")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One kind of finding."""

    kind: str
    """Its name, as a heading."""
    count: int
    """Number of groups, or of images if the kind is about single images."""
    numbers: str
    """The count in words, with the images behind it."""
    meaning: str
    """Its consequence, in a sentence."""
    drop: str = ""
    """The value of `--drop` that removes it; empty if it does no harm."""

    @property
    def harms(self) -> bool:
        """Whether it was found and distorts a test or a training."""
        return bool(self.count and self.drop)


def summary(found: Audit) -> tuple[Line, ...]:
    """One line for each kind, the most harmful for a test first. Kinds that were not found have a count of 0."""
    numbers = found.summary()
    within = [group for group in found.exact if not group.leaks and not group.contradicts]
    near_within = [group for group in found.near if not group.leaks]
    some = "" if found.near_complete else " at least: too many images look alike to compare all"
    return (
        Line(
            kind="Identical images across splits",
            count=len(found.leaks),
            numbers=_groups(found.leaks, _across(numbers["exact_across_splits"])),
            meaning="A network can memorise these test faces, so figures on this test are too high.",
            drop="leaks",
        ),
        Line(
            kind="Nearly identical images across splits",
            count=len(found.near_leaks),
            numbers=_groups(found.near_leaks, _across(numbers["near_across_splits"])) + some,
            meaning="One photograph in another crop, size or brightness. The effect on figures is nearly the same.",
            drop="near-leaks",
        ),
        Line(
            kind="Identical images with different labels",
            count=len(found.conflicts),
            numbers=_groups(found.conflicts),
            meaning="At least one label in each group is wrong, so no model can predict all of them.",
            drop="conflicts",
        ),
        Line(
            kind="Blank images",
            count=len(found.blanks),
            numbers=_many(len(found.blanks), "image"),
            meaning="They show no face, so a correct prediction is chance.",
            drop="blanks",
        ),
        Line(
            kind="Identical images within one split",
            count=len(within),
            numbers=_groups(within),
            meaning="They count several times. They do no other harm.",
        ),
        Line(
            kind="Nearly identical images within one split",
            count=len(near_within),
            numbers=_groups(near_within) + some,
            meaning="They count several times. No other harm is known.",
        ),
    )


def next_command(found: Audit, store: str) -> str:
    """The command that writes the store without all harmful findings; empty if there are none."""
    drops = [part for line in summary(found) if line.harms for part in ("--drop", line.drop)]
    if not drops:
        return ""
    return shlex.join(["mien", "data", "audit", store, *drops, "--out", f"{store.rstrip('/')}-clean"])


def findings(store: Store, found: Audit) -> list[dict[str, Any]]:
    """Every group and every blank image, numbered from 1, with all images in it.

    Each has `finding`, `kind` (identical, nearly identical, blank), `across_splits`, `different_labels`, `reason` and
    `images`, a list of `row`, `split`, `label`, `subject` and `source`.
    """
    named = [*_named(IDENTICAL, found.exact), *_named(NEAR, found.near), *_blanks(store, found)]
    wanted = {row for _, group in named for row in group.rows}
    samples = {row: sample for row, sample in enumerate(store.iter_samples()) if row in wanted}
    return [
        {
            "finding": number,
            "kind": kind,
            "across_splits": group.leaks,
            "different_labels": group.contradicts,
            "reason": _reason(store, kind, group),
            "images": [_image(store, row, samples[row]) for row in group.rows],
        }
        for number, (kind, group) in enumerate(named, start=1)
    ]


def findings_csv(found: Sequence[dict[str, Any]]) -> str:
    """`findings` as CSV: one line for each image, with the fields of its group."""
    text = io.StringIO()
    table = csv.DictWriter(text, HEADS, lineterminator="\n")
    table.writeheader()
    for one in found:
        group = {key: value for key, value in one.items() if key != "images"}
        group |= {key: "yes" if one[key] else "no" for key in ("across_splits", "different_labels")}
        lines = ({**group, **image} for image in one["images"])
        table.writerows({key: csv_cell(value) for key, value in line.items()} for line in lines)
    return text.getvalue()


def _named(kind: str, groups: Sequence[Group]) -> Iterator[tuple[str, Group]]:
    """Groups that distort a test come first."""
    for group in sorted(groups, key=lambda group: (not group.leaks, not group.contradicts)):
        yield kind, group


def _blanks(store: Store, found: Audit) -> Iterator[tuple[str, Group]]:
    samples = store.samples
    for row in found.blanks:
        yield BLANK, Group(rows=(row,), labels=(int(samples.label[row]),), splits=(str(samples.split[row]),))


def _image(store: Store, row: int, sample: Sample) -> dict[str, Any]:
    return {
        "row": row,
        "split": sample.split,
        "label": store.meta.labels[sample.label],
        "subject": sample.subject,
        "source": sample.source,
    }


def _reason(store: Store, kind: str, group: Group) -> str:
    """`3 identical images, in train (2) and test (1), labelled anger (2) and fear (1)`."""
    labels = _counted(store.meta.labels[label] for label in group.labels)
    if kind == BLANK:
        return f"shows nothing, in {group.splits[0]}, labelled {store.meta.labels[group.labels[0]]}"
    return f"{len(group.rows)} {kind} images, in {_counted(group.splits)}, labelled {labels}"


def _counted(words: Iterator[str] | Sequence[str]) -> str:
    counts = Counter(words)
    if len(counts) == 1:
        return next(iter(counts))
    return listed(f"{word} ({count})" for word, count in counts.items())


def _groups(groups: Sequence[Group], more: str = "") -> str:
    if not groups:
        return "none"
    images = sum(len(group.rows) for group in groups)
    return f"{_many(len(groups), 'group')} of {_many(images, 'image')}" + (f": {more}" if more else "")


def _across(pairs: dict[str, dict[str, int]]) -> str:
    """`280 test in train, 351 train in test`."""
    return ", ".join(
        f"{count} {split} in {other}" for split, others in pairs.items() for other, count in others.items()
    )


def _many(count: int, thing: str) -> str:
    return many(count, thing) if count else "none"
