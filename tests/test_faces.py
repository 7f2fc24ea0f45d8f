"""Detectors: one kind of box, each face once, from left to right, in pictures of any size."""

import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.drawn import draw_face, draw_scene
from mien.errors import ConfigError, DataError, MissingExtra
from mien.faces import Face, FaceDetector, find_detector, overlap
from mien.faces.face import ordered, shrink
from mien.faces.haar import HaarDetector
from mien.faces.yunet import YunetDetector

SCENE = draw_scene(6, seed=3, height=480, width=640)


def _detector(name: str) -> FaceDetector:
    if name == "yuface":
        pytest.importorskip("yuface", reason="there is no wheel of yuface here")
    return find_detector(name)


def _found(faces: list[Face], boxes: NDArray[np.float32]) -> int:
    return sum(any(overlap(f.box, tuple(box)) >= 0.4 for f in faces) for box in boxes.tolist())


@pytest.mark.parametrize(("name", "least"), [("haar", 3), ("yuface", 6)])
def test_finds_drawn_faces_with_square_boxes_in_order(name: str, least: int) -> None:
    faces = _detector(name).detect(SCENE.image)
    assert _found(faces, SCENE.boxes) >= least
    assert all(f.box[2] == f.box[3] and 0 <= f.score <= 1 for f in faces)
    centres = [f.box[0] + f.box[2] / 2 for f in faces]
    assert centres == sorted(centres)


def test_yuface_says_what_its_own_binding_says() -> None:
    detector = _detector("yuface")
    from yuface.yuface import detect

    rows = np.asarray(detect(np.ascontiguousarray(SCENE.image[..., ::-1]))).astype(float)
    rows = sorted((row for row in rows.tolist() if row[0] >= 60), key=lambda row: row[1] + row[3] / 2)
    found = detector.detect(SCENE.image)
    assert [face.score for face in found] == pytest.approx([row[0] / 100 for row in rows])
    assert [face.box[0] + face.box[2] / 2 for face in found] == pytest.approx([row[1] + row[3] / 2 for row in rows])
    assert [face.landmarks.tolist() for face in found] == [np.reshape(row[5:15], (5, 2)).tolist() for row in rows]  # type: ignore[union-attr]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident set is read from /proc")
@pytest.mark.parametrize("name", ["haar", "yuface"])
def test_a_detector_keeps_no_memory(name: str) -> None:
    detector, picture = _detector(name), np.full((48, 48, 3), 90, dtype=np.uint8)

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    for _ in range(50):
        detector.detect(picture)
    before = pages()
    for _ in range(600):
        detector.detect(picture)
    assert (pages() - before) * resource.getpagesize() < 8 << 20


def test_landmarks_of_yuface_fall_on_the_drawn_ones() -> None:
    face = draw_face(3, "neutral", seed=0, index=3, size=256)
    (found,) = _detector("yuface").detect(face.image)
    assert found.landmarks is not None
    assert found.landmarks.shape == (5, 2)
    assert found.landmarks.dtype == np.float32
    assert np.abs(found.landmarks - face.landmarks).max() < 0.09 * 256


def test_haar_and_yuface_give_the_same_kind_of_box() -> None:
    one, two = _detector("haar"), _detector("yuface")
    sizes = []
    for index in range(12):
        image = draw_face(index, "neutral", seed=0, index=index, size=256).image
        padded = cv2.copyMakeBorder(image, 64, 64, 64, 64, cv2.BORDER_REPLICATE)
        found = one.detect(padded), two.detect(padded)
        if all(len(faces) == 1 for faces in found):
            assert overlap(found[0][0].box, found[1][0].box) > 0.45
            sizes.append(found[0][0].box[2] / found[1][0].box[2])
    assert len(sizes) > 5
    assert 0.85 < np.median(sizes) < 1.25


@pytest.mark.parametrize("name", ["haar", "yuface"])
def test_boxes_of_a_shrunk_picture_are_those_of_the_picture(name: str) -> None:
    detector = _detector(name)
    face = draw_face(8, "neutral", seed=0, index=8, size=192).image
    image = cv2.copyMakeBorder(face, 64, 64, 64, 64, cv2.BORDER_REPLICATE)
    large = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    small, big = detector.detect(image), detector.detect(large)
    assert len(small) == len(big) == 1
    x, y, width, height = small[0].box
    assert overlap((4 * x, 4 * y, 4 * width, 4 * height), big[0].box) > 0.7


@pytest.mark.parametrize("name", ["haar", "yuface"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (17, 17)])
def test_slivers_hold_no_face(name: str, shape: tuple[int, int]) -> None:
    assert _detector(name).detect(np.full((*shape, 3), 128, dtype=np.uint8)) == []


@pytest.mark.parametrize("name", ["haar", "yuface", "none"])
@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 4), (0, 9, 3)])
def test_what_is_no_rgb_picture_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"uint8 \(H, W, 3\)"):
        _detector(name).detect(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("name", ["haar", "yuface"])
def test_threads_share_a_detector(name: str) -> None:
    detector = _detector(name)
    pictures = [draw_scene(3, seed=seed, height=240, width=320).image for seed in range(4)] * 2
    alone = [[f.box for f in detector.detect(picture)] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = [[f.box for f in faces] for faces in pool.map(detector.detect, pictures)]
    assert together == alone


@pytest.mark.long
@pytest.mark.parametrize("name", ["haar", "yuface"])
def test_threads_find_in_1000_pictures_what_one_thread_finds(name: str) -> None:
    """No lock is held while a detector works; positions, scores and landmarks are equal to the last bit."""
    detector = _detector(name)

    def told(seed: int) -> list[tuple[object, ...]]:
        faces = detector.detect(draw_scene(1 + seed % 4, seed=seed, height=240, width=320).image)
        marks = (None if face.landmarks is None else face.landmarks.tolist() for face in faces)
        return [(face.box, face.score, mark) for face, mark in zip(faces, marks, strict=True)]

    alone = [told(seed) for seed in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(told, range(1000)))
    assert together == alone
    assert sum(map(len, alone)) > 500


def test_none_takes_the_whole_picture() -> None:
    (face,) = find_detector("none").detect(np.zeros((30, 50, 3), dtype=np.uint8))
    assert face.box == (0, 0, 50, 30)
    assert face.landmarks is None


def test_of_boxes_on_one_face_the_surest_stays() -> None:
    boxes = [(0, 0, 10, 10, 0.3), (1, 1, 10, 10, 0.9), (3, 3, 4, 4, 0.5), (30, 0, 8, 8, 0.2), (-20, 5, 9, 9, 0.1)]
    kept = ordered([Face(box=(x, y, w, h), score=s) for x, y, w, h, s in boxes])
    assert [face.score for face in kept] == [0.1, 0.9, 0.2]


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 2, 2), (1, 1, 2, 2)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 2, 2), (5, 5, 2, 2)) == 0
    assert overlap((1, 2, 3, 4), (1, 2, 3, 4)) == 1


def test_shrinking_keeps_the_ratio_and_never_enlarges() -> None:
    picture = np.zeros((100, 400, 3), dtype=np.uint8)
    small, scale = shrink(picture, 80)
    assert small.shape == (20, 80, 3)
    assert scale == pytest.approx(0.2)
    assert shrink(picture, 400)[0] is picture


def test_the_default_is_yuface_where_it_is_and_else_haar(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yuface", reason="there is no wheel of yuface here")
    assert find_detector().name == "yuface"
    monkeypatch.setitem(sys.modules, "yuface", None)
    assert find_detector("default").name == "haar"
    with pytest.raises(MissingExtra, match=r"mien\[faces\]"):
        find_detector("yuface")


def test_an_opencv_without_cascades_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.faces.haar.CASCADE", "absent.xml")
    with pytest.raises(MissingExtra, match="Haar cascades"):
        HaarDetector()


def test_unknown_names_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'mtcnn'.*haar"):
        find_detector("mtcnn")
    with pytest.raises(DataError, match="no YuNet file"):
        find_detector(f"yunet={tmp_path / 'absent.onnx'}")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(DataError, match="no YuNet file that"):
        find_detector(f"yunet={tmp_path / 'text.onnx'}")


def test_a_yunet_file_is_read_as_opencv_documents_it(tmp_path: Path) -> None:
    """A made network of YuNet's outputs for 64 x 64 pixels that always sees one face in cell (3, 2) of stride 8."""
    _made_yunet(tmp_path / "yunet.onnx", row=2, column=3)
    detector = YunetDetector(tmp_path / "yunet.onnx", side=64)
    (face,) = detector.detect(np.full((128, 128, 3), 90, dtype=np.uint8))
    height = 2 * 8 * np.exp(1.0)  # the picture was shrunk by half
    assert face.box[2] == face.box[3] == pytest.approx(0.97 * height, rel=1e-3)
    assert (face.box[0] + face.box[2] / 2, face.box[1] + face.box[3] / 2) == pytest.approx((48, 32), rel=1e-3)
    assert face.landmarks is not None
    assert face.landmarks[:, 0] == pytest.approx([48 + 16 * n for n in range(5)], rel=1e-3)
    assert face.score == pytest.approx(0.9, rel=1e-3)
    assert find_detector(f"yunet={tmp_path / 'yunet.onnx'}").name.endswith("yunet.onnx")


def _made_yunet(path: Path, *, row: int, column: int) -> None:
    onnx = pytest.importorskip("onnx")
    helper, number = onnx.helper, onnx.numpy_helper.from_array
    nodes = [helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
             helper.make_node("ReduceSum", ["mean"], ["sum"], axes=[1, 2, 3], keepdims=0),
             helper.make_node("Mul", ["sum", "zero"], ["nothing"])]  # fmt: skip
    constants, outputs = [number(np.zeros(1, np.float32), "zero")], []
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            name, values = f"{kind}_{stride}", np.zeros((1, (64 // stride) ** 2, width), np.float32)
            if stride == 8:
                values[0, row * 8 + column] = {
                    "cls": 0.9,
                    "obj": 0.9,
                    "bbox": [0, 0, 0.5, 1],
                    "kps": [v for n in range(5) for v in (n, 0)],
                }[kind]
            constants.append(number(values, f"{name}_is"))
            nodes.append(helper.make_node("Add", [f"{name}_is", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, 1, list(values.shape)))
    picture = helper.make_tensor_value_info("input", 1, [1, 3, 64, 64])
    graph = helper.make_graph(nodes, "made", [picture], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), str(path))
