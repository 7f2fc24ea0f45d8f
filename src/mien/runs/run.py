"""One run folder: creates, opens, locks, reads and writes it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tomli_w
from numpy.typing import NDArray

from ..arrays import read_npz
from ..atomic import new_file, write_json, write_text
from ..config import Settings, read_settings
from ..data.splits import Fold, divide, fold_count
from ..data.store import Store, find_store, is_mounted
from ..errors import RunBusy, RunError
from ..locks import NO_LOCKS, hold, is_held_here
from ..reading import GivenPath, from_json, given_path, read_bytes, read_rows, reading
from ..temporary import sweep
from .files import GROUP, LOGITS, PEEKED, RESULTS, DataFacts, Environment, Epoch, Logits, Peek, Record, Stage

__all__ = ["EPOCHS", "LOCK", "Run", "busy"]

LOCK = "lock"
EPOCHS = "epochs"
"""Folder of the weights of every epoch, if they are kept."""
S = TypeVar("S", bound=Settings)
UPDATE_SECONDS = 10.0
"""Longest wait of a change of `record.json` for another process that works in the folder."""


class Run:
    """A run folder, opened. Settings and data never change; the rest is read on request."""

    def __init__(self, path: Path, settings: Settings, data: DataFacts) -> None:
        self.path = path
        self.settings = settings
        self.data = data

    @property
    def id(self) -> str:
        """The folder's name: network and hash."""
        return self.path.name

    @classmethod
    def create(cls, folder: Path, settings: Settings, store: Store, fold: Fold) -> "Run":
        """The run of these `settings`, resolved, on this data under `folder`: the existing one, or a new one."""
        run = cls.outline(folder, settings, store, fold)
        run.make()
        return run

    @classmethod
    def outline(cls, folder: Path, settings: Settings, store: Store, fold: Fold) -> "Run":
        """As `create`, but nothing is written before `make`: so that a command can check all of its runs first."""
        path = folder / settings.run_id(store.meta.sha256)
        facts = DataFacts(
            corpus=store.meta.corpus,
            fingerprint=store.meta.sha256,
            labels=store.meta.labels,
            licence=store.meta.licence,
            crop=store.meta.crop,
            planes=store.others,
            movement=store.meta.movement,
            counts={"train": len(fold.train), "valid": len(fold.valid), "test": len(fold.test)},
            train_labels=tuple(np.bincount(fold.train.labels, minlength=len(store.meta.labels)).tolist()),
            store=store.path.resolve().as_posix(),
            folds=fold_count(store, settings.data),
        )
        if not (path / "data.json").exists():
            return cls(path, settings, facts)
        known = cls.open(path)
        if known.settings.identity() != settings.identity():
            raise RunError(f"{path} was made when mien had other defaults. Use another --runs folder.")
        place = known.data.store if is_mounted(store) else facts.store  # two mounts would rewrite it alternately
        later = {name: getattr(facts, name) for name in ("folds", "train_labels", "planes", "movement")}
        return cls(path, settings, replace(known.data, store=place, **later))

    def make(self) -> None:
        """Write the folder if it does not exist; otherwise only write changes.

        Its store may have moved, and so may the weights that it starts from.
        """
        known = Run.open(self.path) if (self.path / "data.json").exists() else None
        if known is not None and (known.data, known.settings) == (self.data, self.settings):
            return
        with self.writing():
            self.path.mkdir(parents=True, exist_ok=True)
            if known is None or known.settings != self.settings:
                write_text(
                    self.path / "config.toml", tomli_w.dumps({"kind": self.settings.KIND, **asdict(self.settings)})
                )
            write_json(self.path / "data.json", asdict(self.data))

    @classmethod
    def open(cls, path: GivenPath) -> "Run":
        """Open a run folder; raises `RunError` if it is not one or is damaged."""
        path = given_path(path, "A run folder", RunError)
        for name in ("config.toml", "data.json"):
            if not (path / name).is_file():
                raise RunError(f"{path} is not a run folder: it has no {name}.")
        remedy = f"Remove the folder {path} and run the same command again."
        with reading(path / "config.toml", RunError, remedy):
            settings = read_settings(path / "config.toml")
        with reading(path / "data.json", RunError, remedy):
            return cls(path, settings, from_json(read_bytes(path / "data.json"), DataFacts))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Surrounds all writing into the folder: a full disk becomes one sentence, and existing files stay."""
        try:
            yield
        except OSError as error:
            raise self._unwritable(error) from None

    @property
    def record(self) -> Record:
        """The present status of the run."""
        path = self.path / "record.json"
        if not path.exists():
            return Record()
        with reading(path, RunError, "Remove it, and run the same command again."):
            return from_json(read_bytes(path), Record)

    def update(self, **changes: Any) -> Record:
        """Read `record.json`, change some fields and write it, all under the run's lock.

        The process that holds the lock continues at once; any other waits a while. Raises `RunBusy` if it waited in
        vain.
        """
        with self._held(wait=UPDATE_SECONDS):
            record = replace(self.record, **changes)
            with self.writing():
                write_json(self.path / "record.json", asdict(record))
        return record

    @property
    def finished(self) -> bool:
        """Whether the run is fitted and evaluated."""
        return self.record.status == "finished"

    def has(self, stage: Stage) -> bool:
        """Whether a stage is done."""
        return stage in self.record.stages

    def did(self, stage: Stage) -> None:
        """Write down that a stage is done; with the last of `RESULTS` the run is finished."""
        stages = tuple(dict.fromkeys([*self.record.stages, stage]))
        done = {"status": "finished", "reason": ""} if set(RESULTS) <= set(stages) else {}
        self.update(stages=stages, **done)

    def of(self, kind: type[S]) -> S:
        """The settings of a run of this kind; raises `RunError` for a run of another."""
        if not isinstance(self.settings, kind):
            raise RunError(f"{self.path} is a run of kind {self.settings.KIND}; this takes one of kind {kind.KIND}.")
        return self.settings

    @cached_property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs so far; empty before the first."""
        path = self.path / "history.csv"
        if not path.exists():
            return ()
        with self._retrained(path):
            epochs = read_rows(path, Epoch)
            if [line.epoch for line in epochs] != list(range(1, len(epochs) + 1)):
                raise ValueError("its epochs do not count up from 1")
        return tuple(epochs)

    def write_environment(self, facts: Mapping[str, Any]) -> None:
        """Write `env.json`: versions, machine and how the run is computed."""
        with self.writing():
            write_json(self.path / "env.json", facts)

    def write_history(self, epochs: Sequence[Epoch]) -> None:
        """Write `history.csv`; floats keep every digit."""
        text = io.StringIO()
        rows = csv.DictWriter(text, list(Epoch.__dataclass_fields__), lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(epoch) for epoch in epochs)
        with self.writing():
            write_text(self.path / "history.csv", text.getvalue())

    @property
    def peeking(self) -> dict[str, NDArray[np.float64]]:
        """The scores of every epoch on the test, by column of `peeking.csv`; empty without `--show-peeking`."""
        path = self.path / "peeking.csv"
        if not path.exists():
            return {}
        with reading(path, RunError, "Remove it; `mien compare --show-peeking` makes it again."):
            rows = read_rows(path, Peek)
        names = [each.name for each in fields(Peek)]
        return {name: np.array([getattr(row, name) for row in rows]) for name in names} if rows else {}

    @property
    def peeked_confusions(self) -> NDArray[np.int64] | None:
        """Counts `(E, K, K)` on the test of each epoch of `peeking`, rows are labels; None if they were not kept."""
        path = self.path / "peeking.npz"
        if not path.exists():
            return None
        with reading(path, RunError, "Remove it and peeking.csv; `mien compare --show-peeking` makes them again."):
            found = read_npz(path, PEEKED, E=len(self.peeking.get("epoch", ())), K=len(self.data.labels))
            counts: NDArray[np.int64] = found["confusions"]
            if (counts < 0).any() or (counts.sum(axis=(1, 2)) != self.data.counts["test"]).any():
                raise ValueError(f"its counts of an epoch are not those of {self.data.counts['test']:,} test samples")
        return counts

    def write_peeking(self, lines: Sequence[Peek], confusions: NDArray[np.int64]) -> None:
        """Write `peeking.csv` and `peeking.npz`, an epoch each: its scores on the test, and its counts `(E, K, K)`."""
        names = [each.name for each in fields(Peek)]
        text = [",".join(names), *(",".join(repr(getattr(line, name)) for name in names) for line in lines)]
        with self.writing():
            with new_file(self.path / "peeking.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, confusions=confusions.astype(np.int64))
            write_text(self.path / "peeking.csv", "\n".join(text) + "\n")

    def logits(self, part: str) -> Logits:
        """The saved logits of `valid` or `test`; raises `RunError` if the run has none yet."""
        path, prefix, classes = self.path / "logits.npz", f"{part}.", len(self.data.labels)
        if not path.exists():
            raise RunError(f"{self.path} has no logits yet. Finish the run first: the command that planned it goes on.")
        with self._retrained(path):
            wanted = {prefix + name: array for name, array in LOGITS.items()}
            found = read_npz(path, wanted, n=self.data.counts[part], K=classes)
            saved = Logits.from_arrays({name.removeprefix(prefix): array for name, array in found.items()})
            saved.check(classes)
        return saved

    def write_logits(self, parts: Mapping[str, Logits]) -> None:
        """Write `logits.npz`; the same content gives the same bytes."""
        arrays = {}
        for name, part in parts.items():
            for key in ("ids", "labels", "logits", "subjects"):
                arrays[f"{name}.{key}"] = getattr(part, key)
            arrays |= {f"{name}.{GROUP}{key}": column for key, column in part.groups.items()}
        with self.writing(), new_file(self.path / "logits.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def fold(self) -> Fold:
        """The parts of its store; raises `DataError` as `store` does."""
        return divide(self.store(), self.settings.data)

    def store(self) -> Store:
        """The store that it was planned on, wherever this machine has it (`mien.data.store.find_store`).

        Raises `DataError` if it is missing, damaged, or no longer the same.
        """
        return find_store(self.data.fingerprint, self.data.store)

    @property
    def environment(self) -> Environment | None:
        """Versions, machine and device from `env.json`; None if it was never trained."""
        path = self.path / "env.json"
        if not path.exists():
            return None
        with self._retrained(path):
            return from_json(read_bytes(path), Environment, more=True)

    def check(self) -> None:
        """Read all that a report shows of a finished run; raises `RunError` for the first file that is damaged."""
        for part in ("valid", "test"):
            self.logits(part)
        _ = self.history, self.environment, self.peeking, self.peeked_confusions

    def _retrained(self, path: Path) -> AbstractContextManager[None]:
        """Surrounds the reading of a file that only training writes."""
        return reading(path, RunError, f"Remove the folder {self.path} and run the same command again.")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Work in the run: lock it for this process, and remove the half-written files of killed ones.

        Raises `RunBusy` if another process has it, or if this one works in it already.
        """
        if is_held_here(self.path / LOCK):
            raise busy(self.path)
        with self._held():
            for folder in (self.path, self.path / EPOCHS):
                sweep(folder)
            yield

    @contextmanager
    def _held(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the run's lock, again if this process holds it already."""
        with ExitStack() as held:
            try:
                held.enter_context(hold(self.path / LOCK, wait=wait))
            except TimeoutError:
                raise busy(self.path) from None
            except OSError as error:
                raise self._unlockable(error) from None
            yield

    def _unlockable(self, error: OSError) -> RunError:
        if error.errno in NO_LOCKS:
            return RunError(
                f"{self.path} cannot be locked ({error.strerror}). Put the runs on a disk that has file locks, such as "
                "a local one."
            )
        return self._unwritable(error)

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(
            f"Cannot write into {self.path} ({error.strerror or error}). What was there is intact: "
            "make room or allow it, then run the same command again."
        )


def busy(path: Path) -> RunBusy:
    """The error for a run folder `path` in which another process works."""
    return RunBusy(f"Another process works in {path}. Wait for it or stop it, then run this again.")
