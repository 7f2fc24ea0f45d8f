"""Names that strangers chose are shown and never obeyed: in messages, on the terminal, in CSV and HTML."""

import ast
import csv
import doctest
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien import shown
from mien.cli import main
from mien.data.drawn import draw_scene
from mien.shown import brief, csv_cell, tagless, visible
from tiny_bundle import write_bundle

SOURCE = Path(__file__).parents[1] / "src" / "mien"
HOSTILE = "\x1b[2J\x1b]0;owned\x07 gpj.\u202eexe\x9b31m\r.png"
"""Clears the screen, renames the window, turns the direction of reading, colours, returns to the line's start."""
OBEYED = "\x1b\x07\u202e\x9b\r\x08\x7f\u2066"


def test_the_examples_hold() -> None:
    assert doctest.testmod(shown).failed == 0


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**7,
        b"\x89PNG" * 10**6,
        bytearray(10**7),
        memoryview(np.zeros((1000, 1000))),
        np.zeros((5000, 5000)),
        10**5000,
        [b"x" * 10**6] * 1000,
        {"a" * 10**6: {"b" * 10**6: 1}},
        "a\nb\x1b[2J\u202e",
        object(),
        type("Broken", (), {"__repr__": lambda self: 1 / 0})(),
        np.array(["x" * 10**5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_fits_into_a_message(value: object) -> None:
    said = brief(value)
    assert 1 < len(said) <= 100
    assert "\n" not in said
    assert not set(said) & set(OBEYED)


def test_what_is_harmless_stays() -> None:
    for text in ("photo.jpg", "Fotos/größe 2.png", "写真.png", "👨‍👩‍👧.png", "[bold].png"):
        assert visible(text) == csv_cell(text) == text
    assert csv_cell(-1.5) == -1.5
    assert [csv_cell(text) for text in ("-1.5", "+5 [+3 to +6]")] == ["-1.5", "+5 [+3 to +6]"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r="])
def test_a_cell_that_a_spreadsheet_would_compute_is_a_text(start: str) -> None:
    assert csv_cell(f"{start}cmd|' /C calc'!A0").startswith("'")
    assert csv_cell(f"{start}1+cmd|' /C calc'!A0").startswith("'")


def test_html_holds_no_tag() -> None:
    assert tagless("<b>\u202e&") == "&lt;b&gt;\\u202e&amp;"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture of a hostile name, and a model whose first class begins a formula and has a tag."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / HOSTILE
    path.write_bytes(cv2.imencode(".png", draw_scene(3, seed=3, height=240, width=320).image)[1].tobytes())
    (tmp_path / "=cmd.png").write_bytes(path.read_bytes())
    (tmp_path / "[red]no[.png").write_bytes(b"no picture\x1b[2J")
    names = ("=1+1 <b>\u202e", "disgust", "fear", "happiness", "neutral", "sadness", "surprise\x1b[2J")
    write_bundle(tmp_path / "model.onnx", labels=names, licence="free \x1b[2J[red]of\u202e rights")
    return tmp_path


WORDS = [
    ["predict", "."],
    ["predict", ".", "--json"],
    ["predict", ".", "--jsonl"],
    ["predict", ".", "--csv"],
    ["predict", "gone\x1b[2J\u202e.png"],
    ["info"],
    ["info", "--json"],
    ["explain", HOSTILE, "--faces", "none"],
    ["explain", HOSTILE, "--faces", "none", "--json"],
    ["predict", ".", "--faces", "\x1b[2J"],
    ["predict", ".", "--\x1b[2J"],
    ["predict\x1b[2J"],
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words).encode("ascii", "replace").decode()[:40])
def test_no_verb_prints_what_a_terminal_obeys(
    hostile: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    model = (
        ["model.onnx"]
        if words[0] == "info"
        else ["--model", "model.onnx"]
        if words[0] in ("predict", "explain")
        else []
    )
    faces = [] if "--faces" in words or words[0] not in ("predict", "explain") else ["--faces", "none"]
    with pytest.raises(SystemExit):
        main([words[0], *model, *faces, *words[1:]])
    out, err = capsys.readouterr()
    assert out + err
    assert not set(out + err) & set(OBEYED)


def test_json_keeps_the_exact_names_and_csv_computes_nothing(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", ".", "--model", "model.onnx", "--faces", "none", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert sorted(result["source"] for result in said["results"]) == sorted([HOSTILE, "=cmd.png"])
    with pytest.raises(SystemExit):
        main(["predict", "=cmd.png", "--model", "model.onnx", "--faces", "none", "--csv"])
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[1][0] == "'=cmd.png"
    assert all(cell[:1] not in ("=", "@") for row in rows for cell in row)


def imported_names(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("rich.markup.escape", "cli/screen.py"),
        ("html.escape", "shown.py"),
        ("html", "shown.py"),
        ("reprlib", "shown.py"),
    ],
)
def test_each_kind_of_escaping_stands_in_one_file(name: str, home: str) -> None:
    users = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if name in imported_names(path)}
    assert users <= {home}


def test_every_csv_for_people_guards_its_texts() -> None:
    """`samples.csv` and `history.csv` are mien's own records, read back letter by letter."""
    own = {"data/store/writing.py", "runs/run.py", "report/tables.py"}
    for path in SOURCE.rglob("*.py"):
        text, place = path.read_text(encoding="utf-8"), path.relative_to(SOURCE).as_posix()
        if "csv.writer(" in text and place not in own:
            assert "csv_cell" in text, f"{place} writes CSV without csv_cell"
