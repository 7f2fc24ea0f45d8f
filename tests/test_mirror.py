"""The mirror of run folders: what is copied, what comes back, and what of it is believed."""

import functools
import hashlib
import http.server
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conftest import plan_run
from mien import mirror as module
from mien.data.store import Store
from mien.engines import find_engine
from mien.errors import RunError
from mien.hooks import Hooks, Progress
from mien.loggers import mirrored
from mien.loggers.mirrored import Mirrored
from mien.mirror import Cache, Mirror
from mien.runs import RESULTS, Run
from mien.stages import finish_run

fsspec = pytest.importorskip("fsspec")
KEPT = ("model.safetensors", "history.csv", "logits.npz", "record.json")


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A place in memory of its own."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    yield f"memory://{name}"
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


def blobs(url: str) -> list[str]:
    return fsspec.filesystem("memory").find(url.removeprefix("memory:/") + "/blobs")


def stopped(run: Run, at: float) -> None:
    """Train a part of a run and leave its checkpoint."""

    def strike(progress: Progress) -> bool:
        if progress.done >= at:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        finish_run(run, hooks=Hooks(report=strike))


def test_a_finished_run_comes_back_whole_and_is_not_sent_twice(tmp_path: Path, store: Store, url: str) -> None:
    run = plan_run(tmp_path / "here", store)
    finish_run(run)
    mirror = Mirror(url, tmp_path / "cache")
    mirror.push(run)
    sent = blobs(url)
    mirror.push(run)
    assert blobs(url) == sent
    assert len(sent) == len({path.name for path in run.path.iterdir() if path.name != "lock"})
    there = plan_run(tmp_path / "there", store)
    assert mirror.pull(there)
    assert there.finished
    for name in KEPT:
        assert (there.path / name).read_bytes() == (run.path / name).read_bytes()
    there.check()
    assert not mirror.pull(there), "what was begun here goes on here"


def test_a_run_goes_on_elsewhere_with_the_same_bytes(
    tmp_path: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.train.CHECKPOINT_SECONDS", -1.0)
    run, undisturbed = plan_run(tmp_path / "here", store), plan_run(tmp_path / "undisturbed", store)
    stopped(run, 0.5)
    Mirror(url, tmp_path / "cache").push(run)
    there = plan_run(tmp_path / "there", store)
    assert Mirror(url, tmp_path / "another-cache").pull(there)
    assert (there.path / "checkpoint.safetensors").exists()
    steps: list[float] = []
    finish_run(there, hooks=Hooks(report=lambda progress: bool(steps.append(progress.done)) or True))
    finish_run(undisturbed)
    assert steps[0] >= 0.5
    for name in KEPT[:3]:
        assert (there.path / name).read_bytes() == (undisturbed.path / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "at", "kept"),
    [
        ({"boosting__rounds": 3, "train__epochs": 2}, 0.5, "members/000/model.safetensors"),
        ({"train__snapshots": 3, "train__epochs": 6, "optimizer__schedule": "cosine"}, 0.7, "epochs/00004.safetensors"),
    ],
)
def test_a_run_of_several_networks_goes_on_elsewhere_with_the_same_bytes(
    tmp_path: Path,
    store: Store,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    at: float,
    kept: str,
) -> None:
    monkeypatch.setattr("mien.train.CHECKPOINT_SECONDS", -1.0)
    run, undisturbed = (plan_run(tmp_path / name, store, **changes) for name in ("here", "undisturbed"))
    stopped(run, at)
    Mirror(url, tmp_path / "cache").push(run)
    there = plan_run(tmp_path / "there", store, **changes)
    assert Mirror(url, tmp_path / "another-cache").pull(there)
    assert (there.path / kept).read_bytes() == (run.path / kept).read_bytes()
    steps: list[float] = []
    finish_run(there, hooks=Hooks(report=lambda progress: bool(steps.append(progress.done)) or True))
    finish_run(undisturbed)
    assert steps[0] >= at
    for name in KEPT[:3]:
        assert (there.path / name).read_bytes() == (undisturbed.path / name).read_bytes()


LEADING_OUTSIDE = (
    "../../escaped",
    "members/../../escaped",
    "members/./escaped",
    "members//escaped",
    "/escaped",
    "C:/escaped",
    "C:escaped",
    "members\\escaped",
    "members/.escaped",
    "escaped\n",
    "lock",
    "members/000/lock",
    "a/b/c/d/escaped",
    "history.csv/escaped",
)


@pytest.mark.parametrize("name", LEADING_OUTSIDE)
def test_a_name_that_leads_outside_is_refused_in_a_sentence(tmp_path: Path, store: Store, url: str, name: str) -> None:
    run, disk = plan_run(tmp_path / "here", store), fsspec.filesystem("memory")
    run.write_history([])
    Mirror(url, tmp_path / "cache").push(run)
    listed = f"{url.removeprefix('memory:/')}/runs/{run.id}.json"
    facts = json.loads(disk.cat_file(listed))
    facts["files"][name] = facts["files"]["history.csv"]
    disk.pipe_file(listed, json.dumps(facts).encode())
    there = plan_run(tmp_path / "there", store)
    before = sorted(tmp_path.rglob("*"))
    said = r"cannot be used \(its list names .*, (which is no|and its folder as a) file"
    with pytest.raises(RunError, match=said) as refusal:
        Mirror(url, tmp_path / "cache").pull(there)
    assert "\n" not in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_newer_checkpoint_takes_the_place_of_the_older_one(
    tmp_path: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a reader has the older list. A blob that has another name now stays, and so does every other file."""
    run, mirror = plan_run(tmp_path / "here", store), Mirror(url, tmp_path / "cache")

    def push(**files: bytes) -> list[bytes]:
        for name, content in files.items():
            (run.path / f"{name}.safetensors").write_bytes(content)
        mirror.push(run)
        disk = fsspec.filesystem("memory")
        return sorted(content for blob in blobs(url) if b"run " in (content := disk.cat_file(blob)))

    assert push(checkpoint=b"run 1", model=b"run a") == [b"run 1", b"run a"]
    older = mirror._list(run.id)
    assert push(checkpoint=b"run 2", model=b"run b") == [b"run 2", b"run a", b"run b"]
    lists = [older, mirror._list(run.id)]
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_list", lambda *_: lists.pop(0))
        found = mirror._all_fetched(run.id)
    assert found is not None
    assert found["checkpoint.safetensors"].read_bytes() == b"run 2"
    assert push(checkpoint=b"run 3", model=b"run 2") == [b"run 2", b"run 3", b"run a", b"run b"]
    with monkeypatch.context() as patch:
        patch.setattr(mirror._disk, "rm_file", lambda _: (_ for _ in ()).throw(OSError("not allowed")))
        assert len(push(checkpoint=b"run 4")) == 5
    (run.path / "checkpoint.safetensors").unlink()
    assert push() == [b"run 2", b"run 3", b"run a", b"run b"]


def test_a_mirror_without_the_run_is_no_error(tmp_path: Path, store: Store, url: str) -> None:
    mirror = Mirror(url, tmp_path / "cache")
    finish_run(run := plan_run(tmp_path / "other", store, seed=9))
    mirror.push(run)
    assert not mirror.pull(plan_run(tmp_path / "runs", store))


@pytest.mark.parametrize("how", ["blob", "cut", "names", "list", "another run", "gone"])
def test_what_was_changed_in_the_mirror_is_refused_and_leaves_the_run_as_planned(
    tmp_path: Path, store: Store, url: str, how: str
) -> None:
    run, disk = plan_run(tmp_path / "here", store), fsspec.filesystem("memory")
    finish_run(run)
    Mirror(url, tmp_path / "cache").push(run)
    place = url.removeprefix("memory:/")
    listed = f"{place}/runs/{run.id}.json"
    facts = json.loads(disk.cat_file(listed))
    blob = f"{place}/blobs/{facts['files']['model.safetensors']['sha256']}"
    if how == "blob":
        disk.pipe_file(blob, disk.cat_file(blob)[:-1] + b"x")
    elif how == "cut":
        disk.pipe_file(blob, disk.cat_file(blob)[:100])
    elif how == "gone":
        disk.rm(blob)
    elif how == "names":
        facts["files"]["../../escaped"] = facts["files"]["history.csv"]
        disk.pipe_file(listed, json.dumps(facts).encode())
    elif how == "list":
        disk.pipe_file(listed, b"[")
    else:
        finish_run(other := plan_run(tmp_path / "other", store, seed=5))
        Mirror(url, tmp_path / "cache").push(other)
        disk.copy(f"{place}/runs/{other.id}.json", listed)
    there = plan_run(tmp_path / "there", store)
    before = sorted(path.name for path in there.path.iterdir())
    with pytest.raises(RunError, match="cannot be used") as refusal:
        Mirror(url, tmp_path / "fresh").pull(there)
    assert "or leave out --mirror" in str(refusal.value)
    assert sorted(path.name for path in there.path.iterdir()) == before
    assert not list(tmp_path.rglob("escaped"))
    assert not [path for path in (tmp_path / "fresh").rglob("*") if path.name.startswith(".")]


def test_a_damaged_cache_is_read_anew(tmp_path: Path) -> None:
    content = b"content" * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    cache = Cache(tmp_path)
    path = cache.fetch(sha256, len(content), io.BytesIO(content))
    path.write_bytes(b"damaged")
    assert cache.fetch(sha256, len(content), io.BytesIO(content)).read_bytes() == content
    with pytest.raises(ValueError, match="not that of its name"):
        Cache(tmp_path / "new").fetch(sha256, len(content), io.BytesIO(b"other"))
    assert not any((tmp_path / "new").iterdir())


def test_many_readers_of_one_cache_see_whole_files(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    sha256 = hashlib.sha256(content).hexdigest()

    def read(_: int) -> bytes:
        return Cache(tmp_path).fetch(sha256, len(content), io.BytesIO(content)).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(32))) == {content}
    assert [path.name for path in tmp_path.iterdir()] == [sha256]


def test_more_than_a_file_says_is_not_read(tmp_path: Path) -> None:
    source = io.BytesIO(b"x" * (64 << 20))
    with pytest.raises(ValueError, match="not that of its name"):
        Cache(tmp_path).fetch("0" * 64, 10, source)
    assert source.tell() <= 2 * module.CHUNK


def test_a_web_server_is_read_and_never_written(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path / "here", store)
    finish_run(run)
    Mirror(f"file://{tmp_path / 'served'}", tmp_path / "cache").push(run)
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            mirror = Mirror(f"http://127.0.0.1:{server.server_port}/", tmp_path / "web-cache")
            there = plan_run(tmp_path / "there", store)
            assert mirror.pull(there)
            assert not mirror.pull(plan_run(tmp_path / "there", store, seed=3))
            with pytest.raises(RunError, match="can only be read"):
                mirror.push(run)
        finally:
            server.shutdown()
            thread.join()
    assert (there.path / "logits.npz").read_bytes() == (run.path / "logits.npz").read_bytes()
    with pytest.raises(RunError, match="cannot be used"):
        mirror.pull(plan_run(tmp_path / "there", store, seed=4))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        return


def test_a_url_of_no_kind_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Check the URL"):
        Mirror("nothing://bucket", tmp_path)


def test_an_engine_copies_as_runs_end_and_goes_on_from_the_mirror(
    tmp_path: Path, store: Store, url: str, inline: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrored, "SECONDS_BETWEEN_COPIES", -1.0)
    runs = [plan_run(tmp_path / "here", store, seed=seed) for seed in range(2)]
    logger = Mirrored(Mirror(url, tmp_path / "cache"))
    assert logger.begin(runs) == 0

    def report(run: Run, update: Any) -> None:
        logger(run, update)

    find_engine("local").finish(runs, report)
    assert logger.end() == []
    there = [plan_run(tmp_path / "there", store, seed=seed) for seed in range(3)]
    assert Mirrored(Mirror(url, tmp_path / "cache")).begin(there) == 2
    assert [run.record for run in there[:2]] == [run.record for run in runs], "with the costs, measured last"
    inline.clear()
    find_engine("local").finish(there, lambda *_: None, stages=RESULTS)
    assert inline == ["finish 2"]


def test_what_could_not_be_copied_is_said_once_and_the_runs_are_whole(
    tmp_path: Path, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, run = Mirrored(Mirror(url, tmp_path / "cache")), plan_run(tmp_path / "runs", store)
    finish_run(run)

    def fail(*_: Any) -> None:
        raise OSError("the bucket is full")

    monkeypatch.setattr(Mirror, "_write", fail)
    logger(run, None)
    (said,) = logger.end()
    assert said == (
        f"The mirror {url} cannot be used (the bucket is full). "
        "The run itself is whole; the same command copies it again."
    )
    monkeypatch.undo()
    Mirror(url, tmp_path / "cache").push(run)
