"""`mien data`: a corpus becomes a store (prepare, draw), stores are joined, looked through (info, audit) and taught."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import typer
from rich.console import Console

from mien.atomic import json_text, write_text
from mien.bundle import Bundle
from mien.cli import clips
from mien.cli.draw import draw
from mien.cli.extras import Json
from mien.cli.model_files import model_file
from mien.cli.screen import literal, print_json
from mien.cli.stores import Force, Out, counts_table, facts_table, findings_table, show_new, warn_untested
from mien.crop import CropSpec
from mien.data.audit import Audit, class_counts
from mien.data.audit import audit as audit_store
from mien.data.clean import DROPS, clean
from mien.data.clips.corpora import CLIP_CORPORA, ClipOptions
from mien.data.clips.prepare import prepare_clips
from mien.data.corpora import CORPORA, ReadOptions, check_options
from mien.data.findings import findings, findings_csv, next_command
from mien.data.gallery import gallery_page
from mien.data.join import join as join_stores
from mien.data.prepare import PrepareOptions
from mien.data.prepare import prepare as prepare_store
from mien.data.store import Store
from mien.data.teach import teach as teach_store
from mien.errors import ConfigError, DataError
from mien.faces import find_detector
from mien.faces.landmarks import landmarks_of
from mien.faces.yunet import YufaceDetector
from mien.shown import brief

__all__ = ["app"]

app = typer.Typer(
    name="data",
    help="Corpora in, one store out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NAMES = sorted((*CORPORA, *CLIP_CORPORA))


@app.command()
def prepare(
    path: Annotated[Path, typer.Argument(help="The corpus: a folder or a file, as its importer wants it.")],
    corpus: Annotated[
        str, typer.Option("--corpus", "-c", help=f"One of {', '.join(sorted((*CORPORA, *CLIP_CORPORA)))}.")
    ],
    out: Out,
    size: Annotated[
        int | None, typer.Option(help="Side of the crops in pixels. Default: 48; of flow, its own side.")
    ] = None,
    grey: Annotated[bool, typer.Option("--grey/--rgb", help="One channel or three.")] = False,
    margin: Annotated[float, typer.Option(help="Border around face boxes, as a share of their side.")] = 0.0,
    labels: Annotated[
        str | None,
        typer.Option(
            help="seven, eight (with contempt) or own; of clips own, five, three, megc2019 and others. Default: seven; "
            "of flow and clips, own."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Every sample is of this part: train, valid or test; test for a set that only tests."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Import only this many samples, evenly spread; for trials.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad samples and list them.")] = False,
    public_test: Annotated[
        str | None, typer.Option(help="fer2013, ferplus: the split of PublicTest, valid or test.")
    ] = None,
    original_votes: Annotated[
        int, typer.Option(help="ferplus: keep FER2013's label and count it as so many votes beside the ten.")
    ] = 0,
    as_flow: Annotated[
        bool, typer.Option("--as-flow", help="npz: images is flow (u, v, strain), not pictures.")
    ] = False,
    group: Annotated[
        list[str] | None,
        typer.Option(help="npz: an array that becomes a group of the report: gender, or age=25,35. Repeatable."),
    ] = None,
    landmarks: Annotated[
        bool, typer.Option("--landmarks", help="A plane landmarks, too: eyes, nose and mouth as five points (yuface).")
    ] = False,
    numbers: Annotated[
        str | None, typer.Option(help="csv: columns that become the plane numbers, such as age,valence.")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="The licence, in place of the importer's.")] = None,
    sheet: clips.Sheet = None,
    fps: clips.Fps = None,
    flow: clips.Flow = "dis",
    flow_size: clips.FlowSize = 28,
    head: clips.Head = False,
    halves: clips.Halves = False,
    stretch: clips.Stretch = False,
    magnify: clips.Magnify = 0.0,
    dynamic: clips.Dynamic = False,
    tim: clips.Tim = 0,
    faces: clips.Faces = "default",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Import a corpus into a store: faces, or clips, which become flow."""
    crop = CropSpec(size=CropSpec().size if size is None else size, channels=1 if grey else 3, margin=margin)
    if corpus not in NAMES:
        raise DataError(f"There is no importer for {brief(corpus)}; the corpora are {', '.join(NAMES)}.")
    of_clips = corpus in CLIP_CORPORA
    options = PrepareOptions(
        crop=crop,
        sized=size is not None,
        labels=None if of_clips else labels,
        split=split,
        limit=limit,
        skip_bad=skip_bad,
        force=force,
        licence=licence,
        read=ReadOptions(
            public_test=public_test,
            original_votes=original_votes,
            as_flow=as_flow,
            group=tuple(group or ()),
            numbers=() if numbers is None else tuple(numbers.split(",")),
        ),
        derived=(landmarks_of(find_detector(_with_landmarks(faces))),) if landmarks else (),
    )
    motion = clips.motion_options(
        crop,
        flow=flow,
        flow_size=flow_size,
        head=head,
        halves=halves,
        stretch=stretch,
        magnify=magnify,
        dynamic=dynamic,
        tim=tim,
    )
    read = ClipOptions(sheet=sheet, fps=fps)
    cv2.utils.logging.setLogLevel(0)  # what is wrong is said by mien
    if of_clips:
        check_options(corpus, options.read)
        detector = find_detector(faces)
        prepare_clips(path, corpus, out, options, labels=labels or "own", read=read, motion=motion, detector=detector)
    else:
        clips.check_stills(corpus, motion, read, "default" if landmarks else faces)
        prepare_store(path, corpus, out, options)
    show_new(Store.open(out), as_json)


def _with_landmarks(faces: str) -> str:
    """The detector that finds landmarks; by default the one that has them."""
    return YufaceDetector.name if faces == "default" else faces


app.command()(draw)


@app.command()
def audit(
    store: Annotated[Path, typer.Argument(help="A store.")],
    drop: Annotated[
        list[str] | None, typer.Option(help=f"Write a store without: {', '.join(DROPS)}. May be repeated; needs --out.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the findings (default: STORE-audit); with --drop, the new store."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", help="The HTML page. Default: audit.html in the folder of the findings.")
    ] = None,
    no_faces: Annotated[bool, typer.Option("--no-faces", help="Leave the pictures out of the page.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Find copies, copies across splits, contradicting labels and blank images.

    The folder of the findings gets audit.html, which shows the first of each
    kind, and findings.csv and findings.json, which name every image of all.

    What is in a store, as STORE-audit/ beside it:
      mien data audit STORE
    A new store without leaks between its splits:
      mien data audit STORE --drop leaks --drop near-leaks --out CLEAN
    """
    if drop and out is None:
        raise ConfigError("--drop writes a cleaned store: say where with --out.")
    opened = Store.open(store)
    found = audit_store(opened)
    folder, page = _audit_places(opened, None if drop else out, page)
    _write_audit(opened, found, folder, page, faces=not no_faces)
    cleaned = clean(opened, found, drop, out, force=force) if drop and out else None
    if as_json:
        result = {
            "audit": found.summary(),
            "page": str(page),
            "findings": str(folder / "findings.json"),
            "next": next_command(found, str(store)),
            "cleaned": asdict(cleaned) if cleaned else None,
        }
        print_json(result)
        return
    console = Console(highlight=False)
    console.print(findings_table(found))
    command = next_command(found, str(store))
    if cleaned and out:
        console.print(f"Cleaned: {literal(out)}. {literal(cleaned.notes[-1])}", soft_wrap=True)
    elif command:
        console.print(f"To remove samples that spoil the test or the training: {literal(command)}", soft_wrap=True)
    console.print(f"Findings: {literal(folder)}/findings.csv, findings.json. Page: {literal(page)}", soft_wrap=True)


def _audit_places(store: Store, out: Path | None, page: Path | None) -> tuple[Path, Path]:
    """The folder of the findings, and the page."""
    beside = store.path.resolve()
    folder = page.parent if page and out is None else out or beside.with_name(f"{beside.name}-audit")
    if (folder / "meta.json").exists():
        raise DataError(f"{folder} is a store; findings go elsewhere. To write a cleaned store, add --drop.")
    return folder, page or folder / "audit.html"


def _write_audit(store: Store, found: Audit, folder: Path, page: Path, *, faces: bool) -> None:
    listed = findings(store, found)
    facts = {"corpus": store.meta.corpus, "sha256": store.meta.sha256, **found.summary(), "findings": listed}
    try:
        if page == folder / "audit.html":
            folder.mkdir(exist_ok=True)
        write_text(page, gallery_page(store, found, faces=faces))  # first: a page that is refused leaves no findings
        write_text(folder / "findings.csv", findings_csv(listed))
        write_text(folder / "findings.json", json_text(facts, indent=1))
    except OSError as error:
        raise DataError(
            f"The findings {folder} with the page {page} cannot be written ({error.strerror}). Pass another --out or "
            "--page."
        ) from None


@app.command()
def teach(
    store: Annotated[Path, typer.Argument(help="A store.")],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="A teacher: a file of `mien export`, the folder of a run or an ensemble, or default, small, ferplus. "
            "May be repeated.",
        ),
    ],
    out: Out,
    share: Annotated[
        float, typer.Option(help="Weight of the teachers in each training distribution, above 0 and up to 1.")
    ] = 0.5,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a store with models' predictions as soft labels of its training faces, for distillation with
    loss.soft_labels. An ensemble of runs is distilled into one network by its folder."""
    with TemporaryDirectory(prefix="mien-") as room:
        teachers = [Bundle.open(model_file(name, Path(room))) for name in model]
    for teacher in teachers:
        teacher.require_faces()
    meta = teach_store(Store.open(store), teachers, share, out, force=force)
    if as_json:
        print_json({"meta": asdict(meta)})
        return
    Console(highlight=False).print(facts_table(out, meta))


@app.command()
def join(
    stores: Annotated[list[Path], typer.Argument(help="Two stores or more, of the same classes, planes and crop.")],
    out: Out,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Join stores of several corpora into one composite.

    Subjects become CORPUS/SUBJECT, and the corpus is a group. MEGC-2019's composite, once its parts are prepared:
      mien data join stores/casme2 stores/samm stores/smic --out stores/megc2019
    """
    join_stores([Store.open(path) for path in stores], out, force=force)
    show_new(Store.open(out), as_json)


@app.command()
def info(store: Annotated[Path, typer.Argument(help="A store.")], as_json: Json = False) -> None:
    """Describe a store, with its class counts by split."""
    opened = Store.open(store)
    counts = class_counts(opened)
    if as_json:
        print_json({"meta": asdict(opened.meta), "counts": counts})
        return
    console = Console(highlight=False)
    console.print(facts_table(opened.path, opened.meta))
    console.print(counts_table(counts))
    warn_untested(console, opened)
