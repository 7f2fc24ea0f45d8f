"""Whatever is damaged, a command ends with 0, 1 or 2 and in sentences: never in a traceback.

Cases are drawn from seeds (`damage.py`); the quick tests take some of each kind, the long ones thousands, with those of
`test_damaged_media.py` more than 10,000. A failure names the kind, the seed and the damage, so that it can be repeated:
`python tests/test_damage.py KIND SEED 1 FOLDER`.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import test_damaged_media
from apart import end, in_a_process, needs_proc, trying
from damaged_things import KINDS, base
from mien import train as loop
from mien.cli import main
from mien.config import parse_overrides, read_recipe
from mien.errors import MienError, RunError
from mien.mirror import Mirror
from mien.runs import Run

QUICK, BATCH = 5, 200
"""Cases of each kind in the quick tests; of a process in the long ones."""
BATCHES = {"runs": 2, "begun runs": 3, "stores": 2, "recipes": 3, "overrides": 3, "cards": 4, "tables": 3, "arrays": 3}
BATCHES |= {"searches": 1, "lists": 2, "mirrors": 2, "sheets": 2, "clips": 2, "planes": 2, "starts": 2}
"""Of the long tests: fewer of those kinds that several slow commands read."""


class Planned(MienError):
    """All was accepted, and would now be trained."""


# The tries


def attempt(arguments: Sequence[str]) -> int:
    """The exit code of a command; whatever is no exit goes through to the test."""
    try:
        if arguments[0] == "resume":
            resume(Path(arguments[1]))
            return 0
        if arguments[0] == "pull":
            run, url, cache = arguments[1:]
            Mirror(url, Path(cache)).pull(Run.open(run))
            return 0
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    except MienError:
        return 2
    raise AssertionError("the command did not exit")


def resume(path: Path) -> None:
    """What a process that goes on with a run reads, up to its first step."""
    run = Run.open(path)
    if run.record.status == "running":
        fold = run.fold()
        loop._start(run, fold.train, torch.device("cpu"), ())


def try_case(kind: str, seed: int, whole: Path, copy: Path) -> None:
    shutil.copytree(whole, copy)
    rng = np.random.default_rng([seed, *kind.encode()])
    what, commands = KINDS[kind](copy, rng)
    with trying(kind, seed, what):
        for command in commands:
            try:
                code = attempt(command)
            except Exception as error:
                raise AssertionError(f"{kind} {seed} ({what}): {' '.join(command)[:200]} ended in {error!r}") from error
            assert code in (0, 1, 2), f"{kind} {seed} ({what}): {command} ended with {code}"
    shutil.rmtree(copy)


def try_cases(kind: str, first: int, count: int, folder: Path) -> None:
    """`count` cases of a kind; what the commands print goes nowhere, and warnings are errors, as in all tests."""
    make_swift(pytest.MonkeyPatch())
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        whole = base(folder / "whole")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for seed in range(first, first + count):
                try_case(kind, seed, whole, folder / "copy")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without training, figures, and most draws of the bootstrap: what is tested is what is read."""
    make_swift(monkeypatch)
    return


def make_swift(patch: pytest.MonkeyPatch) -> None:
    from mien.engines import local
    from mien.examine import examined, labelnoise
    from mien.judge import calibration, redrawn
    from mien.report import as_json

    def planned(*_: object, **__: object) -> None:
        raise Planned("all would be trained")

    def present(comparison: Any, given: Any, *_: object, **__: object) -> None:
        as_json(comparison, given)

    patch.setattr(local.LocalEngine, "finish", planned)
    patch.setattr("mien.cli.compare.present", present)
    patch.setattr("gc.collect", lambda: 0)  # statsmodels calls it with each correction
    for module, name in ((labelnoise, "ISSUE_DRAWS"), (redrawn, "DRAWS"), (examined, "DRAWS"), (calibration, "DRAWS")):
        patch.setattr(module, name, 20)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_ends_in_sentences(kind: str, whole: Path, tmp_path: Path, swift: None) -> None:
    for seed in range(2 if kind == "stores" else QUICK):  # each store is opened by several commands
        try_case(kind, seed, whole, tmp_path / str(seed))


@pytest.mark.long
@needs_proc
@pytest.mark.parametrize(("kind", "batch"), [(kind, batch) for kind in KINDS for batch in range(BATCHES[kind])])
def test_damage_of_every_kind_ends_in_sentences(kind: str, batch: int, tmp_path: Path) -> None:
    in_a_process(__file__, kind, QUICK + batch * BATCH, BATCH, tmp_path, tries=BATCH)


def test_the_long_tests_try_ten_thousand() -> None:
    damaged_media = len([*test_damaged_media.PICTURES, *test_damaged_media.VIDEOS]) * test_damaged_media.LONG
    assert BATCHES.keys() == KINDS.keys()
    assert sum(BATCHES.values()) * BATCH + damaged_media >= 10_000


def test_what_is_whole_is_accepted(whole: Path, tmp_path: Path, swift: None) -> None:
    """So that the tests above mean something: without damage every command does its work."""
    folder = tmp_path / "copy"
    shutil.copytree(whole, folder)
    for path in sorted((folder / "runs").glob("*/record.json")):
        assert attempt(["info", str(path.parent)]) == 0
    assert attempt(["report", str(folder / "runs"), "--out", str(folder / "out")]) == 0
    assert attempt(["robustness", str(folder / "runs")]) == 0
    assert attempt(["data", "info", str(folder / "bars")]) == 0
    resume(next((folder / "begun").iterdir()))
    assert len(list(read_recipe(str(folder / "recipe.toml")).cells())) == 4
    for corpus, name in (("csv", "listed"), ("fer2013", "fer2013"), ("ferplus", "ferplus"), ("npz", "arrays.npz")):
        assert attempt(["data", "prepare", str(folder / name), "-c", corpus, "-o", str(folder / f"{name}-store")]) == 0


# What no chance would find


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed=" + "9" * 5000, "more digits than can be read"),
        ("seed=" + "9" * 400, "got a number of 400 digits"),
        ("optimizer.lr=" + "9" * 400, "got a number of 400 digits"),
        ("train.sizes=" + "[" * 4000, "in each other more than 100 deep"),
        ("train.sizes=" + "[" * 200 + "]" * 200, "in each other more than 100 deep"),
        ("train.sizes=" + "x" * 20_000, "at most 10,000 are read"),
        ("train.sizes=[" + "9" * 400 + "]", "train.sizes holds numbers of 8 to 1024"),
        ("model.name=" + "x" * 3000, "has at most 100 letters"),
        ("x" * 3000 + "=1", "There is no setting"),
        ("x" * 3000, "An override is KEY=VALUE"),
    ],
    ids=lambda text: text[:20],
)
def test_overrides_out_of_measure(text: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert attempt(["compare", "fast", "--runs", str(tmp_path / "runs"), "--set", text]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert len(said) < 1500
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 30_000, "in each other more than 100 deep"),
        ("[" + ".".join("a" * 30_000) + "]", "in each other more than 100 deep"),
        ("a = " + "9" * 5000, "more digits than can be read"),
        ("#" * 100_000, "it has more than 65,536 bytes"),
        ('[grid]\n"seed" = [' + "0," * 500 + "]\n" + '"optimizer.lr" = [' + "1," * 500 + "]", "250,000 runs"),
        ("\0", "Invalid statement"),
    ],
    ids=["brackets", "dots", "digits", "size", "cells", "nul"],
)
def test_recipes_out_of_measure(text: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.toml").write_text(text)
    assert attempt(["compare", str(tmp_path / "r.toml"), "--runs", str(tmp_path / "runs")]) == 2
    said = capfd.readouterr().err
    assert says in said
    assert len(said) < 1000
    assert not (tmp_path / "runs").exists()


def test_a_damaged_run_is_left_out_of_the_report_and_the_rest_is_shown(
    whole: Path, tmp_path: Path, swift: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.compare import collect
    from mien.report.conditions import progress_words
    from mien.runs import find_runs

    shutil.copytree(whole / "runs", tmp_path / "runs")
    first, second = sorted(path.parent for path in (tmp_path / "runs").glob("*/record.json"))
    for name in ("logits.npz", "history.csv", "env.json", "record.json", "peeking.csv"):
        kept = (first / name).read_bytes()
        (first / name).write_bytes(kept[:-9] + b"?")
        comparison = collect(find_runs(tmp_path / "runs"))
        reasons = [reason for row in comparison.rows for reason in row.failures]
        assert [run.id for run in comparison.runs] == [second.name]
        assert len(reasons) == 1
        assert f"{first / name} is damaged" in reasons[0]
        (first / name).write_bytes(kept)
    (first / "data.json").write_bytes(b"{}")
    left_out: list[str] = []
    comparison = collect(find_runs(tmp_path / "runs", left_out), left_out=left_out)
    assert [run.id for run in comparison.runs] == [second.name]
    assert f"{first / 'data.json'} is damaged (Object missing required field" in progress_words(comparison, left_out)
    with pytest.raises(RunError, match=r"data\.json is damaged"):
        find_runs(tmp_path / "runs")


def test_overrides_that_are_fine_stay_fine() -> None:
    assert parse_overrides(["train.sizes=[16, 24]", "model.name=vgg16"]) == {
        "train.sizes": [16, 24],
        "model.name": "vgg16",
    }


if __name__ == "__main__":
    try_cases(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    end()
