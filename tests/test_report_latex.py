"""The tables for a paper: what LaTeX makes of them, that the narrow one fits, and fonts that journals take."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from matplotlib.text import Text

from made_runs import make_runs, make_store
from mien.compare import collect
from mien.judge.certainty import assess
from mien.judge.table import Table, build_table
from mien.labels import LabelSet
from mien.report import write_report
from mien.report.figures.sheet import Sheet
from mien.report.latex import HEADS, as_latex, as_narrow_latex, tex

NASTY = LabelSet(("50%_$x$", "a&b", "#1{}", "~^\\", "<q>|"))
PAGE = r"\documentclass{article}\usepackage{booktabs}\begin{document}%s\end{document}"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    place = tmp_path_factory.mktemp("latex")
    store = make_store(place / "store", labels=NASTY, test=100, corpus="rafdb")
    comparison = collect(make_runs(place / "runs", store, seeds=2))
    return build_table(comparison, assess(comparison))


def test_both_say_what_they_need_and_can_be_referred_to(table: Table) -> None:
    for text, label in ((as_latex(table), "tab:mien"), (as_narrow_latex(table), "tab:mien-narrow")):
        assert text.startswith("% Needs \\usepackage{booktabs}.")
        assert text.count(rf"\label{{{label}}}") == 1
        assert text.index(r"\caption") < text.index(r"\label"), "a label before its caption has another number"
        assert "article's text" in text or "article's" in text
        assert text.isascii()


def test_the_narrow_one_has_the_papers_columns(table: Table) -> None:
    text = as_narrow_latex(table)
    assert " & ".join(["Network", *HEADS.values()]) in text
    for line in table.lines:
        assert tex(line.name) in text
        assert tex(line.cells["weighted_f1"].mean(table.columns[5])) in text


def compiled(folder: Path, content: str) -> str:
    """The log of pdflatex; the page is `page.pdf`."""
    (folder / "page.tex").write_text(PAGE % content, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_takes_both_and_the_narrow_one_fits_article(tmp_path: Path, table: Table) -> None:
    narrow = compiled(tmp_path, as_narrow_latex(table))
    assert "Overfull \\hbox" not in narrow
    wide = compiled(tmp_path, as_latex(table))
    too_wide = max(float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", wide))
    assert too_wide < 480 - 345, "the comment says how wide it is"


@pytest.mark.long
def test_figures_carry_truetype_fonts(tmp_path: Path) -> None:
    """Journals refuse Type 3, which is matplotlib's default."""
    store = make_store(tmp_path / "store", test=70)
    report = write_report(collect(make_runs(tmp_path / "runs", store, networks=("vgg16",))), tmp_path / "report")
    pages = list((report.parent / "figures").glob("*.pdf"))
    assert len(pages) > 4
    for page in pages:
        content = page.read_bytes()
        assert b"/FontFile2" in content, page.name
        assert b"/Subtype /Type3" not in content, page.name


@pytest.mark.long
def test_figures_are_as_wide_as_a_papers_text_and_cut_no_word(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both forms: every text of a figure stands inside its page."""
    cut: list[str] = []
    saved = Sheet._saved

    def looked_at(sheet: Sheet, form: str, metadata: dict[str, None]) -> bytes:
        content = saved(sheet, form, metadata)
        page = sheet.figure.get_window_extent()
        for text in sheet.figure.findobj(Text):
            box = text.get_window_extent()
            if text.get_visible() and text.get_text().strip() and text.axes is not None:
                inside = min(box.x0 - page.x0, page.x1 - box.x1, box.y0 - page.y0, page.y1 - box.y1)
                cut.extend([f"{form}: {text.get_text()}"] * int(inside < -2))
        return content

    monkeypatch.setattr(Sheet, "_saved", looked_at)
    store = make_store(tmp_path / "store", test=140)
    report = write_report(collect(make_runs(tmp_path / "runs", store, seeds=2)), tmp_path / "report")
    assert cut == []
    for page in (report.parent / "figures").glob("*.pdf"):
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", page.read_bytes())
        assert box, page.name
        assert float(box[1]) <= 345, page.name
