"""YuNet (Wu, Peng, Yu 2023, doi:10.1007/s11633-023-1423-y), twice: compiled into `yuface`, or from an ONNX file.

`yuface` is libfacedetection, by YuNet's author, with its weights inside; `cv2.FaceDetectorYN` runs a YuNet file
that the user has. In: (H, W, 3) RGB. Out: faces with five landmarks; turned, tilted, small and masked ones too.

Of the `yuface` wheel only the library is used: its binding for Python never frees the 36,864 bytes that each call
takes, 740 MB in a video of 20,000 frames.
"""

import ctypes
import os
import threading
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, MissingExtra
from ..reading import GivenPath, given_path
from .face import Face, clear, ordered, shrink

__all__ = ["YufaceDetector", "YunetDetector"]

SURE, SMALLEST = 0.68, 16.0
"""Faces with a lower score or with fewer pixels a side are left out; docs/faces.md gives the effect."""
TO_FACE = 0.97
"""Ratio of the side of FER2013's crops to the height of YuNet's box, which runs from the forehead to the chin."""


LIBRARIES = {
    "libfacedetection.so": "_Z14facedetect_cnnPhS_iii",
    "facedetection.dll": "?facedetect_cnn@@YAPEAHPEAE0HHH@Z",
}
"""`int* facedetect_cnn(unsigned char* result, unsigned char* bgr, int width, int height, int step)` as compilers
name it."""
RESULT_BYTES = 0x9000
"""The library's own size of a result: the number of faces, then a row of 16 shorts each."""
ROW = 16
SMALLEST_PICTURE = 32
"""Pixels a side of the picture that sets the library up."""
_first_call = threading.Lock()
_thread = threading.local()
"""`process` is the one in which this thread last called the library."""


class YufaceDetector:
    """libfacedetection from the `yuface` wheel."""

    name = "yuface"

    def __init__(self, *, side: int = 640, sure: float = SURE, smallest: float = SMALLEST) -> None:
        """Load the library.

        Args:
            side: pictures longer than so many pixels are shrunk to it.
            sure: faces of a lower score are left out.
            smallest: faces whose box has fewer pixels a side are left out.

        Raises `MissingExtra` if `yuface` is not installed.
        """
        self._library, self._find = _load_library()
        self._set_up()
        self._side, self._sure, self._smallest = side, sure, smallest

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process loads the library itself."""
        return partial(YufaceDetector, side=self._side, sure=self._sure, smallest=self._smallest), ()

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """See `FaceDetector.detect`."""
        small, scale = shrink(picture, self._side)
        bgr, result = np.ascontiguousarray(small[..., ::-1]), np.zeros(RESULT_BYTES, np.uint8)
        height, width = bgr.shape[:2]
        self._survive_a_fork()
        self._find(result.ctypes.data, bgr.ctypes.data, width, height, bgr.strides[0])
        count = int(result[:4].view(np.int32)[0])
        rows = result[4 : 4 + 2 * ROW * count].view(np.int16).reshape(count, ROW).astype(np.float64)
        found = [_face(row[1:5], row[5:15], row[0] / 100, scale) for row in rows]
        return ordered(clear(found, self._sure, self._smallest))

    def _set_up(self) -> None:
        """Let the library set up its weights, which it does at its first call.

        After that, threads may call it at the same time: a call only writes to its own result, and to memory that it
        allocates and frees.
        """
        result, dot = np.zeros(RESULT_BYTES, np.uint8), np.zeros((SMALLEST_PICTURE, SMALLEST_PICTURE, 3), np.uint8)
        self._survive_a_fork()
        with _first_call:
            self._find(result.ctypes.data, dot.ctypes.data, SMALLEST_PICTURE, SMALLEST_PICTURE, dot.strides[0])

    def _survive_a_fork(self) -> None:
        """Use one thread in the child of a fork.

        The threads that OpenMP keeps for the forking thread do not exist in the child, and the library would wait for
        them forever. A single thread needs no others.
        """
        if getattr(_thread, "process", os.getpid()) != os.getpid() and hasattr(self._library, "omp_set_num_threads"):
            self._library.omp_set_num_threads(1)
        _thread.process = os.getpid()


def _load_library() -> tuple[ctypes.CDLL, Any]:
    """The library inside the wheel, and its function."""
    spec = find_spec("yuface")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name, function in LIBRARIES.items():
            if (path := Path(folder) / name).is_file():
                library = ctypes.CDLL(str(path))
                find = getattr(library, function)
                find.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int)
                find.restype = ctypes.c_void_p
                return library, find
    raise MissingExtra("The face detector yuface (wheels for CPython up to 3.11)", "faces")


class YunetDetector:
    """A YuNet file run by OpenCV."""

    def __init__(self, path: GivenPath, *, side: int = 640, sure: float = SURE, smallest: float = SMALLEST) -> None:
        """See `YufaceDetector`; raises `DataError` if `path` is not a YuNet file that this OpenCV reads."""
        path = given_path(path, "A YuNet file", DataError)
        self.name = f"yunet={path}"
        self._path, self._side, self._sure, self._smallest = path.resolve(), side, sure, smallest
        self._own = threading.local()  # an opened network has room for one picture
        if not path.is_file():
            raise DataError(f"There is no YuNet file {path}. Give the path of a face_detection_yunet_*.onnx.")
        self._network()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the file itself."""
        limits = {"sure": self._sure, "smallest": self._smallest}
        return partial(YunetDetector, self._path, side=self._side, **limits), ()

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """See `FaceDetector.detect`; raises `DataError` if the file turns out to be another network."""
        small, scale = shrink(picture, self._side)
        network = self._network()
        network.setInputSize((small.shape[1], small.shape[0]))
        try:
            _, rows = network.detect(np.ascontiguousarray(small[..., ::-1]))
        except cv2.error as error:
            raise DataError(f"{self.name} does not work as a YuNet file ({error.err}).") from None
        found: NDArray[np.float64] = np.empty((0, 15)) if rows is None else np.asarray(rows, dtype=np.float64)
        return ordered(clear([_face(row[:4], row[4:14], row[14], scale) for row in found], 0.0, self._smallest))

    def _network(self) -> Any:
        """The network that this thread has opened."""
        if not hasattr(self._own, "network"):
            size = (self._side, self._side)
            try:
                self._own.network = cv2.FaceDetectorYN.create(str(self._path), "", size, score_threshold=self._sure)
            except cv2.error as error:
                raise DataError(f"{self._path} is no YuNet file that this OpenCV reads ({error.err}).") from None
        return self._own.network


def _face(box: NDArray[np.float64], points: NDArray[np.float64], score: float, scale: float) -> Face:
    x, y, width, height = (box / scale).tolist()
    side = TO_FACE * max(width, height)
    square = (x + (width - side) / 2, y + (height - side) / 2, side, side)
    landmarks = (points.reshape(5, 2) / scale).astype(np.float32)
    return Face(box=square, score=float(np.clip(score, 0, 1)), landmarks=landmarks)
