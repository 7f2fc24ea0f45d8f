"""No kernel writes past its memory, at any small shape that a network may have (docs/log.md).

torch 2.13's oneDNN does in the backward pass of a strided 1x1 convolution; so no network has one.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mien.config import ModelSettings
from mien.models import NETWORKS, build
from mien.models.layers import Pointwise

HERE = Path(__file__).parent
CHECKED = {
    "LD_PRELOAD": "libc_malloc_debug.so.0",
    "MALLOC_CHECK_": "3",
    "OMP_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "passive",  # threads that spin would wait long on a busy machine
    "PYTHONPATH": os.pathsep.join([str(HERE.parent / "src"), str(HERE)]),
}
"""The environment of a process whose C library checks its memory at every call and aborts where it is damaged."""
OVERRUN = "import ctypes; text = ctypes.create_string_buffer(996); ctypes.memset(text, 1, 1000); del text"
"""A program that such a process must not survive."""


def checked(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | CHECKED)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["layers", "networks"])
def test_no_small_shape_writes_past_its_memory(kind: str) -> None:
    if checked("-c", OVERRUN).returncode != -signal.SIGABRT:
        pytest.skip("the C library has no checking allocator here (glibc's libc_malloc_debug.so.0)")
    told = checked(str(HERE / "small_shapes.py"), kind)
    last = told.stdout.splitlines()[-1:]
    assert told.returncode == 0, f"after {last}: {told.stderr}"
    assert last[0].startswith("swept ")
    assert int(last[0].split()[1]) > 60


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_no_network_has_a_stride_in_a_1x1_convolution(name: str, stem: str) -> None:
    """Neither by its settings nor in the operations that its training really runs."""
    settings = ModelSettings(name=name, width=0.125, stem=stem, head="gap", in_chans=3)  # type: ignore[arg-type]
    network = build(settings, classes=3, size=48).train()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            assert layer.stride == (1, 1)
    seen: list[tuple[tuple[int, ...], list[int]]] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if function is torch.ops.aten.convolution.default:
                seen.append((tuple(args[1].shape[2:]), args[3]))
            return function(*args, **kwargs or {})

    with Watch():
        network(torch.zeros(2, 48, 48, 3, dtype=torch.uint8)).sum().backward()
    assert seen
    assert all(stride == [1, 1] for kernel, stride in seen if kernel == (1, 1))


@pytest.mark.parametrize("side", [1, 6, 7])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_step_gives_the_numbers_of_a_stride(side: int, step: int) -> None:
    torch.manual_seed(0)
    ours, maps = Pointwise(5, 4, step), torch.rand(3, 5, side, side)
    strided = nn.Conv2d(5, 4, 1, stride=step, bias=False)
    strided.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(maps), strided(maps))
    with torch.no_grad():
        torch.testing.assert_close(ours(maps), strided(maps))
