"""TensorBoard: the curves of every run, as `RUNS/tensorboard/<run>/events…`, an epoch a step.

    mien compare … --log tensorboard
    tensorboard --logdir RUNS/tensorboard

The figures are those of `history.csv`, read when an epoch has ended. A resumed run is written again from its first
epoch. The figures are the same, so its curves coincide.
"""

from dataclasses import asdict
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from ..engines import Update
from ..errors import RunError
from ..hooks import Progress
from ..runs import Epoch, Run

__all__ = ["FOLDER", "TensorBoard"]

FOLDER = "tensorboard"


class TensorBoard:
    """A `mien.loggers.Logger`."""

    def __init__(self, runs: Path) -> None:
        """Write below the folder `runs`."""
        self._folder = runs / FOLDER
        self._seen: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def __call__(self, run: Run, update: Update) -> None:
        """Write the epochs that have ended since the last update."""
        epoch = update.epoch if isinstance(update, Progress) else -1
        if isinstance(update, str) or epoch == self._seen.get(run.id):
            return
        self._seen[run.id] = epoch
        history, before = Run.open(run.path).history, self._written.get(run.id, 0)
        if len(history) > before:
            self._write(run, history[before:])
            self._written[run.id] = len(history)

    def _write(self, run: Run, epochs: tuple[Epoch, ...]) -> None:
        try:
            writer = EventFileWriter(str(self._folder / run.id))
            for line in epochs:
                figures = {name: value for name, value in asdict(line).items() if name != "epoch"}
                values = [Summary.Value(tag=_tag(name), simple_value=value) for name, value in figures.items()]
                writer.add_event(Event(step=line.epoch, summary=Summary(value=values)))
            writer.close()
        except OSError as error:
            raise RunError(f"{self._folder} cannot be written ({error.strerror or error}). Leave out --log.") from None


def _tag(name: str) -> str:
    """`loss/train` for `train_loss`, so that TensorBoard groups related curves."""
    part, _, quantity = name.partition("_")
    return f"{quantity}/{part}" if quantity else name
