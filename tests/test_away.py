"""What runs said elsewhere: kept with the groups and votes of those faces, and judged by them as at home."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from made_runs import finish, make_runs, make_store
from mien.calibration import softmax
from mien.checkpoint import save_tensors
from mien.compare import Row, collect
from mien.config import NetworkSettings, override
from mien.crop import CropSpec
from mien.data.prepare import draw_store
from mien.data.splits import divide
from mien.data.store import Sample, Store, create_store
from mien.examine.across import across
from mien.examine.away import as_tested, keep_tests, kept_tests
from mien.examine.examined import Context, Examined, Place, gather
from mien.examine.labelnoise import agreement
from mien.initial import build_network
from mien.labels import LabelSet
from mien.report.findings import find
from mien.report.page import compose
from mien.runs import Run

pytestmark = pytest.mark.usefixtures("plain_figures")

DRAWN_FACES = 1000


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def weigh(runs: list[Run], store: Store) -> list[Run]:
    for run in runs:
        network = build_network(run.settings, divide(store, run.settings.data).train, torch.device("cpu"))
        save_tensors(run, "model.safetensors", network.state_dict(), {})
    return runs


def voted_store(path: Path) -> Store:
    """Four classes, one of them unknown to the networks, with votes for all four."""
    rng = np.random.default_rng(4)
    with create_store(
        path, LabelSet(("sadness", "contempt", "anger", "fear")), CropSpec(size=16, channels=3)
    ) as writer:
        for i in range(120):
            votes = rng.multinomial(10, 0.1 + 0.6 * np.eye(4)[i % 4]) / 10
            sample = Sample(label=i % 4, split="test", source=str(i), soft=tuple(votes.tolist()))
            writer.add(sample, face=rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        writer.finish(corpus="voted", licence="made for tests")
    return Store.open(path)


@pytest.fixture(scope="module")
def drawn(place: Path) -> Store:
    draw_store(place / "drawn", count=DRAWN_FACES)
    return Store.open(place / "drawn")


@pytest.fixture(scope="module")
def voted(place: Path) -> Store:
    return voted_store(place / "voted")


@pytest.fixture(scope="module")
def runs(place: Path, drawn: Store, voted: Store) -> list[Run]:
    """Two networks, two seeds, of a corpus that knows nothing of its people, tested on both others."""
    home = make_store(place / "home", size=16)
    options = {"networks": ("compact-s", "compact-m"), "dropouts": (0.0,), "seeds": 2, "epochs": 2}
    made = weigh(make_runs(place / "runs", home, **options), home)  # type: ignore[arg-type]
    across(made, [drawn, voted], np.random.default_rng(0))
    return made


@pytest.fixture(scope="module")
def found(runs: list[Run]) -> Examined:
    comparison = collect(runs)
    return gather(comparison, comparison.rows)


def at(found: Examined, corpus: str) -> Place:
    return next(one for one in found.places if one.corpus == corpus)


def row_of(runs: list[Run], name: str = "compact-s") -> Row:
    return next(row for row in collect(runs).rows if row.name == name)


def test_places_are_home_and_wherever_rows_were_tested(found: Examined) -> None:
    assert found.places[0].corpus == "made"
    said = {one.corpus: (one.away, bool(one.groups), bool(one.votes)) for one in found.places}
    assert said == {"made": (False, False, False), "drawn": (True, True, False), "voted": (True, False, True)}
    assert at(found, "drawn").where == "on drawn faces, not on made"
    assert at(found, "made").where == at(found, "made").suffix == ""
    assert at(found, "voted").suffix == "-voted"


def test_groups_elsewhere_are_plain_counts_of_what_was_said_there(
    runs: list[Run], drawn: Store, found: Examined
) -> None:
    judged = next(one for one in at(found, "drawn").groups if one.name == "compact-s")
    tests = [one.logits for one in kept_tests(row_of(runs))[drawn.meta.sha256]]
    assert judged.n == len(drawn.rows("test"))
    assert judged.seeds == 2
    assert {group.attribute for group in judged.groups} >= {"age_lines", "glasses"}
    for group in judged.groups:
        inside = drawn.samples.groups[group.attribute][tests[0].ids] == group.level
        right = [(test.logits.argmax(1) == test.labels)[inside].mean() for test in tests]
        assert group.accuracy.value == pytest.approx(np.mean(right))
        assert group.subjects == len(set(drawn.samples.subject[tests[0].ids][inside]))
    for gap in judged.gaps:
        assert gap.interval.low < gap.value < gap.interval.high
        assert gap.p <= gap.p_corrected <= 1
    every = [gap for one in at(found, "drawn").groups for gap in one.gaps]
    assert {gap.tests for gap in every} == {every[0].tests}, "one family a corpus"


def test_votes_elsewhere_are_those_for_shared_classes(runs: list[Run], voted: Store, found: Examined) -> None:
    tested = as_tested(row_of(runs), kept_tests(row_of(runs))[voted.meta.sha256])
    assert tested.classes == ("anger", "fear", "sadness")
    rows = [row for row in range(120) if voted.samples.label[row] != 1]
    assert voted.samples.soft is not None
    chosen = voted.samples.soft[rows][:, [2, 3, 0]].astype(float)
    expected = chosen / chosen.sum(1, keepdims=True)
    assert tested.votes is not None
    np.testing.assert_allclose(tested.votes, expected)
    probs = [softmax(one.logits.logits[:, [0, 2, 5]]) for one in kept_tests(row_of(runs))[voted.meta.sha256]]
    own = next(one for one in at(found, "voted").votes if one.name == "compact-s")
    assert own.n == 90
    assert own.divergence.value == pytest.approx(np.mean([stats.entropy(expected, p, axis=1) for p in probs]), rel=1e-5)
    mass = [expected[np.arange(90), p.argmax(1)].mean() for p in probs]
    assert own.mass.value == pytest.approx(np.mean(mass))
    assert own.mass.interval.low < own.mass.value < own.mass.interval.high


def test_faces_without_a_vote_left_are_not_counted(runs: list[Run], voted: Store) -> None:
    tested = as_tested(row_of(runs), kept_tests(row_of(runs))[voted.meta.sha256])
    assert tested.votes is not None
    some = tested.votes.copy()
    some[:30] = 0
    assert agreement("net", tested.tests, some, np.random.default_rng(0)).n == 60


def test_nothing_needs_the_other_store_again(runs: list[Run], drawn: Store, voted: Store, found: Examined) -> None:
    for store in (drawn, voted):
        (store.path / "samples.csv").rename(store.path / "gone")
    comparison = collect(runs)
    again = gather(comparison, comparison.rows)
    for store in (drawn, voted):
        (store.path / "gone").rename(store.path / "samples.csv")
    assert str(again.places) == str(found.places)


def test_a_file_of_logits_alone_is_completed_without_opening_the_test_again(
    runs: list[Run], drawn: Store, voted: Store
) -> None:
    run, openings = runs[0], [len(drawn.openings()), len(voted.openings())]
    contents = {}
    for path in run.path.glob("across-*.npz"):
        contents[path] = path.read_bytes()
        with np.load(path, allow_pickle=False) as file:
            plain = {key: file[key] for key in file if key != "votes" and not key.startswith("group:")}
        with path.open("wb") as out:
            np.savez(out, allow_pickle=False, **plain)
    (run.path / "model.safetensors").rename(run.path / "aside")
    keep_tests([run], [drawn, voted])
    (run.path / "aside").rename(run.path / "model.safetensors")
    assert {path: path.read_bytes() for path in contents} == contents
    assert openings == [len(drawn.openings()), len(voted.openings())] == [4, 4]


def trained_elsewhere(folder: Path, store: Store, rates: dict[str, float]) -> list[Run]:
    """Runs of networks that each have a learning rate of their own."""
    made = []
    for name, rate in rates.items():
        changes = {"model.name": name, "model.dropout": 0.0, "train.epochs": 2, "optimizer.lr": rate}
        settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
        fold = divide(store, settings.data)
        made.append(finish(Run.create(folder, settings, store, fold), fold))
    return made


def test_networks_trained_elsewhere_may_have_settings_of_their_own(place: Path, runs: list[Run]) -> None:
    store = make_store(place / "elsewhere", size=16, train=147, corpus="elsewhere")
    others = trained_elsewhere(place / "others", store, {"compact-s": 1e-3, "compact-m": 3e-4})
    comparison = collect(runs)
    found = gather(comparison, comparison.rows, context=Context(elsewhere=tuple(others)))
    assert found.matrix
    for name in ("compact-s", "compact-m"):
        assert found.matrix.cell(name, "elsewhere", "elsewhere").runs == 1
    said = [note for note in found.notes["matrix"] if "trained on elsewhere had other settings" in note]
    assert len(said) == 1
    assert re.search(r"optimizer\.lr (0\.0003, 0\.001|0\.001, 0\.0003) \(on made 0\.0001\)", said[0]), (
        "runs come by their ids"
    )
    assert "seed" not in said[0]


def test_kept_files_are_read_without_unpickling(runs: list[Run]) -> None:
    path = next(runs[0].path.glob("across-*.npz"))
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["store"]))["corpus"] in ("drawn", "voted")
        assert all(file[key].dtype != object for key in file)


@pytest.mark.long
def test_sections_name_the_corpus_and_its_files(runs: list[Run]) -> None:
    sections = {one.id: one for one in compose(find(collect(runs)), faces=False)}
    groups, labels = sections["groups-drawn"], sections["labels"]
    assert "groups" not in sections, "of the corpus of training nothing is known"
    assert groups.title == "Whom they fail on drawn faces, not on made"
    assert "trained on made and tested here on drawn faces" in groups.lead
    assert "Drawn faces are not photographs of people." in groups.lead
    assert re.search(r"UAR over all of these \d+ faces is \d+\.\d to \d+\.\d % \(chance: 14\.3 %\)", groups.lead)
    assert {"groups-drawn.csv", "gaps-drawn.csv", "subjects-drawn.csv"} == set(groups.files)
    assert {panel.drawing.name for panel in groups.panels if panel.drawing} == {"groups-drawn", "subjects-drawn"}
    assert all("on drawn faces, not on made" in panel.title for panel in groups.panels)
    votes = next(panel for panel in labels.panels if panel.table and panel.table.name == "votes-voted")
    assert votes.title == "Agreement with annotators' votes on voted, not on made"
    assert votes.table
    for row in votes.table.rows:
        assert all(re.fullmatch(r"[\d.]+ \[[\d.]+–[\d.]+\]", cell) for cell in row[1:]), row
    assert "votes-voted.csv" in labels.files
