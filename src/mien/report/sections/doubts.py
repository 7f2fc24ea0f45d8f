"""Label noise on the page: labels that are probably wrong, annotators' votes, and the cost of injected noise."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...data.store import Store
from ...examine.doubts import estimate
from ...examine.examined import Examined, Place
from ...examine.labelnoise import Agreement, LabelIssues, NoisePoint
from ...statistics import Interval
from ...words import as_csv, decimal, faces_of, in_percent, is_drawn, p_words, points, span, three
from ..figures import Shown
from ..figures.doubts import draw_joint, draw_noise
from ..figures.sheet import Look, looks
from ..findings import Findings
from ..parts import Panel, Section, SmallTable
from ..pictures import Picture, PictureRow, picture_uri

__all__ = ["doubts_section", "sections"]

ID, TITLE = "labels", "Which labels are doubtful"
MOST_FACES = 27
MOST_PAIRS = 10


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield doubts_section(found.examined, found.shown, found.store, found.folder, faces=faces)


def doubts_section(
    examined: Examined, shown: Sequence[Shown], store: Store | None, folder: str, *, faces: bool
) -> Section:
    """The section about labels, votes and noise, with a sentence for what was not trained.

    `folder` is that of the runs; empty if there are none, as for model files.
    """
    notes = [sentence for part in ("issues", "noise") for sentence in examined.notes.get(part, ())]
    panels: list[Panel] = []
    files: dict[str, str | bytes] = {}
    issues, lead = examined.issues, ""
    if issues is not None and issues.weak:
        lead = estimate(issues)
    elif issues is not None:
        lead = _lead(issues, examined.places[0].home)
        panels += [*_joint(issues), *(_gallery(issues, store) if store and faces else ())]
        files["doubts.csv"] = _doubts_csv(issues, store)
    for place in examined.places:
        if place.votes:
            panels.append(_votes(place))
            files[f"votes{place.suffix}.csv"] = _votes_csv(place.votes)
    if examined.noise:
        panels += _noise(examined.noise, {item.name: item.look for item in shown})
        files["label-noise.csv"] = _noise_csv(examined.noise)
    elif folder:
        notes.append(
            "The cost of wrong training labels was not measured: train “mien compare noise --data STORE --runs "
            f"NOISE”, then make this page by “mien report {folder} --noise-runs NOISE”."
        )
    if not panels:
        return Section(id=ID, title=TITLE, lead=" ".join([lead, *notes]).strip(), measured=False)
    return Section(id=ID, title=TITLE, lead=lead, points=tuple(notes), panels=tuple(panels), files=files)


def _lead(issues: LabelIssues, corpus: str) -> str:
    lead = f"{estimate(issues)} doubts.csv names every doubted face."
    if issues.single:
        lead += f" Classes with a single face outside the training part are never doubted: {', '.join(issues.single)}."
    if is_drawn(corpus):
        lead += " Drawn faces have no wrong labels, so all of this is the method's own error with these networks."
    return lead


def _joint(issues: LabelIssues) -> Iterator[Panel]:
    for drawing in draw_joint(issues):
        yield Panel(title=drawing.title, caption=drawing.caption, drawing=drawing, table=_pairs(issues))


def _pairs(issues: LabelIssues) -> SmallTable:
    """The largest cells off the diagonal, with intervals."""
    size = len(issues.classes)
    order = np.argsort(-np.where(np.eye(size, dtype=bool), -1, issues.joint), axis=None, kind="stable")
    cells = [divmod(int(flat), size) for flat in order[: min(MOST_PAIRS, size * (size - 1))]]
    counts = {cell: int(((issues.given == cell[0]) & (issues.suggested == cell[1])).sum()) for cell in cells}
    return SmallTable(
        name="doubts",
        heads=("Labelled", "Probably", "Share of all faces, %", "Doubted one by one"),
        rows=tuple(
            (
                issues.classes[i],
                issues.classes[j],
                f"{100 * issues.joint[i, j]:.2f} {_ends(issues, i, j)}",
                str(counts[i, j]),
            )
            for i, j in cells
        ),
        words=frozenset({1}),
        notes=(
            "The largest confusions, with 95 % intervals over faces for these trained networks. Confident learning "
            "(Northcutt et al. 2021) counts a label as wrong where the networks are as confident of another class as "
            "they are, on average, for faces of that class. The last column counts the labels in doubt.",
        ),
    )


def _ends(issues: LabelIssues, i: int, j: int) -> str:
    return f"[{100 * issues.joint_low[i, j]:.2f}–{100 * issues.joint_high[i, j]:.2f}]"


def _gallery(issues: LabelIssues, store: Store) -> Iterator[Panel]:
    pictures = []
    for k, row in enumerate(issues.ids[:MOST_FACES].tolist()):
        given, suggested = issues.classes[issues.given[k]], issues.classes[issues.suggested[k]]
        words = f"{given} → {suggested}, {100 * issues.suggested_probability[k]:.0f} %"
        pictures.append(
            Picture(uri=picture_uri(store.images[row]), text=f"Labelled {given}, perhaps {suggested}", caption=words)
        )
    if pictures:
        yield Panel(
            title="The most doubtful labels",
            caption="Each caption reads: label → the class that the networks prefer, with their mean probability. They "
            "were not trained on these faces. Look at the faces before you trust them: several networks can "
            "share a blind spot.",
            pictures=(PictureRow(title=f"{len(pictures)} of {len(issues.ids):,}", pictures=tuple(pictures)),),
            folded=True,
        )


def _votes(place: Place) -> Panel:
    first = place.votes[0]
    away = (
        f" The faces are those test faces of {faces_of(place.corpus)} whose class the networks know; votes are "
        f"counted among these classes. The networks were trained on {faces_of(place.home)}."
        if place.away
        else ""
    )
    return Panel(
        title=f"Agreement with annotators' votes {place.where}".strip(),
        caption=f"Where annotators disagree, a single label is not the truth.{away} Majority: the share of answers "
        "that no other class has more votes than. Share of votes: the mean share of annotators who gave the same "
        "answer. Cross-entropy and divergence (nats) compare the probabilities with the votes. Lower is better, "
        "and a divergence of 0 means as uncertain as people are.",
        table=SmallTable(
            name=f"votes{place.suffix}",
            heads=("Network", "Majority, %", "Share of votes, %", "Cross-entropy", "Divergence"),
            rows=tuple(
                (
                    one.name,
                    in_percent(one.majority),
                    in_percent(one.mass),
                    decimal(one.cross_entropy),
                    decimal(one.divergence),
                )
                for one in place.votes
            ),
            notes=(
                f"{first.n:,} test faces; 95 % intervals. The best possible answers would have "
                f"{in_percent(first.ceiling)} % of the votes and a cross-entropy of {decimal(first.entropy)}.",
            ),
        ),
    )


def _noise(found: Sequence[NoisePoint], shown: Mapping[str, Look]) -> list[Panel]:
    first, *others = draw_noise(found, _curve_looks(found, shown))
    table = SmallTable(
        name="label-noise",
        heads=("Network", "Replaced, %", f"{_title_of(found[0].metric)}, %", "Against none, points", "p, Holm"),
        rows=tuple(_noise_row(point) for point in found),
        notes=("Each drop is paired with the same seeds without noise; 95 % intervals over faces and seeds.",),
    )
    return [
        Panel(title=first.title, caption=first.caption, drawing=first, table=table),
        *(Panel(title=one.title, caption=one.caption, drawing=one) for one in others),
    ]


def _title_of(metric: str) -> str:
    return metric.upper() if metric == "uar" else metric.replace("_", " ").capitalize()


def _noise_row(point: NoisePoint) -> tuple[str, ...]:
    value = f"{100 * point.spread.mean:.1f} {span(point.interval)}"
    drop, p = "–", "–"
    if point.drop and point.drop_interval:
        drop, p = points(point.drop.mean, point.drop_interval), p_words(point.p_corrected).removeprefix("= ")
    return point.curve, f"{100 * point.noise:.0f}", value, drop, p


def _curve_looks(found: Sequence[NoisePoint], shown: Mapping[str, Look]) -> dict[str, Look]:
    """Curves of networks that the page shows keep their look; others get the next colours."""
    curves = list(dict.fromkeys(point.curve for point in found))
    taken = {look.colour for curve, look in shown.items() if curve in curves}
    fresh = [look for look in looks([(str(i), 0.0) for i in range(12)]) if look.colour not in taken]
    spare = iter(fresh * len(curves))
    return {curve: shown[curve] if curve in shown else next(spare) for curve in curves}


def _doubts_csv(issues: LabelIssues, store: Store | None) -> str:
    sources = [str(store.samples.source[row]) for row in issues.ids] if store else [""] * len(issues.ids)
    heads = ("row", "source", "label", "suggested", "label_probability", "suggested_probability")
    columns = (issues.ids, sources, issues.given, issues.suggested)
    probabilities = (issues.given_probability.tolist(), issues.suggested_probability.tolist())
    return as_csv(
        heads,
        [
            (row, source, issues.classes[given], issues.classes[suggested], *p)
            for row, source, given, suggested, *p in zip(*columns, *probabilities, strict=True)
        ],
    )


def _votes_csv(votes: Sequence[Agreement]) -> str:
    names = ("majority", "mass", "ceiling", "cross_entropy", "divergence", "entropy")
    return as_csv(
        ("network", "quantity", "value", "low", "high", "faces", "seeds"),
        [(one.name, name, *three(getattr(one, name)), one.n, one.seeds) for one in votes for name in names],
    )


def _noise_csv(found: Sequence[NoisePoint]) -> str:
    heads = ("network", "noise", "metric", "value", "low", "high", "drop", "drop_low", "drop_high", "p_holm", "seeds")
    nan = float("nan")
    none = Interval(low=nan, high=nan, level=nan, method="")
    rows = []
    for point in found:
        drop = point.drop.mean if point.drop else nan
        ends = point.drop_interval or none
        value = (point.spread.mean, point.interval.low, point.interval.high)
        rows.append(
            (
                *(point.curve, point.noise, point.metric, *value, drop, ends.low, ends.high),
                *(float(point.p_corrected), point.spread.n_seeds),
            )
        )
    return as_csv(heads, rows)
