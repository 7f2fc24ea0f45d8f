"""Spotted movements get a class: from a video to labelled intervals (`mien spot --model`, `mien predict --micro`)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.bundle import Bundle
from mien.cli import main
from mien.config import AugmentSettings, DataSettings, ModelSettings, NetworkSettings, OptimizerSettings, TrainSettings
from mien.data.clips.drawn import FilmDetector, draw_clip_store, drawn_clips
from mien.data.drawn.film import Film, FilmOptions
from mien.data.splits import divide
from mien.data.store import Store
from mien.errors import BundleError
from mien.export import export
from mien.metrics.spotting import Interval
from mien.micro import fps_words, name_intervals, options_of
from mien.runs import Run
from mien.stages import finish_run
from mien.video import Frame

OPTIONS = FilmOptions(pixels=(1.5, 2.0), fps=100)
EXPRESSIONS = ("happiness", "surprise")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells smiles from surprise by their flow, tested on people that it never saw."""
    folder = tmp_path_factory.mktemp("micro")
    draw_clip_store(folder / "store", clips=36, subjects=9, seed=1, expressions=EXPRESSIONS, options=OPTIONS)
    store = Store.open(folder / "store")
    settings = NetworkSettings(
        model=ModelSettings(name="ststnet", plane="flow"),
        data=DataSettings(protocol="group-kfold", folds=3, valid_fraction=0.2),
        optimizer=OptimizerSettings(lr=0.01),
        train=TrainSettings(epochs=25, batch_size=16, select="last"),
        augment=AugmentSettings(flip=True),
    )
    run = Run.create(folder / "runs", settings.resolved(store.meta.crop), store, divide(store, settings.data))
    finish_run(run)
    export(run, folder / "micro.onnx")
    return folder / "micro.onnx"


def frames_of(film: Film) -> Iterator[Frame]:
    return (Frame(index=i, time_s=i / film.options.fps, picture=picture) for i, picture in enumerate(film))


def test_its_card_says_how_flow_is_computed_and_that_it_saw_no_person(model: Path) -> None:
    card = Bundle.open(model).card
    assert card.movement
    assert str(card.movement) == (
        "Flow by dis, in pixels of a face 128 wide, the head held still; clips of 100 frames a second"
    )
    assert card.protocol == "group-kfold: tested on fold 1 of 3, trained on others"
    assert "never saw a person" in card.limits[-1]
    assert options_of(Bundle.open(model)).size == 28


def test_movements_of_people_never_seen_are_named(model: Path) -> None:
    bundle, right = Bundle.open(model), []
    for clip, film in drawn_clips(12, seed=99, subjects=6, expressions=EXPRESSIONS, options=OPTIONS):
        interval = Interval(onset=clip.onset, apex=clip.apex, offset=clip.offset)
        (named,) = name_intervals(frames_of(film), clip.fps, [interval], bundle, FilmDetector(film, clip.onset))
        assert named.confidence == max(named.probs.values()) == pytest.approx(named.probs[named.interval.label])
        assert sum(named.probs.values()) == pytest.approx(1)
        right.append(named.interval.label == clip.label)
    assert np.mean(right) >= 0.75


def test_several_intervals_of_one_video_are_named_in_their_order_and_by_their_own_frames(model: Path) -> None:
    bundle = Bundle.open(model)
    bundle.card = replace(bundle.card, temperature=100.0)  # so that no probability is rounded to 1
    (clip, film), *_ = drawn_clips(1, seed=99, expressions=EXPRESSIONS, options=OPTIONS)
    whole = Interval(onset=clip.onset, apex=clip.apex, offset=clip.offset)
    still = Interval(onset=0, apex=1, offset=2)
    late = Interval(onset=len(film) - 2, apex=len(film) - 1, offset=len(film) + 5)
    detector = FilmDetector(film, clip.onset)
    found = name_intervals(frames_of(film), clip.fps, [late, whole, still], bundle, detector)
    (alone,) = name_intervals(frames_of(film), clip.fps, [whole], bundle, detector)
    assert [each.interval.onset for each in found] == [late.onset, whole.onset, still.onset]
    assert found[1] == alone
    assert found[0].failure == "the video ended before it"
    assert not found[0].probs
    assert found[2].probs != alone.probs
    above = float(np.nextafter(alone.confidence, 2))
    (unsure,) = name_intervals(frames_of(film), clip.fps, [whole], bundle, detector, min_confidence=above)
    assert unsure.interval.label == "uncertain"


@pytest.mark.parametrize(
    ("fps", "said"), [(100, ""), (140, ""), (30, "It has 30 frames a second"), (200, "It has 200")]
)
def test_another_frame_rate_is_said(model: Path, fps: float, said: str) -> None:
    assert fps_words(Bundle.open(model).card, fps).startswith(said)
    assert bool(fps_words(Bundle.open(model).card, fps)) == bool(said)


def test_a_model_of_faces_names_no_movement() -> None:
    with pytest.raises(BundleError, match="takes face, and the class of a movement needs a model of flow"):
        options_of(Bundle.open("small"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a strong smile, larger, in which a detector finds the face."""
    path = tmp_path_factory.mktemp("video") / "smile.avi"
    options = FilmOptions(pixels=(6.0, 6.0), fps=100, size=256, grain=1)
    (_, film), *_ = drawn_clips(1, seed=5, frames=120, expressions=["happiness"], options=options)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 100, (256, 256))
    for picture in film:
        writer.write(picture[..., ::-1].copy())
    writer.release()
    return path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_the_commands_name_each_interval(model: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("spot", str(video), "--model", str(model), "--json") == 0
    (spotted,) = json.loads(capsys.readouterr().out)["results"]
    assert spotted["intervals"]
    for interval in spotted["intervals"]:
        assert interval["label"] in EXPRESSIONS
        assert interval["probs"][interval["label"]] == interval["confidence"]
    assert run("predict", str(video), "--micro", "--model", str(model), "--csv") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("height_px,label,confidence")
    assert len(lines) == len(spotted["intervals"])
    assert run("predict", str(video), "--micro", "--model", str(model)) == 0
    assert spotted["intervals"][0]["label"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "small"], "needs a model of flow"),
        (["--model", "MODEL", "--min-confidence", "2"], "--min-confidence is 0 to 1; got 2."),
    ],
)
def test_what_cannot_name_is_one_sentence(
    words: list[str], says: str, model: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("spot", str(video), *(word.replace("MODEL", str(model)) for word in words)) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_the_model_that_comes_with_mien_names_drawn_movements() -> None:
    """Of people, and with a seed, that it was not trained on; with blinks, nods, looks and speech, as its clips had."""
    bundle, right = Bundle.open("micro"), []
    options = FilmOptions(fps=100, pixels=(1.0, 2.0), nods=True, blinks=True, gaze=True, speech=True)
    for clip, film in drawn_clips(24, seed=4321, subjects=12, options=options):
        interval = Interval(onset=clip.onset, apex=clip.apex, offset=clip.offset)
        (named,) = name_intervals(frames_of(film), clip.fps, [interval], bundle, FilmDetector(film, clip.onset))
        right.append(named.interval.label == clip.label)
    assert np.mean(right) >= 0.8
    assert bundle.card.network == "rcn-a"
    assert "never saw a person" in bundle.card.limits[-1]
