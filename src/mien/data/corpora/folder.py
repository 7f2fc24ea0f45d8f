"""Pictures in class folders: `root/class/*`, or `root/train|valid|test/class/*`.

The names of the folders are the classes, sorted. The folders of splits may also be called training, val, validation,
dev or testing. Without them every picture is train, and a run carves its other parts from it.

A file is a picture if its suffix or its first bytes say so. Other files, and pictures outside the class folders, are
skipped. The notes of the store count them and name the first.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import BadSample, DataError
from ...media import PICTURE_SUFFIXES, VIDEO, PassedOver, file_kind, is_picture, kind_by_content
from .pictures import inside, load_picture, require_folder
from .protocol import Corpus, Entry, ReadOptions

__all__ = ["SPLIT_NAMES", "Part", "Tree", "corpus", "files", "passed_over", "picture_names", "read", "scan"]

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
OTHER = "other files"


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
    passed_over: str = ""
    """What else is in the tree, a sentence."""

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
    note = passed_over(root, [part.folder for part in parts])
    return Tree(root=root, parts=tuple(parts), has_splits=bool(splits), passed_over=note)


def files(tree: Tree) -> Iterator[tuple[Part, str, str]]:
    """Stream (part, path inside the root, file name) of every picture, each folder sorted by name."""
    for part in tree.parts:
        folder = part.folder.relative_to(tree.root).as_posix()
        for name in picture_names(part.folder):
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
        notes=(*notes, *flat, *([tree.passed_over] if tree.passed_over else [])),
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
    """Whether a link is involved, whose target must be checked. The check is slow."""
    return folder.is_symlink() or folder.parent.is_symlink() or (folder / name).is_symlink()


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not _is_left_alone(p.name))


def _is_left_alone(folder: str) -> bool:
    """Whether a folder of this name belongs to a system or a program, such as `.git`."""
    return folder.startswith((".", "__"))


def _count(folder: Path) -> int:
    return len(picture_names(folder))


def picture_names(folder: Path) -> list[str]:
    """The names of the pictures of a folder, sorted. (A list of 100,000 `Path` objects would take 30 MB.)"""
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found if _is_taken(folder, entry.name))


def _is_taken(folder: Path | str, name: str) -> bool:
    """Whether a file counts as a picture. Its first bytes are read only if its suffix does not decide."""
    if name.startswith("."):
        return False
    if os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES:
        return True
    return is_picture(kind_by_content(os.path.join(folder, name)))


def passed_over(root: Path, taken: Iterable[Path]) -> str:
    """A sentence about the files below `root` that were skipped, or "" if there are none.

    Pictures directly in one of the folders `taken` were read; everything else was skipped. Hidden files are counted
    only if they are pictures. Files that are neither pictures nor videos are counted only below the top folder.
    """
    left, classes = PassedOver(), {str(folder) for folder in taken}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_left_alone(name))
        for name in sorted(names):
            if folder in classes and _is_taken(folder, name):
                continue
            kind = _kind_left(folder, name)
            if kind != OTHER or not (name.startswith(".") or folder == str(root)):
                left.add(kind, os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/"))
    return left.sentence()


def _kind_left(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    if name.startswith("."):
        return "hidden pictures" if is_picture(kind_by_content(path)) else OTHER
    kind = file_kind(path)
    if is_picture(kind):
        return "pictures outside the class folders"
    return "videos" if kind == VIDEO else OTHER
