"""Templates to HTML: a page of one file, with the style and the drawings inside it. Needs jinja2."""

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["fill"]


def fill(template: str, **values: Any) -> str:
    """A template of this package, by its file name, filled in; it also gets `style`, the style of every page."""
    environment = Environment(
        loader=PackageLoader("mien.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    style = (resources.files("mien.report") / "page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=Markup(style), **values)


def _inline(svg: str) -> Markup:
    """A drawing inside HTML, where an SVG needs no namespace. Matplotlib has escaped its texts."""
    return Markup(svg.replace(' xmlns="http://www.w3.org/2000/svg"', ""))
