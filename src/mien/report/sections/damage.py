"""Robustness on the page: accuracy under each corruption, and mean corruption error against a named baseline."""

import math
from collections.abc import Iterator, Mapping, Sequence

from ...data.store import Store
from ...examine.corruptions import SEVERITIES, corrupt
from ...examine.examined import Examined
from ...examine.robustness import Damage
from ...statistics.estimates import Estimate
from ...words import as_csv, in_percent, three
from ..figures.damage import corruption_name, draw_damage
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable
from ..pictures import Picture, PictureRow, picture_uri

__all__ = ["damage_section", "sections"]

NOT_SHOWN = Look(colour="#808080", marker="X", dash=(0, (1, 1.3)), hatch="", solid=False)
"""The figures of a baseline that was only measured for this."""
ID, TITLE = "robustness", "What damage they withstand"
MOST_SAID = 4
"""Rows that are put into words, the lowest mCE first; the table has all."""


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        rest = {row.name: NOT_SHOWN for row in found.comparison.rows if row.name not in found.looks}
        yield damage_section(found.examined, rest | found.looks, found.store if faces else None, found.folder)


def damage_section(examined: Examined, looks: Mapping[str, Look], store: Store | None, folder: str) -> Section:
    """The section; without measurements, a sentence with the command that makes them, or the reason why they do not
    fit together.
    """
    damages, notes = examined.damages, examined.notes.get("damages", ())
    if not damages:
        how = f"“mien robustness {folder}” tests finished runs on damaged faces."
        return Section(id=ID, title=TITLE, lead=" ".join(notes) or how, measured=False)
    drawing = draw_damage(damages, looks)[0]
    panels = [
        Panel(title=drawing.title, caption=drawing.caption, drawing=drawing, table=_summary(damages), small_print=True),
        _by_corruption(damages),
        *_pictures(store, examined),
    ]
    return Section(
        id=ID,
        title=TITLE,
        lead=_lead(damages),
        points=tuple(notes),
        panels=tuple(panels),
        files={"robustness.csv": _csv(damages)},
    )


def _lead(damages: Sequence[Damage]) -> str:
    first, n = damages[0], f"{damages[0].n:,}"
    lead = (
        f"Trained networks were tested again on {n} test faces, damaged in {len(first.corruptions)} ways and "
        f"{len(SEVERITIES)} severities, after Hendrycks & Dietterich (2019). The mean corruption error (mCE) is a "
        f"network's error on damaged faces relative to that of {first.baseline}, which has 100; lower is better."
    )
    others = [one for one in damages if one.name != one.baseline and math.isfinite(one.mce.value)]
    significant = sorted((one for one in others if not _holds(one.mce, 1.0)), key=lambda one: one.mce.value)
    if not significant:
        return f"{lead} No other row differs significantly from it." if others else lead
    words = "; ".join(f"{one.name} {in_percent(one.mce)}" for one in significant[:MOST_SAID])
    more = f"; and {len(significant) - MOST_SAID} more in the table" if len(significant) > MOST_SAID else ""
    return (
        f"{lead} Rows whose own 95 % interval excludes 100, without correction for the number of rows: {words}{more}."
    )


def _holds(figure: Estimate, value: float) -> bool:
    return figure.interval.low <= value <= figure.interval.high


def _summary(damages: Sequence[Damage]) -> SmallTable:
    first = damages[0]
    over = ", ".join(map(corruption_name, first.relative_over)) or "none of them"
    return SmallTable(
        name="robustness",
        heads=("Network", "Clean, %", "All damage, %", "mCE, %", "Relative mCE, %", "Seeds"),
        rows=tuple(
            (
                one.name,
                in_percent(one.clean),
                in_percent(one.corrupted),
                _against(one, one.mce),
                _against(one, one.relative_mce),
                str(one.seeds),
            )
            for one in damages
        ),
        notes=(
            f"Accuracy and errors with 95 % intervals over faces{_seeds(first)}. mCE and relative mCE are against "
            f"{first.baseline} (--baseline names another); lower is better. Relative mCE measures the accuracy that "
            "damage costs, whatever the accuracy on clean faces. It covers only corruptions that clearly cost "
            f"{first.baseline} accuracy, because a ratio to a loss near 0 has no meaning: {over}.",
        ),
    )


def _seeds(damage: Damage) -> str:
    return " and seeds" if damage.seeds > 1 else "; one seed cannot show the variance of training"


def _against(one: Damage, figure: Estimate) -> str:
    return "100, the baseline" if one.name == one.baseline and math.isfinite(figure.value) else in_percent(figure)


def _by_corruption(damages: Sequence[Damage]) -> Panel:
    rows = [("none", *(in_percent(one.clean) for one in damages))]
    for k, kind in enumerate(damages[0].corruptions):
        rows.append((corruption_name(kind), *(in_percent(one.by_corruption[k]) for one in damages)))
    return Panel(
        title="Accuracy by kind of damage",
        caption="Mean accuracy in per cent over the five severities, with 95 % intervals; every severity is in "
        "robustness.csv. Read a column down to find the corruptions that hurt a network most, and a line across "
        "to compare networks.",
        table=SmallTable(
            name="robustness-by-corruption", heads=("Damage", *(one.name for one in damages)), rows=tuple(rows)
        ),
        folded=True,
    )


def _pictures(store: Store | None, examined: Examined) -> Iterator[Panel]:
    """One test face under all damage; nothing without the store, or if pictures are not to be shown."""
    if store is None:
        return
    rows = store.rows("test")
    face = store.images[rows[:1] if len(rows) else slice(0, 1)]
    yield Panel(
        title="What the damage looks like",
        caption="One face under each kind of damage, severity 1 to 5 from left to right. Where a person cannot name "
        "the expression, a network need not either.",
        pictures=tuple(
            PictureRow(
                title=corruption_name(kind),
                pictures=tuple(
                    Picture(
                        uri=picture_uri(corrupt(kind, face, severity)[0]),
                        text=f"{corruption_name(kind)}, severity {severity}",
                    )
                    for severity in SEVERITIES
                ),
            )
            for kind in examined.damages[0].corruptions
        ),
    )


def _csv(damages: Sequence[Damage]) -> str:
    heads = ("network", "quantity", "corruption", "severity", "value", "low", "high", "baseline", "faces", "seeds")
    return as_csv(heads, [line for one in damages for line in _lines(one)])


def _lines(one: Damage) -> Iterator[tuple[object, ...]]:
    end = (one.baseline, one.n, one.seeds)
    yield (one.name, "accuracy", "none", 0, *three(one.clean), *end)
    for k, kind in enumerate(one.corruptions):
        for severity, cell in zip(SEVERITIES, one.accuracy[k], strict=True):
            yield (one.name, "accuracy", kind, severity, *three(cell), *end)
        yield (one.name, "accuracy", kind, "mean", *three(one.by_corruption[k]), *end)
        yield (one.name, "ce", kind, "mean", *three(one.ce[k]), *end)
    yield (one.name, "accuracy", "all", "mean", *three(one.corrupted), *end)
    yield (one.name, "mce", "all", "mean", *three(one.mce), *end)
    yield (one.name, "relative_mce", "; ".join(one.relative_over), "mean", *three(one.relative_mce), *end)
