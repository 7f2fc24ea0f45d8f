"""The options of `mien data prepare` for clips."""

from pathlib import Path
from typing import Annotated

import typer

from mien.crop import CropSpec
from mien.data.clips.corpora import CLIP_CORPORA, ClipOptions
from mien.data.clips.motion import MotionOptions
from mien.data.flow import FLOWS
from mien.errors import ConfigError
from mien.faces import DETECTORS

__all__ = [
    "Dynamic",
    "Faces",
    "Flow",
    "FlowSize",
    "Fps",
    "Halves",
    "Head",
    "Magnify",
    "Sheet",
    "Stretch",
    "Tim",
    "check_stills",
    "motion_options",
]

PANEL = f"Clips ({', '.join(sorted(CLIP_CORPORA))})"
Sheet = Annotated[
    Path | None, typer.Option(help="The coding sheet, if it is not the newest in the corpus.", rich_help_panel=PANEL)
]
Fps = Annotated[
    float | None, typer.Option(help="Frames a second, in place of the corpus's own rate.", rich_help_panel=PANEL)
]
Flow = Annotated[str, typer.Option(help=f"The optical flow: {', '.join(FLOWS)}.", rich_help_panel=PANEL)]
FlowSize = Annotated[int, typer.Option(help="Side of the planes of movement in pixels.", rich_help_panel=PANEL)]
Head = Annotated[
    bool,
    typer.Option("--head", help="Leave the movement of the head in the flow.", rich_help_panel=PANEL),
]
Halves = Annotated[
    bool, typer.Option("--halves", help="Add a plane flow_back, the flow from apex to offset.", rich_help_panel=PANEL)
]
Stretch = Annotated[
    bool,
    typer.Option(
        "--stretch", help="Scale the flow of each clip to its range, as published images do.", rich_help_panel=PANEL
    ),
]
Magnify = Annotated[
    float, typer.Option(help="Amplify movements before the flow (Eulerian), 0 for none.", rich_help_panel=PANEL)
]
Dynamic = Annotated[bool, typer.Option("--dynamic", help="Add the dynamic image.", rich_help_panel=PANEL)]
Tim = Annotated[
    int, typer.Option(help="Add this many frames, interpolated in time; 0 for none.", rich_help_panel=PANEL)
]
Faces = Annotated[str, typer.Option(help=f"The face detector: {', '.join(DETECTORS)}.", rich_help_panel=PANEL)]


def motion_options(
    crop: CropSpec,
    *,
    flow: str,
    flow_size: int,
    head: bool,
    halves: bool,
    stretch: bool,
    magnify: float,
    dynamic: bool,
    tim: int,
) -> MotionOptions:
    """The planes that a clip becomes, by the options of the command line."""
    return MotionOptions(
        flow=flow,
        size=flow_size,
        steady=not head,
        halves=halves,
        stretch=stretch,
        magnify=magnify,
        dynamic=dynamic,
        tim=tim,
        crop=crop,
    )


def check_stills(corpus: str, motion: MotionOptions, read: ClipOptions, faces: str) -> None:
    """Raise `ConfigError` if an option of clips is set for a corpus of stills, which would ignore it."""
    usual = MotionOptions(crop=motion.crop)
    names = {"flow": "flow", "size": "flow-size", "steady": "head", "halves": "halves", "stretch": "stretch"}
    names |= {"magnify": "magnify", "dynamic": "dynamic", "tim": "tim"}
    given = [option for field, option in names.items() if getattr(motion, field) != getattr(usual, field)]
    given += ["sheet"] * (read.sheet is not None) + ["fps"] * (read.fps is not None) + ["faces"] * (faces != "default")
    if given:
        raise ConfigError(f"--{given[0]} is for corpora of clips, and {corpus} has no such thing; leave it out.")
