"""The result in a few sentences: the most accurate row, its lead, its significance, and the effects of settings."""

from ..compare import Comparison, Row
from ..words import NO_INTERVAL, listed, p_words, percent
from .answers import answers_in_short
from .certainty import Certainty, size_of_test
from .folds import resampled
from .pairs import Pair
from .replicates import is_random
from .select import accuracy

__all__ = ["finding"]


def finding(comparison: Comparison, certainty: Certainty) -> str:
    """The result in a few sentences: the most accurate row, its lead, its significance, and the effects of settings."""
    ranked = sorted((row for row in comparison.rows if row.scores), key=accuracy, reverse=True)
    n = size_of_test(comparison)
    if not ranked:
        return (
            "No cross-validation is complete yet, so there are no figures. Make this page again when one is."
            if comparison.runs
            else "No run is finished yet. Make this page again when some are."
        )
    best = ranked[0]
    if len(ranked) == 1:
        return f"{best.name} names {percent(accuracy(best), 1)} of {n:,} test faces correctly{_over(best)}."
    second = ranked[1]
    lead = 100 * (accuracy(best) - accuracy(second))
    others = f"Of {len(ranked)} rows" if len(ranked) > 2 else "Of the two"
    interval = _interval_words(best, certainty)
    if accuracy(best) == accuracy(second):
        tied = listed(row.name for row in ranked if accuracy(row) == accuracy(best))
        return f"{others}, {tied} are tied at {percent(accuracy(best), 1)} of {n:,} test faces{_over(best)}."
    first = (
        f"{others}, {best.name} is the most accurate: it names {percent(accuracy(best), 1)}{interval} of {n:,} test "
        f"faces correctly{_over(best)}, {lead:.1f} points more than {second.name}."
    )
    answers = answers_in_short([one for one in certainty.contrasts if one.pair.metric == "accuracy"])
    return " ".join([first, _judgement(best, second, certainty), *answers])


def _judgement(best: Row, second: Row, certainty: Certainty) -> str:
    if any(len(row.scores) == 1 and is_random(row) for row in (best, second)) and not resampled(best):
        return "With one seed for each row, this lead may be chance in training; run more seeds."
    pair = certainty.between(best.name, second.name)
    if pair is None:
        return certainty.why_untested or f"This lead was not tested. Tested was {certainty.asked}."
    if pair.better:
        return f"The lead holds under {_test_words(pair, certainty)} (corrected p {p_words(pair.p_corrected)})."
    return f"The two do not differ significantly (corrected p {p_words(pair.p_corrected)}). {pair.to_tell}"


def _test_words(pair: Pair, certainty: Certainty) -> str:
    if pair.folds:
        return f"the corrected resampled t-test over {pair.folds.folds} folds"
    seeds = " and seeds" if pair.verdict.seeds > 1 else ""
    return f"a paired test over {'subjects' if certainty.by_subject else 'faces'}{seeds}"


def _interval_words(row: Row, certainty: Certainty) -> str:
    interval = certainty.intervals.get((row.name, "accuracy"))
    if interval is None:
        return ""
    if not interval.useful:
        return f" ({NO_INTERVAL})"
    return f" (95\u00a0% interval {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _over(row: Row) -> str:
    return f" (mean of {len(row.scores)} seeds)" if len(row.scores) > 1 else ""
