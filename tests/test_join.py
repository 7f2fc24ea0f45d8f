"""Stores of several corpora become one: subjects stay apart, the corpus is a group, what does not agree is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.config.tables import DataSettings
from mien.crop import CropSpec
from mien.data.clips.motion import MotionOptions
from mien.data.join import join
from mien.data.splits import fold_count
from mien.data.store import Sample, Store, create_store
from mien.errors import DataError
from mien.labels import LabelSet
from mien.planes import Plane

LABELS = LabelSet(("negative", "positive", "surprise"))
MOTION = MotionOptions()
FLOW = Plane(name="flow", kind="flow", shape=(8, 8, 3), dtype="float32")


def store(
    path: Path,
    corpus: str,
    *,
    labels: LabelSet = LABELS,
    flow: Plane = FLOW,
    margin: float = 0.0,
    groups: tuple[str, ...] = (),
    soft: bool = False,
    motion: MotionOptions = MOTION,
) -> Store:
    """Two subjects, three clips each."""
    rng = np.random.default_rng(len(corpus))
    crop = CropSpec(size=8, margin=margin)
    with create_store(path, labels, crop, planes=[flow]) as writer:
        for index in range(6):
            sample = Sample(
                label=index % 3,
                split="train",
                source=f"clip{index}",
                subject=f"s0{index // 3 + 1}",
                groups=dict.fromkeys(groups, "yes"),
                soft=(1.0, 0.0, 0.0) if soft else (),
                aus={4: 1.0} if corpus == "smic" else {4: 0.5, 12: 1.0},
            )
            face = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            writer.add(sample, face=face, flow=rng.normal(size=flow.shape).astype(flow.dtype))
        movement = motion.movement([100.0 if corpus == "smic" else 200.0])
        writer.finish(corpus=corpus, licence=f"Licence of {corpus}.", notes=tuple(motion.words), movement=movement)
    return Store.open(path)


def test_subjects_of_two_corpora_stay_two(tmp_path: Path) -> None:
    one, two = store(tmp_path / "a", "casme2", groups=("glasses",)), store(tmp_path / "b", "smic")
    join([one, two], tmp_path / "out")
    joined = Store.open(tmp_path / "out")
    assert len(joined) == 12
    assert sorted(set(joined.samples.subject)) == ["casme2/s01", "casme2/s02", "smic/s01", "smic/s02"]
    assert joined.samples.groups["corpus"].tolist() == ["casme2"] * 6 + ["smic"] * 6
    assert joined.samples.groups["glasses"].tolist() == ["yes"] * 6 + [""] * 6
    assert list(joined.samples.aus) == [4]  # what one of them does not know, the composite does not
    assert (joined.array("flow")[6:] == two.array("flow")).all()
    assert (joined.images[:6] == one.images).all()
    assert joined.meta.corpus == "casme2+smic"
    assert joined.meta.licence == "Licence of casme2. Licence of smic."
    assert any(note.startswith("smic: Flow by dis, from onset to apex") for note in joined.meta.notes)
    assert fold_count(joined, DataSettings(protocol="loso")) == 4
    assert joined.meta.movement
    assert str(joined.meta.movement).endswith("the head held still; clips of 100 to 200 frames a second")


def test_a_composite_may_be_joined_again(tmp_path: Path) -> None:
    join([store(tmp_path / "a", "casme2"), store(tmp_path / "b", "smic")], tmp_path / "ab")
    join([Store.open(tmp_path / "ab"), store(tmp_path / "c", "samm")], tmp_path / "abc")
    joined = Store.open(tmp_path / "abc")
    assert set(joined.samples.subject) == {f"{c}/s0{n}" for c in ("casme2", "smic", "samm") for n in (1, 2)}
    assert set(joined.samples.groups["corpus"]) == {"casme2", "smic", "samm"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"labels": LabelSet(("a", "b", "c"))}, r"their classes differ \(a, b, c and negative, positive, surprise\)"),
        ({"flow": replace(FLOW, shape=(9, 9, 3))}, r"their planes differ .*float32 \(9, 9, 3\)"),
        ({"margin": 0.1}, r"their crops differ \(size 8, channels 3, margin 0.1 and"),
        ({"motion": replace(MOTION, flow="farneback")}, r"their flows differ \(Flow by farneback.* and Flow by dis"),
        ({"motion": replace(MOTION, steady=False)}, r"their flows differ"),
        ({"motion": replace(MOTION, magnify=4.0)}, r"their flows differ"),
        ({"soft": True}, r"their soft labels differ \(there are some and there are none\)"),
        ({"corpus": "casme2"}, r"Two of the stores hold the corpus casme2"),
    ],
)
def test_what_does_not_agree_is_said(tmp_path: Path, other: dict[str, object], words: str) -> None:
    one = store(tmp_path / "a", "casme2")
    two = store(tmp_path / "b", **{"corpus": "smic", **other})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=words):
        join([one, two], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_it_needs_two_and_a_place_of_its_own(tmp_path: Path) -> None:
    one, two = store(tmp_path / "a", "casme2"), store(tmp_path / "b", "smic")
    with pytest.raises(DataError, match="needs two stores or more"):
        join([one], tmp_path / "out")
    with pytest.raises(DataError, match="is one of the stores that are joined"):
        join([one, two], tmp_path / "a", force=True)
