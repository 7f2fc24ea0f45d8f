"""`mien explain`: which regions of a face a prediction rests on; with --truth, how well that agrees with the truth of
drawn faces.

Modules that need `mien[train]` are imported when they are used: a model file is explained without them.
"""

import sys
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from mien.atomic import write_bytes
from mien.cli.extras import Json, needs
from mien.cli.places import is_one_file, keep_inputs
from mien.cli.screen import literal, print_json, say
from mien.errors import ConfigError, DataError
from mien.explain import LIMIT, METHODS
from mien.explain.explainer import Explainer, Explanation, faces_of, open_explainer, pick_methods
from mien.explain.explainer import explain as explain_faces
from mien.explain.picture import sheet
from mien.faces import DETECTORS, find_detector
from mien.progress import progress, track
from mien.words import in_percent

if TYPE_CHECKING:
    from mien.explain.beside import Controlled, Figure, Truth
    from mien.runs import Run

__all__ = ["explain", "explain_drawn"]

SEED = 0
"""Seed of the bootstrap: the same runs give the same figures."""
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp"))


def explain(
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures, or STORE:ROW for rows of a store; with --truth, the folder of runs.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A run folder (all methods), or a model (occlusion).")
    ] = "default",
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", "-c", help="Explain this class too, besides the predicted one. May be repeated."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help=f"{', '.join(METHODS)}. May be repeated. Default: all that apply."),
    ] = None,
    faces: Annotated[str, typer.Option(help=f"How faces are found: {', '.join(DETECTORS)}.")] = "default",
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for one picture for each input, or one file, NAME.png, for all.")
    ] = Path("explained"),
    truth: Annotated[
        bool, typer.Option("--truth", help="Compare the explanations of finished runs on drawn faces with the truth.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --truth: explain at most so many test faces a run.")] = LIMIT,
    vary: Annotated[
        list[str] | None, typer.Option("--vary", help="With --truth: a setting that may differ between rows.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw on faces which regions supported a class and which opposed it.

    The map shows what influenced the prediction of this model. It does not
    show that the prediction is right, or what a person feels.
    """
    if truth:
        _show_truth(inputs, methods or METHODS, limit, vary or (), as_json)
        return
    explainer = _opened(model)
    pick_methods(explainer, methods or ())
    detector = find_detector(faces)
    for name in classes or ():
        explainer.labels.index(name)  # before the first picture
    if is_one_file("--out", out, PICTURES):
        keep_inputs("--out", out, inputs)
    found: dict[str, list[Explanation]] = {}
    failures: dict[str, str] = {}
    for source in track(inputs, "Explaining", len(inputs)):
        try:
            faces_found = faces_of(source, explainer.crop, detector)
        except DataError as error:
            failures[source] = str(error)
            continue
        found[source] = explain_faces(explainer, faces_found, classes=classes or (), methods=methods or ())
    _present(explainer, found, failures, out, as_json)
    if failures:
        raise typer.Exit(1)


def _present(
    explainer: Explainer, found: dict[str, list[Explanation]], failures: dict[str, str], out: Path, as_json: bool
) -> None:
    """Draw, print the findings, and list the unusable inputs on stderr."""
    written = _draw(found, out)
    if as_json:
        print_json(_as_json(explainer, found, failures, written))
    else:
        console = Console(highlight=False)
        for source, explanations in found.items():
            _say(console, source, explanations)
        for path in dict.fromkeys(written.values()):
            console.print(f"Drawn: {literal(path)}", soft_wrap=True)
    if failures:
        total = len(found) + len(failures)
        say(f"{len(failures)} of {total} inputs could not be used:\n" + "\n".join(failures.values()))


def _opened(model: str) -> Explainer:
    if not Path(model).is_dir():
        return open_explainer(model)
    with needs("train", "explain --model RUN"):
        import mien.explain.gradients
        import mien.runs  # noqa: F401
    return open_explainer(model)


def _draw(found: dict[str, list[Explanation]], out: Path) -> dict[str, Path]:
    """Write the pictures; the path of each input with faces."""
    seen = {source: explanations for source, explanations in found.items() if explanations}
    if out.suffix.lower() in PICTURES:
        if seen:
            _write(out, [one for explanations in seen.values() for one in explanations])
        return dict.fromkeys(seen, out)
    paths: dict[str, Path] = {}
    taken = {Path(source).resolve() for source in found}  # no picture is drawn over an input
    for source, explanations in seen.items():
        stem = Path(source.replace(":", "-") if not Path(source).exists() else source).stem
        names = chain([f"{stem}.png"], (f"{stem}-{number}.png" for number in count(2)))
        path = next(out / name for name in names if (out / name).resolve() not in taken)
        taken.add(path.resolve())
        _write(path, explanations)
        paths[source] = path
    return paths


def _write(path: Path, explanations: Sequence[Explanation]) -> None:
    _, content = cv2.imencode(path.suffix.lower(), sheet(explanations)[..., ::-1])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content.tobytes())
    except OSError as error:
        raise DataError(f"The picture {path} cannot be written ({error.strerror}). Pass another --out.") from None


def _as_json(
    explainer: Explainer, found: dict[str, list[Explanation]], failures: dict[str, str], written: dict[str, Path]
) -> dict[str, Any]:
    return {
        "model": explainer.name,
        "grad_cam_layer": explainer.layer or None,
        "inputs": [
            {
                "source": source,
                "picture": str(written[source]) if source in written else None,
                "faces": [one.summary() for one in explanations],
            }
            for source, explanations in found.items()
        ],
        "failures": [{"source": source, "error": error} for source, error in failures.items()],
    }


def _say(console: Console, source: str, explanations: Sequence[Explanation]) -> None:
    if not explanations:
        console.print(f"{literal(source)}: no face found", soft_wrap=True)
    for one in explanations:
        best = sorted(one.probs.items(), key=lambda item: -item[1])[:3]
        words = ", ".join(f"{name} {share:.0%}" for name, share in best)
        labelled = f" (labelled {one.face.label})" if one.face.label else ""
        console.print(f"{literal(source)}: {literal(words + labelled)}", soft_wrap=True)


def _show_truth(inputs: Sequence[str], methods: Sequence[str], limit: int, vary: Sequence[str], as_json: bool) -> None:
    with needs("train", "explain --truth"):
        from mien.compare import collect
        from mien.explain.beside import summarise
        from mien.explain.truth import measured_rows
        from mien.runs import find_runs
    for method in methods:
        if method not in METHODS:
            raise ConfigError(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    rows = [row for row in collect([run for folder in inputs for run in find_runs(folder)], vary).rows if row.runs]
    _measure([run for row in rows for run in row.runs], methods, limit)
    truths = summarise(measured_rows(rows), np.random.default_rng(SEED))
    if as_json:
        print_json({"truth": truths})
        return
    console = Console(highlight=False)
    first = truths[0]
    console.print(f"{first.n} drawn test faces, {first.seeds} seed(s); 95 % intervals. See docs/explain.md.")
    console.print(_truth_table(truths, "pointing", "Largest pixel: how often it is a pixel that moved"))
    console.print(_truth_table(truths, "energy", "Energy: the share of the positive energy on the pixels that moved"))


def explain_drawn(runs: Sequence["Run"]) -> None:
    """Compare the explanations of finished runs on drawn faces with the truth, for the full report.

    If no test face moved, there is no truth to compare with: a sentence says so, and the report leaves the section out.
    """
    from mien.explain.truth import knows_truth

    try:
        _measure([run for run in runs if run.finished and knows_truth(run)], METHODS, LIMIT)
    except DataError as error:
        print(f"Explanations are left out of the report: {error}", file=sys.stderr)


def _measure(runs: Sequence["Run"], methods: Sequence[str], limit: int) -> None:
    """Measure with a progress bar. Nothing is measured twice."""
    from mien.explain.truth import STEPS, measure

    with progress("Explaining drawn faces", STEPS * len(methods) * len(runs)) as advance:
        for run in runs:
            measure(run, methods, limit=limit, report=advance)


def _truth_table(truths: Sequence["Truth"], figure: "Figure", title: str) -> Table:
    first = truths[0]
    table = Table("network", "method", "%", "others", "untrained", title=title, title_justify="left")
    for truth in truths:
        for place, one in enumerate(truth.methods):
            beside: Controlled = getattr(one, figure)
            controls = (f"{100 * control.value:.0f}" for control in beside.controls.values())
            name = truth.name if place == 0 else ""
            table.add_row(literal(name), one.method, literal(in_percent(beside.value)), *controls)
    fixed = {name: f"{100 * own[figure]:.0f}" for name, own in first.chance.items()}
    table.caption = (
        f"Maps that do not depend on a face: uniform {fixed['area']}, centre {fixed['centre']}, where drawn faces "
        f"usually move {fixed['usual']}. Others: maps of faces of other classes."
    )
    return table
