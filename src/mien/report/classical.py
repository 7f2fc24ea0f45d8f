"""Classical methods in words, from the settings of their runs: the descriptor, the classifier, what the seed draws."""

from collections.abc import Iterator

from ..compare import Comparison
from ..config import FeaturesSettings, FeaturesTable
from ..words import listed, many, number
from .settings_words import SettingsWords

__all__ = ["classical_words"]

CLASSIFIERS = {
    "linear-svm": "a linear support vector machine (Cortes & Vapnik 1995), one class against the others, squared hinge",
    "rbf-svm": "a support vector machine with a Gaussian kernel (Cortes & Vapnik 1995), one class against the others, "
    "squared hinge",
    "logistic": "multinomial logistic regression",
    "ridge": "ridge regression on ±1 a class in closed form (Hoerl & Kennard 1970)",
    "centroid": "the nearest class centroid, by distance in deviations within the classes",
}


def classical_words(comparison: Comparison, settings: SettingsWords) -> Iterator[str]:
    """Nothing where the comparison has none."""
    settings.asked |= {key for key in FeaturesSettings().flat() if key.startswith(f"{FeaturesTable.TABLE}.")}
    found = dict.fromkeys(
        (row.name, run.settings.features)
        for row in comparison.rows
        for run in row.runs[:1]
        if isinstance(run.settings, FeaturesSettings)
    )
    if not found:
        return
    yield f"{many(len(found), 'classical method')} stood beside: no part of it was trained by gradients in mien's loop."
    for name, table in found:
        yield f"{name}: {_descriptor(table)}; {_classifier(table)}."
    yield (
        "Faces were grey, flow and clips as they are, without augmentation; each number was brought to mean 0 and "
        "deviation 1 over the training part. Their decision values stand as logits, and the one temperature fitted on "
        "validation scales them to probabilities."
    )
    if any(table.random for _, table in found):
        yield "The seed draws the landmarks of a kernel; the other methods have no randomness and were fitted once."
    else:
        yield "They have no randomness, and were fitted once."


def _descriptor(table: FeaturesTable) -> str:
    words = {
        "hog": f"histograms of {table.hog_orientations} oriented gradients in cells of {table.hog_cell} pixels and "
        "blocks of 2 × 2 cells (Dalal & Triggs 2005)",
        "lbp": f"histograms of uniform local binary patterns ({table.lbp_points} points, radius {table.lbp_radius}, "
        f"{table.lbp_grid} × {table.lbp_grid} parts; Ahonen et al. 2006)",
        "pixels": "grey levels" if table.plane == "face" else f"all numbers of the plane {table.plane}",
        "hoof": f"histograms of {table.flow_bins} directions of flow in {table.flow_grid} × {table.flow_grid} parts "
        "(HOOF; Chaudhry et al. 2009)",
        "bi-woof": f"histograms of {table.flow_bins} directions of flow in {table.flow_grid} × {table.flow_grid} "
        "parts, weighed by strain (Bi-WOOF; Liong et al. 2018)",
        "mdmo": f"main directional mean flow of {table.flow_grid} × {table.flow_grid} parts (MDMO; Liu et al. 2016)",
        "lbp-top": f"histograms of uniform local binary patterns on three orthogonal planes of the clip "
        f"({table.lbp_points} points, radius {table.lbp_radius} in space and {table.lbp_time} in time, "
        f"{table.lbp_grid} × {table.lbp_grid} parts; LBP-TOP, Zhao & Pietikäinen 2007)",
    }
    joined = listed(words[name] for name in table.descriptor.split("+"))
    reduced = f", brought to {table.components} principal components (Turk & Pentland 1991)" if table.components else ""
    return joined + reduced


def _classifier(table: FeaturesTable) -> str:
    kernel = (
        f", gamma {number(table.gamma)} over the number of features, approximated by {table.landmarks:,} training "
        "faces (Williams & Seeger 2001)"
    )
    weight = "" if table.classifier == "centroid" else f", C {number(table.c)}"
    return CLASSIFIERS[table.classifier] + weight + kernel * (table.classifier == "rbf-svm")
