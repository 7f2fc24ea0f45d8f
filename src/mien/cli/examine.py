"""`mien robustness`, `mien across`, `mien noise`: test finished runs on damaged faces, on other corpora and for
doubtful labels.

`mien compare` and `mien report` use the options, `beside` and `examine_runs` of this module. Modules that need
`mien[train]` are imported when a verb is called, so that the command line starts without it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from mien.cli.extras import Json, needs
from mien.cli.places import write_page
from mien.cli.screen import literal, print_json
from mien.data.store import Store
from mien.errors import CompareError
from mien.progress import progress
from mien.words import decimal, in_percent, p_words, points, span

if TYPE_CHECKING:
    from mien.examine.across import Matrix
    from mien.examine.examined import Context
    from mien.examine.labelnoise import Agreement, NoisePoint
    from mien.examine.robustness import Damage
    from mien.runs import Run
    from mien.statistics.estimates import Estimate

__all__ = [
    "AcrossRuns",
    "Baseline",
    "NoiseRuns",
    "across",
    "beside",
    "damage_runs",
    "examine_runs",
    "noise",
    "robustness",
]

SEED = 0
"""Seed of the bootstrap: the same runs give the same figures."""
LIMIT = 1000
"""Most faces to damage, as `examine.robustness.LIMIT`."""
LABEL_NOISE = "data.label_noise"

Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="The network of mCE 100 %, by its name in the table. Default: the first."),
]
NoiseRuns = Annotated[
    Path | None,
    typer.Option("--noise-runs", help="Runs of `mien compare noise`, for learning curves with wrong labels."),
]
AcrossRuns = Annotated[
    list[Path] | None,
    typer.Option("--across-runs", help="Runs of the same networks on another corpus, for the matrix. May be repeated."),
]
Runs = Annotated[Path, typer.Argument(help="Folder of the run folders.")]
Vary = Annotated[list[str] | None, typer.Option("--vary", help="A setting that may differ between rows.")]


def robustness(
    runs: Runs = Path("runs"),
    baseline: Baseline = None,
    limit: Annotated[int, typer.Option(min=1, help="Damage at most so many test faces, stratified by class.")] = LIMIT,
    vary: Vary = None,
    as_json: Json = False,
) -> None:
    """Accuracy on damaged test faces: noise, blur, jpeg, light, occlusion, pose, resolution; five severities each.

    The results are kept in the run folders and shown by `mien report`. The
    same command resumes after Ctrl-C and finishes at once when all is
    measured. mCE is a network's error relative to that of the baseline, which
    has 100 %.

    Of what is in runs/:
      mien robustness
    Relative to another network, on all test faces:
      mien robustness RUNS --baseline "vgg16, no dropout" --limit 100000
    """
    with needs("train", "robustness"):
        from mien.compare import collect
        from mien.examine.robustness import measured_rows, pick_baseline, summarise
        from mien.runs import find_runs
    rows = [row for row in collect(find_runs(runs), vary or ()).rows if row.runs]
    if baseline is not None:
        pick_baseline([row.name for row in rows], baseline)
    finished = [run for row in rows for run in row.runs]
    if not finished:
        raise CompareError(f"No run in {runs} is finished, so no network can be tested on damaged faces.")
    damage_runs(finished, limit)
    damages = summarise(measured_rows(rows), np.random.default_rng(SEED), baseline)
    _print({"robustness": damages}, [_damage_table(damages)], as_json)


def across(
    data: Annotated[list[Path], typer.Option("--data", "-d", help="A store to test on. May be repeated.")],
    runs: Annotated[list[Path], typer.Argument(help="Folders of run folders, of one training store or several.")],
    vary: Vary = None,
    as_json: Json = False,
) -> None:
    """Test finished runs on the test parts of other stores, over the classes that both have.

    Classes are matched by name and pictures brought to the size and colours of
    training. Each run opens each test part once, and the store's log records
    it. The results are kept in the run folders, where `mien report` finds
    them.

    Runs on another corpus:
      mien across RUNS --data STORE
    The whole matrix of two corpora, from the runs of each:
      mien across RUNS-A RUNS-B --data STORE-A --data STORE-B
    """
    with needs("train", "across"):
        from mien.examine.across import across as test_across
        from mien.runs import find_runs
    found = [run for folder in runs for run in find_runs(folder)]
    stores = [Store.open(path) for path in data]
    with progress("Testing across corpora", len(found) * len(stores)) as advance:
        matrix = test_across(
            found, stores, np.random.default_rng(SEED), vary=vary or (), report=lambda run, store: advance(1)
        )
    _print({"across": matrix}, [_matrix_table(matrix)], as_json)


def noise(
    runs: Runs = Path("runs"),
    page: Annotated[
        Path | None, typer.Option("--page", help="The HTML gallery. Default: RUNS-doubts.html beside the runs.")
    ] = None,
    no_faces: Annotated[bool, typer.Option("--no-faces", help="Leave the pictures out of the gallery.")] = False,
    vary: Vary = None,
    as_json: Json = False,
) -> None:
    """Find doubtful labels, compare networks with annotators' votes, and show the cost of injected noise.

    Labels of validation and test are checked by networks that were not trained
    on them; with a cross-validation that covers every face.

    Doubtful labels of the store that runs/ was trained on, as runs-doubts.html:
      mien noise
    What injected noise costs, after `mien compare noise --runs NOISE`:
      mien noise NOISE
    """
    with needs("train", "noise"):
        from mien.compare import collect
        from mien.examine.doubts import doubts_page, estimate
        from mien.examine.labelnoise import agreements, find_issues, noise_curves, out_of_sample
        from mien.examine.tested import at_home
        from mien.runs import find_runs
    found = find_runs(runs)
    rows = [row for row in collect(found, (LABEL_NOISE, *(vary or ()))).rows if row.tests]
    seen, rng = out_of_sample(found), np.random.default_rng(SEED)
    issues, store = find_issues(seen, rng), next(run for run in found if run.finished).fold().train.store
    page = page or runs.resolve().with_name(f"{runs.resolve().name}-doubts.html")
    write_page("--page", page, doubts_page(store, issues, faces=not no_faces))
    votes = agreements([at_home(row, store) for row in rows], rng)
    curves = noise_curves(rows, rng)
    tables = [_votes_table(votes)] if votes else []
    tables += [_curves_table(curves)] if curves else []
    lines = [estimate(issues), f"Gallery: {page}"]
    _print({"issues": issues, "page": str(page), "votes": votes, "curves": curves}, [*lines, *tables], as_json)


def beside(baseline: str | None, noise_runs: Path | None, across_runs: Sequence[Path] | None) -> "Context":
    """The folders besides the runs that a report reads, opened; raises at once if a folder does not exist."""
    from mien.examine.examined import Context
    from mien.runs import find_runs

    return Context(
        baseline=baseline,
        noise=tuple(find_runs(noise_runs)) if noise_runs else (),
        elsewhere=tuple(run for folder in across_runs or () for run in find_runs(folder)),
    )


def examine_runs(runs: Sequence["Run"], stores: Sequence[Store], *, damage: bool) -> None:
    """Test finished runs on other corpora and, if wanted, on damaged faces, for the report."""
    from mien.examine.away import keep_tests

    finished = [run for run in runs if run.finished]
    if damage:
        damage_runs(finished)
    if not stores:
        return
    with progress("Testing across corpora", len(finished) * len(stores)) as advance:
        keep_tests(finished, stores, report=lambda run, store: advance(1))


def damage_runs(runs: Sequence["Run"], limit: int = LIMIT) -> None:
    """Test finished runs on damaged faces, with a progress bar. Nothing is measured twice."""
    from mien.examine.damaging import STEPS
    from mien.examine.robustness import measure

    with progress("Damaging test faces", STEPS * len(runs)) as advance:
        for run in runs:
            measure(run, limit=limit, report=advance)


def _print(result: dict[str, Any], shown: Sequence[str | Table], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    console = Console(highlight=False)
    for item in shown:
        console.print(literal(item) if isinstance(item, str) else item, soft_wrap=isinstance(item, str))


def _damage_table(damages: Sequence["Damage"]) -> Table:
    first = damages[0]
    title = f"Accuracy (%) under damage, mean of five severities; {first.n} test faces, {first.seeds} seed(s)"
    table = Table("", *(literal(damage.name) for damage in damages), title=title, title_justify="left")
    table.add_row("clean", *(in_percent(damage.clean) for damage in damages))
    for kind, name in enumerate(first.corruptions):
        table.add_row(name, *(in_percent(damage.by_corruption[kind]) for damage in damages))
    table.add_row("all damage", *(in_percent(damage.corrupted) for damage in damages), end_section=True)
    table.add_row("mCE", *(_of_baseline(damage, damage.mce) for damage in damages))
    table.add_row("relative mCE", *(_of_baseline(damage, damage.relative_mce) for damage in damages))
    table.caption = (
        f"mCE: errors relative to those of {literal(first.baseline)}, lower is better. 95 % intervals. Relative mCE is "
        f"over {', '.join(first.relative_over) or 'nothing'}: the corruptions that clearly cost the baseline accuracy."
    )
    return table


def _of_baseline(damage: "Damage", figure: "Estimate") -> str:
    return "100" if damage.name == damage.baseline and np.isfinite(figure.value) else in_percent(figure)


def _matrix_table(matrix: "Matrix") -> Table:
    title = "UAR (%) across corpora, and of the same networks at home over the same classes"
    table = Table("network", "trained on", "tested on", "classes", "faces", "UAR", "at home", "remarks", title=title)
    for cell in matrix.cells:
        remarks = list(cell.notes)
        remarks += [f"Left out: {', '.join(cell.left_out)}."] if cell.left_out else []
        remarks += [f"{cell.copies} are exact copies of training pictures."] if cell.copies else []
        words = [cell.network, cell.trained_on, cell.tested_on, str(len(cell.classes)), str(cell.n)]
        home = "" if cell.own else in_percent(cell.home_uar)
        table.add_row(*map(literal, words), in_percent(cell.uar), home, literal(" ".join(remarks)))
    return table


def _votes_table(votes: Sequence["Agreement"]) -> Table:
    title = f"Agreement with the votes of annotators; {votes[0].n} test faces"
    table = Table("network", "majority (%)", "share of votes (%)", "cross-entropy", "divergence (nats)", title=title)
    for one in votes:
        plain = [decimal(one.cross_entropy), decimal(one.divergence)]
        table.add_row(literal(one.name), in_percent(one.majority), in_percent(one.mass), *plain)
    ceiling, floor = in_percent(votes[0].ceiling), decimal(votes[0].entropy)
    table.caption = f"Highest possible share of votes: {ceiling} %. Lowest possible cross-entropy: {floor}."
    return table


def _curves_table(curves: Sequence["NoisePoint"]) -> Table:
    table = Table("network", "noise (%)", "accuracy (%)", "against none", "corrected p", title="Injected label noise")
    for point in curves:
        value = f"{100 * point.spread.mean:.1f} {span(point.interval)}"
        drop, p = "", ""
        if point.drop and point.drop_interval:
            drop, p = points(point.drop.mean, point.drop_interval), p_words(point.p_corrected)
        table.add_row(literal(point.curve), f"{100 * point.noise:.0f}", value, drop, p)
    return table
