"""The figures of the report, each as SVG for the page and PDF for a paper. Needs matplotlib."""

from .classes import draw_bars, draw_confusions, draw_recalls, draw_roc
from .costs import draw_costs
from .curves import draw_curves
from .evidence import Shown, looked
from .forest import draw_forest
from .peeking import draw_peeking
from .ranks import draw_critical_difference
from .reliability import draw_reliability, draw_risk_coverage
from .sheet import Drawing

__all__ = [
    "Drawing",
    "Shown",
    "draw_bars",
    "draw_confusions",
    "draw_costs",
    "draw_critical_difference",
    "draw_curves",
    "draw_forest",
    "draw_peeking",
    "draw_recalls",
    "draw_reliability",
    "draw_risk_coverage",
    "draw_roc",
    "looked",
]
