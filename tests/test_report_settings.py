"""Curves of a setting: a line a network with the table's own intervals, where a number has three levels or more."""

from pathlib import Path

import pytest

from made_runs import finish, make_runs, make_store
from mien.compare import collect
from mien.config import NetworkSettings, override, read_recipe
from mien.data.splits import divide
from mien.judge.select import MOST_ROWS
from mien.report.figures import settings as figures
from mien.report.figures.settings import Line, Point
from mien.report.figures.sheet import Drawing, Sheet, looks
from mien.report.findings import Findings, find
from mien.report.sections import settings
from mien.runs import Run

pytestmark = pytest.mark.usefixtures("plain_figures")


def findings(runs: list[Run]) -> Findings:
    return find(collect(runs))


def drawn(found: Findings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Line]]]:
    seen: list[tuple[str, list[Line]]] = []

    def keep(key: str, lines: list[Line], over: str) -> list[object]:
        seen.append((key, lines))
        return figures.draw_setting(key, lines, over)

    monkeypatch.setattr(settings, "draw_setting", keep)
    list(settings.sections(found, False))
    return seen


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("curves")
    networks, rates = ("vgg16", "resnet34"), (0.4, 0.0, 0.2)
    store = make_store(folder / "store", test=70)
    return findings(make_runs(folder / "runs", store, networks=networks, dropouts=rates, seeds=2, epochs=2))


def test_a_line_a_network_with_the_intervals_of_the_table(curves: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    [(key, lines)] = drawn(curves, monkeypatch)
    assert key == "model.dropout"
    assert [line.name for line in lines] == ["vgg16", "resnet34"]
    assert len({line.look.colour for line in lines}) == 2
    for line in lines:
        assert [point.level for point in line.points] == [0.0, 0.2, 0.4]
        for point in line.points:
            name = f"{line.name}, {'no dropout' if not point.level else f'dropout {point.level}'}"
            cell = next(one for one in curves.judgement.table.lines if one.name == name).cells["accuracy"]
            assert point.mean == pytest.approx(cell.value)
            assert (point.low, point.high) == (cell.low, cell.high)


@pytest.mark.parametrize("name", ["vgg16", "densenet121", "efficientnet-lite0, from random weights"])
def test_the_legend_fits_into_the_figure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[float] = []
    original = Sheet.finish

    def measured(sheet: Sheet, *words: str) -> Drawing:
        figure, legend = sheet.axes[0].figure, sheet.axes[0].get_legend()
        figure.canvas.draw()
        assert legend is not None
        widths.append(legend.get_window_extent().x1 / figure.bbox.x1)
        return original(sheet, *words)

    monkeypatch.setattr(Sheet, "finish", measured)
    (look,) = looks([(name, 0.0)])
    points = tuple(Point(level=level, mean=0.5, low=0.4, high=0.6) for level in (1.0, 2.0, 3.0))
    figures.draw_setting("data.train_limit", [Line(name=name, look=look, points=points)] * 3, "faces")
    assert widths
    assert max(widths) <= 1


def test_a_curve_has_every_level_of_a_grid_that_is_too_large_for_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rates = make_store(tmp_path / "store", test=70), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    found = findings(make_runs(tmp_path / "runs", store, networks=("vgg16", "resnet34"), dropouts=rates, epochs=2))
    assert len(found.shown) == MOST_ROWS < 16
    [(_, lines)] = drawn(found, monkeypatch)
    assert [tuple(point.level for point in line.points) for line in lines] == [rates, rates]
    assert (
        "Rows beyond the 12 most accurate have intervals of accuracy, UAR and macro F1" in found.judgement.table.caption
    )


def test_the_section_has_one_figure_that_says_what_its_intervals_are_over(curves: Findings) -> None:
    [section] = settings.sections(curves, False)
    [panel] = section.panels
    assert panel.drawing is not None
    assert panel.drawing.name == "setting-model-dropout"
    assert "over test faces and seeds" in panel.caption


def test_two_levels_make_no_curve_and_seeds_are_no_setting(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", test=70)
    runs = make_runs(tmp_path / "runs", store, networks=("vgg16",), dropouts=(0.0, 0.2), seeds=3, epochs=2)
    assert not list(settings.sections(findings(runs), False))


def test_the_recipe_has_the_papers_networks_at_eight_rates() -> None:
    cells = list(read_recipe("dropout").cells())
    assert len(cells) == 72
    assert {cell.name for cell in cells} == {"vgg16", "densenet121", "resnet34"}


def test_a_learning_curve_is_over_the_faces_that_were_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without transfer: two lines, whose last point, a limit of 0, is all of the training part."""
    store = make_store(tmp_path / "store", test=70)
    runs = []
    for weights in ("", "default"):
        for limit in (0, 14, 28):
            changes = {"model.name": "compact-m", "data.train_limit": limit, "start.weights": weights}
            chosen = override(NetworkSettings(), changes).resolved(store.meta.crop)
            fold = divide(store, chosen.data)
            runs.append(finish(Run.create(tmp_path / "runs", replace_hash(chosen), store, fold), fold))
    found = find(collect(runs, vary=["data.train_limit", "start.weights"]))
    [(key, lines)] = drawn(found, monkeypatch)
    everything = runs[0].data.counts["train"]
    assert key == "data.train_limit"
    assert {line.name: [point.level for point in line.points] for line in lines} == {
        "compact-m, from random weights": [14, 28, everything],
        "compact-m, from default": [14, 28, everything],
    }


def replace_hash(settings: NetworkSettings) -> NetworkSettings:
    """With a hash where weights are named, as planning fills it in."""
    return override(settings, {"start.sha256": "0" * 64 if settings.start.weights else ""})
