"""Why does a model miss smiles? What is tried is tried on validation faces and drawn ones; portraits are only counted.

    python scripts/smiles.py default --data STORE --people PORTRAITS

STORE is that of training, of which a tenth is carved off as validation; its labels count 30 votes beside ten
annotators'. PORTRAITS is the London Set with a neutral and a smiling face a person. Out: the share of smiles that is
found, by what was changed in the picture, by lips, by how many annotators saw happiness, and for how many people the
smile raises happiness.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.bundle import Bundle
from mien.calibration import wilson
from mien.config import NetworkSettings
from mien.crop import CropSpec, crop
from mien.data.drawn import AUS, draw_faces
from mien.data.splits import divide
from mien.data.store import Store

Faces = NDArray[np.uint8]
Bools = NDArray[np.bool_]
SMILE, CALM = "happiness", "neutral"
SIDE, VOTES, OWN = 48, 40, 30
CLOSED_PEOPLE = """001 003 005 007 011 014 019 021 024 029 031 033 038 039 042 043 044 045 068 069 070 081 082 086
087 090 092 101 108 112 115 119 121 122 123 124 125 131 135 136 138 140 141 142 143 144 172 173"""
"""People of the London Set who smile with closed lips, told by eye before any answer was seen."""
DRAWN = 160
CLOSED = (
    """6 10 12 13 19 24 29 31 32 44 45 49 53 59 63 66 68 80 81 87 90 95 99 106 108 113 134 138 145 148 155 157 159"""
)
UNCLEAR = """0 20 48 56 69 74 78 85 91 93 97 98 140 142"""
"""Of `DRAWN` smiles of the validation part, by place: lips closed, and no face or no mouth to be seen."""


def changes() -> dict[str, Callable[[Faces], Faces]]:
    """What may differ between a portrait and a face of FER2013, as functions of one face `(48, 48)`."""
    zooms = {f"zoom {z}": _moved(z) for z in (0.8, 0.9, 0.94, 1.06, 1.2)}
    shifts = {f"shift {y:+} px": _moved(1, y) for y in (-3, -1, 1, 3)}
    light = {
        "contrast × 0.5": lambda face: _whole((face - 128.0) * 0.5 + 128),
        "brightness − 40": lambda face: _whole(face - 40.0),
        "brightness + 40": lambda face: _whole(face + 40.0),
        "mean 133, deviation 51": lambda face: _whole((face - face.mean()) / (face.std() + 1e-6) * 51 + 133),
    }
    edges = {
        "blur 0.5 px": lambda face: _whole(cv2.GaussianBlur(face, (0, 0), 0.5)),
        "blur 0.8 px": lambda face: _whole(cv2.GaussianBlur(face, (0, 0), 0.8)),
        "sharpened by 0.6": lambda face: _whole(face * 1.6 - 0.6 * cv2.GaussianBlur(face, (0, 0), 1.0)),
        "white around the face": _on_white,
    }
    return {"as it is": lambda face: face, **zooms, **shifts, **light, **edges}


def _moved(zoom: float, down: float = 0) -> Callable[[Faces], Faces]:
    middle = (SIDE - 1) / 2
    matrix = np.array([[zoom, 0, (1 - zoom) * middle], [0, zoom, (1 - zoom) * middle + down]])
    return lambda face: np.asarray(
        cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _on_white(face: Faces) -> Faces:
    inside = cv2.ellipse(np.zeros((SIDE, SIDE), np.uint8), (24, 26), (19, 30), 0, 0, 360, 1, -1)
    return np.where(inside, face, 225).astype(np.uint8)


def _whole(values: ArrayLike) -> Faces:
    return np.clip(np.asarray(values, np.float64), 0, 255).astype(np.uint8)


def share(hits: Bools) -> str:
    """`0.886 [0.860, 0.907] n=718`."""
    if not len(hits):
        return "none"
    low, high = wilson(int(hits.sum()), len(hits))
    return f"{hits.mean():.3f} [{float(low):.3f}, {float(high):.3f}] n={len(hits)}"


def places(text: str, count: int) -> Bools:
    """A list of places as a mask `(count,)`."""
    return np.isin(np.arange(count), [int(word) for word in text.split()])


def of_validation(bundle: Bundle, store: Store) -> Iterator[tuple[str, str]]:
    """What the validation part says: changed pictures, lips, votes."""
    valid = divide(store, NetworkSettings().data).valid
    faces, labels = valid.read()["face"][..., 0], np.array(bundle.labels)[valid.labels]
    for name, change in changes().items():
        said = answers(bundle, np.stack([change(face) for face in faces[np.isin(labels, (SMILE, CALM))]]))
        right = said == labels[np.isin(labels, (SMILE, CALM))]
        for label in (SMILE, CALM):
            yield f"valid, {name}: {label}", share(right[labels[np.isin(labels, (SMILE, CALM))] == label])
    happy = answers(bundle, faces) == SMILE
    picked = np.sort(np.random.default_rng(0).choice(np.flatnonzero(labels == SMILE), DRAWN, replace=False))
    closed, clear = places(CLOSED, DRAWN), ~places(UNCLEAR, DRAWN)
    yield "valid, smiles with teeth", share(happy[picked[clear & ~closed]])
    yield "valid, smiles of closed lips", share(happy[picked[clear & closed]])
    assert store.samples.soft is not None
    votes = store.samples.soft[valid.rows] * VOTES
    votes[np.arange(len(votes)), valid.labels] -= OWN
    saw = votes[:, bundle.labels.index(SMILE)] / np.maximum(votes.sum(axis=1), 1)
    for low, high in ((0, 0.05), (0.05, 0.45), (0.45, 0.65), (0.65, 0.95), (0.95, 1.01)):
        among = (saw >= low) & (saw < high)
        yield f"valid, {low:.0%} to {min(high, 1):.0%} of annotators saw happiness: called so", share(happy[among])


def of_drawn(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Drawn smiles, by the strength of action unit 12 and by how colours become grey."""
    drawn = [face for _, face in draw_faces(2100, seed=5, size=SIDE) if face.label == SMILE]
    strength = np.array([face.aus[..., AUS.index(12)].mean() for face in drawn])
    grey = np.stack([crop(face.image, CropSpec(size=SIDE, channels=1))[..., 0] for face in drawn])
    happy = answers(bundle, grey) == SMILE
    for low, high in ((0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        yield f"drawn, AU 12 from {low} to {min(high, 1)}", share(happy[(strength >= low) & (strength < high)])
    yield "drawn, grey as BT.601", share(happy)
    yield (
        "drawn, grey as the green channel",
        share(answers(bundle, np.stack([f.image[..., 1] for f in drawn])) == SMILE),
    )


def of_portraits(bundle: Bundle, store: Store) -> Iterator[tuple[str, str]]:
    """The portraits: smiles by lips, and each person's smile against the same person's neutral face."""
    faces = np.stack(
        [crop(face, CropSpec(size=SIDE, channels=1)) for face in store.read(np.arange(len(store)))["face"]]
    )
    logits, labels = bundle.logits({"face": faces}), np.array(store.meta.labels)[store.samples.label]
    names = list(bundle.labels)
    happy = logits.argmax(axis=1) == names.index(SMILE)
    closed = np.isin(store.samples.subject, CLOSED_PEOPLE.split())
    yield "portraits, smiles with teeth", share(happy[(labels == SMILE) & ~closed])
    yield "portraits, smiles of closed lips", share(happy[(labels == SMILE) & closed])
    margin = logits[:, names.index(SMILE)] - logits[:, names.index(CALM)]
    order = np.argsort(store.samples.subject, kind="stable")
    smile, calm = (margin[order][labels[order] == label] for label in (SMILE, CALM))
    yield "portraits, people whose smile raises happiness over neutral", share(smile > calm)


def answers(bundle: Bundle, faces: Faces) -> NDArray[np.str_]:
    """The likeliest class of each grey face `(n, 48, 48)`."""
    said: NDArray[np.str_] = np.array(bundle.labels)[bundle.logits({"face": faces[..., None]}).argmax(axis=1)]
    return said


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a file, or the name of a model that comes with mien")
    parser.add_argument("--data", type=Path, required=True, help="the store of training")
    parser.add_argument("--people", type=Path, required=True, help="the store of the portraits")
    options = parser.parse_args()
    bundle = Bundle.open(options.model)
    for found in (
        of_validation(bundle, Store.open(options.data)),
        of_drawn(bundle),
        of_portraits(bundle, Store.open(options.people)),
    ):
        for name, words in found:
            print(f"{name:70} {words}", flush=True)


if __name__ == "__main__":
    main()
