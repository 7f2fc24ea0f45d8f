"""`mien spot`: when the faces of videos make expressions, as a table, as data and as timelines."""

import csv
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mien.atomic import write_text
from mien.cli.extras import Json
from mien.cli.inputs import Input, find_inputs
from mien.cli.places import check_folder
from mien.cli.results import PIPE_WIDTH
from mien.cli.screen import literal, print_json, say
from mien.errors import ConfigError, DataError
from mien.faces import find_detector
from mien.metrics.spotting import Interval, SpotScore, spot_scores, strs
from mien.progress import progress
from mien.shown import csv_cell
from mien.spot import SPOTTERS, PulseOptions, Spotted, spot
from mien.spot.coded import read_coded
from mien.spot.timeline import timeline_svg
from mien.video import Video, open_video

__all__ = ["spot_videos"]

SOME = 1
"""Exit code: some videos could not be used."""
FIELDS = ("video", "onset", "apex", "offset", "kind", "onset_s", "apex_s", "offset_s", "height_px")


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
    method: Annotated[str, typer.Option(help=f"{' or '.join(SPOTTERS)}.")] = "matched",
    threshold: Annotated[
        float,
        typer.Option(help="Of regions: how many times the noise of its video an expression moves the face, 1 to 100."),
    ] = PulseOptions.threshold,
    micro_s: Annotated[
        float, typer.Option(help="Of regions: the longest micro-expression, in seconds.")
    ] = PulseOptions.micro_s,
    longest_s: Annotated[float, typer.Option(help="Of regions: what lasts longer is no expression, seconds.")] = (
        PulseOptions.longest_s
    ),
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line of CSV an interval.")] = False,
) -> None:
    """Find micro- and macro-expressions in videos of any length.

    Each interval has an onset, an apex and an offset. Frames are counted from 0. The largest face of a video is
    followed; its skin is measured against its head, so a nod is no expression.
    """
    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other; give one.")
    cv2.utils.logging.setLogLevel(0)
    options = PulseOptions(threshold=threshold, micro_s=micro_s, longest_s=longest_s)
    if method not in SPOTTERS:
        raise ConfigError(f"--method is {' or '.join(SPOTTERS)}; got {method[:40]!r}.")
    detector = find_detector(faces)
    truth = read_coded(coded) if coded else {}
    if out:
        check_folder("--out", out, inputs)
    found, failures = _spotted(
        find_inputs(inputs, out), partial(spot, detector=detector, options=options, method=method), out
    )
    scored = _scored(found, truth) if coded else {}
    if as_json:
        print_json({"results": [_record(*each) for each in found.items()], "failures": failures, **scored})
    elif as_csv:
        _print_csv(found)
    else:
        _print_table(found, scored)
    if failures:
        say(f"{len(failures)} of {len(found) + len(failures)} videos could not be used:\n" + "\n".join(failures))
        raise typer.Exit(SOME if found else 2)


def _spotted(
    inputs: list[Input], spot_in: Callable[..., Spotted], out: Path | None
) -> tuple[dict[str, Spotted], list[str]]:
    """What each video gave, and a sentence for each that gave nothing."""
    found: dict[str, Spotted] = {}
    failures: list[str] = []
    for given in inputs:
        try:
            if given.failure or not given.is_video:
                raise DataError(given.failure or f"{given.name} is no video; expressions are spotted in videos alone.")
            with open_video(given.name) as video:
                found[given.name] = _one(given, video, spot_in)
            if out:
                out.mkdir(parents=True, exist_ok=True)
                write_text(out / f"{given.place.name}-timeline.svg", timeline_svg(given.name, found[given.name]))
        except DataError as error:
            failures.append(str(error) if given.name in str(error) else f"{given.name}: {error}")
        except OSError as error:
            raise DataError(f"--out {out} cannot be written ({error.strerror}).") from None
    return found, failures


def _one(given: Input, video: Video, spot_in: Callable[..., Spotted]) -> Spotted:
    if video.live:
        raise DataError(f"{given.name} is a camera; film first, then spot.")
    with progress(f"Spotting {given.name}", video.announced) as advance:

        def frames() -> Any:
            for frame in video.frames():
                yield frame
                advance(1)

        return spot_in(frames(), video.fps)


def _scored(found: dict[str, Spotted], truth: dict[str, list[Interval]]) -> dict[str, Any]:
    """Scores over the videos that the table of coded intervals names, by path or by file name."""
    pairs = []
    for name, spotted in found.items():
        key = name if name in truth else Path(name).name
        if key in truth:
            pairs.append((truth[key], spotted.intervals))
    if not pairs:
        raise DataError(f"None of the {len(found)} videos stands in the table; it has {', '.join(list(truth)[:3])}.")
    scores = {kind: _score_record(score) for kind, score in spot_scores(pairs).items()}
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


def _record(name: str, spotted: Spotted) -> dict[str, Any]:
    return {
        "video": name,
        "frames": spotted.frames,
        "fps": spotted.fps,
        "frames_without_face": spotted.faceless,
        "intervals": [dict(zip(FIELDS[1:], _cells(one, spotted), strict=True)) for one in spotted.intervals],
    }


def _cells(one: Interval, spotted: Spotted) -> tuple[Any, ...]:
    apex = one.onset if one.apex is None else one.apex
    times = tuple(round(frame / spotted.fps, 3) for frame in (one.onset, apex, one.offset))
    return (one.onset, apex, one.offset, one.kind, *times, round(float(spotted.scores[apex]), 2))


def _print_csv(found: dict[str, Spotted]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(FIELDS)
    for name, spotted in found.items():
        rows.writerows((csv_cell(name), *_cells(one, spotted)) for one in spotted.intervals)


def _print_table(found: dict[str, Spotted], scored: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for name, spotted in found.items():
        title = f"{literal(name)}: {len(spotted.intervals)} expressions in {spotted.frames / spotted.fps:.1f} s"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for head in ("kind", "onset", "apex", "offset", "seconds", "height, px"):
            table.add_column(head, justify="left" if head == "kind" else "right")
        for one in spotted.intervals:
            onset, apex, offset, kind, start, _, end, height = _cells(one, spotted)
            table.add_row(kind, str(onset), str(apex), str(offset), f"{start:.2f}–{end:.2f}", f"{height:.2f}")
        console.print(table if spotted.intervals else title)
    for kind, score in scored.get("scores", {}).items():
        counts = f"{score['true_positives']} right, {score['false_positives']} wrong, {score['misses']} missed"
        console.print(f"{kind}: F1 {score['f1']:.3f} ({counts}; {scored['videos_scored']} videos)")
