"""The benchmarks: sides take turns and are compared round by round, and every script prints whole tables."""

import importlib
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from made_runs import make_runs, make_store
from mien.data.store import Store
from mien.hooks import Progress
from mien.runs import Run

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables in a text as rows of cells, the line of rules left out; raises where one is not whole."""
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not inside:
            found.append([])
        inside = True
        found[-1].append(cells)
    for rows in found:
        assert all(re.fullmatch("-+:?", cell) for cell in rows[1]), rows[1]
        assert all(len(cells) == len(rows[0]) for cells in rows), rows
        del rows[1]
    return found


COUNTER = """
from measure import Turns
turns = Turns()
print("not an answer")
def work():
    while True:
        yield
for _ in turns.over(work(), count=3):
    if turns.word == "break":
        raise ValueError("no more")
turns.close(peak_mb=1.5)
"""


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Any]:
    """A side whose unit of work is three things."""
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    environment = {"PYTHONPATH": os.pathsep.join([str(FOLDER), str(ROOT / "src")])}
    with script("measure").Side("counter", [sys.executable, str(path)], environment) as side:
        yield side


def test_a_side_works_when_it_is_told_to(counter: Any) -> None:
    first, second = counter.turn(1), counter.turn(4, "word")
    assert (first.count, second.count) == (3, 12)
    assert first.seconds > 0
    assert counter.finish() == {"peak_mb": 1.5}


class Steady:
    """In place of a process: a side whose unit of work takes the same time whenever it comes."""

    def __init__(self, name: str, seconds: float, log: list[str]) -> None:
        self.name, self.seconds, self.log = name, seconds, log

    def turn(self, amount: int = 1, word: str = "") -> Any:
        self.log.append(f"{self.name}{amount}{word}")
        return script("measure").Slice(count=10 * amount, seconds=self.seconds * amount)


def test_sides_take_turns_and_are_compared_round_by_round() -> None:
    measure, log = script("measure"), []
    sides = [Steady("a", 0.25, log), Steady("b", 8.0, log), Steady("c", 0.001, log)]
    fast, slow, short = measure.alternate(sides, 2, seconds=2.0, most=100, word="x")
    assert log == ["a1x", "b1x", "c1x", *["a8x", "b1x", "c100x"] * 2], "a unit each to warm up, then A B C A B C"
    assert [slice.count for slice in (*fast, *slow)] == [80, 80, 10, 10]
    assert measure.ratios(fast, slow) == [32, 32]
    assert len(short) == 2


def test_a_side_that_breaks_off_says_why(counter: Any) -> None:
    with pytest.raises(script("measure").SideFailed, match=r"^ValueError: no more$"):
        counter.turn(1, "break")


def test_spread_shows_median_least_and_most() -> None:
    measure = script("measure")
    assert measure.spread([3, 1, 2]) == "2.00 (1.00–3.00)"
    assert measure.spread([1.001, 1.002]) == "1.00", "no range where none can be seen"


def test_a_table_goes_to_its_place_and_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure = script("measure")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: x -->\nold\n<!-- end of table -->\n<!-- table: y -->\ny\n<!-- end of table -->\n")
    measure.publish("x", "new", page)
    assert page.read_text() == (
        "a\n<!-- table: x -->\nnew\n<!-- end of table -->\n<!-- table: y -->\ny\n<!-- end of table -->\n"
    )
    assert capsys.readouterr().out == "new\n"
    with pytest.raises(SystemExit, match="no place"):
        measure.publish("z", "new", page)


NAMES = r"(?:publish\(\s*|Ladder\(\s*name=)\"(\w+)\""
"""Of the tables that a script makes."""


def test_the_page_has_a_place_for_every_table() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    names = {m for path in FOLDER.glob("*.py") for m in re.findall(NAMES, path.read_text("utf-8"))}
    expected = "training family prediction first_use growth accuracy memory loop shapes contention listing serving"
    expected += " cluster rows large steady"
    assert names == set(expected.split())
    assert names == set(re.findall(r"<!-- table: (\w+) -->", page))


class TwoTurns:
    """In place of the pipe: two units of work."""

    word = "2"

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.facts: dict[str, Any] = {}

    def over(self, items: Iterable[Any], count: int = 1) -> Iterator[Any]:
        for item in islice(items, 2):
            yield item
            self.counts.append(count)

    def close(self, **facts: Any) -> None:
        self.facts = facts


@pytest.fixture
def task(store: Store) -> Any:
    changes = {"train.micro_batch": 8, "model.head": "gap"}
    return script("training").Task(
        network="compact-s", pictures="", store=str(store.path), batch=16, width=0.25, changes=changes
    )


def test_miens_side_trains_in_its_turns_and_goes_on_after_them(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien import checkpoint, train
    from mien.data.batches import Batches

    saved = []
    monkeypatch.setattr(Batches, "epoch", Batches.epoch)
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", train.CHECKPOINT_SECONDS)
    monkeypatch.setattr(train, "save", lambda run, state: saved.append(state.images) or checkpoint.save(run, state))
    turns = TwoTurns()
    script("training").mien_side(turns, task)
    assert turns.counts == [16, 16]
    assert saved == [3 * 16], "two batches in turns, one in the second epoch; saved once, at the end"
    assert turns.facts["peak_mb"] > 50
    assert turns.facts["options"]["passes"] == "chunks of at most 8, gradients add up"


def test_the_convolutions_alone_are_all_of_them(task: Any) -> None:
    from torch import nn

    from mien.config import NetworkSettings, override
    from mien.models import build

    training = script("training")
    network = build(override(NetworkSettings(), {**task.settings, "model.in_chans": 3}).model, classes=7, size=48)
    products = list(training.Products(network, 4))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(products) == len(layers)
    turns = TwoTurns()
    training.alone_side(turns, replace(task, network="resnet34", width=0.125))
    assert turns.facts["flops"] > 1e6


def test_the_loop_is_changed_in_what_the_table_says(task: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from mien import initial, optimise, train
    from mien.config import NetworkSettings, override
    from mien.data.splits import divide
    from mien.models import Network

    loop = script("loop")
    settings = override(NetworkSettings(), task.settings | {"optimizer.ema": 0.9}).resolved(store.meta.crop)
    part = divide(store, settings.data).train
    for module, name in ((initial, "placed"), (train, "average"), (train, "build_optimizer")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(optimise, "fuses", optimise.fuses)
    monkeypatch.setattr(Network, "pixels", Network.pixels)
    monkeypatch.setattr(torch.optim.Optimizer, "zero_grad", torch.optim.Optimizer.zero_grad)

    def built() -> Network:
        return train.build_network(settings, part, torch.device("cpu"))

    faces = torch.zeros(2, 48, 48, len(built().pixel_mean), dtype=torch.uint8)
    assert built().features(built().pixels(faces)).is_contiguous(memory_format=torch.channels_last)
    for name, change in loop.CHANGES.items():
        if name != loop.COMPILED:
            change.make()
    network = built()
    assert network.features(network.pixels(faces)).is_contiguous()
    optimizer = train.build_optimizer(network, settings)
    assert {(group["fused"], group["foreach"]) for group in optimizer.param_groups} == {(False, True)}
    network(faces).sum().backward()
    optimizer.zero_grad(set_to_none=True)
    assert {weight.grad.abs().sum().item() for weight in network.parameters()} == {0.0}


def test_averages_in_turn_are_those_of_the_loop() -> None:
    import torch
    from torch import nn

    from mien import optimise

    loop = script("loop")
    network = nn.BatchNorm2d(3)
    network(torch.randn(4, 3, 2, 2))
    start = {name: torch.ones_like(tensor) for name, tensor in network.state_dict().items()}
    together, in_turn = ({name: tensor.clone() for name, tensor in start.items()} for _ in range(2))
    optimise.average(together, network, 0.9)
    loop._average_in_turn(in_turn, network, 0.9)
    for name in start:
        torch.testing.assert_close(together[name], in_turn[name])
    assert not torch.equal(together["running_mean"], start["running_mean"])


def test_shapes_do_as_much_arithmetic_as_the_one_they_stand_beside() -> None:
    from mien.models.cost import count

    shapes = script("shapes")
    (_, first), *others = [(name, count(network, 48).flops) for name, network in shapes.shapes()]
    assert all(0.95 < flops / first < 1.05 for _, flops in others), others


PICTURES = {"train": 24, "valid": 8, "test": 8}


def test_the_loop_by_hand_learns_the_same_pictures(tmp_path: Path) -> None:
    measure, training = script("measure"), script("training")
    drawn = measure.draw_pictures(tmp_path / "pictures", distinct=16, **PICTURES)
    assert {split: len(list((drawn / split).glob("*/*.png"))) for split in PICTURES} == PICTURES
    seen = training.pictures(training.Task(network="resnet34", pictures=str(drawn), store=""), "train")
    image, label = seen[0]
    assert len(seen) == 24
    assert image.shape == (3, 48, 48)
    assert -2 <= image.min() < image.max() <= 2
    assert label == 0


def curve(folder: Path, valid: list[float], test: list[float], seconds: list[float]) -> Any:
    """A finished run with these curves."""
    store = make_store(folder / "store", train=28, test=14)
    run = make_runs(folder / "runs", store, networks=["resnet34"], dropouts=[0.0], epochs=len(valid))[0]
    run.write_history([replace(e, valid_accuracy=a) for e, a in zip(run.history, valid, strict=True)])
    lines = [f"{n},{a!r},{a!r},{a!r}" for n, a in enumerate(test, 1)]
    (run.path / "peeking.csv").write_text("\n".join(["epoch,accuracy,uar,macro_f1", *lines]) + "\n")
    times = [f"{n},{s},0.0" for n, s in enumerate(np.cumsum(seconds), 1)]
    (run.path / "epoch_seconds.csv").write_text("\n".join(["epoch,training,beside", *times]) + "\n")
    run.update(selected_epoch=len(valid))
    return script("accuracy").Curve(run=Run.open(run.path))


def test_times_are_read_off_the_validation_curve(tmp_path: Path) -> None:
    accuracy = script("accuracy")
    reached = curve(tmp_path / "a", [0.5, 0.61, 0.64, 0.67], [0.5, 0.59, 0.66, 0.65], [60, 60, 120, 120])
    short = curve(tmp_path / "b", [0.30, 0.45], [0.31, 0.44], [600, 600])
    assert short.goes_on, "its rate is constant"
    rows = accuracy.rows({"fast": [reached], "paper": [short]})
    assert rows[0] == ["60%, fast", "1.0", "2.0", "2", "0.590", "4.0"], "the test would have come there later"
    assert rows[4] == ["66%, fast", "1.0", "6.0", "4", "0.650", "4.0"], "and here earlier, which nobody may use"
    assert rows[1] == ["60%, paper", "≥ 15.0", "≥ 30.0", "–", "–", "≥ 32.3"], "on the line through the last two"
    assert accuracy.ends({"fast": [reached]})[0][:6] == ["fast", "1", "4", "6.0", "0.670", "0.650"]


def test_a_curve_that_falls_never_arrives() -> None:
    accuracy = script("accuracy")
    minutes = np.array([1.0, 2.0])
    assert accuracy.arrival(minutes, np.array([0.5, 0.4]), 0.6) is None
    assert accuracy.arrival(minutes, np.array([0.5, 0.55]), 0.6, goes_on=False) is None, "its training has ended"
    assert accuracy.told([None], 1) == "not reached"


def test_the_clock_keeps_what_passes_beside_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracy = script("accuracy")
    run = make_runs(tmp_path / "runs", make_store(tmp_path / "store"), networks=["resnet34"], dropouts=[0.0])[0]
    count, batch = run.data.counts["train"], run.settings.train.batch_size
    now = [100.0]
    monkeypatch.setattr(accuracy.time, "monotonic", lambda: now[0])

    def ended(epoch: int, at: float) -> None:
        now[0] = at
        seen = Progress(epoch=epoch, epochs=2, done=epoch / 2, loss=1.0, accuracy=0.5, images_per_second=count / 10)
        clock(run, seen)

    clock = accuracy.Clock()
    ended(1, 120.0)  # ten seconds of steps among twenty
    ended(2, 135.0)  # ten among fifteen
    first = 20 - batch / (count / 10)
    times = [[float(value) for value in line] for line in accuracy.read_times(run)]
    assert times == [[1, 10, pytest.approx(max(0, first))], [2, 20, pytest.approx(max(0, first) + 5)]]


def run_script(name: str, *arguments: str) -> str:
    command = [sys.executable, str(FOLDER / name), *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})
    assert told.returncode == 0, told.stderr
    return told.stdout


SMALLEST = {
    "training.py": (["--quick", "--networks", "resnet34"], [1]),
    "prediction.py": (["--quick", "--fresh", "compact-s"], [4]),
    "first_use.py": (["--quick"], [1]),
    "family.py": (["--quick"], [8]),
    "shapes.py": (["--quick"], [6]),
    "listing.py": (["--quick"], [1]),
    "growth.py": (["--sizes", "60", "120", "--rounds", "1"], [8]),
    "memory.py": (["--quick"], [2, 3]),
    "rows.py": (["--quick"], [16]),
    "large.py": (["--quick"], [4]),
    "loop.py": (["--quick"], [7, 4]),
    "accuracy.py": (["--quick"], [9, 3]),
    "serving.py": (["--quick", "--kinds", "crops"], [2, 3]),
}
"""Arguments of each script, and the rows of the tables it prints."""


@pytest.mark.long
@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_size_prints_whole_tables(name: str) -> None:
    arguments, counts = SMALLEST[name]
    text = run_script(name, *arguments)
    found = tables(text)
    assert [len(rows) - 1 for rows in found] == counts
    assert all(cell for rows in found for cells in rows for cell in cells), "no cell is empty"
    assert f"`python benchmarks/{name} {' '.join(arguments)}`" in text
    assert re.search(r"\nn: \d", text)


@pytest.mark.long
@pytest.mark.parametrize("name", [*SMALLEST, "ablation.py", "contention.py", "cluster.py", "faces.py"])
def test_every_script_says_what_it_does(name: str) -> None:
    told = run_script(name, "--help")
    assert "Markdown" in told or "--into" in told


def test_what_cannot_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, measure = script("prediction"), script("measure")
    monkeypatch.setattr(prediction.venv, "create", lambda *_, **__: None)
    refused = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found for fer\n")
    monkeypatch.setattr(prediction.subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(measure.SideFailed, match="No matching distribution"):
        prediction.fer_subjects(tmp_path)


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    """The same answers under another order and other words for the classes are right in the same faces."""
    prediction = script("prediction")
    labels = np.array([0, 1, 2, 2])
    probs = np.eye(3)[[0, 1, 2, 0]]
    outcomes = []
    for names, order in ((["anger", "fear", "happiness"], [0, 1, 2]), (["happy", "angry", "fear"], [2, 0, 1])):
        path = tmp_path / f"{names[0]}.npy"
        np.save(path, probs[:, order])
        subject = prediction.Subject(name=names[0], command=())
        outcomes.append(
            prediction.Outcome(
                subject=subject, threads=1, slices={}, start=0.0, answers=str(path), facts={"names": names}
            )
        )
    ((heads, one, other),) = tables(prediction.accuracies(outcomes, labels, ["anger", "fear", "happiness"]))
    assert heads[3] == "right alone : anger alone"
    assert one[1:] == ["0.7500 [0.301, 0.954]", "0.7778", "–", "4"]
    assert other[1:] == ["0.7500 [0.301, 0.954]", "0.7778", "0 : 0, p 1", "4"]


def test_a_broken_table_is_seen() -> None:
    assert len(tables(textwrap.dedent("| a | b |\n| --- | ---: |\n| 1 | 2 |\n\n| a |\n| --- |"))) == 2
    with pytest.raises(AssertionError):
        tables("| a | b |\n| --- | ---: |\n| 1 |")
