"""`mien runs`: lists runs, their status and the settings in which they differ, and removes some.

Each run has one line, so that other programs can read the list. Exit codes: 0 done, 1 a run could not be removed, 2
refused.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.extras import Json, needs
from mien.cli.screen import print_json, say
from mien.config import KINDS, check_names, parse_overrides
from mien.errors import ConfigError, RunError
from mien.shown import brief, visible

if TYPE_CHECKING:
    from mien.runs import Line

__all__ = ["runs"]

PRUNABLE = "--status failed, or --where model.name=vgg16"


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of the run folders.")] = Path("runs"),
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", help="KEY=VALUE: only runs with this setting; a list means any of its values."),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", help="Only planned, running, finished, failed, crashed, pruned or damaged ones."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is listed, after a question.")] = False,
    mlflow: Annotated[
        Path | None,
        typer.Option("--export-mlflow", help="Copy what is listed into this folder of MLflow's, as one experiment."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without a question.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs of a folder with their status and the settings that differ.

    Settings that all listed runs share are no columns. `valid` is the accuracy on valid of the chosen epoch, or of the
    last one while a run trains. A run in which another process works is never removed.

    What there is:
      mien runs
    Failed runs of one network, and why:
      mien runs RUNS --status failed --where model.name=vgg16
    The first three seeds, for a program:
      mien runs RUNS --where 'seed=[0,1,2]' --json
    Show the finished ones in MLflow, which need not be installed here:
      mien runs RUNS --status finished --export-mlflow mlruns
    Remove what failed or crashed:
      mien runs RUNS --status failed --status crashed --prune
    """
    with needs("report", "runs"):
        from mien.runs import Run, equal_and_differing, export_mlflow, read_lines, remove_run
    wanted, statuses = _wanted(where or ()), _statuses(status or ())
    if prune and not (wanted or statuses):
        raise ConfigError(f"--prune removes the runs that are listed. Say which: {PRUNABLE}.")
    if prune and not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise ConfigError("--prune asks before it removes, and there is no terminal to ask on. Pass --yes.")
    every = read_lines(folder)
    lines = [line for line in every if _fits(line, wanted, statuses)]
    shared, varying = equal_and_differing(lines)
    if as_json:
        print_json(_facts(folder, lines, shared, varying))
    else:
        _print_table(lines, varying)
        print(visible(_summary(folder, lines, len(every))), file=sys.stderr)
    if mlflow is not None:
        place = export_mlflow(
            [Run.open(folder / line.id) for line in lines], mlflow, "/".join(folder.resolve().parts[-2:])
        )
        look = f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {mlflow}"
        print(visible(f"Copied {len(lines):,} runs into {place}. Look: {look}"), file=sys.stderr)
    if prune and lines and (yes or typer.confirm(f"Remove {len(lines):,} of {len(every):,} runs?", err=True)):
        _remove([folder / line.id for line in lines], remove_run)


def _wanted(assignments: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The values that each setting may have; raises `ConfigError` for one that it can never have."""
    wanted: dict[str, tuple[Any, ...]] = {}
    for assignment in assignments:
        for key, value in parse_overrides([assignment]).items():
            check_names([key])
            wanted[key] = wanted.get(key, ()) + _values(key, value)
    return wanted


def _values(key: str, value: Any) -> tuple[Any, ...]:
    from mien.config.parsing import kinds
    from mien.config.within import typed

    kind = next(own[key] for own in map(kinds, KINDS.values()) if key in own)
    if kind.many:
        return (typed(key, value, kind),)
    return tuple(typed(key, each, kind) for each in (value if isinstance(value, list) else [value]))


def _statuses(words: Sequence[str]) -> frozenset[str]:
    from mien.runs import STATUSES

    for word in words:
        if word not in STATUSES:
            raise ConfigError(f"--status is one of {', '.join(STATUSES)}; got {brief(word)}.")
    return frozenset(words)


def _fits(line: "Line", wanted: Mapping[str, tuple[Any, ...]], statuses: frozenset[str]) -> bool:
    if statuses and line.status not in statuses:
        return False
    settings = line.settings if wanted else {}
    return all(key in settings and settings[key] in values for key, values in wanted.items())


def _facts(folder: Path, lines: Sequence["Line"], shared: Mapping[str, Any], varying: Sequence[str]) -> dict[str, Any]:
    """The list for programs: equal settings once, and differing ones with each run."""
    return {
        "folder": str(folder),
        "count": len(lines),
        "equal": shared,
        "varying": varying,
        "runs": [_record(line, varying) for line in lines],
    }


def _record(line: "Line", varying: Sequence[str]) -> dict[str, Any]:
    settings = line.settings
    return {
        "id": line.id,
        "status": line.status,
        "reason": line.reason,
        "epochs": line.epochs,
        "valid_accuracy": line.valid_accuracy,
        "kind": line.kind,
        "corpus": line.corpus,
        "fingerprint": line.fingerprint,
        "settings": {key: settings[key] for key in varying if key in settings},
    }


def _print_table(lines: Sequence["Line"], varying: Sequence[str]) -> None:
    """Aligned columns without colours or frames: rich takes seconds for ten thousand rows."""
    corpora = len({line.corpus for line in lines}) > 1
    reasons = any(line.reason for line in lines)
    head = ["run", "status", "epoch", "valid", *(["corpus"] if corpora else []), *varying]
    rows = [head + (["reason"] if reasons else [])]
    for line in lines:
        own = line.settings
        values = [_cell(own.get(key, "")) for key in varying]
        cells = [*_standing(line, own), *([visible(line.corpus)] if corpora else []), *values]
        rows.append(cells + ([_cell(line.reason)] if reasons else []))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if lines:
        print("\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows))


def _standing(line: "Line", settings: Mapping[str, Any]) -> Iterator[str]:
    yield visible(line.id)
    yield line.status
    yield f"{line.epochs}/{settings['train.epochs']}" if "train.epochs" in settings else ""
    yield "" if line.valid_accuracy is None else f"{line.valid_accuracy:.3f}"


def _cell(value: Any) -> str:
    text = str(list(value)) if isinstance(value, tuple) else str(value)
    return visible(text.replace("\n", " "))


def _summary(folder: Path, lines: Sequence["Line"], of: int) -> str:
    """`3 of 12 runs in runs: 2 failed, 1 crashed.`"""
    from mien.runs import STATUSES

    counts = {status: sum(line.status == status for line in lines) for status in STATUSES}
    words = ", ".join(f"{count:,} {status}" for status, count in counts.items() if count)
    number = f"{len(lines):,} of {of:,}" if len(lines) < of else f"{of:,}"
    return f"{number} runs in {folder}{f': {words}' if words else ''}."


def _remove(paths: Sequence[Path], remove: Any) -> None:
    """Remove run folders one by one. One that cannot be removed is reported and makes the exit code 1."""
    removed = 0
    for path in paths:
        try:
            remove(path)
            removed += 1
        except RunError as error:
            say(str(error))
    print(f"Removed {removed:,} of {len(paths):,} runs.", file=sys.stderr)
    if removed < len(paths):
        raise typer.Exit(1)
