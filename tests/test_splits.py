"""Which samples train, choose and judge: no sample, no copy and no subject in two parts; the test stays sealed."""

import typing
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mypy import api as mypy

from conftest import LABELS, SIZE, Bars
from mien.config import DataSettings
from mien.crop import CropSpec
from mien.data.splits import Fold, Part, SealedPart, divide, fold_count
from mien.data.store import Sample, Store, create_store
from mien.errors import DataError
from mien.train import train

ROOT = Path(__file__).parents[1]


def write(path: Path, rows: Sequence[tuple[int, str, int, str]]) -> Store:
    """A store of rows (label, subject, picture, split): equal numbers are equal pictures."""
    with create_store(path, LABELS, CropSpec(size=SIZE)) as writer:
        for i, (label, subject, picture, split) in enumerate(rows):
            image = np.random.default_rng(picture).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            writer.add(Sample(label=label, split=split, source=str(i), subject=subject), face=image)
        writer.finish(corpus="made", licence="made for tests")
    return Store.open(path)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """90 samples of 10 subjects, classes in turn; some pictures stand twice, and one is given to two subjects."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(90):
        picture = i - 30 if 40 <= i < 44 else i  # copies within a subject: 10 rows apart in steps of 30
        rows.append((i % 3, f"s{i % 10}", picture, "train" if i < 60 else "test"))
    rows[71] = (rows[71][0], "s1", 62, "test")  # subject 1 has a picture of subject 2
    order = rng.permutation(90)
    return write(tmp_path_factory.mktemp("people") / "store", [rows[i] for i in order])


def parts(fold: Fold) -> list[Part]:
    return [fold.train, fold.valid, fold.test.open()]


def pictures(part: Part) -> set[bytes]:
    return {image.tobytes() for image in part.read()["face"]}


def folds(store: Store, **settings: Any) -> list[Fold]:
    count = fold_count(store, DataSettings(**settings))
    return [divide(store, DataSettings(**settings, fold=fold)) for fold in range(count)]


def test_holdout_keeps_the_corpus_splits(store: Store) -> None:
    fold = divide(store, DataSettings())
    for part, split in zip(parts(fold), ("train", "valid", "test"), strict=True):
        assert np.array_equal(part.rows, store.rows(split))
        assert np.array_equal(part.labels, store.samples.label[part.rows])
        assert np.array_equal(part.read()["face"], store.images[part.rows])
    assert fold_count(store, DataSettings()) == 1


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_valid_is_carved_off_train_class_by_class(bars: Bars, fraction: float) -> None:
    store = bars(splits=(("train", 120), ("test", 30)))
    fold = divide(store, DataSettings(valid_fraction=fraction))
    assert np.bincount(fold.valid.labels).tolist() == [round(40 * fraction)] * 3
    assert sorted([*fold.train.rows, *fold.valid.rows]) == store.rows("train").tolist()
    assert (np.diff(fold.train.rows) > 0).all()


def test_the_carving_depends_on_its_seed_alone(bars: Bars) -> None:
    store = bars(splits=(("train", 120), ("test", 30)))
    first, again, other = (divide(store, DataSettings(split_seed=seed)).valid.rows for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_carving_keeps_subjects_and_copies_whole(people: Store) -> None:
    fold = divide(people, DataSettings(valid_fraction=0.2))
    assert len(fold.valid) > 0
    assert not set(fold.train.subjects) & set(fold.valid.subjects)
    assert not pictures(fold.train) & pictures(fold.valid)


def test_carving_joins_subjects_that_share_a_picture(tmp_path: Path) -> None:
    """Twelve pairs of subjects; in each pair both have one picture."""
    rows = [(i % 3, f"s{i // 3}", 1000 + i // 6 if i % 3 == 0 else i, "train") for i in range(72)]
    store = write(tmp_path / "store", [*rows, (0, "x", 500, "test")])
    for seed in range(10):
        fold = divide(store, DataSettings(valid_fraction=0.25, split_seed=seed))
        assert len(fold.valid) == 18
        assert not pictures(fold.train) & pictures(fold.valid)
        assert not set(fold.train.subjects) & set(fold.valid.subjects)


def test_carving_keeps_copies_together_where_no_subject_is_known(tmp_path: Path) -> None:
    rows = [(i // 2 % 3, "", i // 2, "train") for i in range(120)]
    store = write(tmp_path / "store", [*rows, (0, "", 500, "test")])
    fold = divide(store, DataSettings(valid_fraction=0.3))
    assert len(fold.valid) == 36
    assert not pictures(fold.train) & pictures(fold.valid)


def test_what_cannot_be_carved_is_one_sentence(tmp_path: Path) -> None:
    rows = [(i % 3, "s", i, "train") for i in range(20)]
    store = write(tmp_path / "store", [*rows, (0, "x", 500, "test")])
    with pytest.raises(DataError, match=r"Cannot carve 10% of 20 .*in 1 groups .*Give it more groups"):
        divide(store, DataSettings())


def test_of_a_few_people_with_many_samples_the_nearest_is_carved_off(tmp_path: Path) -> None:
    rows = [(i % 3, f"s{min(i // 9, 2)}", i, "train") for i in range(24)]
    store = write(tmp_path / "store", [*rows, (0, "x", 500, "test")])
    fold = divide(store, DataSettings(valid_fraction=0.1))
    assert set(fold.valid.subjects) == {"s2"}, "6 samples; the others have 9"
    assert len(fold.train) == 18


@pytest.mark.parametrize(("given", "missing"), [("train", "test"), ("test", "train")])
def test_a_store_without_a_needed_split_is_refused(tmp_path: Path, given: str, missing: str) -> None:
    store = write(tmp_path / "store", [(i % 3, "", i, given) for i in range(30)])
    with pytest.raises(DataError, match=f"has no {missing} split.*data.protocol"):
        divide(store, DataSettings())


@pytest.mark.parametrize("protocol", ["kfold", "group-kfold", "loso"])
def test_every_sample_is_tested_once_and_nothing_stands_in_two_parts(people: Store, protocol: str) -> None:
    found = folds(people, protocol=protocol, folds=4, valid_fraction=0.2)
    assert len(found) == (10 if protocol == "loso" else 4)
    tested = np.concatenate([fold.test.open().rows for fold in found])
    assert sorted(tested) == list(range(90))
    for fold in found:
        for one, other in combinations(parts(fold), 2):
            assert len(one) > 0
            assert not set(one.rows) & set(other.rows)
            assert not pictures(one) & pictures(other)
            if protocol != "kfold":
                assert not set(one.subjects) & set(other.subjects)


def test_loso_leaves_one_subject_out_and_copies_of_its_pictures(people: Store) -> None:
    found = folds(people, protocol="loso", valid_fraction=0.2)
    left_out = [set(fold.test.open().subjects) for fold in found]
    assert left_out == [{f"s{i}"} for i in range(10)]
    used = [sum(map(len, parts(fold))) for fold in found]
    assert used == [90, 89, 89, *[90] * 7], "subject 1 has a picture of subject 2: neither trains on the other's"


def test_group_kfold_joins_subjects_that_share_a_picture(people: Store) -> None:
    for repeat in range(6):
        for fold in folds(people, protocol="group-kfold", folds=4, valid_fraction=0.2, repeat=repeat):
            for part in parts(fold):
                assert ("s1" in part.subjects) == ("s2" in part.subjects)


def test_kfold_is_stratified(bars: Bars) -> None:
    store = bars(splits=(("train", 90), ("valid", 30), ("test", 30)))
    found = folds(store, protocol="kfold", folds=5)
    assert [np.bincount(fold.test.open().labels).tolist() for fold in found] == [[10, 10, 10]] * 5
    assert [len(fold.valid) for fold in found] == [12] * 5, "carved from the training folds"


def test_a_repetition_divides_anew(people: Store) -> None:
    first, again, other = (
        [fold.test.open().rows.tolist() for fold in folds(people, protocol="kfold", folds=3, repeat=repeat)]
        for repeat in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize("protocol", ["group-kfold", "loso"])
def test_unknown_subjects_are_counted(store: Store, protocol: Any) -> None:
    with pytest.raises(DataError, match=rf"{protocol} needs the subject of every sample; 117 of 117 .*kfold"):
        fold_count(store, DataSettings(protocol=protocol))


def test_impossible_folds_are_refused(people: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.fold is 4; kfold of .* has 4 folds"):
        divide(people, DataSettings(protocol="kfold", folds=4, fold=4))
    with pytest.raises(DataError, match=r"Cannot divide .* by kfold"):
        fold_count(people, DataSettings(protocol="kfold", folds=200))
    alone = write(tmp_path / "alone", [(i % 3, "s", i, "train") for i in range(9)])
    with pytest.raises(DataError, match=r"Cannot divide .* by loso"):
        fold_count(alone, DataSettings(protocol="loso"))


def test_train_limit_keeps_the_shares_of_the_classes(bars: Bars) -> None:
    store = bars(splits=(("train", 150), ("valid", 30), ("test", 30)))
    whole = divide(store, DataSettings())
    some = divide(store, DataSettings(train_limit=40))
    assert len(some.train) == 40
    assert sorted(np.bincount(some.train.labels).tolist()) == [13, 13, 14]
    assert set(some.train.rows) < set(whole.train.rows)
    assert np.array_equal(some.valid.rows, whole.valid.rows)
    assert np.array_equal(divide(store, DataSettings(train_limit=150)).train.rows, whole.train.rows)


def test_label_noise_touches_training_labels_alone(bars: Bars) -> None:
    store = bars(splits=(("train", 600), ("valid", 30), ("test", 30)))
    fold = divide(store, DataSettings(label_noise=0.3))
    truth = store.samples.label
    wrong = fold.train.labels != truth[fold.train.rows]
    assert 0.25 < wrong.mean() < 0.35
    assert set(fold.train.labels) == {0, 1, 2}
    for part in (fold.valid, fold.test.open()):
        assert np.array_equal(part.labels, truth[part.rows])
    again = divide(store, DataSettings(label_noise=0.3))
    assert np.array_equal(fold.train.labels, again.train.labels)


def test_a_sealed_part_has_a_size_and_nothing_else(store: Store) -> None:
    sealed = divide(store, DataSettings()).test
    assert len(sealed) == 30
    assert not isinstance(sealed, Part)
    for name in ("rows", "labels", "images", "soft", "subjects", "groups", "store", "part"):
        assert not hasattr(sealed, name)
    assert {name for name in dir(sealed) if not name.startswith("_")} == {"open"}


def test_training_takes_parts_by_its_types() -> None:
    hints = typing.get_type_hints(train)
    assert hints["training"] is hints["valid"] is Part
    assert typing.get_type_hints(Fold) == {"train": Part, "valid": Part, "test": SealedPart}


@pytest.mark.long
def test_the_type_checker_refuses_to_train_on_the_test(tmp_path: Path) -> None:
    call = "train(run, {part}, fold.valid, device=torch.device('cpu'))\n"
    head = (
        "import torch\nfrom mien.data.splits import Fold\nfrom mien.runs import Run\nfrom mien.train import train\n"
        "def use(run: Run, fold: Fold) -> None:\n    "
    )
    (tmp_path / "good.py").write_text(head + call.format(part="fold.train"))
    (tmp_path / "bad.py").write_text(head + call.format(part="fold.test"))
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    assert mypy.run([*options, str(tmp_path / "good.py")])[2] == 0
    out, _, code = mypy.run([*options, str(tmp_path / "bad.py")])
    assert code == 1
    assert 'has incompatible type "SealedPart"; expected "Part"' in out
