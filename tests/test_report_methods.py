"""The methods in words: every setting is said, every number is the runs' own, every source is listed."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from made_runs import finish, make_runs, make_store
from mien.compare import Comparison, collect
from mien.config import NetworkSettings, override
from mien.crop import CropSpec
from mien.data.splits import divide, fold_count
from mien.data.store import Sample, Store, create_store
from mien.judge import Judgement
from mien.judge.certainty import Certainty, assess
from mien.judge.openings import count_openings
from mien.judge.select import select
from mien.labels import SEVEN, LabelSet
from mien.report.markdown import markdown
from mien.report.references import REFERENCES
from mien.report.sections.methods import describe_methods, methods_section
from mien.report.sections.protocol import protocol_section
from mien.report.settings_words import SettingsWords
from mien.runs import Run

OTHER: dict[str, Any] = {
    "data.valid_fraction": 0.2,
    "data.split_seed": 3,
    "data.train_limit": 60,
    "data.label_noise": 0.3,
    "data.shuffle": "blocks",
    "train.snapshots": 2,
    "model.dropout": 0.35,
    "model.block_dropout": 0.15,
    "model.width": 0.25,
    "model.stem": "small",
    "model.head": "flat",
    "model.in_chans": 1,
    "model.attention": "cbam",
    "model.plane": "flow",
    "model.beside": "landmarks",
    "model.branch": "ststnet",
    "model.fusion": "gated",
    "model.init": "dirac",
    "model.mirror": True,
    "train.epochs": 9,
    "train.batch_size": 64,
    "train.micro_batch": 0,
    "train.chunks": "apart",
    "optimizer.name": "sgd",
    "optimizer.lr": 0.02,
    "optimizer.momentum": 0.85,
    "optimizer.weight_decay": 0.0005,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_epochs": 2.0,
    "loss.label_smoothing": 0.1,
    "loss.soft_labels": True,
    "loss.name": "focal",
    "loss.gamma": 1.5,
    "loss.tau": 0.7,
    "loss.class_weights": "effective",
    "loss.beta": 0.99,
    "loss.weights_from": 0.8,
    "train.sampling": "balanced",
    "model.classifier": "cosine",
    "optimizer.ema": 0.999,
    "optimizer.clip_norm": 2.0,
    "optimizer.layer_decay": 0.75,
    "start.weights": "default",
    "start.frozen": 2,
    "start.unfreeze_epochs": 3,
    "train.sizes": (32, 48),
    "train.precision": "bfloat16",
    "train.select": "last",
    "train.cpus": 2,
    "augment.flip": True,
    "augment.shift": 4.0,
    "augment.rotation": 10.0,
    "augment.scale": 0.1,
    "augment.contrast": 0.2,
    "augment.cutout": 12,
    "boosting.rounds": 3,
    "boosting.by": "resampling",
}
NEEDS: dict[str, dict[str, Any]] = {
    "data.folds": {"data.protocol": "kfold"},
    "augment.alternate": {"augment.flip": True},
    "start.unfreeze_epochs": {"start.frozen": 2},
    "train.snapshots": {"optimizer.schedule": "cosine", "train.epochs": 4},
    "boosting.by": {"boosting.rounds": 3},
    "model.branch": {"model.beside": "landmarks"},
    "model.fusion": {"model.beside": "landmarks"},
    "loss.gamma": {"loss.name": "focal"},
    "loss.tau": {"loss.name": "logit-adjusted"},
    "loss.beta": {"loss.class_weights": "effective"},
    "loss.weights_from": {"loss.class_weights": "balanced"},
}
"""Settings that mean something only beside another one."""
UNSAID = {"model.name", "start.sha256", "data.fold", "data.repeat", "seed", "data.protocol"}
"""Said by other tests: they name rows and replicates, or divide the data."""


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    """No valid split, so that validation is carved; subjects, copies and notes."""
    import numpy as np

    rng = np.random.default_rng(1)
    with create_store(place / "store", SEVEN, CropSpec(size=8, channels=3)) as writer:
        for i in range(210):
            image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            split = "test" if i >= 140 else "train"
            writer.add(Sample(label=i % 7, split=split, source=f"{i}.png", subject=f"s{i // 14}"), face=image)
        writer.finish(corpus="people", licence="For tests", notes=("Dropped 351 leaks (see dropped.csv)",), skipped=4)
    return Store.open(place / "store")


def run_of(folder: Path, store: Store, changes: dict[str, Any]) -> Run:
    settings = override(NetworkSettings(), {"model.name": "vgg16", "train.epochs": 4, **changes}).resolved(
        store.meta.crop
    )
    fold = divide(store, settings.data)
    return finish(Run.create(folder, settings, store, fold), fold)


def judged(comparison: Comparison, store: Store | None, certainty: Certainty | None = None) -> Judgement:
    """What the words are made from; calibration, which takes a while, has none."""
    return Judgement(
        comparison=comparison,
        rows=select(comparison.rows),
        certainty=certainty or assess(comparison),
        calibration=(),
        openings=count_openings(comparison, store),
        peeking=(),
        store=store,
        why_no_store="" if store else "It is gone.",
        left_out=(),
    )


def text_of(comparison: Comparison, store: Store | None) -> str:
    found = describe_methods(judged(comparison, store))
    assert found
    body, references = " ".join(p.text for p in found.paragraphs), "\n".join(found.references)
    unlisted = [words for words in REFERENCES if (words in body) != (REFERENCES[words] in references)]
    assert not unlisted
    for place in re.findall(r"\(([^()]*\d{4}[^()]*)\)", body):
        for part in re.split(r"; ", place):
            if words := re.search(r"[A-ZŠ][^\d]* \d{4}", part):
                assert words[0] in REFERENCES, part
    return body


def test_test_time_flip_is_said_to_its_end(place: Path, store: Store) -> None:
    text = text_of(collect([run_of(place / "mirror", store, {"model.mirror": True})]), store)
    assert "the logits of each face and of its mirror image were averaged: yes." in text


def test_every_setting_is_said(place: Path, store: Store) -> None:
    keys = set(NetworkSettings().flat()) - UNSAID
    plain = {key: text_of(collect([run_of(place / "runs", store, needs)]), store) for key, needs in NEEDS.items()}
    plain[""] = text_of(collect([run_of(place / "runs", store, {})]), store)
    others = OTHER | {"data.folds": 3, "augment.alternate": False}
    silent = []
    for key in sorted(keys):
        default = NetworkSettings().flat()[key]
        other = others.get(key, not default if isinstance(default, bool) else default)
        changed = collect([run_of(place / "runs", store, {**NEEDS.get(key, {}), key: other})])
        if text_of(changed, store) == plain.get(key, plain[""]):
            silent.append(key)
    assert not silent, f"methods.md says nothing of {silent}. If a setting is new, give it a value in OTHER here."


def test_a_setting_without_a_sentence_is_named(place: Path, store: Store) -> None:
    comparison = collect([run_of(place / "runs", store, {"optimizer.ema": 0.99})])
    spoken = SettingsWords(comparison)
    assert "optimizer.ema" in spoken.left()
    spoken.values("optimizer.ema")
    assert "optimizer.ema" not in spoken.left()


def test_the_numbers_are_the_runs_own(place: Path, store: Store) -> None:
    run = run_of(place / "runs", store, {})
    comparison = collect([run])
    text, counts = text_of(comparison, store), run.data.counts
    for words in (
        f"{counts['train']} faces trained the weights, {counts['valid']} chose the epoch",
        store.meta.sha256,
        "Dropped 351 leaks (see dropped.csv).",
        "4 images that could not be used were left out",
        "Licence: For tests.",
        f"{run.record.costs.parameters / 1e6:.2f} M parameters",
        "4 epochs of cross-entropy",
        "8 × 8 pixels, RGB, 7 classes",
        "anger 10",
        "10\u00a0% of each class",
        "torch 2.5.0",
        "There was no augmentation.",
        "are over test subjects",
        "bootstrap draws (Field & Welsh 2007)",
    ):
        assert words in text, words


def test_what_rows_differ_in_is_said_by_row_and_by_network(place: Path) -> None:
    made = make_store(place / "made", test=140)
    text = text_of(collect(make_runs(place / "grid", made, seeds=2)), made)
    assert "Dropout before the classifier (Srivastava et al. 2014): 0 or 0.2, by row." in text
    assert "published hidden layers for vgg16; global average pooling and one linear layer for densenet121" in text
    assert "2 seeds (0 and 1), the same for all rows." in text
    assert "All 15 pairs were corrected together, within each metric (Holm 1979)" in text
    assert "The validation part is the corpus's own validation split." in text
    assert "test faces and seeds" in text


def test_one_seed_is_mcnemars(place: Path) -> None:
    made = make_store(place / "single", test=140)
    text = text_of(collect(make_runs(place / "single-runs", made, dropouts=(0.0,))), made)
    assert "McNemar's exact test (McNemar 1947)" in text
    assert "One seed (0)" in text
    assert "sign-flip" not in text


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("kfold", "Cross-validation in 5 folds (stratified by class, exact copies of one image together"),
        ("group-kfold", "Cross-validation in 5 folds (stratified by class, whole subjects together"),
        ("loso", "Leave one subject out"),
    ],
)
def test_cross_validation_is_said(place: Path, store: Store, protocol: str, words: str) -> None:
    folds = 15 if protocol == "loso" else 5
    changes = [{"data.protocol": protocol, "data.fold": fold, "model.name": name} for name in ("vgg16", "resnet34")
               for fold in range(folds)]  # fmt: skip
    comparison = collect([run_of(place / "runs", store, change) for change in changes])
    text = text_of(comparison, store)
    assert words in text
    assert "in each fold; over all folds 210 faces were tested, each once" in text
    assert ("corrected resampled t-test over 5 folds" in text) == (protocol != "loso")
    points = " ".join(protocol_section(judged(comparison, store)).points)
    assert words in points


def test_without_the_store_nothing_is_made_up(place: Path, store: Store) -> None:
    comparison = collect([run_of(place / "runs", store, {})])
    text = text_of(comparison, None)
    assert "351" not in text
    assert "The validation part" not in text
    assert "openings by other runs are unknown" in text


def test_nothing_finished_has_no_methods(place: Path, store: Store) -> None:
    comparison = collect([run_of(place / "runs", store, {})])
    nothing = replace(comparison, rows=(replace(comparison.rows[0], runs=()),))
    assert methods_section(judged(nothing, store)).files == {}
    assert protocol_section(judged(nothing, store)).points == ()


def test_the_page_folds_what_the_file_says(place: Path, store: Store) -> None:
    comparison = collect([run_of(place / "runs", store, {})])
    section = methods_section(judged(comparison, store))
    for title, text in section.prose:
        assert markdown(text) in section.files["methods.md"], title


# The words follow the settings


def certainty_of(comparison: Comparison) -> Certainty:
    """Nothing judged: the words of settings do not depend on intervals, which take a while."""
    return replace(NOTHING, why_untested=f"{len(comparison.rows)} rows are not tested here.")


NOTHING = Certainty(intervals={}, recalls={}, f1={}, pairs=(), by_subject=False, why_untested="")
SAYS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (
        {"train.select": "best"},
        ["chose the epoch and the temperature", "highest validation accuracy"],
        ["no part was used"],
    ),
    (
        {"train.select": "last"},
        ["chose the temperature alone", "no part was used to choose an epoch"],
        ["chose the epoch"],
    ),
    (
        {"data.protocol": "holdout"},
        ["Holdout: the test part is the corpus's own test split"],
        ["each once", "in each fold"],
    ),
    ({"data.protocol": "kfold"}, ["5 folds (stratified by class, exact copies", "each once"], ["Holdout"]),
    ({"data.protocol": "group-kfold"}, ["5 folds (stratified by class, whole subjects"], ["Holdout"]),
    ({"data.protocol": "loso"}, ["Leave one subject out"], ["Holdout", "Cross-validation in"]),
    ({"optimizer.ema": 0.99}, ["Running averages of the weights (decay 0.99 at each step)"], []),
    ({"optimizer.ema": 0.0}, [], ["Running averages"]),
    ({"model.mirror": True}, ["its mirror image were averaged: yes"], []),
    ({"model.mirror": False}, [], ["mirror image were averaged"]),
    ({"loss.soft_labels": False}, ["against the labels,"], ["distributions"]),
    ({"loss.soft_labels": True}, ["against the data's label distributions,"], ["against the labels"]),
    ({"optimizer.schedule": "constant", "optimizer.warmup_epochs": 0.0}, ["it was constant."], ["linearly"]),
    (
        {"optimizer.schedule": "onecycle", "optimizer.warmup_epochs": 1.0},
        ["rising linearly for 1 epoch, then falling"],
        [],
    ),
    ({"optimizer.schedule": "onecycle", "optimizer.warmup_epochs": 0.0}, ["it was falling linearly to 0"], ["rising"]),
    (
        {"optimizer.schedule": "cosine", "optimizer.warmup_epochs": 2.0},
        ["for 2 epochs, then falling by half a cosine"],
        [],
    ),
    ({"optimizer.name": "sgd", "optimizer.momentum": 0.9}, ["Nesterov momentum was 0.9."], ["Adam"]),
    ({"optimizer.name": "sgd", "optimizer.momentum": 0.0}, ["There was no momentum."], ["Nesterov", "Adam"]),
    ({"optimizer.name": "adamw"}, ["Adam's first beta was 0.9."], ["momentum"]),
    ({"train.batch_size": 64, "train.micro_batch": 64}, ["Each batch passed through the network whole."], ["add up"]),
    ({"train.batch_size": 512, "train.micro_batch": 64}, ["in parts of at most 64 faces"], ["network whole"]),
    ({"train.batch_size": 512, "train.micro_batch": 0}, ["Each batch passed through the network whole."], ["add up"]),
    ({"train.cpus": 0}, [], ["Threads"]),
    ({"train.cpus": 2}, ["Threads of each training: 2."], []),
    ({"augment.flip": False}, ["There was no augmentation."], ["mirroring"]),
    ({"augment.flip": True, "augment.alternate": True}, ["mirroring left and right, every other epoch"], ["coin"]),
    ({"augment.flip": True, "augment.alternate": False}, ["mirroring left and right, by a coin"], ["every other"]),
]
"""What settings have said, and what they never have; also beside every other setting that matters to the words."""
BESIDE: dict[str, tuple[Any, ...]] = {
    "train.select": ("best", "last"),
    "data.protocol": ("holdout", "kfold", "loso"),
    "optimizer.ema": (0.0, 0.99),
    "model.mirror": (False, True),
    "loss.soft_labels": (False, True),
}


@pytest.fixture(scope="module")
def soft(place: Path) -> Store:
    """A store that has distributions, and fifteen people."""
    import numpy as np

    rng = np.random.default_rng(3)
    with create_store(place / "soft", SEVEN, CropSpec(size=8, channels=3)) as writer:
        for i in range(210):
            image, votes = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.full(7, 0.05)
            votes[i % 7] = 0.7
            split = "test" if i >= 140 else "train"
            sample = Sample(label=i % 7, split=split, source=f"{i}.png", subject=f"s{i // 14}", soft=tuple(votes))
            writer.add(sample, face=image)
        writer.finish(corpus="people", licence="For tests")
    return Store.open(place / "soft")


def whole_row(folder: Path, store: Store, changes: dict[str, Any]) -> Comparison:
    data = override(NetworkSettings(), changes).data
    folds = range(fold_count(store, data))
    return collect([run_of(folder, store, {**changes, "data.fold": fold}) for fold in folds])


@pytest.mark.parametrize("beside", range(len(SAYS)))
def test_the_words_follow_the_settings(place: Path, soft: Store, beside: int) -> None:
    """Each line of `SAYS`, beside two other settings drawn for it, so that all pairs come up."""
    changes, says, never = SAYS[beside]
    others = [key for key in BESIDE if key not in changes]
    drawn = {key: BESIDE[key][(beside + i) % len(BESIDE[key])] for i, key in enumerate(others)}
    comparison = whole_row(place / "words", soft, drawn | changes)
    found = describe_methods(judged(comparison, soft, certainty_of(comparison)))
    assert found
    text = " ".join(paragraph.text for paragraph in found.paragraphs)
    section = " ".join(protocol_section(judged(comparison, soft, certainty_of(comparison))).points)
    assert [words for words in says if words not in text] == []
    assert [words for words in never if words in text or words in section] == []
    assert ("chose the temperature alone" in text) == (comparison.runs[0].settings.train.select == "last")


def test_soft_labels_that_the_data_lacks_are_not_claimed(place: Path, store: Store) -> None:
    comparison = whole_row(place / "hard", store, {"loss.soft_labels": True})
    found = describe_methods(judged(comparison, store, certainty_of(comparison)))
    assert found
    assert "against the labels (loss.soft_labels was set, and the data has no distributions)" in found.markdown


def test_rows_with_other_seeds_are_not_said_to_have_the_same(place: Path, store: Store) -> None:
    runs = [
        run_of(place / "seeds", store, {"model.name": name, "seed": seed})
        for name, seed in (("vgg16", 0), ("vgg16", 1), ("resnet34", 2), ("resnet34", 3))
    ]
    found = describe_methods(judged(collect(runs), store, certainty_of(collect(runs))))
    assert found
    assert "4 seeds (0, 1, 2 and 3) over all rows; not every row has all of them." in found.markdown


def test_methods_hold_no_html_and_no_link_of_the_corpus(place: Path) -> None:
    nasty = LabelSet(("<script>alert(1)</script>", "[x](javascript:alert(1))", "a|b", "*c*", "`d`"))
    made = make_store(place / "nasty", labels=nasty, test=80, corpus="<img src=x onerror=alert(1)>")
    comparison = collect(make_runs(place / "nasty-runs", made, networks=("vgg16",)))
    text = methods_section(judged(comparison, made, certainty_of(comparison))).files["methods.md"]
    assert isinstance(text, str)
    assert not re.search(r"<[a-z/!]", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
