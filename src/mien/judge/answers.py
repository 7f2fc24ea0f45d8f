"""The effect of a setting over all networks (`contrasts`), in sentences."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..metrics import metric
from ..words import listed, p_words, points
from .contrasts import Contrast
from .pairs import Pair

__all__ = ["answer_sentence", "answers_in_short"]


def answers_in_short(contrasts: Sequence[Contrast]) -> Iterator[str]:
    """A sentence for each setting: what `answer_sentence` says, and of several levels together what each changes."""
    for _, found in groupby(contrasts, key=lambda one: (one.question, one.networks, _repeated(one.pair))):
        levels = list(found)
        yield answer_sentence(levels[0]) if len(levels) == 1 else _together(levels)


def _together(levels: Sequence[Contrast]) -> str:
    """`Does attention help? Over 3 networks, against no attention, accuracy changes with …, and with …: …`."""
    first, answers = levels[0], dict.fromkeys(one.answer for one in levels)
    each = listed(
        f"with {one.pair.a} by {points(one.pair.effect, one.pair.interval)} points "
        f"(p {p_words(one.pair.p_corrected)}{f', {one.answer}' * (len(answers) > 1)})"
        for one in levels
    )
    answer = f": {first.answer}" if len(answers) == 1 else ""
    what = f"against {first.pair.b}, {metric(first.pair.metric).name} changes {each}"
    return f"{first.question} Over {first.networks}, {what} ({_repeated(first.pair)}){answer}."


def answer_sentence(contrast: Contrast) -> str:
    """`Does dropout help? Over 3 networks, dropout 0.2 against no dropout changes accuracy by +0.4 points […]: …`."""
    pair = contrast.pair
    what = (
        f"{pair.a} against {pair.b} changes {metric(pair.metric).name} by {points(pair.effect, pair.interval)} points"
    )
    proof = f"{_repeated(pair)}, p {p_words(pair.p_corrected)}"
    rest = "" if pair.better else f" {pair.to_tell}"
    caution = pair.caution.replace("two trained networks", "trained networks")
    agreed = " The sign of the effect differs between networks." if _disagree(contrast) else ""
    return f"{contrast.question} Over {contrast.networks}, {what} ({proof}): {contrast.answer}.{agreed}{rest}{caution}"


def _repeated(pair: Pair) -> str:
    if pair.folds:
        return f"paired over {pair.folds.folds} folds"
    seeds = pair.verdict.seeds
    thing = "subject" if pair.verdict.by_subject else "face"
    return f"paired by seed and {thing}, {seeds} seeds" if seeds > 1 else f"paired by {thing}, one seed"


def _disagree(contrast: Contrast) -> bool:
    return len({pair.effect > 0 for pair in contrast.each if pair.effect}) > 1
