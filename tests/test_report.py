"""The report: what it writes, that it stands alone, and that its numbers are the runs' numbers."""

import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from made_runs import finish, make_runs, make_store
from mien.compare import Comparison, collect
from mien.config import NetworkSettings, override
from mien.data.splits import divide
from mien.data.store import Store
from mien.judge.certainty import assess
from mien.judge.table import COLUMNS, build_table
from mien.labels import SEVEN, LabelSet
from mien.report import as_json, sections, terminal_table, write_report
from mien.report.figures.sheet import COLOURS, looks
from mien.report.parts import Panel
from mien.runs import Run, find_runs

pytestmark = pytest.mark.usefixtures("plain_figures")

VOID = {"meta", "img", "br", "link", "path", "rect", "use", "line", "circle"}


class Page(HTMLParser):
    """What a page holds; raises where its tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for key, value in attrs if key == "id"]
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return make_store(place / "store", test=350)


@pytest.fixture(scope="module")
def one_seed(place: Path, store: Store) -> Comparison:
    return collect(make_runs(place / "one", store))


@pytest.fixture(scope="module")
def three_seeds(place: Path, store: Store) -> Comparison:
    return collect(make_runs(place / "three", store, networks=("vgg16", "resnet34"), dropouts=(0.0,), seeds=3))


@pytest.fixture(scope="module")
def report(place: Path, one_seed: Comparison) -> Path:
    return write_report(one_seed, place / "report", command="mien compare paper --data 'my store'")


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def test_everything_is_written(report: Path) -> None:
    for name in ("report.html", "table.tex", "table.md", "table.csv"):
        assert (report.parent / name).stat().st_size > 500, name
    figures = {path.stem for path in (report.parent / "figures").iterdir()}
    assert figures >= {"curves", "confusion", "classes", "recalls", "roc", "costs", "forest"}
    for name in figures:
        assert (report.parent / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "<svg" in (report.parent / "figures" / f"{name}.svg").read_text()
    assert report.stat().st_size < 3_000_000


@pytest.mark.long
def test_the_same_runs_give_the_same_bytes(place: Path, three_seeds: Comparison) -> None:
    first, second = (write_report(three_seeds, place / name).parent for name in ("first", "second"))
    files = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert files == {path.relative_to(second): path.read_bytes() for path in second.rglob("*") if path.is_file()}
    assert {"methods.md", "table.tex", "report.html"} <= {str(name) for name in files}


def test_the_contents_lead_to_every_section(page: Page) -> None:
    sections = [link[1:] for link in page.links if link.startswith("#")]
    for name in ("table", "differences", "classes", "calibration", "missing", "protocol", "methods", "conditions"):
        assert sections.count(name) == 1, name
    assert {"peeking", "robustness", "across"} <= set(page.ids), "what was not measured is one list"


def test_every_file_of_sections_is_on_the_page() -> None:
    files = {path.stem for path in Path(sections.__file__).parent.glob("*.py") if "def sections(" in path.read_text()}
    assert files == {make.__module__.rpartition(".")[2] for make in sections.SECTIONS}
    assert files >= {"classes", "calibration", "differences", "peeking", "protocol", "damage", "groups", "doubts"}


def test_captions_are_short_and_their_guides_are_folded(page: Page) -> None:
    found = Panel(title="x", caption="What it shows. How to read it. And more.", table=None)
    assert (found.first, found.guide) == ("What it shows.", "How to read it. And more.")
    assert page.text.count("How to read it") >= 8


def test_one_note_for_classes_that_are_never_predicted(place: Path, store: Store) -> None:
    runs = make_runs(place / "mutes", store, networks=("vgg16", "resnet34", "densenet121"), dropouts=(0.0,))
    for number, run in enumerate(runs):
        test = run.logits("test")
        test.logits[:, 0 if number < 2 else 1] = -50
        run.write_logits({"test": test, "valid": run.logits("valid")})
    notes = [note for note in build_table(collect(runs)).notes if "never predict" in note]
    assert notes == [
        f"vgg16 and resnet34 never predict {SEVEN.names[0]}; densenet121 never predicts {SEVEN.names[1]}: the "
        "precision of such a class is undefined and counts as 0 in the averages."
    ]


def test_epochs_are_whole_and_recalls_are_drawn_whole(report: Path) -> None:
    curves = (report.parent / "figures" / "curves.svg").read_text()
    for network in ("vgg16", "densenet121", "resnet34"):
        assert f"{network}, dropout 0.2" in curves
    assert curves.count(">valid<") == 6, "each panel names its own line"
    assert not re.search(r">\d+\.5<", curves.partition("epoch")[0])


def test_page_stands_alone(report: Path, page: Page) -> None:
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    text = report.read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\((?!#)|<script|<link", text)


def test_letters_can_be_read_on_a_phone(report: Path) -> None:
    """A phone's column is 252 points wide: no letter of a figure has fewer than 7 points there."""
    for drawing in re.findall(r'class="drawing narrow">\s*(<svg.*?</svg>)', report.read_text(), flags=re.S):
        name = re.findall(r'aria-label="([^"]*)"', drawing)[0]
        width = float(re.findall(r'width="([\d.]+)pt"', drawing)[0])
        letters = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", drawing)]
        assert min(letters) * 252 / width >= 7, (name, width)


def test_page_is_sound(report: Path, page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("figure") == page.tags.count("figcaption")
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "mien compare paper --data 'my store'" in page.text
    text = report.read_text()
    widths = [int(width) for width in re.findall(r"--w:(\d+)px", text)]
    assert len(widths) == len(list((report.parent / "figures").glob("*.svg")))
    wide = sum(width > 357 for width in widths)
    assert page.tags.count("svg") == len(widths) + wide
    assert text.count('class="drawing narrow"') == wide > 0
    assert page.tags.count("table") == 1 + len(list((report.parent / "tables").glob("*.csv")))


def test_ink_follows_the_page(report: Path) -> None:
    for path in (report.parent / "figures").glob("*.svg"):
        text = path.read_text()
        assert "currentColor" in text
        assert not re.search(r"#000000|#010203|: ?black", text), path.name
        assert "DejaVu" not in text


@pytest.mark.long
def test_same_runs_give_the_same_bytes(place: Path, report: Path, one_seed: Comparison) -> None:
    again = write_report(one_seed, place / "again", command="mien compare paper --data 'my store'")
    for path in (p for p in report.parent.rglob("*") if p.is_file()):
        assert (again.parent / path.relative_to(report.parent)).read_bytes() == path.read_bytes(), path.name


def test_one_seed_claims_nothing(one_seed: Comparison, page: Page) -> None:
    assert "may be chance in training" in page.text
    assert "nothing is set in bold" in page.text
    assert "strong" not in page.tags
    best = max(one_seed.rows, key=lambda row: row.scores[0].accuracy)
    assert f"{best.name} is the most accurate" in page.text
    table = build_table(one_seed, assess(one_seed))
    assert all(np.isnan(cell.spread) for line in table.lines for cell in line.cells.values())


@pytest.mark.long
def test_three_seeds_show_spread_and_a_tested_best(place: Path, three_seeds: Comparison) -> None:
    page = Page(write_report(three_seeds, place / "spread").read_text(encoding="utf-8"))
    table = build_table(three_seeds, assess(three_seeds))
    for row, line in zip(three_seeds.rows, table.lines, strict=True):
        accuracies = [score.accuracy for score in row.scores]
        cell = line.cells["accuracy"]
        assert line.seeds == 3
        assert cell.value == pytest.approx(np.mean(accuracies))
        assert cell.spread == pytest.approx(np.std(accuracies, ddof=1))
        assert cell.low < min(accuracies) <= max(accuracies) < cell.high
    assert [line.name for line in table.lines if line.cells["accuracy"].best] == ["vgg16"]
    best = sum(cell.best for line in table.lines for cell in line.cells.values())
    assert page.tags.count("strong") == best + sum(pair.settled is not None for pair in assess(three_seeds).pairs)
    assert "The lead holds" in page.text
    assert "mean of 3 seeds" in page.text


def test_bold_needs_a_verdict(place: Path, store: Store) -> None:
    close = collect(make_runs(place / "close", store, networks=("resnet34", "alike"), dropouts=(0.0,), seeds=2))
    table = build_table(close, assess(close))
    assert not any(cell.best for line in table.lines for cell in line.cells.values())
    page = Page(write_report(close, place / "close-report").read_text(encoding="utf-8"))
    assert "do not differ significantly" in page.text


def test_csv_holds_the_runs_numbers(report: Path, one_seed: Comparison) -> None:
    rows = list(_rows(report.parent / "table.csv"))
    assert [row["name"] for row in rows] == [row.name for row in one_seed.rows]
    for line, row in zip(rows, one_seed.rows, strict=True):
        score, costs = row.scores[0], row.runs[0].record.costs
        for column in COLUMNS:
            assert float(line[column.key]) == getattr(score, column.key, getattr(costs, column.key, None))
        assert float(line["model.dropout"]) == row.factors["model.dropout"]
        assert float(line["uar_low"]) < score.uar < float(line["uar_high"])


COMMANDS = (
    "begin bottomrule caption centering end footnotesize label medskip midrule par pm scriptsize setlength smallskip"
)
COMMANDS += " tabcolsep textbf textit to toprule times"
"""All that `table.tex` may say beside escaped signs: LaTeX itself and booktabs."""


@pytest.mark.long
def test_latex_is_booktabs_and_escaped(place: Path, three_seeds: Comparison) -> None:
    path = write_report(three_seeds, place / "latex").parent / "table.tex"
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("%"))
    assert text.isascii()
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= set(COMMANDS.split())
    tabulars = re.findall(r"\\begin\{tabular\}\{l(r+)\}(.*?)\\end\{tabular\}", text, flags=re.DOTALL)
    assert len(tabulars) == 2
    for columns, body in tabulars:
        assert [body.count(rf"\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 1, 1]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {len(columns)}
    assert len(re.findall(r"\\scriptsize \[\d+\.\d--\d+\.\d\]", text)) == 7 * len(three_seeds.rows)
    assert text.count(r"\textbf{") == sum(
        cell.best for line in build_table(three_seeds, assess(three_seeds)).lines for cell in line.cells.values()
    )
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)[%#_&]", outside), "unescaped signs"
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}")
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_markdown_has_equal_columns(report: Path) -> None:
    lines = [line for line in (report.parent / "table.md").read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 8
    assert len({line.count("|") for line in lines}) == 1


def test_no_faces_leaves_no_picture(place: Path, one_seed: Comparison) -> None:
    text = write_report(one_seed, place / "hidden", faces=False).read_text(encoding="utf-8")
    page = Page(text)
    assert "data:image" not in text
    assert "img" not in page.tags
    assert "--no-faces" in page.text
    assert not list((place / "hidden").rglob("*.png"))


@pytest.mark.long
def test_missing_or_changed_store_is_said(place: Path, store: Store) -> None:
    moved = make_store(place / "moved", test=70)
    comparison = collect(make_runs(place / "moved-runs", moved, networks=("vgg16",), dropouts=(0.0,)))
    shutil.rmtree(moved.path)
    page = Page(write_report(comparison, place / "moved-report").read_text(encoding="utf-8"))
    assert "img" not in page.tags
    assert "no longer exists" in page.text
    shutil.copytree(store.path, moved.path)
    page = Page(write_report(comparison, place / "moved-report").read_text(encoding="utf-8"))
    assert "img" not in page.tags
    assert "has changed since" in page.text


@pytest.mark.long
def test_names_are_escaped(place: Path) -> None:
    names = LabelSet(("<script>alert(1)</script>", "a&b", "50%_$x$", "喜び"))
    nasty = make_store(place / "nasty", labels=names, test=80, corpus="<img src=x onerror=alert(1)>")
    comparison = collect(make_runs(place / "nasty-runs", nasty, networks=("vgg16",)))
    path = write_report(comparison, place / "nasty-report", command="mien compare '<script>'")
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert all(link.startswith(("data:image/png", "#")) for link in page.links)
    assert "<script>alert(1)</script>" in page.text
    assert "喜び" in page.text


@pytest.mark.long
def test_failed_and_pending_rows(place: Path, store: Store) -> None:
    folder = place / "partial"
    make_runs(folder, store, networks=("vgg16",), dropouts=(0.0,))
    fold = divide(store, NetworkSettings().data)
    cells = [
        override(NetworkSettings(), {"model.name": name, "train.epochs": 30}).resolved(store.meta.crop)
        for name in ("a", "b")
    ]
    failed, _ = (Run.create(folder, settings, store, fold) for settings in cells)
    failed.update(status="failed", reason="The loss became NaN in epoch 3.")
    comparison = collect(find_runs(folder))
    path = write_report(comparison, place / "partial-report")
    page = Page(path.read_text(encoding="utf-8"))
    assert "The loss became NaN in epoch 3." in page.text
    assert "1 of 3 runs are finished, 1 failed, 1 are still to come" in page.text
    assert "The loss became NaN in epoch 3." in (path.parent / "table.tex").read_text()
    line = next(row for row in _rows(path.parent / "table.csv") if row["name"] == "a")
    assert line["accuracy"] == ""
    assert line["seeds"] == "0"
    as_json(comparison)


@pytest.mark.long
def test_nothing_finished_yet(place: Path, store: Store) -> None:
    fold = divide(store, NetworkSettings().data)
    run = Run.create(place / "none", NetworkSettings().resolved(store.meta.crop), store, fold)
    page = Page(write_report(collect([run]), place / "none-report").read_text(encoding="utf-8"))
    assert "No run is finished yet" in page.text
    finish(run, fold)
    page = Page(write_report(collect([run]), place / "none-report").read_text(encoding="utf-8"))
    assert "No run is finished yet" not in page.text


@pytest.mark.long
def test_undefined_precision_is_noted(place: Path, store: Store) -> None:
    (run,) = make_runs(place / "mute", store, networks=("vgg16",), dropouts=(0.0,))
    test, valid = run.logits("test"), run.logits("valid")
    test.logits[:, 0] = -50
    run.write_logits({"test": test, "valid": valid})
    page = Page(write_report(collect([run]), place / "mute-report").read_text(encoding="utf-8"))
    assert f"vgg16 never predicts {SEVEN.names[0]}: the precision of such a class is undefined" in page.text


def test_rafdb_stands_beside_the_paper(place: Path) -> None:
    rafdb = make_store(place / "rafdb", test=70, corpus="rafdb")
    comparison = collect(make_runs(place / "rafdb-runs", rafdb))
    path = write_report(comparison, place / "rafdb-report")
    paper = {row["name"]: row for row in _rows(path.parent / "table.csv") if row["source"] == "paper"}
    assert len(paper) == 3
    vgg = next(row for name, row in paper.items() if name.startswith("VGG-16"))
    assert [float(vgg[key]) for key in ("weighted_precision", "weighted_f1", "macro_auc", "train_peak_mb")] == [
        *(0.77, 0.76, 0.95, 1243)
    ]
    text = Page(path.read_text(encoding="utf-8")).text
    assert "VGG-16, as the paper has it" in text
    assert "it does not say whether they are with or without dropout" in text


def test_no_paper_on_other_corpora(report: Path) -> None:
    assert "as the paper has it" not in report.read_text(encoding="utf-8")


def test_json_is_plain_and_the_terminal_fits(one_seed: Comparison) -> None:
    content = json.loads(json.dumps(as_json(one_seed), allow_nan=False))
    first = content["rows"][0]
    assert first["figures"]["accuracy"]["mean"] == one_seed.rows[0].scores[0].accuracy
    assert first["figures"]["accuracy"]["sd"] is None
    console = Console(width=120, record=True)
    console.print(terminal_table(one_seed))
    text = console.export_text()
    assert "vgg16, dropout 0.2" in text
    assert f"{100 * one_seed.rows[0].scores[0].accuracy:.1f}" in text


@pytest.mark.long
def test_cross_validation_pools_folds(place: Path, store: Store) -> None:
    runs = []
    for fold in (0, 1):
        changes = {"data.protocol": "kfold", "data.folds": 2, "data.fold": fold, "train.epochs": 3}
        settings = override(NetworkSettings(), changes).resolved(store.meta.crop)
        parts = divide(store, settings.data)
        runs.append(finish(Run.create(place / "cv", settings, store, parts), parts))
    comparison = collect(runs)
    page = Page(write_report(comparison, place / "cv-report").read_text(encoding="utf-8"))
    assert f"{len(store):,} test faces" in page.text
    table = build_table(comparison)
    assert table.lines[0].seeds == 1


def test_one_colour_a_network_and_solid_without_dropout() -> None:
    found = looks([("b", 0.2), ("a", 0.0), ("b", 0.0), ("a", 0.5)])
    assert [look.colour for look in found] == [COLOURS[0], COLOURS[1], COLOURS[0], COLOURS[1]]
    assert [look.solid for look in found] == [False, True, True, False]
    assert found[0].dash == found[3].dash != found[1].dash


def test_colours_can_be_seen_on_light_and_on_dark() -> None:
    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark = luminance("#161719")
    for colour in COLOURS:
        assert 1.05 / (luminance(colour) + 0.05) > 3, colour
        assert (luminance(colour) + 0.05) / (dark + 0.05) > 3, colour


@pytest.mark.long
def test_500_runs_in_20_seconds(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", test=3589)
    make_runs(tmp_path / "runs", store, networks=[f"net{i:02d}" for i in range(50)], seeds=5)
    started = time.process_time()  # of this process alone: neighbours must not decide
    comparison = collect(find_runs(tmp_path / "runs"))
    assert len(comparison.runs) == 500
    path = write_report(comparison, tmp_path / "report")
    seconds = time.process_time() - started
    assert seconds < 20
    page = Page(path.read_text(encoding="utf-8"))
    assert "the 88 others are in the table alone" in page.text
    assert len(list(_rows(path.parent / "table.csv"))) == 100
