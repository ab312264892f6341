import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from lpnet_rt.overlay import Painter
from lpnet_rt.sinks.window import open_window

HERE = Path(__file__).parent
needs_display = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool (apt-get install both)"
)

WATCH = """
import sys, time
from conftest import make
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.overlay import Painter
from lpnet_rt.sinks.window import open_window
window = open_window("lpnet-rt", Painter("clip", SYSTEM_CLOCK), SYSTEM_CLOCK, sys.argv[1])
paused, index, ends_at = False, 0, time.monotonic() + 30
while not window.wants_stop and time.monotonic() < ends_at:
    window.write(make(index))
    if index == 0:
        print("shown", flush=True)
    if window.paused != paused:
        paused = window.paused
        print("paused" if paused else "going on", index, flush=True)
    index += 1
    time.sleep(0.02)
print("stopped", window.wants_stop, flush=True)
window.close()
window.close()
"""

CLOSED = """
import cv2
from conftest import SteppedClock, make
from lpnet_rt.overlay import Painter
from lpnet_rt.sinks.window import open_window
clock = SteppedClock()
window = open_window("lpnet-rt", Painter("clip", clock), clock)
window.write(make(0))
print(window.wants_stop)
cv2.destroyWindow("lpnet-rt")
clock.sleep(1)
window.write(make(1))
print(window.wants_stop)
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A virtual display; its number is its own choice."""
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-noreset"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    yield f":{server.stdout.readline().decode().strip()}"
    server.terminate()
    server.wait(10)
    server.stdout.close()


def press(display: str, key: str) -> None:
    environment = os.environ | {"DISPLAY": display}
    found = subprocess.run(
        ["xdotool", "search", "--sync", "--name", "^lpnet-rt$"],
        env=environment,
        capture_output=True,
        timeout=10,
        check=True,
    )
    window = found.stdout.split()[-1].decode()
    subprocess.run(
        ["xdotool", "key", "--window", window, key], env=environment, capture_output=True, timeout=10, check=True
    )


@needs_display
def test_space_pauses_s_saves_and_q_quits(tmp_path: Path, display: str) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCH, str(tmp_path)],
        cwd=HERE,
        env=os.environ | {"DISPLAY": display},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "shown\n"
    press(display, "space")
    word, paused_at = watcher.stdout.readline().split()
    assert word == "paused"
    press(display, "s")
    ends_at = time.monotonic() + 10
    while not list(tmp_path.glob("*.png")) and time.monotonic() < ends_at:
        time.sleep(0.02)
    press(display, "space")
    assert watcher.stdout.readline().startswith("going on ")
    press(display, "q")
    out, err = watcher.communicate(timeout=20)
    assert (out, watcher.returncode) == ("stopped True\n", 0)
    (saved,) = tmp_path.glob("*.png")
    assert 0 <= int(paused_at) - int(saved.stem.removeprefix("lpnet-rt_")) <= 1
    assert cv2.imread(str(saved)).shape == (48 * 4 + 24, 64 * 4, 3)
    assert f"saved {saved}" in err
    assert "QFontDatabase" not in err


@needs_display
def test_closing_the_window_asks_to_stop(display: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", CLOSED],
        cwd=HERE,
        env=os.environ | {"DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert told.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("display_name", "reason"),
    [(None, "neither DISPLAY nor WAYLAND_DISPLAY set"), (":7654", "the display :7654 cannot be opened")],
)
def test_without_a_display_it_says_so_in_one_line_and_goes_on(clock, monkeypatch, capsys, display_name, reason) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_LOGGING_RULES", "default.warning=false")
    if display_name:
        monkeypatch.setenv("DISPLAY", display_name)
    assert open_window("lpnet-rt", Painter("clip", clock), clock) is None
    told = capsys.readouterr().err
    assert told.startswith("no window: ")
    assert reason in told
    assert told.count("\n") == 1
