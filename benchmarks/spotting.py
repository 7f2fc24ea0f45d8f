"""How well expressions are spotted in drawn long films, whose expressions are known: a Markdown table.

    $ python benchmarks/spotting.py                # the table, of films that nothing was chosen on
    $ python benchmarks/spotting.py --quick
    $ python benchmarks/spotting.py --choose       # the same table, of the films that things were chosen on
    $ python benchmarks/spotting.py --only softnet # lines of one method
    $ python benchmarks/spotting.py --fit          # the judge's weights, from the films for choosing
    $ python benchmarks/spotting.py --softnet src/mien/weights/softnet.onnx  # and those of SoftNet

A film has three micro- and two macro-expressions of one subject in 20 seconds; no two films of a set have one subject.
The strongest point of a micro-expression moves by 0.3 to 2 pixels of a picture 128 wide. "Plain" films have a head that
drifts and a sensor that has noise. With distractors the head nods too, eyes blink and look about, the light flickers,
frames went through JPEG, and, where the mouth speaks, it does so from the first frame to the last. The rule is MEGC's.
Intervals of F1 are percentiles of a bootstrap over films. Speed is that of spotting in times of real time, on one core.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mien.data.clips.drawn import LICENCE
from mien.data.clips.drawn_videos import as_long_video
from mien.data.drawn.film import Film, FilmOptions, draw_long_film
from mien.faces import find_detector
from mien.fit_softnet import fit_softnet
from mien.metrics.spotting import Coded, Interval, f1_interval, iou, spot_scores
from mien.spot import SPOTTERS, spot
from mien.spot.matched import FACTS, candidates, macro_expressions, windows
from mien.spot.skin import follow
from mien.video import Frame

CHOOSING, STATING = 1, 2
"""Seeds: of films on which things are chosen, and of those on which figures are stated."""
DISTRACTORS = partial(FilmOptions, nods=True, blinks=True, gaze=True, flicker=4, jpeg=90)
KINDS: dict[str, Callable[..., FilmOptions]] = {
    "plain": FilmOptions,
    "distractors, silent": DISTRACTORS,
    "distractors, speaking": partial(DISTRACTORS, speech=True),
}


@dataclass(frozen=True)
class Set:
    """Films of one kind."""

    kind: str
    fps: float
    count: int
    seconds: float = 20
    methods: tuple[str, ...] = ("matched",)


SETS = (
    Set("plain", 30, 12),
    Set("distractors, silent", 30, 20),
    Set("distractors, speaking", 30, 40),
    Set("distractors, speaking", 30, 4, seconds=120),
    Set("distractors, speaking", 100, 10),
    Set("distractors, speaking", 200, 6),
    Set("plain", 30, 10, methods=("regions", "mdmd", "softnet")),
    Set("distractors, speaking", 30, 10, methods=("regions", "mdmd", "softnet")),
)
LEARNED = (Set("plain", 30, 4), Set("distractors, speaking", 30, 6))
"""The films that SoftNet learns from."""
FITTED = (Set("plain", 30, 8), Set("distractors, silent", 30, 10), Set("distractors, speaking", 30, 24))
PENALTY = 1.0


def films(of: Set, seed: int) -> Iterator[Film]:
    """Films of as many subjects; three micro- and two macro-expressions in 20 seconds."""
    for place in range(of.count):
        yield draw_long_film(
            place,
            seed=seed,
            index=place,
            seconds=of.seconds,
            micro=round(of.seconds * 3 / 20),
            macro=round(of.seconds * 2 / 20),
            options=KINDS[of.kind](fps=of.fps),
        )


def frames_of(film: Film) -> Iterator[Frame]:
    """A film as a video gives it."""
    for index, picture in enumerate(film):
        yield Frame(index=index, time_s=index / film.options.fps, picture=picture)


def lines(of: Set, seed: int) -> Iterator[str]:
    """Lines of the table, one a method."""
    detector = find_detector()
    pairs: dict[str, list[Coded]] = {name: [] for name in of.methods}
    spent = dict.fromkeys(of.methods, 0.0)
    for film in films(of, seed):
        frames = list(frames_of(film))
        for name in of.methods:
            started = time.process_time()
            found = spot(iter(frames), of.fps, detector, method=name).intervals
            spent[name] += time.process_time() - started
            pairs[name].append((as_long_video(film, film.subject).intervals, found))
    for name, own in pairs.items():
        coded = sum(len(truth) for truth, _ in own)
        cells = " | ".join(f1_of(own, score) for score in ("micro", "macro", "overall"))
        speed = of.seconds * of.count / spent[name]
        yield f"| {of.kind} | {of.fps:g} | {of.count} x {of.seconds:g} s | {coded} | {name} | {cells} | {speed:.1f} |"


def f1_of(pairs: Sequence[Coded], score: str) -> str:
    """F1 with its interval over films."""
    low, high = f1_interval(pairs, score) or (math.nan, math.nan)
    return f"{spot_scores(pairs)[score].f1:.2f} ({low:.2f} to {high:.2f})"


def facts_of(film: Film) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Facts of each candidate of a film, and whether it is a micro-expression."""
    truth = [one for one in as_long_video(film, film.subject).intervals if one.kind == "micro"]
    readings = follow(frames_of(film), film.options.fps, find_detector())
    for window in windows(readings, film.options.fps):
        for one in candidates(window.series, macro_expressions(window.series)):
            found = Interval(onset=one.onset * window.fold, offset=one.offset * window.fold + window.fold - 1)
            yield np.asarray(one.facts, np.float64), any(iou(found, coded) >= 0.5 for coded in truth)


def fitted(cases: Iterable[tuple[NDArray[np.float64], bool]]) -> NDArray[np.float64]:
    """Weights of a logistic judge with a ridge penalty on standardised facts, and what is added."""
    facts, right = (np.array(column) for column in zip(*cases, strict=True))
    middle, spread = facts.mean(axis=0), facts.std(axis=0)
    known = (facts - middle) / spread

    def loss(weights: NDArray[np.float64]) -> float:
        score = known @ weights[:-1] + weights[-1]
        return float(np.logaddexp(0, np.where(right, -score, score)).sum() + PENALTY / 2 * (weights[:-1] ** 2).sum())

    weights = minimize(loss, np.zeros(len(FACTS) + 1)).x
    slopes = weights[:-1] / spread
    print(f"{len(facts)} candidates, {right.sum()} of them micro-expressions")
    return np.append(slopes, weights[-1] - slopes @ middle)


def main() -> None:
    """Print the table or the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--only", choices=SPOTTERS)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--softnet", metavar="OUT")
    chosen = parser.parse_args()

    def some(of: Set) -> Set:
        return replace(of, count=min(of.count, 2)) if chosen.quick else of

    if chosen.fit:
        weights = fitted(case for of in FITTED for film in films(some(of), CHOOSING) for case in facts_of(film))
        print("WEIGHTS = (" + ", ".join(f"{weight:.2f}" for weight in weights) + ")")
        return
    if chosen.softnet:
        fit_softnet(
            [as_long_video(film, film.subject) for of in LEARNED for film in films(of, CHOOSING)],
            find_detector(),
            chosen.softnet,
            corpus="drawn",
            licence=LICENCE,
        )
        return
    heads = ("films", "frames a second", "n", "expressions", "method", "micro F1", "macro F1", "overall F1", "speed")
    print("| " + " | ".join(heads) + " |\n| --- |" + " ---: |" * 3 + " --- |" + " ---: |" * 4)
    for of in SETS:
        of = some(of)
        of = replace(of, methods=(chosen.only,)) if chosen.only in of.methods else of
        if chosen.only not in (None, *of.methods):
            continue
        for line in lines(of, CHOOSING if chosen.choose else STATING):
            print(line, flush=True)


if __name__ == "__main__":
    main()
