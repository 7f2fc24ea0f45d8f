"""A mirror of run folders in an object store: checkpoints while they train, whole folders when they have ended.

In: a run folder and a URL of fsspec's, such as `s3://bucket/runs`. Out: `URL/blobs/<sha256>`, the content of files,
and `URL/runs/<id>.json`, which names the files of a run by their sha256 and is written last. So a reader sees a whole
run or an older one, and equal files are kept once. Checkpoints that the new list no longer names are then deleted. The
run folder on a disk with locks stays the place to work in; the mirror is read where a run is planned on a machine that
has done nothing of it.

Folders in a run folder, such as those of the members of a boosted run, are copied too; their files have names with "/".

Files from the mirror are not trusted: names are plain and stay in the run folder, sizes are bounded, and the sha256 of
every file is checked on its way into a local cache (a temporary file, verified, then renamed), which many processes may
use at once.
"""

import hashlib
import re
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from .atomic import json_text, new_file
from .checkpoint import CHECKPOINT
from .config import read_settings
from .errors import RunError
from .reading import Count, Fingerprint, from_json
from .runs import LOCK, Run
from .shown import brief, first_line

__all__ = ["Cache", "Mirror"]

PLANNED = ("config.toml", "data.json")
"""Files that a planned run already has; those of the mirror must only belong to the same run."""
MENTIONING = (CHECKPOINT, "record.json")
"""They say what the other files of their folder hold, so they are written after those, in this order."""
WORD = "[A-Za-z0-9][A-Za-z0-9._-]{0,100}"
PLAIN = re.compile(f"{WORD}(/{WORD}){{0,3}}")
"""The name of a file in a run folder: it leads nowhere else."""
LARGEST_LIST = 1 << 20
"""Most bytes of the list of a run's files."""
CHUNK = 1 << 20
ATTEMPTS = 20


@dataclass(frozen=True, kw_only=True)
class _File:
    sha256: Fingerprint
    size: Count


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """`runs/<id>.json`."""

    files: Mapping[str, _File]

    def __post_init__(self) -> None:
        for name in self.files:
            if not _is_mirrored(name):
                raise ValueError(f"its list names {brief(name)}, which is no file of a run folder")
            if any(str(folder) in self.files for folder in PurePosixPath(name).parents):
                raise ValueError(f"its list names {brief(name)}, and its folder as a file")


class Cache:
    """A folder of files named by their sha256, so that a name determines the content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, sha256: str, size: int, source: BinaryIO) -> Path:
        """The file with this content, from `source` unless it is there; raises `ValueError` for another content."""
        path = self._folder / sha256
        if path.is_file() and _sha256(path) == sha256:
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        with new_file(path) as temporary:
            digest, left = hashlib.sha256(), size
            with temporary.open("wb") as file:
                while left >= 0 and (chunk := source.read(CHUNK)):
                    digest.update(chunk)
                    file.write(chunk)
                    left -= len(chunk)
            if digest.hexdigest() != sha256:
                raise ValueError("its content is not that of its name")
        return path


class Mirror:
    """Run folders at a URL. `http://` and `https://` are read alone; every other scheme is fsspec's."""

    def __init__(self, url: str, cache: Path) -> None:
        """Raises `RunError` for a URL of an unknown scheme."""
        self._url, self._cache = url.rstrip("/"), Cache(cache)
        self._disk: Any = None
        if not self._url.startswith(("http://", "https://")):
            import fsspec  # comes with torch; nothing else needs it

            with self._in_sentences("Check the URL, and install what its scheme needs."):
                self._disk, self._place = fsspec.core.url_to_fs(self._url)

    def push(self, run: Run) -> None:
        """Copy the present files of the run folder; files that the mirror has are not sent again.

        Raises `RunError` where the mirror cannot be written.
        """
        if self._disk is None:
            raise RunError(f"{self._url} can only be read. Give a URL that can be written, such as s3://BUCKET/runs.")
        with (
            self._in_sentences("The run itself is whole; the same command copies it again."),
            _open_at_once(run.path) as opened,
        ):
            files: dict[str, dict[str, object]] = {}
            for name, source in opened.items():
                content = source.read()
                sha256 = hashlib.sha256(content).hexdigest()
                blob = f"{self._place}/blobs/{sha256}"
                if not self._disk.exists(blob) or self._disk.size(blob) != len(content):
                    self._write(blob, content)
                files[name] = {"sha256": sha256, "size": len(content)}
            before = self._checkpoints(run.id)
            self._write(f"{self._place}/runs/{run.id}.json", json_text({"files": files}, indent=2).encode())
            for sha256 in before - {file["sha256"] for file in files.values()}:
                with suppress(Exception):  # one that stays only takes room
                    self._disk.rm_file(f"{self._place}/blobs/{sha256}")

    def pull(self, run: Run) -> bool:
        """Restore a run that was planned but never begun from the mirror; returns whether the mirror had it.

        Raises `RunError` where the mirror cannot be read, or holds something else under the run's name.
        """
        if any(name not in PLANNED for name in _files(run.path)):
            return False
        remedy = f"Remove {self._url}/runs/{run.id}.json, or leave out --mirror."
        with self._in_sentences(remedy):
            files = self._all_fetched(run.id)
            if files is None:
                return False
            _check(run, files)
        with run.lock(), run.writing():
            for name in sorted(files, key=_turn):
                if name not in PLANNED:
                    (run.path / name).parent.mkdir(parents=True, exist_ok=True)
                    with new_file(run.path / name) as temporary:
                        temporary.write_bytes(files[name].read_bytes())
        return True

    def _list(self, name: str) -> _Listed | None:
        try:
            with self._open(f"runs/{name}.json") as source:
                content = source.read(LARGEST_LIST + 1)
        except FileNotFoundError:
            return None
        if len(content) > LARGEST_LIST:
            raise ValueError(f"its list of files has more than {LARGEST_LIST:,} bytes")
        return from_json(content, _Listed)

    def _checkpoints(self, name: str) -> set[str]:
        """The checkpoints of a run's present list; none of a list that is damaged. No other run has equal ones: they
        hold the seconds of their training.
        """
        with suppress(Exception):
            found = self._list(name)
            files = found.files.items() if found else ()
            return {file.sha256 for path, file in files if PurePosixPath(path).name == CHECKPOINT}
        return set()

    def _all_fetched(self, name: str) -> dict[str, Path] | None:
        """The files of a run; None if the mirror has none. If its list is replaced meanwhile, those of the new one."""
        found = self._list(name)
        while found is not None:
            try:
                return {path: self._fetched(file) for path, file in found.files.items()}
            except FileNotFoundError:
                before, found = found, self._list(name)
                if found == before:
                    raise
        return None

    def _fetched(self, file: _File) -> Path:
        with self._open(f"blobs/{file.sha256}") as source:
            return self._cache.fetch(file.sha256, file.size, source)

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file of the mirror; raises `FileNotFoundError` where it has none of this name."""
        if self._disk is not None:
            with self._disk.open(f"{self._place}/{name}", mode="rb") as file:
                yield cast(BinaryIO, file)
            return
        try:
            with urllib.request.urlopen(f"{self._url}/{name}", timeout=60) as answer:
                yield cast(BinaryIO, answer)
        except urllib.request.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(name) from None
            raise

    def _write(self, path: str, content: bytes) -> None:
        self._disk.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._disk.pipe_file(path, content)

    @contextmanager
    def _in_sentences(self, remedy: str) -> Iterator[None]:
        """Surrounds all access to the mirror: any error of its libraries becomes one sentence."""
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            reason = first_line(error).rstrip(".") or type(error).__name__
            raise RunError(f"The mirror {self._url} cannot be used ({reason}). {remedy}") from None


@contextmanager
def _open_at_once(folder: Path) -> Iterator[dict[str, BinaryIO]]:
    """The files of a run folder as they were at one moment, opened.

    They are replaced and never changed, so what is open stays as it was while the run trains on.
    """
    for _ in range(ATTEMPTS):
        with ExitStack() as held:
            try:
                before = _states(folder)
                opened: dict[str, BinaryIO] = {
                    name: held.enter_context((folder / name).open("rb")) for name in _files(folder)
                }
                after = _states(folder)
            except FileNotFoundError:
                continue
            if after == before:
                yield opened
                return
    raise OSError("its files change all the time")


def _states(folder: Path) -> list[tuple[str, int, int]]:
    found = [(name, (folder / name).stat()) for name in _files(folder)]
    return [(name, state.st_ino, state.st_mtime_ns) for name, state in found]


def _files(folder: Path, within: str = "") -> Iterator[str]:
    """The names of what is mirrored of a run folder: all files, but for locks and what is half written."""
    for path in sorted(folder.iterdir()):
        name = within + path.name
        if not _is_mirrored(name):
            continue
        if path.is_file():
            yield name
        elif path.is_dir() and not path.is_symlink():
            yield from _files(path, f"{name}/")


def _is_mirrored(name: str) -> bool:
    return PLAIN.fullmatch(name) is not None and PurePosixPath(name).name != LOCK


def _turn(name: str) -> tuple[int, int]:
    """When a file is written: folders before what is beside them, so that no progress is told of what is not there."""
    last = PurePosixPath(name).name
    return -name.count("/"), 1 + MENTIONING.index(last) if last in MENTIONING else 0


def _check(run: Run, files: Mapping[str, Path]) -> None:
    """Raise `ValueError` if these are not the files of this run."""
    if "config.toml" not in files or read_settings(files["config.toml"]).run_id(run.data.fingerprint) != run.id:
        raise ValueError(f"it holds another run under the name {run.id}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
