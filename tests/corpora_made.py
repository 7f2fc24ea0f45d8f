"""Tiny corpora, made where a test wants them: seven classes of noise pictures in every layout that mien reads."""

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
RAF_CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
VOTE_NAMES = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)


def picture(seed: int, side: int = 48) -> NDArray[np.uint8]:
    """(side, side) uint8 grey noise, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def save(path: Path, seed: int, side: int = 48) -> Path:
    """Write a picture; the suffix says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(seed, side))
    return path


def folders(root: Path, classes: tuple[str, ...] = FER_CLASSES, each: int = 3, suffix: str = ".png") -> Path:
    """root/train|test/class/*"""
    for s, split in enumerate(("train", "test")):
        for c, name in enumerate(classes):
            for i in range(each):
                save(root / split / name / f"{split}_{i}{suffix}", 1000 * s + 10 * c + i)
    return root


def fer_rows(usages: tuple[str, ...] = ("Training", "PublicTest"), each: int = 2) -> list[list[str]]:
    """(emotion, pixels, Usage) rows."""
    rows = []
    for u, usage in enumerate(usages):
        for label in range(7):
            for i in range(each):
                pixels = " ".join(map(str, picture(1000 * u + 10 * label + i).ravel()))
                rows.append([str(label), pixels, usage])
    return rows


def fer_csv(path: Path, rows: list[list[str]] | None = None) -> Path:
    """fer2013.csv"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["emotion", "pixels", "Usage"], *(fer_rows() if rows is None else rows)])
    return path


def icml_csv(path: Path) -> Path:
    """icml_face_data.csv: another order of columns, and spaces in the header and before the Usage."""
    with path.open("w") as file:
        file.write("emotion, Usage, pixels\n")
        for label, pixels, usage in fer_rows(("Training", "PublicTest", "PrivateTest")):
            file.write(f"{label}, {usage}, {pixels}\n")
    return path


def ferplus(root: Path, votes: list[list[int]] | None = None) -> Path:
    """fer2013.csv with fer2013new.csv; by default eight votes for the class of the row and two for neutral."""
    rows = fer_rows()
    fer_csv(root / "fer2013.csv", rows)
    order = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    with (root / "fer2013new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *VOTE_NAMES])
        for i, (label, _, usage) in enumerate(rows):
            counts = [8 * (name == order[int(label)]) + 2 * (name == "neutral") for name in VOTE_NAMES]
            writer.writerow([usage, "fer0000000.png", *(votes[i] if votes and i < len(votes) else counts)])
    return root


def rafdb(root: Path, each: int = 2) -> Path:
    """The official tree."""
    lines = []
    for split in ("train", "test"):
        for code in range(1, 8):
            for i in range(each):
                stem = f"{split}_{code * 100 + i:05d}"
                save(root / f"basic/Image/aligned/{stem}_aligned.jpg", hash_of(stem), 100)
                lines.append(f"{stem}.jpg {code}")
    labels = root / "basic/EmoLabel/list_patition_label.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("\n".join(lines) + "\n")
    return root


def rafdb_packed(root: Path) -> Path:
    """The re-packed tree, with its optional tables."""
    folders(root, tuple(str(code) for code in range(1, 8)), each=2, suffix=".jpg")
    for split in ("train", "test"):
        names = [f"{split}_{i}" for i in range(2)]
        with (root / f"{split}_labels.csv").open("w") as file:
            file.write("image,label\n")
            for code in range(1, 8):
                for name in names:
                    old = root / split / str(code) / f"{name}.jpg"
                    new = old.with_name(f"{split}_{code}{name[-1]}_aligned.jpg")
                    old.rename(new)
                    file.write(f"{new.name},{code}\n")
    return root


def affectnet(root: Path) -> Path:
    """The tree of arrays: eight classes, labels as texts in the train set and as numbers in the other."""
    for s, split in enumerate(("train_set", "val_set")):
        (root / split / "annotations").mkdir(parents=True)
        for code in range(8):
            save(root / split / f"images/{code}.jpg", 100 * s + code, 64)
            value = np.array(str(code)) if s == 0 else np.array(code)
            np.save(root / split / f"annotations/{code}_exp.npy", value)
    return root


def affectnet_tables(root: Path, *, header: bool = True) -> Path:
    """training.csv and validation.csv; the face is the right lower quarter of each picture."""
    root.mkdir(parents=True)
    for s, name in enumerate(("training", "validation")):
        with (root / f"{name}.csv").open("w") as file:
            if header:
                file.write(
                    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
                    "expression,valence,arousal\n"
                )
            for code in range(11):
                save(root / f"Manually_Annotated_Images/{s}/{code}.jpg", 100 * s + code, 96)
                file.write(f"{s}/{code}.jpg,48,48,48,48,1;2,{code},0.1,0.2\n")
    return root


def listed(root: Path, rows: list[str] | None = None, header: str = "path,label,subject,split,box") -> Path:
    """labels.csv beside pictures/."""
    made = []
    for c, name in enumerate(FER_CLASSES):
        for s, split in enumerate(("train", "val")):
            save(root / f"pictures/{split}_{name}.png", 10 * c + s, 96)
            made.append(f"pictures/{split}_{name}.png,{name},s{s},{split},0 0 48 48")
    path = root / "labels.csv"
    path.write_text("\n".join([header, *made, *(rows or [])]) + "\n")
    return path


def npz(path: Path, **changes: object) -> Path:
    """images, labels, class_names, subjects, split; `changes` replaces arrays, None leaves one out."""
    arrays: dict[str, object] = {
        "images": np.stack([picture(i) for i in range(14)]),
        "labels": np.arange(14) % 7,
        "class_names": np.array(FER_CLASSES),
        "subjects": np.array([f"s{i % 2}" for i in range(14)]),
        "split": np.array([0] * 7 + [1] * 7),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def hash_of(text: str) -> int:
    """A seed from a text, the same in every process."""
    return int.from_bytes(text.encode(), "big") % (1 << 32)
