"""Which parts of the recipe `fast` pay? One part left out or changed at a time, judged on the validation part.

    python benchmarks/ablation.py --data STORE --runs runs/ablation
    python benchmarks/ablation.py --data STORE --runs runs/ablation --set model.name=compact-s --set train.epochs=12

Prints a Markdown table. Each variant is trained with the same seeds as the recipe itself. The difference in accuracy
is on the faces of the validation part, which no weight was fitted to; its 95 % interval is over these faces and the
seeds together (`mien.statistics`), and p is corrected for the number of variants (Holm). The test part plays no role
here. The same command again goes on where it was stopped.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import conditions, table

from mien.cli.watch import watch
from mien.compare import plan
from mien.config import Recipe, parse_overrides, read_recipe
from mien.data.store import Store
from mien.engines import find_engine
from mien.errors import MienError
from mien.runs import Run
from mien.statistics import Verdict, compare_pair, holm

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "growing pictures, 32 → 40 → 48": {"train.sizes": [32, 40, 48]},
    "averaged weights, 0.998": {"optimizer.ema": 0.998},
    "hard labels": {"loss.soft_labels": False},
    "hard labels, smoothed by 0.1": {"loss.soft_labels": False, "loss.label_smoothing": 0.1},
    "no test-time flip": {"model.mirror": False},
    "alternating flip, not by a coin": {"augment.alternate": True},
    "twice the augmentation": {
        "augment.shift": 4.0,
        "augment.rotation": 10.0,
        "augment.scale": 0.1,
        "augment.contrast": 0.2,
    },
    "cutout of 12 px": {"augment.cutout": 12},
    "Dirac initial weights": {"model.init": "dirac"},
    "AdamW, 3e-3": {"optimizer.name": "adamw", "optimizer.lr": 3e-3, "optimizer.weight_decay": 0.05},
    "cosine, not linear, fall": {"optimizer.schedule": "cosine"},
}


def train(recipe: Recipe, variants: Sequence[str], store: Store, folder: Path) -> dict[str, list[Run]]:
    """Finished runs of the recipe, under "", and of each variant, a seed each."""
    planned = {"": plan(recipe, store, folder)}
    for name in variants:
        planned[name] = plan(recipe.changed(VARIANTS[name]), store, folder)
    every = [run for runs in planned.values() for run in runs]
    with watch(every) as progress:
        find_engine().finish(every, progress)
    return planned


def judge(base: Sequence[Run], runs: Sequence[Run]) -> Verdict:
    """The variant less the recipe, on the validation part."""
    ours, theirs = ([run.logits("valid") for run in group] for group in (runs, base))
    stacked = [np.stack([one.logits for one in group]) for group in (ours, theirs)]
    return compare_pair(*stacked, ours[0].labels, np.random.default_rng(0))


def line(name: str, runs: Sequence[Run], verdict: Verdict | None, corrected: float) -> list[str]:
    """One line of the table."""
    accuracy = np.mean([run.history[-1].valid_accuracy for run in runs])
    seconds = np.mean([run.record.costs.train_seconds for run in runs])
    if verdict is None:
        return [name, f"{100 * accuracy:.1f}", "", "", f"{seconds:.0f}"]
    low, high = 100 * verdict.interval.low, 100 * verdict.interval.high
    effect = f"{100 * verdict.effect:+.1f} [{low:+.1f}, {high:+.1f}]"
    return [name, f"{100 * accuracy:.1f}", effect, f"{corrected:.3f}", f"{seconds:.0f}"]


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a store")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes", help="KEY=VALUE, for all variants")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    options = parser.parse_args()
    store = Store.open(options.data)
    changes = parse_overrides(options.changes) | {"seed": list(range(options.seeds))}
    runs = train(read_recipe(options.recipe).changed(changes), options.variants, store, options.runs)
    verdicts = {name: judge(runs[""], runs[name]) for name in options.variants}
    corrected = holm([verdict.p for verdict in verdicts.values()]).tolist()
    n, settings = runs[""][0].data.counts["valid"], runs[""][0].settings
    recipe = f"{options.recipe}, {settings.model.name}, {settings.train.epochs} epochs, {options.seeds} seeds"
    heads = (recipe, f"valid accuracy, % (n = {n:,})", "difference, points", "corrected p", "training, s")
    lines = [line(name, runs[name], verdicts[name], p) for name, p in zip(verdicts, corrected, strict=True)]
    print(table(heads, [line("as it is", runs[""], None, 1.0), *lines]))
    told = f"n: {n:,} validation faces of {store.meta.corpus} {store.meta.sha256[:8]}, {options.seeds} seeds."
    print(f"\n{conditions(('mien', 'torch', 'numpy'), n=told)}")


if __name__ == "__main__":
    try:
        main()
    except MienError as error:
        sys.exit(f"ablation: {error}")
