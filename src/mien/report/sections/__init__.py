"""The sections of the page, one file each, named by what they show.

Its `sections(found, faces)` yields sections made from the findings, with pictures of the corpus only if `faces` is
true. A section without panels, lead and points is left out. Adding one is a file and a line in `SECTIONS`.
"""

from collections.abc import Callable, Iterator

from ..findings import Findings
from ..parts import Section
from . import (
    across,
    calibration,
    classes,
    costs,
    curves,
    damage,
    differences,
    doubts,
    ensembles,
    explanations,
    faces,
    groups,
    imbalance,
    methods,
    mistakes,
    peeking,
    pooled,
    protocol,
    settings,
    tuning,
)

__all__ = ["SECTIONS"]

SECTIONS: tuple[Callable[[Findings, bool], Iterator[Section]], ...] = (
    faces.sections,
    pooled.sections,
    differences.sections,
    settings.sections,
    tuning.sections,
    curves.sections,
    classes.sections,
    calibration.sections,
    imbalance.sections,
    ensembles.sections,
    costs.sections,
    mistakes.sections,
    damage.sections,
    groups.sections,
    doubts.sections,
    across.sections,
    explanations.sections,
    peeking.sections,
    protocol.sections,
    methods.sections,
)
"""In the order of the page."""
