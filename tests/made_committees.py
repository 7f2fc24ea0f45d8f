"""Runs whose row has several networks: trained whole, or stopped again and again, and exported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.bundle import Bundle
from mien.compare import plan
from mien.config import recipe_from
from mien.data.store import Store
from mien.export import export
from mien.hooks import Hooks, Progress
from mien.runs import Run
from mien.stages import finish_run

__all__ = ["exported_answers_as_its_run", "finish_in_pieces", "same_bytes", "trained"]


def trained(recipe: Mapping[str, Any], store: Store, folder: Path) -> list[Run]:
    """The runs of a grid, finished here."""
    planned = plan(recipe_from(recipe, folder.name), store, folder)
    for run in planned:
        finish_run(run)
    return planned


def finish_in_pieces(run: Run, every: int = 7) -> list[Progress]:
    """Finish a run that is stopped at each seventh report; returns all that it reported."""
    seen: list[Progress] = []

    def stop_sometimes(progress: Progress) -> bool:
        seen.append(progress)
        return len(seen) % every != 0

    for _ in range(20):
        finish_run(run, hooks=Hooks(report=stop_sometimes))
        if run.finished:
            return seen
        assert run.record.status == "pruned"
    raise AssertionError("it does not end")


def same_bytes(run: Run, other: Run, names: Sequence[str]) -> None:
    """Both are one run, to the last bit of these files."""
    assert run.id == other.id
    for name in names:
        assert (run.path / name).read_bytes() == (other.path / name).read_bytes(), name


def exported_answers_as_its_run(run: Run, store: Store, out: Path) -> None:
    """The file has the logits of the run, and is one."""
    export(run, out)
    test = run.logits("test")
    np.testing.assert_allclose(Bundle.open(out).logits(store.read(test.ids)), test.logits, atol=1e-4)
