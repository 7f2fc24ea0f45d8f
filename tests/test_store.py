"""The store: a round trip, and every way in which it is not one."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import plan_run, write_bars
from damage import reseal
from mien.cli import main
from mien.crop import CropSpec
from mien.data.drawn import moved_plane
from mien.data.store import Meta, Sample, Store, create_store
from mien.data.store import files as module
from mien.errors import DataError
from mien.labels import SEVEN
from mien.stages import finish_run

SPEC = CropSpec(size=8, channels=3)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def sample(i: int, **changes: object) -> Sample:
    fields: dict[str, object] = {
        "label": i % 7,
        "split": ("train", "valid", "test")[i % 3],
        "source": f'odd "name", {i}\nwith lines.png',
        "subject": f"s{i}",
        "soft": tuple(np.eye(7)[i % 7] * 0.5 + 0.5 / 7),
        "groups": {"skin": str(i)},
        "aus": {1: 0.25, 12: i / 10},
    }
    return Sample(**(fields | changes))  # type: ignore[arg-type]


def write(path: Path, count: int = 6, *, replace: bool = False) -> Meta:
    with create_store(path, SEVEN, SPEC, planes=[moved_plane(8)], replace=replace) as writer:
        for i in range(count):
            writer.add(sample(i), face=image(i), moved=np.full((8, 8), i, np.uint16))
        return writer.finish(corpus="made", licence="none", notes=("a note",), skipped=1, skipped_examples=("x: y",))


def test_round_trip(tmp_path: Path) -> None:
    meta = write(tmp_path / "s")
    store = Store.open(tmp_path / "s")
    assert store.meta == meta
    assert len(store) == 6
    np.testing.assert_array_equal(store.images, np.stack([image(i) for i in range(6)]))
    assert isinstance(store.images, np.memmap)
    found = store.samples
    assert found.label.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.source[1] == sample(1).source
    assert found.soft is not None
    np.testing.assert_allclose(found.soft.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.aus[12], np.arange(6) / 10, atol=1e-6)
    assert found.groups["skin"].tolist() == [str(i) for i in range(6)]
    assert store.array("moved")[:, 0, 0].tolist() == list(range(6))
    assert store.rows("valid").tolist() == [1, 4]


def test_streams_agree_with_the_arrays(tmp_path: Path) -> None:
    write(tmp_path / "s", 11)
    store = Store.open(tmp_path / "s")
    np.testing.assert_array_equal(np.concatenate(list(store.iter_images(4))), store.images)
    last = len(store) - 1
    for rows in ([], [0], [last], [0, 1, 2], [1, 3, 4, last], [last, 0, 2, 1, 1]):
        index = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(store.read(index)["face"], store.images[index])
        np.testing.assert_array_equal(store.read(index, ["moved"])["moved"], store.array("moved")[index])
    streamed = list(store.iter_samples())
    assert [s.source for s in streamed] == store.samples.source.tolist()
    assert streamed[3].groups == {"skin": "3"}
    assert streamed[3].aus[12] == pytest.approx(0.3)
    assert len(streamed[3].soft) == 7


def test_the_same_samples_give_the_same_fingerprint_and_others_do_not(tmp_path: Path) -> None:
    assert write(tmp_path / "a").sha256 == write(tmp_path / "b").sha256
    assert write(tmp_path / "c", 5).sha256 != write(tmp_path / "d").sha256


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with create_store(tmp_path / "s", SEVEN, SPEC) as writer:
            writer.add(sample(0), face=image(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_store_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not finished"), create_store(tmp_path / "s", SEVEN, SPEC) as writer:
        writer.add(sample(0), face=image(0))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable image"):
        write(tmp_path / "s", 0)


def test_an_existing_store_is_replaced_only_when_told(tmp_path: Path) -> None:
    write(tmp_path / "s", 3)
    with pytest.raises(DataError, match="--force"):
        write(tmp_path / "s", 4)
    assert len(Store.open(tmp_path / "s")) == 3
    write(tmp_path / "s", 4, replace=True)
    assert len(Store.open(tmp_path / "s")) == 4


def test_force_does_not_remove_a_folder_that_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years")
    with pytest.raises(DataError, match="not a store"):
        write(tmp_path / "home", replace=True)
    assert (tmp_path / "home" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"label": 7}, DataError, "outside 0..6"),
        ({"label": -1}, DataError, "outside 0..6"),
        ({"split": "dev"}, DataError, "'dev', expected one of train, valid, test"),
        ({"soft": ()}, DataError, "0 soft labels"),
    ],
)
def test_a_wrong_sample_is_refused(tmp_path: Path, wrong: dict[str, object], error: type[Exception], says: str) -> None:
    with create_store(tmp_path / "s", SEVEN, SPEC) as writer:
        writer.add(sample(0), face=image(0))
        with pytest.raises(error, match=says):
            writer.add(sample(1, **wrong), face=image(1))
        writer.finish(corpus="made", licence="none")
    assert len(Store.open(tmp_path / "s")) == 1


def test_a_crop_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected uint8 \(8, 8, 3\)"), create_store(tmp_path / "s", SEVEN, SPEC) as w:
        w.add(sample(0), face=np.zeros((9, 9, 3), np.uint8))


def test_damage_is_told(tmp_path: Path) -> None:
    def damaged(name: str) -> Path:
        path = tmp_path / name
        write(path)
        return path

    with pytest.raises(DataError, match="not a store"):
        Store.open(tmp_path / "nowhere")
    path = damaged("meta")
    (path / "meta.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Store.open(path)
    path = damaged("count")
    fields = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(fields | {"count": 7}))
    with pytest.raises(DataError, match=r"face\.npy is damaged \(.*expected uint8 \(7, "):
        Store.open(path)
    path = damaged("cut")
    data = (path / "planes/face.npy").read_bytes()
    (path / "planes/face.npy").write_bytes(data[:-9])
    with pytest.raises(DataError, match=r"face\.npy is damaged"):
        Store.open(path)
    opened = Store.open(damaged("cut later"))
    (opened.path / "planes/face.npy").write_bytes(data[:-9])
    with pytest.raises(DataError, match=r"face\.npy is damaged \(it ends too early"):
        opened.read(np.arange(6))
    path = damaged("empty")
    (path / "planes/face.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"face\.npy is damaged"):
        Store.open(path)
    path = damaged("rows")
    (path / "samples.csv").write_text((path / "samples.csv").read_text().replace("label,", "lable,", 1))
    with pytest.raises(DataError, match="has changed since it was made"):
        Store.open(path)
    reseal(path)
    with pytest.raises(DataError, match=r"samples\.csv is damaged \(its columns"):
        _ = Store.open(path).samples
    with pytest.raises(DataError, match=r"samples\.csv is damaged \(its columns"):
        list(Store.open(path).iter_samples())


@pytest.mark.parametrize(
    ("gone", "read"),
    [
        ("samples.csv", lambda store: list(store.iter_samples())),
        ("planes/face.npy", lambda store: list(store.iter_images())),
        ("planes/face.npy", lambda store: store.read(np.arange(2))),
    ],
)
def test_what_cannot_be_read_is_not_said_to_be_unwritable(
    tmp_path: Path, gone: str, read: Callable[[Store], object]
) -> None:
    write(tmp_path / "old")
    store = Store.open(tmp_path / "old")
    (tmp_path / "old" / gone).unlink()
    with (
        pytest.raises(DataError, match=rf"{gone} cannot be read \(No such file"),
        create_store(tmp_path / "new", SEVEN, SPEC),
    ):
        read(store)
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["samples.csv", "planes/face.npy"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    write(tmp_path / "s")
    (tmp_path / "s" / name).unlink()
    os.mkfifo(tmp_path / "s" / name)
    with pytest.raises(DataError, match=r"is damaged \(it is no regular file"):
        Store.open(tmp_path / "s")


def test_a_planted_log_of_openings_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "s")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "s" / "test_openings.csv").symlink_to(victim)
    Store.open(tmp_path / "s").log_opening("2026-01-01", "run")
    assert victim.read_text() == "mine"


def test_a_store_that_was_replaced_while_in_use_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "s")
    store = Store.open(tmp_path / "s")
    assert len(store.read(np.arange(2))["face"]) == 2
    with create_store(tmp_path / "s", SEVEN, SPEC, replace=True) as writer:
        for i in range(6):
            writer.add(sample(i), face=image(i + 1))
        writer.finish(corpus="made", licence="none")
    with pytest.raises(DataError, match="was replaced while it was in use"):
        store.read(np.arange(2))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [*lines[:2], lines[2] + ",1", *lines[3:]], r"samples\.csv is damaged \(line 3: "),
        (lambda lines: [*lines[:2], lines[2].rpartition(",")[0], *lines[3:]], r"samples\.csv is damaged \(line 3: "),
        (lambda lines: lines[:-1], r"samples\.csv is damaged \(5 rows where meta\.json says 6"),
        (lambda lines: [*lines, lines[-1]], r"samples\.csv is damaged \(more rows than the 6 of meta\.json"),
    ],
    ids=["a cell more", "a cell less", "a row less", "a row more"],
)
def test_rows_that_do_not_fit_are_told(tmp_path: Path, change: Callable[[list[str]], list[str]], says: str) -> None:
    with create_store(tmp_path / "s", SEVEN, SPEC) as writer:
        for i in range(6):
            writer.add(sample(i, source=f"{i}.png"), face=image(i))
        writer.finish(corpus="made", licence="none")
    path = tmp_path / "s" / "samples.csv"
    path.write_text("\n".join([*change(path.read_text().splitlines()), ""]))
    reseal(tmp_path / "s")
    with pytest.raises(DataError, match=says):
        list(Store.open(tmp_path / "s").iter_samples())


# The fingerprint


def turned(path: Path) -> None:
    """Labels of the test rotated: figures of any network would fall, and nothing else would show it."""
    table = path / "samples.csv"
    head, *lines = table.read_text().splitlines()
    other = [f"{(int(line[0]) + 1) % 3}{line[1:]}" if line.split(",")[1] == "test" else line for line in lines]
    table.write_text("\n".join([head, *other, ""]))


def blanked(path: Path) -> None:
    """Some pixels set to 0, at the same size and with the same time of writing."""
    images, times = path / "planes/face.npy", (path / "planes/face.npy").stat()
    content = bytearray(images.read_bytes())
    content[5000:9000] = bytes(4000)
    with images.open("r+b") as file:
        file.write(content)
    os.utime(images, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [turned, blanked])
def test_a_store_that_was_changed_is_refused_by_every_command(
    change: Callable[[Path], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = write_bars(tmp_path / "store")
    run = plan_run(tmp_path / "runs", store)
    assert run.fold().train.store.meta == store.meta
    change(store.path)
    for command in (
        ["data", "info", str(store.path)],
        ["data", "audit", str(store.path)],
        ["compare", "fast", "--data", str(store.path), "--runs", str(tmp_path / "new")],
        ["compare", "fast", "--across", str(store.path), "--runs", str(tmp_path / "new"), "-d", str(store.path)],
        ["across", str(tmp_path / "runs"), "--data", str(store.path)],
    ):
        with pytest.raises(SystemExit) as end:
            main(command)
        assert end.value.code == 2
        said = capfd.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"mien: {store.path} has changed since it was made: its planes and samples.csv")
        assert said.err.endswith("Restore the files, or prepare the store again.\n")
        assert said.err.count("\n") == 1
    assert not (tmp_path / "new").exists()
    with pytest.raises(DataError, match="has changed since it was made"):
        finish_run(run)


def test_an_unchanged_store_is_hashed_once_a_process(tmp_path: Path) -> None:
    write(tmp_path / "s")
    before = module._hashed.cache_info().misses
    for _ in range(3):
        Store.open(tmp_path / "s")
    assert module._hashed.cache_info().misses - before <= 1
    blank = tmp_path / "s" / "samples.csv"
    blank.write_text(blank.read_text())  # the same bytes, written again: the state is another, the fingerprint is not
    Store.open(tmp_path / "s")
    assert module._hashed.cache_info().misses - before == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\n1,train", "\n3,train", "row 2: label is outside 0..2"),
        ("\n1,train", "\n-1,train", "row 2: label is outside 0..2"),
        ("\n1,train", "\n1,trian", "row 2: split is none of train, valid, test"),
        ("\n1,train", "\n" + "9" * 5000 + ",train", "samples.csv is damaged"),
        (",0,0,1,", ",0,0,0.5,", "row 2: the soft labels are no shares that sum to 1"),
        (",0,0,1,", ",0,nan,1,", "row 2: the soft labels are no shares that sum to 1"),
        (",0,0,1,", ",-1,1,1,", "row 2: the soft labels are no shares that sum to 1"),
        ("train-0", "x" * 2000, "a text of 2,000 letters, expected at most 1,024"),
        ("train-0", "x" * 130_000, "a text of 130,000 letters, expected at most 1,024"),
        ("train-0", "x" * 140_000, "field larger than field limit"),
        ("train-0", '"', "samples.csv is damaged"),
    ],
    ids=lambda text: text[:20],
)
def test_a_sealed_table_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    write_bars(tmp_path / "s", soft=True, subjects=True)
    table = tmp_path / "s" / "samples.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))
    reseal(tmp_path / "s")
    with pytest.raises(DataError, match=re.escape(says)):
        _ = Store.open(tmp_path / "s").samples
    with pytest.raises(DataError, match=r"samples\.csv is damaged"):
        list(Store.open(tmp_path / "s").iter_samples())


def test_what_a_table_may_not_hold_is_not_written(tmp_path: Path) -> None:
    for changes, says in (
        ({"subject": "x" * 1025}, "a text of 1,025 letters, expected at most 1,024"),
        ({"soft": (0.5,) * 7}, "no shares that sum to 1"),
        ({"soft": (float("nan"),) * 7}, "no shares that sum to 1"),
        ({"aus": {1: float("inf")}}, "not a finite number"),
    ):
        with pytest.raises(DataError, match=says), create_store(tmp_path / "s", SEVEN, SPEC) as writer:
            writer.add(sample(0, **changes), face=image(0))
