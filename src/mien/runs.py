"""The run folder: all that a trained network leaves behind, written whole or not at all.

    config.toml          every setting, nothing implicit
    env.json             versions, machine, device, threads, allocator, and how the loop computed
    data.json            corpus, fingerprint, label set, licence, crop, counts
    history.csv          one line an epoch; equal bytes for equal settings, so it holds no times
    checkpoint.safetensors   weights, optimizer and history at a step; removed when the run has ended
    model.safetensors    the weights of the chosen epoch (of the best so far, while it trains)
    logits.npz           ids, labels, logits (and subjects, groups) of valid and test
    peeking.csv          every epoch on the test, only after `--show-peeking`
    record.json          status, stages that are done, chosen epoch, costs, when the test was opened

A run is finished when `record.json` says so: fit, valid and test are done (`mien.stages`). One process at a time works
in the folder: it holds the lock, which the system frees when the process dies, however it dies. `record.json` is only
changed under that lock.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
import tomli_w
from numpy.typing import NDArray

from .arrays import Array, read_npz
from .atomic import new_file, write_json, write_text
from .config import Settings, read_settings
from .crop import CropSpec
from .data.splits import Fold, Part, divide, fold_count
from .data.store import SPLITS, Store
from .errors import DataError, RunBusy, RunError
from .labels import LabelSet
from .locks import NO_LOCKS, hold, is_held_here
from .reading import (
    Count,
    Fingerprint,
    Measure,
    Number,
    Positive,
    Share,
    Text,
    from_json,
    read_bytes,
    read_rows,
    reading,
)
from .temporary import sweep

__all__ = [
    "EPOCHS",
    "GROUP",
    "LOGITS",
    "RESULTS",
    "Costs",
    "DataFacts",
    "Environment",
    "Epoch",
    "Logits",
    "Peek",
    "Record",
    "Run",
    "find_runs",
    "keep_order",
]

Stage = Literal["fit", "valid", "test", "costs"]
RESULTS: tuple[Stage, ...] = ("fit", "valid", "test")
"""The stages of a run that is finished, in their order."""
LOCK = "lock"
EPOCHS = "epochs"
"""Folder of the weights of every epoch, where they are kept."""
ORDER = "order.txt"
"""Beside the run folders: their names in the order of the recipes that planned them, those of the latest first."""
S = TypeVar("S", bound=Settings)
UPDATE_SECONDS = 10.0
"""How long a change of `record.json` waits for another process that works in the folder."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a run was trained on."""

    corpus: Text
    fingerprint: Fingerprint
    labels: tuple[Text, ...]
    licence: str
    crop: CropSpec
    counts: Mapping[str, Count]
    """Samples in train, valid and test."""
    store: str
    """Where the store was, for pictures in the report; not part of the run's identity."""
    folds: int = 0
    """Runs that one replicate has, known when it was planned: 1 for a holdout, every fold of a cross-validation. 0 in
    folders of earlier versions, which did not write it."""

    def __post_init__(self) -> None:
        LabelSet(self.labels)
        if sorted(self.counts) != sorted(SPLITS):
            raise ValueError(f"it counts {', '.join(self.counts)}, expected {', '.join(SPLITS)}")


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of `history.csv`; training figures are running means over the epoch, with augmentation and dropout."""

    epoch: Positive
    lr: Number
    train_loss: Number
    train_accuracy: Share
    valid_loss: Number
    valid_accuracy: Share


@dataclass(frozen=True, kw_only=True)
class Peek:
    """One line of `peeking.csv`: what an epoch would have scored on the test; nan where a score is undefined."""

    epoch: Positive
    accuracy: float
    uar: float
    macro_f1: float


class Environment(TypedDict, total=False):
    """`env.json`: where and how a run was trained. Another version may write more, or less."""

    versions: Mapping[str, Text]
    machine: Mapping[str, Text]
    device: Text
    threads: Count
    allocator: Text
    training: Mapping[str, Text]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a run took; each figure's conditions stand in its line. 0 where it was not measured."""

    parameters: Count = 0
    flops: Count = 0
    """Of one forward pass of one image: two for each multiply-add of convolutions and linear layers."""
    activation_bytes: Count = 0
    """Of one image in one forward pass of training: outputs of all layers."""
    train_seconds: Measure = 0.0
    """Wall time of all training steps, over all processes that worked on the run; validation is left out."""
    images_per_second: Measure = 0.0
    """Training images by that time."""
    train_peak_mb: Measure = 0.0
    """Peak memory of the training process: resident set, or allocated on the GPU (10^6 bytes)."""
    predict_peak_mb: Measure = 0.0
    """The same of a fresh process that predicts at `predict_batch`."""
    predict_images_per_second: Measure = 0.0
    predict_batch: Count = 0


@dataclass(frozen=True, kw_only=True)
class Record:
    """`record.json`: how the run stands."""

    status: Literal["running", "finished", "failed", "crashed", "pruned"] = "running"
    """running (or still to come); finished; failed: its loss is not finite, which the same settings would only repeat;
    crashed: its process was ended, and the same command tries it again; pruned: who watched it stopped it early."""
    reason: str = ""
    """Why it has no result, in a sentence."""
    stages: tuple[Stage, ...] = ()
    """What is done; a finished run has all of `RESULTS`."""
    selected_epoch: Count = 0
    test_opened_at: tuple[Text, ...] = ()
    """Times (UTC, ISO 8601) at which the test part was opened; more than one is worth a question."""
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        if self.status == "finished" and not set(RESULTS) <= set(self.stages):
            raise ValueError(f"it is finished and has done {', '.join(self.stages) or 'nothing'}")


GROUP = "group:"
LOGITS = {
    "ids": Array("i8", "n"),
    "labels": Array("i8", "n"),
    "logits": Array("f4", "n K"),
    "subjects": Array("U", "n"),
    f"{GROUP}*": Array("U", "n"),
}
"""What is kept of each part of the data, by name."""


@dataclass(frozen=True, kw_only=True)
class Logits:
    """What the chosen weights said of one part."""

    ids: NDArray[np.int64]
    """`(n,)` rows of the store."""
    labels: NDArray[np.int64]
    """`(n,)`."""
    logits: NDArray[np.float32]
    """`(n, K)`."""
    subjects: NDArray[np.str_]
    """`(n,)`; empty texts where unknown."""
    groups: Mapping[str, NDArray[np.str_]]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Logits":
        """From arrays under the names of `LOGITS`."""
        groups = {name.removeprefix(GROUP): array for name, array in arrays.items() if name.startswith(GROUP)}
        return cls(groups=groups, **{name: arrays[name] for name in ("ids", "labels", "logits", "subjects")})

    def check(self, classes: int) -> None:
        """Raise `ValueError` for what no network and no store can have said."""
        if (self.ids < 0).any() or len(np.unique(self.ids)) != len(self.ids):
            raise ValueError("ids are not different rows of a store")
        if not ((self.labels >= 0) & (self.labels < classes)).all():
            raise ValueError(f"a label is outside 0..{classes - 1}")
        if not np.isfinite(self.logits).all():
            raise ValueError("a logit is not a finite number")

    @classmethod
    def of(cls, part: Part, logits: NDArray[np.float32]) -> "Logits":
        """Join a part with its logits."""
        return cls(ids=part.rows, labels=part.labels, logits=logits, subjects=part.subjects, groups=part.groups)


class Run:
    """A run folder, opened. Settings and data never change; the rest is read when asked for."""

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
        """The run of these `settings`, resolved, on this data under `folder`: the one that is there, or a new one."""
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
            counts={"train": len(fold.train), "valid": len(fold.valid), "test": len(fold.test)},
            store=store.path.resolve().as_posix(),
            folds=fold_count(store, settings.data),
        )
        if not (path / "data.json").exists():
            return cls(path, settings, facts)
        known = cls.open(path)
        if known.settings != settings:
            raise RunError(f"{path} was made when mien had other defaults. Use another --runs folder.")
        return cls(path, settings, replace(known.data, store=facts.store, folds=facts.folds))

    def make(self) -> None:
        """Write the folder where it is not there yet; where it is, only what has changed: its store may have moved."""
        known = Run.open(self.path).data if (self.path / "data.json").exists() else None
        if known == self.data:
            return
        with self.writing():
            self.path.mkdir(parents=True, exist_ok=True)
            if known is None:
                write_text(
                    self.path / "config.toml", tomli_w.dumps({"kind": self.settings.KIND, **asdict(self.settings)})
                )
            write_json(self.path / "data.json", asdict(self.data))

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder; raises `RunError` where it is none or is damaged."""
        path = Path(path)
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
        """Around all that writes into the folder: a full disk is one sentence, and what was there stays."""
        try:
            yield
        except OSError as error:
            raise self._unwritable(error) from None

    @property
    def record(self) -> Record:
        """How the run stands now."""
        path = self.path / "record.json"
        if not path.exists():
            return Record()
        with reading(path, RunError, "Remove it, and run the same command again."):
            return from_json(read_bytes(path), Record)

    def update(self, **changes: Any) -> Record:
        """Read `record.json`, change some fields and write it, all under the run's lock.

        The process that holds the lock goes on at once; any other waits a while. Raises `RunBusy` where it waited in
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
        """What every epoch would have scored on the test, by column of `peeking.csv`; empty where nobody peeked."""
        path = self.path / "peeking.csv"
        if not path.exists():
            return {}
        with reading(path, RunError, "Remove it; `mien compare --show-peeking` makes it again."):
            rows = read_rows(path, Peek)
        names = [each.name for each in fields(Peek)]
        return {name: np.array([getattr(row, name) for row in rows]) for name in names} if rows else {}

    def logits(self, part: str) -> Logits:
        """The saved logits of `valid` or `test`; raises `RunError` where the run has none yet."""
        path, prefix, classes = self.path / "logits.npz", f"{part}.", len(self.data.labels)
        if not path.exists():
            raise RunError(f"{self.path} has no logits yet. Finish the run first: the command that planned it goes on.")
        with self._retrained(path):
            wanted = {prefix + name: array for name, array in LOGITS.items()}
            found = read_npz(path, wanted, n=self.data.counts[part], K=classes)
            said = Logits.from_arrays({name.removeprefix(prefix): array for name, array in found.items()})
            said.check(classes)
        return said

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
        """The parts of its store; raises `DataError` where the store is not the one that it was planned on."""
        store = Store.open(self.data.store)
        if store.meta.sha256 != self.data.fingerprint:
            raise DataError(f"{store.path} has changed since {self.id} was planned. Plan the comparison again.")
        return divide(store, self.settings.data)

    @property
    def environment(self) -> Environment | None:
        """What `env.json` says of versions, machine and device; None where it was never trained."""
        path = self.path / "env.json"
        if not path.exists():
            return None
        with self._retrained(path):
            return from_json(read_bytes(path), Environment, more=True)

    def check(self) -> None:
        """Read all that a report shows of a finished run; raises `RunError` for the first file that is damaged."""
        for part in ("valid", "test"):
            self.logits(part)
        _ = self.history, self.environment, self.peeking

    def _retrained(self, path: Path) -> AbstractContextManager[None]:
        """Around the reading of a file that only training writes."""
        return reading(path, RunError, f"Remove the folder {self.path} and run the same command again.")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Work in the run: hold it for this process, and clear away what killed ones left half-written.

        Raises `RunBusy` where another process has it, or where this one works in it already.
        """
        if is_held_here(self.path / LOCK):
            raise self._busy()
        with self._held():
            for folder in (self.path, self.path / EPOCHS):
                sweep(folder)
            yield

    @contextmanager
    def _held(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the run's lock, again where this process holds it already."""
        with ExitStack() as held:
            try:
                held.enter_context(hold(self.path / LOCK, wait=wait))
            except TimeoutError:
                raise self._busy() from None
            except OSError as error:
                raise self._unlockable(error) from None
            yield

    def _busy(self) -> RunBusy:
        return RunBusy(f"Another process works in {self.path}. Wait for it or stop it, then run this again.")

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


def find_runs(folder: Path | str, left_out: list[str] | None = None) -> list[Run]:
    """All run folders directly under `folder`, in the order of their recipes (`keep_order`); others by name, last.

    With `left_out`, a folder that is damaged is passed over and its sentence goes there; else it raises `RunError`.
    """
    folder = Path(folder)
    if folder.is_file() and folder.suffix == ".onnx":
        raise RunError(
            f"{folder} is a model file and no folder of runs. Measure it with: mien evaluate {folder} --data STORE, "
            "with --examine for damage; on another corpus by its store."
        )
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder of runs. Give the folder that `mien compare --runs` wrote.")
    found = []
    place = {name: number for number, name in enumerate(_kept_order(folder))}
    paths = {inner.parent for name in ("config.toml", "data.json") for inner in folder.glob(f"*/{name}")}
    for path in sorted(paths, key=lambda path: (place.get(path.name, len(place)), path)):
        try:
            found.append(Run.open(path))
        except RunError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    return found


def keep_order(folder: Path, runs: Sequence[Run]) -> None:
    """Remember in `folder` the order in which a command planned its `runs`; those of earlier commands come after."""
    before, planned = _kept_order(folder), [run.id for run in runs]
    order = list(dict.fromkeys([*planned, *before]))
    if order == before:
        return
    try:
        write_text(folder / ORDER, "\n".join(order) + "\n")
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}). Pass another --runs.") from None


def _kept_order(folder: Path) -> list[str]:
    path = folder / ORDER
    return path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else []
