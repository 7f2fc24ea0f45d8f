"""What a grid says while it trains: how long it takes, run and all, and what is shorter."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from conftest import plan_run
from mien.cli import watch as module
from mien.cli.compare import shorter
from mien.cli.watch import watch
from mien.data.prepare import draw_store
from mien.data.store import Store
from mien.engines import forecast
from mien.engines.forecast import Forecast, operations
from mien.hooks import Progress
from mien.initial import build_network
from mien.models.cost import count
from mien.progress import about
from mien.runs import RESULTS, Run


class Clock:
    """In place of `time.monotonic`: seconds that the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(forecast.time, "monotonic", clock)
    return clock


@pytest.fixture
def three(tmp_path: Path, store: Store) -> list[Run]:
    return [plan_run(tmp_path, store, seed=seed) for seed in range(3)]


def at(done: float, epoch: int = 1) -> Progress:
    return Progress(epoch=epoch, epochs=2, done=done, loss=1.234, accuracy=0.5, images_per_second=99.9, note="Slower.")


def test_the_work_of_a_run_is_its_epochs_forward_and_backward(tmp_path: Path, store: Store) -> None:
    run = plan_run(tmp_path, store, train__epochs=5)
    flops = count(build_network(run.settings, run.fold().train, "cpu"), 16).flops  # type: ignore[arg-type]
    assert operations(run) == 5 * flops * (3 * 66 + 21)
    grown = plan_run(tmp_path, store, train__epochs=5, train__sizes=[8, 16])
    assert 0.5 * operations(run) < operations(grown) < 0.8 * operations(run)


def test_time_left_follows_from_work_and_speed(three: list[Run], clock: Clock) -> None:
    seen = Forecast(three)
    assert seen.left(three[0]) is seen.all_left is None
    seen.see(three[0], 0.1)  # it went on from a checkpoint: what was there took no time
    assert seen.left(three[0]) is None
    clock.now = 10
    seen.see(three[0], 0.3)
    assert seen.left(three[0]) == pytest.approx(35)
    assert seen.all_left == pytest.approx(135)
    assert seen.done == pytest.approx(0.1 * seen.total)
    seen.end(three[0])
    clock.now = 1000  # to start a process takes time, too; it is not training
    seen.see(three[1], 0.01)
    assert seen.all_left == pytest.approx(99.5)


def test_a_slow_kind_of_network_does_not_speak_for_the_others(tmp_path: Path, store: Store, clock: Clock) -> None:
    kinds = ["compact-s", "resnet34", "resnet34"]
    runs = [plan_run(tmp_path, store, model__name=kind, seed=seed) for seed, kind in enumerate(kinds)]
    seen = Forecast(runs)
    first, second = (operations(run) for run in runs[:2])
    for run, seconds in ((runs[0], 10.0), (runs[1], 40.0)):
        seen.see(run, 0.0)
        clock.now += seconds
        seen.see(run, 0.5)
    assert seen.left(runs[0]) == pytest.approx(10)
    assert seen.all_left == pytest.approx((10 + 40 + 80) / 2), "both are under way, two at once"
    seen.end(runs[0])
    assert seen.all_left == pytest.approx(40 + 80)
    assert first != second


def test_runs_that_train_at_once_are_each_measured(three: list[Run], clock: Clock) -> None:
    seen = Forecast(three)
    for step in range(3):
        for run in three[:2]:
            seen.see(run, 0.1 * step)
        clock.now += 10
    assert seen.seconds_seen == pytest.approx(40)
    assert seen.left(three[0]) == pytest.approx(80)
    assert seen.all_left == pytest.approx((80 + 80 + 100) / 2)


def test_finished_runs_are_behind_us(three: list[Run], clock: Clock) -> None:
    three[0].update(status="finished", stages=RESULTS)
    seen = Forecast(three)
    assert seen.done == pytest.approx(seen.total / 3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (95, "2 min"),
        (3600, "60 min"),
        (12_000, "3 h 20 min"),
        (10_800, "3 h"),
        (2e5, "56 h"),
    ],
)
def test_times_are_said_in_words(seconds: float, text: str) -> None:
    assert about(seconds) == f"about {text}"


def test_a_log_has_the_time_left_for_the_run_and_for_all(
    three: list[Run], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with watch(three) as report:
        for clock.now, done in ((0, 0.0), (20, 0.1), (40, 0.2), (50, 0.25), (71, 0.35)):
            report(three[0], at(done))
        report(three[0], "It is tried again.")
        report(three[0], None)
        three[1].update(stages=("fit", "valid"))
        report(three[1], None)
    figures = "epoch 1/2 loss 1.234 accuracy 0.500 100 images/s"
    assert capsys.readouterr().err.splitlines() == [
        f"{three[0].id}: Slower.",
        f"1 of 3 runs: {three[0].id} 20% {figures}, about 3 min left, about 9 min for all runs",
        f"1 of 3 runs: {three[0].id} 35% {figures}, about 2 min left, about 9 min for all runs",
        f"{three[0].id}: It is tried again.",
        f"1 of 3 runs: {three[0].id} running",
        f"2 of 3 runs: {three[1].id} judged on valid",
    ]


@pytest.mark.parametrize(
    ("seconds", "device", "announced"), [(40, "cpu", True), (40, "cuda", False), (9, "cpu", False)]
)
def test_a_grid_of_hours_is_announced_once_on_a_processor(
    three: list[Run],
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    device: str,
    announced: bool,
) -> None:
    monkeypatch.setattr(module, "pick_device", lambda: type("Device", (), {"type": device}))
    with watch(three, lambda: "Shorter is better.") as report:
        for step in range(4):
            clock.now = step * seconds
            report(three[0], at(step / 100))
    lines = [line for line in capsys.readouterr().err.splitlines() if "runs take" in line]
    assert lines == ["The 3 runs take about 3 h 19 min on this processor. Shorter is better."] * announced


def test_what_is_shorter_is_a_command_that_can_be_typed_and_has_less_work(tmp_path: Path, store: Store) -> None:
    draw_store(tmp_path / "drawn", count=84)
    drawn = Store.open(tmp_path / "drawn")
    grid = [
        plan_run(tmp_path, drawn, model__name="vgg16", model__width=1.0, train__epochs=75, seed=seed)
        for seed in range(6)
    ]
    text = shorter(grid, drawn, Path("STORE"))
    assert text.startswith("mien compare reduced --data STORE (the paper's networks")
    assert "mien compare fast --data STORE (one good" in text
    few = [plan_run(tmp_path, drawn, model__name="compact-s", train__epochs=1)]
    assert "reduced" not in shorter(grid, store, None)  # its faces are too small for these networks
    assert shorter(few, drawn, None) == "Ctrl-C stops; the same command goes on where it was."


def test_bars_are_measured_in_work(three: list[Run], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: Any = io.StringIO()
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=shown, force_terminal=True, width=160))
    with watch(three, lambda: "Shorter is better.") as report:
        report(three[0], at(0.0))
        clock.now = 100
        report(three[0], at(0.01))
        report(three[0], None)
    text = shown.getvalue()
    assert "grid of 3" in text
    assert "33%" in text
    assert "The 3 runs take" in text
