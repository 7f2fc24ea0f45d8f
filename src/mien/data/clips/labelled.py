"""Gives each clip its class under a label set, and compares the counts with those that were published.

The label set `own` takes the classes as published. Other label sets map them and leave out clips by name. The result
also has sentences for `meta.json`. They list clips that the published protocol has and that are not on disk.
"""

from collections import Counter
from dataclasses import dataclass

from ...errors import ConfigError, DataError
from .clip import Clip
from .corpora.protocol import OWN, ClipCorpus, Irregular, LabelRule

__all__ = ["Labelled", "irregular_words", "labelled"]

NAMED = 12
"""Clips that a sentence names; the file `irregular.csv` of the store names all."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The clips of a label set."""

    names: tuple[str, ...]
    """The classes, sorted."""
    clips: tuple[tuple[Clip, int], ...]
    """Each with the place of its class in `names`."""
    notes: tuple[str, ...]


def labelled(corpus: ClipCorpus, labels: str) -> Labelled:
    """Apply a label set.

    Raises:
        ConfigError: the corpus has no such label set.
        DataError: no clip of it is on disk, or all are of one class.
    """
    rule = _rule(corpus, labels)
    if not corpus.clips and not corpus.bad:
        first = next((f" (looked for {odd.details})" for odd in corpus.irregular if odd.details), "")
        raise DataError(
            f"None of the clips of {corpus.name} was found on disk{first}; {len(corpus.irregular)} rows were left out. "
            "Give the folder that holds the frames and the coding sheet."
        )
    pairs = [(clip, name) for clip in corpus.clips if (name := _class(corpus, rule, clip))]
    names = tuple(sorted({*rule.classes.values()} if labels != OWN else {name for _, name in pairs}))
    if len(names) < 2:
        raise DataError(
            f"The clips of {corpus.name} that are on disk have the classes {list(names)}; two or more are needed."
        )
    return Labelled(
        names=names,
        clips=tuple((clip, names.index(name)) for clip, name in pairs),
        notes=tuple(_notes(corpus, labels, rule, pairs)),
    )


def _rule(corpus: ClipCorpus, labels: str) -> LabelRule:
    if labels == OWN:
        micro = [clip for clip in corpus.clips if corpus.kinds.get(clip.name, "micro") == "micro"]
        return LabelRule(classes={clip.label: clip.label for clip in micro})
    if labels not in corpus.rules:
        known = ", ".join([OWN, *corpus.rules])
        raise ConfigError(f"The corpus {corpus.name} has the label sets {known}; got --labels {labels}.")
    return corpus.rules[labels]


def _class(corpus: ClipCorpus, rule: LabelRule, clip: Clip) -> str | None:
    """The class of a clip; None where it is left out."""
    kind = corpus.kinds.get(clip.name, "micro")
    if rule.kinds:
        return kind
    if kind != "micro" or clip.name.lower() in {name.lower() for name in rule.without}:
        return None
    return rule.classes.get(clip.label)


def _notes(corpus: ClipCorpus, labels: str, rule: LabelRule, pairs: list[tuple[Clip, str]]) -> list[str]:
    kept = {clip.name for clip, _ in pairs}
    lost = Counter(clip.label for clip in corpus.clips if clip.name not in kept)
    notes = []
    if lost:
        counted = ", ".join(f"{name} {count}" for name, count in sorted(lost.items()))
        notes.append(f"The label set {labels} leaves out {sum(lost.values())} clips ({counted}).")
    if not rule.counts:
        return notes
    seen, subjects = Counter(name for _, name in pairs), len({clip.subject for clip, _ in pairs})
    wanted = ", ".join(f"{name} {count}" for name, count in rule.counts.items())
    published = f"{sum(rule.counts.values())} clips of {rule.subjects} subjects ({wanted})"
    if dict(seen) == dict(rule.counts) and subjects == rule.subjects:
        return [*notes, f"These are the {published} of {labels}."]
    had = ", ".join(f"{name} {seen[name]}" for name in rule.counts)
    missing = [odd.clip for odd in corpus.irregular if not odd.kept]
    return [
        *notes,
        f"{labels} has {published}; here are {len(pairs)} of {subjects} ({had}). "
        f"Left out: {_named(missing) if missing else 'nothing that the disk or the sheet names'}.",
        *_fewer(rule, pairs),
    ]


def _fewer(rule: LabelRule, pairs: list[tuple[Clip, str]]) -> list[str]:
    """Subjects with fewer clips than were published, if the published numbers are known."""
    seen = Counter(clip.subject for clip, _ in pairs)
    fewer = [f"{who} {seen[who]} of {count}" for who, count in rule.of_subject.items() if seen[who] != count]
    return [f"Clips of single subjects: {', '.join(fewer)}."] if fewer else []


def irregular_words(irregular: tuple[Irregular, ...]) -> list[str]:
    """One sentence a kind of irregularity, with its clips by name."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for odd in irregular:
        kinds.setdefault((odd.seen, odd.done), []).append(odd.clip)
    return [
        f"{len(clips)} {'clip' if len(clips) == 1 else 'clips'}: {seen}; {done}: {_named(clips)}."
        for (seen, done), clips in kinds.items()
    ]


def _named(clips: list[str]) -> str:
    more = f" and {len(clips) - NAMED} more (irregular.csv)" if len(clips) > NAMED else ""
    return ", ".join(clips[:NAMED]) + more
