"""The conditions of a comparison in sentences: differences between runs, machine, versions, time."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..compare import Comparison
from ..config import FeaturesTable
from ..judge.openings import AGAIN, count_openings
from ..words import duration, listed

__all__ = ["Fact", "conditions", "differences", "progress_words"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A name and its value, for a list of facts."""

    name: str
    value: str


def progress_words(comparison: Comparison, left_out: Sequence[str] = ()) -> str:
    """The numbers of finished, failed and pending runs, and damaged folders; empty if all runs are finished and
    undamaged.
    """
    finished, failed = len(comparison.runs), sum(len(row.failures) for row in comparison.rows)
    pending = sum(row.pending for row in comparison.rows)
    if not failed and not pending and not left_out:
        return _incomplete(comparison)
    parts = [f"{finished} of {finished + failed + pending} runs are finished"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{pending} are still to come; the page can be made again as they finish"] if pending else []
    return " ".join([", ".join(parts) + ".", *left_out, _incomplete(comparison)]).strip()


def _incomplete(comparison: Comparison) -> str:
    """The rows that lack a fold of their cross-validation, and so have fewer figures or none."""
    return " ".join(f"{row.name} is incomplete: {'; '.join(row.gaps)}." for row in comparison.rows if row.gaps)


def differences(comparison: Comparison) -> list[str]:
    """The differences between runs, in sentences."""
    found = [f"By design, rows differ in {listed(comparison.factors)}."]
    for key, by_network in comparison.own.items():
        if not key.startswith(f"{FeaturesTable.TABLE}."):  # the methods name each of these
            found.append(f"{key} follows the network: {listed(f'{n} {v}' for n, v in by_network.items())}.")
    counts = {len(row.scores) for row in comparison.rows}
    if len(counts) > 1:
        found.append(f"Rows have from {min(counts)} to {max(counts)} finished seeds.")
    environments = comparison.environments
    for name, key in (("machine", "processor"), ("number of threads", "threads"), ("device", "device")):
        seen = Counter(str(_look(env, key)) for env in environments)
        if len(seen) > 1:
            words = listed(f"{value} ({count} runs)" for value, count in seen.items())
            found.append(
                f"The {name} was not the same for all runs: {words}. Times and memory are therefore not fully "
                "comparable."
            )
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
    return "; ".join(
        dict.fromkeys(", ".join(_value_words(key, _look(env, key)) for key in keys) for env in environments)
    )


def _value_words(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if key == "allocator":
        return f"{key} {value}"
    return f"{value} {key}" if key in ("cores", "threads") else str(value)
