"""`mien compare` and `mien report`, as a user gives them: what they print, what they leave, their exit codes."""

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import corpora_made as made
from conftest import SIZE, TINY, Bars, plan_run
from mien.cli import compare as verbs
from mien.cli import main
from mien.compare import Comparison
from mien.data import prepare
from mien.data.store import Store
from mien.errors import RunBusy
from mien.judge.table import build_table
from mien.report import as_json
from mien.report.conditions import differences, progress_words
from mien.report.markdown import as_markdown
from mien.runs import Run, find_runs
from mien.stages import finish_run

pytestmark = pytest.mark.usefixtures("plain_figures")

RECIPE = """
[grid]
"model.name" = ["compact-s"]
"model.dropout" = [0.0, 0.2]
[model]
width = 0.25
[train]
epochs = 2
batch_size = 16
micro_batch = 8
[optimizer]
lr = 3e-3
"""


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def here(tmp_path: Path, bars: Bars, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.toml and a store, to work in."""
    bars()
    (tmp_path / "tiny.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mien", "compare", "tiny.toml", "--data", "store"])
    return tmp_path


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of its table and its sentences, without the figures that take seconds."""

    def write(comparison: Comparison, out: Path, *, command: str, **_: Any) -> Path:
        out.mkdir(exist_ok=True)
        (out / "table.md").write_text(as_markdown(build_table(comparison)))
        sentences = [command, progress_words(comparison), *differences(comparison)]
        (out / "report.html").write_text("\n".join(sentences))
        (out / "report.json").write_text(json.dumps(as_json(comparison)))
        return out / "report.html"

    monkeypatch.setattr("mien.report.write_report", write)


Inline = list[str]
Captured = pytest.CaptureFixture[str]


# What it does


def test_a_recipe_becomes_runs_and_a_report_and_again_the_same(here: Path, inline: Inline, capsys: Captured) -> None:
    assert run("compare", "tiny.toml", "--data", "store", "--no-faces") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "Report: report/report.html"
    assert "compact-s" in out
    runs = find_runs("runs")
    assert [r.record.status for r in runs] == ["finished", "finished"]
    assert err.splitlines() == [f"{i + 1} of 2 runs: {r.id} finished" for i, r in enumerate(ordered(runs))]
    files = sorted(path for path in (here / "report").rglob("*") if path.is_file())
    assert {"report.html", "table.tex", "table.md", "table.csv", "costs.svg"} <= {path.name for path in files}
    contents = [path.read_bytes() for path in files]
    times = {path: path.stat().st_mtime_ns for path in (here / "runs").rglob("*") if path.is_file()}
    inline.clear()
    assert run("compare", "tiny.toml", "--data", "store", "--no-faces") == 0
    assert inline == [], "the same command again trains nothing"
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert [path.read_bytes() for path in files] == contents


def ordered(runs: Any) -> list[Any]:
    return sorted(runs, key=lambda r: r.settings.model.dropout)


@pytest.mark.long
@pytest.mark.usefixtures("light")
def test_a_wider_grid_trains_what_is_new(here: Path, inline: Inline) -> None:
    assert run("compare", "tiny.toml", "--data", "store", "--no-faces") == 0
    inline.clear()
    assert run("compare", "tiny.toml", "--data", "store", "--no-faces", "--set", "seed=[0, 1]") == 0
    assert inline == ["finish 1"] * 2


@pytest.mark.usefixtures("light")
def test_json_is_all_there_is_on_stdout(here: Path, inline: Inline, capsys: Captured) -> None:
    assert run("compare", "tiny.toml", "-d", "store", "--no-faces", "--json", "-s", "model.dropout=[0.0]") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == "report/report.html"
    (row,) = said["rows"]
    assert row["name"] == "compact-s"
    assert row["runs"] == [r.id for r in find_runs("runs")]
    assert 0 <= row["figures"]["accuracy"]["mean"] <= 1
    assert run("report", "--no-faces", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == said["rows"]


@pytest.mark.usefixtures("light")
def test_a_report_while_runs_are_to_come(here: Path, inline: Inline, capsys: Captured) -> None:
    store = Store.open("store")
    runs = [plan_run(here / "runs", store, seed=seed, train__epochs=1) for seed in range(3)]
    assert run("report", "runs", "--no-faces") == 0
    assert "0 of 3 runs are finished, 3 are still to come" in (here / "report/report.html").read_text()
    finish_run(runs[0])
    assert run("report", "runs", "--no-faces") == 0
    assert "1 of 3 runs are finished, 2 are still to come" in (here / "report/report.html").read_text()
    assert "2 runs not finished yet" in (here / "report/table.md").read_text()


@pytest.mark.long
@pytest.mark.usefixtures("light")
def test_a_report_names_the_commands_that_made_its_runs(here: Path, inline: Inline) -> None:
    for seed in (0, 1, 1):
        sys.argv = ["mien", "compare", "tiny.toml", "-s", f"seed={seed}", "my dir"]
        assert run("compare", "tiny.toml", "-d", "store", "--no-faces", "-s", f"seed={seed}") == 0
    sys.argv = ["mien", "report"]
    assert run("report", "--no-faces") == 0
    page = (here / "report/report.html").read_text()
    lines = [f"mien compare tiny.toml -s seed={seed} 'my dir'" for seed in (0, 1)]
    assert page.startswith("\n".join(lines))
    assert "mien report" not in page


@pytest.mark.usefixtures("light")
def test_differences_have_to_be_named_in_a_report(here: Path, inline: Inline, capsys: Captured) -> None:
    store = Store.open("store")
    for rate in (0.001, 0.002):
        plan_run(here / "runs", store, optimizer__lr=rate)
    assert run("report") == 2
    told = flat(capsys.readouterr().err)
    assert "optimizer.lr differs (0.00" in told
    assert "Pass --vary optimizer.lr to state it" in told
    assert run("report", "--vary", "optimizer.lr", "--no-faces") == 0
    assert run("report", "--vary", "optimizer.ir") == 2
    assert "Did you mean 'optimizer.lr'?" in flat(capsys.readouterr().err)


@pytest.mark.usefixtures("light")
def test_what_a_recipe_gives_one_network_needs_no_naming(here: Path, inline: Inline) -> None:
    (here / "own.toml").write_text(RECIPE + '[networks.vgg_paper]\n"optimizer.lr" = 1e-3\n')
    command = ("compare", "own.toml", "-d", "store", "--no-faces", "-s", "model.dropout=0.0", "-s", "train.epochs=1")
    assert run(*command, "-s", "model.name=['compact-s', 'vgg_paper']") == 0
    assert "optimizer.lr follows the network" in (here / "report/report.html").read_text()


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


# Where the data comes from


@pytest.mark.long
@pytest.mark.usefixtures("light")
def test_a_folder_of_pictures_is_imported_on_the_way(here: Path, inline: Inline, capsys: Captured) -> None:
    corpus = made.folders(here / "photos", each=4)
    command = ("compare", "tiny.toml", "-d", corpus, "-c", "folder", "--no-faces", "-s", "data.valid_fraction=0.25")
    assert run(*command) == 0
    (store,) = (here / "runs/store").iterdir()
    assert Store.open(store).meta.count == 56
    assert f"Imported 56 faces into runs/store/{store.name}" in capsys.readouterr().err
    inline.clear()
    assert run(*command) == 0
    assert inline == []
    assert f"its store runs/store/{store.name} is used" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.usefixtures("light")
def test_rafdb_stands_beside_the_paper(here: Path, inline: Inline, capsys: Captured) -> None:
    made.rafdb(here / "RAF-DB", each=4)
    (here / "paper-like.toml").write_text(RECIPE.replace("compact-s", "resnet34"))
    command = ("compare", "paper-like.toml", "-d", "RAF-DB", "-c", "rafdb", "--no-faces", "-s", "train.epochs=1")
    assert run(*command, "-s", "data.valid_fraction=0.25") == 0
    assert "ResNet-34, as the paper has it" in (here / "report/table.md").read_text()
    assert "ResNet-34" in capsys.readouterr().out


@pytest.mark.usefixtures("light")
def test_without_recipe_and_data_faces_are_drawn(here: Path, inline: Inline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "DRAWN_FACES", 80)
    assert (
        run("compare", "--no-faces", "-s", "model.name=compact-s", "-s", "train.epochs=1", "-s", "model.dropout=0.0")
        == 0
    )
    (only,) = find_runs("runs")
    assert only.data.corpus == "drawn"
    assert sum(only.data.counts.values()) == 80
    assert only.settings.train.batch_size == 64, "the recipe is demo"


def test_a_stopped_drawing_leaves_nothing_half(
    here: Path, inline: Inline, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def stopped(items: Any, what: str, total: int) -> Any:
        for number, item in enumerate(items):
            yield item
            if number == 20:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(verbs, "DRAWN_FACES", 80)
    monkeypatch.setattr(prepare, "track", stopped)
    command = ("compare", "--no-faces", "-s", "model.name=compact-s", "-s", "train.epochs=1", "-s", "model.dropout=0.0")
    assert run(*command) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert list((here / "runs/store").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setattr(verbs, "DRAWN_FACES", 80)
    assert draw_only() == 80


def draw_only() -> int:
    return len(verbs.store_of(None, None, Path("runs")))


def test_a_bad_picture_says_how_to_leave_it_out(here: Path, inline: Inline, capsys: Captured) -> None:
    corpus = made.folders(here / "photos", each=2)
    (corpus / "train/happy/broken.png").write_bytes(b"not a picture")
    assert run("compare", "tiny.toml", "-d", corpus, "-c", "folder") == 2
    said = flat(capsys.readouterr().err)
    assert "broken.png" in said
    assert f"mien data prepare {corpus} -c folder --skip-bad --out STORE" in said
    assert not list((here / "runs/store").iterdir())


# What it refuses, before anything starts


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["papper", "-d", "store"], "There is no recipe 'papper'. Those that come with mien: classical, demo"),
        (["tiny.toml", "-d", "nowhere"], "nowhere is not a store"),
        (["tiny.toml", "-d", "photos"], "photos is not a store. If it is a corpus, say of which kind: --corpus"),
        (["tiny.toml", "-c", "folder"], "--corpus folder needs --data"),
        (["tiny.toml", "-d", "photos", "-c", "foldr"], "'foldr'"),
        (["tiny.toml", "-d", "nowhere", "-c", "folder"], "nowhere does not exist"),
        (["tiny.toml", "-d", "store", "-s", "train.epochs=many"], "train.epochs is a whole number; got 'many'."),
        (["tiny.toml", "-d", "store", "-s", "train.epoch=3"], "no setting 'train.epoch'. Did you mean 'train.epochs'?"),
        (["tiny.toml", "-d", "store", "-s", "train.epochs"], "An override is KEY=VALUE"),
        (["tiny.toml", "-d", "store", "-s", "optimizer.lr=[0.1, 1000]"], "optimizer.lr is 0 to 100; got 1000."),
        (["tiny.toml", "-d", "store", "-s", "model.name=resnet43"], "model.name is 'resnet43'; it must be one of"),
        (["tiny.toml", "-d", "store", "-s", "model.name=vgg16"], "Faces of 16x16 px are too small"),
        (["tiny.toml", "-d", "store", "-s", "data.protocol=loso"], "needs the subject of every sample"),
        (["tiny.toml", "-d", "store", "--runs", "tiny.toml"], "Cannot write into tiny.toml (Not a directory)"),
        (["tiny.toml", "-d", "store", "--sett", "x"], "--sett"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    here: Path, inline: Inline, arguments: list[str], says: str, capsys: Captured
) -> None:
    made.save(here / "photos/train/happy/1.png", 1)
    assert run("compare", *arguments) == 2
    out, err = capsys.readouterr()
    assert says in flat(err)
    assert out == ""
    assert "Traceback" not in err
    assert inline == []
    assert not (here / "runs").exists() or not any((here / "runs").rglob("config.toml"))


def test_a_bad_recipe_is_refused_before_a_corpus_is_imported(here: Path, inline: Inline) -> None:
    corpus = made.folders(here / "photos", each=2)
    assert run("compare", "tiny.toml", "-d", corpus, "-c", "folder", "-s", "optimizer.lr=1000") == 2
    assert not (here / "runs").exists()


def test_a_report_that_cannot_be_written_is_one_sentence(here: Path, inline: Inline, capsys: Captured) -> None:
    plan_run(here / "runs", Store.open("store"))
    assert run("report", "--out", "tiny.toml") == 2
    assert "The report tiny.toml cannot be written" in capsys.readouterr().err
    assert run("report", "nowhere") == 2
    assert "nowhere is not a folder of runs" in capsys.readouterr().err


def test_a_run_under_way_elsewhere_is_refused(here: Path, inline: Inline, capsys: Captured) -> None:
    (busy,) = [plan_run(here / "runs", Store.open("store"), train__epochs=2)]
    settings = [
        f"{key}={json.dumps(value)}" for key, value in (TINY | {"train.epochs": 2, "model.dropout": 0.0}).items()
    ]
    with busy.lock():
        assert run("compare", "tiny.toml", "-d", "store", *(word for s in settings for word in ("-s", s))) == 2
    assert f"Another process works in runs/{busy.id}. Wait for it or stop it" in flat(capsys.readouterr().err)


@pytest.mark.usefixtures("light")
def test_a_failed_run_leaves_exit_code_1_and_its_reason(here: Path, inline: Inline, capsys: Captured) -> None:
    command = ("compare", "tiny.toml", "-d", "store", "--no-faces", "-s", "model.dropout=0.0", "-s", "train.epochs=9")
    command = (
        *command,
        "-s",
        "optimizer.name=sgd",
        "-s",
        "optimizer.momentum=0.99",
        "-s",
        "optimizer.lr=[1e-3, 100.0]",
    )
    assert run(*command) == 1
    failed = next(r for r in find_runs("runs") if r.record.status == "failed")
    out, err = capsys.readouterr()
    assert f"2 of 2 runs: {failed.id} failed" in err
    assert "loss became" in flat(out)
    assert "Lower optimizer.lr" in (here / "report/table.md").read_text()
    inline.clear()
    assert run(*command) == 1
    assert inline == [], "the same settings would only fail again"


# Help


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        (
            "compare",
            ["mien compare paper --data RAF-DB/ --corpus rafdb", "-s 'optimizer.lr=[1e-4,1e-3]'", "group-kfold"],
        ),
        ("report", ["mien report RUNS --vary optimizer.lr"]),
    ],
)
def test_help_teaches_by_examples_that_fit_80_columns(
    verb: str, says: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(verb, "--help") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for words in says:
        assert any(words in line for line in lines), words
    shown = [line.removeprefix("mien ") for line in lines if line.startswith("mien ")]
    assert len(shown) >= 3


# From outside


def mien(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


LONG = ("compare", "tiny.toml", "-d", "store", "--no-faces", "-s", "model.dropout=[0.2]", "-s", "optimizer.ema=0.9")


def wait_until_free(run: Run) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with run.lock():
                return
        except RunBusy:
            assert time.monotonic() < deadline, "an orphan goes on training"
            time.sleep(0.1)


def stop_and_go_on(here: Path, number: signal.Signals, after: float, epochs: int, *, group: bool) -> None:
    """Signal `mien compare` a while after its training started, give the command again, look at the bytes."""
    command = (*LONG, "-s", f"train.epochs={epochs}")
    process = mien(*command, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list((here / "runs").glob("*/history.csv")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(after)
    os.killpg(process.pid, number) if group else process.send_signal(number)
    out, err = process.communicate(timeout=120)
    (stopped,) = find_runs("runs")
    assert out == ""
    if number == signal.SIGKILL:
        assert (process.returncode, err) == (-signal.SIGKILL, "")
        wait_until_free(stopped)
    else:
        assert process.returncode == 130
        assert err == "mien: Interrupted. What was finished is kept; the same command goes on from there.\n"
    assert not stopped.finished
    assert (stopped.path / "checkpoint.safetensors").exists()
    process = mien(*command)
    process.communicate(timeout=300)
    assert process.returncode == 0
    changes = {key.replace(".", "__"): value for key, value in stopped.settings.flat().items()}
    undisturbed = plan_run(here / "undisturbed", Store.open("store"), **changes)
    finish_run(undisturbed)
    assert undisturbed.id == stopped.id
    for name in ("model.safetensors", "history.csv", "logits.npz"):
        assert (stopped.path / name).read_bytes() == (undisturbed.path / name).read_bytes(), name


@pytest.mark.long
def test_ctrl_c_saves_and_the_same_command_goes_on(here: Path) -> None:
    """As a terminal sends it: to every process of the group."""
    stop_and_go_on(here, signal.SIGINT, 0.0, 25, group=True)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("group", [True, False])
def test_any_signal_at_any_moment(here: Path, number: signal.Signals, group: bool) -> None:
    chance = random.Random(number + group)
    stop_and_go_on(here, number, chance.uniform(0, 1), 300, group=group)


@pytest.mark.long
def test_a_killed_command_leaves_no_orphan_that_trains(here: Path) -> None:
    stop_and_go_on(here, signal.SIGKILL, 0.0, 200, group=False)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.5, 1.5, 3.0, 4.5, 6.0, 8.0])
def test_a_signal_before_training_leaves_no_traceback(here: Path, seconds: float) -> None:
    """While it or the process of its run loads its libraries."""
    process = mien(*LONG, "-s", "train.epochs=3000", start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT)
    assert seconds < 2 or "Traceback" not in err
    assert not [path for path in here.rglob(".*") if "partial" in path.name]


@pytest.mark.long
def test_a_terminal_sees_bars_on_stderr_and_the_table_on_stdout(here: Path) -> None:
    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "mien", *LONG]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        seen = b""
        try:
            while block := os.read(leader, 4096):
                seen += block
        except OSError:
            pass  # Linux says so when the other end of a terminal closes
        assert process.stdout is not None
        assert b"Report: report/report.html" in process.stdout.read()
    assert process.returncode == 0
    assert b"grid of 1" in seen
    assert b"images/s" in seen


def test_the_store_is_small() -> None:
    assert SIZE == 16, "the recipe above is meant for it"
