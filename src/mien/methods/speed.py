"""The speed of prediction, measured by repeating the same call for some seconds."""

import time
from collections.abc import Callable

__all__ = ["PREDICT_BATCH", "predict_speed"]

PREDICT_BATCH = 64
"""Faces that are predicted together when speed and memory are measured."""
PREDICT_SECONDS = 2.0


def predict_speed(predict: Callable[[], object], faces: int) -> float:
    """Faces a second of a function that predicts this number of faces; its first call is not counted."""
    predict()
    started, rounds = time.monotonic(), 0
    while time.monotonic() - started < PREDICT_SECONDS:
        predict()
        rounds += 1
    return round(rounds * faces / (time.monotonic() - started), 1)
