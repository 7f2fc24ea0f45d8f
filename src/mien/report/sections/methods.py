"""The methods of a comparison in words, with numbers, as a paper needs them: `methods.md`, and folded on the page.

Every sentence is made from the settings of the runs. A setting that has no sentence and is not at its default is named
at the end, so that new settings of mien are never left out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ...compare import Comparison
from ...data.store import Store
from ...judge import Judgement
from ...judge.calibration import BINS, RISK
from ...judge.certainty import DRAWS, TESTED, Certainty
from ...judge.replicates import is_random
from ...machine import versions as installed
from ...metrics import METRICS, absent_words, metric
from ...words import ended, listed, many, percent
from ..classical import classical_words
from ..examined_methods import examined_words
from ..findings import Findings
from ..markdown import markdown
from ..parts import Section
from ..references import cited
from ..settings_words import SettingsWords
from ..trained import networks_words, training_words
from .ensembles import ensembles_words
from .pooled import pooled_words
from .protocol import SEALED, carved_words, epoch_words, parts_words, protocol_words
from .tuning import tuning_words

__all__ = ["Methods", "Paragraph", "describe_methods", "methods_section", "sections"]

BOUNDED = "computed on the logit scale, so that both ends stay between 0 and 100 %"
STATISTICS = ("numpy", "scipy", "statsmodels", "cleanlab")
"""Packages that compute tests and intervals; the versions are those that made the page."""


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    yield methods_section(found.judgement, chain(tuning_words(found), examined_words(found)))


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Sentences under a title."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Methods:
    """The methods, and the sources that they cite."""

    paragraphs: tuple[Paragraph, ...]
    references: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """`methods.md`."""
        parts = ["# Methods", *(f"**{p.title}.** {markdown(p.text)}" for p in self.paragraphs)]
        if self.references:
            parts += ["## References", "\n".join(f"- {markdown(reference)}" for reference in self.references)]
        return "\n\n".join(parts) + "\n"


def methods_section(judgement: Judgement, examined: Iterable[str] = ()) -> Section:
    """The methods, folded away; `methods.md` beside the page. `examined` has the sentences on examinations besides
    the comparison.
    """
    found = describe_methods(judgement, examined)
    title = "Methods, in words"
    if found is None:
        return Section(id="methods", title=title)
    prose = [(paragraph.title, paragraph.text) for paragraph in found.paragraphs]
    prose += [("", reference) for reference in found.references]
    return Section(
        id="methods",
        title=title,
        lead="What was done, with its numbers and sources, as a paper needs it; the same text is methods.md.",
        prose=tuple(prose),
        files={"methods.md": found.markdown},
    )


def describe_methods(judgement: Judgement, examined: Iterable[str] = ()) -> Methods | None:
    """The methods of the finished runs; None where there is none."""
    comparison, certainty, store = judgement.comparison, judgement.certainty, judgement.store
    if not comparison.runs:
        return None
    settings = SettingsWords(comparison)
    found = (
        ("Data", _data(comparison, settings, store)),
        ("Protocol", _protocol(judgement, settings)),
        ("Networks", networks_words(comparison, settings) if settings.trains else iter(())),
        ("Training", training_words(settings, store) if settings.trains else iter(())),
        ("Classical methods", classical_words(comparison, settings)),
        ("Ensembles", ensembles_words(comparison)),
        ("Seeds", _seeds(comparison, settings)),
        ("Figures of merit", chain(_figures(comparison), pooled_words(judgement.pooled))),
        ("Statistics", _statistics(comparison, certainty)),
        ("Calibration", _calibration()),
        ("Examined besides", examined),
        ("Software and machine", _software(comparison)),
        ("Further settings", _further(settings)),
    )
    paragraphs = tuple(
        Paragraph(title=title, text=" ".join(sentences)) for title, words in found if (sentences := list(words))
    )
    return Methods(paragraphs=paragraphs, references=tuple(cited(" ".join(p.text for p in paragraphs))))


def _data(comparison: Comparison, settings: SettingsWords, store: Store | None) -> Iterator[str]:
    data, crop = comparison.data, comparison.data.crop
    colour = "RGB" if crop.channels == 3 else "grey"
    yield (
        f"All rows use the same labelled faces of {data.corpus}: {crop.size} × {crop.size} pixels, {colour}, "
        f"{len(data.labels)} classes ({listed(data.labels)})."
    )
    if crop.margin:
        yield f"Faces were cut out with a margin of {percent(crop.margin)} of their box."
    yield parts_words(comparison)
    test = next((row.tests for row in comparison.rows if row.tests), None)
    if test:
        labels = next(iter(test.values())).labels
        counts = Counter(labels.tolist())
        yield f"Test faces a class: {listed(f'{name} {counts[k]:,}' for k, name in enumerate(data.labels))}."
    yield f"The fingerprint of the data (SHA-256 of images and samples) is {data.fingerprint}."
    if store and store.meta.notes:
        yield f"How the data were prepared, by the store's own notes: {' '.join(map(ended, store.meta.notes))}"
    if store and store.meta.skipped:
        yield f"{store.meta.skipped:,} images that could not be used were left out at import."
    if settings.anywhere("data.train_limit"):
        yield f"Of the training faces {settings.words('data.train_limit', _limit)} were used, each class by its share."
    if settings.anywhere("data.label_noise"):
        yield (
            f"Each training label was replaced by another class at random with probability "
            f"{settings.words('data.label_noise')}; validation and test labels were not touched."
        )
    yield f"Licence: {ended(data.licence or 'not stated')}"


def _protocol(judgement: Judgement, settings: SettingsWords) -> Iterator[str]:
    comparison = judgement.comparison
    settings.values("data.protocol")
    yield protocol_words(comparison)
    if comparison.runs[0].settings.data.protocol in ("kfold", "group-kfold"):
        settings.values("data.folds")
    carved = carved_words(comparison, judgement.store)
    if carved:
        settings.values("data.valid_fraction")
        settings.values("data.split_seed")
        yield carved
    settings.values("train.select")
    if settings.trains:
        yield epoch_words(comparison)
    yield SEALED
    yield judgement.openings.sentence


def _seeds(comparison: Comparison, settings: SettingsWords) -> Iterator[str]:
    drawn = [row for row in comparison.rows if row.tests and is_random(row)]
    by_row = [tuple(row.tests) for row in drawn]
    seeds = sorted({seed for own in by_row for seed, _ in own})
    repeats = len({repeat for own in by_row for _, repeat in own})
    again = f", in {repeats} repetitions of the cross-validation" * (repeats > 1)
    if len(seeds) == 1:
        luck = "" if repeats > 1 else ": the variance of training is not measured"
        yield f"One seed ({seeds[0]}), the same for all rows{again}{luck}."
    elif seeds and len(set(by_row)) == 1:
        yield f"{len(seeds)} seeds ({listed(seeds)}), the same for all rows{again}."
    elif seeds:
        yield f"{len(seeds)} seeds ({listed(seeds)}) over all rows{again}; not every row has all of them."
    if len(drawn) < sum(bool(row.tests) for row in comparison.rows):
        yield "A method without randomness has one result, which stands for every seed."
    if not settings.trains:
        return
    yield (
        "A seed fixes the initial weights, the order of the images and the augmentation in three separate streams, and "
        "the order is the same for all networks, so that rows are paired."
    )


def _figures(comparison: Comparison) -> Iterator[str]:
    words = "; ".join(f"{one.name} is the {one.meaning}" for one in METRICS if one.place == "page")
    yield f"{words[0].upper()}{words[1:]}. Ties count half in the AUC."
    test = next((test for row in comparison.rows for test in row.tests.values()), None)
    if test is not None:
        names = comparison.data.labels
        if words := absent_words(names, np.bincount(test.labels, minlength=len(names))):
            yield words
    yield (
        "The precision of a class that is never predicted is undefined; it counts as 0 in averages, and a note says so."
    )
    if max(row.folds for row in comparison.rows) > 1:
        yield "In the table they are computed from the pooled predictions of all folds."


def _statistics(comparison: Comparison, certainty: Certainty) -> Iterator[str]:
    unit = "test subjects" if certainty.by_subject else "test faces"
    source = "Field & Welsh 2007" if certainty.by_subject else "Efron 1979"
    most = max((len(row.scores) for row in comparison.rows), default=0)
    names = listed((*(metric(key).name for key in TESTED), "the weighted scores", "AUC"))
    if most > 1:
        fewest = "the seeds or the subjects have, whichever are fewer" if certainty.by_subject else "the seeds have"
        yield (
            f"The 95 % intervals of {names} are over {unit} and seeds: mean ± t · standard error, {BOUNDED}. The "
            f"squared standard error is the variance over {DRAWS:,} bootstrap draws of {unit} ({source}) plus the "
            "variance between seeds, with their interaction counted once (Obuchowski & Rockette 1995; Gallas 2006). "
            f"The degrees of freedom follow Satterthwaite 1946, and are never fewer than {fewest} (Hillis 2007)."
        )
    else:
        yield (
            f"The 95 % intervals of {names} are over {unit}: mean ± t · standard error of {DRAWS:,} bootstrap draws "
            f"({source}), {BOUNDED}. They hold for these trained weights."
        )
    plain = most <= 1 and not certainty.by_subject
    yield "Recalls of single classes have Wilson's intervals (Wilson 1927)" + (
        "." if plain else " at the effective number of faces (Korn & Graubard 1998)."
    )
    yield (
        "F1 of a class has Wilson's interval at the effective number of its faces. Bootstrap draws of AUC are "
        "first-order approximations by the influence of each face (DeLong et al. 1988)."
    )
    yield from _tests(certainty, unit)


def _tests(certainty: Certainty, unit: str) -> Iterator[str]:
    if certainty.contrasts:
        yield (
            "What a setting changes was judged over all networks together: its difference was averaged over the "
            f"networks for each seed and each draw of {unit}, and tested as the difference of two rows is."
        )
    if not certainty.pairs:
        yield certainty.why_untested
        return
    first = max(certainty.pairs, key=lambda pair: pair.verdict.seeds)
    count = len(certainty.of(first.metric))
    yield f"What was tested: {certainty.asked}."
    if first.folds:
        yield (
            f"Differences between rows were judged by the corrected resampled t-test over {first.folds.folds} folds "
            "(Nadeau & Bengio 2003; Bouckaert & Frank 2004), seeds of one fold averaged."
        )
    elif first.verdict.seeds > 1:
        yield (
            f"Differences between rows were judged on the same draws of {unit} and the same seeds, by a t-test with "
            f"the standard error over {unit} and seeds together; the sign-flip test over seeds (Fisher 1935), which "
            "keeps the faces fixed, is given as well."
        )
    elif certainty.by_subject:
        yield (
            f"With one seed, differences were judged by their bootstrap standard error over {unit}; they hold for "
            "these trained weights."
        )
    else:
        yield (
            "With one seed, differences in accuracy were judged by McNemar's exact test (McNemar 1947), those in other "
            f"metrics by their bootstrap standard error over {unit}; they hold for these trained weights."
        )
    if count > 1:
        yield f"All {count} pairs were corrected together, within each metric (Holm 1979), at 5 %."
    yield (
        "Where a difference was not significant, the data needed to show a true difference of the observed size at "
        "80 % power were computed"
        + (" (Connor 1987 for McNemar's test)." if not first.folds and first.verdict.by_mcnemar else ".")
    )
    yield (
        "Bold type marks only what is significant after correction in a test that includes the variance of training."
    )


def _calibration() -> Iterator[str]:
    yield (
        "Each run's logits were divided by one temperature that minimises the negative log-likelihood on validation "
        f"(Guo et al. 2017). Calibration error is over {BINS} bins of equal width, and over as many of equal mass; "
        "further scores are the Brier score over all classes (Brier 1950), the negative log-likelihood and the area "
        "under the risk–coverage curve (Geifman & El-Yaniv 2017), all on test with intervals as above; the lower "
        "ends of those of the calibration error are moved down by the bias that few faces in a bin cause. The "
        f"threshold of “uncertain” is the lowest confidence at which at most {percent(RISK)} of validation answers "
        "were wrong."
    )


def _software(comparison: Comparison) -> Iterator[str]:
    found = comparison.environments
    versions = dict.fromkeys(
        listed(f"{name} {version}" for name, version in environment.get("versions", {}).items())
        for environment in found
    )
    machines = dict.fromkeys(
        f"{environment.get('machine', {}).get('processor', 'a processor that was not recorded')}, device "
        f"{environment.get('device', 'not recorded')}, {_threads(environment)}"
        for environment in found
    )
    if found:
        yield f"Software: {'; or '.join(versions)}. Machine: {'; or '.join(machines)}."
    here = installed()
    yield f"The statistics use {listed(f'{name} {here[name]}' for name in STATISTICS if name in here)}."


def _threads(environment: Mapping[str, Any]) -> str:
    before = environment.get("threads_before", ())
    now = many(environment.get("threads", 0), "thread")
    return now + (f" from a checkpoint on, {listed(map(str, before))} before" if before else "")


def _further(settings: SettingsWords) -> Iterator[str]:
    left = settings.left()
    if left:
        yield f"Settings that differ from mien's defaults: {listed(f'{key} = {settings.words(key)}' for key in left)}."


def _limit(value: int) -> str:
    return f"{value:,}" if value else "all"
