"""Corpora in, one store out: every layout, the splits, the label maps, flat memory, nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

import corpora_made as made
from mien.cli import main
from mien.crop import CropSpec, crop
from mien.data.corpora import ReadOptions
from mien.data.prepare import PrepareOptions, draw_store, prepare
from mien.data.store import Store
from mien.errors import BadSample, ConfigError, DataError, LabelError
from mien.labels import EIGHT, SEVEN


def stored(root: Path, corpus: str, out: Path, **options: object) -> Store:
    prepare(root, corpus, out, PrepareOptions(**options))  # type: ignore[arg-type]
    return Store.open(out)


def tally(store: Store) -> dict[str, int]:
    return dict(Counter(store.samples.split.tolist()))


def named(store: Store) -> dict[str, str]:
    """{source: class}"""
    labels = [store.meta.labels[label] for label in store.samples.label]
    return dict(zip(store.samples.source.tolist(), labels, strict=True))


def image_of(store: Store, source: str) -> np.ndarray:
    return store.images[store.samples.source.tolist().index(source)]


# FER2013


def test_fer2013_csv(tmp_path: Path) -> None:
    made.fer_csv(tmp_path / "c/fer2013.csv")
    store = stored(tmp_path / "c", "fer2013", tmp_path / "s", crop=CropSpec(channels=1))
    assert store.meta.labels == SEVEN.names
    assert tally(store) == {"train": 14, "test": 14}
    np.testing.assert_array_equal(store.images[0, ..., 0], made.picture(0))
    assert list(named(store).items())[:3] == [
        ("fer2013.csv:2", "anger"),
        ("fer2013.csv:3", "anger"),
        ("fer2013.csv:4", "disgust"),
    ]
    assert "PublicTest is test (no PrivateTest" in store.meta.notes[0]
    assert not (tmp_path / "s/skipped.csv").exists()


def test_icml_table_has_spaces_in_its_header_and_three_splits(tmp_path: Path) -> None:
    path = made.icml_csv(tmp_path / "icml_face_data.csv")
    assert tally(stored(path, "fer2013", tmp_path / "s")) == {"train": 14, "valid": 14, "test": 14}
    told = stored(tmp_path, "fer2013", tmp_path / "t", read=ReadOptions(public_test="test"))
    assert tally(told) == {"train": 14, "test": 28}


def test_fer2013_folders_take_the_split_from_the_file_names(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c", each=2)
    for path in root.glob("test/*/test_*.png"):
        path.rename(path.with_name({"0": "PublicTest_7.png", "1": "PrivateTest_8.png"}[path.stem[-1]]))
    assert tally(stored(root, "fer2013", tmp_path / "s")) == {"train": 14, "valid": 7, "test": 7}
    for path in root.glob("test/*/PrivateTest*"):
        path.unlink()
    assert tally(stored(root, "fer2013", tmp_path / "t")) == {"train": 14, "test": 7}


# FER+


def test_ferplus_votes_become_soft_labels(tmp_path: Path) -> None:
    root = made.ferplus(tmp_path / "c", [[4, 3, 1, 0, 0, 0, 0, 0, 1, 1], [5, 0, 0, 0, 0, 0, 0, 4, 0, 1]])
    store = stored(root, "ferplus", tmp_path / "s")
    soft = store.samples.soft
    assert soft is not None
    assert named(store)["fer2013.csv:2"] == "neutral"
    assert soft[0, SEVEN.index("neutral")] == pytest.approx(4 / 7, abs=1e-5)
    assert soft[0, SEVEN.index("happiness")] == pytest.approx(3 / 7, abs=1e-5)
    assert soft[1, SEVEN.index("neutral")] == 1, "contempt's votes are left out under seven"
    eight = stored(root, "ferplus", tmp_path / "t", labels="eight", limit=100)
    assert eight.samples.soft is not None
    assert eight.samples.soft[1, EIGHT.index("contempt")] == pytest.approx(4 / 9, abs=1e-5)


def test_ferplus_leaves_out_what_has_no_majority_or_no_face(tmp_path: Path) -> None:
    votes = [
        [0, 0, 0, 0, 0, 0, 0, 0, 8, 2],  # unknown
        [2, 0, 0, 0, 0, 0, 0, 0, 0, 8],  # no face
        [5, 5, 0, 0, 0, 0, 0, 0, 0, 0],  # a tie
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # single votes only
        [0, 0, 0, 0, 0, 0, 0, 9, 1, 0],  # contempt
    ]
    store = stored(made.ferplus(tmp_path / "c", votes), "ferplus", tmp_path / "s", limit=100)
    assert len(store) == 28 - 5
    assert store.samples.source[0] == "fer2013.csv:7"
    told = " ".join(store.meta.notes)
    assert "3 samples of the class 'unknown'" in told
    assert "1 samples of the class 'NF'" in told
    assert "1 samples of the class 'contempt'" in told


def test_ferplus_keeps_the_original_label_as_votes_where_asked(tmp_path: Path) -> None:
    votes = [[4, 0, 0, 0, 4, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0, 0, 8, 2]]
    root = made.ferplus(tmp_path / "c", votes)
    store = stored(root, "ferplus", tmp_path / "s", read=ReadOptions(original_votes=4))
    soft = store.samples.soft
    assert soft is not None
    assert len(store) == 28, "neither unknown nor NF is left out"
    first = SEVEN.index(named(store)["fer2013.csv:2"])
    assert store.samples.label[0] == first == SEVEN.index("anger")
    assert soft[0, first] == pytest.approx(8 / 12, abs=1e-5)
    assert soft[1].max() == 1, "where FER+ has no expression, the original label stands alone"
    assert store.meta.corpus == "fer2013-ferplus"
    with pytest.raises(ConfigError, match="original-votes is 0 to 1000"):
        PrepareOptions(read=ReadOptions(original_votes=-1))


def test_ferplus_refuses_tables_of_different_length_and_usage(tmp_path: Path) -> None:
    root = made.ferplus(tmp_path / "c")
    table = root / "fer2013new.csv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"fer2013new\.csv ends before fer2013\.csv:29"):
        prepare(root, "ferplus", tmp_path / "s")
    table.write_text("".join([*lines[:5], lines[5].replace("Training", "PublicTest"), *lines[6:]]))
    with pytest.raises(DataError, match=r"fer2013new\.csv:6 says 'PublicTest' where fer2013\.csv:6 says 'Training'"):
        prepare(root, "ferplus", tmp_path / "s")
    table.unlink()
    with pytest.raises(DataError, match=r"holds no fer2013new\.csv"):
        prepare(root, "ferplus", tmp_path / "s")


# RAF-DB


def test_rafdb_official_tree(tmp_path: Path) -> None:
    root = made.rafdb(tmp_path / "c")
    store = stored(root, "rafdb", tmp_path / "s")
    assert tally(store) == {"train": 14, "test": 14}
    codes = dict(enumerate(made.RAF_CLASSES, start=1))
    for source, name in named(store).items():
        assert name == codes[int(source.split("_")[1]) // 100]
    assert named(stored(root / "basic", "rafdb", tmp_path / "t")) == named(store)


@pytest.mark.parametrize("under", ["", "DATASET"])
def test_rafdb_packed_tree(tmp_path: Path, under: str) -> None:
    made.rafdb_packed(tmp_path / "c" / under)
    store = stored(tmp_path / "c", "rafdb", tmp_path / "s")
    assert tally(store) == {"train": 14, "test": 14}
    assert {named(store)[s] for s in named(store) if s.startswith("train/1/")} == {"surprise"}
    assert "checked against the tables" in " ".join(store.meta.notes)


# AffectNet, folders, tables, arrays


def test_affectnet_tree(tmp_path: Path) -> None:
    root = made.affectnet(tmp_path / "c")
    store = stored(root, "affectnet", tmp_path / "s")
    assert tally(store) == {"train": 7, "test": 7}
    assert named(store)["train_set/images/1.jpg"] == "happiness"
    assert named(store)["val_set/images/6.jpg"] == "anger"
    assert len(stored(root, "affectnet", tmp_path / "t", labels="eight")) == 16


@pytest.mark.parametrize("header", [True, False])
def test_affectnet_tables(tmp_path: Path, header: bool) -> None:
    store = stored(made.affectnet_tables(tmp_path / "c", header=header), "affectnet", tmp_path / "s")
    assert tally(store) == {"train": 7, "test": 7}
    picture = cv2.imread(str(tmp_path / "c/Manually_Annotated_Images/0/0.jpg"))
    np.testing.assert_array_equal(store.images[0], picture[48:, 48:, ::-1])
    assert "2 samples of the class 'no-face' were left out." in store.meta.notes


def test_folders_with_and_without_splits(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c")
    (root / "train/happy/notes.txt").write_text("no picture")
    (root / "train/happy/.hidden.png").write_text("no picture")
    assert tally(stored(root, "folder", tmp_path / "s")) == {"train": 21, "test": 21}
    flat = stored(root / "train", "folder", tmp_path / "t")
    assert tally(flat) == {"train": 21}
    assert "no splits" in flat.meta.notes[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".pgm"])
def test_every_kind_of_picture(tmp_path: Path, suffix: str) -> None:
    root = made.folders(tmp_path / "c", each=1, suffix=suffix)
    store = stored(root, "folder", tmp_path / "s", crop=CropSpec(channels=1))
    difference = image_of(store, f"train/angry/train_0{suffix}")[..., 0].astype(int) - made.picture(0).astype(int)
    assert np.abs(difference).mean() < (6 if suffix in (".jpg", ".webp") else 0.01)


def test_colours_are_rgb_and_exif_turns_the_picture(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c", each=1)
    red_left = np.zeros((48, 48, 3), np.uint8)
    red_left[:, :24, 2] = 255
    cv2.imwrite(str(root / "train/angry/train_0.png"), red_left)
    assert image_of(stored(root, "folder", tmp_path / "s"), "train/angry/train_0.png")[0, 0].tolist() == [255, 0, 0]
    jpeg = cv2.imencode(".jpg", red_left, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6: turn right
    exif = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    (root / "train/angry/train_0.png").unlink()
    (root / "train/angry/train_0.jpg").write_bytes(jpeg[:2] + exif + jpeg[2:])
    image = image_of(stored(root, "folder", tmp_path / "t"), "train/angry/train_0.jpg")
    assert image[4, 24, 0] > 200, "what was left is above"
    assert image[44, 24, 0] < 60


def test_table_of_paths_with_boxes_and_subjects(tmp_path: Path) -> None:
    path = made.listed(tmp_path / "c")
    store = stored(path, "csv", tmp_path / "s", crop=CropSpec(size=48, channels=1, margin=0.1))
    assert tally(store) == {"train": 7, "valid": 7}
    assert store.samples.subject[:2].tolist() == ["s0", "s1"]
    expected = crop(made.picture(0, 96), CropSpec(size=48, channels=1, margin=0.1), (0, 0, 48, 48))
    np.testing.assert_array_equal(store.images[0], expected)
    assert named(stored(path.parent, "csv", tmp_path / "t")) == named(store)


def test_table_with_groups(tmp_path: Path) -> None:
    path = made.listed(tmp_path / "c")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",group:skin", *(f"{line},{i}" for i, line in enumerate(lines[1:]))]))
    assert stored(path, "csv", tmp_path / "s").samples.groups["skin"].tolist() == [str(i) for i in range(14)]


def test_arrays(tmp_path: Path) -> None:
    store = stored(made.npz(tmp_path / "a.npz"), "npz", tmp_path / "s", crop=CropSpec(channels=1))
    assert tally(store) == {"train": 7, "test": 7}
    assert [store.meta.labels[label] for label in store.samples.label[:3]] == ["anger", "disgust", "fear"]
    np.testing.assert_array_equal(store.images[..., 0], np.stack([made.picture(i) for i in range(14)]))
    assert store.samples.subject[1] == "s1"
    words = np.array([made.FER_CLASSES[i % 7] for i in range(14)])
    splits = np.array(["train", "val"] * 7)
    texts = stored(made.npz(tmp_path / "b.npz", labels=words, class_names=None, split=splits), "npz", tmp_path / "t")
    assert tally(texts) == {"train": 7, "valid": 7}
    assert texts.samples.label.tolist() == store.samples.label.tolist()


PEOPLE = {"gender": np.array(["female", ""] * 7), "age": np.array([-1, 17, 25, 34, 35, 60, 24] * 2)}


def test_arrays_that_the_user_names_are_groups_and_numbers_are_cut(tmp_path: Path) -> None:
    path = made.npz(tmp_path / "a.npz", **PEOPLE)
    store = stored(path, "npz", tmp_path / "s", read=ReadOptions(group=("gender", "age=25,35")))
    assert store.samples.groups["gender"].tolist() == ["female", ""] * 7
    young, middle, old = "0 to below 25", "25 to below 35", "35 and above"
    assert store.samples.groups["age"][:7].tolist() == ["", young, middle, middle, old, old, young]


@pytest.mark.parametrize("wrong", ["=25", "age=", "age=35,25", "age=25,25", "age=nan", "age=x"])
def test_groups_that_are_none(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match="--group is an array"):
        prepare(
            made.npz(tmp_path / "a.npz", **PEOPLE),
            "npz",
            tmp_path / "s",
            PrepareOptions(read=ReadOptions(group=(wrong,))),
        )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("skin", "the array is not in the file"),
        ("class_names", r"has the shape \(7,\); expected one of shape \(14,\)"),
        ("gender=25", "the array holds words, so it has no borders"),
        ("age", "the array holds int64; give borders, such as 25,35"),
    ],
)
def test_groups_that_do_not_fit_the_arrays(tmp_path: Path, asked: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        prepare(
            made.npz(tmp_path / "a.npz", **PEOPLE),
            "npz",
            tmp_path / "s",
            PrepareOptions(read=ReadOptions(group=(asked,))),
        )


def test_a_set_that_only_tests_may_lack_classes(tmp_path: Path) -> None:
    path = made.npz(tmp_path / "a.npz", labels=np.array(["neutral", "happy"] * 7), class_names=None)
    with pytest.raises(BadSample, match=r"class 'anger': an empty class.*--split test"):
        prepare(path, "npz", tmp_path / "s")
    store = stored(path, "npz", tmp_path / "s", split="test")
    assert tally(store) == {"test": 14}
    assert len(store.meta.labels) == 7
    assert "Every sample is test" in store.meta.notes[-1]


# label sets


def test_classes_that_cannot_be_mapped_are_refused_with_their_names(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c", ("happy", "others", "repression"), each=1)
    with pytest.raises(LabelError, match=r"\['others', 'repression'\].*--labels own"):
        prepare(root, "folder", tmp_path / "s")
    own = stored(root, "folder", tmp_path / "s", labels="own")
    assert own.meta.labels == ("happy", "others", "repression")


@pytest.mark.parametrize("wrong", [{"labels": "nine"}, {"limit": 0}, {"read": ReadOptions(public_test="train")}])
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="got"):
        PrepareOptions(**wrong)  # type: ignore[arg-type]


# the rest


@pytest.mark.parametrize("limit", [1, 5, 14, 28, 100])
def test_limit_spreads_evenly(tmp_path: Path, limit: int) -> None:
    made.fer_csv(tmp_path / "fer2013.csv")
    store = stored(tmp_path, "fer2013", tmp_path / "s", limit=limit)
    assert len(store) == min(limit, 28)
    rows = np.array([int(source.split(":")[1]) for source in store.samples.source])
    if limit in (5, 14):
        assert np.ptp(np.diff(rows)) <= 1
        assert "A trial of" in " ".join(store.meta.notes)


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    root = made.rafdb(tmp_path / "c")
    first = prepare(root, "rafdb", tmp_path / "s")
    second = prepare(root, "rafdb", tmp_path / "t")
    assert first.sha256 == second.sha256
    with pytest.raises(DataError, match="--force"):
        prepare(root, "rafdb", tmp_path / "s")
    assert prepare(root, "rafdb", tmp_path / "s", PrepareOptions(force=True)) == first


def test_licence_is_overridden(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c", each=1)
    assert stored(root, "folder", tmp_path / "s", licence="CC0").meta.licence == "CC0"


def test_drawn_store(tmp_path: Path) -> None:
    meta = draw_store(tmp_path / "s", count=40, size=32, seed=3)
    store = Store.open(tmp_path / "s")
    assert (meta.corpus, meta.count, meta.crop.size) == ("drawn", 40, 32)
    assert store.array("moved").shape == (40, 32, 32)
    assert 12 in store.samples.aus
    assert set(store.samples.groups) >= {"skin", "glasses"}
    assert draw_store(tmp_path / "t", count=40, size=32, seed=3).sha256 == meta.sha256


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = made.folders(tmp_path / "c", each=1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"cannot be written.*No space left on device"):
        prepare(root, "folder", tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_import_leaves_nothing_that_opens(tmp_path: Path, how: signal.Signals) -> None:
    rows = made.fer_rows(each=1) * 800  # seconds of work, so that the signal comes in time on a busy machine
    made.fer_csv(tmp_path / "c/fer2013.csv", rows)
    command = [sys.executable, "-m", "mien", "data", "prepare", str(tmp_path / "c"), "-c", "fer2013"]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "s")],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background job
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        files = list(tmp_path.glob(".s.partial-*/s/planes/face.npy"))
        if files and files[0].stat().st_size > 100_000:
            break
        time.sleep(0.005)
    os.kill(process.pid, how)
    _, said = process.communicate(timeout=30)
    assert process.returncode == (130 if how == signal.SIGINT else -9), said
    assert "Traceback" not in said
    assert not (tmp_path / "s").exists()
    for left in tmp_path.glob(".s.partial-*"):
        assert how == signal.SIGKILL
        with pytest.raises(DataError):
            Store.open(left / "s")


MEASURE = """
import sys
from pathlib import Path
from mien.cli import main
try:
    main(["data", "prepare", sys.argv[1], "-c", "folder", "-o", sys.argv[2], "--json", "--limit", sys.argv[3]])
except SystemExit as end:
    assert end.code == 0
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads VmHWM from /proc")
def test_memory_is_flat_from_10_000_to_100_000(tmp_path: Path) -> None:
    from mien.data.drawn import draw_faces

    drawn = [(face.label, face.image[..., ::-1]) for _, face in draw_faces(700)]
    for i in range(100_000):
        name, image = drawn[i % len(drawn)]
        moved = np.roll(image, (i // 700 % 12, i // 8400), (0, 1))
        path = tmp_path / "c" / name / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), moved)
    peaks = []
    for count in (10_000, 100_000):
        arguments = [str(tmp_path / "c"), str(tmp_path / f"s{count}"), str(count)]
        done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-2]) / 1024)
    assert peaks[1] == pytest.approx(peaks[0], rel=0.10), f"peak RSS in MB: {peaks}"


@pytest.mark.long
@pytest.mark.real
def test_fer2013_whole(tmp_path: Path) -> None:
    source = Path(os.environ.get("MIEN_REAL_DATA", Path(__file__).parents[2] / "shared/data/fer2013.npz"))
    if not source.is_file():
        pytest.skip(f"needs FER2013 at {source}")
    store = stored(source, "npz", tmp_path / "s", crop=CropSpec(channels=1))
    assert tally(store) == {"train": 28_709, "test": 3_589}
    counts = [int((store.samples.label[store.rows("train")] == SEVEN.index(name)).sum()) for name in made.FER_CLASSES]
    assert counts == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    with np.load(source, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(store.images[..., 0], arrays["images"])


def test_a_name_that_is_no_utf8_is_a_name(tmp_path: Path) -> None:
    root = made.folders(tmp_path / "c", SEVEN.names, each=2)
    odd = os.fsdecode(b"caf\xe9")
    (root / "train/anger/train_0.png").rename(root / f"train/anger/{odd}.png")
    (root / f"train/anger/{odd}.jpg").write_bytes(b"hello")
    (root / f"train/anger/{odd}.txt").write_bytes(b"hello")
    store = stored(root, "folder", tmp_path / "s", skip_bad=True)
    assert "train/anger/caf\\udce9.png" in named(store)
    assert "caf\\udce9.jpg" in (tmp_path / "s/skipped.csv").read_text("utf-8")
    assert "caf\\udce9.txt" in store.meta.notes[-1]


# what is passed over


def test_what_is_left_out_of_a_folder_is_counted_and_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = made.folders(tmp_path / "c", each=2)
    happy = root / "train/happy"
    (happy / "train_0.png").rename(happy / "a_picture.txt")
    (happy / "notes.md").write_text("no picture")
    (happy / "face.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (happy / "clip").write_bytes(b"\0\0\0\x20ftypisom")
    made.save(happy / ".hidden.png", 1)
    (happy / "._train_1.png").write_text("left by another system")
    for name in ("a.png", "b.jpe", "c.jfif", "d"):
        made.save(happy / "subject 1/1.jpg", 4).rename(happy / "subject 1" / name)
    made.save(root / "on_top.png", 2)
    (root / "README.txt").write_text("about this corpus")
    made.save(root / ".cache/1.png", 2)
    with pytest.raises(DataError, match=r"train/happy/face\.heic: a HEIC picture, expected PNG"):
        prepare(root, "folder", tmp_path / "s")
    with pytest.raises(SystemExit):
        main(["data", "prepare", str(root), "-c", "folder", "-o", str(tmp_path / "s"), "--skip-bad"])
    store = Store.open(tmp_path / "s")
    assert (len(store), store.meta.skipped) == (28, 1)
    assert "train/happy/a_picture.txt" in named(store)
    (note,) = (note for note in store.meta.notes if note.startswith("Passed over"))
    assert dict(part.split(": ") for part in note.removeprefix("Passed over: ").removesuffix(".").split("; ")) == {
        "pictures outside the class folders (5)": "on_top.png, train/happy/subject 1/a.png,"
        " train/happy/subject 1/b.jpe, …",
        "hidden pictures (1)": "train/happy/.hidden.png",
        "videos (1)": "train/happy/clip",
        "other files (1)": "train/happy/notes.md",
    }
    assert "pictures outside the class folders (5)" in " ".join(capfd.readouterr().out.split())


def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path) -> None:
    store = stored(made.folders(tmp_path / "c", each=1), "folder", tmp_path / "s")
    assert not any("Passed over" in note for note in store.meta.notes)
    assert not any("Passed" in n for n in stored(made.rafdb_packed(tmp_path / "r"), "rafdb", tmp_path / "t").meta.notes)


def test_affectnet_takes_pictures_by_content_and_names_the_rest(tmp_path: Path) -> None:
    root = made.affectnet(tmp_path / "c")
    images = root / "train_set/images"
    (images / "1.jpg").rename(images / "1.dat")
    (images / "notes.txt").write_text("no picture")
    made.save(images / "more/9.png", 2)
    store = stored(root, "affectnet", tmp_path / "s")
    assert "train_set/images/1.dat" in named(store)
    assert any("pictures outside the class folders (1): more/9.png" in note for note in store.meta.notes)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".tif", ".pnm", ""])
def test_a_picture_is_taken_whatever_it_is_called(tmp_path: Path, suffix: str) -> None:
    root = made.folders(tmp_path / "c", each=1)
    for path in sorted(root.rglob("*.png")):
        path.rename(path.with_suffix(suffix))
    assert len(stored(root, "folder", tmp_path / "s")) == 14
