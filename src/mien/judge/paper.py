"""The paper's table beside that of the runs, with every difference in settings and data.

The figures are the paper's Table 2, of RAF-DB. They are shown only with runs on RAF-DB. A run with other settings than
the recipe `paper`, or on other faces than the paper's, does not replicate it, so every difference is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ..compare import ALWAYS_VARIES, Comparison
from ..config import override, read_recipe
from ..rows import NAME, Row

__all__ = ["PAPER", "PAPER_COLUMNS", "PAPER_CORPUS", "departures", "paper_notes"]

PAPER_COLUMNS = ("weighted_precision", "weighted_recall", "weighted_f1", "macro_auc", "accuracy", "train_peak_mb")
PAPER: Mapping[str, tuple[str, Mapping[str, float]]] = {
    name: (title, dict(zip(PAPER_COLUMNS, figures, strict=True)))
    for name, title, figures in (
        ("resnet34", "ResNet-34", (0.70, 0.68, 0.69, 0.89, 0.68, 1443)),
        ("densenet121", "DenseNet-121", (0.68, 0.67, 0.67, 0.90, 0.67, 1323)),
        ("vgg16", "VGG-16", (0.77, 0.75, 0.76, 0.95, 0.75, 1243)),
        ("vgg_paper", "VGG-16", (0.77, 0.75, 0.76, 0.95, 0.75, 1243)),
    )
}
"""Table 2 of the paper, as printed, by network: its name there and its figures. RAF-DB, one run a network."""
PAPER_CORPUS = "rafdb"
TEST_FACES = 3068
SIZE, CHANNELS = 48, 3
STORES_OWN = ("model.in_chans",)
"""Settings that follow from the store, which is compared by itself."""


def departures(row: Row) -> list[str]:
    """Settings in which the runs of a row differ from the paper's: `train.epochs 20 (paper 75)`; empty if none."""
    data, found = row.runs[0].data, []
    for what, ours, theirs in (
        ("faces of", f"{data.crop.size} px", f"{SIZE} px"),
        ("colour channels", str(data.crop.channels), str(CHANNELS)),
        ("test faces", str(data.counts["test"]), str(TEST_FACES)),
    ):
        if ours != theirs:
            found.append(f"{what} {ours} (paper {theirs})")
    papers, own = _papers_settings(row.network), row.runs[0].settings.flat()
    for key, allowed in papers.items():
        if own[key] not in allowed:
            found.append(f"{key} {own[key]} (paper {' or '.join(map(str, allowed))})")
    return found


def paper_notes(comparison: Comparison) -> Iterator[str]:
    """Notes for a comparison of the runs' rows with the paper's."""
    rows = [row for row in comparison.rows if row.scores and row.network in PAPER]
    if comparison.data.corpus != PAPER_CORPUS or not rows:
        return
    yield (
        "The paper's lines are its Table 2 as printed (one run a network, two digits); it does not say whether they "
        "are with or without dropout. Its “Memory” is listed as train peak."
    )
    yield from _differences([(row.name, departures(row)) for row in rows])


def _differences(found: Sequence[tuple[str, list[str]]]) -> Iterator[str]:
    """The differences that all rows share, in one sentence, and the further ones of single rows."""
    if not any(words for _, words in found):
        return
    common = [word for word in found[0][1] if all(word in words for _, words in found)]
    besides: dict[str, list[str]] = {}
    for name, words in found:
        if own := "; ".join(word for word in words if word not in common):
            besides.setdefault(own, []).append(name)
    if common:
        yield f"These runs are no repetition of the paper's. All differ in: {'; '.join(common)}."
    for own, names in besides.items():
        verb = "differs" if len(names) == 1 else "differ"
        yield f"{' and '.join(names)} {'also ' * bool(common)}{verb} from the paper's runs in: {own}."


@cache
def _papers_settings(network: str) -> Mapping[str, tuple[Any, ...]]:
    """The values of the recipe `paper` for a network, by setting, without settings that vary between replicates."""
    recipe = read_recipe("paper")
    own = recipe.networks.get(network, {})
    shared = override(override(recipe.settings, {NAME: network}), own)
    named = override(shared, {"model.head": shared.model.named_head})
    flat = {key: (value,) for key, value in named.flat().items() if key not in (*ALWAYS_VARIES, *STORES_OWN)}
    return flat | {key: values for key, values in recipe.grid.items() if key != NAME}
