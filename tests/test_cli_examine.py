"""`mien robustness`, `across`, `noise`, and what `compare` and `report` take of them: JSON, sentences, exit codes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from made_runs import make_runs, make_store
from mien.checkpoint import save_tensors
from mien.cli import main
from mien.data.splits import divide
from mien.data.store import Store
from mien.examine import damaging as damaging_module
from mien.examine.damaging import STEPS
from mien.initial import build_network
from mien.runs import Run

pytestmark = pytest.mark.usefixtures("plain_figures")

FLAGS = ("model.name=compact-s", "model.dropout=0.0", "train.epochs=2")


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def home(tmp_path: Path) -> Store:
    return make_store(tmp_path / "home", test=70, size=16)


@pytest.fixture
def runs(tmp_path: Path, home: Store) -> list[Run]:
    """Two finished runs of a tiny network with untrained weights."""
    torch.set_num_threads(1)
    made = make_runs(tmp_path / "runs", home, networks=("compact-s",), dropouts=(0.0,), seeds=2, epochs=2)
    for one in made:
        network = build_network(one.settings, divide(home, one.settings.data).train, torch.device("cpu"))
        save_tensors(one, "model.safetensors", network.state_dict(), {})
    return made


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return make_store(tmp_path / "other", test=56, size=24, corpus="other")


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence with which a command refuses."""
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mien: ")
    assert err.count("\n") == 1
    return err


def test_robustness_measures_once_and_speaks_json(
    tmp_path: Path, runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("robustness", tmp_path / "runs", "--limit", 14, "--json") == 0
    first = said(capsys)["robustness"][0]
    assert first["name"] == first["baseline"] == "compact-s"
    assert (first["n"], first["seeds"]) == (14, 2)
    assert first["mce"]["value"] == 1
    low, high = (first["clean"]["interval"][end] for end in ("low", "high"))
    assert low <= first["clean"]["value"] <= high
    for one in runs:
        (one.path / "model.safetensors").unlink()
    assert run("robustness", tmp_path / "runs", "--limit", 14) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "occluded_eyes" in shown
    assert "95 % intervals" in shown


def test_robustness_refuses_in_a_sentence(
    tmp_path: Path, home: Store, runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not a folder of runs" in refused(capsys, "robustness", tmp_path / "nowhere")
    assert "no network 'vgg99'" in refused(capsys, "robustness", tmp_path / "runs", "--baseline", "vgg99")
    for one in runs:
        one.update(status="running")
    assert "is finished" in refused(capsys, "robustness", tmp_path / "runs")
    runs[0].update(status="finished")
    shutil.rmtree(home.path)
    assert "home is not a store" in refused(capsys, "robustness", tmp_path / "runs")


def test_an_interrupt_keeps_what_was_measured(
    tmp_path: Path, runs: list[Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    corrupt = damaging_module.corrupt

    def counted(name: str, *rest: Any) -> Any:
        asked.append(name)
        if len(asked) == 18:
            raise KeyboardInterrupt
        return corrupt(name, *rest)

    monkeypatch.setattr(damaging_module, "corrupt", counted)
    assert run("robustness", tmp_path / "runs", "--limit", 14) == 130
    assert "goes on from there" in capsys.readouterr().err
    assert run("robustness", tmp_path / "runs", "--limit", 14) == 0
    assert len(asked) == 18 + 2 * STEPS - 15


def test_across_speaks_json_and_names_both_sides(
    tmp_path: Path, runs: list[Run], other: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("across", tmp_path / "runs", "--data", other.path, "--json") == 0
    matrix = said(capsys)["across"]
    assert matrix["corpora"] == ["made", "other"]
    home, away = matrix["cells"]
    assert (home["tested_on"], away["tested_on"]) == ("made", "other")
    assert home["change_uar"]["value"] is None
    assert away["change_uar"]["interval"]["low"] < away["change_uar"]["interval"]["high"]
    assert away["notes"] == ["Pictures were brought from 24 to 16 pixels."]
    assert run("across", tmp_path / "runs", "--data", other.path) == 0
    assert "UAR (%) across corpora" in capsys.readouterr().out
    assert len(other.openings()) == 2
    assert "is not a store" in refused(capsys, "across", tmp_path / "runs", "--data", tmp_path / "runs")


@pytest.mark.long
def test_noise_writes_its_gallery(tmp_path: Path, runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "doubts.html"
    assert run("noise", tmp_path / "runs", "--page", page, "--json") == 0
    issues = said(capsys)["issues"]
    assert issues["n"] == 140
    assert issues["share"]["interval"]["low"] <= issues["share"]["value"] <= issues["share"]["interval"]["high"]
    assert "<img" in page.read_text(encoding="utf-8")
    assert run("noise", tmp_path / "runs", "--page", page, "--no-faces") == 0
    assert "look at the faces before you trust it" in " ".join(capsys.readouterr().out.split())
    assert "<img" not in page.read_text(encoding="utf-8")
    assert "cannot be written" in refused(capsys, "noise", tmp_path / "runs", "--page", tmp_path / "no" / "page.html")
    (tmp_path / "thesis.html").write_text("<p>mine</p>")
    assert "is there already and is no page of mien's" in refused(
        capsys, "noise", tmp_path / "runs", "--page", tmp_path / "thesis.html"
    )
    assert (tmp_path / "thesis.html").read_text() == "<p>mine</p>"
    assert run("noise", tmp_path / "runs") == 0
    assert (tmp_path / "runs-doubts.html").is_file()


@pytest.mark.long
def test_compare_examines_what_it_trained(
    tmp_path: Path, home: Store, runs: list[Run], other: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs are planned as they were made, so that nothing is trained here."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[grid]\n"seed" = [0, 1]\n', encoding="utf-8")
    command = ["compare", recipe, "--data", home.path, "--runs", tmp_path / "runs", "--out", tmp_path / "report"]
    command += [part for flag in FLAGS for part in ("--set", flag)]
    command += ["--examine", "--across", other.path, "--no-faces", "--json"]
    assert run(*command) == 0
    json.loads(capsys.readouterr().out)
    for one in runs:
        assert (one.path / "robustness.npz").exists()
        (one.path / "model.safetensors").unlink()
    assert run(*command) == 0
    capsys.readouterr()
    assert len(other.openings()) == 2
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "against those of compact-s, which has 100" in text
    assert "made → other" in text
    assert "<img" not in text


def test_compare_refuses_before_it_trains(
    tmp_path: Path, home: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*_: object, **__: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("mien.engines.local.LocalEngine.finish", trained)
    command = ["compare", "demo", "--data", home.path, "--runs", tmp_path / "new", "--set", "train.epochs=1"]
    command += ["--set", 'model.name=["compact-s"]', "--set", "model.head=gap"]
    assert "no network 'vgg99'" in refused(capsys, *command, "--baseline", "vgg99")
    assert "is not a store" in refused(capsys, *command, "--across", tmp_path)
    assert "is not a folder of runs" in refused(capsys, *command, "--noise-runs", tmp_path / "nowhere")


def test_report_shows_what_lies_beside_or_refuses(
    tmp_path: Path, home: Store, runs: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    start = ("report", tmp_path / "runs", "--out", tmp_path / "page")
    assert "no network 'vgg99'" in refused(capsys, *start, "--baseline", "vgg99")
    assert "do not differ in data.label_noise" in refused(capsys, *start, "--noise-runs", tmp_path / "runs")
    assert "runs of the same data" in refused(capsys, *start, "--across-runs", tmp_path / "runs")
    assert not (tmp_path / "page").exists()
    (runs[0].path / "robustness.npz").write_bytes(b"nonsense")
    assert run(*start) == 1
    assert "robustness.npz is damaged" in capsys.readouterr().err
    assert "robustness.npz is damaged" in (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    (runs[0].path / "robustness.npz").unlink()
    assert run(*start) == 0
    assert "Not measured" in (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
