"""How do time and memory grow with the number of images?

    python benchmarks/growth.py [--sizes 1000 10000] [--quick] [--into docs/benchmarks.md]

Drawn faces as a folder of PNG files, 70 % of them train, 10 % valid, 20 % test, go the whole road: `prepare` makes the
store, `audit` looks through it, one epoch of `compact-s` trains and judges, `compare` holds two such runs against each
other and writes the page. How they are measured stands in `steps.py`. Time is that of the step alone, without the
start of Python and the imports.
"""

from pathlib import Path

from measure import draw_pictures
from steps import Figures, Ladder, climb, timed

from mien.machine import keeping_pages

SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}


def write(folder: Path, size: int) -> None:
    """Drawn faces, every one another."""
    counts = {split: round(share * size) for split, share in SHARES.items()}
    draw_pictures(folder / "pictures", distinct=size, **counts)


def prepare(folder: Path) -> Figures:
    """Pictures to a store."""
    from mien.data.prepare import prepare

    return timed(lambda: prepare(folder / "pictures", "folder", folder / "store"))


def audit(folder: Path) -> Figures:
    """Copies, near copies, contradictions."""
    from mien.data.audit import audit
    from mien.data.store import Store

    return timed(lambda: audit(Store.open(folder / "store")))


def train(folder: Path) -> Figures:
    """One epoch, as the engine runs it; its own record says what it took. Then, uncounted, the run to compare it to."""
    from mien.config import NetworkSettings, override
    from mien.data.splits import divide
    from mien.data.store import Store
    from mien.runs import Run
    from mien.stages import finish_run

    store = Store.open(folder / "store")
    settings = override(NetworkSettings(), {"model.name": "compact-s", "train.epochs": 1}).resolved(store.meta.crop)
    other = override(settings, {"model.dropout": 0.2})
    fold = divide(store, settings.data)
    run, after = (Run.create(folder / "runs", each, store, fold) for each in (settings, other))
    finish_run(run)
    costs = run.record.costs
    finish_run(after)
    return {"seconds": costs.train_seconds, "peak_mb": costs.train_peak_mb}


def compare(folder: Path) -> Figures:
    """The page of the two runs, with their intervals, their paired test and pictures."""
    from mien.compare import collect
    from mien.report import write_report
    from mien.runs import find_runs

    return timed(lambda: write_report(collect(find_runs(folder / "runs")), folder / "report"))


LADDER = Ladder(
    name="growth",
    item="an image",
    steps={"prepare": prepare, "audit": audit, "train": train, "compare": compare},
    write=write,
    sizes=(1_000, 10_000, 100_000),
    quick=(300, 600),
    rounds=3,
    packages=("mien", "torch", "numpy", "opencv-python-headless"),
    environment={"train": keeping_pages()},  # as the engine starts a training
)

if __name__ == "__main__":
    climb(LADDER, __doc__)
