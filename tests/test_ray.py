"""The engine of a Ray cluster. What a node does is tested without Ray; the cluster itself where the extra is installed.

`make test-ray` installs it and runs all of this file. Without it the tests of the cluster are skipped, and say so.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

import mortal
from conftest import TINY, plan_run
from mien.cli import main
from mien.data.store import Store
from mien.engines import Update, find_engine, local, supervisor
from mien.engines.supervisor import supervise
from mien.errors import ConfigError
from mien.hooks import Progress
from mien.locks import hold
from mien.runs import RESULTS, Run
from mien.stages import finish_run
from mien.tune import find_tunings
from mien.version import __version__

BYTES = ("model.safetensors", "history.csv", "logits.npz")
Diary = list[tuple[str, Update]]

cluster_of_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray")


def bytes_of(run: Run) -> list[bytes]:
    return [(run.path / name).read_bytes() for name in BYTES]


# What a node does, without Ray


@pytest.fixture
def quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes from a server that has torch loaded, in place of those that load it each time."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: mortal.SERVER)
    monkeypatch.setattr(local, "waiting_now", lambda: "spinning")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")


def work(runs: Sequence[Run], tell: supervisor.Tell, version: str = __version__) -> str:
    return supervise([str(run.path) for run in runs], "finish", RESULTS, (), version, tell)


@pytest.mark.usefixtures("quick_processes")
def test_a_node_gives_the_bytes_of_this_machine(tmp_path: Path, store: Store) -> None:
    runs = [plan_run(tmp_path / "there", store, seed=seed, train__cpus=1) for seed in range(2)]
    told: Diary = []
    assert work(runs, lambda name, update: bool(told.append((name, update))) or True) == ""
    for seed, run in enumerate(runs):
        here = plan_run(tmp_path / "here", store, seed=seed, train__cpus=1)
        finish_run(here)
        assert bytes_of(run) == bytes_of(here)
    assert {name for name, _ in told} == {run.id for run in runs}
    assert [update.done for _, update in told if isinstance(update, Progress)][-1] == 1.0


@pytest.mark.usefixtures("quick_processes")
def test_what_a_node_refuses_is_a_sentence(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = [plan_run(tmp_path, store)]
    assert work([run], lambda *_: True, "0.0.1") == (
        f"A node of the cluster has mien {__version__}, and this machine 0.0.1. Install one version on all."
    )
    assert "is not a run folder" in supervise(
        [str(tmp_path / "no")], "finish", RESULTS, (), __version__, lambda *_: True
    )
    monkeypatch.setattr(supervisor, "hold", lambda *_, **__: (_ for _ in ()).throw(TimeoutError()))
    assert (
        work([run], lambda *_: True)
        == f"Another process works in {run.path}. Wait for it or stop it, then run this again."
    )


@pytest.mark.usefixtures("quick_processes")
def test_a_run_that_a_dying_process_still_saves_is_waited_for(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom mien.locks import hold\n"
        f"with hold(Path({str(run.path / 'lock')!r})):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    threading.Timer(0.5, holder.stdin.close).start()
    assert work([run], lambda *_: True) == ""
    assert run.finished
    holder.wait()
    holder.stdout.close()


@pytest.mark.usefixtures("quick_processes")
def test_a_run_that_the_engine_refuses_stops(tmp_path: Path, store: Store) -> None:
    runs = [plan_run(tmp_path, store, seed=seed, train__epochs=epochs) for seed, epochs in ((0, 4000), (1, 2))]
    assert work(runs, lambda name, update: name != runs[0].id) == ""
    assert [run.record.status for run in runs] == ["pruned", "finished"]


def test_progress_is_told_now_and_then_and_the_end_always(tmp_path: Path, store: Store) -> None:
    run, told = plan_run(tmp_path, store), list[float]()
    news = supervisor._News(lambda _, update: bool(told.append(getattr(update, "done", -1.0))) or True)
    for done in (0.1, 0.2, 0.3, 1.0):
        news.report(run, Progress(epoch=1, epochs=1, done=done, loss=1.0, accuracy=0.5, images_per_second=1.0))
    assert told == [0.1, 1.0]


def test_a_process_of_a_worker_does_not_import_rays_program() -> None:
    script = (
        "import __main__, multiprocessing.spawn as spawn\nfrom mien.engines.supervisor import _stand_alone\n"
        "__main__.__file__ = '/x/default_worker.py'\n_stand_alone()\n"
        "assert 'init_main_from_path' not in spawn.get_preparation_data('x')\n"
        "import sys\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The surface


def test_without_ray_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "mien.engines.ray", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["compare", "demo", "--engine", "ray"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "mien: `mien compare --engine ray` needs an optional part of mien. Install it with: pip install 'mien[ray]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_only_a_cluster_has_an_address() -> None:
    with pytest.raises(ConfigError, match="Pass --engine ray"):
        find_engine("local", "10.0.0.1:6379")
    with pytest.raises(ConfigError, match="the engines are local, ray"):
        find_engine("slurm")


# A cluster


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start a cluster of two nodes of one processor each on this machine, and connect to its head."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from mien.engines.ray import SETTINGS

    made: list[Any] = []

    def start(head: int = 1, **second: str) -> Any:
        """Processors of the head, and variables that the second node alone is started with."""
        for name, value in SETTINGS.items():
            monkeypatch.setenv(name, value)
        own = {"num_cpus": head, "object_store_memory": 80 << 20, "include_dashboard": False}
        made.append(Cluster(initialize_head=True, head_node_args=own))
        with monkeypatch.context() as patch:
            for name, value in second.items():
                patch.setenv(name, value)
            made[0].add_node(num_cpus=1, object_store_memory=80 << 20)
        ray.init(address=made[0].address, log_to_driver=False)
        return made[0]

    yield start
    ray.shutdown()
    for one in made:
        one.shutdown()


def grid(folder: Path, store: Store, epochs: int, seeds: int = 4) -> list[Run]:
    return [plan_run(folder, store, seed=seed, train__cpus=1, train__epochs=epochs) for seed in range(seeds)]


def workers(node: Any, runs: Sequence[Run]) -> list[psutil.Process]:
    """The processes that supervise some of these runs on a node of our cluster."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    titles = {f"ray::{run.id}" for run in runs}
    return [child for child in raylet.children(recursive=True) if " ".join(child.cmdline()).strip() in titles]


@cluster_of_ray
@pytest.mark.long
def test_a_worker_and_then_a_node_are_killed_and_every_run_has_the_bytes_of_the_local_engine(
    tmp_path: Path, store: Store, cluster: Callable[..., Any]
) -> None:
    here, there = grid(tmp_path / "local", store, 120), grid(tmp_path / "ray", store, 120)
    find_engine("local").finish(here, lambda *_: None, stages=RESULTS)
    nodes = cluster()
    second = nodes.worker_nodes.copy().pop()
    killed: list[str] = []
    ended: list[str] = []

    def strike(run: Run, update: Update) -> None:
        if update is None:
            ended.append(run.id)
        if not isinstance(update, Progress):
            return
        if not killed and update.done > 0.1:
            for worker in workers(nodes.head_node, there)[:1]:
                worker.kill()
                killed.append("worker")
        elif killed == ["worker"] and update.done > 0.2 and workers(second, there):
            nodes.remove_node(second, allow_graceful=False)
            killed.append("node")

    find_engine("ray").finish(there, strike, stages=RESULTS)
    assert killed == ["worker", "node"]
    assert [run.record.status for run in there] == ["finished"] * 4
    assert sorted(ended) == sorted(run.id for run in there)
    assert [bytes_of(run) for run in there] == [bytes_of(run) for run in here]
    assert all(len(run.record.test_opened_at) == 1 for run in there)


@cluster_of_ray
@pytest.mark.long
def test_a_search_on_a_cluster_is_that_of_the_local_engine_and_starts_it_once(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    (tmp_path / "tiny.toml").write_text(
        "".join(f"{key} = {json.dumps(value)}\n" for key, value in TINY.items()) + "train.cpus = 1\n"
    )
    began: list[object] = []
    start = ray.init
    monkeypatch.setattr(ray, "init", lambda **options: (began.append(options), start(**options))[1])
    for name in ("local", "ray"):
        words = ["--engine", name, "--runs", str(tmp_path / name), "--out", str(tmp_path / f"{name}-report")]
        words += ["-d", str(store.path), "--over", "optimizer.lr=1e-6..1e-2", "-n", "9", "--seeds", "1"]
        with pytest.raises(SystemExit, match="0"):
            main(["tune", str(tmp_path / "tiny.toml"), *words])
    assert len(began) == 2, "for all batches of the search, and for the new seeds"
    (here,), (there,) = find_tunings(tmp_path / "local"), find_tunings(tmp_path / "ray")
    assert there.trials == here.trials
    assert there.chosen == here.chosen
    assert there.openings == 0


@cluster_of_ray
@pytest.mark.long
def test_an_interrupted_grid_saves_its_runs_and_goes_on_with_the_same_bytes(
    tmp_path: Path, store: Store, cluster: Callable[..., Any]
) -> None:
    cluster()
    here, there = grid(tmp_path / "local", store, 150, seeds=3), grid(tmp_path / "ray", store, 150, seeds=3)
    moved: set[str] = set()

    def strike(run: Run, update: Update) -> None:
        if isinstance(update, Progress):
            moved.add(run.id)
        if len(moved) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        find_engine("ray").finish(there, strike, stages=RESULTS)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    saved = [run.id for run in there if (run.path / "checkpoint.safetensors").exists()]
    assert sorted(saved) == sorted(moved)
    for run in there:
        with hold(run.path / "lock"):  # nobody works in it any more
            assert run.record.status == "running"
    find_engine("ray").finish(there, lambda *_: None)
    find_engine("local").finish(here, lambda *_: None, stages=RESULTS)
    assert [bytes_of(run) for run in there] == [bytes_of(run) for run in here]
    assert [run.record.costs.predict_batch for run in there] == [64, 0, 0], "costs of one run a row"


@cluster_of_ray
@pytest.mark.long
def test_a_node_without_memory_is_tried_once_more_and_then_said(
    tmp_path: Path, store: Store, cluster: Callable[..., Any]
) -> None:
    cluster(head=0, RAY_memory_usage_threshold="0.001", RAY_memory_monitor_refresh_ms="100")
    (run,) = grid(tmp_path, store, 4000, seeds=1)
    started = time.monotonic()
    find_engine("ray").finish([run], lambda *_: None, stages=RESULTS)
    assert run.record.status == "crashed"
    assert run.record.reason == (
        "Its node ran out of memory, and again when it was tried once more. The same command tries it again."
    )
    assert time.monotonic() - started < 300


@cluster_of_ray
def test_without_an_address_a_cluster_of_its_own_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where `ray start` has left the address of another, which may be dead."""
    import ray

    from mien.engines.ray import SETTINGS, _cluster

    for name in SETTINGS:
        monkeypatch.setenv(name, "")  # so that it is as it was, after the test
        monkeypatch.delenv(name)
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "init", lambda **options: asked.append(options))
    for address in ("", "10.0.0.1:6379"):
        with _cluster(address):
            pass
    assert [options["address"] for options in asked] == ["local", "10.0.0.1:6379"]
    assert asked[0]["include_dashboard"] is False
    assert "num_cpus" not in asked[1], "a cluster has the processors that it has"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@cluster_of_ray
@pytest.mark.long
def test_more_processors_than_a_node_has_are_refused(tmp_path: Path, store: Store, cluster: Callable[..., Any]) -> None:
    cluster()
    run = plan_run(tmp_path, store, train__cpus=2)
    with pytest.raises(ConfigError, match=r"train\.cpus is 2, and the largest node of the cluster has 1"):
        find_engine("ray").finish([run], lambda *_: None)
    assert run.record.status == "running"


@cluster_of_ray
@pytest.mark.long
def test_on_two_processors_a_run_has_the_bytes_of_the_local_engine(
    tmp_path: Path, store: Store, cluster: Callable[..., Any]
) -> None:
    cluster(head=2)
    here, there = (plan_run(tmp_path / name, store, train__cpus=2) for name in ("local", "ray"))
    find_engine("local").finish([here], lambda *_: None, stages=RESULTS)
    find_engine("ray").finish([there], lambda *_: None, stages=RESULTS)
    assert bytes_of(there) == bytes_of(here)
    assert [(run.environment or {}).get("threads") for run in (here, there)] == [2, 2]


KILLED = """
import sys
from pathlib import Path
from mien.engines import find_engine
from mien.hooks import Progress
from mien.runs import find_runs, RESULTS

def report(run, update):
    if isinstance(update, Progress) and update.done > 0.05:
        print(run.id, flush=True)

if __name__ == "__main__":
    find_engine("ray").finish(find_runs(Path(sys.argv[1])), report, stages=RESULTS)
"""
"""A program that trains on this machine's cores and tells which runs are under way."""


@cluster_of_ray
@pytest.mark.long
def test_an_engine_that_is_killed_leaves_runs_that_go_on(tmp_path: Path, store: Store) -> None:
    here, there = grid(tmp_path / "local", store, 400, seeds=1), grid(tmp_path / "ray", store, 400, seeds=1)
    (tmp_path / "killed.py").write_text(KILLED)
    words = [sys.executable, str(tmp_path / "killed.py"), str(tmp_path / "ray")]
    engine = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    assert engine.stdout.readline().strip() == there[0].id
    engine.kill()
    engine.wait()
    engine.stdout.close()
    with hold(there[0].path / "lock", wait=60):  # the process of the run has ended
        assert there[0].record.status == "running"
    find_engine("local").finish([*here, *there], lambda *_: None, stages=RESULTS)
    assert bytes_of(there[0]) == bytes_of(here[0])


@cluster_of_ray
def test_packs_are_worth_a_process_and_feed_every_slot(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.engines import ray as engine

    runs = [plan_run(tmp_path, store, seed=seed, train__cpus=1) for seed in range(20)]
    large = plan_run(tmp_path, store, train__epochs=100_000)
    sizes = [len(pack) for pack in engine._packs([*runs, large], 2)]
    assert sizes == [1, 10, 10], "the large one first, alone"
    monkeypatch.setattr(engine, "WORTH_OPERATIONS", 1.0)
    assert [len(pack) for pack in engine._packs(runs, 2)] == [3, 3, 3, 3, 3, 3, 2]
