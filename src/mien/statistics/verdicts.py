"""The verdict on two networks: A is better, B is better, or this data cannot tell. The test behind it depends on the
data:

- **Two or more seeds**: the difference's bootstrap standard error over faces and seeds together (`Spread`, the
  crossed analysis of Obuchowski & Rockette 1995 and Gallas 2006), and t. It answers the reader's question: would a
  newly trained pair, on new faces, show the difference? The sign-flip test is given in addition, with the smallest p
  that it can reach, 2/2^S. With five seeds that is .0625, so alone it never reaches significance. It also keeps the
  faces fixed.
- **One seed, accuracy, no subjects**: McNemar's exact test. The sentence then says that the variance of training is not
covered.
- **One seed, another metric or known subjects**: the bootstrap standard error over faces (subjects).

False claims at a level of 5 %, simulated (1,500 pairs of equal networks, 200 faces, spread between seeds of 0
to 3 points; `pytest -m long`): 3-8 % with two seeds, 4-7 % with three, 4-5 % with five and ten. Take five.
Several pairs are corrected together by Holm, and a verdict rests on the corrected p alone.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..metrics import metric as metric_of
from ..words import p_words
from .intervals import Bounds, Interval, Spread
from .power import faces_needed, mcnemar_faces_needed, seeds_needed
from .tests import McNemar, SignFlip, holm, mcnemar, paired_spread, sign_flip

__all__ = ["Verdict", "compare_all", "compare_pair", "corrected", "verdict_of"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The comparison of two networks, with everything that the sentence needs."""

    a: str
    b: str
    metric: str
    spread: Spread
    """The difference a − b, and its variance components."""
    interval: Interval
    """Of the difference, not corrected for the number of pairs."""
    p: float
    """Two-sided, of this pair alone."""
    p_corrected: float
    """After Holm over all pairs compared; the same as `p` for one pair."""
    pairs: int
    """How many pairs were compared together."""
    n: int
    """Test faces."""
    mcnemar: McNemar | None
    """With one seed, else None."""
    sign_flip: SignFlip | None
    """With two or more seeds, else None."""
    by_mcnemar: bool
    """Whether `p` is McNemar's (one seed, accuracy, faces without subjects)."""
    by_subject: bool
    """Whether whole subjects were drawn; `faces_needed` then counts subjects."""

    @cached_property
    def faces_needed(self) -> int | None:
        """Faces needed to detect a difference as large as the observed one, at 80 % power; None if no number
        suffices.
        """
        if self.mcnemar is not None and self.by_mcnemar:
            return mcnemar_faces_needed(self.mcnemar.only_a / self.n, self.mcnemar.only_b / self.n, alpha=self._alpha)
        return faces_needed(self.spread, alpha=self._alpha)

    @cached_property
    def seeds_needed(self) -> int | None:
        """Seeds needed to detect it on these faces; None if no number suffices, and with one seed, where it is
        unknown.
        """
        return seeds_needed(self.spread, alpha=self._alpha) if self.seeds > 1 else None

    @property
    def _alpha(self) -> float:
        """The level that so many pairs leave to each."""
        return (1 - self.interval.level) / self.pairs

    @property
    def effect(self) -> float:
        """The difference a − b, a mean over seeds, in the metric's unit."""
        return self.spread.mean

    @property
    def seeds(self) -> int:
        """Seeds of each network."""
        return self.spread.n_seeds

    @property
    def better(self) -> str | None:
        """ "a", "b", or None where this data cannot tell."""
        if self.p_corrected >= 1 - self.interval.level or self.effect == 0:
            return None
        return "a" if (self.effect > 0) != (metric_of(self.metric).lower_is_better) else "b"

    @property
    def sentence(self) -> str:
        """The verdict in words and numbers."""
        size, low, high = (show(x, self.metric) for x in (self.effect, self.interval.low, self.interval.high))
        seeds = "one seed each" if self.seeds == 1 else f"{self.seeds} seeds each"
        facts = (
            f"{self.a} − {self.b}: {size} {unit(self.metric)} ({self.interval.level:.0%} interval {low} to {high}; "
            f"{'corrected ' if self.pairs > 1 else ''}p {p_words(self.p_corrected)}; {seeds}, {self.n:,} faces)"
        )
        first, second = (self.a, self.b) if self.better == "a" else (self.b, self.a)
        claim = f"{first} is better than {second}" if self.better else "This data cannot tell"
        return f"{claim}. {facts}.{'' if self.better else ' ' + self.to_tell}{self.caution}"

    @property
    def to_tell(self) -> str:
        """The number of faces or seeds needed, if this data cannot tell."""
        thing = "subjects" if self.by_subject else "test faces"
        if self.effect == 0:
            return "The two are tied."
        ways = [f"about {self.faces_needed:,} {thing}"] if self.faces_needed else []
        ways += [f"about {self.seeds_needed:,} seeds each"] if self.seeds_needed else []
        if not ways:
            return f"Neither more seeds nor more {thing} alone would show the difference."
        return f"Showing so small a difference at 80 % power takes {' or '.join(ways)}."

    @property
    def caution(self) -> str:
        """The limit of a verdict on one seed."""
        if self.seeds > 1:
            return ""
        return " It holds for these two trained networks; one seed does not show the variance of training."


def show(value: float, metric: str) -> str:
    """A difference as text: in percentage points, or in the metric's own unit if it is not a share."""
    found = metric_of(metric)
    return f"{found.scale * value:+.{found.digits}f}"


def unit(metric: str) -> str:
    """The words behind `show`."""
    return f"points of {metric}" if metric_of(metric).unit == "%" else metric


def compare_pair(
    logits_a: ArrayLike,
    logits_b: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    *,
    names: tuple[str, str] = ("A", "B"),
    metric: str = "accuracy",
    subjects: ArrayLike | None = None,
    draws: int | None = None,
    level: float = 0.95,
) -> Verdict:
    """Compare two networks from logits `(S, N, K)`, same seeds and faces in the same order, labels `(N,)`.

    Raises `CompareError` if the arrays do not pair, or if the metric is unknown or undefined on these labels.
    """
    spread, values = paired_spread(logits_a, logits_b, labels, metric, rng, subjects=subjects, draws=draws)
    one = len(values) == 1
    return verdict_of(
        spread,
        values,
        rng,
        names=names,
        metric=metric,
        n=len(np.asarray(labels)),
        split=mcnemar(*(right(np.asarray(x)[0], labels) for x in (logits_a, logits_b))) if one else None,
        by_subject=subjects is not None,
        level=level,
    )


def verdict_of(
    spread: Spread,
    values: ArrayLike,
    rng: np.random.Generator,
    *,
    names: tuple[str, str],
    metric: str,
    n: int,
    split: McNemar | None,
    by_subject: bool,
    level: float = 0.95,
) -> Verdict:
    """The verdict on a difference with existing draws. `values (S,)` are the differences of the seeds. `split` is
    McNemar's test, for one seed.
    """
    by_mcnemar = split is not None and metric in ("accuracy", "weighted_recall") and not by_subject
    p = split.p if split is not None and by_mcnemar else spread.p
    return Verdict(
        a=names[0],
        b=names[1],
        metric=metric,
        spread=spread,
        interval=spread.interval(level, _difference_bounds(metric)),
        p=p,
        p_corrected=p,
        pairs=1,
        n=n,
        mcnemar=split,
        sign_flip=None if split is not None else sign_flip(values, rng),
        by_mcnemar=by_mcnemar,
        by_subject=by_subject,
    )


def _difference_bounds(metric: str) -> Bounds:
    least, most = metric_of(metric).bounds
    return least - most, most - least


def right(logits: ArrayLike, labels: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which predictions of `(N, K)` are right, `(N,)`."""
    return np.asarray(np.argmax(logits, axis=1) == np.asarray(labels))


def compare_all(
    logits: Mapping[str, ArrayLike],
    labels: ArrayLike,
    rng: np.random.Generator,
    *,
    metric: str = "accuracy",
    subjects: ArrayLike | None = None,
    draws: int | None = None,
    level: float = 0.95,
) -> list[Verdict]:
    """All pairs of networks, name to logits `(S, N, K)`, corrected together by Holm; in the mapping's order."""
    verdicts = [
        compare_pair(
            logits[a],
            logits[b],
            labels,
            rng,
            names=(a, b),
            metric=metric,
            subjects=subjects,
            draws=draws,
            level=level,
        )
        for a, b in itertools.combinations(logits, 2)
    ]
    return corrected(verdicts)


def corrected(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with their p corrected together by Holm."""
    together = zip(verdicts, holm([verdict.p for verdict in verdicts]).tolist(), strict=True)
    return [replace(v, p_corrected=p, pairs=len(verdicts)) for v, p in together]
