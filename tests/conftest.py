"""Small stores that can be learnt in seconds, and runs planned on them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mien.config import NetworkSettings, override
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.labels import LabelSet

if TYPE_CHECKING:  # the base install, which some tests run on, has no runs
    from mien.runs import Run

SIZE = 16
LABELS = LabelSet(("anger", "fear", "happiness"))
TINY: dict[str, Any] = {
    "model.name": "compact-s",
    "model.width": 0.25,
    "train.epochs": 3,
    "train.batch_size": 16,
    "train.micro_batch": 8,
    "optimizer.lr": 0.003,
}
"""NetworkSettings of a run that takes about a second."""

Bars = Callable[..., Store]


def bar(label: int, rng: np.random.Generator) -> np.ndarray:
    """A bright bar at a height that the class decides, in noise."""
    image = rng.integers(0, 140, (SIZE, SIZE, 3), dtype=np.uint8)
    image[2 + 5 * label : 5 + 5 * label] += 90
    return image


def write_bars(
    path: Path,
    *,
    splits: Sequence[tuple[str, int]] = (("train", 66), ("valid", 21), ("test", 30)),
    noise_split: str = "",
    soft: bool = False,
    subjects: bool = False,
) -> Store:
    """A store of bars, classes in turn.

    Args:
        splits: names and numbers of samples.
        noise_split: this split's images are noise instead.
        soft: give distributions that contradict the labels: the next class, always.
        subjects: four samples a subject.
    """
    with create_store(path, LABELS, CropSpec(size=SIZE)) as writer:
        for number, (split, count) in enumerate(splits):
            rng = np.random.default_rng(number)
            for i in range(count):
                image = bar(i % 3, rng)
                if split == noise_split:
                    image = np.random.default_rng([9, i]).integers(0, 256, image.shape, dtype=np.uint8)
                distribution = tuple(float(k == (i + 1) % 3) for k in range(3)) if soft else ()
                subject = f"{split}-{i // 4}" if subjects else ""
                groups = {"half": "first" if 2 * i < count else "second"}
                sample = Sample(
                    label=i % 3, split=split, source=f"{split}/{i}", subject=subject, soft=distribution, groups=groups
                )
                writer.add(sample, face=image)
        writer.finish(corpus="bars", licence="made for tests")
    return Store.open(path)


def plan_run(folder: Path, store: Store, **changes: Any) -> "Run":
    """A planned run of the tiny settings; `optimizer__lr=1.0` changes `optimizer.lr`."""
    from mien.runs import Run

    settings = override(NetworkSettings(), TINY | {key.replace("__", "."): value for key, value in changes.items()})
    return Run.create(folder, settings.resolved(store.meta.crop), store, divide(store, settings.data))


@pytest.fixture
def bars(tmp_path: Path) -> Bars:
    """Write a store of bars under a name."""
    return lambda name="store", **options: write_bars(tmp_path / name, **options)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The usual store of bars; nobody writes into it but the log of openings."""
    return write_bars(tmp_path_factory.mktemp("data") / "bars")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder for what the tests of a file share."""
    return tmp_path_factory.mktemp(request.path.stem)


PLAIN = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9" stroke="#010203"/></svg>',
    "pdf": b"%PDF-1.4",
}


@pytest.fixture
def plain_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out and not rendered, which takes most of a report's time; long tests have real ones."""
    if request.node.get_closest_marker("long"):
        return
    monkeypatch.setattr("mien.report.figures.sheet.Sheet._saved", lambda sheet, form, metadata: PLAIN[form])


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engine without processes: what each would do is done here. Gives the list of what was done, by seed."""
    from mien.engines import local
    from mien.hooks import Hooks
    from mien.methods import speed
    from mien.stages import finish_run, measure_costs

    done: list[str] = []

    def here(work: Any, runs: list["Run"], report: Callable[..., bool | None], *_: object) -> int:
        for run in runs:
            if work is local._measure:
                done.append(f"measure {run.settings.seed}")
                measure_costs(run)
            else:
                stages, names, _alone = work.args
                done.append(f"{' '.join(names) or 'finish'} {run.settings.seed}")
                finish_run(run, stages, Hooks(report=lambda progress, run=run: report(run, progress), names=names))
        return 0

    monkeypatch.setattr(speed, "PREDICT_SECONDS", 0.01)
    monkeypatch.setattr(local, "_in_fresh_process", here)
    monkeypatch.setattr(local, "waiting_now", lambda: "spinning")
    return done
