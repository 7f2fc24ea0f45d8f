"""The settings of the classical methods: a descriptor of the face, and a classifier on it.

Parameters of an unused part have no effect; the parameters of HOG, for example, in a row of LBP.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from .tables import Table
from .within import Letters, Within

__all__ = ["FeaturesTable"]


@dataclass(frozen=True, kw_only=True)
class FeaturesTable(Table):
    """The descriptor that makes a vector of features, and the classifier of the vectors."""

    TABLE = "features"

    descriptor: Literal["hog", "lbp", "hog+lbp", "pixels", "hoof", "bi-woof", "mdmo", "lbp-top"] = "hog"
    """Histograms of oriented gradients, of local binary patterns, both joined, or the grey levels themselves. Of flow:
    `pixels`, histograms of its directions (`hoof`), weighed by strain (`bi-woof`), or main directions (`mdmo`). Of
    frames: local binary patterns on three planes (`lbp-top`)."""
    plane: Annotated[str, Letters(32)] = "face"
    """The plane that is described. `pixels` of a plane of flow are its numbers in all channels."""
    classifier: Literal["linear-svm", "rbf-svm", "logistic", "ridge", "centroid"] = "linear-svm"
    """`rbf-svm` is a linear one on a Nyström approximation of the kernel; `ridge` is solved in closed form."""
    components: Annotated[int, Within(0, 10_000, log=True)] = 0
    """Number of principal components to which the descriptor is reduced, at most its own length. 0 keeps it as it
    is.
    """
    c: Annotated[float, Within(1e-6, 1e6, log=True)] = 1.0
    """Weight of an error on a training face relative to the penalty on the weights: scikit-learn's `C`; for `ridge`,
    one over its penalty. Not for `centroid`.
    """
    gamma: Annotated[float, Within(1e-3, 1e3, log=True)] = 1.0
    """For `rbf-svm`: gamma of the kernel, in units of one over the number of features (scikit-learn's "scale")."""
    landmarks: Annotated[int, Within(1, 20_000, log=True)] = 2000
    """For `rbf-svm`: number of training faces, drawn by the seed, that approximate the kernel; at most all of them."""
    hog_cell: Annotated[int, Within(2, 256, log=True)] = 8
    """Side of a cell of HOG in pixels; a block is 2 × 2 cells."""
    hog_orientations: Annotated[int, Within(2, 32)] = 9
    """Number of directions of HOG, over 180 degrees."""
    lbp_radius: Annotated[int, Within(1, 16)] = 1
    """Distance of a pixel's neighbours in LBP, in pixels."""
    lbp_points: Annotated[int, Within(4, 16)] = 8
    """Neighbours in LBP. The uniform patterns of 8 are 58, and one bin holds all others."""
    lbp_grid: Annotated[int, Within(1, 32)] = 6
    """LBP has a histogram for each of `lbp_grid` × `lbp_grid` parts of the face."""
    lbp_time: Annotated[int, Within(1, 16)] = 4
    """For `lbp-top`: distance of a pixel's neighbours in time, in frames."""

    flow_grid: Annotated[int, Within(1, 32)] = 7
    """The descriptors of flow divide it into `flow_grid` × `flow_grid` parts."""
    flow_bins: Annotated[int, Within(2, 64)] = 8
    """Number of directions of the descriptors of flow, over 360 degrees."""

    @property
    def name(self) -> str:
        """Name of the row: `hog-linear-svm`, `pixels-pca-logistic`."""
        reduced = "-pca" if self.components else ""
        of = "" if self.plane == "face" else f"{self.plane}-"
        return f"{of}{self.descriptor.replace('+', '-')}{reduced}-{self.classifier}"

    @property
    def random(self) -> bool:
        """Whether the seed draws a part of it."""
        return self.classifier == "rbf-svm"
