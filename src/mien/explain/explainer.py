"""Explains a model's predictions for faces, with the methods that its kind of file supports.

In: a run folder (torch, all methods) or a bundle (occlusion alone, no torch); a picture, or a row of a store. Out: one
`Explanation` for each face: its class with calibrated probabilities, and a map for each requested class and method.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..calibration import fit_temperature, softmax
from ..crop import CropSpec, crop
from ..data.store import Store
from ..errors import BadSample, BundleError, ConfigError, DataError, RunError
from ..faces import Face, FaceDetector
from ..images import read_image
from ..labels import LabelSet
from ..planes import FACE, MOVED, Batch
from ..reading import GivenPath, given_path
from . import METHODS
from .occlusion import Answer, occlusion
from .pointing import energy, moved, pointing

if TYPE_CHECKING:
    from ..models import Network
    from ..runs import Run

__all__ = [
    "Explained",
    "Explainer",
    "Explanation",
    "explain",
    "faces_of",
    "layer_words",
    "methods_of",
    "open_explainer",
]

Images = NDArray[np.uint8]
Method = Callable[[Images, NDArray[np.int64]], NDArray[np.float32]]
"""Crops `(B, H, W, C)` and classes `(B,)` -> maps `(B, H, W)`."""


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """A model that can be explained."""

    name: str
    labels: LabelSet
    crop: CropSpec
    classifier: Answer
    temperature: float
    """Logits are divided by this before the softmax."""
    methods: Mapping[str, Method]
    """Those of `METHODS` that it can do."""
    layer: str = ""
    """Name of the layer that Grad-CAM uses; empty if it is not available."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A face to be explained."""

    source: str
    image: Images
    """`(H, W, C)`, as the network sees it."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in the picture; None for a row of a store."""
    label: str = ""
    """Its label in a store; else empty."""
    moved: NDArray[np.bool_] | None = None
    """`(H, W)` pixels that the action units of its expression moved; None if they are unknown."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A model's prediction for one face, with a map for each explained class and method."""

    face: Explained
    probs: Mapping[str, float]
    """Calibrated probability of each class, in the model's order."""
    maps: Mapping[tuple[str, str], NDArray[np.float32]]
    """By class and method: `(H, W)`, above 0 for the class, below 0 against it."""

    @property
    def label(self) -> str:
        """The likeliest class."""
        return max(self.probs, key=lambda name: self.probs[name])

    def summary(self) -> dict[str, Any]:
        """The explanation as plain values: for each map the place of its maximum, its positive and its negative
        part.
        """
        face = self.face
        return {
            "source": face.source,
            "box": face.box,
            "labelled": face.label or None,
            "label": self.label,
            "probs": dict(self.probs),
            "maps": [
                {"class": name, "method": method, **_facts(values), **_truth(values, face, name)}
                for (name, method), values in self.maps.items()
            ],
        }


def open_explainer(model: GivenPath) -> Explainer:
    """The model of a run folder or of a bundle, or "default", the bundle that comes with mien.

    Raises:
        BundleError: the file is missing or is no complete bundle, or this copy has no default model.
        RunError: the folder is no run folder, or its run is not finished.
        ModuleNotFoundError: a run folder was given, and `mien[train]` is not installed.
    """
    if given_path(model, "A model", BundleError).is_dir():
        from ..runs import Run

        return _of_run(Run.open(model))
    bundle = Bundle.open(model)
    bundle.require_faces()
    return Explainer(
        name=bundle.path.name,
        labels=LabelSet(bundle.labels),
        crop=bundle.crop,
        classifier=bundle.logits,
        temperature=bundle.card.temperature,
        methods={"occlusion": partial(occlusion, bundle.logits)},
    )


def methods_of(network: "Network") -> dict[str, Method]:
    """All methods, of a network in torch."""
    from ..inference import predict_logits
    from .gradients import grad_cam, grad_cam_pp, integrated_gradients

    gradients = (grad_cam, grad_cam_pp, integrated_gradients)
    found: list[Method] = [partial(method, network) for method in gradients]

    def answer(batch: Batch) -> NDArray[np.float32]:
        return predict_logits(network, batch[FACE])

    return dict(zip(METHODS, [*found, partial(occlusion, answer)], strict=True))


def layer_words(network: "Network", size: int) -> str:
    """The layer that Grad-CAM uses for faces of `size` x `size` pixels, such as 'layer2 (6×6 cells)'."""
    from .gradients import last_map

    layer = last_map(network, size)
    return f"{layer.name} ({layer.cells[0]}×{layer.cells[1]} cells)"


def faces_of(source: str, spec: CropSpec, detector: FaceDetector) -> list[Explained]:
    """The faces of a picture file, or the one face of `STORE:ROW`, cropped by `spec`.

    Raises `DataError` if there is no such file, store or row.
    """
    folder, colon, row = source.rpartition(":")
    if colon and row.isdigit() and not Path(source).exists():
        return [_of_store(source, Store.open(folder), int(row), spec)]
    try:
        picture = read_image(source, source)
    except BadSample as error:
        raise DataError(f"{error}. Give a picture, or STORE:ROW for a row of a store.") from None
    return [_of_picture(source, picture, face, spec) for face in detector.detect(picture)]


def explain(
    explainer: Explainer, faces: Sequence[Explained], *, classes: Sequence[str] = (), methods: Sequence[str] = ()
) -> list[Explanation]:
    """Maps for the likeliest class of each face and for each of `classes`, by each of `methods` (all that there are).

    Raises:
        ConfigError: there is no such method, or this model cannot do it.
        LabelError: the model has no such class.
    """
    chosen = pick_methods(explainer, methods)
    named = [explainer.labels.index(name) for name in classes]
    if not faces:
        return []
    images = np.stack([face.image for face in faces])
    probs = softmax(explainer.classifier({FACE: images}) / explainer.temperature)
    asked = [list(dict.fromkeys([int(row.argmax()), *named])) for row in probs]
    maps = {method: _maps(explainer.methods[method], images, asked) for method in chosen}
    names = explainer.labels.names
    return [
        Explanation(
            face=face,
            probs=dict(zip(names, row.tolist(), strict=True)),
            maps={(names[label], method): maps[method][place, label] for label in asked[place] for method in chosen},
        )
        for place, (face, row) in enumerate(zip(faces, probs, strict=True))
    ]


def pick_methods(explainer: Explainer, wanted: Sequence[str]) -> list[str]:
    """The requested methods, or all that the model supports. Raises `ConfigError` if one is not available."""
    for method in wanted:
        if method not in METHODS:
            raise ConfigError(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
        if method not in explainer.methods:
            raise ConfigError(
                f"{method} needs the network's gradients, and a model file has none: {explainer.name} can do "
                f"{', '.join(explainer.methods)}. Pass the folder of the run it came from with --model, where "
                "pip install 'mien[train]' is installed."
            )
    return list(dict.fromkeys(wanted)) or [method for method in METHODS if method in explainer.methods]


def _of_run(run: "Run") -> Explainer:
    from ..methods.network import NetworkMethod

    trained, valid = NetworkMethod().load(run), run.logits("valid")
    if (names := [plane.name for plane in trained.takes]) != [FACE]:
        raise RunError(f"{run.id} reads {' and '.join(names)}; mien explains networks that read the face alone.")
    return Explainer(
        name=run.id,
        labels=LabelSet(trained.labels),
        crop=run.data.crop,
        classifier=trained.logits,
        temperature=fit_temperature(valid.logits, valid.labels),
        methods=methods_of(trained.network),
        layer=layer_words(trained.network, run.data.crop.size),
    )


def _of_store(source: str, store: Store, row: int, spec: CropSpec) -> Explained:
    if row >= len(store):
        raise DataError(f"{store.path} has no row {row}; its rows are 0 to {len(store) - 1}.")
    truth = moved(store, np.array([row]))[0] if MOVED in store.planes else None
    same = store.meta.crop.size == spec.size
    return Explained(
        source=source,
        image=crop(np.ascontiguousarray(store.images[row]), spec),
        label=store.meta.labels[store.samples.label[row]],
        moved=truth if truth is not None and truth.any() and same else None,
    )


def _of_picture(source: str, picture: Images, face: Face, spec: CropSpec) -> Explained:
    return Explained(source=source, image=crop(picture, spec, face.box, face.landmarks), box=face.box)


def _maps(method: Method, images: Images, asked: Sequence[Sequence[int]]) -> dict[tuple[int, int], NDArray[np.float32]]:
    """The map of each face and requested class, all in one call."""
    pairs = [(place, label) for place, labels in enumerate(asked) for label in labels]
    places, labels = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    return dict(zip(pairs, method(images[places], labels), strict=True))


def _facts(values: NDArray[np.float32]) -> dict[str, Any]:
    row, column = np.unravel_index(values.argmax(), values.shape)
    return {
        "peak": [int(column), int(row)],
        "for": float(np.maximum(values, 0).sum()),
        "against": float(np.maximum(-values, 0).sum()),
    }


def _truth(values: NDArray[np.float32], face: Explained, name: str) -> dict[str, Any]:
    """Share of the map on pixels that moved, if that is known and the map is of the face's own class."""
    if face.moved is None or face.label != name:
        return {}
    truth, one = face.moved[None], values[None]
    figures = {"pointing": pointing(one, truth), "energy": energy(one, truth), "area": truth.mean(axis=(1, 2))}
    return {"truth": {figure: float(value[0]) for figure, value in figures.items()}}
