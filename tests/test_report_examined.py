"""The sections of what was examined: what they say, what they do not, and that no figure goes without its interval."""

import csv
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_runs import finish, make_runs, make_store
from mien.checkpoint import save_tensors
from mien.compare import Comparison, collect
from mien.config import NetworkSettings, override
from mien.crop import CropSpec
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.errors import CompareError
from mien.examine.across import across, stored
from mien.examine.away import was_tested_elsewhere
from mien.examine.corruptions import CORRUPTIONS
from mien.examine.damaging import Robustness
from mien.examine.examined import MOST_JUDGED, Context, gather
from mien.examine.robustness import save
from mien.initial import build_network
from mien.labels import SEVEN, LabelSet
from mien.report import as_json, write_report
from mien.report.findings import find
from mien.report.page import compose
from mien.report.parts import Section, SmallTable
from mien.runs import Run, find_runs
from test_report import Page

pytestmark = pytest.mark.usefixtures("plain_figures")

SHARE = r"\d+\.\d \[(\d+\.\d–\d+\.\d|−?\d+\.\d to −?\d+\.\d)\]"
FEW = rf"{SHARE}|\d+\.\d \[no useful interval\]"
"""Of two seeds, or of few faces."""
POINTS = r"[+−]\d+\.\d \[[+−]\d+\.\d to [+−]\d+\.\d\]"


def people_store(path: Path, *, size: int = 16, test: int = 280, corpus: str = "people") -> Store:
    """Seven faces a subject, in three skins (one of ten faces), with and without glasses, and with votes."""
    rng = np.random.default_rng(3)
    with create_store(path, SEVEN, CropSpec(size=size, channels=3)) as writer:
        for split, count in (("train", 70), ("valid", 70), ("test", test)):
            for i in range(count):
                votes = 0.1 + 0.3 * np.eye(7)[i % 7]
                sample = Sample(
                    label=i % 7,
                    split=split,
                    source=f"{split}/{i}.png",
                    subject=f"{split}{i // 7:03}",
                    soft=tuple((votes / votes.sum()).tolist()),
                    groups={
                        "skin": "rare" if i < 10 else ("dark", "light")[i // 7 % 2],
                        "glasses": ("no", "yes")[i // 14 % 2],
                    },
                )
                writer.add(sample, face=rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
        writer.finish(corpus=corpus, licence="made for tests")
    return Store.open(path)


def damage(run: Run, loss: float, n: int = 140) -> Robustness:
    """Predictions of which `loss` more are wrong with each severity, kept in the run."""
    test, rng = run.logits("test"), np.random.default_rng(len(run.id))
    labels = test.labels[:n]
    wrong = rng.random((len(CORRUPTIONS), 5, n)) < 0.2 + loss * np.arange(1, 6)[None, :, None]
    measured = Robustness(
        ids=test.ids[:n],
        labels=labels,
        subjects=test.subjects[:n],
        clean=np.where(rng.random(n) < 0.2, (labels + 1) % 7, labels).astype(np.uint8),
        predicted=np.where(wrong, (labels + 1) % 7, labels).astype(np.uint8),
        corruptions=tuple(CORRUPTIONS),
    )
    save(run, measured)
    return measured


def weigh(runs: Sequence[Run], store: Store) -> None:
    """Untrained weights, so that runs can be tested elsewhere."""
    torch.set_num_threads(1)
    for run in runs:
        network = build_network(run.settings, divide(store, run.settings.data).train, torch.device("cpu"))
        save_tensors(run, "model.safetensors", network.state_dict(), {})


def sections(comparison: Comparison, context: Context | None = None, *, faces: bool = False) -> dict[str, Section]:
    return {section.id: section for section in compose(find(comparison, context), faces=faces)}


def table(section: Section, name: str) -> SmallTable:
    return next(panel.table for panel in section.panels if panel.table and panel.table.name == name)


def rows_of(section: Section, name: str) -> list[dict[str, str]]:
    text = section.files[name]
    assert isinstance(text, str)
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture(scope="module")
def people(place: Path) -> Store:
    return people_store(place / "people")


@pytest.fixture(scope="module")
def compared(place: Path, people: Store) -> Comparison:
    """Three networks, two seeds; the first is bad at faces with glasses; damage is measured."""
    runs = make_runs(place / "runs", people, dropouts=(0.0,), seeds=2, epochs=4)
    for run in runs:
        test = run.logits("test")
        if run.settings.model.name == "densenet121":
            glasses = test.groups["glasses"] == "yes"
            bad = test.logits.copy()
            bad[glasses] = np.roll(bad[glasses], 1, axis=1)
            run.write_logits({"valid": run.logits("valid"), "test": replace(test, logits=bad)})
        damage(run, {"vgg16": 0.02, "densenet121": 0.06, "resnet34": 0.1}[run.settings.model.name])
    return collect(runs)


@pytest.fixture(scope="module")
def found(compared: Comparison) -> dict[str, Section]:
    return sections(compared, Context(baseline="densenet121"))


@pytest.fixture(scope="module")
def plain(place: Path) -> Comparison:
    """A comparison of which nothing was examined, of faces of which nothing is known."""
    return collect(make_runs(place / "plain-runs", make_store(place / "plain"), networks=("vgg16",), dropouts=(0.0,)))


def test_what_was_not_measured_is_one_sentence_with_the_command(plain: Comparison) -> None:
    found = sections(plain)
    folder = plain.runs[0].path.parent
    assert f"mien robustness {folder}" in found["robustness"].lead
    assert f"mien across {folder} --data STORE" in found["across"].lead
    assert found["robustness"].panels == found["across"].panels == ()
    assert "groups" not in found
    assert any(f"mien report {folder} --noise-runs NOISE" in point for point in found["labels"].points)


@pytest.mark.long
def test_damage_is_set_against_a_named_baseline_with_intervals(found: dict[str, Section]) -> None:
    section = found["robustness"]
    assert "relative to that of densenet121, which has 100" in section.lead
    summary = table(section, "robustness")
    assert [row[0] for row in summary.rows] == ["vgg16", "densenet121", "resnet34"]
    assert summary.rows[1][3:5] == ("100, the baseline", "100, the baseline")
    for row in (summary.rows[0], summary.rows[2]):
        assert all(re.fullmatch(FEW, cell) for cell in row[1:5]), row
    by_kind = table(section, "robustness-by-corruption")
    assert [row[0] for row in by_kind.rows] == ["none", *(name.replace("_", " ") for name in CORRUPTIONS)]
    assert all(re.fullmatch(SHARE, cell) for row in by_kind.rows for cell in row[1:])
    assert "without correction for the number of rows" in section.lead
    assert re.search(rf"resnet34 {SHARE}", section.lead)


@pytest.mark.long
def test_another_baseline_is_stated_and_changes_the_figures(compared: Comparison) -> None:
    section = sections(compared, Context(baseline="vgg16"))["robustness"]
    assert "against those of vgg16" in section.lead
    mce = {
        row["network"]: float(row["value"]) for row in rows_of(section, "robustness.csv") if row["quantity"] == "mce"
    }
    assert mce["vgg16"] == 1
    assert mce["resnet34"] > mce["densenet121"] > 1
    with pytest.raises(CompareError, match="no network 'vgg99'"):
        sections(compared, Context(baseline="vgg99"))


def test_damage_files_hold_what_was_measured(compared: Comparison, found: dict[str, Section]) -> None:
    section = found["robustness"]
    measured = [damage(run, 0.02) for run in compared.rows[0].runs]
    rows = [row for row in rows_of(section, "robustness.csv") if row["network"] == "vgg16"]
    first = next(r for r in rows if (r["quantity"], r["corruption"], r["severity"]) == ("accuracy", "noise", "3"))
    assert float(first["value"]) == pytest.approx(np.mean([one.correct[0, 2].mean() for one in measured]))
    assert float(first["low"]) < float(first["value"]) < float(first["high"])
    assert len(rows) == 1 + 11 * 7 + 3


@pytest.mark.long
def test_rows_and_seeds_without_measurement_are_named(place: Path, people: Store) -> None:
    runs = make_runs(place / "partly", people, networks=("vgg16", "resnet34"), dropouts=(0.0,), seeds=2, epochs=2)
    damage(runs[0], 0.05)
    section = sections(collect(runs))["robustness"]
    assert "Not measured: resnet34." in section.points
    assert any("1 of 2 seeds" in point for point in section.points)
    wanted = sections(collect(runs), Context(baseline="resnet34"))["robustness"]
    assert "resnet34 is to be the baseline and was not measured" in wanted.lead
    assert wanted.panels == ()


def test_a_gap_that_holds_is_told_and_bold_and_no_other(found: dict[str, Section]) -> None:
    section = found["groups"]
    told = [point for point in section.points if "worse" in point or "better" in point]
    assert told
    assert {point.split(";")[0] for point in told} == {"densenet121: glasses no: better"}
    assert all("interval" in point and "corrected p" in point for point in told)
    gaps = table(section, "gaps")
    small = {
        (i, j)
        for i, row in enumerate(gaps.rows)
        for j, cell in enumerate(row[1:], 1)
        if (p := re.search(r"p (?:= |< )(\.\d+)", cell)) and float(p[1]) < 0.05
    }
    assert gaps.strong == small
    assert gaps.rows[2][gaps.heads.index("densenet121")].startswith("+60.7")
    assert [row[0] for row in gaps.rows] == ["skin dark", "skin light", "glasses no"]
    for row in gaps.rows:
        assert all(re.fullmatch(rf"{POINTS}, p (= \.\d\d\d|< \.001|= 1)", cell) for cell in row[1:]), row


def test_groups_too_small_are_named_and_not_judged(found: dict[str, Section]) -> None:
    section = found["groups"]
    assert any("skin rare: 10 faces of 2 subjects" in point for point in section.points)
    assert {(row["attribute"], row["level"]) for row in rows_of(section, "gaps.csv")} == {
        ("skin", "dark"),
        ("skin", "light"),
        ("glasses", "yes"),
        ("glasses", "no"),
    }
    for row in rows_of(section, "groups.csv"):
        assert float(row["low"]) - 1e-12 <= float(row["value"]) <= float(row["high"]) + 1e-12


@pytest.mark.long
def test_no_gap_is_no_equality(place: Path, people: Store) -> None:
    alike = collect(make_runs(place / "alike", people, networks=("vgg16",), dropouts=(0.0,), seeds=2, epochs=2))
    section = sections(alike)["groups"]
    assert "none is significant" in section.lead
    assert re.search(r"the intervals allow gaps of up to \d+ points", section.lead)
    assert table(section, "gaps").strong == frozenset()


def test_subjects_have_a_range_and_claim_nothing(found: dict[str, Section]) -> None:
    section = found["groups"]
    subjects = table(section, "subjects")
    for row in subjects.rows:
        assert row[1] == "40"
        assert all(re.fullmatch(rf"{SHARE}, 7 faces", cell) for cell in row[2:])
    assert "do not prove a gap" in subjects.notes[0]
    assert len(rows_of(section, "subjects.csv")) == 3 * 40


@pytest.mark.long
def test_of_many_rows_the_most_accurate_are_judged(place: Path, people: Store) -> None:
    many = collect(make_runs(place / "many", people, networks=[f"net{i}" for i in range(8)], dropouts=(0.0,), epochs=2))
    section = sections(many)["groups"]
    assert f"Judged are the {MOST_JUDGED} most accurate rows of 8." in section.points
    assert len(table(section, "gaps").heads) == 1 + MOST_JUDGED


def test_doubtful_labels_are_counted_with_intervals(compared: Comparison, found: dict[str, Section]) -> None:
    section = found["labels"]
    interval = r"\d+\.\d % \(95 % interval \d+\.\d to \d+\.\d"
    assert re.search(rf"takes about \d+ of 350 labels to be wrong, {interval}", section.lead)
    assert "look at the faces before you trust it" in section.lead
    doubts = table(section, "doubts")
    assert all(re.fullmatch(r"\d+\.\d\d \[\d+\.\d\d–\d+\.\d\d\]", row[2]) for row in doubts.rows)
    listed = rows_of(section, "doubts.csv")
    issues = gather(compared, compared.rows).issues
    assert issues
    assert [int(row["row"]) for row in listed] == issues.ids.tolist()
    assert listed[0]["source"].startswith(("valid/", "test/"))
    cells = issues.joint_low <= issues.joint
    assert cells[np.eye(7, dtype=bool)].all()


@pytest.mark.long
def test_drawn_faces_say_that_their_labels_are_right(place: Path) -> None:
    store = make_store(place / "drawn", corpus="drawn")
    runs = make_runs(place / "drawn-runs", store, networks=("vgg16",), dropouts=(0.0,))
    assert "Drawn faces have no wrong labels" in sections(collect(runs))["labels"].lead


@pytest.mark.long
def test_pictures_only_where_they_may_be_shown(compared: Comparison) -> None:
    def pictured(found: dict[str, Section]) -> dict[str, int]:
        return {
            key: sum(len(row.pictures) for panel in one.panels for row in panel.pictures) for key, one in found.items()
        }

    assert sum(pictured(sections(compared, faces=False)).values()) == 0
    shown = pictured(sections(compared, faces=True))
    assert shown["robustness"] == 5 * len(CORRUPTIONS)
    assert shown["labels"] > 0


def test_votes_are_held_against_networks(found: dict[str, Section], plain: Comparison) -> None:
    votes = table(found["labels"], "votes")
    assert [row[0] for row in votes.rows] == ["vgg16", "densenet121", "resnet34"]
    assert all(re.fullmatch(SHARE, cell) for row in votes.rows for cell in row[1:3])
    assert all(re.fullmatch(r"\d\.\d{3} \[\d\.\d{3}–\d\.\d{3}\]", cell) for row in votes.rows for cell in row[3:])
    assert "votes.csv" not in sections(plain)["labels"].files


def noisy_runs(folder: Path, store: Store, shares: Sequence[float]) -> list[Run]:
    runs = []
    for noise in shares:
        for seed in (0, 1):
            changes = {
                "data.label_noise": noise,
                "seed": seed,
                "train.epochs": 4,
                "model.name": "vgg16",
                "model.dropout": 0.0,
            }
            settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
            fold = divide(store, settings.data)
            runs.append(finish(Run.create(folder, settings, store, fold), fold))
    return runs


@pytest.mark.long
def test_noise_of_another_folder_gives_curves(place: Path, compared: Comparison) -> None:
    store = make_store(place / "noise-store", train=700)
    noisy = noisy_runs(place / "noise", store, (0.0, 0.2))
    section = sections(compared, Context(noise=tuple(noisy)))["labels"]
    lines = table(section, "label-noise").rows
    assert [row[:2] for row in lines] == [("vgg16", "0"), ("vgg16", "20")]
    assert lines[0][3:] == ("–", "–")
    assert re.fullmatch(POINTS, lines[1][3])
    assert {panel.drawing.name for panel in section.panels if panel.drawing} >= {"label-noise", "label-noise-curves"}
    assert not any("--noise-runs" in point for point in section.points)
    clean = [run for run in noisy if not run.settings.data.label_noise]
    with pytest.raises(CompareError, match=r"do not differ in data\.label_noise"):
        sections(compared, Context(noise=tuple(clean)))


@pytest.fixture(scope="module")
def travelled(place: Path) -> Comparison:
    """Three networks tested on two other corpora: one with other classes, one with copies of training pictures."""
    home = make_store(place / "home", size=16)
    runs = make_runs(
        place / "travel-runs",
        home,
        networks=("compact-s", "compact-m", "compact-l"),
        dropouts=(0.0,),
        seeds=2,
        epochs=2,
    )
    weigh(runs, home)
    rng = np.random.default_rng(11)
    stores = []
    for name, labels in (("few", LabelSet(("happiness", "sadness", "contempt"))), ("all", SEVEN)):
        with create_store(place / name, labels, CropSpec(size=16, channels=3)) as writer:
            for i in range(60):
                copied = name == "all" and i < 5
                image = home.images[i] if copied else rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                writer.add(Sample(label=i % len(labels), split="test", source=f"{i}"), face=np.array(image))
            writer.finish(corpus=name, licence="made for tests")
        stores.append(Store.open(place / name))
    across(runs, stores, np.random.default_rng(0))
    return collect(runs)


@pytest.mark.long
def test_the_matrix_is_shown_without_the_stores(place: Path, travelled: Comparison) -> None:
    for name in ("few", "all"):
        (place / name / "planes/face.npy").rename(place / name / "gone")
    section = sections(travelled)["across"]
    lines = table(section, "across").rows
    assert len(lines) == 3 * 3
    assert table(section, "across").heads[1] == "Tested on"
    for row in lines:
        assert re.fullmatch(FEW, row[4])
        assert re.fullmatch(FEW, row[7])
        home = row[1] == "made"
        assert row[5:7] == ("it is", "–") if home else re.fullmatch(FEW, row[5]) and re.fullmatch(POINTS, row[6])
    points = " ".join(section.points)
    assert "made → few: Left out, because the networks were not trained on these classes: contempt." in points
    assert "5 of the 60 pictures are exact copies of training pictures." in points
    assert {panel.drawing.name for panel in section.panels if panel.drawing} == {"across", "ranks"}
    assert "networks trained on made alone" in section.panels[1].caption
    assert len(rows_of(section, "across.csv")) == 9 * 5


def test_change_is_away_less_home(travelled: Comparison) -> None:
    matrix = stored([travelled.rows], np.random.default_rng(0))
    for cell in matrix.cells:
        if cell.own:
            assert np.isnan(cell.change_uar.value)
        else:
            assert cell.change_uar.value == pytest.approx(cell.uar.value - cell.home_uar.value)
            assert cell.change_uar.interval.low < cell.change_uar.value < cell.change_uar.interval.high


@pytest.mark.long
def test_a_row_not_tested_with_all_its_runs_is_named(place: Path, travelled: Comparison) -> None:
    run = travelled.rows[0].runs[0]
    for path in run.path.glob("across-*.npz"):
        path.rename(path.with_suffix(".aside"))
    section = sections(travelled)["across"]
    assert section.points[0] == f"Not tested on another corpus with all of their runs: {travelled.rows[0].name}."
    for path in run.path.glob("across-*.aside"):
        path.rename(path.with_suffix(".npz"))
    assert was_tested_elsewhere(run)


@pytest.mark.long
def test_runs_trained_elsewhere_make_the_matrix_square(place: Path, travelled: Comparison) -> None:
    other = make_store(place / "elsewhere", size=16, train=147, corpus="elsewhere")
    runs = make_runs(place / "elsewhere-runs", other, networks=("compact-s", "resnet34"), dropouts=(0.0,), epochs=2)
    section = sections(travelled, Context(elsewhere=tuple(runs)))["across"]
    lines = table(section, "across").rows
    assert ("compact-s", "elsewhere → elsewhere") in {row[:2] for row in lines}
    assert "resnet34" not in {row[0] for row in lines}
    with pytest.raises(CompareError, match="runs of the same data"):
        sections(travelled, Context(elsewhere=travelled.runs))


@pytest.mark.long
def test_json_holds_what_was_examined(place: Path, compared: Comparison, travelled: Comparison) -> None:
    path = write_report(compared, place / "json", faces=False).with_name("report.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(as_json(compared), allow_nan=False))
    found = find(compared)
    examined = content["examined"]
    assert [one["name"] for one in examined["damages"]] == ["vgg16", "densenet121", "resnet34"]
    assert examined["damages"][2]["mce"]["value"] == found.examined.damages[2].mce.value
    home = examined["places"][0]
    gap, own = home["groups"][0]["gaps"][0], found.examined.places[0].groups[0].gaps[0]
    assert (gap["interval"]["low"], gap["p_corrected"]) == (own.interval.low, own.p_corrected)
    assert home["votes"][0]["divergence"]["interval"]["high"] > home["votes"][0]["divergence"]["value"]
    assert examined["issues"]["share"]["value"] == found.examined.issues.share.value  # type: ignore[union-attr]
    assert examined["matrix"] is None
    assert content["peeking"] == []
    assert str(place) not in path.read_text(encoding="utf-8"), "a report is passed on, paths of this machine are not"
    calibrated = {one["name"]: one for one in content["calibration"]}["vgg16"]
    assert len(calibrated["temperatures"]) == 2
    assert calibrated["after"]["ece"]["value"] == found.judgement.calibration[0].after.scores["ece"].value
    assert set(content["recalls"]["vgg16"]) == set(SEVEN.names)
    away = as_json(travelled)["examined"]["matrix"]
    assert {cell["tested_on"] for cell in away["cells"]} == {"made", "few", "all"}
    assert away["cells"][0]["change_uar"]["value"] is None, "undefined is null"


def test_the_page_holds_all_of_it(place: Path, compared: Comparison) -> None:
    out = place / "page"
    page = Page(write_report(compared, out, faces=False).read_text(encoding="utf-8"))
    assert "img" not in page.tags
    assert {"robustness", "groups", "labels", "across"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    for name in ("robustness.csv", "groups.csv", "gaps.csv", "subjects.csv", "doubts.csv", "votes.csv"):
        assert (out / name).stat().st_size > 100, name
    for name in ("robustness", "groups", "subjects", "doubts"):
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "currentColor" in (out / "figures" / f"{name}.svg").read_text()


def test_nothing_finished_has_no_section(place: Path, people: Store) -> None:
    settings = override(NetworkSettings(), {"model.name": "vgg16"}).resolved(people.meta.crop)
    Run.create(place / "pending", settings, people, divide(people, settings.data))
    assert sections(collect(find_runs(place / "pending"))).keys() == {"faces"}


@pytest.mark.long
def test_twelve_rows_of_five_seeds_take_seconds(place: Path) -> None:
    store = people_store(place / "large", size=8, test=3584)
    runs = make_runs(place / "large-runs", store, networks=[f"net{i}" for i in range(12)], dropouts=(0.0,), seeds=5)
    for run in runs:
        damage(run, 0.05, n=2000)
    comparison = collect(runs)
    assert all(row.scores for row in comparison.rows)
    started = time.process_time()
    gather(comparison, comparison.rows, store)
    assert time.process_time() - started < 20
