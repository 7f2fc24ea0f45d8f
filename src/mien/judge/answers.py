"""The effect of a setting over all networks (`contrasts`), as a sentence."""

from ..metrics import metric
from ..words import p_words, points
from .contrasts import Contrast
from .pairs import Pair

__all__ = ["answer_sentence"]


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
