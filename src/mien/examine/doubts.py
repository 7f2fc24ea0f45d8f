"""A page of doubtful labels: the faces whose labels are probably wrong by confident learning, the most doubtful first.

In: a store and its `LabelIssues`. Out: one HTML file that needs nothing else. `faces=False` leaves the pictures
out, for corpora whose terms forbid showing them; the list then names the files.
"""

from ..data.gallery import page, picture
from ..data.store import Store
from ..shown import tagless
from .labelnoise import TRUSTED, LabelIssues

__all__ = ["doubts_page", "estimate"]

SHOWN = 120


def doubts_page(store: Store, issues: LabelIssues, *, faces: bool = True) -> str:
    """The page: the estimate with its limits, then at most `SHOWN` faces."""
    rest = f", the first {SHOWN} shown" if len(issues.ids) > SHOWN else ""
    shown = "".join(_figure(store, issues, i, faces) for i in range(min(len(issues.ids), SHOWN)))
    opening = f"<p>{tagless(store.meta.licence)}</p><p>{tagless(estimate(issues))}</p>"
    found = f'<h2>Doubted: {len(issues.ids)}{rest}</h2><div class="group">{shown or "<p>None.</p>"}</div>'
    return page(f"Doubtful labels of {store.meta.corpus}", opening + found)


def estimate(issues: LabelIssues) -> str:
    """How many labels are wrong, in words, with the limits of the estimate. Networks that are too weak give no
    estimate.
    """
    many = "one network" if len(issues.runs) == 1 else f"{len(issues.runs)} networks"
    verb = "agrees" if len(issues.runs) == 1 else "agree"
    if issues.weak:
        return (
            f"Too weak to judge labels: {many} here {verb} with {100 * issues.accuracy:.1f} % of {issues.n:,} labels. "
            f"Below {100 * TRUSTED:.0f} % agreement, most doubts of confident learning are mistakes of the networks. "
            "So no label is doubted here."
        )
    interval = issues.share.interval
    return (
        f"Confident learning takes about {round(issues.n * issues.share.value):,} of {issues.n:,} labels to be wrong, "
        f"{100 * issues.share.value:.1f} % ({100 * interval.level:.0f} % interval {100 * interval.low:.1f} to "
        f"{100 * interval.high:.1f}, over faces), and doubts {len(issues.ids):,} one by one. It uses {many} that "
        f"{verb} with {100 * issues.accuracy:.1f} % of the labels, and also counts some of their mistakes as wrong "
        "labels: look at the faces before you trust it."
    )


def _figure(store: Store, issues: LabelIssues, i: int, faces: bool) -> str:
    row = int(issues.ids[i])
    given, suggested = (issues.classes[labels[i]] for labels in (issues.given, issues.suggested))
    return (
        f"<figure>{picture(store, row) if faces else ''}<figcaption>labelled {tagless(given)} "
        f"({issues.given_probability[i]:.0%})<br>perhaps {tagless(suggested)} ({issues.suggested_probability[i]:.0%})"
        f"<br>{tagless(str(store.samples.source[row]))}</figcaption></figure>"
    )
