"""Which face detector should be the default? Recall, false alarms and time, as a Markdown table.

    pip install --target /tmp/pictures --no-deps scikit-image
    OMP_NUM_THREADS=1 python benchmarks/faces.py --scikit-image /tmp/pictures/skimage

    python benchmarks/faces.py --scikit-image /tmp/pictures/skimage --limits

Drawn scenes with true boxes (in plain view, tilted, small, dark, cut by the border) and the real pictures that
packages ship: scikit-image's astronaut and its 100 faces and 100 others of Labeled Faces in the Wild (25 pixels,
enlarged four times on a canvas of twice the side), matplotlib's portrait of Grace Hopper; and pictures without a
face. A face is found where a box meets the true one with an intersection over union of 0.4. Times are the median
over rounds in which the detectors take turns (A B A B), as a ratio to the first.

`--limits` shows instead what the least score and the least size of a face cost in faces found and save in false
alarms, on drawn faces, on the real ones, and on pictures without a face: drawn clutter and those that packages ship.
"""

import argparse
import itertools
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn import Scene, draw_scene
from mien.errors import MissingExtra
from mien.faces import Face, FaceDetector, overlap
from mien.faces.face import clear
from mien.faces.haar import HaarDetector
from mien.faces.yunet import YufaceDetector, YunetDetector

SAME = 0.4
CONDITIONS = ("plain", "tilted", "small", "dark", "border")
NO_FACES = ("chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "grass.png", "gravel.png",
            "brick.png", "page.png", "motorcycle_left.png", "coins.png")  # fmt: skip
ROUNDS = 7
CLUTTER = 200
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture and the truth about it."""

    image: NDArray[np.uint8]
    boxes: tuple[Box, ...]
    conditions: tuple[frozenset[str], ...]
    """Of each box; also the column it counts in."""


def scenes(count: int, first: int = 0) -> Iterator[Picture]:
    """Drawn scenes of ten faces, 480 x 640."""
    for seed in range(first, first + count):
        scene = draw_scene(10, seed=seed, height=480, width=640)
        boxes = tuple((float(x), float(y), float(w), float(h)) for x, y, w, h in scene.boxes)
        yield Picture(image=scene.image, boxes=boxes, conditions=tuple(conditions(scene, n) for n in range(len(boxes))))


def conditions(scene: Scene, number: int) -> frozenset[str]:
    """What makes a drawn face hard to find; `plain` where nothing does."""
    x, y, width, height = scene.boxes[number].tolist()
    across, down = (scene.landmarks[number, 1] - scene.landmarks[number, 0]).tolist()
    rows, columns = scene.image.shape[:2]
    inside = scene.image[max(0, int(y)) : int(y + height), max(0, int(x)) : int(x + width)]
    found = {
        "tilted": abs(np.degrees(np.arctan2(down, across))) > 15,
        "small": height < 40,
        "dark": inside.mean() < 60,
        "border": x < 0 or y < 0 or x + width > columns or y + height > rows,
    }
    return frozenset(name for name, holds in found.items() if holds) or frozenset({"plain"})


def photos(skimage: Path | None) -> Iterator[Picture]:
    """The real pictures at hand; their boxes were drawn by eye, from mid-forehead to chin."""
    photo = frozenset({"photo"})
    if skimage:
        image = read(skimage / "data" / "astronaut.png")
        yield Picture(image=image, boxes=((170.0, 64.0, 108.0, 112.0),), conditions=(photo,))
        for name in NO_FACES:
            yield Picture(image=read(skimage / "data" / name), boxes=(), conditions=())
        for number, small in enumerate(np.load(skimage / "data" / "lfw_subset.npy", allow_pickle=False)):
            side, edge = 100, 50
            grey = cv2.resize((small * 255).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
            image = np.repeat(cv2.copyMakeBorder(grey, *(edge,) * 4, cv2.BORDER_REPLICATE)[..., None], 3, axis=2)
            boxes = ((float(edge), float(edge), float(side), float(side)),) if number < 100 else ()
            yield Picture(image=image, boxes=boxes, conditions=(frozenset({"lfw"}),) * len(boxes))
    portrait = Path(str(metadata.distribution("matplotlib").locate_file("matplotlib/mpl-data/sample_data")))
    if (portrait / "grace_hopper.jpg").is_file():
        image = read(portrait / "grace_hopper.jpg")
        yield Picture(image=image, boxes=((165.0, 120.0, 205.0, 215.0),), conditions=(photo,))


def clutter(seed: int) -> NDArray[np.uint8]:
    """A drawn picture of 480 x 640 without a face: circles, ellipses, boxes, lines and letters, noisy or blurred."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (*rng.integers(3, 40, 2), 3), dtype=np.uint8)
    image = cv2.resize(patches, (640, 480), interpolation=cv2.INTER_CUBIC) // 2 + rng.integers(0, 128, 3, np.uint8)
    for _ in range(int(rng.integers(20, 120))):
        x, y, other_x, other_y = (int(v) for v in rng.integers(0, (640, 480, 640, 480)))
        size, wide = int(rng.integers(3, 80)), int(rng.integers(1, 6))
        colour, filled = rng.integers(0, 256, 3).tolist(), int(rng.choice([-1, wide]))
        kind = rng.integers(0, 5)
        if kind == 0:
            cv2.circle(image, (x, y), size, colour, filled, cv2.LINE_AA)
        elif kind == 1:
            turn = float(rng.integers(0, 180))
            cv2.ellipse(image, (x, y), (size, 2 + size // 2), turn, 0, 360, colour, filled, cv2.LINE_AA)
        elif kind == 2:
            cv2.rectangle(image, (x, y), (x + size, y + size // 2), colour, filled)
        elif kind == 3:
            cv2.line(image, (x, y), (other_x, other_y), colour, wide, cv2.LINE_AA)
        else:
            text = "".join(map(chr, rng.integers(33, 126, 6)))
            cv2.putText(image, text, (x, y), int(rng.integers(0, 8)), 0.3 + size / 30, colour, wide, cv2.LINE_AA)
    if rng.random() < 0.5:
        image = np.clip(image + rng.normal(0, rng.integers(1, 40), image.shape), 0, 255).astype(np.uint8)
    return image if rng.random() < 0.5 else np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5), np.uint8)


def limits(drawn: list[Picture], real: list[Picture], first: int) -> None:
    """Print what each least score and size costs and saves, a row each."""
    empty = [Picture(image=clutter(first + n), boxes=(), conditions=()) for n in range(CLUTTER)]
    steps = {
        "haar": (partial(HaarDetector, smallest=0), (0.0, 0.3, 0.35, 0.4, 0.5), (0,)),
        "yuface": (partial(YufaceDetector, smallest=0), (0.6, 0.65, 0.68, 0.7, 0.75), (0, 16, 20)),
    }
    print("| detector | least score | least side, px | drawn | real | false, clutter | false, real | false, scenes |")
    print(f"|---|{'---:|' * 7}")
    for name, (make, scores, sides) in steps.items():
        found = [[make(sure=min(scores)).detect(p.image) for p in part] for part in (drawn, real, empty)]
        for sure, side in itertools.product(scores, sides):
            kept = [[clear(faces, sure, side) for faces in part] for part in found]
            counts = [count(pictures, faces) for pictures, faces in zip((drawn, real, empty), kept, strict=True)]
            (hits, of, wrong), (real_hits, real_of, real_wrong), (_, _, nothing) = counts
            cells = (name, sure, side, f"{hits}/{of}", f"{real_hits}/{real_of}", nothing, real_wrong, wrong)
            print(f"| {' | '.join(map(str, cells))} |")
    print(f"\n{len(drawn)} scenes, {len(real)} real pictures, {len(empty)} of clutter; seeds from {first}.")


def count(pictures: list[Picture], found: list[list[Face]]) -> tuple[int, int, int]:
    """Faces found, faces there, boxes that show no face."""
    hits = wrong = 0
    for picture, faces in zip(pictures, found, strict=True):
        hits += sum(any(overlap(face.box, box) >= SAME for face in faces) for box in picture.boxes)
        wrong += sum(not any(overlap(face.box, box) >= SAME for box in picture.boxes) for face in faces)
    return hits, sum(len(picture.boxes) for picture in pictures), wrong


def read(path: Path) -> NDArray[np.uint8]:
    """One picture as RGB."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"{path} is not a picture. Give --scikit-image the folder of the installed package.")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


def score(detector: FaceDetector, pictures: list[Picture]) -> tuple[dict[str, tuple[int, int]], int]:
    """(found, of) for each condition, and boxes that show no face."""
    tally: dict[str, tuple[int, int]] = {}
    false = 0
    for picture in pictures:
        faces = detector.detect(picture.image)
        hits = [any(overlap(face.box, box) >= SAME for face in faces) for box in picture.boxes]
        false += sum(not any(overlap(face.box, box) >= SAME for box in picture.boxes) for face in faces)
        for hit, names in zip(hits, picture.conditions, strict=True):
            for name in names:
                found, of = tally.get(name, (0, 0))
                tally[name] = (found + hit, of + 1)
    return tally, false


def times(detectors: list[FaceDetector], images: list[NDArray[np.uint8]]) -> list[float]:
    """Median milliseconds a picture of each detector, taking turns."""
    taken = np.zeros((ROUNDS, len(detectors)))
    for turn in range(ROUNDS):
        for column, detector in enumerate(detectors):
            start = time.perf_counter()
            for image in images:
                detector.detect(image)
            taken[turn, column] = (time.perf_counter() - start) * 1000 / len(images)
    median: list[float] = np.median(taken, axis=0).tolist()
    return median


def detectors(sides: list[int], yunet: str | None) -> dict[str, FaceDetector]:
    """Those that work here, at each side."""
    found: dict[str, FaceDetector] = {}
    for side in sides:
        found[f"haar, {side} px"] = HaarDetector(side=side)
        try:
            found[f"yuface, {side} px"] = YufaceDetector(side=side)
        except MissingExtra as missing:
            print(missing)
        if yunet:
            found[f"yunet, {side} px"] = YunetDetector(yunet, side=side)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scikit-image", type=Path, help="folder of the installed package skimage")
    parser.add_argument("--yunet", help="a face_detection_yunet_*.onnx")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--limits", action="store_true", help="what the least score and size cost and save")
    parser.add_argument("--first", type=int, default=0, help="seed of the first scene")
    parser.add_argument("--sides", type=int, nargs="+", default=[640, 320])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    drawn, real = list(scenes(options.scenes, options.first)), list(photos(options.scikit_image))
    if options.limits:
        limits(drawn, real, options.first)
        return
    found = detectors(options.sides, options.yunet)
    taken = times(list(found.values()), [picture.image for picture in drawn[:4]])
    columns = (*CONDITIONS, "photo", "lfw")
    heads = " | ".join((*columns, "false, drawn", "false, real", "time, ratio"))
    print(f"| detector | {heads} |\n|---|{'---:|' * (len(columns) + 3)}")
    for (name, detector), milliseconds in zip(found.items(), taken, strict=True):
        (tally, false), (others, false_real) = score(detector, drawn), score(detector, real)
        tally |= others
        cells = [f"{tally[c][0]}/{tally[c][1]}" if c in tally else "" for c in columns]
        ratio = f"{milliseconds / taken[0]:.2f}"
        print(f"| {name} | {' | '.join((*cells, str(false), str(false_real), ratio))} |")
    packages = ", ".join(f"{p} {metadata.version(p)}" for p in ("opencv-python-headless", "yuface", "numpy"))
    print(f"\n{packages}, Python {platform.python_version()}, one thread; {taken[0]:.0f} ms a scene is 1.00.")


if __name__ == "__main__":
    main()
