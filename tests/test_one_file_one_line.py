"""The promise of the structure: a method, a plane and an engine are one file and one line each, and stand in a report.

Here each is a class of this file, and its line is a `setitem`. A nearest-centroid method with settings of its own works
on a second plane, of numbers; an engine counts what it finishes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import LABELS, SIZE, bar
from mien.atomic import new_file
from mien.compare import collect, plan, stated
from mien.config import KINDS, Settings, Table, Within, recipe_from
from mien.crop import CropSpec
from mien.data.corpora import CORPORA, Corpus, Derived, Entry, ReadOptions
from mien.data.prepare import PrepareOptions, prepare
from mien.data.splits import Part
from mien.data.store import Sample, Store, create_store
from mien.engines import ENGINES, Report, find_engine
from mien.hooks import Hooks
from mien.methods import METHODS
from mien.planes import Batch, Plane
from mien.report import write_report
from mien.runs import RESULTS, Costs, Run, Stage
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")

MEASURES = Plane(name="measures", kind="numbers", shape=(2,), dtype="float32")


@dataclass(frozen=True, kw_only=True)
class CentroidTable(Table):
    """How the distance is measured."""

    TABLE = "centroid"

    name: Literal["centroid"] = "centroid"
    power: Annotated[float, Within(1, 4)] = 2.0


@dataclass(frozen=True, kw_only=True)
class CentroidSettings(Settings):
    """Nearest centroid."""

    KIND = "centroid"
    NAME = "centroid.name"

    centroid: CentroidTable = field(default_factory=CentroidTable)


@dataclass(frozen=True, kw_only=True)
class Centroids:
    """The classifier."""

    labels: tuple[str, ...]
    centres: NDArray[np.float32]
    power: float
    takes: tuple[Plane, ...] = (MEASURES,)

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        distance = np.abs(batch["measures"][:, None] - self.centres) ** self.power
        return -distance.sum(axis=-1).astype(np.float32)


class CentroidMethod:
    """Fits the means of the classes."""

    def check(self, settings: Settings, store: Store) -> None:
        store.array("measures")

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> Centroids:
        batch = training.read(["measures"])["measures"]
        centres = np.stack([batch[training.labels == k].mean(axis=0) for k in range(len(run.data.labels))])
        with new_file(run.path / "centres.npy") as path:
            np.save(path, centres, allow_pickle=False)
        run.update(costs=Costs(parameters=centres.size))
        return self.load(run)

    def tidy(self, run: Run) -> None:
        pass

    def load(self, run: Run) -> Centroids:
        power = run.of(CentroidSettings).centroid.power
        return Centroids(labels=run.data.labels, centres=np.load(run.path / "centres.npy"), power=power)

    def answered(self, run: Run, part: Stage) -> None:
        pass

    def costs(self, run: Run) -> Costs:
        return run.record.costs

    def work(self, run: Run) -> float:
        return 0.0


class CountingEngine:
    """Finishes runs in this process."""

    finished: ClassVar[list[str]] = []

    def finish(
        self, runs: Sequence[Run], report: Report, *, stages: Sequence[Stage] = RESULTS, hooks: Sequence[str] = ()
    ) -> None:
        for run in runs:
            finish_run(run, [stage for stage in stages if stage in RESULTS], Hooks(names=tuple(hooks)))
            self.finished.append(run.settings.name)
            report(run, None)


def measured_store(path: Path) -> Store:
    """Bars with two numbers each, which tell the class better than chance."""
    rng = np.random.default_rng(0)
    with create_store(path, LABELS, CropSpec(size=SIZE), planes=[MEASURES]) as writer:
        for number in range(180):
            label, split = number % 3, ("train", "valid", "test")[number // 60]
            numbers = (np.array([label, -label]) + rng.normal(0, 0.6, 2)).astype(np.float32)
            sample = Sample(label=label, split=split, source=f"{split}/{number}")
            writer.add(sample, face=bar(label, rng), measures=numbers)
        writer.finish(corpus="bars with numbers", licence="made for a test")
    return Store.open(path)


def read_pairs(root: Path, options: ReadOptions) -> Corpus:
    """A corpus whose samples are two pictures; what moved between them is a plane of two numbers."""

    def entry(number: int) -> Entry:
        onset = np.full((20, 20), 100, np.uint8)
        apex = onset + np.uint8(10 * (number % 2))
        split = ("train", "valid", "test")[number % 3]
        return Entry(
            label=number % 2, split=split, source=str(number), load=lambda: apex, others={"onset": lambda: onset}
        )

    def difference(crops: Batch) -> Batch:
        change = crops["face"].astype(np.float32) - crops["onset"]
        return {"measures": np.array([change.mean(), change.std()], np.float32)}

    return Corpus(
        name="pairs",
        classes=("still", "moving"),
        licence="made for a test",
        count=12,
        entries=map(entry, range(12)),
        derived=Derived(planes=lambda spec: (MEASURES,), make=difference),
    )


def test_a_plane_is_computed_from_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CORPORA, "pairs", read_pairs)
    prepare(tmp_path, "pairs", tmp_path / "store", PrepareOptions(labels="own", crop=CropSpec(size=16)))
    store = Store.open(tmp_path / "store")
    assert list(store.planes) == ["face", "measures"]
    assert store.array("measures").tolist() == [[0, 0], [10, 0]] * 6
    assert store.images.shape == (12, 16, 16, 3)


RECIPE: dict[str, Any] = {
    "grid": {"model.name": ["compact-s"], "seed": [0, 1]},
    "model": {"width": 0.25},
    "train": {"epochs": 1, "batch_size": 30},
    "rows": {"centroid": {"kind": "centroid"}},
}


def test_a_method_a_plane_and_an_engine_stand_in_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "centroid", CentroidSettings)
    monkeypatch.setitem(METHODS, "centroid", f"{__name__}:CentroidMethod")
    monkeypatch.setitem(ENGINES, "counting", f"{__name__}:CountingEngine")
    recipe = recipe_from(RECIPE, "both")
    runs = plan(recipe, measured_store(tmp_path / "store"), tmp_path / "runs")
    find_engine("counting").finish(runs, lambda run, told: None)
    assert CountingEngine.finished == ["compact-s", "compact-s", "centroid", "centroid"]
    comparison = collect([Run.open(run.path) for run in runs], vary=stated(recipe))
    assert [row.name for row in comparison.rows] == ["compact-s", "centroid"]
    page = write_report(comparison, tmp_path / "report")
    said = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    by_name = {row["name"]: row for row in said["rows"]}
    assert by_name["centroid"]["figures"]["accuracy"]["mean"] > 0.7
    assert "centroid" in page.read_text(encoding="utf-8")
    assert "centroid" in (tmp_path / "report" / "table.tex").read_text(encoding="utf-8")
