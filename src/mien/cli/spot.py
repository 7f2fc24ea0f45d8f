"""`mien spot`: intervals of expressions in videos, as a table, as data and as timelines."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mien.atomic import write_text
from mien.bundle import Bundle
from mien.cli.extras import Json, needs
from mien.cli.inputs import Input, find_inputs
from mien.cli.places import check_folder
from mien.cli.results import PIPE_WIDTH
from mien.cli.screen import literal, print_json, say
from mien.data.clips.clip import LongVideo
from mien.data.clips.frames import FilmFrames
from mien.errors import ConfigError, DataError
from mien.faces import FaceDetector, find_detector
from mien.metrics.spotting import Interval, SpotScore, f1_interval, spot_scores, strs
from mien.micro import Named, fps_words, name_intervals, options_of
from mien.progress import progress
from mien.shown import csv_cell
from mien.spot import SPOTTERS, PulseOptions, Spotted, spot
from mien.spot.coded import read_coded
from mien.spot.spotter import named_method
from mien.spot.timeline import timeline_svg
from mien.video import Frame, Video, open_video

__all__ = ["spot_videos"]

SOME = 1
"""Exit code: some videos could not be used."""
FIELDS = ("video", "onset", "apex", "offset", "kind", "onset_s", "apex_s", "offset_s", "height_px")
CLASS_FIELDS = ("label", "confidence")
"""Columns that a model adds."""


def spot_videos(
    inputs: Annotated[list[str], typer.Argument(help="Videos, folders of videos, or globs.")],
    faces: Annotated[str, typer.Option(help="default, haar, yuface or yunet=FILE.")] = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder for a timeline (SVG) of each video.")
    ] = None,
    coded: Annotated[
        Path | None,
        typer.Option(
            help="Score against a CSV: video, onset, offset and, if wanted, apex, kind, label; frames from 0."
        ),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(help="With --coded: fit SoftNet to the videos, and write its weights to this .onnx file."),
    ] = None,
    method: Annotated[
        str, typer.Option(help=f"{' or '.join(SPOTTERS)}, or softnet=FILE with its weights.")
    ] = "matched",
    threshold: Annotated[
        float,
        typer.Option(help="For regions: movement of an expression, in multiples of the video's noise, 1 to 100."),
    ] = PulseOptions.threshold,
    micro_s: Annotated[
        float, typer.Option(help="For regions: the longest micro-expression, in seconds.")
    ] = PulseOptions.micro_s,
    longest_s: Annotated[float, typer.Option(help="For regions: the longest expression, in seconds.")] = (
        PulseOptions.longest_s
    ),
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Name the class of each interval by a model of flow: a file, or micro."),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(help='With --model: below this, 0 to 1, a class is "uncertain".')
    ] = 0.0,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV for each interval.")] = False,
) -> None:
    """Find micro- and macro-expressions in videos of any length.

    Each interval has an onset, an apex and an offset. Frames are counted from 0. The largest face of a video is
    followed. The movement of its skin is measured relative to its head, so a nod is no expression. With --model each
    interval has a class.
    """
    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other; give one.")
    cv2.utils.logging.setLogLevel(0)
    options = PulseOptions(threshold=threshold, micro_s=micro_s, longest_s=longest_s)
    named_method(method)
    detector = find_detector(faces)
    if fit:
        if not coded:
            raise ConfigError("--fit learns from coded intervals. Add --coded TABLE.csv.")
        _fit(inputs, read_coded(coded), detector, fit, as_json=as_json)
        return
    name_in = _namer(model, min_confidence, detector) if model else None
    truth = read_coded(coded) if coded else {}
    if out:
        check_folder("--out", out, inputs)
    found, failures = _spotted(
        find_inputs(inputs, out), partial(spot, detector=detector, options=options, method=method), name_in, out
    )
    scored = _scored(found, truth) if coded else {}
    if as_json:
        print_json({"results": [_record(name, *each) for name, each in found.items()], "failures": failures, **scored})
    elif as_csv:
        _print_csv(found, labelled=bool(model))
    else:
        _print_table(found, scored)
    if failures:
        say(f"{len(failures)} of {len(found) + len(failures)} videos could not be used:\n" + "\n".join(failures))
        raise typer.Exit(SOME if found else 2)


def _fit(
    inputs: list[str], truth: dict[str, list[Interval]], detector: FaceDetector, out: Path, *, as_json: bool
) -> None:
    """Write the weights that SoftNet learns from the videos that a table names."""
    with needs("train", "spot --fit"):
        from mien.fit_softnet import fit_softnet
    videos = []
    for given in find_inputs(inputs):
        if given.failure or not given.is_video:
            raise DataError(given.failure or f"{given.name} is no video.")
        if (coded := _coded(given.name, truth)) is not None:
            film = FilmFrames(Path(given.name))
            videos.append(LongVideo(name=given.name, subject="", frames=film, fps=film.fps, intervals=tuple(coded)))
    if not videos:
        raise _unnamed(len(inputs), truth)
    card = fit_softnet(videos, detector, out, corpus="own", licence="That of the videos.")
    if as_json:
        print_json({"weights": str(out), "videos": len(videos), "sha256": card.sha256})
    else:
        say(f"{out} has weights of {len(videos)} videos: mien spot VIDEO --method softnet={out}")


def _coded(name: str, truth: dict[str, list[Interval]]) -> list[Interval] | None:
    """The intervals of a video in a table, by its path or its file name; None where the table does not name it."""
    return truth.get(name, truth.get(Path(name).name))


def _unnamed(videos: int, truth: dict[str, list[Interval]]) -> DataError:
    return DataError(f"None of the {videos} videos stands in the table; it has {', '.join(list(truth)[:3])}.")


def _namer(model: str, min_confidence: float, detector: FaceDetector) -> Callable[[Input, Spotted], list[Named]]:
    """A function that names the intervals of a video by a model; raises `MienError` for an unsuitable model."""
    if not 0 <= min_confidence <= 1:
        raise ConfigError(f"--min-confidence is 0 to 1; got {min_confidence:g}.")
    bundle = Bundle.open(model)
    options_of(bundle)
    bundle.load()

    def name_in(given: Input, spotted: Spotted) -> list[Named]:
        if words := fps_words(bundle.card, spotted.fps):
            say(f"{given.name}: {words}")
        with open_video(given.name) as video, progress(f"Naming {given.name}", spotted.frames) as advance:
            frames = _counted(video.frames(), advance)
            named = name_intervals(frames, spotted.fps, spotted.intervals, bundle, detector, min_confidence)
        for each in named:
            if each.failure:
                say(f"{given.name}: an expression has no class ({each.failure}).")
        return named

    return name_in


Found = tuple[Spotted, list[Named]]
"""The result for one video: its intervals, and their classes if a model named them."""


def _spotted(
    inputs: list[Input],
    spot_in: Callable[..., Spotted],
    name_in: Callable[[Input, Spotted], list[Named]] | None,
    out: Path | None,
) -> tuple[dict[str, Found], list[str]]:
    """The result for each video, and a sentence for each that could not be used."""
    found: dict[str, Found] = {}
    failures: list[str] = []
    for given in inputs:
        try:
            if given.failure or not given.is_video:
                raise DataError(given.failure or f"{given.name} is no video; expressions are spotted in videos alone.")
            with open_video(given.name) as video:
                spotted = _one(given, video, spot_in)
            named = name_in(given, spotted) if name_in and spotted.intervals else []
            if named:
                spotted = replace(spotted, intervals=[each.interval for each in named])
            if out:
                out.mkdir(parents=True, exist_ok=True)
                write_text(out / f"{given.place.name}-timeline.svg", timeline_svg(given.name, spotted))
            found[given.name] = spotted, named
        except DataError as error:
            failures.append(str(error) if given.name in str(error) else f"{given.name}: {error}")
        except OSError as error:
            raise DataError(f"--out {out} cannot be written ({error.strerror}).") from None
    return found, failures


def _one(given: Input, video: Video, spot_in: Callable[..., Spotted]) -> Spotted:
    if video.live:
        raise DataError(f"{given.name} is a camera; film first, then spot.")
    with progress(f"Spotting {given.name}", video.announced) as advance:
        return spot_in(_counted(video.frames(), advance), video.fps)


def _counted(frames: Iterable[Frame], advance: Callable[[int], None]) -> Iterator[Frame]:
    """The frames; each is counted when the next one is requested."""
    for frame in frames:
        yield frame
        advance(1)


def _scored(found: dict[str, Found], truth: dict[str, list[Interval]]) -> dict[str, Any]:
    """Scores over the videos that the table of coded intervals names, by path or by file name."""
    pairs = [
        (coded, spotted.intervals) for name, (spotted, _) in found.items() if (coded := _coded(name, truth)) is not None
    ]
    if not pairs:
        raise _unnamed(len(found), truth)
    scores = {
        kind: _score_record(score) | {"f1_interval": f1_interval(pairs, kind)}
        for kind, score in spot_scores(pairs).items()
    }
    labelled = any(one.label for _, spotted in pairs for one in spotted)
    return {"videos_scored": len(pairs), "scores": scores} | ({"strs": strs(pairs)} if labelled else {})


def _score_record(score: SpotScore) -> dict[str, Any]:
    return {
        "f1": score.f1,
        "precision": score.precision,
        "recall": score.recall,
        "true_positives": score.true_positives,
        "false_positives": score.false_positives,
        "misses": score.misses,
    }


def _record(name: str, spotted: Spotted, named: list[Named]) -> dict[str, Any]:
    intervals = [dict(zip(FIELDS[1:], _cells(one, spotted), strict=True)) for one in spotted.intervals]
    for record, each in zip(intervals, named, strict=False):
        record |= {"label": each.interval.label, "confidence": each.confidence, "probs": dict(each.probs)}
    return {
        "video": name,
        "frames": spotted.frames,
        "fps": spotted.fps,
        "frames_without_face": spotted.faceless,
        "intervals": intervals,
    }


def _cells(one: Interval, spotted: Spotted) -> tuple[Any, ...]:
    apex = one.onset if one.apex is None else one.apex
    times = tuple(round(frame / spotted.fps, 3) for frame in (one.onset, apex, one.offset))
    return (one.onset, apex, one.offset, one.kind, *times, round(float(spotted.scores[apex]), 2))


def _classes(spotted: Spotted, named: list[Named]) -> list[tuple[str, ...]]:
    """Class and confidence of each interval, as cells; empty if no model named them."""
    if not named:
        return [() for _ in spotted.intervals]
    return [(each.interval.label, f"{each.confidence:.3f}" if each.probs else "") for each in named]


def _print_csv(found: dict[str, Found], *, labelled: bool) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow([*FIELDS, *(CLASS_FIELDS if labelled else ())])
    for name, (spotted, named) in found.items():
        for one, cells in zip(spotted.intervals, _classes(spotted, named), strict=True):
            rows.writerow((csv_cell(name), *_cells(one, spotted), *map(csv_cell, cells)))


def _print_table(found: dict[str, Found], scored: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for name, (spotted, named) in found.items():
        title = f"{literal(name)}: {len(spotted.intervals)} expressions in {spotted.frames / spotted.fps:.1f} s"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for head in ("kind", "onset", "apex", "offset", "seconds", "height, px"):
            table.add_column(head, justify="left" if head == "kind" else "right")
        for head in CLASS_FIELDS if named else ():
            table.add_column(head)
        for one, cells in zip(spotted.intervals, _classes(spotted, named), strict=True):
            onset, apex, offset, kind, start, _, end, height = _cells(one, spotted)
            numbers = (str(onset), str(apex), str(offset), f"{start:.2f}–{end:.2f}", f"{height:.2f}")
            table.add_row(kind, *numbers, *map(literal, cells))
        console.print(table if spotted.intervals else title)
    for kind, score in scored.get("scores", {}).items():
        counts = f"{score['true_positives']} right, {score['false_positives']} wrong, {score['misses']} missed"
        console.print(f"{kind}: F1 {score['f1']:.3f} ({counts}; {scored['videos_scored']} videos)")
