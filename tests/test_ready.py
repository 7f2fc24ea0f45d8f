"""What `mien compare` refuses is refused before anything is written: no run folder, no command, no report."""

import os
import re
import shutil
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

import corpora_made as made
from conftest import Bars, plan_run
from mien.cli import main, ready
from mien.data.store import Store
from mien.errors import DataError, MissingExtra
from mien.space import bytes_needed, weight_bytes

RECIPE = """
[grid]
"model.dropout" = [0.0, 0.2]
[model]
name = "compact-s"
width = 0.25
[train]
epochs = 1
batch_size = 16
"""


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def here(tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.toml, two stores and some runs of another store."""
    store, other = bars("store"), bars("other", noise_split="test")
    plan_run(tmp_path / "others-runs", other)
    plan_run(tmp_path / "same-runs", store)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mien", "compare", "tiny.toml", "--data", "store"])
    return tmp_path


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--baseline", "foo"], "There is no network 'foo' to be the baseline; there are: compact-s, no dropout"),
        (["--across", "nope"], "nope"),
        (["--across", "empty"], "empty"),
        (["--noise-runs", "nope"], "nope is not a folder of runs"),
        (["--noise-runs", "same-runs"], "do not differ in data.label_noise"),
        (["--across-runs", "nope"], "nope is not a folder of runs"),
        (["--across-runs", "same-runs"], "holds runs of the same data"),
        (["--out", "tiny.toml"], "The report tiny.toml cannot be written (Not a directory)"),
        (["--out", "tiny.toml/page"], "The report tiny.toml/page cannot be written"),
        (["--out", "store"], "it is a store of faces"),
        (["--runs", "store"], "Cannot write into store (it is a store of faces)"),
        (["--runs", "tiny.toml"], "Cannot write into tiny.toml (Not a directory)"),
        (["--runs", "tiny.toml/runs"], "Cannot write into tiny.toml/runs"),
        (["-s", "model.name=vgg16"], "too small"),
    ],
)
def test_a_refused_comparison_leaves_nothing(
    here: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(here)
    assert run("compare", "tiny.toml", "-d", "store", *arguments) == 2
    out, err = capsys.readouterr()
    assert says in " ".join(err.split())
    assert out == ""
    assert "Traceback" not in err
    assert everything(here) == before


@pytest.mark.parametrize("name", ["report.html", "table.tex", "methods.md"])
def test_a_folder_in_the_place_of_a_file_of_the_report_is_seen_first(here: Path, name: str) -> None:
    (here / "page" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="is a folder"):
        ready.check_out(here / "page")


def test_a_file_in_the_place_of_a_folder_of_the_report_is_seen_first(here: Path) -> None:
    (here / "page").mkdir()
    (here / "page/figures").write_text("")
    with pytest.raises(DataError, match="is no folder"):
        ready.check_out(here / "page")


def test_a_folder_that_may_not_be_written_is_seen_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom no permission stops; so the disk says no."""

    def refuse(*_: object, **__: object) -> Iterator[None]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ready.tempfile, "TemporaryFile", refuse)
    with pytest.raises(DataError, match=r"page cannot be written \(Permission denied\)"):
        ready.check_out(here / "page")


def test_checking_leaves_nothing(here: Path) -> None:
    before = everything(here)
    ready.check_out(here / "deep/page")
    ready.check_runs_folder(here / "deep/runs")
    assert everything(here) == before


def test_too_little_disk_is_one_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 1000, 1000))
    before = everything(here)
    assert run("compare", "tiny.toml", "-d", "store") == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "runs has 0 MB free on its disk, and training 2 runs takes up to" in err
    assert everything(here) == before


def test_the_disk_counted_is_the_disk_taken(here: Path) -> None:
    planned = plan_run(here / "runs", Store.open("store"))
    from mien.data.splits import divide
    from mien.methods.network import load_network  # noqa: F401  (torch is there)
    from mien.models import build_on

    settings, classes, plane = planned.settings.model, len(planned.data.labels), planned.data.crop.plane
    network = build_on((plane,), settings, classes=classes)
    held = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    assert weight_bytes((plane,), settings, classes) == held
    assert divide(Store.open("store"), planned.settings.data)
    assert bytes_needed([planned]) < bytes_needed([planned, planned]) < bytes_needed([planned], keep_epochs=True) * 2
    assert bytes_needed([]) == 0


def test_missing_libraries_of_the_report_are_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "find_spec", lambda name: None if name == "cleanlab" else object())
    with pytest.raises(MissingExtra, match="mien\\[report\\]"):
        ready.check_libraries()


def test_a_class_without_test_faces_is_said_before_training(
    here: Path, capsys: pytest.CaptureFixture[str], inline: list[str]
) -> None:
    corpus = made.folders(here / "photos", each=4)
    shutil.rmtree(min((corpus / "test").iterdir()))
    arguments = ("-c", "folder", "-s", "data.valid_fraction=0.25", "--no-faces", "-s", "model.dropout=0.0")
    assert run("compare", "tiny.toml", "-d", corpus, *arguments) == 0
    err = " ".join(capsys.readouterr().err.split())
    warning = re.search(
        r"Warning: No test face is labelled \w+, so UAR, macro F1 and AUC are averages over the other", err
    )
    assert warning, err
    assert warning.start() < err.index("1 of 1 runs")
    assert "No test face is labelled" in (here / "report/table.md").read_text()
    assert "No test face is labelled" in (here / "report/methods.md").read_text()
    (store,) = (here / "runs/store").iterdir()
    assert run("data", "info", store) == 0
    assert "No test face is labelled" in capsys.readouterr().out
    assert os.path.exists(here / "report/report.html")
