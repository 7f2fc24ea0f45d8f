"""What runs tell other programs: curves for TensorBoard, and a copy in MLflow's format. Neither has to be installed."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from made_runs import make_runs, make_store
from mien.cli import main
from mien.engines import Update
from mien.errors import ConfigError, RunError
from mien.hooks import Progress
from mien.loggers import find_logger, with_loggers
from mien.runs import Run, export_mlflow


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    store = make_store(tmp_path / "store")
    return make_runs(tmp_path / "runs", store, networks=("vgg16", "resnet34"), dropouts=(0.2,), epochs=3)


def at(epoch: int) -> Progress:
    return Progress(epoch=epoch, epochs=3, done=epoch / 3, loss=1.0, accuracy=0.5, images_per_second=9.0)


# Loggers


def test_loggers_hear_all_and_the_engine_hears_the_report_alone(runs: list[Run]) -> None:
    heard: list[tuple[str, Update]] = []
    report = with_loggers(lambda run, update: False, [lambda run, update: heard.append((run.id, update))])
    assert report(runs[0], at(1)) is False
    assert report(runs[1], "It goes on.") is False
    assert heard == [(runs[0].id, at(1)), (runs[1].id, "It goes on.")]


def test_an_unknown_logger_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the loggers are tensorboard"):
        find_logger("wandb", tmp_path)


def test_without_tensorboard_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "mien.loggers.tensorboard", raising=False)
    with pytest.raises(SystemExit) as end:
        main(["compare", "demo", "--log", "tensorboard"])
    assert end.value.code == 2
    assert "pip install 'mien[tensorboard]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_the_history(runs: list[Run], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    logger = find_logger("tensorboard", tmp_path / "runs")
    run, history = runs[0], (runs[0].path / "history.csv").read_text()
    lines = history.splitlines(keepends=True)
    (run.path / "history.csv").write_text("".join(lines[:2]))
    logger(run, at(1))
    logger(run, "It goes on.")
    (run.path / "history.csv").write_text(history)
    logger(run, at(1))  # still the same epoch: nothing is read
    logger(run, None)
    files = sorted((tmp_path / "runs" / "tensorboard" / run.id).iterdir())
    assert len(files) == 2
    events = [event for file in files for event in EventFileLoader(str(file)).Load() if event.summary.value]
    assert [event.step for event in events] == [1, 2, 3]
    assert {value.tag for value in events[0].summary.value} == {
        "lr", "loss/train", "accuracy/train", "loss/valid", "accuracy/valid",
    }  # fmt: skip
    last = {value.tag: value.tensor.float_val[0] for value in events[-1].summary.value}
    assert last["accuracy/valid"] == pytest.approx(run.history[-1].valid_accuracy)


# MLflow


def tree(path: Path) -> dict[str, Any]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_copy_has_settings_metrics_and_files_of_every_run(runs: list[Run], tmp_path: Path) -> None:
    runs[1].update(status="failed", reason="The loss became nan.", stages=())
    path = export_mlflow(runs, tmp_path / "mlruns", "mine")
    experiment = json.loads((path / "meta.yaml").read_text())
    assert (experiment["name"], experiment["experiment_id"]) == ("mine", path.name)
    found = {json.loads(meta.read_text())["run_name"]: meta.parent for meta in path.glob("*/meta.yaml")}
    assert set(found) == {run.id for run in runs}
    for run, status in zip(runs, (3, 4), strict=True):
        folder = found[run.id]
        facts = json.loads((folder / "meta.yaml").read_text())
        assert facts["status"] == status
        assert facts["artifact_uri"] == (folder.resolve() / "artifacts").as_uri()
        assert facts["start_time"] < facts["end_time"]
        params = {file.name: file.read_text() for file in (folder / "params").iterdir()}
        assert params == {key: str(value) for key, value in run.settings.flat().items()}
        lines = [line.split() for line in (folder / "metrics" / "valid_accuracy").read_text().splitlines()]
        assert [(float(value), int(step)) for _, value, step in lines] == [
            (line.valid_accuracy, line.epoch) for line in run.history
        ]
        assert (folder / "metrics" / "test.accuracy").exists() == (status == 3)
        assert (folder / "artifacts" / "config.toml").read_bytes() == (run.path / "config.toml").read_bytes()
        assert (folder / "tags" / "mien.status").read_text() == run.record.status


def test_another_copy_takes_the_place_of_the_first(runs: list[Run], tmp_path: Path) -> None:
    path = export_mlflow(runs, tmp_path / "mlruns", "mine")
    first = tree(path)
    assert export_mlflow(runs, tmp_path / "mlruns", "mine") == path
    assert tree(path) == first
    export_mlflow(runs[:1], tmp_path / "mlruns", "mine")
    assert len(list(path.glob("*/meta.yaml"))) == 1
    assert export_mlflow(runs, tmp_path / "mlruns", "another") != path


def test_what_cannot_be_copied_leaves_nothing(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="There is no run to export"):
        export_mlflow([], tmp_path / "mlruns", "mine")
    (runs[1].path / "record.json").write_text("{")
    with pytest.raises(RunError, match=r"record\.json is damaged"):
        export_mlflow(runs, tmp_path / "mlruns", "mine")
    assert not list((tmp_path / "mlruns").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        export_mlflow(runs[:1], tmp_path / "file", "mine")


def test_the_verb_copies_what_is_listed(runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["runs", str(tmp_path / "runs"), "-w", "model.name=vgg16", "--export-mlflow", str(tmp_path / "mlruns")])
    assert not end.value.code
    assert "Copied 1 runs into" in capsys.readouterr().err
    (experiment,) = (tmp_path / "mlruns").iterdir()
    assert json.loads((experiment / "meta.yaml").read_text())["name"] == f"{tmp_path.name}/runs"


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_the_copy(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    path = export_mlflow(runs, tmp_path / "mlruns", "mine")
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    (seen,) = client.search_runs([path.name], "params.`model.name` = 'vgg16'")
    assert seen.info.run_name == runs[0].id
    assert seen.info.status == "FINISHED"
    assert len(client.get_metric_history(seen.info.run_id, "train_loss")) == 3
