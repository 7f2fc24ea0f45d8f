"""The protocol in words, and the section that says how it was judged: parts, epoch, openings of the test."""

from collections.abc import Iterator

from ...compare import Comparison
from ...config import DataSettings, NetworkSettings
from ...data.store import Store
from ...judge import Judgement
from ...judge.certainty import size_of_test
from ...judge.openings import Opening
from ...words import percent
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["SEALED", "carved_words", "epoch_words", "parts_words", "protocol_section", "protocol_words", "sections"]

SEALED = "The test part was sealed during training: whatever fits a classifier is given no access to it."


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    yield protocol_section(found.judgement)


def protocol_section(judgement: Judgement) -> Section:
    """How it was judged."""
    title = "How it was judged"
    comparison, openings = judgement.comparison, judgement.openings
    if not comparison.runs:
        return Section(id="protocol", title=title)
    points = (
        protocol_words(comparison),
        parts_words(comparison),
        carved_words(comparison, judgement.store),
        epoch_words(comparison) if _trained(comparison) else "",
        f"{SEALED} {openings.sentence}",
    )
    return Section(
        id="protocol", title=title, points=tuple(filter(None, points)), panels=(_openings_panel(openings.own),)
    )


def _openings_panel(openings: tuple[Opening, ...]) -> Panel:
    rows = tuple((one.run, one.row, one.when.replace("T", " ").removesuffix("+00:00"), one.why) for one in openings)
    return Panel(
        title="Openings of the test part",
        caption="Each run records an opening before it reads a test face. A run may open the test once, for its "
        "evaluation. A run with other settings is another run, and is counted above.",
        table=SmallTable(
            name="openings",
            heads=("Run", "Row", "When (UTC)", "Why"),
            rows=rows,
            words=frozenset({1, 2, 3}),
            long=True,
        ),
        folded=True,
    )


def parts_words(comparison: Comparison) -> str:
    """The numbers of faces that train, choose and judge."""
    folds = max(row.folds for row in comparison.rows)
    whole = any(row.scores for row in comparison.rows)
    counts = [run.data.counts for run in comparison.runs]
    sizes = []
    for part in ("train", "valid", "test"):
        low, high = min(c[part] for c in counts), max(c[part] for c in counts)
        sizes.append(f"{low:,}" if low == high else f"{low:,} to {high:,}")
    a_fold = " in each fold" if folds > 1 else ""
    pooled = f"; over all folds {size_of_test(comparison):,} faces were tested, each once" * (folds > 1 and whole)
    return (
        f"{sizes[0]} faces trained the weights, {sizes[1]} chose {_chosen(comparison)}, and {sizes[2]} were the "
        f"test{a_fold}{pooled}."
    )


def _chosen(comparison: Comparison) -> str:
    """The uses of the validation part: always the temperature, and the epoch only if it was chosen."""
    found = {run.settings.train.select for run in comparison.runs if isinstance(run.settings, NetworkSettings)}
    if found == {"best"}:
        others = ", of networks," if not _trained(comparison, every=True) else ""
        return f"the epoch{others} and the temperature"
    return "the temperature alone" if found <= {"last"} else "the temperature, and the epoch of some rows"


def _trained(comparison: Comparison, *, every: bool = False) -> bool:
    """Whether some runs (or every one) are networks that were trained, epoch by epoch."""
    return (all if every else any)(isinstance(run.settings, NetworkSettings) for run in comparison.runs)


def protocol_words(comparison: Comparison) -> str:
    """The test faces, by each protocol of the rows."""
    found = dict.fromkeys(_protocol_words(comparison, run.settings.data) for run in comparison.runs)
    return " ".join(found) if len(found) == 1 else f"Rows differ in their protocol. {' '.join(found)}"


def _protocol_words(comparison: Comparison, data: DataSettings) -> str:
    repeats = len({run.settings.data.repeat for run in comparison.runs})
    again = f", {repeats} times over with other divisions" if repeats > 1 else ""
    if data.protocol == "holdout":
        return "Holdout: the test part is the corpus's own test split, the same for all rows."
    once = _once(comparison) + again
    if data.protocol == "loso":
        return f"Leave one subject out: the test part of each fold is one subject. {once}; predictions were pooled."
    if data.protocol == "hde":
        return f"Leave one corpus out (HDE): the test part of each fold is one corpus. {once}; predictions were pooled."
    by = (
        "stratified by class, whole subjects together"
        if data.protocol == "group-kfold"
        else "stratified by class, exact copies of one image together"
    )
    return (
        f"Cross-validation in {data.folds} folds ({by}; division seed {data.split_seed}) over all faces, whatever "
        f"their split in the corpus. {once}; predictions were pooled."
    )


def _once(comparison: Comparison) -> str:
    """Whether every face was tested once, which needs all folds."""
    if not any(row.gaps for row in comparison.rows):
        return "Every face was the test once"
    return "Every face was tested once for each seed with all folds finished; a seed that lacks a fold has no figures"


def carved_words(comparison: Comparison, store: Store | None) -> str:
    """The origin of the validation part; empty if the store would be needed and no longer exists."""
    found = dict.fromkeys(_carved_words(run.settings.data, store) for run in comparison.runs)
    return " ".join(filter(None, found))


def _carved_words(data: DataSettings, store: Store | None) -> str:
    if data.protocol == "holdout" and (store is None or len(store.rows("valid"))):
        return "" if store is None else "The validation part is the corpus's own validation split."
    return (
        f"The validation part was split off from the training faces: {percent(data.valid_fraction)} of each class. "
        f"Faces of one subject stayed together, and so did identical images (division seed {data.split_seed})."
    )


def epoch_words(comparison: Comparison) -> str:
    """How the epoch was chosen."""
    found = {run.settings.train.select for run in comparison.runs if isinstance(run.settings, NetworkSettings)}
    if len(found) > 1:
        return (
            "In some rows the last epoch was kept. In the others it was the epoch with the highest validation "
            "accuracy; ties went to the lower validation loss."
        )
    if "last" in found:
        return "The weights of the last epoch were kept, so no part was used to choose an epoch."
    return "The epoch with the highest validation accuracy was kept; ties went to the lower validation loss."
