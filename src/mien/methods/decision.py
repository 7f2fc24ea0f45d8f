"""Linear and kernel classifiers as plain arrays: scikit-learn and scipy fit them, numpy computes the logits, and
nothing is pickled.

    z = (x − shift) [· basis] / scale          standardised, after principal components where there are some
    k = exp(−gamma · |z − landmarks|²)         of the kernel machine alone
    logits = z · weights + bias                or k · weights + bias

`tests/test_classical.py` holds these logits against scikit-learn's own decisions, and so what was fitted. A margin of a
support vector machine is not a log-odds. The temperature that is fitted on valid scales it to one, as far as a single
number can.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..config import FeaturesTable
from ..errors import DataError, NonFinite

__all__ = ["Decision", "fit_decision"]

Numbers = NDArray[np.float64]

ARRAYS = {
    "shift": Array("f8", "D"),
    "basis": Array("f8", "D P", optional=True),
    "scale": Array("f8", "P"),
    "landmarks": Array("f8", "M P", optional=True),
    "gamma": Array("f8", "1"),
    "weights": Array("f8", "Q K"),
    "bias": Array("f8", "K"),
    "seen": Array("b1", "K"),
}
"""The arrays in the file of a decision."""
STEPS = 5000
"""Most steps of a solver; problems of these sizes take tens to hundreds."""
BEHIND = 10.0
"""Distance of the logit of a class without training faces below the lowest of the others."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A fitted classifier of vectors of D numbers into K classes."""

    shift: Numbers
    """`(D,)` mean of the training part."""
    scale: Numbers
    """`(P,)` deviation of the training part, in components where there are some; else P is D."""
    weights: Numbers
    """`(Q, K)`; Q is the number of landmarks, or P."""
    bias: Numbers
    """`(K,)`."""
    seen: NDArray[np.bool_]
    """`(K,)` whether a class had a training face; the others rank last in every prediction."""
    gamma: Numbers
    """`(1,)` of the kernel; 0 where there is none."""
    basis: Numbers | None = None
    """`(D, P)` principal components."""
    landmarks: Numbers | None = None
    """`(M, P)` standardised training faces."""

    @property
    def numbers(self) -> int:
        """Number of fitted values."""
        return sum(array.size for name, array in self._arrays().items() if name not in ("gamma", "seen"))

    def logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits `(n, K)` of vectors `(n, D)`."""
        inputs = _standardised(vectors, self.shift, self.basis, self.scale)
        if self.landmarks is not None:
            inputs = _kernel(inputs, self.landmarks, float(self.gamma[0]))
        logits = inputs @ self.weights + self.bias
        if not self.seen.all():
            logits[:, ~self.seen] = logits[:, self.seen].min(axis=1, keepdims=True) - BEHIND
        return logits.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write it whole or not at all; the same decision gives the same bytes."""
        with new_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **self._arrays())

    @classmethod
    def read(cls, path: Path, classes: int) -> "Decision":
        """Read it back; raises `ValueError`, or what `zipfile` raises, for a file that does not fit."""
        found = read_npz(path, ARRAYS, K=classes)
        if not all(np.isfinite(array).all() for array in found.values()):
            raise ValueError("it holds what is no finite number")
        made = cls(**found)
        kept = len(made.scale) if made.landmarks is None else len(made.landmarks)
        if (made.basis is None and len(made.shift) != len(made.scale)) or len(made.weights) != kept:
            raise ValueError("its arrays do not fit together")
        return made

    def _arrays(self) -> Mapping[str, NDArray[Any]]:
        return {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}


def fit_decision(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], classes: int, settings: FeaturesTable, seed: int
) -> Decision:
    """Fit a classifier to vectors `(n, D)` with labels `(n,)`.

    Raises:
        DataError: the training part has fewer than two classes.
        NonFinite: the solver found no finite answer.
    """
    found = np.unique(labels)
    if len(found) < 2:
        raise DataError(f"The training part has {len(found)} class; a classifier needs two or more.")
    shift, basis = _components(vectors, settings.components)
    scale = _deviation(_standardised(vectors, shift, basis, np.ones(1)))
    inputs, landmarks, gamma = _standardised(vectors, shift, basis, scale), None, 0.0
    if settings.classifier == "rbf-svm":
        landmarks, gamma, inputs, back = _approximated(inputs, settings, seed)
    weights, bias = (
        _centroids(inputs, labels) if settings.classifier == "centroid" else _linear(inputs, labels, settings)
    )
    if landmarks is not None:
        weights = back @ weights
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise NonFinite(f"{settings.name} found no finite answer. Lower features.c.")
    seen = np.isin(np.arange(classes), found)
    return Decision(
        shift=shift,
        basis=basis,
        scale=scale,
        landmarks=landmarks,
        gamma=np.array([gamma]),
        weights=_spread(weights, seen),
        bias=_spread(bias[None], seen)[0],
        seen=seen,
    )


def _components(vectors: NDArray[np.float32], wanted: int) -> tuple[Numbers, Numbers | None]:
    """Mean of the vectors and, where some are `wanted`, their first principal components `(D, P)`."""
    if not wanted:
        return vectors.mean(axis=0, dtype=np.float64), None
    count = min(wanted, vectors.shape[1], len(vectors) - 1)
    fitted = PCA(count, svd_solver="covariance_eigh").fit(vectors.astype(np.float64))
    return fitted.mean_, fitted.components_.T


def _standardised(vectors: NDArray[np.float32], shift: Numbers, basis: Numbers | None, scale: Numbers) -> Numbers:
    moved = vectors - shift
    standard: Numbers = (moved if basis is None else moved @ basis) / scale
    return standard


def _deviation(inputs: Numbers) -> Numbers:
    """Deviation of each column; 1 for one that is the same in every face."""
    deviation: Numbers = inputs.std(axis=0)
    return np.where(deviation > 1e-12, deviation, 1.0)


def _approximated(inputs: Numbers, settings: FeaturesTable, seed: int) -> tuple[Numbers, float, Numbers, Numbers]:
    """Landmarks, gamma, the features whose products approximate the kernel, and what leads from these to the kernel."""
    gamma = settings.gamma / inputs.shape[1]
    fitted = Nystroem(gamma=gamma, n_components=min(settings.landmarks, len(inputs)), random_state=seed % 2**32)
    features = fitted.fit_transform(inputs)
    return fitted.components_, gamma, features, fitted.normalization_.T


def _kernel(inputs: Numbers, landmarks: Numbers, gamma: float) -> Numbers:
    squares = (inputs**2).sum(axis=1)[:, None] + (landmarks**2).sum(axis=1) - 2 * inputs @ landmarks.T
    kernel: Numbers = np.exp(-gamma * np.maximum(squares, 0))
    return kernel


def _linear(inputs: Numbers, labels: NDArray[np.int64], settings: FeaturesTable) -> tuple[Numbers, Numbers]:
    """Weights `(Q, K)` and bias `(K,)` of the classes there are."""
    if settings.classifier == "ridge":
        return _ridge(inputs, labels, 1 / settings.c)
    if settings.classifier != "logistic":
        return _squared_hinge(inputs, labels, settings.c)
    model = LogisticRegression(C=settings.c, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the result after this many steps is used
        model.fit(inputs, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights.T, bias


def _squared_hinge(inputs: Numbers, labels: NDArray[np.int64], c: float) -> tuple[Numbers, Numbers]:
    """Support vector machines of each class against the others, all at once; what `LinearSVC` finds, tens of times as
    fast on thousands of dense columns: half the squared weights and bias, plus `c` times the squared hinge losses."""
    found = np.unique(labels)
    signs = np.where(labels[:, None] == found, 1.0, -1.0)
    shape = (inputs.shape[1] + 1, len(found))

    def loss(flat: Numbers) -> tuple[float, Numbers]:
        weights = flat.reshape(shape)
        short = np.maximum(1 - signs * (inputs @ weights[:-1] + weights[-1]), 0)
        pull = signs * short
        slope = weights - 2 * c * np.concatenate([inputs.T @ pull, pull.sum(axis=0, keepdims=True)])
        return float((weights**2).sum() / 2 + c * (short**2).sum()), slope.ravel()

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "maxcor": 20, "ftol": 1e-8, "gtol": 1e-6}
    weights = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)
    return weights[:-1], weights[-1]


def _ridge(inputs: Numbers, labels: NDArray[np.int64], penalty: float) -> tuple[Numbers, Numbers]:
    """Least squares on ±1 a class with a penalty on the weights (Hoerl & Kennard 1970), as `RidgeClassifier` has it.

    `inputs (n, D)` have mean 0. Solved for the samples where there are fewer of them than columns: the same weights.
    """
    signs = np.where(labels[:, None] == np.unique(labels), 1.0, -1.0)
    bias: Numbers = signs.mean(axis=0)
    count, columns = inputs.shape
    if count < columns:
        inner = inputs @ inputs.T + penalty * np.eye(count)
        solved: NDArray[Any] = inputs.T @ np.linalg.solve(inner, signs - bias)
    else:
        outer = inputs.T @ inputs + penalty * np.eye(columns)
        solved = np.linalg.solve(outer, inputs.T @ (signs - bias))
    return solved, bias


def _centroids(inputs: Numbers, labels: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Minus the squared distance to each centroid in deviations within the classes, less what all classes share."""
    model = NearestCentroid().fit(inputs, labels)
    within = np.where(model.within_class_std_dev_ > 0, model.within_class_std_dev_, 1.0) ** 2
    return 2 * (model.centroids_ / within).T, -(model.centroids_**2 / within).sum(axis=1)


def _spread(columns: Numbers, seen: NDArray[np.bool_]) -> Numbers:
    """Columns of the classes there are, among zeros for the others."""
    spread = np.zeros((len(columns), len(seen)))
    spread[:, seen] = columns
    return spread
