"""Judges the results of runs: intervals, paired tests, calibration, openings of the test.

`judge` takes a `Comparison` and gives a `Judgement`. It needs scipy and statsmodels (`mien[report]`), and neither
matplotlib nor jinja2: `mien.report` draws a judgement; every statement of its page is available here in Python.
"""

from ..errors import MissingExtra

try:
    from .judgement import Judgement, judge
except ModuleNotFoundError as error:
    if (error.name or "").startswith("mien"):
        raise
    raise MissingExtra("Judging", "report") from None

__all__ = ["Judgement", "judge"]
