"""The run folder: all that a trained network leaves behind, written whole or not at all.

    config.toml          every setting, nothing implicit
    env.json             versions, machine, device, threads, allocator, and how the loop computed
    data.json            corpus, fingerprint, label set, licence, crop, counts
    history.csv          one line an epoch; equal bytes for equal settings, so it holds no times
    checkpoint.safetensors   weights, optimizer and history at a step; removed when the run has ended
    model.safetensors    the weights of the chosen epoch (of the best so far, while it trains)
    logits.npz           ids, labels, logits (and subjects, groups) of valid and test
    peeking.csv          every epoch on the test, only after `--teach peeking`
    record.json          status, chosen epoch, costs, when the test was opened; written last

A run is finished when `record.json` says so. One process at a time works in the folder: it holds the lock, which the
system frees when the process dies, however it dies. `record.json` is only changed under that lock.
"""

import csv
import io
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from .atomic import new_file, write_json, write_text
from .config import Settings, settings_from
from .crop import CropSpec
from .data.splits import Fold, Part, divide
from .data.store import Store
from .errors import BROKEN_ARCHIVE, DataError, MienError, RunBusy, RunError
from .locks import NO_LOCKS, hold, is_held_here
from .temporary import sweep

__all__ = ["EPOCHS", "Costs", "DataFacts", "Epoch", "Logits", "Record", "Run", "find_runs", "resolve"]

LOCK = "lock"
EPOCHS = "epochs"
"""Folder of the weights of every epoch, where they are kept."""
UPDATE_SECONDS = 10.0
"""How long a change of `record.json` waits for another process that works in the folder."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a run was trained on."""

    corpus: str
    fingerprint: str
    labels: tuple[str, ...]
    licence: str
    crop: CropSpec
    counts: Mapping[str, int]
    """Samples in train, valid and test."""
    store: str
    """Where the store was, for pictures in the report; not part of the run's identity."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of `history.csv`; training figures are running means over the epoch, with augmentation and dropout."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a run took; each figure's conditions stand in its line. 0 where it was not measured."""

    parameters: int = 0
    flops: int = 0
    """Of one forward pass of one image: two for each multiply-add of convolutions and linear layers."""
    activation_bytes: int = 0
    """Of one image in one forward pass of training: outputs of all layers."""
    train_seconds: float = 0.0
    """Wall time of all training steps, over all processes that worked on the run; validation is left out."""
    images_per_second: float = 0.0
    """Training images by that time."""
    train_peak_mb: float = 0.0
    """Peak memory of the training process: resident set, or allocated on the GPU (10^6 bytes)."""
    predict_peak_mb: float = 0.0
    """The same of a fresh process that predicts at `predict_batch`."""
    predict_images_per_second: float = 0.0
    predict_batch: int = 0


@dataclass(frozen=True, kw_only=True)
class Record:
    """`record.json`: how the run stands."""

    status: str = "running"
    """running (or still to come); finished; failed: its loss is not finite, which the same settings would only repeat;
    crashed: its process was ended, and the same command tries it again."""
    reason: str = ""
    """Why it failed or crashed, in a sentence."""
    selected_epoch: int = 0
    test_opened_at: tuple[str, ...] = ()
    """Times (UTC, ISO 8601) at which the test part was opened; more than one is worth a question."""
    costs: Costs = field(default_factory=Costs)


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
        path = folder / settings.run_id(store.meta.sha256)
        if (path / "data.json").exists():
            return cls.open(path)._found(settings, store)
        facts = DataFacts(
            corpus=store.meta.corpus,
            fingerprint=store.meta.sha256,
            labels=store.meta.labels,
            licence=store.meta.licence,
            crop=store.meta.crop,
            counts={"train": len(fold.train), "valid": len(fold.valid), "test": len(fold.test)},
            store=str(store.path.resolve()),
        )
        run = cls(path, settings, facts)
        with run.writing():
            path.mkdir(parents=True, exist_ok=True)
            write_text(path / "config.toml", tomli_w.dumps(asdict(settings)))
            write_json(path / "data.json", asdict(facts))
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Open a run folder; raises `RunError` where it is none or is damaged."""
        path = Path(path)
        try:
            settings = settings_from(tomllib.loads((path / "config.toml").read_text(encoding="utf-8")))
            facts = json.loads((path / "data.json").read_text(encoding="utf-8"))
            facts |= {"crop": CropSpec(**facts["crop"]), "labels": tuple(facts["labels"])}
            return cls(path, settings, DataFacts(**facts))
        except FileNotFoundError:
            raise RunError(f"{path} is not a run folder: it has no config.toml and data.json.") from None
        except (ValueError, KeyError, TypeError, OSError, MienError) as error:
            raise RunError(f"The run {path} is damaged ({error}). Remove it and run the same command again.") from None

    def _found(self, settings: Settings, store: Store) -> "Run":
        """This run, if its settings are still the same; its store may have moved."""
        if self.settings != settings:
            raise RunError(f"{self.path} was made when mien had other defaults. Use another --runs folder.")
        if self.data.store == str(store.path.resolve()):
            return self
        facts = replace(self.data, store=str(store.path.resolve()))
        with self.writing():
            write_json(self.path / "data.json", asdict(facts))
        return Run(self.path, self.settings, facts)

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
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields |= {"costs": Costs(**fields["costs"]), "test_opened_at": tuple(fields["test_opened_at"])}
            return Record(**fields)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise RunError(f"{path} is damaged ({error}). Remove it, and run the same command again.") from None

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
        """Whether the run is trained and evaluated."""
        return self.record.status == "finished"

    @cached_property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs so far; empty before the first."""
        path = self.path / "history.csv"
        if not path.exists():
            return ()
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(
                Epoch(epoch=int(row.pop("epoch")), **{key: float(value) for key, value in row.items()})
                for row in csv.DictReader(file)
            )

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
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}

    def logits(self, part: str) -> Logits:
        """The saved logits of `valid` or `test`; raises `RunError` where the run has none yet."""
        try:
            with (self.path / "logits.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                content = {key.removeprefix(f"{part}."): file[key] for key in file if key.startswith(f"{part}.")}
            groups = {key.removeprefix("group:"): content.pop(key) for key in list(content) if key.startswith("group:")}
            return Logits(groups=groups, **content)
        except (*BROKEN_ARCHIVE, TypeError) as error:
            raise RunError(f"{self.path} has no readable logits ({error}). Finish the run first.") from None

    def write_logits(self, parts: Mapping[str, Logits]) -> None:
        """Write `logits.npz`; the same content gives the same bytes."""
        arrays = {}
        for name, part in parts.items():
            for key in ("ids", "labels", "logits", "subjects"):
                arrays[f"{name}.{key}"] = getattr(part, key)
            arrays |= {f"{name}.group:{key}": column for key, column in part.groups.items()}
        with self.writing(), new_file(self.path / "logits.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def fold(self) -> Fold:
        """The parts of its store; raises `DataError` where the store is not the one that it was planned on."""
        store = Store.open(self.data.store)
        if store.meta.sha256 != self.data.fingerprint:
            raise DataError(f"{store.path} has changed since {self.id} was planned. Plan the comparison again.")
        return divide(store, self.settings.data)

    @property
    def environment(self) -> dict[str, Any] | None:
        """What `env.json` says of versions, machine and device; None where it was never trained."""
        path = self.path / "env.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

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


def resolve(settings: Settings, store: Store) -> Settings:
    """Settings with nothing implicit: the store's channels, the published head by its name."""
    model = settings.model
    named = replace(model, in_chans=model.in_chans or store.meta.crop.channels, head=model.named_head)
    return replace(settings, model=named)


def find_runs(folder: Path | str) -> list[Run]:
    """All run folders directly under `folder`, by name."""
    folder = Path(folder)
    if folder.is_file() and folder.suffix == ".onnx":
        raise RunError(
            f"{folder} is a model file and no folder of runs. Measure it with: mien evaluate {folder} --data STORE, "
            "with --examine for damage; on another corpus by its store."
        )
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder of runs. Give the folder that `mien compare --runs` wrote.")
    return [Run.open(path.parent) for path in sorted(folder.glob("*/data.json"))]
