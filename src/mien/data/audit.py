"""The audit of a store: duplicates, copies across splits, contradicting labels, blank images.

In: a store. Out: an `Audit`. Exact duplicates share the 64-bit BLAKE2b hash of their crops. Near duplicates are found
with a 64-bit difference hash (is a cell of an 8×9 thumbnail brighter than its left neighbour?): two images are compared
if one of seven overlapping 16-bit bands of their hashes agrees and at most `MAX_DISTANCE` bits differ. They are near
duplicates if the correlation of their pixels is at least `MIN_CORRELATION`. On FER2013, of 60 pairs drawn at 0.92 and
above, all 60 showed one photograph twice (other crop, size, brightness or watermark).

Memory: some 100 bytes an image; pixels are read by plain reads, a batch at a time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..planes import FACE
from ..progress import track
from .store import HEADER_BYTES, SPLITS, Store

__all__ = ["Audit", "Group", "audit", "class_counts"]

MAX_DISTANCE = 8
MIN_CORRELATION = 0.95
BLANK_STD = 0.5
"""An image counts as blank if the standard deviation of its grey levels (0 to 255) is below this."""
MAX_NEIGHBOURS = 2048
"""Each image is compared with at most this many others of the same band. Without a limit, similar images need N²
comparisons.
"""
MAX_COMPARED = 600_000
"""The pixels of at most this many pairs are compared (half a minute), for the same reason."""
BANDS = range(0, 49, 8)
BATCH = 128
BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of identical or nearly identical images."""

    rows: tuple[int, ...]
    """Rows of the store, ascending."""
    labels: tuple[int, ...]
    """Their labels."""
    splits: tuple[str, ...]
    """Their splits."""

    @property
    def leaks(self) -> bool:
        """Whether it occurs in more than one split."""
        return len(set(self.splits)) > 1

    @property
    def contradicts(self) -> bool:
        """Whether its images have different labels."""
        return len(set(self.labels)) > 1


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The findings of an audit."""

    images: int
    counts: Mapping[str, Mapping[str, int]]
    """{split: {class: images}}; splits without images left out."""
    exact: tuple[Group, ...]
    """Groups of two or more identical images."""
    near: tuple[Group, ...]
    """Groups joined by near duplicates (exact copies of their members included)."""
    blanks: tuple[int, ...]
    """Rows of images that show nothing."""
    near_complete: bool
    """False if so many images were similar that only `MAX_NEIGHBOURS` of each were compared."""

    @property
    def leaks(self) -> tuple[Group, ...]:
        """Exact groups across splits."""
        return tuple(group for group in self.exact if group.leaks)

    @property
    def near_leaks(self) -> tuple[Group, ...]:
        """Near groups across splits."""
        return tuple(group for group in self.near if group.leaks)

    @property
    def conflicts(self) -> tuple[Group, ...]:
        """Exact groups with different labels."""
        return tuple(group for group in self.exact if group.contradicts)

    def summary(self) -> dict[str, Any]:
        """The numbers, for JSON and tables."""
        return {
            "images": self.images,
            "counts": {split: dict(counts) for split, counts in self.counts.items()},
            "exact_groups": len(self.exact),
            "exact_copies": sum(len(group.rows) - 1 for group in self.exact),
            "exact_across_splits": _across(self.leaks),
            "near_groups": len(self.near),
            "near_across_splits": _across(self.near_leaks),
            "near_complete": self.near_complete,
            "label_conflicts": len(self.conflicts),
            "blank_images": len(self.blanks),
        }


def audit(store: Store) -> Audit:
    """Audit a store; 32,000 images take a few seconds."""
    digests, hashes, blank = _fingerprints(store)
    label, split = _labels(store)
    exact = _exact(digests)
    others = np.ones(len(store), bool)
    others[blank] = False
    for rows in exact:
        others[rows[1:]] = False
    pairs, complete = _near_pairs(store, hashes, np.flatnonzero(others))
    return Audit(
        images=len(store),
        counts=_counts(store, label, split),
        exact=tuple(_group(rows, label, split) for rows in exact),
        near=tuple(_group(rows, label, split) for rows in _join(pairs, exact)),
        blanks=tuple(blank.tolist()),
        near_complete=complete,
    )


def class_counts(store: Store) -> dict[str, dict[str, int]]:
    """{split: {class: images}}; splits without images left out."""
    return _counts(store, *_labels(store))


def _labels(store: Store) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
    """Labels and positions in `SPLITS`, read in flat memory."""
    label, split = np.empty(len(store), np.int16), np.empty(len(store), np.int8)
    for row, sample in enumerate(store.iter_samples()):
        label[row], split[row] = sample.label, SPLITS.index(sample.split)
    return label, split


def _counts(store: Store, label: NDArray[np.int16], split: NDArray[np.int8]) -> dict[str, dict[str, int]]:
    names, counts = store.meta.labels, {}
    for code, part in enumerate(SPLITS):
        tally = np.bincount(label[split == code], minlength=len(names)).tolist()
        if any(tally):
            counts[part] = dict(zip(names, tally, strict=True))
    return counts


def _across(groups: Iterable[Group]) -> dict[str, dict[str, int]]:
    """{'test with a copy in train': images, ...} as {split: {other split: images}}."""
    found: dict[str, dict[str, int]] = {}
    for group in groups:
        for split in group.splits:
            for other in set(group.splits) - {split}:
                found.setdefault(split, {}).setdefault(other, 0)
                found[split][other] += 1
    return found


def _fingerprints(store: Store) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """The pixel hash and the difference hash of each image, and the rows of blank images."""
    digests, hashes = np.empty(len(store), np.uint64), np.empty(len(store), np.uint64)
    blank, row = [], 0
    for images in track(store.iter_images(BATCH), "Auditing", -(-len(store) // BATCH)):
        for image in images:
            grey = _grey(image)
            digests[row] = int.from_bytes(hashlib.blake2b(image.data, digest_size=8).digest(), "little")
            hashes[row] = _difference_hash(grey)
            if cv2.meanStdDev(grey)[1][0, 0] < BLANK_STD:
                blank.append(row)
            row += 1
    return digests, hashes, np.array(blank, dtype=np.int64)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(H, W)` uint8 from `(H, W, C)`."""
    if image.shape[2] == 1:
        return image[..., 0]
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _difference_hash(grey: NDArray[np.uint8]) -> np.uint64:
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return np.uint64(int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "little"))


def _exact(digests: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Rows of each group of equal digests, in the order of their first rows."""
    order = np.argsort(digests, kind="stable")
    same = np.zeros(len(order) + 1, np.int8)
    same[1:-1] = digests[order[1:]] == digests[order[:-1]]
    edges = np.diff(same)
    runs = zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) + 1).tolist(), strict=True)
    return sorted((order[start:end] for start, end in runs), key=lambda rows: int(rows[0]))


def _near_pairs(
    store: Store, hashes: NDArray[np.uint64], rows: NDArray[np.int64]
) -> tuple[list[tuple[int, int]], bool]:
    """Pairs of `rows` that are near duplicates, and whether all candidates were compared."""
    found: list[tuple[int, int]] = []
    compared, complete = 0, True
    with store.file(FACE).open("rb") as file:
        for band in range(len(BANDS)):
            values = _band(hashes[rows], band)
            order = np.lexsort((hashes[rows], values))
            values = values[order]
            complete &= not (values[MAX_NEIGHBOURS:] == values[:-MAX_NEIGHBOURS]).any()
            own, places = hashes[rows][order], rows[order]
            for first, second in _neighbours(values):
                close = np.bitwise_count(own[first] ^ own[second]) <= MAX_DISTANCE
                if not close.any():
                    continue
                first, second = first[close], second[close]
                new = ~_met_before(own[first], own[second], band)
                compared += int(new.sum())
                if compared > MAX_COMPARED:
                    return found, False
                pairs = zip(places[first[new]].tolist(), places[second[new]].tolist(), strict=True)
                found += [pair for pair in pairs if _correlation(file, store, *pair) >= MIN_CORRELATION]
    return sorted(found), complete


def _band(hashes: NDArray[np.uint64], band: int) -> NDArray[np.uint16]:
    return (hashes >> np.uint64(BANDS[band])).astype(np.uint16)


def _met_before(left: NDArray[np.uint64], right: NDArray[np.uint64], band: int) -> NDArray[np.bool_]:
    """Which pairs occurred in an earlier band."""
    met = np.zeros(len(left), bool)
    for earlier in range(band):
        met |= _band(left, earlier) == _band(right, earlier)
    return met


def _neighbours(band: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions of all pairs in a sorted array that are equal and at most `MAX_NEIGHBOURS` apart, `BLOCK` at a time.

    Blocks go over the starts and not over the steps, so that no temporary array grows with the store.
    """
    for start in range(0, len(band), BLOCK):
        first = np.arange(start, min(start + BLOCK, len(band)))
        after = np.searchsorted(band, band[first], "right") - first
        for step in range(1, MAX_NEIGHBOURS + 1):
            alike = after > step
            first, after = first[alike], after[alike]
            if not len(first):
                break
            yield first, first + step


def _correlation(file: BinaryIO, store: Store, first: int, second: int) -> float:
    return float(_standard(file, store, first) @ _standard(file, store, second))


def _standard(file: BinaryIO, store: Store, row: int) -> NDArray[Any]:
    """The grey pixels of an image, `(H * W,)`, with mean 0 and length 1."""
    shape = store.images.shape[1:]
    item = int(np.prod(shape))
    file.seek(HEADER_BYTES + row * item)
    grey = _grey(np.frombuffer(file.read(item), np.uint8).reshape(shape)).ravel().astype(np.float32)
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-6)


def _join(pairs: list[tuple[int, int]], exact: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Groups of rows connected by pairs; exact copies of a member belong to its group."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = row = parent[parent[row]]
        return row

    for first, second in pairs:
        parent[root(second)] = root(first)
    for rows in exact:
        if int(rows[0]) in parent:
            for row in rows[1:].tolist():
                parent[row] = root(int(rows[0]))
    groups: dict[int, list[int]] = {}
    for row in sorted(parent):
        groups.setdefault(root(row), []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _group(rows: NDArray[np.int64], label: NDArray[np.int16], split: NDArray[np.int8]) -> Group:
    return Group(
        rows=tuple(rows.tolist()),
        labels=tuple(label[rows].tolist()),
        splits=tuple(SPLITS[code] for code in split[rows].tolist()),
    )
