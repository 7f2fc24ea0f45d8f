"""Judging without a page: what a `Judgement` answers, and that it needs nothing that draws."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from made_runs import make_runs, make_store
from mien.compare import Comparison, collect
from mien.data.store import Store
from mien.judge import Judgement, judge
from mien.report import as_json
from mien.runs import find_runs

APART = """
import json, sys
from pathlib import Path

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("matplotlib", "jinja2", "markupsafe"):
            raise ModuleNotFoundError(f"{name} is not here", name=name)

sys.meta_path.insert(0, Refused())
from mien.compare import collect
from mien.judge import judge
from mien.runs import find_runs

found = judge(collect(find_runs(Path(sys.argv[1]))))
cells = {line.name: line.cells["uar"] for line in found.table.lines}
print(json.dumps({
    "finding": found.finding,
    "uar": {name: [cell.value, cell.low, cell.high] for name, cell in cells.items()},
    "verdicts": [[pair.a, pair.b, pair.metric, pair.p_corrected, pair.word] for pair in found.certainty.pairs],
    "ece": [row.after.scores["ece"].value for row in found.calibration],
    "openings": found.openings.sentence,
    "report": "mien.report" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return make_store(place / "store", test=210)


@pytest.fixture(scope="module")
def comparison(place: Path, store: Store) -> Comparison:
    make_runs(place / "runs", store, networks=("vgg16", "resnet34"), seeds=2)
    return collect(find_runs(place / "runs"))


@pytest.fixture(scope="module")
def judgement(comparison: Comparison) -> Judgement:
    return judge(comparison)


def test_it_judges_where_matplotlib_and_jinja2_are_missing(
    place: Path, comparison: Comparison, judgement: Judgement
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APART, str(place / "runs")], capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(done.stdout)
    assert found["report"] is False
    assert found["finding"] == judgement.finding
    assert found["openings"] == judgement.openings.sentence
    told = as_json(comparison)
    assert found["uar"] == {
        row["name"]: [row["figures"]["uar"][key] for key in ("mean", "low", "high")] for row in told["rows"]
    }
    assert [one[3] for one in found["verdicts"]] == [pair["p_corrected"] for pair in told["verdicts"]]
    assert found["ece"] == [row["after"]["ece"]["value"] for row in told["calibration"]]


def test_a_judgement_cannot_be_changed(judgement: Judgement) -> None:
    with pytest.raises(FrozenInstanceError):
        judgement.rows = ()  # type: ignore[misc]


def test_it_says_what_was_left_out_and_who_opened_the_test(place: Path, store: Store) -> None:
    runs = make_runs(place / "alone", store, networks=("vgg16",))
    found = judge(collect(runs, left_out=["runs/x is damaged."]), store=store)
    assert found.left_out == ("runs/x is damaged.",)
    assert found.openings.logged
    assert [one.run for one in found.openings.own] == [run.id for run in runs]
    assert (found.store, found.why_no_store) == (store, "")
