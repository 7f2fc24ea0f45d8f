"""What it costs to open a store: its bytes are hashed once a process and held against `meta.json`.

    python benchmarks/opening.py

Writes two stores of noise with as many images as FER2013 has, in grey and in RGB, into a temporary folder, and prints
processor time: opened for the first time, opened again, and the samples read and checked.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.crop import CropSpec
from mien.data.store import Sample, Store, create_store
from mien.data.store import files as stores
from mien.labels import SEVEN

COUNT, SIDE, TIMES = 35_887, 48, 5


def write_noise(path: Path, channels: int) -> None:
    """A store of noise; 512 different images, in turn."""
    images = np.random.default_rng(0).integers(0, 256, (512, SIDE, SIDE, channels), np.uint8)
    with create_store(path, SEVEN, CropSpec(size=SIDE, channels=channels)) as writer:
        for i in range(COUNT):
            split = "test" if i % 8 == 0 else "train"
            writer.add(Sample(label=i % 7, split=split, source=f"noise:{i}"), face=images[i % 512])
        writer.finish(corpus="noise", licence="none")


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print a line a store."""
    with tempfile.TemporaryDirectory() as folder:
        for channels in (1, 3):
            path = Path(folder) / str(channels)
            write_noise(path, channels)
            first = []
            for _ in range(TIMES):
                stores._hashed.cache_clear()
                first.append(seconds(lambda path=path: Store.open(path)))
            again = seconds(lambda path=path: Store.open(path))
            opened = Store.open(path)
            samples = seconds(lambda opened=opened: opened.samples)
            size = (path / "planes" / "face.npy").stat().st_size / 1e6
            print(
                f"{size:.0f} MB: first {1e3 * min(first):.0f} to {1e3 * max(first):.0f} ms, "
                f"again {1e3 * again:.1f} ms, samples {1e3 * samples:.0f} ms"
            )


if __name__ == "__main__":
    main()
