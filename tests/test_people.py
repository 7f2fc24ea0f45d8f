"""Cards that say how often expressions are found by groups of people: written, printed, and in the shipped models."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import corpora_made as made
from mien.bundle import Bundle, with_card
from mien.card import Figure, People
from mien.cli import main
from mien.crop import CropSpec
from mien.data.corpora import ReadOptions
from mien.data.prepare import PrepareOptions, prepare
from mien.data.store import Store
from mien.errors import BundleError
from mien.export import recalls
from tiny_bundle import CARD, model_bytes, write_bundle

SCRIPT = Path(__file__).parents[1] / "scripts" / "card_people.py"
PEOPLE = People(
    source="Nobody, drawn; CC0-1.0",
    recall={"all": {"anger": Figure(value=0.5, n=2, low=0.1, high=0.9)}},
    findings=("Angry people are found half of the time.",),
)


def people_store(folder: Path, labels: tuple[str, ...] = ("neutral", "happy")) -> Store:
    """Fourteen faces of seven people, of whom five are old."""
    arrays = made.npz(
        folder / "people.npz",
        labels=np.array([labels[i % 2] for i in range(14)]),
        class_names=None,
        subjects=np.array([f"s{i // 2}" for i in range(14)]),
        age=np.repeat([30, 70, 71, 72, 73, 74, 31], 2),
    )
    crop, read = CropSpec(size=16, channels=1), ReadOptions(group=("age=65",))
    prepare(arrays, "npz", folder / "store", PrepareOptions(crop=crop, split="test", read=read))
    return Store.open(folder / "store")


def test_another_card_leaves_the_network_as_it_is(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "m.onnx")
    before, content = Bundle.open(path), path.read_bytes()
    path.write_bytes(with_card(content, replace(before.card, people=PEOPLE)))
    after = Bundle.open(path)
    assert after.card == replace(before.card, people=PEOPLE, sha256=after.card.sha256)
    assert after.card.sha256 != before.card.sha256
    assert path.read_bytes().startswith(model_bytes())
    assert with_card(path.read_bytes(), CARD) == content


def test_a_changed_file_gets_no_new_card(tmp_path: Path) -> None:
    content = bytearray(write_bundle(tmp_path / "m.onnx").read_bytes())
    content[200] ^= 1
    with pytest.raises(BundleError):
        with_card(bytes(content), CARD)


def test_info_prints_groups_findings_and_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_bundle(tmp_path / "m.onnx", people=PEOPLE)
    with pytest.raises(SystemExit):
        main(["info", str(path)])
    said = " ".join(capsys.readouterr().out.split())
    assert "half of the time. all: anger 0.500 [0.100, 0.900] n=2 Nobody, drawn; CC0-1.0" in said


def test_the_script_writes_what_the_network_finds(tmp_path: Path) -> None:
    store, path = people_store(tmp_path), write_bundle(tmp_path / "m.onnx")
    words = [sys.executable, SCRIPT, path, "--data", store.path, "--source", "Nobody", "--finding", "They are few."]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    card = Bundle.open(path).card
    assert card.people is not None
    assert (card.people.source, card.people.findings) == ("Nobody", ("They are few.",))
    logits = Bundle.open(path).logits(store.read(np.arange(14)))
    assert card.people.recall["all"] == recalls(store.samples.label, logits, card.labels)
    old = store.samples.groups["age"] == "65 and above"
    assert card.people.recall["age: 65 and above"] == recalls(store.samples.label[old], logits[old], card.labels)
    assert list(card.people.recall) == ["all", "age: 65 and above"], "two people are no group"
    assert "| age: 65 and above | 5 |" in done.stdout
    assert "card by group: linear-0123456789" in (store.path / "test_openings.csv").read_text()


@pytest.mark.parametrize("name", ["default", "small", "ferplus"])
def test_the_models_that_come_with_mien_have_figures_by_age_gender_and_ethnicity(name: str) -> None:
    people = Bundle.open(name).card.people
    assert people is not None
    assert people.findings
    assert "CC BY 4.0" in people.source
    assert people.recall["all"]["happiness"].n == people.recall["all"]["neutral"].n == 102
    assert {group.partition(":")[0] for group in people.recall} == {"all", "age", "gender", "ethnicity"}
    for recall in people.recall.values():
        assert all(figure.low is not None and figure.high is not None for figure in recall.values())
