"""Run folders as a folder of MLflow's: one experiment with settings, metrics and tags of each run, without MLflow.

In: runs. Out: `FOLDER/<experiment>/<run>/`, as MLflow's file store keeps them (`meta.yaml`, `params/`, `metrics/`,
`tags/`, `artifacts/`), for `mlflow ui --backend-store-uri FOLDER` or for `mlflow.MlflowClient`. It is a copy: run
folders stay the truth, and the same runs give the same experiment again. MLflow's YAML is written as JSON, which YAML
contains.
"""

import getpass
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ..atomic import json_text, new_folder
from ..errors import RunError
from .files import Record
from .run import Run

__all__ = ["export_mlflow"]

STATUSES = {"running": 1, "finished": 3, "failed": 4, "crashed": 4, "pruned": 5}
"""MLflow's numbers: RUNNING, FINISHED, FAILED, KILLED."""
LOCAL = 4
"""MLflow's number of a source that is a program on this machine."""
LONGEST_PARAM = 6000
"""Most characters of a value in MLflow."""
COPIED = ("config.toml", "data.json", "env.json", "history.csv", "record.json")
"""Files of a run that become its artifacts; weights and logits stay where they are."""
METRICS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
"""Columns of the history, an epoch a step."""


def export_mlflow(runs: Sequence[Run], folder: Path, name: str) -> Path:
    """Write `runs` into MLflow's `folder` as the experiment `name`, in the place of an earlier one of that name.

    Returns the folder of the experiment; it appears whole or not at all. Raises `RunError` if there is no run, if a run
    is damaged, or if the folder cannot be written.
    """
    if not runs:
        raise RunError("There is no run to export. Choose others, or make some with `mien compare`.")
    number = str(int(_hash(name)[:15], 16))
    path = folder / number
    try:
        with new_folder(path, replace=True) as new:
            begun = [_write_run(run, new / _run_id(run), path.resolve(), number) for run in runs]
            experiment = {
                "artifact_location": path.resolve().as_uri(),
                "creation_time": min(begun),
                "experiment_id": number,
                "last_update_time": max(begun),
                "lifecycle_stage": "active",
                "name": name,
            }
            _write(new / "meta.yaml", json_text(experiment, indent=2))
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror or error}). Give another folder.") from None
    return path


def _write_run(run: Run, new: Path, final: Path, experiment: str) -> int:
    """Write the folder of a run; returns when it began, in milliseconds since 1970."""
    record, ended = run.record, _last_change(run)
    begun = ended - round(1000 * record.costs.train_seconds)
    for part in ("params", "metrics", "tags", "artifacts"):
        (new / part).mkdir(parents=True)
    for key, value in run.settings.flat().items():
        _write(new / "params" / key, str(value)[:LONGEST_PARAM])
    for key, lines in _metrics(run, record, ended):
        _write(new / "metrics" / key, "".join(f"{when} {value!r} {step}\n" for when, value, step in lines))
    for key, value in _tags(run, record).items():
        _write(new / "tags" / key, value)
    for each in COPIED:
        if (run.path / each).is_file():
            shutil.copyfile(run.path / each, new / "artifacts" / each)
    facts: dict[str, object] = {
        "artifact_uri": (final / new.name / "artifacts").as_uri(),
        "end_time": None if record.status == "running" else ended,
        "entry_point_name": "",
        "experiment_id": experiment,
        "lifecycle_stage": "active",
        "run_id": new.name,
        "run_name": run.id,
        "run_uuid": new.name,
        "source_name": "",
        "source_type": LOCAL,
        "source_version": "",
        "start_time": begun,
        "status": STATUSES[record.status],
        "tags": [],
        "user_id": _user(),
    }
    _write(new / "meta.yaml", json_text(facts, indent=2))
    return begun


def _metrics(run: Run, record: Record, ended: int) -> Iterator[tuple[str, list[tuple[int, float, int]]]]:
    """Each metric: time (ms), value, epoch. A history has no times, so all its epochs have the time of the end."""
    for name in METRICS if run.history else ():
        yield name, [(ended, getattr(line, name), line.epoch) for line in run.history]
    for part in ("valid", "test"):
        if part in record.stages:
            yield f"{part}.accuracy", [(ended, run.logits(part).accuracy, record.selected_epoch)]
    for key, value in asdict(record.costs).items():
        if value:
            yield f"costs.{key}", [(ended, float(value), 0)]


def _tags(run: Run, record: Record) -> dict[str, str]:
    return {
        "mlflow.runName": run.id,
        "mlflow.note.content": record.reason,
        "mien.id": run.id,
        "mien.kind": run.settings.KIND,
        "mien.status": record.status,
        "mien.corpus": run.data.corpus,
        "mien.fingerprint": run.data.fingerprint,
        "mien.test_openings": str(len(record.test_opened_at)),
    }


def _run_id(run: Run) -> str:
    return _hash(run.id)[:32]


def _last_change(run: Run) -> int:
    """When a run's folder last changed, in milliseconds since 1970."""
    files = (run.path / name for name in COPIED)
    return max(round(file.stat().st_mtime * 1000) for file in files if file.is_file())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _user() -> str:
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()
