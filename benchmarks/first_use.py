"""From nothing to the first answer: how large is the installation, how long does one photograph take, against `fer`?

    python benchmarks/first_use.py [--photo FILE] [--fer-environment FOLDER] [--quick] [--into docs/benchmarks.md]

Both packages are installed with pip into environments of their own: mien as its base install, `fer` as
`prediction.py` does it, without the face detectors of its own that would bring PyTorch for GPUs. The size is what the
files of `site-packages` hold. Then each is started on one photograph from the command line, find a face and name its
expression, in turns, each time a fresh process; the clock runs from the start of the process to its end, and peak
memory is the largest resident set of any of them. The photograph is one that is given, or drawn.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measure import SideFailed, conditions, publish, spread, table
from prediction import install_fer

ROOT = Path(__file__).parents[1]
ROUNDS = 9
FER_CODE = (
    "import sys, cv2; from fer.fer import FER; "
    "found = FER().detect_emotions(cv2.imread(sys.argv[1])); "
    "print([max(face['emotions'], key=face['emotions'].get) for face in found])"
)
"""What the page of `fer` tells its users to write, with the cascades that it takes by itself."""


@dataclass(kw_only=True)
class Program:
    """A package, installed, and how it is asked."""

    name: str
    packages: Path
    """Its `site-packages`."""
    command: Sequence[str]
    seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def megabytes(self) -> float:
        """What its files hold, in 10^6 bytes, without pip."""
        files = (path for path in self.packages.rglob("*") if path.is_file() and not path.is_symlink())
        return sum(f.stat().st_size for f in files if not f.relative_to(self.packages).parts[0].startswith("pip")) / 1e6

    def ask(self) -> None:
        """One whole process; raises `SideFailed` where it does not answer."""
        started = time.monotonic()
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SideFailed(f"{self.name} ended with code {process.returncode}")
        self.seconds.append(time.monotonic() - started)
        self.peak_mb = max(self.peak_mb, usage.ru_maxrss * 1024 / 1e6)

    def row(self, base: "Program") -> list[str]:
        """Its line of the table."""
        ratio = [own / other for own, other in zip(self.seconds, base.seconds, strict=True)]
        return [self.name, spread(self.seconds), spread(ratio), f"{self.peak_mb:.0f}", f"{self.megabytes:.0f}"]


def installed(folder: Path) -> Path:
    """The `site-packages` of an environment."""
    return next(iter(folder.glob("lib/python*/site-packages")))


def mien_program(folder: Path, photo: Path) -> Program:
    """mien as `pip install mien` leaves it."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    command = (str(folder / "bin" / "mien"), "predict", str(photo), "--csv")
    return Program(name="mien", packages=installed(folder), command=command)


def fer_program(folder: Path, photo: Path) -> Program:
    """`fer` with what its classifier needs."""
    python = folder / "bin" / "python"
    if not python.exists():
        install_fer(folder, python)
    return Program(name="fer", packages=installed(folder), command=(str(python), "-c", FER_CODE, str(photo)))


def draw_photo(path: Path) -> Path:
    """A drawn face of 240 px on a plain 640×480 ground."""
    import cv2

    from mien.data.drawn import draw_faces

    (_, face) = next(iter(draw_faces(1, seed=0, size=240)))
    ground = np.full((480, 640, 3), 128, np.uint8)
    ground[120:360, 200:440] = face.image
    cv2.imwrite(str(path), ground[..., ::-1])
    return path


def main() -> None:
    """Install, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, help="a photograph with a face")
    parser.add_argument("--without-fer", action="store_true", help="leave out what pip would have to install")
    parser.add_argument("--fer-environment", type=Path, help="where fer is installed, or is to be, and stays")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="mien alone, as it is installed here, twice")
    parser.add_argument("--into", type=Path, help="a page to put the table into")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photo = options.photo or draw_photo(folder / "photo.png")
        text = measure(options, folder, photo)
    drawn = "a photograph" if options.photo else "a drawn scene of 640×480"
    n = f"n: {options.rounds} processes each, in turns; median (least–most). The picture is {drawn}."
    publish("first_use", f"{text}\n\n{conditions(('mien', 'onnxruntime'), n=n)}", options.into)


def measure(options: argparse.Namespace, folder: Path, photo: Path) -> str:
    """The table, and who broke off."""
    notes, programs = [], []
    if options.quick:
        options.rounds = 2
        here = Path(sys.executable).with_name("mien")
        programs.append(
            Program(
                name="mien", packages=Path(np.__file__).parents[1], command=(str(here), "predict", str(photo), "--csv")
            )
        )
    else:
        programs.append(mien_program(folder / "mien", photo))
    if not (options.without_fer or options.quick):
        try:
            programs.append(fer_program(options.fer_environment or folder / "fer", photo))
        except SideFailed as failure:
            notes.append(f"fer could not be installed: {failure}")
    for program in programs:
        program.ask()
        program.seconds.clear()
    for _ in range(options.rounds):
        for program in programs:
            program.ask()
    heads = ("package", "one photograph, s", "ratio", "peak, MB", "installed, MB")
    return "\n\n".join([table(heads, [program.row(programs[0]) for program in programs]), *notes])


if __name__ == "__main__":
    main()
