"""The examinations besides the comparison itself, in words for the methods: numbers of faces, people, corrections.

Every sentence is made from the findings; what was not measured has none.
"""

from collections.abc import Iterator

from ..examine.corruptions import SEVERITIES
from ..examine.examined import Place
from ..words import listed, many, percent
from .findings import Findings

__all__ = ["examined_words"]


def examined_words(found: Findings) -> Iterator[str]:
    """A sentence or two for each kind of finding that the report has."""
    yield from _peeking(found)
    yield from _damage(found)
    for place in found.examined.places:
        yield from _place(place)
    yield from _labels(found)
    yield from _corpora(found)
    if not isinstance(found.explained, str) and found.explained:
        first = found.explained[0]
        yield (
            f"Explanations ({listed(one.method for one in first.methods)}) of {many(first.n, 'test face')} for each "
            "network were compared with the pixels that each drawn action unit moved. The same was done for the "
            "network before training, for faces of other expressions and for fixed maps."
        )


def _peeking(found: Findings) -> Iterator[str]:
    if found.judgement.peeking:
        runs = sum(len(row.runs) for row in found.judgement.peeking)
        yield (
            f"To show what peeking would have claimed, every epoch of {many(runs, 'run')} was judged on the test as "
            "well, into files that no other figure is taken from. The model behind the interval of a mean gap is "
            "that a run gains nothing or an exponentially distributed amount (Weerahandi 1993)."
        )


def _damage(found: Findings) -> Iterator[str]:
    damages = found.examined.damages
    if damages:
        first = damages[0]
        names = listed(name.replace("_", " ") for name in first.corruptions)
        yield (
            f"Robustness is that of {many(first.n, 'test face')}, a sample stratified by class, under "
            f"{len(first.corruptions)} corruptions ({names}) of {len(SEVERITIES)} severities each, the same for all "
            f"networks (Hendrycks & Dietterich 2019); corruption errors are relative to {first.baseline}."
        )


def _place(place: Place) -> Iterator[str]:
    where = f" {place.where}" if place.away else ""
    if place.groups:
        first = place.groups[0]
        people = f" of {many(len(first.subjects.subject), 'subject')}" if first.subjects else ""
        attributes = dict.fromkeys(group.attribute for group in first.groups)
        gaps = next((gap.tests for groups in place.groups for gap in groups.gaps), 0)
        yield (
            f"Groups{where} ({listed(attributes)}) were judged for {many(len(place.groups), 'row')} on "
            f"{many(first.n, 'face')}{people}; each gap is that of a group to all other faces, and all {gaps} were "
            "corrected together (Holm 1979)."
        )
    if place.votes:
        yield (
            f"Agreement with annotators{where} is that with the votes of {many(place.votes[0].n, 'test face')}: a "
            "prediction agrees if no other class has more votes."
        )


def _labels(found: Findings) -> Iterator[str]:
    issues, noise = found.examined.issues, found.examined.noise
    if issues:
        yield (
            "Wrong labels were estimated by confident learning (Northcutt et al. 2021; cleanlab) from what "
            f"{many(len(issues.runs), 'network')} predicted for {many(issues.n, 'face')} of validation and test, "
            "which they were not trained on; the interval is over faces."
        )
    if noise:
        shares = listed(percent(one) for one in sorted({point.noise for point in noise}))
        yield (
            "The cost of wrong labels was measured on separate networks "
            f"({listed(dict.fromkeys(point.curve for point in noise))}), trained with {shares} of the training labels "
            "replaced at random, and tested on the labels as they are."
        )


def _corpora(found: Findings) -> Iterator[str]:
    matrix = found.examined.matrix
    if matrix:
        yield (
            f"Corpora of the matrix: {listed(matrix.corpora)}; on another corpus a network is tested on the classes "
            "that both corpora have, and compared with its figure on its own corpus over the same classes."
        )
