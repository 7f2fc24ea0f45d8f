"""The section of differences: the significant ones, the evidence for them, and the data needed to detect the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ...judge.certainty import TESTED, Certainty
from ...judge.pairs import Pair
from ...metrics import metric
from ...statistics import McNemar
from ...words import DASH, as_csv, many, p_words, points, rough
from ..figures import draw_forest
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable
from .contrasts import answers_file, answers_panel

__all__ = ["differences_section", "sections"]

DIGITS = ("metric", "first", "second", "difference", "low", "high", "p", "p_holm", "better", "method")
"""Heads of `differences.csv`."""


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield differences_section(found.judgement.certainty, found.every_look)


def differences_section(certainty: Certainty, looks: Mapping[str, Look]) -> Section:
    """Forest plots and tables of all pairs, by each metric; a sentence where nothing was tested."""
    title = "Which differences hold"
    answers = answers_panel(certainty.contrasts)
    found = [answers] if answers else []
    files = {"contrasts.csv": answers_file(certainty.contrasts)} if answers else {}
    if not certainty.pairs:
        return Section(
            id="differences",
            title=title,
            panels=tuple(found),
            lead=certainty.why_untested,
            points=_untested(certainty),
            files=files,
        )
    found += _panels(certainty, looks)
    files["differences.csv"] = as_csv(DIGITS, map(_digits, certainty.pairs))
    return Section(
        id="differences",
        title=title,
        panels=tuple(found),
        lead=_lead(certainty),
        points=_untested(certainty),
        files=files,
    )


def _untested(certainty: Certainty) -> tuple[str, ...]:
    return tuple(one.sentence for one in certainty.untested)


def _digits(pair: Pair) -> tuple[object, ...]:
    interval = pair.interval
    numbers = (pair.effect, interval.low, interval.high, pair.p, pair.p_corrected)
    return pair.metric, pair.a, pair.b, *numbers, pair.better or "", pair.method


def _lead(certainty: Certainty) -> str:
    counts = [
        f"{sum(pair.better is not None for pair in certainty.of(key))} by {metric(key).name}"
        for key in TESTED
        if certainty.of(key)
    ]
    pairs = certainty.of(certainty.pairs[0].metric)
    count = f"Of {many(len(pairs), 'pair')}, these differ significantly"
    left = f" {many(len(certainty.untested), 'difference')} could not be tested; the reasons are below." * bool(
        certainty.untested
    )
    carries = " ".join(dict.fromkeys(map(_what_carries, pairs)))
    return f"Tested: {certainty.asked}. {count}: {', '.join(counts)}.{left} {carries}"


def _what_carries(pair: Pair) -> str:
    verdict = pair.verdict
    if pair.folds:
        return (
            "The verdict comes from the corrected resampled t-test over folds (Nadeau & Bengio 2003), which asks "
            "whether networks trained anew on such data would differ."
        )
    thing = "subjects" if verdict.by_subject else "faces"
    if verdict.seeds > 1:
        few = verdict.sign_flip.smallest if verdict.sign_flip else 1.0
        reach = (
            f" A sign-flip test over {verdict.seeds} seeds alone cannot give a p below {few:.2g}, so it could not "
            "reach significance here."
            if few > 0.05
            else ""
        )
        return (
            f"The verdict asks whether a newly trained pair would show the difference on new {thing}: its standard "
            f"error includes the variance over {thing} and over seeds.{reach}"
        )
    return (
        "With one seed a verdict holds for these trained weights only. Accuracy is tested by McNemar's exact test, "
        f"the other metrics by the bootstrap over {thing}. The variance of training is not covered, so nothing is set "
        "in bold."
        if not verdict.by_subject
        else "With one seed a verdict holds for these trained weights only (bootstrap over subjects). The variance of "
        "training is not covered, so nothing is set in bold."
    )


def _panels(certainty: Certainty, looks: Mapping[str, Look]) -> Iterator[Panel]:
    """One figure of all metrics, with the figures behind it in one table."""
    for drawing in draw_forest({key: certainty.of(key) for key in TESTED}, looks):
        table = _table([pair for key in TESTED for pair in certainty.of(key)])
        yield Panel(
            title=drawing.title,
            caption=f"{drawing.caption} {table.caption}",
            drawing=drawing,
            table=table.table,
            small_print=True,
        )


def _table(pairs: Sequence[Pair]) -> Panel:
    first = pairs[0]
    extras = _extras(pairs)
    heads = (
        "First − second",
        "Metric",
        "Difference, points",
        "p",
        "p, Holm",
        *(head for head, _ in extras),
        "Verdict",
        "To tell",
    )
    rows = tuple(
        (
            f"{pair.a} − {pair.b}",
            metric(pair.metric).name,
            points(pair.effect, pair.interval),
            p_words(pair.p, bare=True),
            p_words(pair.p_corrected, bare=True),
            *(cell(pair) for _, cell in extras),
            pair.word,
            DASH if pair.better else _needs(pair),
        )
        for pair in pairs
    )
    count = len(heads)
    table = SmallTable(
        name="verdicts",
        heads=heads,
        rows=rows,
        notes=tuple(dict.fromkeys(note for pair in pairs for note in _notes(pair))),
        strong=frozenset((i, count - 2) for i, pair in enumerate(pairs) if pair.settled),
        words=frozenset({1, count - 2, count - 1}),
    )
    ways = "test faces (with as many seeds) or seeds (on these faces)"
    if first.folds:
        ways = "repetitions of the cross-validation"
    return Panel(
        title="Verdicts",
        caption=f"“To tell” is the number of {ways} needed to find a true difference of the observed size, at 80 % "
        "power and at the strictest level of Holm's correction.",
        table=table,
    )


Extra = tuple[str, Callable[[Pair], str]]
"""A column that only some pairs have: its head, and its cell; a pair without it gets an empty one."""


def _extras(pairs: Sequence[Pair]) -> list[Extra]:
    """Further columns beside the test that decides, if some pair has them."""
    columns: list[Extra] = []
    if any(pair.folds for pair in pairs):
        columns.append(("t, folds", lambda pair: f"{pair.folds.t:.2f}, {pair.folds.folds}" if pair.folds else ""))
    if any(_mcnemar(pair) for pair in pairs):
        columns += [
            ("Only first right", lambda pair: f"{found.only_a}" if (found := _mcnemar(pair)) else ""),
            ("Only second right", lambda pair: f"{found.only_b}" if (found := _mcnemar(pair)) else ""),
            ("McNemar p", lambda pair: p_words(found.p, bare=True) if (found := _mcnemar(pair)) else ""),
        ]
    flips = [pair.verdict.sign_flip for pair in pairs if pair.verdict.sign_flip and not pair.folds]
    if flips:
        least = min(one.smallest for one in flips)
        columns.append((f"Sign flip p (≥ {least:.3f})", _sign_flip))
    return columns


def _mcnemar(pair: Pair) -> McNemar | None:
    return pair.verdict.mcnemar if pair.verdict.metric == "accuracy" and not pair.folds else None


def _sign_flip(pair: Pair) -> str:
    return p_words(pair.verdict.sign_flip.p, bare=True) if pair.verdict.sign_flip and not pair.folds else ""


def _notes(pair: Pair) -> Iterator[str]:
    verdict = pair.verdict
    if pair.folds:
        yield (
            f"t and the degrees of freedom are those of {pair.folds.folds} folds. Their variance is corrected for the "
            "training faces that folds share."
        )
    elif verdict.mcnemar and verdict.metric == "accuracy" and verdict.by_subject:
        yield (
            "McNemar's test assumes independent faces. With several faces of one subject its p is too small, so p is "
            "the bootstrap's."
        )
    elif verdict.sign_flip:
        yield (
            f"The sign-flip test keeps the faces fixed and uses {verdict.seeds} differences, one for each seed. Its p "
            f"cannot fall below {verdict.sign_flip.smallest:.3f}, whatever the difference."
        )


def _needs(pair: Pair) -> str:
    """`about 5,200 test faces or 14 seeds each`, in few words."""
    if pair.effect == 0:
        return "tied"
    if pair.folds:
        count = pair.folds.repeats_needed
        return f"{count} repetitions" if count else "a larger corpus"
    verdict = pair.verdict
    thing = "subjects" if verdict.by_subject else "test faces"
    ways = [f"{rough(verdict.faces_needed)} {thing}"] if verdict.faces_needed else []
    ways += [f"{rough(verdict.seeds_needed)} seeds"] if verdict.seeds_needed else []
    return " or ".join(ways) or f"neither more seeds nor more {thing} alone"
