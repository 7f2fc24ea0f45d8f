"""The audit finds what was planted, and nothing else; a cleaned store is clean; FER2013 shows its known dirt."""

import csv
import io
import os
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

import corpora_made as made
from mien.crop import CropSpec
from mien.data import audit as audit_module
from mien.data.audit import Audit, audit
from mien.data.clean import clean, rows_to_drop
from mien.data.findings import findings, findings_csv, next_command, summary
from mien.data.gallery import GROUPS_SHOWN, gallery_page
from mien.data.prepare import PrepareOptions, draw_store, prepare
from mien.data.store import Sample, Store, create_store
from mien.errors import ConfigError, DataError
from mien.labels import SEVEN


def store_of(path: Path, images: list[np.ndarray], labels: list[int], splits: list[str], channels: int = 1) -> Store:
    with create_store(path, SEVEN, CropSpec(size=48, channels=channels)) as writer:
        for i, (image, label, split) in enumerate(zip(images, labels, splits, strict=True)):
            shaped = np.repeat(image[..., None], channels, axis=2)
            writer.add(Sample(label=label, split=split, source=f"<img {i}>", subject=f"s{i}"), face=shaped)
        writer.finish(corpus="planted", licence="none", notes=("first",))
    return Store.open(path)


def planted(path: Path, channels: int = 1) -> Store:
    """60 different images, then: 60 a copy of 0 in the test, 61 and 62 copies of 1 with another label, 63 a
    brighter, noisy copy of 2 in the test, 64 black, 65 a copy of 0 in valid, 66 grey 200."""
    noise = np.random.default_rng(0).normal(0, 3, (48, 48))
    images = [made.picture(i) for i in range(60)]
    brighter = np.clip(images[2] * 0.9 + 20 + noise, 0, 255).astype(np.uint8)
    images += [images[0], images[1], images[1], brighter, np.zeros_like(images[0]), images[0], images[0] * 0 + 200]
    labels = [i % 7 for i in range(60)] + [0, 1, 2, 2, 3, 0, 4]
    splits = ["train"] * 60 + ["test", "train", "train", "test", "train", "valid", "train"]
    return store_of(path, images, labels, splits, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_finds_what_was_planted_and_nothing_else(tmp_path: Path, channels: int) -> None:
    found = audit(planted(tmp_path / "s", channels))
    assert [group.rows for group in found.exact] == [(0, 60, 65), (1, 61, 62)]
    assert [group.rows for group in found.leaks] == [(0, 60, 65)]
    assert [group.rows for group in found.conflicts] == [(1, 61, 62)]
    assert [group.rows for group in found.near] == [(2, 63)]
    assert [group.rows for group in found.near_leaks] == [(2, 63)]
    assert found.blanks == (64, 66)
    assert found.near_complete


def test_the_summary_counts_images_across_splits(tmp_path: Path) -> None:
    summary = audit(planted(tmp_path / "s")).summary()
    assert summary["exact_across_splits"] == {
        "train": {"test": 1, "valid": 1},
        "test": {"train": 1, "valid": 1},
        "valid": {"train": 1, "test": 1},
    }
    assert summary["near_across_splits"] == {"train": {"test": 1}, "test": {"train": 1}}
    assert summary["exact_copies"] == 4
    assert sum(summary["counts"]["train"].values()) == 64
    assert summary["counts"]["valid"]["anger"] == 1


def test_a_near_copy_of_an_exact_copy_is_in_its_group(tmp_path: Path) -> None:
    first = made.picture(0)
    brighter = np.clip(first * 0.9 + 12, 0, 255).astype(np.uint8)
    images = [first, *(made.picture(i) for i in range(1, 9)), first, brighter]
    store = store_of(tmp_path / "s", images, [0] * 11, ["train"] * 10 + ["test"])
    assert [group.rows for group in audit(store).near] == [(0, 9, 10)]


@pytest.mark.parametrize("kind", ["jpeg", "shift of half a pixel", "scaled down and up", "watermark"])
def test_near_copies_of_real_kinds_are_found(tmp_path: Path, kind: str) -> None:
    originals = [made.picture(i) for i in range(40)]
    copies = []
    for image in originals:
        if kind == "jpeg":
            copy = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0)
        elif kind == "scaled down and up":
            copy = cv2.resize(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA), (48, 48))
        elif kind == "watermark":
            copy = image.copy()
            copy[40:44, 4:20] = copy[40:44, 4:20] // 2 + 100
        else:
            copy = cv2.warpAffine(image, np.float32([[1, 0, 0.5], [0, 1, 0]]), (48, 48), borderMode=1)
        copies.append(copy)
    store = store_of(tmp_path / "s", originals + copies, [0] * 80, ["train"] * 40 + ["test"] * 40)
    found = {group.rows for group in audit(store).near}
    truth = {(i, i + 40) for i in range(40)}
    assert len(found & truth) >= 36
    assert not found - truth


def test_candidates_are_all_pairs_that_share_a_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the plain double loop, with blocks so small that every edge is met; no pair comes twice."""
    store = store_of(tmp_path / "s", [made.picture(i) for i in range(30)], [0] * 30, ["train"] * 30)
    random = np.random.default_rng(1)
    base = random.integers(0, 1 << 63, 3, dtype=np.uint64)
    flips = [
        np.uint64(sum(1 << int(bit) for bit in random.choice(64, random.integers(0, 9), False))) for _ in range(30)
    ]
    hashes = np.array([base[i % 3] ^ flips[i] for i in range(30)])
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(audit_module, "BLOCK", 4)
    monkeypatch.setattr(audit_module, "_correlation", lambda file, store, *pair: seen.append(pair) or 0.0)
    audit_module._near_pairs(store, hashes, np.arange(30))
    ordered = [tuple(sorted(pair)) for pair in seen]
    expected = set()
    for i in range(30):
        for j in range(i + 1, 30):
            differ = int(hashes[i]) ^ int(hashes[j])
            shares = any(differ >> shift & 0xFFFF == 0 for shift in audit_module.BANDS)
            if shares and differ.bit_count() <= audit_module.MAX_DISTANCE:
                expected.add((i, j))
    assert len(expected) > 20
    assert len(ordered) == len(set(ordered))
    assert set(ordered) == expected


@pytest.mark.parametrize("limit", ["MAX_NEIGHBOURS", "MAX_COMPARED"])
def test_a_bounded_search_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    near = [np.clip(made.picture(0) * 0.9 + i, 0, 255).astype(np.uint8) for i in range(12)]
    store = store_of(tmp_path / "s", near, [0] * 12, ["train"] * 12)
    assert audit(store).near_complete
    monkeypatch.setattr(audit_module, limit, 3)
    assert not audit(store).near_complete


def test_drawn_faces_are_clean_of_exact_copies(tmp_path: Path) -> None:
    draw_store(tmp_path / "s", count=210, seed=1)
    found = audit(Store.open(tmp_path / "s"))
    assert (found.exact, found.blanks) == ((), ())


# cleaning


def cleaned(tmp_path: Path, *drop: str) -> tuple[Store, Audit, Store]:
    store = planted(tmp_path / "s")
    found = audit(store)
    clean(store, found, drop, tmp_path / "clean")
    return store, audit(Store.open(tmp_path / "clean")), Store.open(tmp_path / "clean")


def test_leaks_keep_the_test_and_drop_the_rest(tmp_path: Path) -> None:
    old, found, new = cleaned(tmp_path, "leaks")
    assert found.leaks == ()
    kept = new.samples.source.tolist()
    assert "<img 60>" in kept
    assert not {"<img 0>", "<img 65>"} & set(kept)
    assert len(new) == len(old) - 2
    assert (tmp_path / "clean/dropped.csv").read_text().splitlines() == [
        "row,source,split,reason",
        "0,<img 0>,train,leaks",
        "65,<img 65>,valid,leaks",
    ]
    assert new.meta.notes[0] == "first"
    assert "of 67: dropped 2 leaks" in new.meta.notes[1]
    assert old.meta.sha256[:16] in new.meta.notes[1]
    rows = [row for row in range(67) if row not in (0, 65)]
    np.testing.assert_array_equal(new.images, old.images[rows])
    assert new.samples.subject.tolist() == [f"s{row}" for row in rows]


def test_everything_dropped_is_clean(tmp_path: Path) -> None:
    _, found, new = cleaned(tmp_path, "leaks", "near-leaks", "conflicts", "blanks")
    assert (found.leaks, found.near_leaks, found.conflicts, found.blanks) == ((), (), (), ())
    assert "2 leaks, 1 near-leaks, 3 conflicts, 2 blanks" in new.meta.notes[1]


def test_valid_is_kept_where_the_group_has_no_test() -> None:
    group = audit_module.Group(rows=(3, 4, 5), labels=(0, 0, 0), splits=("train", "valid", "train"))
    found = Audit(images=9, counts={}, exact=(group,), near=(), blanks=(), near_complete=True)
    assert rows_to_drop(found, ["leaks"]) == {3: "leaks", 5: "leaks"}


def test_masks_and_groups_survive_cleaning(tmp_path: Path) -> None:
    draw_store(tmp_path / "s", count=21)
    store = Store.open(tmp_path / "s")
    found = Audit(images=21, counts={}, exact=(), near=(), blanks=(4,), near_complete=True)
    clean(store, found, ["blanks"], tmp_path / "clean")
    new = Store.open(tmp_path / "clean")
    rows = [row for row in range(21) if row != 4]
    np.testing.assert_array_equal(new.array("moved"), store.array("moved")[rows])
    np.testing.assert_array_equal(new.samples.aus[12], store.samples.aus[12][rows])
    assert new.samples.groups["skin"].tolist() == store.samples.groups["skin"][rows].tolist()


def test_what_cannot_be_cleaned_is_refused(tmp_path: Path) -> None:
    store = planted(tmp_path / "s")
    found = audit(store)
    with pytest.raises(ConfigError, match=r"leaks, near-leaks, conflicts, blanks; got \['leak'\]"):
        clean(store, found, ["leak"], tmp_path / "t")
    with pytest.raises(DataError, match="being cleaned"):
        clean(store, found, ["leaks"], tmp_path / "s", force=True)
    assert len(Store.open(tmp_path / "s")) == 67


# the page


def test_the_page_needs_nothing_else_and_escapes_names(tmp_path: Path) -> None:
    store = planted(tmp_path / "s")
    found = audit(store)
    page = gallery_page(store, found)
    assert page.count("data:image/png;base64,") == 3 + 3 + 2 + 2
    assert "&lt;img 60&gt;" in page
    assert "<img 60>" not in page
    assert "http" not in page
    assert "color-scheme: light dark" in page
    assert re.search(r"Identical images across splits</th><td>1 group of 3 images: ", page)
    assert page.index("mien data audit") < page.index("<h2>"), "what to do stands before the pictures"
    assert "--drop leaks --drop near-leaks --drop conflicts --drop blanks" in page
    bare = gallery_page(store, found, faces=False)
    assert "data:" not in bare
    assert "&lt;img 60&gt;" in bare


def test_the_page_says_how_much_of_all_it_shows(tmp_path: Path) -> None:
    many = GROUPS_SHOWN + 3
    images = [made.picture(i) for i in range(many)]
    store = store_of(tmp_path / "s", images * 2, [0] * (2 * many), ["train"] * many + ["test"] * many)
    found = audit(store)
    page = gallery_page(store, found)
    assert f"first {GROUPS_SHOWN} of {many} groups shown; all in findings.csv" in page
    listed = findings(store, found)
    assert sum(one["across_splits"] for one in listed) == many
    assert len(findings_csv(listed).splitlines()) == 1 + 2 * many


def test_findings_name_every_image_of_every_group(tmp_path: Path) -> None:
    store = planted(tmp_path / "s")
    listed = findings(store, audit(store))
    assert [(one["kind"], [image["row"] for image in one["images"]]) for one in listed] == [
        ("identical", [0, 60, 65]),
        ("identical", [1, 61, 62]),
        ("nearly identical", [2, 63]),
        ("blank", [64]),
        ("blank", [66]),
    ]
    assert [one["across_splits"] for one in listed] == [True, False, True, False, False]
    assert [one["different_labels"] for one in listed] == [False, True, False, False, False]
    assert listed[0]["reason"] == "3 identical images, in train (1), test (1) and valid (1), labelled anger"
    assert listed[1]["reason"] == "3 identical images, in train, labelled disgust (2) and fear (1)"
    assert listed[0]["images"][1] == {
        "row": 60, "split": "test", "label": "anger", "subject": "s60", "source": "<img 60>"
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(findings_csv(listed))))
    assert [(row["finding"], row["row"]) for row in rows] == [
        (str(one["finding"]), str(image["row"])) for one in listed for image in one["images"]
    ]
    assert rows[1]["across_splits"] == "yes"


def test_a_source_that_is_a_formula_stays_a_text_in_the_table() -> None:
    image = {"row": 0, "split": "test", "label": "anger", "subject": "@who", "source": "=1+1.png"}
    group = {
        "finding": 1,
        "kind": "blank",
        "across_splits": False,
        "different_labels": False,
        "reason": "shows nothing",
    }
    row = next(csv.DictReader(io.StringIO(findings_csv([{**group, "images": [image]}]))))
    assert not row["source"].startswith("=")
    assert not row["subject"].startswith("@")


def test_the_summary_says_what_harms_and_what_to_type(tmp_path: Path) -> None:
    found = audit(planted(tmp_path / "s"))
    lines = {line.kind: line for line in summary(found)}
    assert [line.kind for line in lines.values() if line.harms] == [
        "Identical images across splits",
        "Nearly identical images across splits",
        "Identical images with different labels",
        "Blank images",
    ]
    assert "1 group of 3 images: " in lines["Identical images across splits"].numbers
    assert "1 test in train" in lines["Identical images across splits"].numbers
    assert lines["Blank images"].numbers == "2 images"
    assert next_command(found, "my stores/s/") == (
        "mien data audit 'my stores/s/' --drop leaks --drop near-leaks --drop conflicts --drop blanks "
        "--out 'my stores/s-clean'"
    )
    assert shlex.split(next_command(found, "my stores/s/"))[3] == "my stores/s/"
    clean_store = store_of(tmp_path / "c", [made.picture(i) for i in range(20)], [0] * 20, ["train"] * 20)
    assert next_command(audit(clean_store), "c") == ""
    assert not any(line.harms for line in summary(audit(clean_store)))


@pytest.mark.long
@pytest.mark.real
def test_fer2013_shows_its_known_dirt(tmp_path: Path) -> None:
    """280 PublicTest images with an exact copy in Training, 12 blank images. The 1,514 groups of exact duplicates
    are those of the whole set; without PrivateTest there are 1,271, counted here by comparing bytes as well."""
    source = Path(os.environ.get("MIEN_REAL_DATA", Path(__file__).parents[2] / "shared/data/fer2013.npz"))
    if not source.is_file():
        pytest.skip(f"needs FER2013 at {source}")
    prepare(source, "npz", tmp_path / "s", PrepareOptions(crop=CropSpec(channels=1)))
    store = Store.open(tmp_path / "s")
    found = audit(store)
    rows: dict[bytes, list[int]] = {}
    for row, image in enumerate(np.asarray(store.images)):
        rows.setdefault(image.tobytes(), []).append(row)
    assert sorted(group.rows for group in found.exact) == sorted(tuple(r) for r in rows.values() if len(r) > 1)
    summary = found.summary()
    assert summary["exact_groups"] == 1271
    assert summary["exact_across_splits"] == {"test": {"train": 280}, "train": {"test": 351}}
    assert summary["blank_images"] == 12
    assert summary["label_conflicts"] == 47
    assert summary["near_complete"]
    assert summary["near_across_splits"]["test"]["train"] > 100
    clean(store, found, ["leaks", "near-leaks", "blanks"], tmp_path / "clean")
    after = audit(Store.open(tmp_path / "clean"))
    assert (after.leaks, after.near_leaks, after.blanks) == ((), (), ())
