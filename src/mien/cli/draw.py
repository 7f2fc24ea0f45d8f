"""`mien data draw`: faces, clips or long videos of drawn people, as a store or as files with a table."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.extras import Json
from mien.cli.screen import literal, print_json
from mien.cli.stores import Force, Out, show_new
from mien.data.clips.drawn import draw_clip_store, write_clips
from mien.data.clips.drawn_videos import write_videos
from mien.data.drawn import FilmOptions
from mien.data.prepare import draw_store
from mien.data.store import Store
from mien.errors import ConfigError

__all__ = ["draw"]

FILMS_FPS = 30.0


def draw(
    out: Out,
    count: Annotated[int | None, typer.Option(help="How many faces (default: 2000).")] = None,
    clips: Annotated[int | None, typer.Option(help="Draw so many clips of micro-expressions instead of faces.")] = None,
    films: Annotated[
        int | None, typer.Option(help="Draw so many long videos, with expressions to be found, instead of faces.")
    ] = None,
    as_store: Annotated[
        bool, typer.Option("--store", help="Clips: write a store with their flow, not frames and a table.")
    ] = False,
    subjects: Annotated[int | None, typer.Option(help="Clips: of so many subjects (default: 6 clips each).")] = None,
    seconds: Annotated[float, typer.Option(help="Films: seconds of each.")] = 20.0,
    fps: Annotated[
        float | None, typer.Option(help="Clips and films: frames a second (default: clips 200, films 30).")
    ] = None,
    pixels: Annotated[
        tuple[float, float],
        typer.Option(help="Clips and films: the faintest and the strongest micro-expression, in 128ths of the side."),
    ] = FilmOptions.pixels,
    distractors: Annotated[
        bool,
        typer.Option(
            "--distractors", help="Clips and films: the head nods, eyes blink and look about, the mouth speaks."
        ),
    ] = False,
    apart: Annotated[
        bool,
        typer.Option("--apart", help="Faces: cover the mouth, and put its action units in a second plane, numbers."),
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Their side in pixels (default: faces 48, clips and films 128).")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same faces.")] = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draw a corpus of faces, clips or films: no person is shown, and the truth about every pixel is known.

    Clips of micro-expressions, as frames with a table that `mien data prepare --corpus clips` reads:
      mien data draw --clips 60 --out clips
    As a store with their flow, to train on:
      mien data draw --clips 120 --store --out stores/clips
    Long videos with a table of their expressions, for `mien spot films --coded films/intervals.csv`:
      mien data draw --films 10 --out films
    """
    asked = [name for name, given in (("count", count), ("clips", clips), ("films", films)) if given is not None]
    if len(asked) > 1:
        raise ConfigError("--count draws faces, --clips clips and --films long videos. Give one of them.")
    if clips is None and (as_store or subjects is not None):
        raise ConfigError("--store and --subjects are for clips. Add --clips N.")
    moving = distractors or fps is not None or pixels != FilmOptions.pixels
    if clips is None and films is None and moving:
        raise ConfigError("--distractors, --fps and --pixels are for clips and films. Add --clips N or --films N.")
    if apart and (clips is not None or films is not None):
        raise ConfigError(f"--apart is for faces, and --{asked[0]} draws {asked[0]}. Give one of them.")
    options = FilmOptions(
        size=128 if size is None else size,
        fps=fps if fps is not None else FILMS_FPS if films is not None else FilmOptions.fps,
        pixels=pixels,
        nods=distractors,
        blinks=distractors,
        gaze=distractors,
        speech=distractors,
    )
    if films is not None:
        write_videos(out, films=films, seed=seed, seconds=seconds, options=options, force=force)
        _show_folder("films", films, out, "intervals.csv", as_json)
    elif clips is not None and not as_store:
        write_clips(out, clips=clips, subjects=subjects, seed=seed, options=options, force=force)
        _show_folder("clips", clips, out, "clips.csv", as_json)
    elif clips is not None:
        draw_clip_store(out, clips=clips, subjects=subjects, seed=seed, options=options, force=force)
        show_new(Store.open(out), as_json)
    else:
        count, size = 2000 if count is None else count, 48 if size is None else size
        draw_store(out, count=count, size=size, seed=seed, apart=apart, force=force)
        show_new(Store.open(out), as_json)


def _show_folder(what: str, count: int, out: Path, table: str, as_json: bool) -> None:
    """Say that so many clips or films were drawn, and where they are listed."""
    if as_json:
        print_json({what: str(out), "count": count})
    else:
        Console(highlight=False).print(f"{count} {what}: {literal(out)}, listed in {table}", soft_wrap=True)
