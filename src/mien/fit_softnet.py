"""SoftNet learns to spot, from videos whose expressions are known; its weights become a model file.

In: long videos with coded intervals. Out: `NAME.onnx`, for `mien spot --method softnet=NAME.onnx`. For each kind one
network is fitted to looks (`mien.spot.softnet`). The aim of a look is 1 where its k frames share any with an expression
of its kind, else 0, as published. Of the looks at rest so many are drawn that there are `REST` for each other, half of
those from expressions of the other kind. Each is mirrored by the toss of a coin. Adam, squared error, `EPOCHS` passes
in batches of `BATCH`; the published SGD of 5e-4 for 10 epochs hardly leaves its start on so few looks.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .atomic import write_bytes
from .bundle import Bundle, seal
from .card import Card
from .crop import CropSpec
from .data.clips.clip import LongVideo
from .errors import BadSample, RunError
from .faces import FaceDetector
from .metrics.spotting import KINDS, Interval, Kind, iou
from .models.softnet import SoftNet
from .progress import track
from .reading import GivenPath, given_path
from .spot.softnet import LOOKS, half_frames, looks
from .to_onnx import onnx_bytes
from .version import __version__
from .video import Frame

__all__ = ["Spotters", "fit_softnet"]

REST, EPOCHS, BATCH, RATE = 3, 10, 64, 1e-3
INTENDED_USE = "Finds when a face in a video makes an expression, in research and teaching."
LIMITS = (
    "It says that a face moved, not what a person feels, intends or is.",
    "It must not decide about people.",
    "It finds an expression in every video, also where there is none: its threshold is a share of the highest score.",
)
DRAWN = "It was trained on drawings alone and never saw a person."


class Spotters(nn.Module):
    """A network for each kind, as one: a look of each kind `(B, 42, 42, 3)` -> a score of each, `(B, 2)`."""

    takes = LOOKS

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(SoftNet() for _ in KINDS)
        self.register_buffer("spread", torch.ones(len(KINDS), 3))
        """Of the channels of each kind's looks, what they are divided by."""

    spread: Tensor

    def blank(self, count: int) -> tuple[Tensor, ...]:
        """Looks at nothing, for the exporter."""
        return tuple(torch.zeros(count, *plane.shape) for plane in self.takes)

    def score(self, kind: int, flow: Tensor) -> Tensor:
        """`(B,)` of looks `(B, 42, 42, 3)` of one kind."""
        scores: Tensor = self.networks[kind]((flow / self.spread[kind]).permute(0, 3, 1, 2))
        return scores

    def forward(self, micro: Tensor, macro: Tensor) -> Tensor:
        return torch.stack([self.score(0, micro), self.score(1, macro)], dim=1)


@dataclass(kw_only=True, eq=False)
class _Lesson:
    """What one network is fitted to."""

    flow: NDArray[np.float32]
    """`(n, 42, 42, 3)`."""
    aims: NDArray[np.float32]
    """`(n,)` 0 or 1."""


def fit_softnet(
    videos: Sequence[LongVideo], detector: FaceDetector, out: GivenPath, *, corpus: str, licence: str, seed: int = 0
) -> Card:
    """Fit both networks and write them to `out`, one file.

    Args:
        videos: with their coded intervals, of both kinds.
        detector: finds faces.
        out: NAME.onnx.
        corpus: what the card calls the videos.
        licence: of the videos; it also holds for the weights.
        seed: of first weights, order and mirroring.

    Raises `RunError` where there is nothing to learn of a kind or `out` cannot be written, `MissingExtra` without the
    exporter.
    """
    out = given_path(out, "The weights", RunError)
    if out.suffix != ".onnx" or not out.resolve().parent.is_dir():
        raise RunError(f"Cannot write {out}: weights are NAME.onnx in a folder that is there.")
    lessons, seen = _lessons(videos, detector, np.random.default_rng(seed))
    torch.manual_seed(seed)
    network = Spotters()
    for place, kind in enumerate(KINDS):
        _fit(network, place, lessons[kind], torch.Generator().manual_seed(seed))
    card = Card(
        labels=KINDS,
        crop=CropSpec(),
        planes=tuple(plane.name for plane in LOOKS),
        forms=LOOKS,
        network="softnet",
        run=f"fit_softnet, seed {seed}",
        corpus=corpus,
        fingerprint=seen,
        licence=licence,
        intended_use=INTENDED_USE,
        limits=(*LIMITS, *([DRAWN] if corpus == "drawn" else [])),
        mien=__version__,
    )
    try:
        write_bytes(out, seal(onnx_bytes(network), card))
    except OSError as error:
        raise RunError(f"Cannot write {out} ({error.strerror or error}).") from None
    return Bundle.open(out).card


def aim(place: int, k: int, expressions: Iterable[Interval]) -> float:
    """1 where the k frames around a place share any with one of some expressions, else 0."""
    seen = Interval(onset=max(0, place - k // 2), offset=place - k // 2 + k)
    return float(any(iou(seen, one) > 0 for one in expressions))


def _lessons(
    videos: Sequence[LongVideo], detector: FaceDetector, rng: np.random.Generator
) -> tuple[dict[Kind, _Lesson], str]:
    """The looks of each kind, and a hash of all."""
    digest = hashlib.sha256()
    kept: dict[Kind, list[tuple[NDArray[np.float32], float]]] = {kind: [] for kind in KINDS}
    for video in track(videos, "Looking at videos", len(videos)):
        video.check()
        for kind, own in _looks_of(video, detector, rng).items():
            kept[kind] += own
    lessons = {}
    for kind, pairs in kept.items():
        aims = np.array([aimed for _, aimed in pairs], np.float32)
        if not 0 < aims.sum() < len(aims):
            raise RunError(f"There is nothing to learn: no video has {kind}-expressions and rest.")
        lessons[kind] = _Lesson(flow=np.stack([flow for flow, _ in pairs]), aims=aims)
        digest.update(lessons[kind].flow.tobytes())
    return lessons, digest.hexdigest()


def _looks_of(
    video: LongVideo, detector: FaceDetector, rng: np.random.Generator
) -> dict[Kind, list[tuple[NDArray[np.float32], float]]]:
    """The looks of one video with their aims, those at rest thinned out."""
    frames = (
        Frame(index=place, time_s=place / video.fps, picture=picture) for place, picture in enumerate(video.frames)
    )
    found: dict[Kind, list[tuple[NDArray[np.float32], float, bool]]] = {kind: [] for kind in KINDS}
    try:
        for look in looks(frames, video.fps, detector):
            k = half_frames(look.kind, video.fps)
            own = aim(look.place, k, [one for one in video.intervals if one.kind == look.kind])
            found[look.kind].append((look.flow, own, bool(aim(look.place, k, video.intervals))))
    except BadSample as error:
        raise RunError(f"{video.name}: {error}") from None
    return {kind: _thinned(own, rng) for kind, own in found.items()}


def _thinned(
    given: Sequence[tuple[NDArray[np.float32], float, bool]], rng: np.random.Generator
) -> list[tuple[NDArray[np.float32], float]]:
    """All looks of aim 1, and up to `REST` for each of the others, half of them from other expressions."""
    ones = [place for place, (_, own, _) in enumerate(given) if own]
    others = [place for place, (_, own, moves) in enumerate(given) if moves and not own]
    still = [place for place, (_, _, moves) in enumerate(given) if not moves]
    most = max(1, len(ones)) * REST
    drawn = [rng.permutation(places)[:share] for places, share in ((others, most // 2), (still, most - most // 2))]
    return [given[place][:2] for place in (*ones, *np.concatenate(drawn).astype(int).tolist())]


def _fit(network: Spotters, place: int, lesson: _Lesson, draws: torch.Generator) -> None:
    """Fit the network of one kind."""
    flow, aims = torch.from_numpy(lesson.flow), torch.from_numpy(lesson.aims)
    network.spread[place] = flow.std(dim=(0, 1, 2)).clamp(min=1e-6)
    optimizer = torch.optim.Adam(network.networks[place].parameters(), lr=RATE)
    network.train()
    for _ in track(range(EPOCHS), f"Fitting {KINDS[place]}", EPOCHS):
        for rows in torch.split(torch.randperm(len(flow), generator=draws), BATCH):
            optimizer.zero_grad()
            batch = _mirrored(flow[rows], torch.rand(len(rows), generator=draws) < 0.5)
            torch.autograd.backward(nn.functional.mse_loss(network.score(place, batch), aims[rows]))
            optimizer.step()
    network.eval()


def _mirrored(flow: Tensor, chosen: Tensor) -> Tensor:
    """Looks, some of them as those of a mirrored face."""
    turned = flow.flip(2) * torch.tensor([-1.0, 1.0, 1.0])
    return torch.where(chosen[:, None, None, None], turned, flow)
