"""Every figure of merit, from saved logits `(N, K)` and labels `(N,)`.

Pure functions of numpy arrays; nothing here knows a network, a run or a file.

    confusion    the confusion matrix, and precision, recall and F1 of each class
    ranking      the ROC curve and the area under it
    table        `METRICS`, the one table that every list of metrics is read from, and `scores`
"""

from .confusion import ClassScores, absent_words, class_scores, confusion_matrix, ratio, weighted
from .ranking import auc_averages, auc_one_vs_rest, auc_pairs, roc_curve
from .table import FROM_0, METRICS, SHARE, Bounds, Metric, Predicted, Scores, metric, parts, scores

__all__ = [
    "FROM_0",
    "METRICS",
    "SHARE",
    "Bounds",
    "ClassScores",
    "Metric",
    "Predicted",
    "Scores",
    "absent_words",
    "auc_averages",
    "auc_one_vs_rest",
    "auc_pairs",
    "class_scores",
    "confusion_matrix",
    "metric",
    "parts",
    "ratio",
    "roc_curve",
    "scores",
    "weighted",
]
