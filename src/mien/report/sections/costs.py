"""The section of costs: accuracy against time, memory and parameters."""

from collections.abc import Iterator

from ..figures import draw_costs
from ..findings import Findings
from ..parts import Section, panels

__all__ = ["sections"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield Section(id="costs", title="What it costs", panels=panels(draw_costs(found.shown)))
