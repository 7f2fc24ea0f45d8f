"""Intervals, paired tests and verdicts on differences between networks.

It takes logits and labels as plain arrays and knows no run folders. Needs scipy and statsmodels (`mien[report]`).

    resampling   redraw the test faces (or subjects), and any metric on thousands of draws
    intervals    the sources of variance (faces, seeds, both), and the intervals
    influence    an AUC on thousands of draws, by how much each face moves it
    gaps         the mean of gains that are 0 or exponential: the price of peeking
    tests        McNemar, sign flips, corrected resampled t, Friedman with Nemenyi, Holm
    power        faces or seeds needed to detect a difference; conclusions from bare accuracies
    verdicts     "A is better", "B is better", or "this data cannot tell"
"""

from ..calibration import wilson
from .gaps import gap_interval
from .intervals import GAP, SHARE, Interval, Over, Spread, bootstrap, spread
from .power import (
    PairedBounds,
    TwoProportions,
    faces_needed,
    mcnemar_bounds,
    mcnemar_faces_needed,
    resolvable_difference,
    seeds_needed,
    two_proportions,
)
from .resampling import face_counts, replicate
from .tests import (
    Friedman,
    McNemar,
    SignFlip,
    corrected_resampled_t,
    friedman_nemenyi,
    holm,
    mcnemar,
    paired_bootstrap,
    sign_flip,
)
from .verdicts import Verdict, compare_all, compare_pair

__all__ = [
    "GAP",
    "SHARE",
    "Friedman",
    "Interval",
    "McNemar",
    "Over",
    "PairedBounds",
    "SignFlip",
    "Spread",
    "TwoProportions",
    "Verdict",
    "bootstrap",
    "compare_all",
    "compare_pair",
    "corrected_resampled_t",
    "face_counts",
    "faces_needed",
    "friedman_nemenyi",
    "gap_interval",
    "holm",
    "mcnemar",
    "mcnemar_bounds",
    "mcnemar_faces_needed",
    "paired_bootstrap",
    "replicate",
    "resolvable_difference",
    "seeds_needed",
    "sign_flip",
    "spread",
    "two_proportions",
    "wilson",
]
