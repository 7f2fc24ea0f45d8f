"""Label sets: names are mapped in the open, or refused with the list."""

import pytest

from mien.errors import LabelError
from mien.labels import EIGHT, SEVEN, LabelSet, canonical_name


def test_fer2013_names_map_to_the_seven_in_their_own_order() -> None:
    fer = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    translation = SEVEN.translate(fer)
    named = [SEVEN.names[i] for i in translation.index if i is not None]
    assert named == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert translation.dropped == ()


def test_contempt_is_dropped_from_seven_and_kept_in_eight() -> None:
    names = (*SEVEN.names, "Contempt")
    assert SEVEN.translate(names).dropped == ("Contempt",)
    assert SEVEN.translate(names).index[-1] is None
    assert EIGHT.translate(names).index == tuple(range(8))


def test_classes_that_cannot_be_mapped_are_listed() -> None:
    with pytest.raises(LabelError, match=r"\['bored', 'others'\].*--labels own"):
        SEVEN.translate(["happy", "bored", "others"])


def test_two_names_for_one_class_are_refused() -> None:
    with pytest.raises(LabelError, match="happiness"):
        SEVEN.translate(["happy", "joy", "sad"])


@pytest.mark.parametrize(("said", "meant"), [(" Happy", "happiness"), ("SAD", "sadness"), ("odd", "odd")])
def test_canonical_name(said: str, meant: str) -> None:
    assert canonical_name(said) == meant


def test_index_understands_synonyms_of_a_corpus_own_names() -> None:
    own = LabelSet(("happy", "others", "Sad"))
    assert [own.index(name) for name in ("happy", "happiness", "others", "Sad", "sadness")] == [0, 0, 1, 2, 2]
    with pytest.raises(LabelError, match="happy, others, Sad"):
        own.index("fear")


@pytest.mark.parametrize("names", [(), ("one",), ("a", "a")])
def test_a_label_set_needs_two_different_names(names: tuple[str, ...]) -> None:
    with pytest.raises(LabelError):
        LabelSet(names)
