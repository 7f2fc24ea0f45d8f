"""Which faces does a model get wrong though people agree on them? Prints shares, and writes a page of the faces.

    python scripts/failures.py default --data STORE --out failures.html

The faces are of the validation part that a training on this store carves off, which fits no weight and gives no
published figure. People agree on a
face where its own label has at least `--clear` of the store's distribution: 0.9, where FER2013's label counts as 30
votes, says that six or more of FER+'s ten annotators gave the same. The most confident mistakes stand first.
"""

import argparse
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.atomic import write_text
from mien.bundle import Bundle
from mien.calibration import softmax, wilson
from mien.config import NetworkSettings
from mien.data.gallery import page, picture
from mien.data.splits import Part, divide
from mien.data.store import Store
from mien.errors import MienError


def share(name: str, right: NDArray[np.bool_]) -> str:
    """`people agree: 0.894 [0.878, 0.908] n=1707`, or that there are none."""
    if not len(right):
        return f"{name}: no faces"
    low, high = wilson(int(right.sum()), len(right))
    return f"{name}: {right.mean():.3f} [{float(low):.3f}, {float(high):.3f}] n={len(right)}"


def faces(part: Part, rows: NDArray[np.int64], said: NDArray[np.int64], sure: NDArray[np.float64]) -> str:
    """The faces at `rows` of the part, each with its label and what the model says."""
    names = part.store.meta.labels
    shown = "".join(
        f"<figure>{picture(part.store, int(part.rows[i]))}<figcaption>labelled {escape(names[part.labels[i]])}<br>"
        f"said {escape(names[said[i]])} {sure[i]:.0%}</figcaption></figure>"
        for i in rows
    )
    return f'<p>{escape(part.store.meta.licence)}</p><div class="group">{shown}</div>'


def main() -> None:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a file, or the name of a model that comes with mien")
    parser.add_argument("--data", type=Path, required=True, help="a store with distributions")
    parser.add_argument("--clear", type=float, default=0.9, help="share that makes a label agreed on")
    parser.add_argument("--shown", type=int, default=60, help="faces on the page")
    parser.add_argument("--out", type=Path, help="the page to write")
    options = parser.parse_args()
    try:
        bundle, store = Bundle.open(options.model), Store.open(options.data)
    except MienError as error:
        parser.error(str(error))
    part = divide(store, NetworkSettings().data).valid
    if store.meta.labels != bundle.card.labels or store.meta.crop.channels != bundle.card.crop.channels:
        parser.error(f"{store.path} does not fit {options.model}: other labels or colours.")
    if part.soft is None:
        parser.error(f"{store.path} has no distributions; a store of FER+ has: mien data prepare --corpus ferplus.")
    probabilities = softmax(bundle.logits(part.read()) / bundle.card.temperature)
    said, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = said == part.labels
    agreed = part.soft[np.arange(len(part)), part.labels] >= options.clear - 1e-6
    print(share("people agree", right[agreed]), share("the others", right[~agreed]), sep="\n")
    if options.out:
        wrong = np.flatnonzero(agreed & ~right)
        first = wrong[np.argsort(-sure[wrong])][: options.shown]
        title = f"{bundle.path.stem}: {len(first)} of {len(wrong)} mistakes where people agree"
        write_text(options.out, page(title, faces(part, first, said, sure)))


if __name__ == "__main__":
    main()
