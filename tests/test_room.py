"""What would not fit into memory is refused before memory is asked for."""

from pathlib import Path
from typing import Any

import pytest
import torch

from made_runs import make_store
from mien import machine, models, room
from mien.compare import plan
from mien.config import ModelSettings, NetworkSettings, Recipe, override
from mien.crop import CropSpec
from mien.errors import ConfigError
from mien.machine import memory_bytes, peak_memory_mb
from mien.models import NETWORKS, build, sketch
from mien.models.cost import count

HUGE: dict[str, Any] = {"model.name": "vgg16", "model.width": 8.0, "model.head": "fc", "model.in_chans": 3}


@pytest.fixture
def _small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (models, room):
        monkeypatch.setattr(module, "memory_bytes", lambda: 16 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("_small_machine")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (HUGE, "vgg16 at width 8 with head fc has 8,592 million parameters: .* has 16 GB. Lower model"),
        ({"model.name": "compact-l", "model.width": 8.0, "train.batch_size": 65536, "train.micro_batch": 0}, "micro_b"),
        (
            {"model.name": "resnet34", "model.width": 8.0, "train.sizes": [1024], "train.micro_batch": 512},
            "Lower train.micro_batch",
        ),
    ],
)
def test_a_training_that_does_not_fit_is_one_sentence_and_takes_no_memory(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", train=14, test=7, size=48)
    before = peak_memory_mb()
    with pytest.raises(ConfigError, match=says):
        plan(Recipe(name="x", settings=override(NetworkSettings(), changes)), store, tmp_path / "runs")
    assert peak_memory_mb() < before + 500
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("_small_machine")
def test_weights_that_do_not_fit_are_refused_wherever_they_come_from() -> None:
    """A run folder may have been made elsewhere, or by somebody else."""
    settings = override(NetworkSettings(), HUGE).model
    with pytest.raises(ConfigError, match="the weights alone take 34 GB, and this machine has 16 GB"):
        build(settings, classes=7, size=48)


@pytest.mark.usefixtures("_small_machine")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_as_published_fits_a_small_machine(name: str) -> None:
    takes = (CropSpec(size=48, channels=3).plane,)
    room.check_room(override(NetworkSettings(), {"model.name": name, "model.in_chans": 3}), takes, classes=7)


def test_a_sketch_costs_what_the_network_does_and_draws_no_random_numbers() -> None:
    settings = ModelSettings(name="compact-s", width=0.25, in_chans=3)
    state = torch.get_rng_state()
    drawn = sketch(settings, classes=7, size=48)
    assert torch.equal(torch.get_rng_state(), state)
    assert count(drawn, 48) == count(build(settings, classes=7, size=48), 48)


@pytest.mark.parametrize(("text", "expected"), [("max\n", 10**12), ("4096\n", 4096), ("9000000000000000000\n", 10**12)])
def test_a_container_has_its_own_memory(text: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: type("M", (), {"total": 10**12}))
    monkeypatch.setattr(machine.Path, "exists", lambda self: True)
    monkeypatch.setattr(machine.Path, "read_text", lambda self, encoding: text)
    assert memory_bytes() == expected
