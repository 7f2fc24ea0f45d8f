"""How much speed is left beside a busy process, by the way the threads wait for each other?

    python benchmarks/contention.py [--parts training prediction] [--networks compact-s] [--quick] [--into PAGE]

A network's threads share each layer and meet at its end. Who comes first may spin, which costs no time but holds a
core, or sleep, which frees the core and takes time to wake up. Where another process holds one of the cores, the thread
that it displaced is waited for by one that spins. The variants of training are environments of its process, those of
prediction are options of ONNX Runtime. They take turns, A B A B, first on a quiet machine, then beside one process of
normal priority that does nothing but count. A neighbour of several threads, or more neighbours, leave less.

Training is mien's own loop at a quarter of the networks' width, batches of 64. Prediction is the network of a model
that comes with mien, without the search for faces.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

from measure import Side, Slice, Turns, alternate, conditions, publish, spread, table
from training import Task, start

from mien.machine import keeping_pages

NETWORKS = ("compact-s", "densenet121", "vgg16")
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "as libgomp has it": {},
    "spin 30,000": {"GOMP_SPINCOUNT": "30000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 3,000": {"GOMP_SPINCOUNT": "3000"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "threads bound to cores": {"OMP_PROC_BIND": "true"},
    "one thread less": {"OMP_NUM_THREADS": "1"},
}
MODELS = (("default", 1), ("default", 64), ("small", 1), ("small", 64))
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "as ONNX Runtime has it": {},
    "no spinning": {"session.intra_op.allow_spinning": "0"},
    "one thread less": {"threads": 1},
}
FACES = 4096
PACKAGES = ("mien", "torch", "onnxruntime", "numpy")


@contextmanager
def neighbour() -> Iterator[None]:
    """A process that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def prediction_side(turns: Turns, model: str, batch: int, options: Mapping[str, Any]) -> None:
    """Classify the same faces over and over; a unit of work is one batch."""
    import numpy as np

    from mien.bundle import Bundle, runtime

    bundle, settings = Bundle.open(model), runtime().SessionOptions()
    for name, value in options.items():
        if name == "threads":
            settings.intra_op_num_threads = value
        else:
            settings.add_session_config_entry(name, value)
    network = runtime().InferenceSession(bundle.path.read_bytes(), settings, providers=["CPUExecutionProvider"])
    spec = bundle.card.crop
    faces = np.random.default_rng(0).integers(0, 256, (batch, spec.size, spec.size, spec.channels), dtype=np.uint8)
    for images in turns.over(repeat(faces), batch):
        network.run(None, {"images": images})
    turns.close()


def write_noise(path: Path, count: int) -> None:
    """A store of noise: what is seen decides nothing about speed."""
    import numpy as np

    from mien.crop import CropSpec
    from mien.data.store import Sample, create_store
    from mien.labels import SEVEN

    rng = np.random.default_rng(0)
    with create_store(path, SEVEN, CropSpec(size=48)) as writer:
        for split, number in (("train", count), ("valid", 70), ("test", 70)):
            for i in range(number):
                face = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
                writer.add(Sample(label=i % 7, split=split, source=f"{split}/{i}"), face=face)
        writer.finish(corpus="noise", licence="made for a benchmark")


def lines(what: str, sides: Mapping[str, Side], rounds: int, seconds: float) -> list[list[str]]:
    """The lines of the table for one network: its variants in turns, quiet, then beside the neighbour."""
    order = list(sides.values())
    quiet = alternate(order, rounds, seconds=seconds)
    with neighbour():
        busy = alternate(order, rounds, seconds=seconds)
    return [
        [what, name, *_figures(mine, quiet[0], beside)] for name, mine, beside in zip(sides, quiet, busy, strict=True)
    ]


def _figures(quiet: Sequence[Slice], first: Sequence[Slice], busy: Sequence[Slice]) -> list[str]:
    def shares(slices: Sequence[Slice]) -> str:
        return spread(slice.rate / other.rate for slice, other in zip(slices, first, strict=True))

    return [spread((s.rate for s in quiet), 0), shares(quiet), spread((s.rate for s in busy), 0), shares(busy)]


def measure_training(
    network: str, store: Path, variants: Sequence[str], rounds: int, seconds: float
) -> list[list[str]]:
    """The lines of a network that trains."""
    task = Task(network=network, pictures="", store=str(store), batch=64, width=0.25)
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(start("mien", task, keeping_pages() | dict(ENVIRONMENTS[name])))
            for name in variants
        }
        return lines(network, sides, rounds, seconds)


def measure_prediction(model: str, batch: int, variants: Sequence[str], rounds: int, seconds: float) -> list[list[str]]:
    """The lines of a model that predicts."""
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(
                Side(name, [sys.executable, __file__, "--side", json.dumps([model, batch, OPTIONS[name]])])
            )
            for name in variants
        }
        return lines(f"`{model}`, {batch} at once", sides, rounds, seconds)


def measured(options: argparse.Namespace) -> Iterator[list[str]]:
    """All lines of the table."""
    if "training" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            write_noise(Path(folder) / "store", options.faces)
            for network in options.networks:
                yield from measure_training(
                    network, Path(folder) / "store", options.environments, options.rounds, options.seconds
                )
                print(f"{network}: done", file=sys.stderr)
    if "prediction" in options.parts:
        for model, batch in MODELS[: 1 if options.quick else None]:
            yield from measure_prediction(model, batch, list(OPTIONS), options.rounds, options.seconds)
            print(f"{model}, {batch}: done", file=sys.stderr)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["training", "prediction"], choices=["training", "prediction"])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--environments", nargs="+", default=list(ENVIRONMENTS), choices=list(ENVIRONMENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn, at least one batch")
    parser.add_argument("--faces", type=int, default=FACES, help="training faces")
    parser.add_argument("--quick", action="store_true", help="one network, one model, short turns: shows that it works")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        prediction_side(Turns(), *json.loads(options.side))
        return
    if options.quick:
        options.networks, options.environments = ["compact-s"], ["as libgomp has it", "passive"]
        options.rounds, options.seconds, options.faces = 1, 0.1, 256
    heads = ("task", "threads wait", "quiet, images/s", "share", "one busy process, images/s", "share of quiet")
    n = (
        f"n: {options.rounds} rounds of {options.seconds:g} s, in turns; median (least–most); shares are of the first "
        "line of a task, quiet."
    )
    publish("contention", f"{table(heads, measured(options))}\n\n{conditions(PACKAGES, n=n)}", options.into)


if __name__ == "__main__":
    main()
