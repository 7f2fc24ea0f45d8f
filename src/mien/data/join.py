"""Joins stores into one composite, as MEGC-2019 joins CASME II, SAMM and SMIC (See 2019, FG).

In: stores of the same classes, planes and crop. Out: a new store with all their samples, in the order given. A subject
is `corpus/subject`, so that `s01` of two corpora are two people, and the corpus is a group by which parts are reported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import reduce
from itertools import chain

from ..errors import DataError
from ..movement import Movement
from ..planes import Batch, one_by_one
from ..progress import track
from ..reading import GivenPath, given_path
from .samples import Sample
from .store import Meta, Store, create_store

__all__ = ["CORPUS", "join"]

CORPUS = "corpus"
"""The group that names the corpus of a sample."""


def join(stores: Sequence[Store], out: GivenPath, *, force: bool = False) -> Meta:
    """Write the samples of `stores` as one store at `out`, whole or not at all.

    Raises `DataError` if there are fewer than two, if their classes, planes, crops or soft labels differ, if two hold
    the same corpus, or if `out` cannot be written.
    """
    out = given_path(out, "A store", DataError)
    _check(stores)
    for store in stores:
        if out.resolve() == store.path.resolve():
            raise DataError(f"{out} is one of the stores that are joined. Choose another --out.")
    first = stores[0]
    with create_store(out, first.labels, first.meta.crop, planes=first.others, replace=force) as writer:
        count = sum(map(len, stores))
        for sample, planes in track(_samples(stores), "Joining", count):
            writer.add(sample, **planes)
        return writer.finish(
            corpus="+".join(store.meta.corpus for store in stores),
            licence=" ".join(dict.fromkeys(store.meta.licence for store in stores)),
            notes=[note for store in stores for note in _notes(store)],
            skipped=sum(store.meta.skipped for store in stores),
            skipped_examples=[f"{s.meta.corpus}: {text}" for s in stores for text in s.meta.skipped_examples],
            movement=_movement(stores),
            taught=any(store.meta.taught for store in stores),
        )


def _samples(stores: Sequence[Store]) -> Iterator[tuple[Sample, Batch]]:
    groups = list(dict.fromkeys([CORPUS, *(name for store in stores for name in store.samples.groups)]))
    aus = [au for au in stores[0].samples.aus if all(au in store.samples.aus for store in stores)]
    for store in stores:
        joined = CORPUS in store.samples.groups
        planes = chain.from_iterable(map(one_by_one, store.iter_batches(tuple(store.planes))))
        for sample, arrays in zip(store.iter_samples(), planes, strict=True):
            corpus = sample.groups[CORPUS] if joined else store.meta.corpus
            known = {**sample.groups, CORPUS: corpus}
            subject = sample.subject if joined else f"{corpus}/{sample.subject}" if sample.subject else ""
            yield (
                replace(
                    sample,
                    subject=subject,
                    source=f"{corpus}: {sample.source}",
                    groups={name: known.get(name, "") for name in groups},
                    aus={au: sample.aus[au] for au in aus},
                ),
                arrays,
            )


def _notes(store: Store) -> list[str]:
    name = store.meta.corpus
    head = f"{name}: {len(store)} samples of the store {store.meta.sha256[:16]}."
    return [head, *(f"{name}: {note}" for note in store.meta.notes)]


def _check(stores: Sequence[Store]) -> None:
    if len(stores) < 2:
        raise DataError("Joining needs two stores or more: mien data join STORE STORE --out OUT.")
    first = stores[0]
    for store in stores[1:]:
        for what, seen, expected in (
            ("classes", list(store.meta.labels), list(first.meta.labels)),
            ("planes", _planes(store), _planes(first)),
            ("crops", asdict(store.meta.crop), asdict(first.meta.crop)),
            ("flows", _made(store), _made(first)),
            ("soft labels", store.samples.soft is not None, first.samples.soft is not None),
        ):
            if seen != expected:
                raise DataError(
                    f"{store.path} cannot be joined with {first.path}: their {what} differ ({_words(seen)} and "
                    f"{_words(expected)}). Prepare both alike."
                )
    names = [store.meta.corpus for store in stores]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"Two of the stores hold the corpus {twice[0]}, so their subjects cannot be told apart. Join each corpus "
            "once."
        )


def _planes(store: Store) -> list[str]:
    return [f"{plane.name} {plane.kind} {plane}" for plane in store.planes.values()]


def _made(store: Store) -> str:
    """The method of its flow, without the frame rate."""
    return store.meta.movement.flow_words if store.meta.movement else "none of clips"


def _movement(stores: Sequence[Store]) -> Movement | None:
    """The flow method of all clips together."""
    found = [store.meta.movement for store in stores if store.meta.movement]
    return reduce(Movement.together, found) if found else None


def _words(seen: object) -> str:
    if isinstance(seen, bool):
        return "there are some" if seen else "there are none"
    if isinstance(seen, dict):
        return ", ".join(f"{name} {value}" for name, value in seen.items())
    return ", ".join(map(str, seen)) or "none" if isinstance(seen, list) else str(seen)
