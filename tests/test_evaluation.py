"""Model files on a labelled store: figures against plain counting and a run's own report; what is refused."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from made_runs import make_store
from mien.bundle import Bundle, seal
from mien.calibration import ece, softmax
from mien.classifier import fitted, logits_of
from mien.cli import main
from mien.compare import collect
from mien.config import NetworkSettings, override
from mien.crop import CropSpec
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.errors import CompareError, DataError, LabelError
from mien.examine.corruptions import CORRUPTIONS, corrupt
from mien.examine.damaging import stratified_faces
from mien.examine.evaluation import Evaluation, evaluate
from mien.examine.models import open_models
from mien.export import export
from mien.labels import SEVEN, LabelSet
from mien.report import as_json, judge_evaluation, write_evaluation
from mien.report.evaluated import as_facts
from mien.runs import Run
from mien.stages import finish_run
from tiny_bundle import CARD, model_bytes

pytestmark = pytest.mark.usefixtures("plain_figures")


def bundle(path: Path, seed: int = 0, **changes: object) -> Path:
    """A linear model of 16 px grey with random weights."""
    card = replace(CARD, run=f"linear-{seed:010}", **changes)  # type: ignore[arg-type]
    path.write_bytes(seal(model_bytes(card, seed), card))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", test=70, size=16)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Bundle]:
    return open_models([str(bundle(tmp_path / f"{name}.onnx", seed)) for seed, name in enumerate("ab")], threads=1)


def facts(evaluation: Evaluation) -> dict[str, Any]:
    return json.loads(json.dumps(as_facts(judge_evaluation(evaluation)), allow_nan=False))


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_figures_are_scikit_learns(models: dict[str, Bundle], store: Store) -> None:
    evaluation = evaluate(models, store)
    rows, found = store.rows("test"), facts(evaluation)
    truth = store.samples.label[rows]
    for row, calibration in zip(found["rows"], found["calibration"], strict=True):
        logits = logits_of(models[row["name"]], store, rows)
        answers = logits.argmax(axis=1)
        figures = row["figures"]
        assert figures["accuracy"]["mean"] == pytest.approx(accuracy_score(truth, answers))
        assert figures["uar"]["mean"] == pytest.approx(balanced_accuracy_score(truth, answers))
        assert figures["macro_f1"]["mean"] == pytest.approx(f1_score(truth, answers, average="macro"))
        assert figures["accuracy"]["low"] < figures["accuracy"]["mean"] < figures["accuracy"]["high"]
        assert calibration["after"]["ece"]["value"] == pytest.approx(ece(softmax(logits / 2.0), truth))
        assert np.sum(found["confusion"][row["name"]]) == len(rows)
    assert found["verdicts"][0]["method"] == "McNemar's exact test"
    assert [model["name"] for model in found["models"]] == ["a.onnx", "b.onnx"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small network after two epochs on drawn faces, which have subjects and groups."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    draw_store(folder / "drawn", count=600, size=24)
    store = Store.open(folder / "drawn")
    changes = {"model.name": "compact-s", "model.width": 0.25, "train.epochs": 2, "train.batch_size": 32}
    settings = override(NetworkSettings(), {**changes, "optimizer.lr": 0.01}).resolved(store.meta.crop)
    run = Run.create(folder / "runs", settings, store, divide(store, settings.data))
    finish_run(run)
    return Run.open(run.path)


def near(value: Any, other: Any, path: str = "") -> None:
    """Equal but for what float32 leaves open."""
    if isinstance(value, dict):
        assert value.keys() == other.keys(), path
        for key in value:
            near(value[key], other[key], f"{path}.{key}")
    elif isinstance(value, list):
        assert len(value) == len(other), path
        for i, (a, b) in enumerate(zip(value, other, strict=True)):
            near(a, b, f"{path}[{i}]")
    elif isinstance(value, float):
        assert value == pytest.approx(other, rel=2e-3, abs=2e-4), path
    else:
        assert value == other, path


@pytest.mark.long
def test_figures_of_an_exported_file_are_those_of_its_runs_report(trained: Run, tmp_path: Path) -> None:
    export(trained, tmp_path / "net.onnx")
    store = Store.open(trained.data.store)
    ours = facts(evaluate(open_models([str(tmp_path / "net.onnx")], threads=1), store))
    runs = as_json(collect([trained]))
    own, its = ours["rows"][0], runs["rows"][0]
    for key in ("accuracy", "uar", "macro_f1", "weighted_precision", "weighted_recall", "weighted_f1", "macro_auc"):
        near(own["figures"][key], its["figures"][key], key)
    assert own["figures"]["accuracy"]["mean"] == its["figures"]["accuracy"]["mean"]
    for key in ("recalls", "f1"):
        near(ours[key]["net.onnx"], runs[key]["compact-s"], key)
    near(ours["calibration"][0]["before"], runs["calibration"][0]["before"], "before")
    near(ours["calibration"][0]["after"], runs["calibration"][0]["after"], "after")
    near(ours["calibration"][0]["temperatures"], runs["calibration"][0]["temperatures"], "temperature")
    groups = [one["examined"]["places"][0]["groups"][0] for one in (ours, runs)]
    assert len(groups[0]["gaps"]) > 4
    near(*({**one, "name": ""} for one in groups), "groups")
    assert any("was trained on this store" in note for note in ours["notes"])


def test_damage_is_the_suite_on_the_same_faces_for_all(models: dict[str, Bundle], store: Store) -> None:
    steps: list[int] = []
    evaluation = evaluate(models, store, damage=True, limit=21, report=steps.append)
    first, second = evaluation.examined.damages
    assert sum(steps) == 2 * 5 * len(CORRUPTIONS)
    assert (first.n, first.baseline, second.baseline) == (21, "a.onnx", "a.onnx")
    assert first.mce.value == pytest.approx(1)
    faces = evaluation.rows[0].answers
    picked = stratified_faces(faces.labels, 21)
    shifted = corrupt("shift", store.read(faces.ids[picked])["face"], 3)
    answers = models["b.onnx"].logits(fitted({"face": shifted}, models["b.onnx"].takes)).argmax(axis=1)
    kind = first.corruptions.index("shift")
    assert second.accuracy[kind][2].value == pytest.approx((answers == faces.labels[picked]).mean())


def other_labels(path: Path, names: Sequence[str], *, split: str = "test") -> Store:
    draw = np.random.default_rng(3)
    with create_store(path, LabelSet(tuple(names)), CropSpec(size=24, channels=3, margin=0.1)) as writer:
        for i in range(60):
            image = draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            writer.add(Sample(label=i % len(names), split=split, source=f"{i}.png"), face=image)
        writer.finish(corpus="other", licence="made for tests")
    return Store.open(path)


def test_classes_are_matched_by_name_and_what_is_left_out_is_said(models: dict[str, Bundle], tmp_path: Path) -> None:
    other = other_labels(tmp_path / "other", ("Happy", "bored", "sad", "ang"))
    evaluation = evaluate({"a.onnx": models["a.onnx"]}, other)
    assert evaluation.comparison.data.labels == ("Happy", "sad", "ang")
    row = evaluation.rows[0]
    assert row.columns == tuple(SEVEN.index(name) for name in ("happiness", "sadness", "anger"))
    rows = np.flatnonzero(other.samples.label != 1)
    logits = logits_of(models["a.onnx"], other, rows)[:, [3, 5, 0]]
    np.testing.assert_array_equal(row.answers.logits, logits)
    np.testing.assert_array_equal(row.answers.labels, np.array([0, -1, 1, 2])[other.samples.label[rows]])
    said = " ".join(evaluation.notes)
    assert "Faces labelled bored are left out: a.onnx does not know that class." in said
    lacked = "disgust, fear, neutral, surprise"
    assert f"Classes that a.onnx cannot predict here, because the store lacks them: {lacked}." in said
    assert "a.onnx: Pictures were brought from 24 to 16 pixels." in said


def test_what_cannot_be_evaluated_is_refused_before_the_test_is_opened(
    models: dict[str, Bundle], store: Store, tmp_path: Path
) -> None:
    with pytest.raises(LabelError, match="fewer than two classes"):
        evaluate(models, other_labels(tmp_path / "few", ("happy", "bored", "awed")))
    valid = other_labels(tmp_path / "valid", ("happy", "sad"), split="valid")
    with pytest.raises(DataError, match=r"has no test part \(valid 60\). Pass --split all"):
        evaluate(models, valid)
    assert valid.openings() == []
    with pytest.raises(CompareError, match="are the same model"):
        open_models([str(tmp_path / "a.onnx"), str(tmp_path / "a.onnx")])


def test_the_opening_of_the_test_is_logged_with_the_models_names(models: dict[str, Bundle], store: Store) -> None:
    evaluate(models, store, "valid")
    assert store.openings() == []
    evaluate(models, store, "all")
    names = [who for _, who in store.openings()]
    assert [name.partition(" ")[0] for name in names] == ["a.onnx", "b.onnx"]
    assert all(models[name.partition(" ")[0]].card.sha256[:12] in name for name in names)


def test_models_that_know_these_faces_are_flagged(store: Store, tmp_path: Path) -> None:
    own = bundle(tmp_path / "own.onnx", 5, fingerprint=store.meta.sha256)
    alike = bundle(tmp_path / "alike.onnx", 6, corpus="made-ferplus")
    opened = open_models([str(own), str(alike)], threads=1)
    on_train = evaluate(opened, store, "train", trained_on=[store])
    said = " ".join(on_train.notes)
    assert "own.onnx was trained on this store, and its training used the part train" in said
    assert "alike.onnx was trained on made-ferplus" in said
    count = len(store.rows("train"))
    assert f"Of {count} faces, {count} are also in train or valid of store, and {count} have a source" in said
    assert on_train.examined.issues is None, "models that were trained on these labels cannot doubt them"
    on_test = evaluate(opened, store, "test", trained_on=[store])
    assert "own.onnx was trained on this store, without its test part" in " ".join(on_test.notes)
    assert "Of 70 faces, 0 are also in train" in " ".join(on_test.notes)


@pytest.mark.long
def test_weak_models_are_not_asked_to_doubt_labels(models: dict[str, Bundle], store: Store, tmp_path: Path) -> None:
    evaluation = evaluate(models, store)
    assert evaluation.examined.issues is not None
    assert evaluation.examined.issues.weak
    page = write_evaluation(judge_evaluation(evaluation), tmp_path / "out").read_text(encoding="utf-8")
    assert "Too weak to judge labels: 2 networks here agree with" in page
    assert "The most doubtful labels" not in page
    assert "noise-runs" not in page


def test_the_report_is_whole_and_shows_no_face_unless_it_may(
    models: dict[str, Bundle], store: Store, tmp_path: Path
) -> None:
    found = judge_evaluation(evaluate(models, store, damage=True, limit=14))
    page = write_evaluation(found, tmp_path / "out", command="mien evaluate a.onnx").read_text(encoding="utf-8")
    assert "a.onnx and b.onnx on made" in page
    assert "mien evaluate a.onnx" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<img" in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 70
    right = np.mean([row["a.onnx"] == row["label"] for row in rows])
    saved = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert right == pytest.approx(saved["rows"][0]["figures"]["accuracy"]["mean"])
    for name in (
        "tables/models.csv",
        "tables/recalls.csv",
        "robustness.csv",
        "differences.csv",
        "figures/roc.pdf",
    ):
        assert (tmp_path / "out" / name).stat().st_size, name
    bare = write_evaluation(found, tmp_path / "bare", faces=False).read_text(encoding="utf-8")
    assert "<img" not in bare


def test_the_command_prints_a_table_and_writes_the_report(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle(tmp_path / "a.onnx")
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", "a.onnx", "--data", "store", "--threads", 1) == 0
    out = capsys.readouterr().out
    assert "Accuracy" in out
    assert "Report: evaluation/evaluation.html" in out
    assert (tmp_path / "evaluation" / "evaluation.html").is_file()
    assert run("evaluate", "a.onnx", "--data", "store", "--threads", 1, "--json", "--split", "valid") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["part"], said["report"], said["faces"]) == ("valid", None, 70)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "nowhere.onnx", "--data", "store"], "nowhere.onnx does not exist"),
        (["evaluate", "a.onnx", "--data", "nowhere"], "not a store"),
        (["evaluate", "a.onnx", "--data", "store", "--split", "tset"], "--split is one of test, valid, all, train"),
        (["evaluate", "a.onnx", "--data", "store", "--out", "store"], "is a store; the report goes elsewhere"),
        (["evaluate", "a.onnx", "--data", "store", "--out", "a.onnx/x"], "cannot be written"),
        (["evaluate", "a.onnx", "--data", "store", "--out", "a.onnx"], "cannot be written"),
        (["evaluate", "a.onnx"], "--data"),
        (["robustness", "a.onnx"], "mien evaluate a.onnx --data STORE"),
        (["across", "a.onnx", "--data", "store"], "mien evaluate a.onnx --data STORE"),
        (["noise", "a.onnx"], "mien evaluate a.onnx --data STORE"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_opens_no_test(
    store: Store,
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle(tmp_path / "a.onnx")
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert store.openings() == []


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from mien.cli import main
main(sys.argv[1:])
"""


def without(blocked: Sequence[str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    script = f"BLOCKED = {set(blocked)!r}\n{WITHOUT}"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


TRAINING = ("torch", "onnx", "onnxscript", "safetensors")
FIGURES = (*TRAINING, "matplotlib", "jinja2", "markupsafe")
"""Libraries that an install of `mien[report]`, or less, lacks."""


def test_as_json_it_needs_neither_torch_nor_figures(store: Store, tmp_path: Path) -> None:
    done = without(FIGURES, "evaluate", bundle(tmp_path / "a.onnx"), "--data", store.path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["faces"] == 70


@pytest.mark.long
def test_it_runs_without_torch(store: Store, tmp_path: Path) -> None:
    command = ("evaluate", bundle(tmp_path / "a.onnx"), "--data", store.path)
    done = without(TRAINING, *command, "--out", tmp_path / "out", "--examine", "--limit", 7)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "evaluation.html").is_file()
    done = without(FIGURES, *command, "--out", tmp_path / "none")
    assert done.returncode == 2
    assert done.stderr.startswith("mien: `mien evaluate` needs an optional part of mien.")
    assert done.stderr.endswith("pip install 'mien[report]'\n")
    assert not (tmp_path / "none").exists()
