"""The page in a real Chromium, used as a person would."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import which
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from lpnet_rt.sources.demo import DemoScene
from lpnet_rt.sources.states import SourceState

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install -e '.[dev]')")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TOKEN = "a token of more than sixteen characters"
PATIENCE_MS = 60_000
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
Serve = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = which("chromium")
    if chromium is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page in a new profile; whatever it complains about fails the test."""
    contexts, complaints = [], []

    def start(url: str, viewport: dict[str, int] = DESK, **options: object) -> Any:
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
        tab.goto(url)
        return tab

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


class Feeding:
    """Feeds a source with a target that moves, until the test ends."""

    def __init__(self, page: Any, names: tuple[str, ...] = ("mast",)) -> None:
        self._page, self._names = page, names
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        index = 0
        while not self._done.wait(0.05):
            for name in self._names:
                self._page.write(index, name, (240, 320))
            index += 1


def until(tab: Any, expression: str) -> None:
    """Wait until an expression is true; the page's policy forbids to evaluate one inside it."""
    deadline_s = time.monotonic() + PATIENCE_MS / 1e3
    while not tab.evaluate(expression):
        assert time.monotonic() < deadline_s, expression
        tab.wait_for_timeout(50)


def marks_and_picture(tab: Any) -> tuple[int, np.ndarray, np.ndarray]:
    """The frame that is shown: its index, the opacity of the marks, the grey picture, each as its canvas has it."""
    index, *pictures = tab.evaluate(
        """() => {
          const stage = document.querySelector(".stage");
          const read = (name) => stage.querySelector(name).toDataURL("image/png").split(",")[1];
          return [Number(stage.dataset.frame), read(".marks"), read(".picture")];
        }"""
    )
    marks, picture = (
        cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), cv2.IMREAD_UNCHANGED) for each in pictures
    )
    assert marks is not None
    assert picture is not None
    return index, marks[..., 3], picture[..., 0]


def is_marked(marks: np.ndarray, picture: np.ndarray, xy: np.ndarray, frame_hw: tuple[int, int]) -> bool:
    """Whether brackets stand around a place of the frame, and the picture is bright there."""
    scale = np.array(marks.shape[::-1]) / frame_hw[::-1]
    x, y = (xy + 0.5) * scale
    column, row = np.rint((xy + 0.5) * np.array(picture.shape[::-1]) / frame_hw[::-1] - 0.5).astype(int)
    near = picture[max(row - 20, 0) : row + 21, max(column - 20, 0) : column + 21]
    spot = picture[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    # Brackets of a small target are squares of 24 CSS pixels around it.
    corners = [
        marks[max(int(y + dy) - 3, 0) : int(y + dy) + 4, max(int(x + dx) - 3, 0) : int(x + dx) + 4].max(initial=0)
        for dx in (-12, 12)
        for dy in (-12, 12)
    ]
    return min(corners) > 100 and int(spot.max(initial=0)) >= int(near.max(initial=0)) - 40


def test_pictures_move_and_boxes_stand_around_the_targets_of_the_demo_scene(
    open_tab: Callable[..., Any],
) -> None:
    command = [sys.executable, "-m", "lpnet_rt", "--source", "demo", "--realtime", "--frames", "100000", "--no-publish"]
    command += ["--quiet", "--threads", "1", "--model", "lpnet-rt-s", "--engine", "onnxruntime", "--precision", "f32"]
    process = subprocess.Popen([*command, "--web", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        url = next(line for line in process.stderr if "web page: " in line).partition("web page: ")[2].strip()
        tab = open_tab(url)
        tab.wait_for_selector(".stage[data-frame]")
        scene, matched, frames = DemoScene(0), 0, set()
        deadline_s = time.monotonic() + 90
        while (matched < 5 or len(frames) < 5) and time.monotonic() < deadline_s:
            index, marks, picture = marks_and_picture(tab)
            if index not in frames:
                truth = scene.truth(index).centroid_xy
                matched += sum(is_marked(marks, picture, xy, scene.size_hw) for xy in truth)
            frames.add(index)
        assert len(frames) >= 5, "the picture does not move"
        assert matched >= 5, f"boxes around targets: {matched} in {len(frames)} frames"
        tab.wait_for_selector("#events li img")
        assert tab.evaluate("document.querySelector('#events li img').naturalWidth") in (0, 64)
        assert "frames/s" in tab.text_content(".numbers")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_slider_acts_and_says_what_it_would_have_shown(serve: Serve, open_tab: Callable[..., Any]) -> None:
    page = serve(edit=True)
    with Feeding(page):
        tab = open_tab(page.url)
        tab.wait_for_selector(".stage[data-frame]")
        until(tab, "document.getElementById('preview').textContent.includes('detections of 1 track')")
        tab.focus("#threshold")
        before = page.detector.threshold
        for _ in range(5):
            tab.keyboard.press("ArrowRight")
        deadline_s = time.monotonic() + 20
        while page.detector.threshold <= before + 0.04 and time.monotonic() < deadline_s:
            tab.wait_for_timeout(50)
        assert page.detector.threshold == pytest.approx(before + 0.05, abs=0.011)
        # The targets score 0.9: over that, nothing would have been shown.
        tab.fill("#threshold", "0.97")
        until(tab, "document.getElementById('preview').textContent.includes(': 0 detections of 0 tracks')")


def test_a_zone_is_drawn_with_the_mouse_and_another_with_keys_and_both_are_kept(
    serve: Serve, open_tab: Callable[..., Any], tmp_path: Path
) -> None:
    config = tmp_path / "lpnet.toml"
    config.write_text("# mine\n[detector]\nthreshold = 0.7\n")
    page = serve(edit=True, config=str(config))
    with Feeding(page):
        tab = open_tab(page.url)
        tab.wait_for_selector(".stage[data-frame]")
        tab.click("#zone-ignore")
        area = tab.locator(".stage").bounding_box()
        for x, y in ((0.1, 0.1), (0.5, 0.1), (0.5, 0.4), (0.1, 0.1)):  # the first corner again closes it
            tab.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])
        tab.wait_for_selector("#zones li")
        tab.keyboard.press("w")
        for key in ("Space", "ArrowRight", "ArrowRight", "Space", "ArrowDown", "Space", "Enter"):
            tab.keyboard.press(key)
        until(tab, "document.querySelectorAll('#zones li').length === 2")
        until(tab, "document.getElementById('zone-note').textContent === 'In use and saved.'")
    zones = tomllib.loads(config.read_text())["zone"]
    assert [(zone["kind"], zone["name"], zone["source"]) for zone in zones] == [
        ("ignore", "ignore 1", "mast"), ("watch", "watch 1", "mast")
    ]  # fmt: skip
    assert np.allclose(zones[0]["points"], [[31.5, 23.5], [159.5, 23.5], [159.5, 95.5]], atol=1.0)
    assert zones[1]["points"] == [[160, 120], [180, 120], [180, 130]]
    assert config.read_text().startswith("# mine\n")
    assert len(page.zones["mast"].zones.zones) == 2


def test_a_wrong_token_is_refused_and_the_right_one_accepted(serve: Serve, open_tab: Callable[..., Any]) -> None:
    page = serve(token=True)
    page.write(0)
    tab = open_tab(page.url)
    assert tab.url.endswith("/login")
    tab.fill("#token", "wrong, and long enough")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#wrong:visible")
    tab.fill("#token", TOKEN)
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".stage[data-frame]")
    tab.click("#logout button")
    tab.wait_for_url("**/login")
    tab.goto(page.url)
    assert tab.url.endswith("/login")


def test_a_lost_camera_is_shown_with_its_reason_and_then_that_it_is_back(
    serve: Serve, open_tab: Callable[..., Any]
) -> None:
    page = serve(names=("mast", "gate"))
    page.write(0)
    page.write(0, "gate")
    tab = open_tab(page.url)
    tab.wait_for_selector("[data-source=mast] .stage[data-frame]")
    page.log["mast"].add(SourceState("lost", "no packets for 2 s", 1_700_000_000_000_000, 1))
    tab.wait_for_selector("[data-source=mast] .state.lost")
    assert "no packets for 2 s since" in tab.text_content("[data-source=mast] .reason")
    assert tab.is_visible("[data-source=mast] .waiting")
    assert not tab.is_visible("[data-source=gate] .waiting")
    page.log["mast"].add(SourceState("live", None, 1_700_000_100_000_000, 2, 1))
    tab.wait_for_selector("[data-source=mast] .state.live")
    tab.wait_for_selector("[data-source=mast] .waiting", state="hidden")


def test_an_event_appears_in_the_list_the_timeline_and_the_dialog(serve: Serve, open_tab: Callable[..., Any]) -> None:
    page = serve(names=("mast", "gate"))
    tab = open_tab(page.url)
    tab.wait_for_selector("[data-source=gate]")
    assert tab.is_visible("#no-events")
    with Feeding(page, ("mast", "gate")):
        until(tab, "document.querySelectorAll('#events li').length === 2")
        tab.click("#events li button")
        tab.wait_for_selector("#event img")
        assert "Best score" in tab.text_content("#event-body")
        tab.keyboard.press("Escape")
        tab.wait_for_selector("#event", state="hidden")
        tab.keyboard.press("2")
        assert tab.text_content("#title") == "gate"
        tab.wait_for_selector("#tracks tr")
        tab.keyboard.press("ArrowRight")
        assert tab.text_content("#title") == "mast"
        tab.keyboard.press("Escape")
        assert tab.text_content("#title") == "lpnet-rt"


def test_the_clip_of_an_event_plays(
    running_page: Callable[[], AbstractContextManager[httpx.Client]], open_tab: Callable[..., Any]
) -> None:
    with running_page() as client:
        tab = open_tab(str(client.base_url))
        ends_at = time.monotonic() + 90
        while not any(row["has_clip"] for row in client.get("/api/events").json()) and time.monotonic() < ends_at:
            time.sleep(0.2)
        rows = [row for row in client.get("/api/events").json() if row["has_clip"]]
        tab.click(f"#events li[data-event='{rows[0]['id']}'] button")
        until(tab, "(document.querySelector('#event video')?.videoWidth ?? 0) > 0")
        until(tab, "document.querySelector('#event video').readyState >= 3")
        assert tab.evaluate("document.querySelector('#event video').error") is None


def test_ten_viewers_all_see_pictures_move(serve: Serve, open_tab: Callable[..., Any]) -> None:
    page = serve()
    with Feeding(page):
        tabs = [open_tab(page.url, {"width": 640, "height": 480}) for _ in range(10)]
        for tab in tabs:
            tab.wait_for_selector(".stage[data-frame]")
        first = [tab.get_attribute(".stage", "data-frame") for tab in tabs]
        for tab, frame in zip(tabs, first, strict=True):
            until(tab, f"document.querySelector('.stage').dataset.frame !== '{frame}'")
        assert "lpnet_web_viewers 10.0" in page.client.get("/metrics").text


def test_a_phone_shows_all_without_scrolling_sideways(serve: Serve, open_tab: Callable[..., Any]) -> None:
    page = serve(names=("mast", "gate"), edit=True)
    with Feeding(page, ("mast", "gate")):
        tab = open_tab(page.url, PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
        tab.wait_for_selector("[data-source=gate] .stage[data-frame]")
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        tab.tap("[data-source=gate] .stage")
        tab.wait_for_selector("#details:visible")
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        tab.tap("#zone-watch")
        stage = tab.locator("[data-source=gate] .stage")
        stage.scroll_into_view_if_needed()
        area = stage.bounding_box()
        for x, y in ((0.2, 0.2), (0.8, 0.2), (0.5, 0.8)):
            tab.touchscreen.tap(area["x"] + x * area["width"], area["y"] + y * area["height"])
        tab.tap("#zone-close")
        tab.wait_for_selector("#zones li")
        (zone,) = page.zones["gate"].zones.zones
        assert json.loads(json.dumps(zone.points))[0] == pytest.approx([63.5, 47.5], abs=1.5)
