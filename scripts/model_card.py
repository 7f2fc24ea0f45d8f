"""Print the tables of docs/model-card.md: model files, each judged on the test part of stores.

    python scripts/model_card.py default ferplus --data STORE --data OTHER

Probabilities are calibrated with the temperature that each file carries. Intervals are at 95 %, over faces. The faces
go through the file itself, so an int8 model is judged as int8. The opening of the test part is noted in the store.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from mien.bundle import Bundle
from mien.card import Figure
from mien.data.splits import Part
from mien.data.store import Store
from mien.export import judge
from mien.runs import Logits

COLUMNS = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1", "ece": "ECE"}


def measured(bundle: Bundle, store: Store) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Figures and the recall of each class on the store's test part."""
    store.log_opening(datetime.now(UTC).isoformat(timespec="seconds"), f"model card: {bundle.card.run}")
    part = Part(store=store, rows=store.rows("test"))
    logits = bundle.logits(part.read())
    return judge(Logits.of(part, logits), bundle.card.labels, bundle.card.temperature)


def cell(figure: Figure) -> str:
    """`0.662 [0.646, 0.677]`."""
    return str(figure).partition(" n=")[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="files, or names of models that come with mien")
    parser.add_argument("--data", action="append", type=Path, required=True, help="a store; may be repeated")
    options = parser.parse_args()
    rows: list[str] = []
    recalls: list[str] = []
    for model in options.models:
        bundle = Bundle.open(model)
        for store in map(Store.open, options.data):
            if store.meta.labels != bundle.card.labels or store.meta.crop.channels != bundle.card.crop.channels:
                parser.error(f"{store.path} does not fit {model}: other labels or colours.")
            figures, recall = measured(bundle, store)
            name = f"{bundle.path.stem} | {store.meta.corpus} | {figures['accuracy'].n:,}"
            rows.append(f"| {name} | {' | '.join(cell(figures[key]) for key in COLUMNS)} |")
            recalls += [
                f"| {bundle.path.stem} | {store.meta.corpus} | {c} | {cell(f)} | {f.n} |" for c, f in recall.items()
            ]
    print(f"| model | labels | n | {' | '.join(COLUMNS.values())} |\n|---|---|---:|{'---:|' * len(COLUMNS)}")
    print("\n".join(rows))
    print("\n| model | labels | class | share of its faces found | n |\n|---|---|---|---:|---:|")
    print("\n".join(recalls))


if __name__ == "__main__":
    main()
