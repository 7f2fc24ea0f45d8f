"""Does anything grow faster than the number of rows, up to a million?

    python benchmarks/rows.py [--sizes 250000 500000 1000000] [--quick] [--into docs/benchmarks.md]

Pictures of 8 × 8 grey pixels, all noise but for one in a hundred, which is a copy of another; a hundred of a subject;
80 % train, 20 % test, no valid split, so that dividing has to carve one. They come as one `.npz`. Steps: `prepare`
imports them; `open` hashes the store; `samples` reads its table; `divide` is the holdout with its carving by subject,
`kfold` five folds by picture, `group-kfold` five by subject; `audit` looks for copies and look-alikes; `epoch` is the
order of an epoch in blocks, with the targets, and nothing trained. How they are measured stands in `steps.py`. Time is
that of the processor, which waits for nobody: a step took so long on a quiet machine, or less where it has threads.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from steps import Figures, Ladder, climb, timed

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
OF_A_SUBJECT = 100


def write(folder: Path, count: int) -> None:
    """The pictures of `count` rows as `.npz`."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    copies = np.flatnonzero(rng.random(count) < 0.01)
    images[copies] = images[copies - 1]
    subjects = np.arange(count) // OF_A_SUBJECT
    np.savez(
        folder / "arrays.npz",
        images=images,
        labels=rng.integers(0, len(CLASSES), count),
        class_names=np.array(CLASSES),
        subjects=np.char.mod("s%07d", subjects),
        split=np.where(subjects % 5 < 4, "train", "test"),
    )


def cpu_timed(work: Callable[[], object]) -> Figures:
    """Do the work; processor seconds of all threads."""
    return timed(work, time.process_time)


def prepare(folder: Path) -> Figures:
    """Arrays to a store."""
    from mien.crop import CropSpec
    from mien.data.prepare import PrepareOptions, prepare

    options = PrepareOptions(crop=CropSpec(size=8, channels=1), sized=True)
    return cpu_timed(lambda: prepare(folder / "arrays.npz", "npz", folder / "store", options))


def opening(folder: Path) -> Figures:
    """The hash of all planes and samples."""
    from mien.data.store import Store

    return cpu_timed(lambda: Store.open(folder / "store"))


def samples(folder: Path) -> Figures:
    """The table of samples as columns."""
    from mien.data.store import Store

    store = Store.open(folder / "store")
    return cpu_timed(lambda: store.samples)


def divider(protocol: str) -> Callable[[Path], Figures]:
    """The division by one protocol, its table read before."""

    def divided(folder: Path) -> Figures:
        import scipy.sparse.csgraph  # noqa: F401
        import sklearn.model_selection  # noqa: F401, that its import is no part of the time

        from mien.config import DataSettings
        from mien.data.splits import divide
        from mien.data.store import Store

        store = Store.open(folder / "store")
        _ = store.samples
        return cpu_timed(lambda: divide(store, DataSettings(protocol=protocol)))  # type: ignore[arg-type]

    return divided


def audit(folder: Path) -> Figures:
    """Copies, near copies, contradictions."""
    from mien.data.audit import audit
    from mien.data.store import Store

    store = Store.open(folder / "store")
    return cpu_timed(lambda: audit(store))


def epoch(folder: Path) -> Figures:
    """The order of an epoch in blocks, and what training keeps of every row."""
    import torch

    from mien.config import DataSettings, NetworkSettings
    from mien.data.batches import Batches
    from mien.data.splits import Part
    from mien.data.store import Store
    from mien.losses import Objective

    store, settings = Store.open(folder / "store"), NetworkSettings(data=DataSettings(shuffle="blocks"))
    part, device = Part(store=store, rows=np.arange(len(store))), torch.device("cpu")
    _ = store.samples

    def work() -> None:
        batches = Batches(part, settings, device)
        Objective(part, settings.loss, device)
        sum(1 for _ in batches.epoch(0))

    return cpu_timed(work)


LADDER = Ladder(
    name="rows",
    item="a row",
    steps={
        "prepare": prepare,
        "open": opening,
        "samples": samples,
        "divide": divider("holdout"),
        "kfold": divider("kfold"),
        "group-kfold": divider("group-kfold"),
        "audit": audit,
        "epoch": epoch,
    },
    write=write,
    sizes=(250_000, 500_000, 1_000_000),
    quick=(2_000, 4_000),
    rounds=2,
    packages=("mien", "numpy", "scipy", "scikit-learn"),
)

if __name__ == "__main__":
    climb(LADDER, __doc__)
