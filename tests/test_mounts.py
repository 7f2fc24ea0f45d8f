"""A store is found by its content wherever it is mounted, and the threads of a run are part of its plan."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from conftest import Bars, plan_run
from mien.config import NetworkSettings, override
from mien.data.splits import divide
from mien.data.store import STORES, Store
from mien.errors import DataError
from mien.runs import Run
from mien.stages import finish_run


def elsewhere(store: Store, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    return store.path.rename(place)


@pytest.mark.parametrize("names", ["the store itself", "the folder that it is in"])
def test_a_store_that_is_mounted_elsewhere_is_found(
    tmp_path: Path, bars: Bars, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan_run(tmp_path / "runs", bars())
    other = bars("mount/another", splits=(("train", 9), ("valid", 9), ("test", 9)))
    place = elsewhere(run.store(), tmp_path / "mount" / "ours")
    with pytest.raises(DataError, match=r"is not a store.*MIEN_STORES may name its folder"):
        run.store()
    named = place if names == "the store itself" else place.parent
    monkeypatch.setenv(STORES, os.pathsep.join([str(tmp_path / "gone"), "", str(other.path), str(named)]))
    assert run.store().path == place
    assert len(run.fold().train) == 66


def test_a_copy_that_was_changed_is_refused(tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    run = plan_run(tmp_path / "runs", bars())
    place = elsewhere(run.store(), tmp_path / "mount" / "ours")
    monkeypatch.setenv(STORES, str(place))
    with (place / "samples.csv").open("a") as file:
        file.write("0,train,,x,,\n")
    with pytest.raises(DataError, match="has changed since it was made"):
        Run.open(run.path).store()


def test_two_mounts_do_not_write_the_path_in_turns(tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bars()
    run = plan_run(tmp_path / "runs", store)
    written = (run.path / "data.json").read_bytes()
    shutil.copytree(store.path, tmp_path / "mount" / "ours")
    monkeypatch.setenv(STORES, str(tmp_path / "mount"))
    plan_run(tmp_path / "runs", Store.open(tmp_path / "mount" / "ours"))
    assert (run.path / "data.json").read_bytes() == written
    monkeypatch.delenv(STORES)
    plan_run(tmp_path / "runs", Store.open(tmp_path / "mount" / "ours"))
    assert json.loads((run.path / "data.json").read_text())["store"].endswith("mount/ours"), "it may have moved"


def test_threads_that_a_recipe_states_are_those_of_the_run(tmp_path: Path, store: Store) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        run = plan_run(tmp_path, store, train__cpus=3, train__epochs=1)
        finish_run(run)
        assert torch.get_num_threads() == 3
        assert run.environment is not None
        assert run.environment["threads"] == 3
        assert "threads_before" not in run.environment
    finally:
        torch.set_num_threads(before)


def test_a_run_that_was_fitted_elsewhere_is_judged_with_its_threads(tmp_path: Path, store: Store) -> None:
    before = torch.get_num_threads()
    try:
        run = plan_run(tmp_path, store, train__cpus=2, train__epochs=1)
        finish_run(run, ["fit"])
        torch.set_num_threads(1)
        finish_run(run)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_no_id_changes_where_no_threads_are_stated(store: Store) -> None:
    settings = NetworkSettings().resolved(store.meta.crop)
    assert override(settings, {"train.cpus": 0}).run_id("f") == settings.run_id("f")
    assert override(settings, {"train.cpus": 2}).run_id("f") != settings.run_id("f")
    assert len(divide(store, settings.data).train) == 66
