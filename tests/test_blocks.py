"""The shuffle in blocks: what is read, in which order, how well that mixes, and what it costs in memory."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import plan_run
from mien.config import DataSettings, NetworkSettings, TrainSettings
from mien.crop import CropSpec
from mien.data import batches as module
from mien.data.batches import Batches, generator
from mien.data.blocks import BLOCK_BYTES, LANES, BlockOrder, Mixing, block_order, mixing
from mien.data.splits import Part, divide
from mien.data.store import Sample, Store, create_store
from mien.errors import Pruned
from mien.labels import LabelSet
from mien.train import train

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[1]


def ordered(count: int, size: int, lanes: int, epoch: int = 0) -> BlockOrder:
    return block_order(torch.arange(count), size, generator(0, "order", epoch), lanes)


@pytest.mark.parametrize(("count", "size", "lanes"), [(1000, 10, 8), (1000, 7, 16), (5, 10, 4), (1, 1, 1), (97, 1, 97)])
def test_every_sample_stands_once_in_an_epoch(count: int, size: int, lanes: int) -> None:
    found = ordered(count, size, lanes)
    assert sorted(found.order.tolist()) == list(range(count))
    pieces = found.starts.diff()
    assert int(pieces.sum()) == count
    assert 1 <= int(pieces.min()) <= int(pieces.max()) <= size


def test_no_more_pieces_are_open_than_there_are_lanes() -> None:
    first, last = ordered(10_000, 50, 16).uses()
    open_at = [int(((first <= place) & (place <= last)).sum()) for place in range(0, 10_000, 37)]
    assert max(open_at) <= 16
    assert np.mean(open_at) > 14, "to the end of the epoch all lanes are open"
    assert np.mean(open_at[-len(open_at) // 10 :]) > 14


def test_the_lanes_change_their_blocks_one_after_the_other() -> None:
    """Else one piece that is read ahead would not do: all lanes would wait at once."""
    first, _ = ordered(100_000, 500, 20).uses()
    opened = torch.histc(first[first > 1000].double(), bins=18, min=1000, max=91_000)
    assert opened.max() <= 2 * opened.mean()


def test_an_order_is_a_function_of_seed_and_epoch() -> None:
    assert torch.equal(ordered(300, 8, 8).order, ordered(300, 8, 8).order)
    assert not torch.equal(ordered(300, 8, 8).order, ordered(300, 8, 8, epoch=1).order)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three faces, four of them open."""
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * 16 * 16 * 3)
    monkeypatch.setattr(module, "LANES", 4)


def batches_of(part: Part, sampling: str, shuffle: str) -> Batches:
    settings = NetworkSettings(
        data=DataSettings(shuffle=shuffle),  # type: ignore[arg-type]
        train=TrainSettings(batch_size=16, sampling=sampling),  # type: ignore[arg-type]
    )
    return Batches(part, settings, CPU)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("sampling", ["natural", "balanced", "bootstrap"])
def test_the_faces_of_a_batch_are_those_of_its_rows(store: Store, sampling: str) -> None:
    part = divide(store, DataSettings(train_limit=50)).train
    batches = batches_of(part, sampling, "blocks")
    for epoch in (0, 1):
        seen = []
        for rows in batches.epoch(epoch):
            for chunk in rows.split(5):
                assert np.array_equal(batches.planes(chunk)[0].numpy(), store.images[part.rows[chunk.numpy()]])
            seen += rows.tolist()
        assert len(seen) == 50
        full = torch.cat(list(batches_of(part, sampling, "full").epoch(epoch)))
        assert sorted(seen) == sorted(full.tolist()), "the same samples as in a full shuffle, in another order"


@pytest.mark.usefixtures("small")
def test_a_run_that_was_stopped_ends_with_the_same_bytes(tmp_path: Path, store: Store) -> None:
    def trained(name: str, stops: int) -> dict[str, Tensor]:
        run = plan_run(tmp_path / name, store, data__shuffle="blocks", model__dropout=0.3, augment__shift=1.0)
        fold, steps = run.fold(), iter(range(1, 100))
        if stops:
            with pytest.raises(Pruned):
                train(run, fold.train, fold.valid, device=CPU, report=lambda _: next(steps) < stops)
        return train(run, fold.train, fold.valid, device=CPU)[0].state_dict()

    whole, stopped = trained("whole", 0), trained("stopped", 8)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


def test_the_order_belongs_to_the_run(tmp_path: Path, store: Store) -> None:
    plain, full, blocks = (plan_run(tmp_path, store, **of) for of in ({}, FULL, {"data__shuffle": "blocks"}))
    assert plain.id == full.id != blocks.id


FULL: dict[str, Any] = {"data__shuffle": "full"}


def test_a_large_part_is_not_copied_and_trains_to_the_same_bytes(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(name: str) -> dict[str, Tensor]:
        run = plan_run(tmp_path / name, store, train__epochs=2)
        return train(run, run.fold().train, run.fold().valid, device=CPU)[0].state_dict()

    copied = trained("copied")
    monkeypatch.setattr(module, "MAPPED_BYTES", 0)
    mapped = trained("mapped")
    assert all(torch.equal(copied[name], mapped[name]) for name in copied)


@pytest.mark.skipif(sys.platform != "linux", reason="memory of one's own is read from the system's own account")
def test_runs_side_by_side_share_one_copy_of_a_large_part(tmp_path: Path) -> None:
    """A mapped part takes no memory of the process's own: the system has its pages once, for all."""
    store = sparse_store(tmp_path / "store", 8000)
    pictures = len(divide(Store.open(store), DataSettings()).train) * BLANK.nbytes
    assert own_memory(store, mapped_from=0) < 0.2 * pictures
    assert own_memory(store, mapped_from=1 << 62) > 0.8 * pictures, "a copy"


OWN_MEMORY = """
import sys
from pathlib import Path
import torch
from mien.config import DataSettings, NetworkSettings
from mien.data import batches
from mien.data.splits import divide
from mien.data.store import Store

def anonymous_bytes():
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024

batches.MAPPED_BYTES = int(sys.argv[2])
part = divide(Store.open(Path(sys.argv[1])), DataSettings()).train
torch.zeros(1).float()
before = anonymous_bytes()
read = batches.Batches(part, NetworkSettings(), torch.device("cpu"))
for rows in torch.arange(len(part)).split(64):
    read.planes(rows)
print(anonymous_bytes() - before)
"""


def own_memory(store: Path, mapped_from: int) -> int:
    """Bytes that reading all pictures of `store` adds to a fresh process and that no file stands behind."""
    command = [sys.executable, "-c", OWN_MEMORY, str(store), str(mapped_from)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


FACES, CLASSES, BATCH = 200_000, 8, 512
SIZES = {"48 × 48, grey": 48 * 48, "48 × 48, RGB": 48 * 48 * 3, "224 × 224, RGB": 224 * 224 * 3}
"""Bytes of a face."""


def sorted_by_class(size: int, lanes: int = LANES) -> Mixing:
    return mixed(ordered(FACES, max(1, BLOCK_BYTES // size), lanes).order)


def mixed(order: Tensor) -> Mixing:
    return mixing(order, torch.arange(FACES) * CLASSES // FACES, BATCH)


def test_a_full_shuffle_is_the_measure_and_no_shuffle_is_nothing() -> None:
    full, none = mixed(torch.randperm(FACES, generator=generator(0, "order", 0))), mixed(torch.arange(FACES))
    assert full.entropy == pytest.approx(1, abs=2e-3)
    assert full.classes == full.classes_at_the_end == 8
    assert none.entropy < 0.1
    assert none.classes < 1.1


def test_few_lanes_mix_badly_and_mixing_says_so() -> None:
    few = sorted_by_class(48 * 48, 4)
    assert few.entropy < 0.4
    assert few.classes < 5


def test_the_table_of_the_page_is_what_comes_out() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for name, size in SIZES.items():
        found = sorted_by_class(size)
        row = re.search(rf"^\| {name} \|(.*)\|$", page, re.MULTILINE)
        assert row, name
        assert [cell.strip() for cell in row[1].split("|")][1:] == [
            f"{found.entropy:.3f}",
            f"{found.entropy_at_the_end:.3f}",
            f"{found.classes:.2f}",
            f"{found.classes_at_the_end:.2f}",
        ]


def test_mixing_needs_a_whole_batch() -> None:
    with pytest.raises(ValueError, match="less than one batch"):
        mixing(torch.arange(5), torch.zeros(5, dtype=torch.int64), 6)


def sparse_store(path: Path, count: int) -> Path:
    """A store of `count` faces of 48 px whose pixels are a hole in the file: written in no time, read as zeros."""
    labels = LabelSet(("anger", "fear"))
    with create_store(path, labels, CropSpec(size=48)) as writer:
        for i in range(count):
            split = "valid" if i < 500 else "test" if i < 1000 else "train"
            writer.add(Sample(label=i % 2, split=split, source=str(i)), face=BLANK)
        writer.finish(corpus="blank", licence="made for tests")
    return path


BLANK = np.zeros((48, 48, 3), np.uint8)
TRAINS = """
import sys
from pathlib import Path
import torch
from conftest import plan_run
from mien.data.store import Store
from mien.errors import Pruned
from mien.train import train
from mien.machine import peak_memory_mb
run = plan_run(Path(sys.argv[1]), Store.open(sys.argv[2]), data__shuffle=sys.argv[3], train__batch_size=128,
               train__micro_batch=64)
fold, steps = run.fold(), iter(range(1, 1000))
try:
    train(run, fold.train, fold.valid, device=torch.device("cpu"), report=lambda _: next(steps) < 150)
except Pruned:
    print(peak_memory_mb())
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from the system's own account")
def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    """150 steps over 0.4 GB and over 1.6 GB of faces."""
    peaks: dict[tuple[str, int], float] = {}
    for count in (60_000, 240_000):
        store = sparse_store(tmp_path / str(count), count)
        for shuffle in ("blocks", "full") if count > 60_000 else ("blocks",):
            words = [sys.executable, "-c", TRAINS, str(tmp_path / "runs"), str(store), shuffle]
            done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
            peaks[shuffle, count] = float(done.stdout)
    assert peaks["blocks", 240_000] - peaks["blocks", 60_000] < 250, peaks
    assert peaks["full", 240_000] > peaks["blocks", 240_000] + 500, "what it would be with the faces in memory"
