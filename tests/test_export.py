"""A finished run becomes one file that says the same: parity with torch, the card, int8, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mien.bundle import Bundle, seal
from mien.cli import main
from mien.config import ModelSettings, NetworkSettings, OptimizerSettings, TrainSettings
from mien.crop import CropSpec
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import DataError, RunError
from mien.export import export
from mien.inference import predict_logits
from mien.labels import SEVEN
from mien.models import NETWORKS, build
from mien.runs import Run
from mien.stages import finish_run
from mien.to_onnx import onnx_bytes
from tiny_bundle import CARD

FACES = np.random.default_rng(3).integers(0, 256, (64, 48, 48, 3), dtype=np.uint8)
QUICK = {"compact-s"}
"""Exporting the others takes torch 4 to 20 s each; they are held to the same in the long suite."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def untrained(name: str, width: float) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build(ModelSettings(name=name, width=width, in_chans=3), classes=7, size=48)
    network.set_normalisation([0.5, 0.4, 0.6], [0.2, 0.25, 0.3])
    network.train()
    with torch.no_grad():
        for _ in range(3):  # running statistics that differ from layer to layer, as after training
            network(torch.from_numpy(FACES[:32]))
    return network.eval()


def check_parity(path: Path, name: str, width: float) -> None:
    network = untrained(name, width)
    path.write_bytes(seal(onnx_bytes(network), replace(CARD, crop=CropSpec(size=48, channels=3))))
    bundle = Bundle.open(path, threads=1)
    for count in (1, 3, 64):
        logits = bundle.logits({"face": FACES[:count]})
        assert np.abs(logits - predict_logits(network, FACES[:count])).max() < 1e-4
    alone = np.concatenate([bundle.probs({"face": face[None]}) for face in FACES[:8]])
    assert np.abs(alone - bundle.probs({"face": FACES})[:8]).max() < 1e-6


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.long]) for n in sorted(NETWORKS)]
)
def test_parity_with_torch_at_any_batch(tmp_path: Path, name: str) -> None:
    check_parity(tmp_path / "x.onnx", name, 0.125)


@pytest.mark.long
@pytest.mark.parametrize("name", ["compact-m", "resnet34"])
def test_parity_at_full_width(tmp_path: Path, name: str) -> None:
    check_parity(tmp_path / "x.onnx", name, 1.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export")
    draw_store(folder / "store", count=240)
    store = Store.open(folder / "store")
    settings = NetworkSettings(
        model=ModelSettings(name="compact-s", width=0.25),
        optimizer=OptimizerSettings(lr=3e-3),
        train=TrainSettings(epochs=3, batch_size=28),
    )
    settings = settings.resolved(store.meta.crop)
    run = Run.create(folder / "runs", settings, store, divide(store, settings.data))
    finish_run(run)
    return run


@pytest.fixture(scope="module")
def exported(run: Run) -> Path:
    path = run.path.parent / "model.onnx"
    export(run, path)
    return path


@pytest.fixture(scope="module")
def quantised(run: Run) -> Path:
    path = run.path.parent / "int8.onnx"
    export(run, path, int8=True)
    return path


def test_the_file_repeats_the_runs_own_logits(run: Run, exported: Path) -> None:
    store = Store.open(run.data.store)
    saved = run.logits("test")
    bundle = Bundle.open(exported, threads=1)
    assert np.abs(bundle.logits({"face": store.images[saved.ids]}) - saved.logits).max() < 1e-4


def test_the_card_tells_of_run_data_and_figures(run: Run, exported: Path) -> None:
    card, saved = Bundle.open(exported).card, run.logits("test")
    assert (card.run, card.network, card.corpus, card.licence) == (run.id, "compact-s", "drawn", run.data.licence)
    assert card.protocol == "holdout: the corpus's own test"
    assert (card.fingerprint, card.labels, card.crop) == (run.data.fingerprint, run.data.labels, run.data.crop)
    accuracy = card.test["accuracy"]
    assert accuracy.value == pytest.approx((saved.logits.argmax(1) == saved.labels).mean())
    assert accuracy.n == len(saved.labels)
    assert accuracy.low < accuracy.value < accuracy.high  # type: ignore[operator]
    assert set(card.recall) == set(SEVEN.names)
    assert np.mean([f.value for f in card.recall.values()]) == pytest.approx(card.test["uar"].value)
    assert 0.01 <= card.temperature <= 100


@pytest.mark.long
def test_the_same_run_gives_the_same_bytes(run: Run, exported: Path) -> None:
    again = exported.with_name("again.onnx")
    export(run, again)
    assert again.read_bytes() == exported.read_bytes()


def test_the_file_holds_no_paths_and_old_runtimes_open_it(exported: Path) -> None:
    content = exported.read_bytes()
    for word in (b"/work", b"/home", b"/tmp", b".py", b"site-packages", b"stack_trace"):
        assert word not in content
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 8
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert "Softmax" not in {node.op_type for node in model.graph.node}


def test_int8_is_smaller_near_and_says_what_it_lost(run: Run, exported: Path, quantised: Path) -> None:
    card = Bundle.open(quantised).card
    assert card.precision == "int8"
    assert quantised.stat().st_size < 0.6 * exported.stat().st_size
    store, valid = Store.open(run.data.store), run.logits("valid")
    logits = Bundle.open(quantised, threads=1).logits({"face": store.images[valid.ids]})
    assert card.valid["accuracy"].value == pytest.approx((logits.argmax(1) == valid.labels).mean())
    assert card.valid["float32 accuracy"].value == pytest.approx((valid.logits.argmax(1) == valid.labels).mean())
    assert np.corrcoef(logits.ravel(), valid.logits.ravel())[0, 1] > 0.98
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(quantised).graph.node}


def test_the_figures_of_an_int8_file_are_its_own(run: Run, exported: Path, quantised: Path) -> None:
    """The test part is opened for them, which the store's log says and the run's own record of its network does not."""
    store, saved, bundle = Store.open(run.data.store), run.logits("test"), Bundle.open(quantised, threads=1)
    logits = bundle.logits({"face": store.images[saved.ids]})
    assert bundle.card.test["accuracy"].value == pytest.approx((logits.argmax(1) == saved.labels).mean())
    assert bundle.card.test["accuracy"].n == len(saved.labels)
    assert (bundle.card.test_precision, Bundle.open(exported).card.test_precision) == ("int8", "float32")
    assert f"int8 export: {run.id}" in [who for _, who in store.openings()]
    assert "7-bit weights" in bundle.card.quantisation
    assert Bundle.open(exported).card.quantisation == ""


def test_only_the_layers_between_pixels_and_logits_are_int8(quantised: Path) -> None:
    nodes = [node for node in onnx.load(quantised).graph.node if not node.input[0].endswith(("_quantized", ".bias"))]
    kinds = [node.op_type for node in nodes]
    assert kinds[:7] == ["Transpose", "Cast", "Mul", "Add", "Conv", "Relu", "QuantizeLinear"]
    assert kinds[-3:] == ["DequantizeLinear", "ReduceMean", "Gemm"]
    assert nodes[-1].output == ["logits"]
    levels = np.unique(Bundle.open(quantised, threads=1).logits({"face": FACES})[:, 0])
    assert np.ptp(np.diff(levels)) > 1e-4  # rounded logits lie on a grid of 256 levels


@pytest.mark.long
def test_a_mirrored_network_is_exported_once_with_its_batch_norm_folded() -> None:
    plain, mirrored = (
        onnx.load_from_string(onnx_bytes(build(settings, classes=7, size=48).eval())).graph.node
        for settings in (ModelSettings(name="compact-s", mirror=mirror, in_chans=1) for mirror in (False, True))
    )
    assert [node.op_type for node in mirrored].count("Conv") == [node.op_type for node in plain].count("Conv")
    assert "BatchNormalization" not in {node.op_type for node in mirrored}


def test_a_float32_export_does_not_open_the_test_again(run: Run, exported: Path) -> None:
    assert len(run.record.test_opened_at) == 1


@pytest.mark.parametrize("out", ["model.pt", "no-such-folder/model.onnx"])
def test_out_must_be_an_onnx_file_in_a_folder(run: Run, tmp_path: Path, out: str) -> None:
    with pytest.raises(RunError, match=r"a model is NAME\.onnx"):
        export(run, tmp_path / out)


def test_a_run_under_way_is_refused(run: Run, tmp_path: Path) -> None:
    store = Store.open(run.data.store)
    settings = NetworkSettings(model=ModelSettings(name="compact-s", width=0.5)).resolved(store.meta.crop)
    planned = Run.create(tmp_path, settings, store, divide(store, settings.data))
    with pytest.raises(RunError, match="is running, not finished"):
        export(planned, tmp_path / "x.onnx")


def test_int8_without_the_runs_store_is_refused(run: Run, tmp_path: Path) -> None:
    elsewhere = Run(run.path, run.settings, replace(run.data, store=str(tmp_path / "gone")))
    with pytest.raises(DataError, match="is not a store"):
        export(elsewhere, tmp_path / "x.onnx", int8=True)


def typed(*words: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.mark.long
def test_the_verb_writes_the_same_file_and_shows_its_card(
    run: Run, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("export", run.path, "-o", tmp_path / "model.onnx", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["run"], said["precision"], said["test_precision"]) == (run.id, "float32", "float32")
    assert Bundle.open(tmp_path / "model.onnx").card == Bundle.open(exported).card
    assert typed("export", run.path, "-o", tmp_path / "small.onnx", "--int8") == 0
    out = capsys.readouterr().out
    assert "int8" in out
    assert "float32 accuracy" in out
    assert "test, int8" in out
    assert "processors with and without VNNI give" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("RUN", "-o", "model.pt"), "a model is NAME.onnx"),
        (("nowhere", "-o", "model.onnx"), "is not a run folder"),
        (("RUN",), "--out"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(
    run: Run, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("export", *(run.path if word == "RUN" else word for word in words)) == 2
    assert says in capsys.readouterr().err


def test_info_of_a_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("info", run.path) == 0
    out = capsys.readouterr().out
    assert "finished" in out
    assert "compact-s" in out
    assert typed("info", run.path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["run"], said["record"]["status"]) == (run.id, "finished")
