"""`mien predict`: from pictures, folders, videos, a camera or stdin to expressions, as a table, as data and as
drawings.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer

from mien.bundle import MOST_THREADS
from mien.cli.drawings import Drawings
from mien.cli.inputs import STDIN, Input, find_inputs, in_turns
from mien.cli.places import check_folder
from mien.cli.results import Csv, Json, JsonLines, Results, Tables
from mien.cli.screen import say
from mien.data.corpora.pictures import MAX_BYTES
from mien.errors import ConfigError, DataError
from mien.media import PassedOver
from mien.predict import Image, Predictor, Seen
from mien.progress import progress
from mien.session import Session
from mien.summary import Timeline
from mien.video import Video, open_video

__all__ = ["predict"]

MICRO = "micro"
"""The default model of micro-expressions; it comes with mien."""
SOME, INTERRUPTED = 1, 130
"""Exit codes: some inputs could not be used; Ctrl-C; the reader of the results has closed the pipe."""
NAMED = 5
"""Up to this many pictures without a face are named; of more, only the number is given."""


def predict(
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures, folders, globs, videos, camera:0, or - for a picture on stdin.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A file that `mien export` wrote; or default, small, ferplus.")
    ] = "default",
    faces: Annotated[
        str, typer.Option(help="default, haar, yuface, yunet=FILE, or none: the pictures are faces cut out.")
    ] = "default",
    top_k: Annotated[
        int | None, typer.Option(min=1, help="List only this many expressions of each face, the likeliest first.")
    ] = None,
    min_confidence: Annotated[float, typer.Option(help='Below this, 0 to 1, the answer is "uncertain".')] = 0.0,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave out faces with a lower score of the detector, 0 to 1. Default: the detector's own."),
    ] = None,
    min_face: Annotated[
        float | None, typer.Option(help="Leave out faces of fewer pixels a side. Default: the detector's own.")
    ] = None,
    smooth: Annotated[
        float, typer.Option(help="Videos: seconds over which predictions are averaged; 0 for none.")
    ] = 0.4,
    threads: Annotated[int, typer.Option(help="Threads of the network and of OpenCV; 0 uses all cores.")] = 0,
    micro: Annotated[
        bool, typer.Option("--micro", help="Videos: find micro- and macro-expressions and name each; see `mien spot`.")
    ] = False,
    draw: Annotated[
        Path | None, typer.Option(help="Write annotated pictures and videos, timelines and tracks: a folder or a file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print one JSON line for each picture or frame, as it is done.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line of CSV a face.")] = False,
) -> None:
    """Find faces in pictures and videos and name the expression that each shows."""
    if as_json + as_jsonl + as_csv > 1:
        raise ConfigError("--json, --jsonl and --csv exclude each other; give one.")
    if micro:
        _spot(inputs, model, faces, min_confidence, draw, as_json=as_json, as_jsonl=as_jsonl, as_csv=as_csv)
        return
    Session(smoothing_s=smooth)
    cv2.utils.logging.setLogLevel(0)  # mien reports damaged pictures itself
    if 0 < threads <= MOST_THREADS:
        cv2.setNumThreads(threads)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # yuface reads it when it is loaded
    predictor = Predictor(
        model,
        detector=faces,
        threads=threads,
        min_confidence=min_confidence,
        min_score=min_score,
        min_face=min_face,
    )
    predictor.bundle.load()
    if draw:
        check_folder("--draw", draw, inputs)
    passed_over = PassedOver()
    found = find_inputs(inputs, draw, passed_over)
    labels = predictor.bundle.card.labels
    drawings = Drawings(draw, found, labels) if draw else None
    with _stopping() as stopped:
        results: Results = Tables(top_k)
        if as_json:
            results = Json(predictor.bundle, predictor.detector.name, top_k)
        if as_jsonl:
            results = JsonLines(top_k)
        if as_csv:
            results = Csv(labels, top_k)
        work = _Work(predictor, results, drawings, smooth, stopped)
        try:
            work.look_at(found)
        finally:
            results.end()
        work.report(len(found), quietly=isinstance(results, Tables))
        if note := passed_over.sentence():
            say(note)
        if work.faceless and faces == "default" and predictor.detector.name == "haar":
            say(f"The cascade of OpenCV looked for faces. Others find more: {_better_detector()}.")
        _exit(stopped(), bool(work.failures))


def _spot(
    inputs: list[str],
    model: str,
    faces: str,
    min_confidence: float,
    draw: Path | None,
    *,
    as_json: bool,
    as_jsonl: bool,
    as_csv: bool,
) -> None:
    """`mien spot` with a model, by default that of drawn clips; `draw` is the folder of timelines."""
    from mien.cli.spot import spot_videos

    if as_jsonl:
        raise ConfigError("--micro answers once a video is read whole; use --json in place of --jsonl.")
    chosen = MICRO if model == "default" else model
    spot_videos(
        inputs, faces=faces, out=draw, model=chosen, min_confidence=min_confidence, as_json=as_json, as_csv=as_csv
    )


class _Work:
    """A batch in progress: its failures, and the inputs without a face."""

    def __init__(
        self,
        predictor: Predictor,
        results: Results,
        drawings: Drawings | None,
        smooth: float,
        stopped: Callable[[], bool],
    ) -> None:
        self.failures: list[str] = []
        self.faceless: list[str] = []
        self._predictor, self._results, self._drawings = predictor, results, drawings
        self._smooth, self._stopped = smooth, stopped
        self._bars = isinstance(results, Tables) or not sys.stdout.isatty()

    def look_at(self, found: list[Input]) -> None:
        """Classify all inputs in their order, until stopped."""
        for group in in_turns(found):
            if self._stopped():
                return
            if group[0].failure:
                self._fail(group[0].name, group[0].failure)
            elif group[0].is_video:
                self._video(group[0])
            else:
                self._pictures(group)

    def report(self, total: int, *, quietly: bool) -> None:
        """Report on stderr the failures and, unless `quietly`, the inputs without a face."""
        if self.faceless and not quietly:
            some = len(self.faceless) <= NAMED
            say(f"No face was found in {', '.join(self.faceless) if some else f'{len(self.faceless)} inputs'}.")
        if self.failures:
            say(f"{len(self.failures)} of {total} inputs could not be used:\n" + "\n".join(self.failures))

    def _pictures(self, group: list[Input]) -> None:
        images, names = map(_image, group), (each.name for each in group)
        with self._bar(f"Looking at {len(group)} pictures", len(group)) as advance:
            for given, seen in zip(group, self._predictor.each(images, names), strict=True):
                self._picture(given, seen)
                advance(1)
                if self._stopped():
                    return

    def _picture(self, given: Input, seen: Seen) -> None:
        if seen.failure:
            self._fail(given.name, seen.failure)
            return
        if not seen.predictions:
            self.faceless.append(given.name)
        if self._drawings:
            self._drawings.picture(given, seen)
        self._results.add(seen)

    def _video(self, given: Input) -> None:
        with ExitStack() as stack:
            try:
                video = stack.enter_context(open_video(given.name))
            except DataError as error:
                self._fail(given.name, str(error))
                return
            timeline = Timeline()
            self._frames(given, video, timeline)
        if timeline.frames:
            self._results.video(given.name, timeline)
        if timeline.frames and not timeline.tracks():
            self.faceless.append(given.name)

    def _frames(self, given: Input, video: Video, timeline: Timeline) -> None:
        drawn = self._drawings.video(given, video.fps, timeline) if self._drawings else nullcontext(_nothing)
        with drawn as draw, self._bar(f"Looking at {given.name}", video.announced) as advance:
            for seen in self._stream(video):
                if seen.failure:
                    self._fail(given.name, seen.failure)
                    return
                timeline.add(seen)
                draw(seen)
                self._results.add(seen)
                advance(1)
                if self._stopped():
                    return

    def _stream(self, video: Video) -> Iterator[Seen]:
        """The frames. If an error ends the video early, it is reported after the last frame."""
        try:
            yield from self._predictor.stream(video, Session(smoothing_s=self._smooth))
        except DataError as error:
            yield Seen(source=video.name, frame=0, failure=str(error))

    def _fail(self, name: str, failure: str) -> None:
        self.failures.append(failure)
        self._results.add(Seen(source=name, frame=0, failure=failure))

    def _bar(self, what: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return progress(what, total) if self._bars else nullcontext(_nothing)


def _better_detector() -> str:
    has_wheel = sys.version_info < (3, 12)
    return "pip install 'mien[faces]'" if has_wheel else "--faces yunet=FILE with a face_detection_yunet_*.onnx"


def _image(given: Input) -> Image:
    if given.name != STDIN:
        return given.name
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _nothing(_: Any) -> None:
    pass


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed, so that work stops between two pictures.

    A second press interrupts at once.
    """
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _exit(stopped: bool, failed: bool) -> None:
    if stopped:
        say("Interrupted. What was written is whole.")
        sys.exit(INTERRUPTED)
    if failed:
        raise typer.Exit(SOME)
