"""Explanations on the page, for drawn faces: how much of an explanation falls on the pixels that moved."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...explain import TITLES
from ...explain.beside import FIGURES, Controlled, Grounded, Truth
from ...explain.truth import CHANCES, CONTROLS
from ...planes import MOVED
from ...words import as_csv, in_percent, points, three
from ..figures.explanations import draw_explanations, draw_units, shown_methods
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["explanations_section", "sections"]

ID, TITLE = "explanations", "Where they look"
MOST_SAID = 4
"""Pairs of network and method that are named in the lead; of more, the number."""


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        drawn = found.store is not None and MOVED in found.store.planes
        yield explanations_section(found.explained, found.looks, found.folder, drawn=drawn)


def explanations_section(
    truths: tuple[Truth, ...] | str, looks: Mapping[str, Look], folder: str, *, drawn: bool
) -> Section:
    """The section; empty if the faces are not `drawn`. Without measurements, a sentence with the command that makes
    them.
    """
    if not drawn:
        return Section(id=ID, title=TITLE)
    if isinstance(truths, str):
        return Section(id=ID, title=TITLE, lead=truths, measured=False)
    if not truths:
        how = (
            f"“mien explain {folder} --truth” compares explanations of finished runs with the pixels that action units "
            f"moved, which are known for drawn faces."
        )
        return Section(id=ID, title=TITLE, lead=how, measured=False)
    return Section(
        id=ID,
        title=TITLE,
        lead=_lead(truths),
        points=tuple(_points(truths)),
        panels=tuple(_panels(truths, looks)),
        files={"explanations.csv": _csv(truths)},
    )


def _panels(truths: Sequence[Truth], looks: Mapping[str, Look]) -> list[Panel]:
    first = draw_explanations(truths, looks)[0]
    units = draw_units(truths, looks, _sharpest(truths))
    panels = [Panel(title=first.title, caption=first.caption, drawing=first, table=_table(truths), small_print=True)]
    return [*panels, *(Panel(title=one.title, caption=one.caption, drawing=one) for one in units)]


def _lead(truths: Sequence[Truth]) -> str:
    every = [(truth, one) for truth in truths for one in truth.methods]
    same = [pair for pair in every if pair[1].energy.above["untrained"].interval.low <= 0]
    own = sum(one.energy.above["others"].interval.low > 0 for _, one in every)
    words = "; ".join(f"{truth.name} by {TITLES[one.method]}" for truth, one in same)
    if len(same) > MOST_SAID:
        words = f"the other {len(same)}, whose interval above the untrained network begins at 0 or below in the table"
    rest = (
        f" This could not be shown for {words}. Such maps need not show what the network learned, however convincing "
        "they look."
    )
    return (
        "For drawn faces it is known which pixels an expression moved, so an explanation can be compared with the "
        f"truth. In {len(every) - len(same)} of {len(every)} pairs of network and method, these pixels carry more of "
        "the map's positive energy than they do for the same network before training (by their own 95 % intervals). "
        f"In {own} pairs they carry more than they do on faces of other expressions.{rest if same else ''}"
    )


def _points(truths: Sequence[Truth]) -> list[str]:
    layers = dict.fromkeys(f"{truth.layer} of {truth.name}" for truth in truths)
    grads = any(one.method.startswith("grad-cam") for truth in truths for one in truth.methods)
    found = [f"Grad-CAM and Grad-CAM++ look at {'; '.join(layers)}."] if grads else []
    found += [
        f"{truth.name}, {TITLES[one.method]}: {one.blank:.0%} of the maps are empty; they count as uniform maps."
        for truth in truths
        for one in truth.methods
        if one.blank >= 0.05
    ]
    return found


def _table(truths: Sequence[Truth]) -> SmallTable:
    return SmallTable(
        name="explanations",
        heads=(
            "Network",
            "Method",
            "Largest pixel, %",
            "Energy, %",
            "above untrained, points",
            "above others, points",
            "above a uniform map, points",
        ),
        rows=tuple(
            (truth.name, TITLES[one.method], in_percent(one.pointing.value), in_percent(one.energy.value), *_gains(one))
            for truth in truths
            for one in truth.methods
        ),
        words=frozenset({1}),
        notes=(
            "95 % intervals over faces (subjects, where all are known) and seeds, not corrected for their number. "
            "The differences are of energy, paired by face. Other faces: the same network's maps of faces of other "
            "expressions.",
        ),
    )


def _gains(one: Grounded) -> tuple[str, ...]:
    above = one.energy.above
    return tuple(points(above[name].value, above[name].interval) for name in ("untrained", "others", "area"))


def _sharpest(truths: Sequence[Truth]) -> str:
    """The method whose energy is most above that of the untrained networks, on the mean of the networks."""

    def gain(method: str) -> float:
        own = [one.energy for truth in truths for one in truth.methods if one.method == method]
        return float(np.mean([energy.above["untrained"].value for energy in own]))

    return max(shown_methods(truths), key=gain)


def _csv(truths: Sequence[Truth]) -> str:
    heads = ("network", "method", "faces", "seeds", "quantity", "beside", "value", "low", "high")
    rows: list[Sequence[object]] = []
    for truth in truths:
        for one in truth.methods:
            start = (truth.name, one.method, truth.n, truth.seeds)
            for figure in FIGURES:
                beside: Controlled = getattr(one, figure)
                rows.append((*start, figure, "", *three(beside.value)))
                rows += [(*start, figure, name, *three(beside.controls[name])) for name in CONTROLS]
                rows += [
                    (*start, f"{figure}_above", name, *three(beside.above[name])) for name in (*CHANCES, *CONTROLS)
                ]
            rows += [(*start, "lift", f"AU {unit}", *three(lift)) for unit, lift in one.units.items()]
    return as_csv(heads, rows)
