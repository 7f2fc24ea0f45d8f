"""Write into the cards of model files how often they find expressions, by groups of people, and print the table.

    python scripts/card_people.py default small ferplus --data STORE --source WORDS --finding WORDS

STORE holds a set that tests alone (`mien data prepare … --split test --group gender …`); groups of fewer people than
`mien evaluate` judges are left out. The network of a file stays as it is, byte for byte; its card, and so its hash, is
another. Intervals are Wilson's at 95 %, over faces. The opening of the test is noted in the store.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.atomic import write_bytes
from mien.bundle import Bundle, with_card
from mien.card import Figure, People
from mien.data.store import Store
from mien.examine.groups import MIN_SUBJECTS
from mien.examine.models import answered, common_classes, faces_of
from mien.export import recalls
from mien.runs import Logits

EVERYBODY = "all"


def measured(bundle: Bundle, store: Store) -> dict[str, dict[str, Figure]]:
    """By group, then by class: the share of the class's test faces that is found, among all of the model's classes."""
    common = common_classes({bundle.path.stem: bundle}, store)
    if len(common.of_store) < len(bundle.labels):
        raise SystemExit(f"{store.path} lacks classes of {bundle.path.name}: prepare it with the model's label set.")
    store.log_opening(datetime.now(UTC).isoformat(timespec="seconds"), f"card by group: {bundle.card.run}")
    row = answered(bundle.path.stem, bundle, store, faces_of(store, "test", common), common)
    return {name: _recalls(row.answers, mask, store.meta.labels) for name, mask in _groups(row.answers)}


def _groups(faces: Logits) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The groups that are large enough, and everybody, as masks `(n,)`."""
    yield EVERYBODY, np.ones(len(faces.labels), np.bool_)
    for attribute, column in faces.groups.items():
        for level in sorted(set(column[column != ""].tolist())):
            mask = column == level
            if len(np.unique(faces.subjects[mask])) >= MIN_SUBJECTS:
                yield f"{attribute}: {level}", mask


def _recalls(faces: Logits, mask: NDArray[np.bool_], names: tuple[str, ...]) -> dict[str, Figure]:
    return recalls(faces.labels[mask], faces.logits[mask], names)


def table(found: dict[str, dict[str, dict[str, Figure]]]) -> str:
    """Groups down, models and classes across, in Markdown."""
    first = next(iter(found.values()))
    classes = list(first[EVERYBODY])
    heads = [f"`{model}`, {name}" for name in classes for model in found]
    lines = [f"| group | n | {' | '.join(heads)} |", f"| --- | ---: |{' ---: |' * len(heads)}"]
    for group, recall in first.items():
        cells = [str(found[model][group][name]).partition(" n=")[0] for name in classes for model in found]
        lines.append(f"| {group} | {recall[classes[0]].n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="files, or names of models that come with mien; they are written")
    parser.add_argument("--data", type=Path, required=True, help="the store")
    parser.add_argument("--source", required=True, help="the set, its people and its terms, for the card")
    parser.add_argument("--finding", action="append", default=[], help="a sentence on what the figures show")
    options = parser.parse_args()
    store, found = Store.open(options.data), {}
    for name in options.models:
        bundle = Bundle.open(name)
        found[bundle.path.stem] = recall = measured(bundle, store)
        people = People(source=options.source, recall=recall, findings=tuple(options.finding))
        write_bytes(bundle.path, with_card(bundle.path.read_bytes(), replace(bundle.card, people=people)))
    print(table(found))


if __name__ == "__main__":
    main()
