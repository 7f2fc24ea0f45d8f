"""How fast is classification, and how right, against the package `fer` of PyPI?

    python benchmarks/prediction.py [MODEL.onnx ...] [--data STORE] [--quick] [--into docs/benchmarks.md]

Classification alone: from ready 48 px crops in memory to probabilities, faces neither found nor cut out, in batches of
1 and of 64, on 1 and on 2 threads (and as many processors). The models are the files that are given, as `mien export`
writes them, and networks with fresh weights, whose time is that of trained ones. `fer` is installed with pip into an
environment that is thrown away, with the packages that its classifier needs and without its face detectors' own (they
would bring PyTorch for GPUs); `--fer-environment` keeps it. Its classifiers are called as the package calls them, one
face at a time (TFLite) or in a batch (Keras). All sides take turns, each in a fresh process.

With --data also accuracy and macro F1 on the store's test part, each package with its own preprocessing, classes
matched by name.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from measure import Side, SideFailed, Slice, Turns, alternate, conditions, publish, ratios, spread, table

from mien.machine import peak_memory_mb

FER = ("fer==25.10.3",)
FER_NEEDS = (
    "tensorflow-cpu<2.22",
    "opencv-contrib-python-headless<5",
    "setuptools<81",
    "pandas",
    "pillow",
    "requests",
    "tqdm",
)
FER_KINDS = ("tflite", "keras")
FRESH = ("compact-s", "compact-m", "compact-l", "resnet34", "densenet121", "vgg16")
BATCHES = (1, 64)
THREADS = (1, 2)
PACKAGES = ("mien", "onnxruntime", "numpy")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A classifier that takes part."""

    name: str
    command: tuple[str, ...]
    """Of its side, without the arguments that all sides have: faces, threads, answers."""
    environment: Mapping[str, str] = field(default_factory=dict)
    trained: bool = True
    """Whether its answers mean anything."""


def serve(
    turns: Turns,
    classify: Callable[[Any], Any],
    faces: Any,
    names: Sequence[str],
    answers: str,
    packages: Sequence[str] = (),
) -> None:
    """A side's work: batches of the size that a turn's word says; at the end its answers to all faces, if asked for."""

    def batches() -> Iterator[Any]:
        while True:
            yield faces[: int(turns.word)]

    for batch in turns.over(batches()):
        classify(batch)
    peak = peak_memory_mb()
    if answers:
        parts = np.split(faces, range(max(BATCHES), len(faces), max(BATCHES)))
        np.save(answers, np.concatenate([classify(part) for part in parts]))
    versions = [f"{package} {metadata.version(package)}" for package in packages]
    turns.close(names=list(names), peak_mb=peak, versions=versions)


def mien_side(model: str, faces: str, threads: int, answers: str) -> None:
    """Serve a model file of mien's."""
    turns = Turns()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    from mien.bundle import Bundle
    from mien.crop import crop

    bundle = Bundle.open(model, threads=threads)
    crops = np.stack([crop(face, bundle.card.crop) for face in np.load(faces, allow_pickle=False)])
    serve(turns, bundle.probs, crops, bundle.card.labels, answers)


def fresh_models(folder: Path, names: Sequence[str]) -> list[Subject]:
    """Export networks with fresh weights, the first also in int8."""
    import torch

    from mien.bundle import seal
    from mien.card import Card
    from mien.config import ModelSettings
    from mien.crop import CropSpec
    from mien.data.drawn import draw_faces
    from mien.labels import SEVEN
    from mien.models import build
    from mien.to_onnx import onnx_bytes, quantise

    subjects = []
    for name in names:
        torch.manual_seed(0)
        settings = ModelSettings(name=name, head="flat" if name == "vgg16" else "published", in_chans=3)
        card = Card(
            labels=SEVEN.names,
            crop=CropSpec(),
            network=name,
            run="fresh",
            corpus="none",
            fingerprint="",
            licence="none",
        )
        models = {name: onnx_bytes(build(settings, classes=len(SEVEN), size=48))}
        if name == names[0]:
            drawn = np.stack([face.image for _, face in draw_faces(64, seed=0, size=48)])
            models[f"{name} int8"] = quantise(models[name], {"images": drawn})
        for title, model in models.items():
            path = folder / f"{title.replace(' ', '-')}.onnx"
            path.write_bytes(seal(model, card))
            subjects.append(mien_subject(path, f"{title}, fresh", trained=False))
    return subjects


def mien_subject(path: Path, name: str, *, trained: bool = True) -> Subject:
    """A model file as a subject."""
    return Subject(name=name, command=(sys.executable, __file__, "--side", str(path)), trained=trained)


def fer_subjects(folder: Path) -> list[Subject]:
    """The two classifiers of `fer`; raises `SideFailed` where it cannot be installed."""
    python = folder / "bin" / "python"
    if not python.exists():
        install_fer(folder, python)
    here = Path(__file__).parent
    path = {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent / "src")])}
    command = (str(python), str(here / "fer_side.py"))
    return [Subject(name=f"fer {kind}", command=(*command, kind), environment=path) for kind in FER_KINDS]


def install_fer(folder: Path, python: Path, *more: str) -> None:
    """Make the environment, with the package, what its classifier needs, and what else is asked for."""
    print("installing fer and TensorFlow …", file=sys.stderr)
    venv.create(folder, with_pip=True)
    for arguments in (("--no-deps", *FER), (*FER_NEEDS, *more)):
        told = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *arguments], capture_output=True, text=True, check=False
        )
        if told.returncode:
            errors = [line for line in told.stderr.splitlines() if line.startswith("ERROR")]
            raise SideFailed(" ".join(errors[-1:]) or f"pip ended with code {told.returncode}")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a subject did."""

    subject: Subject
    threads: int
    slices: Mapping[int, Sequence[Slice]]
    """By batch size; a slice counts batches."""
    start: float
    """Seconds from the process's start to its first answer."""
    answers: str
    """File of its probabilities of all faces; empty where they were not asked for."""
    facts: Mapping[str, Any]

    def row(self, base: "Outcome") -> list[str]:
        """Its line of the table."""
        cells = []
        for batch, slices in self.slices.items():
            cells += [spread(ratios(slices, base.slices[batch])), spread([s.rate * batch for s in slices], 0)]
        return [self.subject.name, str(self.threads), *cells, f"{self.start:.1f}", f"{self.facts['peak_mb']:.0f}"]


HEADS = (
    "classifier",
    "threads",
    *(head for batch in BATCHES for head in (f"batch {batch}: ratio", f"batch {batch}: faces/s")),
    "first answer, s",
    "peak, MB",
)


def measure(
    subjects: Sequence[Subject], faces: Path, threads: int, rounds: int, seconds: float, answers: Path | None
) -> tuple[list[Outcome], list[str]]:
    """Let all subjects take turns; those that break off are named with the reason."""
    with ExitStack() as stack:
        sides, starts, kept, asked, failures = [], [], [], [], []
        for number, subject in enumerate(subjects):
            out = str(answers / f"{number}.npy") if answers and subject.trained else ""
            side = Side(subject.name, [*subject.command, str(faces), str(threads), out], subject.environment)
            stack.enter_context(side)
            try:
                side.turn(1, "1")
            except SideFailed as failure:
                failures.append(f"{subject.name} broke off: {failure}")
                continue
            kept.append(subject)
            asked.append(out)
            starts.append(side.age)
            sides.append(side)
        slices = {batch: alternate(sides, rounds, seconds=seconds, word=str(batch)) for batch in BATCHES}
        facts = [side.finish() for side in sides]
    outcomes = [
        Outcome(
            subject=subject,
            threads=threads,
            slices={batch: slices[batch][number] for batch in BATCHES},
            start=starts[number],
            answers=asked[number],
            facts=facts[number],
        )
        for number, subject in enumerate(kept)
    ]
    return outcomes, failures


def accuracies(outcomes: Sequence[Outcome], labels: Any, names: Sequence[str]) -> str:
    """A table of accuracy and macro F1 on the test part, with McNemar's test against the first, face by face."""
    from mien.calibration import wilson
    from mien.labels import LabelSet
    from mien.metrics import scores
    from mien.statistics import mcnemar

    rows, first = [], None
    judged = [outcome for outcome in outcomes if outcome.answers]
    for outcome in judged:
        own, probs = LabelSet(tuple(outcome.facts["names"])), np.load(outcome.answers, allow_pickle=False)
        columns = [own.index(name) for name in names]
        found = scores(np.log(np.maximum(probs[:, columns], 1e-12)), labels)
        right = probs[:, columns].argmax(1) == labels
        first = right if first is None else first
        test = mcnemar(right, first)
        low, high = wilson(round(found.accuracy * len(labels)), len(labels))
        accuracy = f"{found.accuracy:.4f} [{low:.3f}, {high:.3f}]"
        alone = "–" if first is right else f"{test.only_a} : {test.only_b}, p {test.p:.2g}"
        rows.append([outcome.subject.name, accuracy, f"{found.macro_f1:.4f}", alone, str(len(labels))])
    heads = ("classifier", "accuracy [95 %]", "macro F1", f"right alone : {judged[0].subject.name} alone", "n")
    return table(heads, rows)


def crops(data: Path | None, folder: Path) -> tuple[Path, Any, Sequence[str]]:
    """A file of crops `(N, 48, 48, 3)` RGB, of the store's test part or drawn; with labels and class names."""
    from mien.data.drawn import draw_faces
    from mien.data.store import Store

    path = folder / "faces.npy"
    if data is None:
        np.save(path, np.stack([face.image for _, face in draw_faces(max(BATCHES), seed=0, size=48)]))
        return path, None, ()
    store = Store.open(data)
    rows = store.rows("test")
    images = store.images[rows]
    np.save(path, np.broadcast_to(images, (*images.shape[:3], 3)))
    return path, store.samples.label[rows], store.labels.names


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--fresh", nargs="*", default=list(FRESH), help="networks with fresh weights")
    parser.add_argument("--data", type=Path, help="a store whose test part is judged too")
    parser.add_argument("--without-fer", action="store_true", help="leave out what pip would have to install")
    parser.add_argument("--fer-environment", type=Path, help="where fer is installed, or is to be, and stays")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.7, help="of a turn")
    parser.add_argument("--quick", action="store_true", help="without fer, two networks, short turns")
    parser.add_argument("--into", type=Path, help="a page to put the tables into")
    parser.add_argument("--side", nargs=4, metavar=("MODEL", "FACES", "THREADS", "ANSWERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        model, faces, threads, answers = options.side
        mien_side(model, faces, int(threads), answers)
        return
    if options.quick:
        options.fresh, options.rounds, options.seconds = options.fresh[:2], 2, 0.1
        options.without_fer = options.fer_environment is None
    with tempfile.TemporaryDirectory() as folder:
        print_tables(options, Path(folder))


def print_tables(options: argparse.Namespace, folder: Path) -> None:
    """All of the measuring, with the temporary files in `folder`."""
    faces, labels, names = crops(options.data, folder)
    notes = []
    subjects = [mien_subject(path, path.name) for path in options.models]
    if not options.without_fer:
        try:
            subjects = fer_subjects(options.fer_environment or folder / "fer") + subjects
        except SideFailed as failure:
            notes.append(f"fer could not be installed: {failure}")
    subjects += fresh_models(folder, options.fresh)
    rows, judged, versions = [], "", []
    for threads in THREADS:
        answers = folder if labels is not None and threads == THREADS[0] else None
        outcomes, failures = measure(subjects, faces, threads, options.rounds, options.seconds, answers)
        rows += [outcome.row(outcomes[0]) for outcome in outcomes]
        notes += failures
        versions += [version for outcome in outcomes for version in outcome.facts["versions"]]
        if answers:
            judged = accuracies(outcomes, labels, names)
    n = f"n: {options.rounds} rounds of {options.seconds:g} s a classifier, batch and number of threads, in turns; "
    n += f"median (least–most) of the rounds; ratios are to {rows[0][0]}."
    if versions:
        n += f" Installed for it: {', '.join(dict.fromkeys(versions))}."
    told = "\n\n".join(
        [table(HEADS, rows), *filter(None, [judged, "\n".join(dict.fromkeys(notes))]), conditions(PACKAGES, n=n)]
    )
    publish("prediction", told, options.into)


if __name__ == "__main__":
    main()
