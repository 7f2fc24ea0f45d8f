"""The style of every figure, and its three forms: SVG for the page, SVG for a phone, PDF for a paper.

In: a drawing function on matplotlib axes. Out: `Drawing`, with deterministic SVG (no dates, no random ids). A function
under `in_all_forms` draws three times, because a figure that is scaled down cannot be read. The PDF fits the text of
`article` at its own size. The SVG for phones stacks panels that stand side by side on the page. Print
has the form of the page, so that it is short.
Ink is drawn in one reserved colour that becomes `currentColor`, so that axes and text are dark on a light page
and light on a dark one. Colours have a luminance of 0.13 to 0.30: a contrast of 3 and more on white and on black.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, cast

import numpy as np

from ...shown import tagless

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

__all__ = [
    "HALF",
    "INK",
    "PAGE",
    "SMALLER",
    "TEXT_WIDTH",
    "Drawing",
    "Look",
    "Sheet",
    "in_all_forms",
    "in_lines",
    "is_narrow",
    "is_phone",
    "legend_columns",
    "looks",
    "most_columns",
    "name_panel",
    "of_row",
]
__all__ += ["percent_axis", "pt", "second_line", "tint", "whole_numbers"]

P = ParamSpec("P")
PAGE = 9.6
"""Inches: the width of the page's column, and the greatest width of an SVG there."""
HALF = 545
"""CSS pixels: the widest drawing that leaves room for another one on the page."""
PHONE = 3.1
"""Inches: the width of a phone's column at the size of the page's letters."""
PIXELS = 115
"""CSS pixels of the page for an inch of a figure: its letters then have the size of the page's small print."""
TEXT_WIDTH = 345 / 72.27
"""Inches: the width of the text of LaTeX's `article`, and the greatest width of a PDF."""
SMALLER = 0.8
"""Size of letters, margins and gaps for a paper and a phone, relative to the page."""
ROOMY = 0.9
"""Inches of an axis that has room for more than three numbers."""
LETTER, SMALLEST = 0.061, 4.5
"""Mean width of a letter at 8 points, in inches, and the smallest size of a letter in points."""
LEAST_LETTER = 6.2
"""Points of the smallest letter for a phone."""
Form = Literal["page", "paper", "phone"]
WIDTHS: Mapping[Form, float] = {"page": PAGE, "paper": TEXT_WIDTH, "phone": PHONE}
SLIMMEST: Mapping[Form, float] = {"page": 0.7, "paper": 0.7, "phone": 0.5}
"""Least width of a panel in inches."""
_form: ContextVar[Form] = ContextVar("form", default="page")
INK = "#010203"
COLOURS = ("#1f82c4", "#d55e00", "#009e73", "#b8659a", "#8c7a1f", "#808080")
DASHES: tuple[Any, ...] = ("-", (0, (3.5, 1.6)), (0, (1, 1.3)), (0, (5, 1.5, 1, 1.5)))
HATCHES = ("", "/////", ".....", "xxxxx")
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 6,
    "axes.titlesize": 9,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,  # TrueType: journals refuse Type 3, matplotlib's default
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "mien",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in {"major.size": 3, "major.width": 0.6}.items()},
}
"""A complete answer to a user's own matplotlibrc: settings that are not named here are matplotlib's defaults."""


SIZES = ("size", "titlepad")
"""Ends of the names of settings that depend on the form."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The look of a row in every figure: colour and marker for the network, dash and hatch for its variant."""

    colour: str
    marker: str
    dash: Any
    hatch: str
    solid: bool
    """Whether this is the network's first variant (the one without dropout): a filled marker, a full bar."""


def looks(names: Sequence[tuple[str, float]]) -> list[Look]:
    """Looks of rows `(network, dropout)`: one colour a network; of its rows, the lowest dropout is drawn solid."""
    networks = list(dict.fromkeys(network for network, _ in names))
    found = []
    for index, (network, _) in enumerate(names):
        own = sorted((dropout, i) for i, (name, dropout) in enumerate(names) if name == network)
        variant = [i for _, i in own].index(index)
        place = networks.index(network)
        found.append(
            Look(
                colour=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                dash=DASHES[variant % len(DASHES)],
                hatch=HATCHES[variant % len(HATCHES)],
                solid=variant == 0,
            )
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A finished figure: its file name without ending, what it shows, and its three forms."""

    name: str
    title: str
    caption: str
    """How to read it, in sentences."""
    svg: str
    narrow: str
    """The SVG for phones; empty if that of the page is narrow enough."""
    pdf: bytes
    width: int
    """Width in CSS pixels at which its letters are as large as the page's small print."""


class Sheet:
    """A figure of `rows` × `columns` panels of fixed size in inches; layout is arithmetic, so it is fast and exact.

    `gap` is what lies between panels, across and down; down is one number, or one for each gap from the top.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        panel: tuple[float, float],
        *,
        left: float = 0.55,
        top: float = 0.3,
        gap: tuple[float, float | Sequence[float]] = (0.5, 0.6),
        bottom: float = 0.5,
        right: float = 0.12,
    ) -> None:
        import matplotlib  # late: who wants figures as numbers alone needs none

        style = {key: pt(value) if key.endswith(SIZES) else value for key, value in STYLE.items()}
        self._context = matplotlib.rc_context(cast(Any, {**matplotlib.rcParamsDefault, **style}))
        across, given = gap
        downs = [given] * (rows - 1) if isinstance(given, int | float) else [*given]
        if is_narrow():
            left, right, top, bottom = (SMALLER * side for side in (left, right, top, bottom))
            across, downs = SMALLER * across, [SMALLER * down for down in downs]
        room = WIDTHS[_form.get()] - left - right - (columns - 1) * across
        panel = _fitted(panel, columns, room)
        self.panel = panel
        """Width and height of a panel, in inches."""
        width, height = panel
        self.width = left + columns * width + (columns - 1) * across + right
        self.height = top + rows * height + sum(downs) + bottom
        self._corners = [
            (left + column * (width + across), bottom + (rows - 1 - row) * height + sum(downs[row:]))
            for row in range(rows)
            for column in range(columns)
        ]
        self.axes: list[Axes] = []

    def __enter__(self) -> "Sheet":
        from matplotlib.figure import Figure

        self._context.__enter__()
        self.figure = Figure(figsize=(self.width, self.height))
        width, height = self.panel
        for x, y in self._corners:
            box = (x / self.width, y / self.height, width / self.width, height / self.height)
            self.axes.append(self.figure.add_axes(box))
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def finish(self, name: str, title: str, caption: str) -> Drawing:
        """The drawing in the form that is being drawn; the others are empty (`in_all_forms` joins them)."""
        form = _form.get()
        svg = "" if form == "paper" else self._saved("svg", {"Date": None}).decode()
        return Drawing(
            name=name,
            title=title,
            caption=caption,
            narrow=_clean(svg, f"{name}-narrow", title) if form == "phone" else "",
            svg=_clean(svg, name, title) if form == "page" else "",
            pdf=self._saved("pdf", {"CreationDate": None}) if form == "paper" else b"",
            width=round(self.width * PIXELS),
        )

    def _saved(self, form: str, metadata: dict[str, None]) -> bytes:
        content = io.BytesIO()
        with warnings.catch_warnings():  # class names may use scripts that the font lacks; browsers have them
            warnings.filterwarnings("ignore", "Glyph", UserWarning)
            self.figure.savefig(content, format=form, metadata=metadata)
        return content.getvalue()


def whole_numbers() -> "Locator":
    """Ticks at whole numbers only: there is no epoch 2.5."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, integer=True)


def tint(axes: "Axes", x: float, y: float, colour: str, alpha: float) -> None:
    """Colour the cell of side 1 whose corner is (x, y)."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, alpha=alpha, linewidth=0))


def in_all_forms(draw: Callable[P, list[Drawing]]) -> Callable[P, list[Drawing]]:
    """Surrounds a drawing function: it is called for the page, for a paper and for a phone."""

    @wraps(draw)
    def all_forms(*args: P.args, **kwargs: P.kwargs) -> list[Drawing]:
        forms: dict[Form, list[Drawing]] = {}
        for form in WIDTHS:
            token = _form.set(form)
            try:
                forms[form] = draw(*args, **kwargs)
            finally:
                _form.reset(token)
        return [
            replace(wide, pdf=other.pdf, narrow=small.narrow if wide.width > PHONE * PIXELS else "")
            for wide, other, small in zip(forms["page"], forms["paper"], forms["phone"], strict=True)
        ]

    return all_forms


def is_narrow() -> bool:
    """Whether the form that is being drawn is narrower than the page: that of a paper or of a phone."""
    return _form.get() != "page"


def is_phone() -> bool:
    """Whether the form for a phone is being drawn."""
    return _form.get() == "phone"


def most_columns(page: int, paper: int, phone: int) -> int:
    """The greatest number of panels side by side in the form that is being drawn."""
    return {"page": page, "paper": paper, "phone": phone}[_form.get()]


def pt(size: float) -> float:
    """A size of letters, in points, in the form that is being drawn; at least 6.2 on a phone."""
    return max(LEAST_LETTER, size * SMALLER) if is_phone() else size * SMALLER if is_narrow() else size


def legend_columns(most: int = 3) -> int:
    """Number of names of rows side by side in a legend."""
    return most_columns(most, min(most, 2), 1)


def of_row(name: str) -> str:
    """The name of a row as a label: on a phone its factors stand on a second line."""
    return name.replace(", ", ",\n", 1) if is_phone() else name


def second_line() -> float:
    """Inches that a second line takes in the names of rows, which they have on a phone; else 0."""
    return 0.15 if is_phone() else 0.0


def name_panel(axes: "Axes", name: str, size: float = 8.5, pad: float = 6) -> None:
    """The name of a row over its panel, in letters that keep it off the next one."""
    name = of_row(name)
    room = _length(axes, "x") * (1.04 if is_narrow() else 1.1)
    fitting = room / (LETTER * max(map(len, [*name.split("\n"), "1"]))) * 8
    axes.set_title(name, fontsize=max(SMALLEST, min(pt(size), fitting)), pad=pt(pad))


def in_lines(count: int, most: int) -> tuple[int, int]:
    """Lines and columns of `count` panels, at most `most` beside one another, with as few holes as that allows."""
    lines = -(-count // most)
    return lines, -(-count // lines)


def _fitted(panel: tuple[float, float], columns: int, room: float) -> tuple[float, float]:
    """A panel that fits `columns` times into `room` inches: square ones stay square, others get lower for the PDF."""
    width = max(SLIMMEST[_form.get()], min(panel[0], room / columns))
    return (width, width) if panel[0] == panel[1] else (width, panel[1] * (SMALLER if is_narrow() else 1))


def percent_axis(axes: "Axes", low: float = 0.0, high: float = 1.0, *, axis: str = "y") -> None:
    """Label an axis of shares in per cent."""
    getattr(axes, f"set_{axis}lim")(low, high)
    steps = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5])
    step = steps[np.argmax((high - low) / steps <= (5.001 if _length(axes, axis) >= ROOMY else 2.001))]
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    getattr(axes, f"set_{axis}ticks")(ticks, [f"{100 * tick + 1e-9:.0f}" for tick in ticks])


def _length(axes: "Axes", axis: str) -> float:
    """Inches of an axis."""
    box, figure = axes.get_position(), axes.get_figure(root=True)
    width, height = figure.get_size_inches() if figure else (0.0, 0.0)
    return float(box.width * width if axis == "x" else box.height * height)


def _clean(svg: str, name: str, title: str) -> str:
    """The `<svg>` element alone: ink becomes `currentColor`, ids carry the figure's name, numbers are rounded."""
    body = svg[svg.index("<svg") :].strip()
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", body)
    body = re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), body)
    label = f'<svg role="img" aria-label="{tagless(title)}"'
    return body.replace("<svg", label, 1).replace(INK, "currentColor") + "\n"
