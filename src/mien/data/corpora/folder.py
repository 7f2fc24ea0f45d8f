"""Any corpus as folders: `root/class/*`, or `root/train|valid|test/class/*`.

In: a folder of class folders with pictures in them, with or without a level of splits above (training, val,
validation, dev and testing are understood). Out: a `Corpus` whose classes are the folder names, sorted.
Without splits every picture is train; `mien` carves folds from it. Files that are no pictures are passed over.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import BadSample, DataError
from .pictures import SUFFIXES, inside, load_picture, require_folder
from .protocol import Corpus, Entry, ReadOptions

__all__ = ["SPLIT_NAMES", "Part", "Tree", "corpus", "files", "read", "scan"]

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """The folder of one class in one split."""

    split: str
    name: str
    folder: Path
    count: int


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The class folders of a corpus, counted."""

    root: Path
    parts: tuple[Part, ...]
    has_splits: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted."""
        return tuple(sorted({part.name for part in self.parts}))


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read `root/[train|valid|test]/class/*`."""
    return corpus(scan(root), name="folder", licence="The licence of this folder of pictures was not stated.")


def scan(root: Path) -> Tree:
    """List and count the class folders; raises `DataError` where there are none or levels are mixed."""
    require_folder(root, "folder")
    top = _folders(root)
    splits = [path for path in top if path.name.lower() in SPLIT_NAMES]
    if splits and len(splits) != len(top):
        others = sorted({path.name for path in top} - {path.name for path in splits})
        raise DataError(f"{root} mixes splits {[p.name for p in splits]} with other folders {others}.")
    parts = [
        Part(split=SPLIT_NAMES[split.name.lower()], name=path.name, folder=path, count=_count(path))
        for split in splits
        for path in _folders(split)
    ] or [Part(split="train", name=path.name, folder=path, count=_count(path)) for path in top]
    if not any(part.count for part in parts):
        raise DataError(f"{root} holds no pictures in class folders; expected {root.name}/[train|valid|test]/CLASS/*.")
    return Tree(root=root, parts=tuple(parts), has_splits=bool(splits))


def files(tree: Tree) -> Iterator[tuple[Part, str, str]]:
    """Stream (part, path inside the root, file name) of every picture, each folder sorted by name."""
    for part in tree.parts:
        folder = part.folder.relative_to(tree.root).as_posix()
        for name in _pictures(part.folder):
            yield part, f"{folder}/{name}", name


def corpus(
    tree: Tree,
    *,
    name: str,
    licence: str,
    notes: tuple[str, ...] = (),
    split_of: Callable[[str, str], str] = lambda split, _: split,
    class_of: Callable[[str], str] = str,
) -> Corpus:
    """A tree of class folders as a `Corpus`.

    Args:
        tree: from `scan`.
        name: the corpus's name.
        licence: one sentence.
        notes: sentences for `meta.json`.
        split_of: (split of the folder, file name) -> split of the picture.
        class_of: folder name -> class name.
    """
    classes = tuple(dict.fromkeys(class_of(folder) for folder in tree.classes))
    codes = {folder: classes.index(class_of(folder)) for folder in tree.classes}
    flat = () if tree.has_splits else ("The folder has no splits: every picture is train.",)
    empty = [part for part in tree.parts if part.count == 0]
    return Corpus(
        name=name,
        classes=classes,
        licence=licence,
        count=len(empty) + sum(part.count for part in tree.parts),
        entries=_entries(tree, codes, split_of),
        notes=(*notes, *flat),
    )


def _entries(tree: Tree, codes: dict[str, int], split_of: Callable[[str, str], str]) -> Iterator[Entry | BadSample]:
    for part in tree.parts:
        if part.count == 0:
            where = part.folder.relative_to(tree.root).as_posix()
            yield BadSample(where, "an empty class: the folder holds no picture")
    for part, source, name in files(tree):
        try:
            path = inside(tree.root, source, source) if _is_linked(part.folder, name) else tree.root / source
        except BadSample as bad:
            yield bad
            continue
        yield Entry(
            label=codes[part.name],
            split=split_of(part.split, name),
            source=source,
            load=partial(load_picture, path, source),
        )


def _is_linked(folder: Path, name: str) -> bool:
    """Only links need the slow look at where they lead."""
    return folder.is_symlink() or folder.parent.is_symlink() or (folder / name).is_symlink()


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _count(folder: Path) -> int:
    return len(_pictures(folder))


def _pictures(folder: Path) -> list[str]:
    """Names only: a list of `Path` for 100,000 pictures would take 30 MB."""
    with os.scandir(folder) as found:
        return sorted(
            entry.name
            for entry in found
            if os.path.splitext(entry.name)[1].lower() in SUFFIXES and not entry.name.startswith(".")
        )
