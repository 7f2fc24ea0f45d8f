"""The section of calibration: reliability diagrams, the table of scores, and risk against coverage."""

import math
from collections.abc import Iterator, Mapping, Sequence

from ...judge.calibration import COVERAGES, RISK, SCORES, Calibrated, Probabilities
from ...judge.select import predictions
from ...statistics.estimates import Estimate
from ...words import DASH, as_csv, three
from ..figures import Drawing, draw_reliability, draw_risk_coverage
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable, panels

__all__ = ["calibration_section", "sections"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield calibration_section(found.judgement.calibration, found.looks)


def calibration_section(rows: Sequence[Calibrated], looks: Mapping[str, Look]) -> Section:
    """Calibration of the rows that get figures."""
    title = "Calibration of the probabilities"
    if not rows:
        return Section(id="calibration", title=title)
    drawn, scores = draw_reliability(rows, looks)[0], _scores(rows)
    found = [_joined(drawn, scores), *panels(_curve(rows, looks))]
    if any(math.isfinite(row.coverage.value) for row in rows):
        found.append(_uncertain(rows))
    files = {"calibration.csv": as_csv(("row", "logits", "score", "value", "low", "high"), _digits(rows))}
    return Section(id="calibration", title=title, panels=tuple(found), lead=_lead(rows), files=files)


def _joined(drawing: Drawing, scores: Panel) -> Panel:
    """The diagrams with all scores folded away under them."""
    caption = f"{drawing.caption} {scores.caption}"
    return Panel(title=drawing.title, caption=caption, drawing=drawing, table=scores.table, small_print=True)


def _digits(rows: Sequence[Calibrated]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        for words, form in (("as trained", row.before), ("scaled", row.after)):
            for score in SCORES:
                yield row.row.name, words, score.key, *three(form.scores[score.key])
        yield row.row.name, "scaled", "coverage", *three(row.coverage)
        yield row.row.name, "scaled", "risk", *three(row.risk)


def _lead(rows: Sequence[Calibrated]) -> str:
    sure = sum(min(row.temperatures) > 1 for row in rows)
    gaps = [(row.before.scores["ece"].value, row.after.scores["ece"].value) for row in rows]
    before, after = (sum(gap[i] for gap in gaps) / len(gaps) for i in (0, 1))
    return (
        f"As trained, {sure} of {len(rows)} rows are overconfident in every run (T above 1). One temperature "
        "a run, fitted on valid, takes the calibration error (ECE), on average over rows, from "
        f"{100 * before:.1f} to {100 * after:.1f} %."
    )


def _scores(rows: Sequence[Calibrated]) -> Panel:
    heads = ("Row", "T", *(f"{one.title}, {one.unit}".removesuffix(", ") for one in SCORES))
    table = SmallTable(name="calibration", heads=heads, rows=tuple(_lines(rows)))
    return Panel(
        title="Calibration before and after temperature scaling",
        caption="Lower is better in every column. Brackets hold 95 % intervals, as in Table 1. ECE is the mean gap "
        "between confidence and accuracy over bins of equal width, or of equally many faces; it is never 0 on a "
        "finite test, even for a perfect network. Brier's score and the negative log-likelihood (NLL) judge all "
        "probabilities of a face. AURC is the area under the risk–coverage curve below.",
        table=table,
    )


def _lines(rows: Sequence[Calibrated]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        t = sorted(row.temperatures)
        words = f"{t[0]:.2f}" if len(t) == 1 else f"{t[0]:.2f}–{t[-1]:.2f}"
        yield (f"{row.row.name}, as trained", DASH, *_cells(row.before))
        yield (f"{row.row.name}, scaled", words, *_cells(row.after))


def _cells(form: Probabilities) -> Iterator[str]:
    for one in SCORES:
        yield _figure(form.scores[one.key], one.scale, one.digits, one.bounds[1])


def _curve(rows: Sequence[Calibrated], looks: Mapping[str, Look]) -> list[Drawing]:
    faces = len(predictions(rows[0].row)[0].labels)
    return draw_risk_coverage(rows, looks, COVERAGES.tolist(), RISK, fewest=min(0.5, 30 / faces))


def _uncertain(rows: Sequence[Calibrated]) -> Panel:
    lines = tuple(
        (
            row.row.name,
            f"{row.threshold:.2f}" if math.isfinite(row.threshold) else "none is enough",
            _figure(row.coverage, 100, 1),
            _figure(row.risk, 100, 1),
            _figure(row.risk_of_all, 100, 1),
        )
        for row in rows
    )
    heads = ("Row", "Least confidence", "Coverage, %", "Risk, %", "Risk of all, %")
    return Panel(
        title=f"Answering at a risk of {100 * RISK:.0f} %",
        caption=f"The least confidence at which at most {100 * RISK:.0f} % of the answers on valid are wrong (mean "
        "over runs), and what it gives on test: the share of faces answered, and of wrong answers among them. "
        "Brackets hold Wilson's 95 % intervals at the effective number of faces, which follows from the variance "
        "over faces and seeds.",
        table=SmallTable(name="uncertain", heads=heads, rows=lines),
    )


def _figure(estimate: Estimate, scale: float, digits: int, most: float = 1.0) -> str:
    """`4.1 [3.2–5.0]`, or a dash; an interval ends where the score can go no further, 0 and `most`."""
    if not math.isfinite(estimate.value):
        return DASH
    low, high = max(estimate.interval.low, 0.0), min(estimate.interval.high, most)
    return f"{scale * estimate.value:.{digits}f} [{scale * low:.{digits}f}–{scale * high:.{digits}f}]"
