"""The things that mien reads back, one of each, and how each kind is damaged: what is done, and what is tried on it."""

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import clips_made
import corpora_made as made
from conftest import TINY, plan_run, write_bars
from damage import ODD_TEXTS, ODD_VALUES, damage_folder, damaged, damaged_bytes, damaged_json, pick, reseal
from made_runs import make_runs, make_store
from made_videos import numbered, write_video
from mien import checkpoint
from mien import train as loop
from mien.atomic import write_json
from mien.card import write_card
from mien.config import ModelSettings
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.examine import away, robustness
from mien.examine.corruptions import CORRUPTIONS, SEVERITIES
from mien.explain import truth
from mien.labels import LabelSet
from mien.mirror import Mirror
from mien.modelfile import entry
from mien.models import build
from mien.planes import Plane
from mien.runs import Epoch, Run
from mien.tune.record import Trial, Tuning
from tiny_bundle import CARD, model_bytes

__all__ = ["KINDS", "LABELS", "Case", "base"]

LABELS = LabelSet(("anger", "fear", "happiness"))
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
    search(runs, folder / "runs" / "tuning" / "x")
    mirrored(folder, bars)
    clips_made.casme2(folder / "casme2")
    own_clips(folder / "clips")
    planes(folder / "planes")
    weights(folder / "start.safetensors")
    return folder


def search(runs: Sequence[Run], folder: Path) -> None:
    """What `mien tune` writes of a search, the chosen run among those of the report."""
    trial = Trial(number=0, run="x", values={"optimizer.lr": 0.1}, status="complete", score=0.5, history=(0.4, 0.5))
    other = replace(trial, number=1, status="pruned", reason="it fell behind")
    facts = {"recipe": "x", "space": ("optimizer.lr, 0 to 1",), "seed": 0, "epochs": 2, "valid": 30, "openings": 0}
    facts |= {"importance": {"optimizer.lr": 1.0}, "runs": tuple(run.id for run in runs), "seeds": (0, 1)}
    folder.mkdir(parents=True)
    write_json(folder / "tuning.json", asdict(Tuning(trials=(trial, other), chosen=0, **facts)))  # type: ignore[arg-type]


def mirrored(folder: Path, bars: Store) -> None:
    """A run in a mirror, and the same one, planned and not begun."""
    run = plan_run(folder / "sent", bars, train__epochs=3)
    begun(run, bars)
    Mirror((folder / "mirror").as_uri(), folder / "cache").push(run)
    plan_run(folder / "planned", bars, train__epochs=3)


def own_clips(root: Path) -> None:
    """Clips of one's own: a table, folders of frames, a video, and coded intervals of the video."""
    clips_made.frames(root / "a", range(1, 11))
    clips_made.frames(root / "b", range(1, 11))
    rows = [
        "path,subject,label,onset,apex,offset,fps",
        "a,p1,joy,1,5,9,100",
        "b,p2,anger,,,,100",
        "film.mp4,p3,joy,2,6,9,",
    ]
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    (root.parent / "coded.csv").write_text(
        "video,onset,apex,offset,kind,label\nfilm.mp4,2,4,6,micro,joy\nother.mp4,,,,,\n"
    )
    write_video(root / "film.mp4", numbered(12), 25.0)


def planes(path: Path) -> None:
    """A store with a flow, points and numbers beside the faces."""
    rng = np.random.default_rng(0)
    others = (
        Plane(name="flow", kind="flow", shape=(16, 16, 2), dtype="float32"),
        Plane(name="landmarks", kind="points", shape=(5, 2), dtype="float32"),
        Plane(name="age", kind="numbers", shape=(1,), dtype="float32"),
    )
    with create_store(path, LABELS, CropSpec(size=16), planes=others) as writer:
        for number in range(90):
            arrays = {plane.name: rng.normal(0, 1, plane.shape).astype(plane.dtype) for plane in others}
            face = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            sample = Sample(label=number % 3, split=("train", "valid", "test")[number // 30], source=f"{number}")
            writer.add(sample, face=face, **arrays)
        writer.finish(corpus="planes", licence="made for tests")


def weights(path: Path) -> None:
    """Those of the recipe's network, as `start.weights` takes them."""
    network = build(ModelSettings(name="compact-s", width=0.25, in_chans=3), classes=3, size=16)
    save_file(network.state_dict(), path)


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
        with suppress(OSError, ValueError, TypeError, RecursionError):  # there is nothing to seal
            reseal(store)
            what += ", and sealed again"
    compared = ["compare", str(folder / "recipe.toml"), "-d", str(store), "--runs", str(folder / "new")]
    protocol = pick(["holdout", "kfold", "group-kfold", "loso"], rng)
    return what, [
        ["data", "info", str(store)],
        ["data", "audit", str(store), "--drop", "leaks", "--out", str(folder / "clean"), "--force"],
        [*compared, "--set", f"data.protocol={protocol}"],
    ]


def of_recipes(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    path = folder / "recipe.toml"
    what = damage_file(path, rng)
    return what, [["compare", str(path), "-d", str(folder / "bars"), "--runs", str(folder / "new")]]


def of_overrides(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    key = pick([*TINY, "seed", "train.sizes", "data.fold", "data.split_seed", "model.stem", "model.nmae", ""], rng)
    value = str(pick(ODD_TEXTS if rng.random() < 0.5 else ODD_VALUES, rng)).replace("\0", "\\0")
    start = ["compare", str(folder / "recipe.toml"), "-d", str(folder / "bars"), "--runs", str(folder / "new")]
    return f"{key}={value[:40]}", [[*start, "--set", f"{key}={value}"]]


def of_cards(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
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
    what = damage_file(path, rng)
    start = ["data", "prepare", str(path), "-c", "npz", "-o", str(folder / "new"), "--force"]
    return what, [start, [*start, "--skip-bad", "--labels", "own"]]


def of_begun_runs(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    return damage_folder(folder / "begun", rng), [["resume", str(next((folder / "begun").iterdir()))]]


def of_searches(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    what = damage_folder(folder / "runs" / "tuning", rng)
    return what, [["report", str(folder / "runs"), "--out", str(folder / "out")]]


def of_lists(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    what = damage_folder(folder / "runs", rng)
    start = ["runs", str(folder / "runs")]
    return what, [start, [*start, "--json"], [*start, "--where", "seed=0"], ["ensemble", str(folder / "runs")]]


def of_mirrors(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    what = damage_folder(folder / "mirror", rng)
    return what, [
        ["pull", str(next((folder / "planned").iterdir())), (folder / "mirror").as_uri(), str(folder / "new")]
    ]


def of_sheets(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    path = next((folder / "casme2").glob("*.xlsx"))
    what, content = damaged_workbook(path.read_bytes(), rng)
    path.write_bytes(content)
    start = ["data", "prepare", str(folder / "casme2"), "-c", "casme2", "-o", str(folder / "new"), "--force"]
    return what, [[*start, "--faces", "none", "--flow-size", "8", "--skip-bad"]]


def of_clips(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    root = folder / "clips"
    what = damage_folder(root, rng, pick(["*.csv", "*.csv", "*"], rng))
    what += f"; coded: {damage_file(folder / 'coded.csv', rng)}"
    start = ["data", "prepare", str(root), "-c", "clips", "-o", str(folder / "new"), "--force", "--labels", "own"]
    spot = ["spot", str(root / "film.mp4"), "--coded", str(folder / "coded.csv")]
    return what, [[*start, "--faces", "none", "--flow-size", "8", *pick([[], ["--skip-bad"]], rng)], spot]


def of_planes(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    store = folder / "planes"
    what = damage_folder(store, rng)
    with suppress(OSError, ValueError, TypeError, RecursionError):  # there is nothing to seal
        reseal(store)
    compared = ["compare", str(folder / "recipe.toml"), "-d", str(store), "--runs", str(folder / "new")]
    chosen = pick([["model.beside=landmarks"], ["model.beside=age"], ["model.plane=flow"]], rng)
    return what, [["data", "info", str(store)], [*compared, *(word for each in chosen for word in ("--set", each))]]


def of_starts(folder: Path, rng: np.random.Generator) -> tuple[str, Sequence[Sequence[str]]]:
    path = folder / "start.safetensors"
    what = damage_file(path, rng)
    compared = ["compare", str(folder / "recipe.toml"), "-d", str(folder / "bars"), "--runs", str(folder / "new")]
    return what, [[*compared, "--set", f"start.weights={path}"]]


def damage_file(path: Path, rng: np.random.Generator) -> str:
    """Damage a file in place; returns how."""
    what, content = damaged(path.name, path.read_bytes(), rng)
    path.write_bytes(content)
    return what


def damaged_workbook(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """An .xlsx, blindly or in one of the texts that it packs."""
    if rng.random() < 0.3:
        return damaged_bytes(content, rng)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = pick(sorted(members), rng)
    what, members[name] = damaged("x.csv" if rng.random() < 0.5 else name, members[name], rng)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return f"{name}: {what}", packed.getvalue()


KINDS: dict[str, Case] = {
    "runs": of_runs,
    "begun runs": of_begun_runs,
    "stores": of_stores,
    "recipes": of_recipes,
    "overrides": of_overrides,
    "cards": of_cards,
    "tables": of_tables,
    "arrays": of_arrays,
    "searches": of_searches,
    "lists": of_lists,
    "mirrors": of_mirrors,
    "sheets": of_sheets,
    "clips": of_clips,
    "planes": of_planes,
    "starts": of_starts,
}
