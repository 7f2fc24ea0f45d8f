"""The classifier of the PyPI package `fer`, called as the package calls it; a side of `prediction.py`.

Runs in an environment of its own, in which `fer` is installed. In: ready crops. Out: probabilities, in its order of
classes. From a grey crop on, everything is `FER.detect_emotions`' own: to 64 px, to -1 … 1, `_classify_emotions`.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Turns
from prediction import serve

KINDS = ("tflite", "keras")
PACKAGES = ("fer", "tensorflow-cpu", "keras", "numpy")


def classifier(kind: str, threads: int) -> tuple[Callable[[Any], Any], list[str]]:
    """A function from grey crops `(B, 48, 48)` uint8 to probabilities, and the names of its classes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import cv2
    import tensorflow
    from fer.fer import FER

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    cv2.setNumThreads(threads)
    if kind == "tflite":  # the package takes an interpreter that is there already; its own has one thread
        FER._tflite_interpreter_cache = interpreter(threads)
    package = FER(use_tflite=kind == "tflite")
    side = package._FER__emotion_target_size

    def classify(faces: Any) -> Any:
        grey = np.array([cv2.resize(face, side) for face in faces], dtype="float32")
        return np.asarray(package._classify_emotions((grey / 255.0 - 0.5) * 2.0))

    return classify, list(FER._get_labels().values())


def interpreter(threads: int) -> Any:
    """The package's network in TensorFlow Lite with so many threads."""
    from importlib import resources

    import tensorflow

    model = resources.files("fer") / "data" / "emotion_model_quantized.tflite"
    found = tensorflow.lite.Interpreter(model_path=str(model), num_threads=threads)
    found.allocate_tensors()
    return found


def main() -> None:
    """Serve one kind of its classifiers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("faces", help="(N, 48, 48, 3) uint8 as .npy")
    parser.add_argument("threads", type=int)
    parser.add_argument("answers", help="where the probabilities go at the end")
    options = parser.parse_args()
    turns = Turns()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    import cv2

    faces = np.load(options.faces, allow_pickle=False)
    grey = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces])
    classify, names = classifier(options.kind, options.threads)
    serve(turns, classify, grey, names, options.answers, PACKAGES)


if __name__ == "__main__":
    main()
