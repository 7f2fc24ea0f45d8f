"""Whatever is damaged, a command ends with 0, 1 or 2 and in sentences: never in a traceback.

Cases are drawn from seeds (`damage.py`); the quick tests take some of each kind, the long ones thousands, with those of
`test_damaged_media.py` more than 10,000. A failure names the kind, the seed and the damage, so that it can be repeated:
`python tests/test_damage.py KIND SEED 1 FOLDER`.
"""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import corpora_made as made
import test_damaged_media
from apart import end, in_a_process, needs_proc, trying
from conftest import TINY, plan_run, write_bars
from damage import ODD_TEXTS, ODD_VALUES, damage_folder, damaged, damaged_bytes, damaged_json, pick, reseal
from made_runs import make_runs, make_store
from mien import checkpoint
from mien import train as loop
from mien.card import write_card
from mien.cli import main
from mien.config import parse_overrides, read_recipe
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import MienError, RunError
from mien.examine import away, robustness
from mien.examine.corruptions import CORRUPTIONS, SEVERITIES
from mien.explain import truth
from mien.labels import LabelSet
from mien.modelfile import entry
from mien.runs import Epoch, Run
from tiny_bundle import CARD, model_bytes

LABELS = LabelSet(("anger", "fear", "happiness"))
QUICK, BATCH = 5, 200
"""Cases of each kind in the quick tests; of a process in the long ones."""
BATCHES = {"runs": 2, "begun runs": 3, "stores": 2, "recipes": 3, "overrides": 3, "cards": 4, "tables": 3, "arrays": 3}
"""Of the long tests: fewer of those kinds that several slow commands read."""
RECIPE = """
description = "for tests"
[grid]
"seed" = [0, 1]
"model.dropout" = [0.0, 0.2]
[model]
name = "compact-s"
width = 0.25
[train]
epochs = 1
batch_size = 16
sizes = [16]
[optimizer]
lr = 3e-3
schedule = "onecycle"
[networks.compact-s]
"optimizer.ema" = 0.9
"""

Case = Callable[[Path, np.random.Generator], tuple[str, Sequence[Sequence[str]]]]
"""Damages a copy of the base folder; returns what was done, and the commands to try on it."""


class Planned(MienError):
    """All was accepted, and would now be trained."""


def base(folder: Path) -> Path:
    """One of each thing that mien reads back, small and whole."""
    store = make_store(folder / "store", train=30, test=21, labels=LABELS)
    other = make_store(folder / "other", train=6, test=12, corpus="other", labels=LABELS)
    runs = make_runs(folder / "runs", store, networks=("vgg16", "resnet34"), dropouts=(0.0,), epochs=3)
    for run in runs:
        keep_results(run, other)
    (folder / "runs" / "commands.txt").write_text("mien compare paper\n", encoding="utf-8")
    bars = write_bars(folder / "bars", soft=True, subjects=True)
    begun(plan_run(folder / "begun", bars, train__epochs=3), bars)
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    made.listed(folder / "listed")
    made.fer_csv(folder / "fer2013" / "fer2013.csv")
    made.ferplus(folder / "ferplus")
    made.npz(folder / "arrays.npz")
    return folder


def keep_results(run: Run, other: Store) -> None:
    """What `robustness`, `across`, `explain --truth` and `--teach peeking` would have kept."""
    test, rng = run.logits("test"), np.random.default_rng(0)
    said = rng.integers(0, 3, (len(CORRUPTIONS), len(SEVERITIES), len(test.ids)), np.uint8)
    whole = {"ids": test.ids, "labels": test.labels, "subjects": test.subjects}
    robustness.save(run, robustness.Robustness(**whole, clean=said[0, 0], predicted=said, corruptions=(*CORRUPTIONS,)))
    there = replace(test, ids=other.rows("test")[:12], **{k: getattr(test, k)[:12] for k in ("labels", "subjects")})
    path = run.path / f"{away.PREFIX}{other.meta.sha256[:12]}.npz"
    away._write(run, path, other, replace(there, logits=test.logits[:12]), copies=0)
    n, methods = len(test.ids), 2
    figures = truth.Grounding(
        **whole,
        chance=rng.random((3, 2, n), np.float32),
        unit_area=rng.random((4, n), np.float32),
        scores=rng.random((methods, 3, 2, n), np.float32),
        blank=np.zeros((methods, n), bool),
        units=rng.random((methods, 4, n), np.float32),
        methods=("gradcam", "occlusion"),
        action_units=(1, 2, 4, 12),
        layer="layer2",
    )
    truth._save(run, figures)
    (run.path / "peeking.csv").write_text("epoch,accuracy,uar,macro_f1\n1,0.4,0.4,nan\n2,0.5,0.5,0.5\n3,0.4,0.4,0.4\n")


def begun(run: Run, store: Store) -> None:
    """Leave the run at a checkpoint after its first epoch, with better weights that wait for the next."""
    fold = divide(store, run.settings.data)
    state = loop._new_state(run.settings, fold.train, torch.device("cpu"))
    weights = state.network.state_dict()
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    state.optimizer.step()
    figures = {"lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5, "valid_loss": 1.0, "valid_accuracy": 0.5}
    state.history, state.epoch = [Epoch(epoch=1, **figures)], 1
    checkpoint.save_tensors(run, checkpoint.NEXT, weights, {"epoch": "1"})
    checkpoint.save(run, state)
    checkpoint.save_tensors(run, checkpoint.NEXT, weights, {"epoch": "2"})
    run.write_history(state.history)


# The kinds


def of_runs(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    what = damage_folder(folder / "runs", rng)
    each = [["info", str(path)] for path in sorted((folder / "runs").iterdir()) if path.is_dir()]
    out = str(folder / "out")
    others = [
        ["report", str(folder / "runs"), "--out", out],
        ["robustness", str(folder / "runs")],
        ["noise", str(folder / "runs"), "--page", f"{out}.html"],
    ]
    return what, [*each, pick(others, rng)]


def of_stores(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    store = folder / "bars"
    what = damage_folder(store, rng)
    if rng.random() < 0.7:
        try:
            reseal(store)
            what += ", and sealed again"
        except (OSError, ValueError, TypeError, RecursionError):
            pass  # there is nothing to seal
    compared = ["compare", str(folder / "recipe.toml"), "-d", str(store), "--runs", str(folder / "new")]
    protocol = pick(["holdout", "kfold", "group-kfold", "loso"], rng)
    return what, [
        ["data", "info", str(store)],
        ["data", "audit", str(store), "--drop", "leaks", "--out", str(folder / "clean"), "--force"],
        [*compared, "--set", f"data.protocol={protocol}"],
    ]


def of_recipes(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    path = folder / "recipe.toml"
    what, content = damaged("recipe.toml", path.read_bytes(), rng)
    path.write_bytes(content)
    return what, [["compare", str(path), "-d", str(folder / "bars"), "--runs", str(folder / "new")]]


def of_overrides(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    key = pick([*TINY, "seed", "train.sizes", "data.fold", "data.split_seed", "model.stem", "model.nmae", ""], rng)
    value = str(pick(ODD_TEXTS if rng.random() < 0.5 else ODD_VALUES, rng)).replace("\0", "\\0")
    start = ["compare", str(folder / "recipe.toml"), "-d", str(folder / "bars"), "--runs", str(folder / "new")]
    return f"{key}={value[:40]}", [[*start, "--set", f"{key}={value}"]]


def of_cards(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    import hashlib

    model, text = model_bytes(), write_card(CARD).encode()
    what, card = damaged_json(text, rng) if rng.random() < 0.8 else damaged_bytes(text, rng)
    content = model + entry(b"mien", card)
    content += entry(b"mien.sha256", hashlib.sha256(content).hexdigest().encode())
    if rng.random() < 0.2:
        again, content = damaged_bytes(content, rng)
        what = f"{what}; {again}"
    path = folder / "model.onnx"
    path.write_bytes(content)
    return what, [["info", str(path)], ["info", str(path), "--json"]]


def of_tables(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    name, corpus = pick([("listed", "csv"), ("fer2013", "fer2013"), ("ferplus", "ferplus")], rng)
    path = pick(sorted((folder / name).rglob("*.csv")), rng)
    what, content = damaged(path.name, path.read_bytes(), rng)
    if rng.random() < 0.3:
        ending = pick([b"\r", b"\r\n", b"\n\r", b"\r\r\n"], rng)
        content, what = content.replace(b"\n", ending), f"{what}, lines end in {ending!r}"
    path.write_bytes(content)
    start = ["data", "prepare", str(folder / name), "-c", corpus, "-o", str(folder / "new"), "--force"]
    start += ["--limit", "3"] if rng.random() < 0.5 else []
    return f"{name}: {what}", [start, [*start, "--skip-bad"], [*start, "--skip-bad", "--labels", "own"]]


def of_arrays(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    path = folder / "arrays.npz"
    what, content = damaged(path.name, path.read_bytes(), rng)
    path.write_bytes(content)
    start = ["data", "prepare", str(path), "-c", "npz", "-o", str(folder / "new"), "--force"]
    return what, [start, [*start, "--skip-bad", "--labels", "own"]]


def of_begun_runs(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    return damage_folder(folder / "begun", rng), [["resume", str(next((folder / "begun").iterdir()))]]


KINDS: dict[str, Case] = {
    "runs": of_runs,
    "begun runs": of_begun_runs,
    "stores": of_stores,
    "recipes": of_recipes,
    "overrides": of_overrides,
    "cards": of_cards,
    "tables": of_tables,
    "arrays": of_arrays,
}


# The tries


def attempt(arguments: Sequence[str]) -> int:
    """The exit code of a command; whatever is no exit goes through to the test."""
    try:
        if arguments[0] == "resume":
            resume(Path(arguments[1]))
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
    first, second = sorted(path for path in (tmp_path / "runs").iterdir() if path.is_dir())
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
