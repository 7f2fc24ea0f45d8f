"""One table of metrics: a new entry is in every list, and the docs name every entry."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from made_runs import make_runs, make_store
from mien.metrics import METRICS

ADDED = """
import sys
from pathlib import Path
from mien import metrics
from mien.metrics import table

worst = metrics.Metric("worst", "Worst recall", "%", "lowest recall", lambda each: each.recall.min(-1), tested=True)
table.METRICS = metrics.METRICS = (*metrics.METRICS, worst)

from mien.compare import collect
from mien.report import write_report
from mien.runs import find_runs

write_report(collect(find_runs(Path(sys.argv[1]))), Path(sys.argv[2]), faces=False)
"""


@pytest.mark.long
def test_a_metric_is_one_line(tmp_path: Path) -> None:
    """It gets a column with intervals everywhere, its tests, its figure, and its words in the methods."""
    runs = make_runs(
        tmp_path / "runs", make_store(tmp_path / "store"), networks=("vgg16", "resnet34"), dropouts=(0.0,), epochs=3
    )
    subprocess.run(
        [sys.executable, "-c", ADDED, str(tmp_path / "runs"), str(tmp_path / "out")], check=True, timeout=120
    )
    content = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    for row, run in zip(content["rows"], sorted(runs, key=lambda run: run.id), strict=True):
        test = run.logits("test")
        right = test.logits.argmax(1) == test.labels
        figure = row["figures"]["worst"]
        assert figure["mean"] == pytest.approx(min(right[test.labels == k].mean() for k in range(7)))
        assert figure["low"] < figure["mean"] < figure["high"]
    assert "worst" in {pair["metric"] for pair in content["verdicts"]}
    for name in ("report.html", "table.md", "table.tex", "methods.md"):
        assert "orst recall" in (tmp_path / "out" / name).read_text(encoding="utf-8"), name
    assert "worst_low" in (tmp_path / "out" / "table.csv").read_text(encoding="utf-8")
    assert ">Worst recall<" in (tmp_path / "out" / "figures" / "forest.svg").read_text(encoding="utf-8")


def test_the_docs_have_the_whole_table() -> None:
    text = (Path(__file__).parents[1] / "docs" / "protocols.md").read_text(encoding="utf-8")
    for one in METRICS:
        unit = one.unit or "–"
        assert f"| `{one.key}` | {one.title} | {unit} | {'lower' if one.lower_is_better else 'higher'} |" in text
        assert f" {one.meaning} |" in text
