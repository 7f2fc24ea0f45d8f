"""The tables of docs/paper.md: what the seed paper's Table 2 can say at its n, and what its networks need in memory.

    python scripts/paper_table.py                  print them as Markdown
    python scripts/paper_table.py docs/paper.md    put them between the page's markers

In: the paper's figures as printed (`mien.judge.paper.PAPER`) and mien's networks, counted. Out: Markdown.
"""

import argparse
import math
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import NormalDist

from mien.atomic import write_text
from mien.config import ModelSettings
from mien.judge.paper import PAPER
from mien.models import build
from mien.models.cost import count
from mien.statistics import (
    PairedBounds,
    holm,
    mcnemar_bounds,
    mcnemar_faces_needed,
    resolvable_difference,
    two_proportions,
)

TEST_FACES = 3068
"""RAF-DB's official test part."""
OTHER_TESTS = (1000, 2000)
"""A tenth and a fifth of the 10,000 images that the paper speaks of."""
HALF_A_POINT = 0.005
"""How far a figure printed with two digits can be from what was measured."""
PAIRS = tuple(combinations(("vgg16", "resnet34", "densenet121"), 2))
ACCURACY = 0.68
ALPHA = 0.05
DISAGREEMENTS = (0.10, 0.15, 0.20, 0.25)
POWERS = (0.5, 0.8)
COPIES = 4
"""Weights, gradients and the two moments of Adam."""
BYTES = 4
SIZE, CLASSES, BATCH, CHUNK = 48, 7, 512, 64
NETWORKS = (("vgg16", "fc"), ("vgg16", "flat"), ("vgg_paper", "flat"), ("densenet121", "gap"), ("resnet34", "gap"))

Pair = tuple[str, str]


def tables() -> dict[str, str]:
    """Each table of the page, by the name of its marker."""
    return {
        "unpaired": unpaired(),
        "paired": paired(),
        "needed": needed(),
        "alone": alone(),
        "luck": luck(),
        "other tests": other_tests(),
        "memory": memory(),
    }


def unpaired() -> str:
    """Each difference as if the two networks had met different faces."""
    found = [two_proportions(*accuracies(pair), TEST_FACES) for pair in PAIRS]
    corrected = holm([one.p for one in found])
    rows = [
        [
            title(pair),
            f"{100 * one.effect:+.0f}",
            f"{points(one.interval.low)} to {points(one.interval.high)}",
            small(one.p),
            small(p),
            both(*(two_proportions(*widened(pair, by), TEST_FACES).p for by in (HALF_A_POINT, -HALF_A_POINT))),
        ]
        for pair, one, p in zip(PAIRS, found, corrected.tolist(), strict=True)
    ]
    return markdown(["pair", "points", "95 % interval", "p", "p, Holm", "p over the rounding"], rows)


def paired() -> str:
    """Each difference with the faces paired: the bounds of McNemar's exact test over all ways to pair."""
    rows = []
    for pair in PAIRS:
        bounds, widest = (mcnemar_bounds(*seen, TEST_FACES) for seen in (accuracies(pair), widened(pair)))
        rows.append([title(pair), both(bounds.smallest, bounds.largest), telling(bounds), telling(widest)])
    return markdown(["pair", "p", "tells if they disagree on", "the same of the widest gap"], rows)


def telling(bounds: PairedBounds) -> str:
    """On how many faces the networks may disagree for the difference to be significant."""
    if bounds.largest < ALPHA:
        return "any share of the faces"
    return "never" if bounds.telling is None else f"{percent(bounds.telling)} of the faces or fewer"


def needed() -> str:
    """Test faces for a paired test to find one point, by how often the networks disagree."""
    found = {share: mcnemar_faces_needed((share + 0.01) / 2, (share - 0.01) / 2) for share in DISAGREEMENTS}
    rows = [[percent(share), f"{faces:,}" if faces else "–"] for share, faces in found.items()]
    return markdown(["they disagree on", "test faces needed"], rows)


def alone() -> str:
    """The difference that the test part finds where the faces cannot be paired."""
    found = {power: resolvable_difference(TEST_FACES, ACCURACY, power=power) for power in POWERS}
    rows = [[percent(power), f"{100 * difference:.1f} points"] for power, difference in found.items()]
    return markdown(["found in", "difference"], rows)


def luck() -> str:
    """How far seeds may scatter before a difference of two single runs could be the luck of training."""
    rows = []
    for pair in PAIRS:
        first, second = accuracies(pair)
        faces = sum(a * (1 - a) for a in (first, second)) / TEST_FACES
        limit = ((first - second) / NormalDist().inv_cdf(0.975)) ** 2 - faces
        most = f"{100 * math.sqrt(limit / 2):.1f} points" if limit > 0 else "none"
        rows.append([title(pair), most])
    return markdown(["pair", "most scatter between seeds"], rows)


def other_tests() -> str:
    """The same differences on smaller tests."""
    rows = []
    for n in OTHER_TESTS:
        for pair in PAIRS:
            bounds = mcnemar_bounds(*accuracies(pair), n)
            alone_p = two_proportions(*accuracies(pair), n).p
            rows.append([f"{n:,}", title(pair), small(alone_p), both(bounds.smallest, bounds.largest)])
    return markdown(["test faces", "pair", "p, not paired", "p, paired"], rows)


def memory() -> str:
    """What a step of training must hold at once, counted."""
    rows = []
    for name, head in NETWORKS:
        settings = ModelSettings(name=name, head=head, in_chans=3)  # type: ignore[arg-type]
        cost = count(build(settings, classes=CLASSES, size=SIZE), SIZE)
        weights = cost.parameters * BYTES * COPIES
        sums = [f"{(weights + batch * cost.activation_bytes) / 1e6:,.0f}" for batch in (BATCH, CHUNK)]
        printed = f"{PAPER[name][1]['train_peak_mb']:,.0f}"
        rows.append([f"`{name}`, `{head}`", f"{cost.parameters:,}", f"{weights / 1e6:,.0f}", *sums, printed])
    heads = [
        *("network, head", "parameters", "× 16 bytes, MB"),
        *(f"and activations of {batch} faces, MB" for batch in (BATCH, CHUNK)),
        "the paper's, MB",
    ]
    return markdown(heads, rows)


def accuracies(pair: Pair) -> tuple[float, float]:
    """The two accuracies as printed, 0 to 1."""
    first, second = (PAPER[name][1]["accuracy"] for name in pair)
    return first, second


def widened(pair: Pair, by: float = HALF_A_POINT) -> tuple[float, float]:
    """The widest gap that rounds to the accuracies as printed; with the opposite sign the narrowest."""
    first, second = accuracies(pair)
    return first + by, second - by


def both(low: float, high: float) -> str:
    """The range of a p; one word where both ends print alike."""
    return " to ".join(dict.fromkeys((small(low), small(high))))


def title(pair: Pair) -> str:
    """`VGG-16 − ResNet-34`."""
    return " − ".join(PAPER[name][0] for name in pair)


def small(p: float) -> str:
    """A p as papers print it."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def points(difference: float) -> str:
    """`+4.8`, `−1.4`."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def percent(share: float) -> str:
    """`7.1 %`, `20 %`."""
    return f"{100 * share:.3g} %"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; the first column left, the others right."""
    rules = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rules, *rows))


def filled(page: str, content: dict[str, str]) -> str:
    """The page with each table between its markers; raises `SystemExit` where a marker is missing."""
    for name, table in content.items():
        start, end = f"<!-- table: {name} -->", "<!-- end of table -->"
        pattern = re.compile(f"{re.escape(start)}\n.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(page):
            raise SystemExit(f"The page has no {start} … {end}; put the pair where the table belongs.")
        page = pattern.sub(lambda _: f"{start}\n{table}\n{end}", page)  # noqa: B023
    return page


def lines(content: dict[str, str]) -> Iterator[str]:
    """The tables, each under its name."""
    for name, table in content.items():
        yield f"<!-- table: {name} -->\n{table}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", nargs="?", type=Path, help="the page to put the tables into")
    page = parser.parse_args().page
    if page is None:
        print("\n".join(lines(tables())))
    else:
        write_text(page, filled(page.read_text(encoding="utf-8"), tables()))
