"""The section of ensembles: each beside its best member, with its costs and the diversity of its members' errors."""

import math
from collections.abc import Iterator, Sequence

from ...compare import Comparison
from ...judge.ensembles import Inside, Joined, inside_rows, joined_rows
from ...words import DASH, listed, percent, times
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["ensembles_words", "sections"]

HEADS = (
    "Ensemble",
    "Runs",
    "Accuracy, %",
    "best member, %",
    "mean member, %",
    "verdict",
    "disagreement, %",
    "Q",
    "optimism, points",
    "out of bag, %",
    "memory",
    "time",
)


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    all_rows = found.judgement.comparison.rows
    rows, inside = joined_rows(all_rows), inside_rows(all_rows)
    panels = [*([_table(rows, found)] if rows else []), *([_inside_table(inside)] if inside else [])]
    if panels:
        lead = _lead(rows) if rows else "Rows with several networks in each run, beside these networks alone."
        yield Section(id="ensembles", title="What joining networks gained", lead=lead, panels=tuple(panels))


def ensembles_words(comparison: Comparison) -> Iterator[str]:
    """The members and the rule of each ensemble, one sentence each; nothing if the comparison has none."""
    rows = joined_rows(comparison.rows)
    for row in rows:
        yield f"{row.name} joins {row.count} runs of {listed(row.members)}: it is {row.rule}."
    answers, soups = [row for row in rows if not row.soup], [row for row in rows if row.soup]
    if answers:
        yield "An ensemble is computed from the logits that its members saved: nothing is trained and no test opened."
    if any(row.fitted for row in answers):
        yield (
            "A rule that is fitted was fitted on validation alone. Its own validation figures are cross-fitted: each "
            "face, or each subject where subjects are known, is predicted by a rule that was fitted without it."
        )
    if soups:
        yield (
            "The members of a soup began with the same weights. Where their batch norm differs, the soup's was taken "
            "anew from training faces (Izmailov et al. 2018). A soup is a new network: the test was opened for it once."
        )
    for row in soups:
        if row.fitted:
            yield (
                f"The members of {row.name} were chosen on validation, where it scores {_optimism(row)} points "
                "better than cross-fitted."
            )


def _lead(rows: Sequence[Joined]) -> str:
    better = sum(row.accuracy > row.best_accuracy for row in rows)
    rules = listed(f"{row.name} is {row.rule}" for row in rows)
    return f"{better} of {len(rows)} ensembles are more accurate than their best member. {rules}."


def _table(rows: Sequence[Joined], found: Findings) -> Panel:
    return Panel(
        title="Ensembles and their members",
        caption="Accuracy on test, means over replicates. The best member is the one that was most accurate on "
        "validation, so the test chose nothing. The verdict is that of the paired test against it. Disagreement is "
        "the share of test faces on which two members predict different classes. Q is 1 where members are right on the "
        "same faces and 0 where they are independent (Kuncheva & Whitaker 2003). Optimism is how much better a fitted "
        "rule scores on the validation faces that it was fitted on than cross-fitted. Out of bag is the accuracy on "
        "training faces of bagged members that did not draw them. Memory (weights) and time are "
        "multiples of the best member's.",
        table=SmallTable(
            name="ensembles", heads=HEADS, rows=tuple(_line(row, found) for row in rows), words=frozenset({5})
        ),
    )


def _inside_table(rows: Sequence[Inside]) -> Panel:
    return Panel(
        title="Networks inside one row",
        caption="Accuracy on validation, means over runs: of the networks of a run together, of their mean and of the "
        "best of them, which validation chose. Disagreement is the share of faces on which two of them predict "
        "different classes, and Q is Yule's, of who is right, both as above. Memory and time of a prediction are as "
        "many times those of one network.",
        table=SmallTable(
            name="inside",
            heads=("Row", "Networks", "Together, %", "mean, %", "best, %", "disagreement, %", "Q"),
            rows=tuple(
                (
                    row.name,
                    f"{row.count:g}",
                    *map(_share, (row.accuracy, row.mean_member, row.best_member, row.disagreement)),
                    DASH if math.isnan(row.q) else f"{row.q:.2f}",
                )
                for row in rows
            ),
        ),
    )


def _line(row: Joined, found: Findings) -> tuple[str, ...]:
    return (
        row.name,
        str(row.count),
        _share(row.accuracy),
        f"{_share(row.best_accuracy)} ({row.best_member})",
        _share(row.mean_member),
        _verdict(row, found),
        _share(row.disagreement),
        DASH if math.isnan(row.q) else f"{row.q:.2f}",
        _optimism(row) if row.fitted else DASH,
        _share(row.out_of_bag),
        times(row.parameters),
        times(row.seconds),
    )


def _optimism(row: Joined) -> str:
    return f"{100 * row.optimism:+.1f}".replace("-", "−")


def _verdict(row: Joined, found: Findings) -> str:
    pair = found.judgement.certainty.between(row.name, row.best_member)
    if pair is None:
        return "not tested"
    return "better" if pair.settled == row.name else "worse" if pair.settled == row.best_member else "no verdict"


def _share(value: float) -> str:
    return DASH if math.isnan(value) else percent(value, 1).removesuffix("\u00a0%")
