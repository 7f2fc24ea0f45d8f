"""Other corpora on the page: the matrix of training and test, and ranks over corpora."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...examine.across import Cell, Matrix
from ...examine.examined import Examined
from ...words import as_csv, in_percent, points, three
from ..figures.across import draw_across
from ..figures.ranks import draw_critical_difference
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["across_section", "sections"]

ID, TITLE = "across", "What holds on other corpora"


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield across_section(found.examined, found.looks, found.folder)


def across_section(examined: Examined, looks: Mapping[str, Look], folder: str) -> Section:
    """The section; without measurements, a sentence with the command that makes them."""
    matrix, notes = examined.matrix, examined.notes.get("matrix", ())
    if matrix is None:
        how = f"“mien across {folder} --data STORE” tests finished runs on another corpus."
        return Section(id=ID, title=TITLE, lead=" ".join(notes) or how, measured=False)
    drawing = draw_across(matrix, looks)[0]
    panels = [
        Panel(title=drawing.title, caption=drawing.caption, drawing=drawing, table=_table(matrix)),
        *_ranks(matrix),
    ]
    return Section(
        id=ID,
        title=TITLE,
        lead=_lead(matrix),
        points=(*notes, *_remarks(matrix)),
        panels=tuple(panels),
        files={"across.csv": _csv(matrix)},
    )


def _lead(matrix: Matrix) -> str:
    away = [cell for cell in matrix.cells if not cell.own]
    lost = [cell for cell in away if cell.change_uar.interval.high < 0]
    return (
        "A network that has learned expressions, and not the look of one corpus, scores as well on faces from "
        "another source. Classes are matched by name, and a network chooses among the classes that both corpora "
        f"have. UAR fell in {len(lost)} of {len(away)} such tests. Each is judged by its own 95 % interval, without "
        "correction for their number."
    )


def _table(matrix: Matrix) -> SmallTable:
    several = len({cell.trained_on for cell in matrix.cells}) > 1
    return SmallTable(
        name="across",
        heads=(
            *("Network", "Trained → tested" if several else "Tested on", "Classes", "Faces"),
            *("UAR, %", "At home, %", "Change, points", "Accuracy, %"),
        ),
        rows=tuple(
            (
                *(cell.network, f"{cell.trained_on} → {cell.tested_on}" if several else cell.tested_on),
                *(str(len(cell.classes)), f"{cell.n:,}", in_percent(cell.uar)),
                "it is" if cell.own else in_percent(cell.home_uar),
                *(points(cell.change_uar.value, cell.change_uar.interval), in_percent(cell.accuracy)),
            )
            for cell in matrix.cells
        ),
        words=frozenset({1}),
        notes=(
            "95 % intervals over faces (subjects, where all are known) and seeds. At home: the UAR of the same runs "
            "on the test part of their own corpus, over the same classes. The change is the difference of the two, "
            "paired by seed.",
        ),
    )


def _remarks(matrix: Matrix) -> Iterator[str]:
    """The adaptations and omissions of each pair of corpora."""
    for pair, cell in {(c.trained_on, c.tested_on): c for c in matrix.cells if not c.own}.items():
        remarks = [*cell.notes]
        remarks += (
            [f"Left out, because the networks were not trained on these classes: {', '.join(cell.left_out)}."]
            if cell.left_out
            else []
        )
        remarks += (
            [f"Classes that the networks know and this corpus lacks: {', '.join(cell.unused)}."] if cell.unused else []
        )
        if cell.copies:
            remarks.append(f"{cell.copies:,} of the {cell.n:,} pictures are exact copies of training pictures.")
        if cell.copies is None:
            remarks.append(
                "The training store no longer exists, so the test was not searched for copies of training pictures."
            )
        if remarks:
            yield f"{pair[0]} → {pair[1]}: {' '.join(remarks)}"


def _ranks(matrix: Matrix) -> list[Panel]:
    """Networks ranked over corpora: each at home where several were trained on, else over those tested on."""
    trained = list(dict.fromkeys(cell.trained_on for cell in matrix.cells))
    pairs = [(name, name) for name in trained] if len(trained) > 1 else [(trained[0], name) for name in matrix.corpora]
    cells: dict[tuple[str, str, str], Cell] = {(c.network, c.trained_on, c.tested_on): c for c in matrix.cells}
    networks = [name for name in dict.fromkeys(key[0] for key in cells) if all((name, *p) in cells for p in pairs)]
    scores = np.array([[cells[name, *pair].uar.value for name in networks] for pair in pairs])
    corpora = [pair[1] for pair in pairs]
    how = (
        "Ranks are by UAR, each corpus trained on and tested at home."
        if len(trained) > 1
        else f"Ranks are by UAR of networks trained on {trained[0]} alone, on its own test part and on the others: "
        "they show how well networks transfer, and not which network learns best on an arbitrary corpus."
    )
    return [
        Panel(title=one.title, caption=f"{how} {one.caption}", drawing=one)
        for one in draw_critical_difference(scores, networks, corpora)
    ]


def _csv(matrix: Matrix) -> str:
    heads = ("network", "trained_on", "tested_on", "classes", "faces", "runs", "quantity", "value", "low", "high")
    rows: list[Sequence[object]] = []
    for cell in matrix.cells:
        start = (cell.network, cell.trained_on, cell.tested_on, "; ".join(cell.classes), cell.n, cell.runs)
        names = ("accuracy", "uar", "home_accuracy", "home_uar", "change_uar")
        rows += [(*start, name, *three(getattr(cell, name))) for name in names]
    return as_csv(heads, rows)
