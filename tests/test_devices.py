"""One run in several processes: whoever computes a chunk or judges a face, the bytes are those of one process."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import plan_run, write_bars
from mien.config import NetworkSettings, override
from mien.data.store import Store
from mien.engines.devices import DevicesEngine, follow
from mien.errors import ConfigError, MienError
from mien.methods import network as method
from mien.methods.network import check_shared
from mien.ranks import ALONE, Ranks, join_ranks
from mien.runs import Run
from mien.stages import finish_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the processes are forks, and speak gloo")

RESULTS = ("model.safetensors", "history.csv", "logits.npz")
APART: dict[str, Any] = {
    "train__chunks": "apart",
    "train__micro_batch": 6,
    "optimizer__ema": 0.8,
    "optimizer__clip_norm": 1.0,
    "model__dropout": 0.3,
    "model__block_dropout": 0.1,
    "augment__flip": True,
    "augment__shift": 2.0,
    "augment__contrast": 0.2,
}
"""Batches of 16 in chunks of 6, 5 and 5 faces; the last batch of an epoch, of 2, is one chunk."""
REFUSED = 2


def results(run: Run) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in RESULTS}


def together(size: int, work: Callable[[Ranks], object]) -> list[int]:
    """Do the work in so many processes that know each other; returns their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def process(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        try:
            work(join_ranks())
        except MienError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(REFUSED)
        os._exit(0)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=process, args=(rank,)) for rank in range(size)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(60)
        each.kill()
    return [each.exitcode if each.exitcode is not None else -1 for each in processes]


def finish(run: Run, stages: tuple[str, ...] = ("fit", "valid", "test")) -> Callable[[Ranks], None]:
    """What each process does with a run."""

    def work(ranks: Ranks) -> None:
        if ranks.leads:
            DevicesEngine().finish([run], lambda *_: None, stages=stages)  # type: ignore[arg-type]
        else:
            follow(ranks)

    return work


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("count", [1, 4, 5, 7])
@pytest.mark.parametrize("whole", [1, 2, 32])
def test_every_face_is_in_one_share_and_shares_are_contiguous(size: int, count: int, whole: int) -> None:
    shares = [Ranks(rank, size).share(count, whole) for rank in range(size)]
    assert [place for share in shares for place in share] == list(range(count))
    assert all(share.start % whole == 0 for share in shares if len(share))
    groups = [-(-len(share) // whole) for share in shares]
    assert max(groups) - min(groups) <= 1


@pytest.mark.parametrize("size", [2, 3])
def test_what_is_judged_apart_comes_together_in_order(tmp_path: Path, size: int) -> None:
    def work(ranks: Ranks) -> None:
        for count in (1, 4, 5, 7):
            for whole in (1, 2):
                own = torch.tensor(list(ranks.share(count, whole)), dtype=torch.float64).reshape(-1, 1)
                found = ranks.joined(torch.cat([own, own + 0.5], 1), count, whole)
                assert torch.equal(found, torch.arange(count)[:, None] + torch.tensor([0, 0.5], dtype=torch.float64))
        (tmp_path / str(ranks.rank)).touch()

    assert together(size, work) == [0] * size
    assert len(list(tmp_path.iterdir())) == size


def test_gradients_are_added_in_the_order_of_the_chunks(tmp_path: Path) -> None:
    """Numbers that a sum in any other order rounds to something else; two chunks leave one of three with none."""
    chunks = torch.tensor([[1e8, 1.0], [-1e8, 1e-8], [1.0, -1.0], [3e-8, 1e-9], [1.0, 5.0]])

    def work(ranks: Ranks) -> None:
        for count in (2, 5):
            parameter = torch.nn.Parameter(torch.zeros(2))
            own = [chunks[number] for number in ranks.share(count)]
            expected = torch.zeros(2)
            for number in range(count):
                expected = expected + chunks[number]
            if ranks.leads:
                parameter.grad = sum(own[1:], own[0].clone())
            ranks.add_up([parameter], own, count)
            assert parameter.grad is not None
            assert torch.equal(parameter.grad, expected)
        (tmp_path / str(ranks.rank)).touch()

    assert not torch.equal(chunks.sum(0), chunks.flip(0).sum(0))
    assert together(3, work) == [0] * 3
    assert len(list(tmp_path.iterdir())) == 3


def weights(run: Run) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(run.path / "model.safetensors")


def test_chunks_apart_change_no_more_than_draws_and_the_rounding_of_averages(tmp_path: Path, store: Store) -> None:
    """Without random draws the weights are those of chained chunks, to the bit."""
    chained, apart = (plan_run(tmp_path, store, train__chunks=chunks) for chunks in ("chained", "apart"))
    assert plan_run(tmp_path, store).id == chained.id != apart.id, "the default keeps its id"
    for run in (chained, apart):
        finish_run(run, ("fit",))
    one, other = weights(chained), weights(apart)
    for name, tensor in one.items():
        if "running" in name:
            torch.testing.assert_close(other[name], tensor, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(other[name], tensor), name


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """70 faces to judge an epoch on: three batches, of which the last is small."""
    return write_bars(tmp_path_factory.mktemp("odd") / "store", splits=(("train", 66), ("valid", 70), ("test", 30)))


@pytest.mark.parametrize("size", [2, 3])
def test_a_run_of_several_processes_has_the_bytes_of_one(tmp_path: Path, odd: Store, size: int) -> None:
    """With three, one process has no chunk of the last batch of an epoch, and each judges one batch."""
    one, several = (plan_run(tmp_path / name, odd, **APART, data__shuffle="blocks") for name in ("one", "several"))
    finish_run(one)
    assert together(size, finish(several)) == [0] * size
    assert results(several) == results(one)
    assert several.finished
    assert len(several.record.test_opened_at) == 1


PAPERS = {
    "vgg16": {"model__head": "gap", "model__width": 0.05},
    "densenet121": {"model__width": 0.25},
    "resnet34": {"model__width": 0.1},
}


@pytest.mark.long
@pytest.mark.parametrize("network", PAPERS)
def test_the_papers_networks_have_the_bytes_of_one_process(tmp_path: Path, odd: Store, network: str) -> None:
    changes = {**APART, **PAPERS[network], "model__name": network, "model__stem": "small", "train__epochs": 2}
    one, two = (plan_run(tmp_path / name, odd, **changes) for name in ("one", "two"))
    finish_run(one)
    assert together(2, finish(two)) == [0, 0]
    assert results(two) == results(one)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_others_and_the_run_goes_on(
    tmp_path: Path, odd: Store, victim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.train.CHECKPOINT_SECONDS", 0.0)
    undisturbed, run = (plan_run(tmp_path / name, odd, **APART) for name in ("one", "two"))
    finish_run(undisturbed)
    plain = method.train

    def dies(run: Run, *parts: Any, **options: Any) -> object:
        import mien.chunks as chunks

        learn, left = chunks.learn_apart, iter(range(8))

        def mortal(*arguments: Any) -> object:
            if next(left, None) is None and options["ranks"].rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            return learn(*arguments)

        monkeypatch.setattr("mien.train.learn_apart", mortal)
        return plain(run, *parts, **options)

    with monkeypatch.context() as patched:
        patched.setattr(method, "train", dies)
        codes = together(2, finish(run))
    assert codes[victim] == -signal.SIGKILL
    assert codes[1 - victim] == REFUSED, "the other says why and ends; it does not wait"
    assert (run.path / "checkpoint.safetensors").exists()
    assert not run.finished
    assert together(2, finish(run)) == [0, 0]
    assert results(run) == results(undisturbed)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"train.micro_batch": 0},
            "train.micro_batch=0 passes a batch of 16 whole, and 2 processes share a batch by its",
        ),
        ({"train.micro_batch": 16}, "Set train.micro_batch to at most 8, or start one process."),
        ({"train.micro_batch": 8}, "Set train.chunks=apart"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    settings = override(NetworkSettings(), {"train.batch_size": 16} | changes)
    with pytest.raises(ConfigError) as caught:
        check_shared(settings, 2)
    assert sentence in str(caught.value)
    check_shared(settings, 1)


def test_one_process_is_alone_whatever_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert join_ranks() is ALONE
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    assert join_ranks() is ALONE
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="do not come together"):
        join_ranks()


TINY = ("model.name=compact-s", "model.width=0.25", "model.dropout=0.3", "train.epochs=2", "train.batch_size=16")
COMPARE = [word for change in (*TINY, "seed=0", "train.micro_batch=8", "train.chunks=apart") for word in ("-s", change)]


@pytest.mark.long
def test_torchrun_compares_as_one_process_does(tmp_path: Path, odd: Store) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, before in (("one", [sys.executable]), ("two", launcher)):
        words = [*before, "-m", "mien", "compare", *COMPARE, "--data", odd.path, "--runs", tmp_path / name]
        words += ["--out", tmp_path / f"{name}-page"]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr
    (one,), (two,) = ([*(tmp_path / name).glob("compact-s-*")] for name in ("one", "two"))
    assert results(Run.open(one)) == results(Run.open(two))
    assert (tmp_path / "two-page" / "report.html").exists()
    assert np.isfinite(Run.open(two).record.costs.train_peak_mb)
