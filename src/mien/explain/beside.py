"""How good explanations are on drawn faces, compared with controls, with intervals over faces and seeds.

In: what `truth` measured of the runs of each network. Out: `Truth`, one a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..errors import CompareError
from ..examine.kept import Replicate
from ..metrics import ratio
from ..statistics import GAP, SHARE, Spread
from ..statistics.estimates import Estimate, Statistic, mean, share, spreads
from ..statistics.intervals import FROM_0
from ..statistics.resampling import known
from . import METHODS
from .truth import CHANCES, CONTROLS, Grounding

__all__ = ["FIGURES", "Controlled", "Figure", "Grounded", "Truth", "summarise"]

Figure = Literal["pointing", "energy"]
FIGURES: tuple[Figure, ...] = get_args(Figure)
BESIDE = (*CHANCES, *CONTROLS)
COLUMNS = 1 + len(CONTROLS) + len(BESIDE)
"""Number of values for one figure of one method: its own, those of the controls, and its lead over each control."""


@dataclass(frozen=True, kw_only=True)
class Controlled:
    """One figure of one method, 0 to 1, with its controls."""

    value: Estimate
    controls: Mapping[str, Estimate]
    """The figure of each of `CONTROLS`."""
    above: Mapping[str, Estimate]
    """The figure minus that of each of `CHANCES` and `CONTROLS`, paired face by face."""


@dataclass(frozen=True, kw_only=True)
class Grounded:
    """One method on one network."""

    method: str
    pointing: Controlled
    """Whether the largest pixel of the map is one that moved."""
    energy: Controlled
    """Share of the map's positive part that lies on pixels that moved."""
    blank: float
    """Share of maps that say nothing."""
    units: Mapping[int, Estimate]
    """By action unit: the map's density on the unit's pixels, divided by its density over the whole face; 1 is chance.
    """


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One network (a row of a comparison), means over its seeds."""

    name: str
    n: int
    """Test faces."""
    seeds: int
    chance: Mapping[str, Mapping[Figure, float]]
    """Figures of the fixed maps, by map and figure."""
    methods: tuple[Grounded, ...]
    layer: str
    """What Grad-CAM looked at."""


def summarise(
    measured: Mapping[str, Mapping[Replicate, Grounding]], rng: np.random.Generator, level: float = 0.95
) -> tuple[Truth, ...]:
    """Figures of each network, over faces (by subject where known) and seeds.

    Args:
        measured: by network and replicate; see `truth.measured_rows`. Methods that all replicates of a network have
            are shown.
        rng: of the bootstrap; all networks see the same draws.
        level: of the intervals.

    Raises:
        CompareError: nothing was measured, or the seeds of one network were measured on different faces.
    """
    if not measured:
        raise CompareError("No explanation was compared with the truth yet. Run `mien explain RUNS --truth` first.")
    state = int(rng.integers(2**63))
    return tuple(
        _truth(name, list(runs.values()), np.random.default_rng(state), level) for name, runs in measured.items()
    )


def _truth(name: str, seeds: Sequence[Grounding], rng: np.random.Generator, level: float) -> Truth:
    first, n = seeds[0], len(seeds[0].ids)
    if any(not np.array_equal(first.ids, other.ids) for other in seeds):
        raise CompareError(f"The seeds of {name} were measured on different faces. Measure all runs with one --limit.")
    methods = [method for method in METHODS if all(method in seed.methods for seed in seeds)]
    subjects = known(first.subjects)
    figures = spreads(_statistic(seeds, methods), n, rng, subjects=subjects)
    size = 2 * COLUMNS + len(first.action_units)
    rows = [figures[size * place : size * (place + 1)] for place in range(len(methods))]
    return Truth(
        name=name,
        n=n,
        seeds=len(seeds),
        chance={
            chance: dict(zip(FIGURES, figure.mean(axis=1).tolist(), strict=True))
            for chance, figure in zip(CHANCES, first.chance, strict=True)
        },
        methods=tuple(_grounded(method, seeds, row, level) for method, row in zip(methods, rows, strict=True)),
        layer=first.layer,
    )


def _grounded(method: str, seeds: Sequence[Grounding], row: Sequence[Spread], level: float) -> Grounded:
    n = len(seeds[0].ids)
    moved = zip(seeds[0].action_units, row[2 * COLUMNS :], strict=True)
    lifts = {unit: mean(figure, level, FROM_0) for unit, figure in moved}
    return Grounded(
        method=method,
        pointing=_beside(row[:COLUMNS], n, level, whole=True),
        energy=_beside(row[COLUMNS : 2 * COLUMNS], n, level, whole=False),
        blank=float(np.mean([seed.blank[seed.methods.index(method)].mean() for seed in seeds])),
        units={unit: lift for unit, lift in lifts.items() if np.isfinite(lift.value)},
    )


def _beside(figures: Sequence[Spread], n: int, level: float, *, whole: bool) -> Controlled:
    """Shares that are 0 or 1 for nearly every face, the largest pixel's, have Wilson's interval (`whole`)."""
    own, controls, above = figures[0], figures[1 : 1 + len(CONTROLS)], figures[1 + len(CONTROLS) :]
    return Controlled(
        value=share(own, n, level) if whole else mean(own, level, SHARE),
        controls={name: mean(figure, level, SHARE) for name, figure in zip(CONTROLS, controls, strict=True)},
        above={name: mean(figure, level, GAP) for name, figure in zip(BESIDE, above, strict=True)},
    )


def _statistic(seeds: Sequence[Grounding], methods: Sequence[str]) -> Statistic:
    """Method by method: the columns of pointing and of energy (means over faces), then the lift of each action unit."""
    columns = [[_columns(seed, method) for method in methods] for seed in seeds]
    on = [[seed.units[seed.methods.index(method)].T.astype(np.float64) for method in methods] for seed in seeds]
    area = seeds[0].unit_area.T.astype(np.float64)

    def figures(counts: NDArray[np.float32]) -> Floats:
        draws = counts.astype(np.float64)
        size, below = draws.sum(axis=1)[:, None], draws @ area
        each = [
            [np.concatenate([draws @ c / size, ratio(draws @ u, below)], axis=1) for c, u in zip(*seed, strict=True)]
            for seed in zip(columns, on, strict=True)
        ]
        return np.stack([np.concatenate(parts, axis=1) for parts in each], axis=1)

    return figures


def _columns(seed: Grounding, method: str) -> Floats:
    """`(n, 2 * COLUMNS)` figures of one method, face by face."""
    scores = seed.scores[seed.methods.index(method)].astype(np.float64)
    found: list[Floats] = []
    for place in range(len(FIGURES)):
        own, *controls = scores[:, place]
        found += [own, *controls, *(own - other for other in (*seed.chance[:, place], *controls))]
    return np.stack(found, axis=1)
