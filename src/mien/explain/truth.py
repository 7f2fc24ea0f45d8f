"""On drawn faces: compares explanations of a trained network with the pixels that the action units moved.

In: a finished run on a store with masks of moved pixels. Out: `explanations.npz` in its folder: figures a face (see
`pointing`) of every method, for the class of the face's label. Neutral faces, where nothing moves, are left out.

A figure alone means little, so each is kept with those of simple controls:

    area        a uniform map: the share of the face that moved
    centre      a fixed Gaussian at the centre
    usual       a fixed map, the mean truth of the training part: where drawn faces usually move
    others      this network's maps of faces of other classes: parts that do not depend on this expression
    untrained   the same network with its initial weights (Adebayo 2018, arXiv:1810.03292): parts that do not depend on
                training
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..compare import Row
from ..config import NetworkSettings
from ..data.splits import Fold
from ..data.store import Store
from ..errors import DataError, RunError
from ..examine.damaging import stratified_faces
from ..examine.kept import Replicate, read_arrays, whole_rows, write_arrays
from ..planes import FACE, MOVED
from ..runs import Run
from . import LIMIT, METHODS
from .pointing import energy, fixed_maps, moved_by_unit, on_truth, others, peaks, pointing, positive, says_nothing

if TYPE_CHECKING:
    from ..models import Network

__all__ = ["CHANCES", "CONTROLS", "FILE", "STEPS", "Grounding", "knows_truth", "load", "measure", "measured_rows"]

FILE = "explanations.npz"
PARTS = 10
STEPS = 2 * PARTS
"""Progress steps of each method: parts of the faces, for the trained network and for the untrained one."""
SUITE = 1
"""Version of methods and figures. Raise it when one of them changes; older measurements are then repeated."""
CHANCES = ("area", "centre", "usual")
"""Fixed maps, the same for all methods and networks."""
CONTROLS = ("others", "untrained")
"""Maps of the same method."""
BY_FACE = {
    "ids": Array("i8", "n"),
    "labels": Array("i8", "n"),
    "subjects": Array("U", "n"),
    "chance": Array("f4", f"{len(CHANCES)} 2 n"),
    "unit_area": Array("f4", "U n"),
    "scores": Array("f4", f"M {1 + len(CONTROLS)} 2 n"),
    "blank": Array("b1", "M n"),
    "units": Array("f4", "M U n"),
}
KEPT = BY_FACE | {"methods": Array("U", "M"), "action_units": Array("i8", "U"), "layer": Array("U", "")}

Bools = NDArray[np.bool_]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Report = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Measurements of one trained network. The last axis of every array is the n faces; M is the number of methods, U
    of action units. An axis of length 2 holds pointing and energy.
    """

    ids: Labels
    """`(n,)` rows of the store, ascending."""
    labels: Labels
    """`(n,)`."""
    subjects: NDArray[np.str_]
    """`(n,)`; empty texts where unknown."""
    chance: NDArray[np.float32]
    """`(3, 2, n)`: figures of the fixed maps `CHANCES`."""
    unit_area: NDArray[np.float32]
    """`(U, n)` share of the face that each action unit of its expression moved; 0 where it did not act."""
    scores: NDArray[np.float32]
    """`(M, 3, 2, n)`: figures of the trained network's map, and of the two `CONTROLS`."""
    blank: Bools
    """`(M, n)`: whether the map is empty."""
    units: NDArray[np.float32]
    """`(M, U, n)` share of the map's positive part on the pixels of each action unit."""
    methods: tuple[str, ...]
    action_units: tuple[int, ...]
    layer: str
    """The layer that Grad-CAM used, such as 'layer2 (6×6 cells)'."""


def knows_truth(run: Run) -> bool:
    """Whether the run is one network, trained only on drawn faces with masks of the pixels that moved."""
    try:
        alone = run.settings.method == NetworkSettings.KIND and run.of(NetworkSettings).model.reads_face
        return alone and MOVED in run.store().planes
    except DataError:
        return False


def load(run: Run) -> Grounding | None:
    """The measurements of a run; None if there are none, or if they are of another version."""
    content = read_arrays(run.path / FILE, SUITE, KEPT, "mien explain RUNS --truth")
    if content is None:
        return None
    methods, units = (tuple(content.pop(key).tolist()) for key in ("methods", "action_units"))
    layer = str(content.pop("layer"))
    return Grounding(**content, methods=methods, action_units=units, layer=layer)


def measure(
    run: Run, methods: Sequence[str] = METHODS, *, limit: int = LIMIT, report: Report | None = None
) -> Grounding:
    """Explain up to `limit` test faces of a finished run, compare the maps with the truth, and keep the figures.

    The faces are the same for all runs of one test part, stratified by class. Each method is saved when it is done, and
    not measured again on the same faces. `report` is called with the number of `STEPS` just finished. The run has
    opened this test part before, and nothing is chosen by it.

    Raises:
        RunError: the run is not finished, or was not trained as one network.
        DataError: its store no longer exists, or has no truth.
    """
    if run.settings.method != NetworkSettings.KIND:
        raise RunError(
            f"Explanations are compared with those of the network before training, and {run.id} "
            f"({run.settings.method}) "
            "has none. Give a folder of networks alone."
        )
    fold = run.fold()
    found, truth = _so_far(run, fold, limit)
    wanted = [method for method in methods if method not in found.methods]
    if report:
        report(STEPS * (len(methods) - len(wanted)))
    if wanted:
        networks = _networks(run, fold)
        images = fold.train.store.read(found.ids)[FACE]
        for method in wanted:
            maps = [_maps(network, method, images, found.labels, report) for network in networks]
            found = _with_method(found, method, maps, truth)
            _save(run, found)
    return found


def measured_rows(rows: Sequence[Row], damaged: list[str] | None = None) -> dict[str, dict[Replicate, Grounding]]:
    """What was measured of each row, by its name and replicate; see `kept.whole_rows`."""
    return whole_rows(rows, load, _pooled, damaged)


def _so_far(run: Run, fold: Fold, limit: int) -> tuple[Grounding, Bools]:
    """The measurements of the chosen faces so far, and their truth by action unit `(n, U, H, W)`."""
    from ..methods.network import load_network
    from .explainer import layer_words

    test, store = run.logits("test"), fold.train.store
    truth = moved_by_unit(store, test.ids)
    moving = np.flatnonzero(truth.any(axis=(1, 2, 3)))
    if len(moving) == 0:
        raise DataError(
            f"No action unit moved anything in the test faces of {run.id}, so there is no truth to compare with."
        )
    picked = moving[stratified_faces(test.labels[moving], limit)]
    truth, ids = truth[picked], test.ids[picked]
    found = load(run)
    if found and np.array_equal(found.ids, ids):
        return found, truth
    n, units = truth.shape[:2]
    nothing = Grounding(
        ids=ids,
        labels=test.labels[picked],
        subjects=test.subjects[picked],
        chance=_chances(_any(truth), store, fold.train.rows),
        unit_area=truth.mean(axis=(2, 3)).T.astype(np.float32),
        scores=np.empty((0, 1 + len(CONTROLS), 2, n), np.float32),
        blank=np.empty((0, n), bool),
        units=np.empty((0, units, n), np.float32),
        methods=(),
        action_units=tuple(store.samples.aus),
        layer=layer_words(load_network(run), run.data.crop.size),
    )
    return nothing, truth


def _chances(truth: Bools, store: Store, training: NDArray[np.int64]) -> NDArray[np.float32]:
    fixed = fixed_maps(store, training)
    maps = [np.broadcast_to(fixed[name], truth.shape) for name in CHANCES]
    return np.array([[pointing(one, truth), energy(one, truth)] for one in maps], np.float32)


def _any(by_unit: Bools) -> Bools:
    return np.asarray(by_unit.any(axis=1))


def _networks(run: Run, fold: Fold) -> tuple["Network", "Network"]:
    """The network as trained, and with the weights that the run began with."""
    from ..device import pick_device
    from ..initial import build_network
    from ..methods.network import load_network

    device = pick_device()
    return load_network(run, device), build_network(run.of(NetworkSettings), fold.train, device)


def _maps(
    network: "Network", method: str, images: Images, labels: Labels, report: Report | None
) -> NDArray[np.float32]:
    from .explainer import methods_of

    explain, found = methods_of(network)[method], []
    for part in np.array_split(np.arange(len(images)), PARTS):
        found.append(explain(images[part], labels[part]))
        if report:
            report(1)
    return np.concatenate(found)


def _with_method(found: Grounding, method: str, maps: Sequence[NDArray[np.float32]], by_unit: Bools) -> Grounding:
    """The measurements with one more method, from maps `(n, H, W)` of the trained and the untrained network."""
    trained, untrained = maps
    truth = _any(by_unit)
    figures = [
        [pointing(trained, truth), energy(trained, truth)],
        [on_truth(others(spread, found.labels), truth) for spread in (peaks(trained), positive(trained))],
        [pointing(untrained, truth), energy(untrained, truth)],
    ]
    on_units = np.einsum("nhw,nuhw->un", positive(trained), by_unit)
    return replace(
        found,
        methods=(*found.methods, method),
        scores=np.concatenate([found.scores, np.array(figures, np.float32)[None]]),
        blank=np.concatenate([found.blank, says_nothing(trained)[None]]),
        units=np.concatenate([found.units, on_units[None].astype(np.float32)]),
    )


def _pooled(parts: Sequence[Grounding]) -> Grounding:
    """The folds of one replicate as one, with the methods that all of them have."""
    methods = tuple(method for method in parts[0].methods if all(method in part.methods for part in parts))
    alike = [_only(part, methods) for part in parts]
    joined: dict[str, Any] = {key: np.concatenate([getattr(part, key) for part in alike], axis=-1) for key in BY_FACE}
    return replace(alike[0], **joined)


def _only(part: Grounding, methods: tuple[str, ...]) -> Grounding:
    places = [part.methods.index(method) for method in methods]
    return replace(
        part,
        methods=methods,
        scores=part.scores[places],
        blank=part.blank[places],
        units=part.units[places],
    )


def _save(run: Run, found: Grounding) -> None:
    write_arrays(run, FILE, SUITE, {key: getattr(found, key) for key in KEPT})
