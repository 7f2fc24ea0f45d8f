"""What the report says in sentences: the finding, what was held equal and what was not, machine, versions, time."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..compare import Comparison, Row
from ..words import NO_INTERVAL, duration, listed, p_words, percent
from .answers import answer_sentence
from .certainty import Certainty, size_of_test
from .folds import resampled
from .openings import AGAIN, count_openings
from .pairs import Pair

__all__ = ["Fact", "conditions", "differences", "finding", "progress_words"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A name and its value, for a list of facts."""

    name: str
    value: str


def finding(comparison: Comparison, certainty: Certainty) -> str:
    """The result in a few sentences: which is most accurate, by how much, whether that holds, what settings change."""
    ranked = sorted((row for row in comparison.rows if row.scores), key=_accuracy, reverse=True)
    n = size_of_test(comparison)
    if not ranked:
        return (
            "No cross-validation is complete yet, so there are no figures; this page can be made again at any time."
            if comparison.runs
            else "No run is finished yet; this page can be made again at any time."
        )
    best = ranked[0]
    if len(ranked) == 1:
        return f"{best.name} names {percent(_accuracy(best), 1)} of {n:,} test faces rightly{_over(best)}."
    second = ranked[1]
    lead = 100 * (_accuracy(best) - _accuracy(second))
    others = f"Of {len(ranked)} rows" if len(ranked) > 2 else "Of the two"
    interval = _interval_words(best, certainty)
    first = (
        f"{others}, {best.name} is the most accurate: it names {percent(_accuracy(best), 1)}{interval} of {n:,} test "
        f"faces rightly{_over(best)}, {lead:.1f} points more than {second.name}."
    )
    answers = (answer_sentence(one) for one in certainty.contrasts if one.pair.metric == "accuracy")
    return " ".join([first, _judgement(best, second, certainty), *answers])


def _judgement(best: Row, second: Row, certainty: Certainty) -> str:
    if 1 in (len(best.scores), len(second.scores)) and not resampled(best):
        return "With one seed a row this lead cannot be told apart from luck in training; run more seeds."
    pair = certainty.between(best.name, second.name)
    if pair is None:
        return certainty.why_untested or "This lead was not tested."
    if pair.better:
        return f"The lead holds under {_test_words(pair, certainty)} (corrected p {p_words(pair.p_corrected)})."
    return f"This data cannot tell the two apart (corrected p {p_words(pair.p_corrected)}). {pair.to_tell}"


def _test_words(pair: Pair, certainty: Certainty) -> str:
    if pair.folds:
        return f"the corrected resampled t-test over {pair.folds.folds} folds"
    return f"a paired test over {'subjects' if certainty.by_subject else 'faces'} and seeds"


def _interval_words(row: Row, certainty: Certainty) -> str:
    interval = certainty.intervals.get((row.name, "accuracy"))
    if interval is None:
        return ""
    if not interval.useful:
        return f" ({NO_INTERVAL})"
    return f" (95\u00a0% interval {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _over(row: Row) -> str:
    return f" (mean of {len(row.scores)} seeds)" if len(row.scores) > 1 else ""


def _accuracy(row: Row) -> float:
    return math.fsum(score.accuracy for score in row.scores) / len(row.scores)


def progress_words(comparison: Comparison, left_out: Sequence[str] = ()) -> str:
    """How many runs are finished, failed and pending, and what is damaged; empty where all are finished and whole."""
    finished, failed = len(comparison.runs), sum(len(row.failures) for row in comparison.rows)
    pending = sum(row.pending for row in comparison.rows)
    if not failed and not pending and not left_out:
        return _incomplete(comparison)
    parts = [f"{finished} of {finished + failed + pending} runs are finished"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{pending} are still to come; the page can be made again as they finish"] if pending else []
    return " ".join([", ".join(parts) + ".", *left_out, _incomplete(comparison)]).strip()


def _incomplete(comparison: Comparison) -> str:
    """Which rows lack a fold of their cross-validation, and so have fewer figures or none."""
    return " ".join(f"{row.name} is incomplete: {'; '.join(row.gaps)}." for row in comparison.rows if row.gaps)


def differences(comparison: Comparison) -> list[str]:
    """What was not held equal, in sentences."""
    found = [f"By design, rows differ in {listed(comparison.factors)}."]
    for key, by_network in comparison.own.items():
        found.append(f"{key} follows the network: {listed(f'{n} {v}' for n, v in by_network.items())}.")
    counts = {len(row.scores) for row in comparison.rows}
    if len(counts) > 1:
        found.append(f"Rows have from {min(counts)} to {max(counts)} finished seeds.")
    environments = comparison.environments
    for name, key in (("machine", "processor"), ("number of threads", "threads"), ("device", "device")):
        seen = Counter(str(_look(env, key)) for env in environments)
        if len(seen) > 1:
            words = listed(f"{value} ({count} runs)" for value, count in seen.items())
            found.append(f"The {name} was not the same for all runs: {words}. Mind this in time and memory.")
    again = list(dict.fromkeys(one.run for one in count_openings(comparison, None).own if one.why == AGAIN))
    if again:
        found.append(f"The test part was opened more than once for {len(again)} runs: {listed(again[:5])}.")
    return found


def conditions(comparison: Comparison) -> list[Fact]:
    """Data, machine, versions and time."""
    data, crop, environments = comparison.data, comparison.data.crop, comparison.environments
    parts = ", ".join(f"{count:,} {name}" for name, count in data.counts.items() if count)
    seconds = math.fsum(run.record.costs.train_seconds for run in comparison.runs)
    facts = [
        Fact(name="Corpus", value=f"{data.corpus}; {parts} faces; {len(data.labels)} classes: {listed(data.labels)}"),
        Fact(name="Picture", value=f"{crop.size} × {crop.size} px, {'RGB' if crop.channels == 3 else 'grey'}"),
        Fact(name="Licence", value=data.licence or "not stated"),
        Fact(name="Data fingerprint", value=data.fingerprint),
        Fact(name="Seeds", value=listed(comparison.seeds)),
        Fact(name="Machine", value=_seen(environments, ("processor", "cores", "system"))),
        Fact(name="Device and threads", value=_seen(environments, ("device", "threads"))),
        Fact(name="Computed by", value=_seen([e for e in environments if "training" in e], ("training", "allocator"))),
        Fact(name="Versions", value=_seen(environments, ("versions",))),
        Fact(name="Total training time", value=f"{duration(seconds)} over {len(comparison.runs)} runs"),
    ]
    return [fact for fact in facts if fact.value]


def _look(environment: Mapping[str, Any], key: str) -> Any:
    return environment.get(key, environment.get("machine", {}).get(key, "not recorded"))


def _seen(environments: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """Each different combination once."""
    return "; ".join(dict.fromkeys(", ".join(_said(key, _look(env, key)) for key in keys) for env in environments))


def _said(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if key == "allocator":
        return f"{key} {value}"
    return f"{value} {key}" if key in ("cores", "threads") else str(value)
