"""The classifier of the PyPI package `fer` behind FastAPI, as a user of both would write it; a side of `serving.py`.

Runs in an environment of its own, in which `fer`, FastAPI and uvicorn are installed. Nothing is tuned: one `FER()` with
its defaults, which are its TFLite network and a Haar cascade, and a route that hands it the picture. FastAPI calls a
route that is no coroutine in a pool of threads, as its documentation wants it for work that blocks.
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from fer.fer import FER

port, faces = int(sys.argv[1]), sys.argv[2]
app = FastAPI()
detector = FER()


@app.post("/v1/predict")
def predict(file: UploadFile) -> list[dict[str, object]]:
    """Expressions of the faces in a picture; with `none` the picture is the face."""
    image = cv2.imdecode(np.frombuffer(file.file.read(), np.uint8), cv2.IMREAD_COLOR)
    whole = [(0, 0, image.shape[1], image.shape[0])] if faces == "none" else None
    found = detector.detect_emotions(image, face_rectangles=whole)
    return [{"box": [int(v) for v in face["box"]], "emotions": face["emotions"]} for face in found]


uvicorn.run(app, port=port, log_level="critical", access_log=False)
