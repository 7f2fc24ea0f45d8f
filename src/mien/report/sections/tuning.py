"""The section of a search: its trials, the stopped ones, the openings of the test, and the important settings."""

from collections.abc import Iterator

from ...tune import Tuning, find_tunings
from ...words import DASH, listed, many, number, percent
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["sections", "tuning_words"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    """One section for each search whose runs are in this report."""
    for place, tuning in enumerate(_shown(found)):
        yield _section(tuning, found, f"tuning-{place + 1}" if place else "tuning")


def tuning_words(found: Findings) -> Iterator[str]:
    """The same in sentences, for the methods."""
    for tuning in _shown(found):
        yield f"Settings were searched ({'; '.join(tuning.space)}), from the recipe {tuning.recipe}."
        yield from _points(tuning, found)
        if tuning.importance:
            yield "The share of each setting in how much trials differ is by fANOVA (Hutter et al. 2014)."


def _shown(found: Findings) -> list[Tuning]:
    runs = {run.id for run in found.comparison.runs}
    folders = dict.fromkeys(run.path.parent for run in found.comparison.runs)
    return [one for folder in folders for one in find_tunings(folder) if runs & set(one.runs)]


def _section(tuning: Tuning, found: Findings, name: str) -> Section:
    panels = [_importance(tuning, name)] if tuning.importance else []
    return Section(
        id=name,
        title="How the settings were found",
        lead=f"Searched were {'; '.join(tuning.space)}, from the recipe {tuning.recipe}, on validation alone.",
        points=tuple(_points(tuning, found)),
        panels=(*panels, _trials(tuning, name)),
    )


def _points(tuning: Tuning, found: Findings) -> Iterator[str]:
    stopped, failed = tuning.count("pruned"), tuning.count("failed")
    ended = [
        f"{tuning.count('complete')} complete",
        f"{stopped} stopped early",
        *([f"{failed} failed"] if failed else []),
    ]
    yield (
        f"{many(len(tuning.trials), 'trial')} with seed {tuning.seed}, by a tree-structured Parzen estimator (Bergstra "
        f"et al. 2011; Optuna, Akiba et al. 2019): {listed(ended)}. A trial is stopped where its best accuracy on "
        "validation is below the median of earlier ones at the same epoch of the same schedule."
    )
    tested = [run for run in found.comparison.runs if run.id in tuning.runs]
    opened = sum(len(run.record.test_opened_at) for run in tested)
    yield (
        f"Trials opened the test {many(tuning.openings, 'time')}. It was opened {many(opened, 'time')} by the "
        f"{many(len(tested), 'run')} that trained the chosen settings and the recipe's own anew, with the new "
        f"{'seeds' if len(tuning.seeds) > 1 else 'seed'} {listed(tuning.seeds)}."
    )
    best = tuning.best
    chosen = listed(f"{key} {number(value)}" for key, value in best.values.items())
    yield (
        f"Chosen was trial {best.number}: {chosen}, with {percent(best.score, 1)} of {tuning.valid:,} validation "
        f"faces. As the highest of {tuning.count('complete')} that figure is too good; what the settings are worth is "
        "their row in the table, of new seeds on the test."
    )
    if not tuning.importance:
        why = "one setting was searched" if len(tuning.space) < 2 else "too few trials are complete"
        yield f"How much each setting matters was not estimated: {why}."


def _importance(tuning: Tuning, name: str) -> Panel:
    rows = tuple((key, percent(share)) for key, share in tuning.importance.items())
    return Panel(
        title="What mattered",
        caption="Share of each setting in how much the complete trials differ, by fANOVA (Hutter et al. 2014). It is "
        "of the range that was searched, and of few trials: a hint where to look, no test.",
        table=SmallTable(name=f"{name}-importance", heads=("Setting", "Share"), rows=rows),
    )


def _trials(tuning: Tuning, name: str) -> Panel:
    keys = tuple(tuning.best.values)
    rows = tuple(
        (
            str(trial.number),
            *(number(trial.values[key]) for key in keys),
            percent(trial.score, 1) if trial.status != "failed" else DASH,
            str(len(trial.history)),
            {"pruned": "stopped early"}.get(trial.status, trial.status),
            trial.run,
        )
        for trial in tuning.trials
    )
    return Panel(
        title="All trials",
        caption="Valid is the accuracy on validation of the chosen epoch; of a trial that was stopped, the best until "
        "then.",
        table=SmallTable(
            name=f"{name}-trials",
            heads=("Trial", *keys, "Valid", "Epochs", "Ended", "Run"),
            rows=rows,
            words=frozenset({len(keys) + 3, len(keys) + 4}),
        ),
        folded=True,
    )
