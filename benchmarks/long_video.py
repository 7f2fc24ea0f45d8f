"""Memory and speed of `mien spot` on videos of 2, 10 and 20 minutes: a Markdown table.

    $ python benchmarks/long_video.py            # half an hour
    $ python benchmarks/long_video.py --minutes 1 2 --height 240

A drawn face of 20 seconds at 30 frames a second, with all distractors, is looped in an MP4 file, in frames of 640 x 480
or another height. Each video is spotted in a fresh process: its peak memory, and its time in times of real time: of the
wall, and of the processor, which depends less on what else the machine does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.film import FilmOptions, draw_long_film
from mien.video import video_writer

FPS = 30.0
RUN = """
import json, sys, time
from mien.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    if ended.code:
        raise
from mien.machine import peak_memory_mb
print(json.dumps({"peak_mb": peak_memory_mb(), "processor_s": time.process_time()}), file=sys.stderr)
"""


def loop(height: int) -> list[NDArray[np.uint8]]:
    """The frames of 20 seconds, `(height, width, 3)`."""
    width, frames = height * 4 // 3, []
    options = FilmOptions(fps=FPS, nods=True, blinks=True, gaze=True, speech=True, flicker=4, jpeg=90)
    for picture in draw_long_film(0, seed=2, index=0, options=options):
        frame = np.full((height, width, 3), 90, np.uint8)
        face = cv2.resize(picture, (height, height), interpolation=cv2.INTER_CUBIC)
        frame[:, (width - height) // 2 : (width + height) // 2] = face
        frames.append(frame)
    return frames


def spotted(path: Path) -> dict[str, float]:
    """What spotting took in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, "spot", str(path), "--json"], capture_output=True, text=True, check=True
    )
    (result,) = json.loads(done.stdout)["results"]
    cost: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    wall = time.perf_counter() - started
    return cost | {"wall_s": wall, "frames": result["frames"], "found": len(result["intervals"])}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 10, 20])
    parser.add_argument("--height", type=int, default=480)
    chosen = parser.parse_args()
    frames = loop(chosen.height)
    print("| minutes | frames | found | peak, MB | times real time, wall | times real time, processor |")
    print("| ---: |" + " ---: |" * 5)
    for length in chosen.minutes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "long.mp4"
            with video_writer(path, FPS) as write:
                for place in range(round(length * 60 * FPS)):
                    write(frames[place % len(frames)], place / FPS)
            cost = spotted(path)
        speeds = " | ".join(f"{length * 60 / cost[name]:.1f}" for name in ("wall_s", "processor_s"))
        print(f"| {length:g} | {cost['frames']:,} | {cost['found']} | {cost['peak_mb']:.0f} | {speeds} |", flush=True)


if __name__ == "__main__":
    main()
