"""What runs say of networks, and how surely: intervals, paired tests, calibration, openings of the test.

`judge` takes a `Comparison` and gives a `Judgement`. It needs scipy and statsmodels (`mien[report]`), and neither
matplotlib nor jinja2: `mien.report` draws a judgement, and everything that a page says can be asked for here.
"""

from ..errors import MissingExtra

try:
    from .judgement import Judgement, judge
except ModuleNotFoundError as error:
    if (error.name or "").startswith("mien"):
        raise
    raise MissingExtra("Judging", "report") from None

__all__ = ["Judgement", "judge"]
