"""The page in a real browser: Debian's Chromium, headless, with a drawn camera, with the server and without.

`make test-browser` runs these; `CHROMIUM` names another browser. Under the page's policy nothing may be evaluated by
waiting functions, so the tests look again and again.
"""

import functools
import http.server
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="driving a browser needs pip install playwright")
pytest.importorskip("fastapi", reason="the server needs pip install 'mien[serve]'")

from playwright.sync_api import sync_playwright

from made_videos import write_video, y4m
from mien.bundle import Bundle
from mien.data.drawn import draw_face
from mien.predict import Predictor
from mien.server.settings import Settings
from mien.web import fetch_runtime, write_page
from serving import Running, running

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium brings one"),
    pytest.mark.filterwarnings("default"),
]
SAMPLE = Path(__file__).parents[1] / "src" / "mien" / "web" / "page" / "sample.jpg"
SHIPPED = ("small", "default", "ferplus")
SIZES = {"phone": (390, 844), "tablet": (768, 1024), "desk": (1440, 900)}


def frames(count: int) -> Iterator[Any]:
    """Two drawn faces that sway."""
    faces = [
        draw_face(number, name, seed=1, index=number, size=200).image
        for number, name in ((144, "happiness"), (19, "surprise"))
    ]
    for number in range(count):
        frame = np.full((360, 480, 3), 180, np.uint8)
        for place, face in enumerate(faces):
            left = 25 + 225 * place + round(10 * np.sin(number / 9))
            frame[80:280, left : left + 200] = face
        yield frame


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(Settings(workers=2)) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    camera = y4m(tmp_path_factory.mktemp("camera") / "camera.y4m", frames(50))
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page, and fail at the end if it complained or asked anybody else for anything."""
    opened: list[Any] = []
    wrong: list[str] = []

    def go(address: str, *, size: str = "desk", scheme: str = "light") -> Any:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["camera"]
        )
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on(
            "request", lambda sent: sent.url.startswith((address, "blob:", "data:", "ws")) or wrong.append(sent.url)
        )
        page.goto(address)
        until(lambda: page.evaluate("document.body.dataset.ready") == "yes")
        return page

    go.wrong = wrong  # type: ignore[attr-defined]
    yield go
    for context in opened:
        context.close()
    assert wrong == []


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen := holds():
            return seen
        time.sleep(0.1)
    raise AssertionError("it does not come to that")


def labels(page: Any) -> list[str]:
    return [each.strip() for each in page.locator("#results .face .label").all_inner_texts()]


def test_pictures_are_answered_as_the_predictor_does(visit: Callable[..., Any], server: Running) -> None:
    page = visit(server.address)
    page.set_input_files("#files", SAMPLE)
    until(lambda: labels(page))
    assert labels(page) == [face.label for face in Predictor(threads=1).predict(SAMPLE)]
    assert page.locator(".boxes rect").count() == 8, "each outline has a halo"
    assert "happiness" in page.locator("#results img").get_attribute("alt")


def test_a_second_model_stands_beside_and_what_is_unsure_says_so(visit: Callable[..., Any], server: Running) -> None:
    page = visit(server.address)
    page.click("#sample")
    until(lambda: labels(page))
    page.select_option("#second", "small")
    until(lambda: page.locator(".pair h3").count() == 8)
    page.evaluate("sure.value = 90; sure.dispatchEvent(new Event('input', {bubbles: true}))")
    assert labels(page).count("uncertain") >= 2


def test_why_draws_a_map_and_hides_it_again(visit: Callable[..., Any], server: Running) -> None:
    page = visit(server.address)
    page.select_option("#first", "small")
    page.click("#sample")
    until(lambda: labels(page))
    page.locator(".face button").first.press("Enter")
    until(lambda: page.locator(".why canvas").count() == 1)
    assert "Orange spoke for" in page.locator(".why p").inner_text()
    page.locator(".face button").first.press("Enter")
    until(lambda: page.locator(".why").count() == 0)


def test_the_card_is_one_click_away_and_closes_with_escape(visit: Callable[..., Any], server: Running) -> None:
    page = visit(server.address)
    page.click("#limits")
    assert "not what a person feels" in page.locator("dialog").inner_text()
    assert page.locator("dialog td").count() > 8
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_what_is_no_picture_is_said(visit: Callable[..., Any], server: Running, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page = visit(server.address)
    page.set_input_files("#files", tmp_path / "notes.png")
    until(lambda: "not a picture" in page.locator("#results .failed").inner_text())
    assert "not a picture" in page.locator("#say").inner_text()
    visit.wrong[:] = [each for each in visit.wrong if "422" not in each]  # type: ignore[attr-defined]


def test_the_camera_is_followed_and_let_go(visit: Callable[..., Any], server: Running) -> None:
    page = visit(server.address)
    page.click("#camera")
    until(lambda: page.locator("#live .face").count() == 2)
    assert {"happiness", "surprise"} & {each.strip() for each in page.locator("#live .label").all_inner_texts()}
    page.click("#live button")
    assert page.locator("#live").is_hidden()
    until(lambda: server.state.gate.sockets == 0)


def test_a_video_has_a_timeline(visit: Callable[..., Any], server: Running, tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", frames(30))
    page = visit(server.address)
    page.set_input_files("#files", tmp_path / "film.mp4")
    until(lambda: "frames" in page.locator(".sheet .count").inner_text())
    assert page.locator(".strip canvas").count() == 2
    assert "Face 1" in page.locator(".strip canvas").first.get_attribute("aria-valuetext")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_in_light_and_dark(
    visit: Callable[..., Any], server: Running, size: str, scheme: str, tmp_path: Path
) -> None:
    page = visit(server.address, size=size, scheme=scheme)
    page.click("#sample")
    until(lambda: labels(page))
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], "nothing stands over the edge"
    shot = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert (shot[5, 5].mean() < 60) == (scheme == "dark")
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, .button')].filter(b => b.offsetParent && !b.matches('.link')"
        " && b.getBoundingClientRect().height < 28).length"
    )
    assert small == 0, "what is pressed is large enough for a finger"


def test_all_of_it_can_be_reached_by_the_keyboard_and_has_a_name(visit: Callable[..., Any], server: Running) -> None:
    page = visit(server.address)
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"about", "files", "camera", "sample", "first", "second", "sure", "crops"} <= reached
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select')].filter(e => !(e.innerText || e.ariaLabel ||"
        " e.labels?.[0]?.innerText)).map(e => e.id)"
    )
    assert nameless == []


# Without a server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The exported page behind a server of plain files."""
    room = tmp_path_factory.mktemp("web")
    given = os.environ.get("MIEN_ORT_WEB")
    try:
        package = Path(given) if given else fetch_runtime(room)
    except Exception as error:
        pytest.skip(str(error))
    write_page([Bundle.open(name) for name in SHIPPED], room / "page", package)
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=room / "page")) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{files.server_port}/"
        files.shutdown()


@pytest.mark.parametrize("model", SHIPPED)
def test_without_a_server_ready_crops_get_the_predictors_labels(
    visit: Callable[..., Any], folder: str, tmp_path: Path, model: str
) -> None:
    paths, expected = [], []
    predictor = Predictor(model, detector="none", threads=1)
    for number, name in enumerate(("happiness", "surprise", "neutral", "anger")):
        paths.append(tmp_path / f"{number}.png")
        face = draw_face(number, name, seed=3, index=number, size=96).image
        cv2.imwrite(str(paths[-1]), face[..., ::-1])
        expected.append(predictor.predict(paths[-1])[0])
    page = visit(folder)
    page.select_option("#first", model)
    page.check("#crops")
    page.set_input_files("#files", paths)
    until(lambda: len(labels(page)) == 4)
    assert labels(page) == [face.label for face in reversed(expected)]
    shares = [int(each.strip().rstrip(" %")) for each in page.locator("#results .share").all_inner_texts()]
    apart = np.abs(np.array(shares) - [100 * face.confidence for face in reversed(expected)])
    assert apart.max() < (4 if model == "ferplus" else 2), "a level of grey in a crop moves ferplus by up to 2.5 points"


def test_without_a_server_faces_are_found_and_explained_offline(visit: Callable[..., Any], folder: str) -> None:
    page = visit(folder)
    page.click("#sample")
    until(lambda: labels(page))
    page.context.set_offline(True)
    page.set_input_files("#files", SAMPLE)
    until(lambda: len(labels(page)) == 8)
    assert labels(page)[:2] == ["happiness", "surprise"]
    page.locator(".face button").first.click()
    until(lambda: page.locator(".why canvas").count() == 1)


def test_without_a_server_the_camera_is_followed(visit: Callable[..., Any], folder: str) -> None:
    page = visit(folder)
    page.click("#camera")
    until(lambda: page.locator("#live .face").count() == 2)
    page.click("#live button")


def test_without_a_server_a_video_has_a_timeline(visit: Callable[..., Any], folder: str, tmp_path: Path) -> None:
    write_video(tmp_path / "film.webm", frames(50))
    page = visit(folder)
    page.context.set_offline(True)
    page.set_input_files("#files", tmp_path / "film.webm")
    until(lambda: "frames" in page.locator(".sheet .count").inner_text())
    assert page.locator(".sheet .count").inner_text() == "24 frames, 1.9 s"
    said = [page.locator(".strip canvas").nth(n).get_attribute("aria-valuetext") for n in range(2)]
    assert "happiness" in said[0]
    assert "surprise" in said[1]
    page.locator(".strip canvas").first.click(position={"x": 200, "y": 10})
    until(lambda: page.evaluate("document.querySelector('.sheet video').currentTime") > 0.1)
    assert page.locator(".badge").count() == 2


def test_without_a_server_what_is_no_video_is_said(visit: Callable[..., Any], folder: str, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    page = visit(folder)
    page.set_input_files("#files", tmp_path / "notes.mp4")
    until(lambda: "cannot play" in page.locator("#results .failed").inner_text())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_a_server_it_fits_a_phone(visit: Callable[..., Any], folder: str, scheme: str) -> None:
    page = visit(folder, size="phone", scheme=scheme)
    page.click("#sample")
    until(lambda: labels(page))
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
    assert (
        "No picture leaves this device" in page.locator("#promise").inner_text() or page.locator("#promise").is_hidden()
    )
