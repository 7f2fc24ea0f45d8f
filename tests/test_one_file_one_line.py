"""The promise of the structure: what one would add is one file and one line, and stands in a report.

Here each is a class or a function of this file, and its line is a `setitem`. A nearest-centroid method with settings of
its own works on a second plane, of numbers; an engine counts what it finishes; a network has an attention block, a loss
and an ensemble of its own; corpora of pictures and of clips are imported; a section is added to the page. A metric is
in `test_metric_table.py`.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from conftest import LABELS, SIZE, bar
from mien.atomic import new_file
from mien.bundle import Bundle
from mien.calibration import softmax
from mien.compare import collect, plan, stated
from mien.config import KINDS, LossSettings, ModelSettings, Settings, Table, Within, recipe_from
from mien.crop import CropSpec
from mien.data.clips.corpora import CLIP_CORPORA, ClipCorpus, ClipOptions
from mien.data.clips.drawn import drawn_clips
from mien.data.clips.prepare import prepare_clips
from mien.data.corpora import CORPORA, Corpus, Derived, Entry, ReadOptions
from mien.data.prepare import PrepareOptions, prepare
from mien.data.splits import Part
from mien.data.store import Sample, Store, create_store
from mien.engines import ENGINES, Report, find_engine
from mien.ensembles import RULES, Rule
from mien.ensembles.averages import log_probabilities
from mien.export import export
from mien.hooks import Hooks
from mien.losses import LOSSES
from mien.methods import METHODS
from mien.models import NETWORKS, Network
from mien.models.attention import ATTENTION, attention
from mien.models.layers import MapAverage
from mien.planes import Batch, Plane
from mien.report import page, write_report
from mien.report.parts import Section
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

    def kept(self) -> AbstractContextManager[None]:
        return nullcontext()

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


class Tiny(Network):
    """One convolution, an attention block, and a linear layer."""

    def __init__(self, settings: ModelSettings, classes: int) -> None:
        super().__init__(settings.in_chans)
        block = attention(settings.attention, 4)
        self.features = nn.Sequential(nn.Conv2d(settings.in_chans, 4, 3, padding=1), nn.ReLU(), block)
        self.reduce = MapAverage()
        self.classifier = nn.Linear(4, classes)


def tiny(settings: ModelSettings, *, classes: int, size: int) -> Network:
    return Tiny(settings, classes)


class Halving(nn.Module):
    """An attention block that pays half of it to everything."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((1, channels, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.share


def distance(settings: LossSettings, counts: Tensor) -> Any:
    """The squared distance of probabilities to the target."""

    def loss(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        return ((logits.softmax(dim=1) - targets) ** 2).sum()

    return loss


LOWEST = Rule(
    words="the lowest logit of its members",
    join=lambda _, logits: log_probabilities(logits).min(axis=0),
    graph=lambda _, logs: logs.amin(0),
)

ADDED: dict[str, Any] = {
    "grid": {"model.name": ["tiny"], "seed": [0, 1]},
    "model": {"attention": "halving"},
    "loss": {"name": "distance"},
    "train": {"epochs": 1, "batch_size": 30},
    "rows": {"lowest": {"kind": "ensemble", "ensemble": {"rule": "lowest", "members": ["tiny"]}}},
}


def test_a_network_a_block_a_loss_an_ensemble_and_a_section_stand_in_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", tiny)
    monkeypatch.setitem(ATTENTION, "halving", Halving)
    monkeypatch.setitem(LOSSES, "distance", distance)
    monkeypatch.setitem(RULES, "lowest", LOWEST)  # type: ignore[index]
    section = Section(id="added", title="An added section", lead="It is here.")
    monkeypatch.setattr(page, "SECTIONS", (*page.SECTIONS, lambda found, faces: iter([section])))
    monkeypatch.setitem(ENGINES, "counting", f"{__name__}:CountingEngine")
    recipe = recipe_from(ADDED, "added")
    runs = plan(recipe, measured_store(tmp_path / "store"), tmp_path / "runs")
    find_engine("counting").finish(runs, lambda run, told: None)
    comparison = collect([Run.open(run.path) for run in runs], vary=stated(recipe))
    path = write_report(comparison, tmp_path / "report")
    text = path.read_text(encoding="utf-8")
    methods = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")
    assert "It is here." in text
    for words in ("tiny", "halving", "distance", "the lowest logit of its members"):
        assert words in methods, words
    assert [row.name for row in comparison.rows if row.scores] != []
    lowest = next(run for run in runs if run.settings.KIND == "ensemble")
    export(Run.open(lowest.path), tmp_path / "lowest.onnx")
    test = Run.open(lowest.path).logits("test")
    answer = Bundle.open(tmp_path / "lowest.onnx").logits(Store.open(tmp_path / "store").read(test.ids))
    np.testing.assert_allclose(softmax(answer), softmax(test.logits), atol=1e-4)


def test_a_corpus_of_clips_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_clips(root: Path, options: ClipOptions) -> ClipCorpus:
        return ClipCorpus(
            name="own", clips=tuple(clip for clip, _ in drawn_clips(4, subjects=2)), licence="made for a test"
        )

    monkeypatch.setitem(CLIP_CORPORA, "own", read_clips)
    prepare_clips(tmp_path, "own", tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert list(store.planes) == ["face", "flow"]
