"""Classical methods: a fixed descriptor of the face, and a simple classifier on it, without torch.

In: a run with `FeaturesSettings`. Out: the classifier as plain arrays, `features.npz`, in the run's folder, and the
costs. Valid only chooses the temperature, as for every run.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..config import FeaturesSettings, FeaturesTable, Settings
from ..data.splits import Part
from ..data.store import Store
from ..errors import ConfigError, MissingExtra, Pruned, RunError
from ..hooks import Hooks, Progress
from ..machine import allocator, describe, peak_memory_mb, versions
from ..planes import Batch, Plane
from ..reading import reading
from ..runs import Costs, Run, Stage
from .speed import PREDICT_BATCH, predict_speed

__all__ = ["Described", "FeaturesMethod"]

FITTED = "features.npz"
LIBRARIES = ("skimage", "sklearn")
CHUNK = 256
"""Faces that are described between two reports of progress."""
DESCRIBING = 0.5
"""Approximate share of a fit's time that descriptors take."""
OPERATIONS_A_FACE = 5e7
"""Cost of describing a face, in operations of a network of the same duration."""


class Described:
    """A descriptor and a decision: a `mien.classifier.Classifier`."""

    def __init__(self, run: Run) -> None:
        from .decision import Decision

        self.labels: tuple[str, ...] = run.data.labels
        self._settings = run.of(FeaturesSettings).features
        self.takes: tuple[Plane, ...] = (run.data.every_plane[self._settings.plane],)
        path = run.path / FITTED
        if not path.exists():
            raise RunError(f"{path} is gone. Remove the folder {run.path} and run the same command again.")
        with reading(path, RunError, f"Remove the folder {run.path} and run the same command again."):
            self.decision = Decision.read(path, len(self.labels))

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """Logits `(n, K)` of the run's own crops, `{"face": (n, H, W, C)}`, or of the plane that its settings name."""
        from .descriptors import describe

        return self.decision.logits(describe(batch[self._settings.plane], self._settings))


class FeaturesMethod:
    """The classical methods; see `mien.methods.Method`."""

    def check(self, settings: Settings, store: Store) -> None:
        """Describe one blank face, so that faces too small for the descriptor are refused."""
        assert isinstance(settings, FeaturesSettings)
        if any(find_spec(name) is None for name in LIBRARIES):
            raise MissingExtra(f"The row {settings.name}", "classical")
        from .descriptors import check_plane, describe

        if settings.features.plane not in store.planes:
            planes = ", ".join(store.planes)
            raise ConfigError(f"features.plane is {settings.features.plane!r}; {store.path} has {planes}.")
        plane = store.planes[settings.features.plane]
        check_plane(plane, settings.features)
        describe(np.zeros((1, *plane.shape), plane.dtype), settings.features)

    def fit(self, run: Run, training: Part, valid: Part, hooks: Hooks) -> Classifier:
        """Describe the training part, fit, and keep the arrays."""
        from .decision import fit_decision

        settings, started = run.of(FeaturesSettings), time.monotonic()
        run.write_environment(_environment(settings.features))
        vectors = _described(training, settings.features, hooks)
        decision = fit_decision(vectors, training.labels, len(run.data.labels), settings.features, settings.seed)
        with run.writing():
            decision.save(run.path / FITTED)
        seconds = time.monotonic() - started
        costs = replace(
            run.record.costs,
            parameters=decision.numbers,
            train_seconds=round(seconds, 3),
            images_per_second=round(len(training) / seconds, 1),
            train_peak_mb=round(peak_memory_mb(), 1) if hooks.alone else run.record.costs.train_peak_mb,
        )
        run.update(costs=costs)
        return self.load(run)

    def tidy(self, run: Run) -> None:
        """Do nothing: a stopped fit begins again."""

    def load(self, run: Run) -> Described:
        """The fitted classifier."""
        return Described(run)

    def answered(self, run: Run, part: Stage) -> None:
        """None: its logits need the faces."""

    def costs(self, run: Run) -> Costs:
        """Speed and peak memory of prediction."""
        classifier, store = self.load(run), run.store()
        (plane,) = classifier.takes
        batch = store.read(np.arange(min(PREDICT_BATCH, len(store))), (plane.name,))
        speed = predict_speed(lambda: classifier.logits(batch), len(batch[plane.name]))
        return replace(
            run.record.costs,
            predict_peak_mb=round(peak_memory_mb(), 1),
            predict_images_per_second=speed,
            predict_batch=PREDICT_BATCH,
        )

    def work(self, run: Run) -> float:
        """By the number of faces: describing them takes longest."""
        return run.data.counts["train"] * OPERATIONS_A_FACE


def _described(part: Part, settings: FeaturesTable, hooks: Hooks) -> NDArray[np.float32]:
    """Vectors `(n, D)` of a part; raises `Pruned` if a hook asks to stop."""
    from .descriptors import describe

    images, started = part.read((settings.plane,))[settings.plane], time.monotonic()
    found: list[NDArray[np.float32]] = []
    for start in range(0, len(images), CHUNK):
        found.append(describe(images[start : start + CHUNK], settings))
        seen = min(start + CHUNK, len(images))
        if hooks.report and hooks.report(_progress(seen, len(images), time.monotonic() - started)) is False:
            raise Pruned(f"It was stopped early, at {seen:,} of {len(images):,} faces.")
    return np.concatenate(found)


def _progress(seen: int, count: int, seconds: float) -> Progress:
    return Progress(
        epoch=0,
        epochs=0,
        done=DESCRIBING * seen / count,
        loss=math.nan,
        accuracy=math.nan,
        images_per_second=seen / max(seconds, 1e-9),
    )


def _environment(settings: FeaturesTable) -> dict[str, object]:
    """The content of `env.json`."""
    return {
        "versions": versions(),
        "machine": describe(),
        "device": "cpu",
        "threads": _threads(),
        "allocator": allocator(),
        "training": {"descriptor": settings.descriptor, "solver": SOLVERS[settings.classifier]},
    }


SOLVERS = {
    "linear-svm": "L-BFGS, squared hinge, one class against the others",
    "rbf-svm": "Nyström approximation, then L-BFGS, squared hinge, one class against the others",
    "logistic": "L-BFGS, multinomial",
    "ridge": "closed form",
    "centroid": "means of the classes",
}


def _threads() -> int:
    """Threads of the linear algebra; the descriptors take one."""
    from threadpoolctl import threadpool_info

    pools: Sequence[dict[str, int]] = [pool for pool in threadpool_info() if pool.get("user_api") == "blas"]
    return max((pool["num_threads"] for pool in pools), default=1)
