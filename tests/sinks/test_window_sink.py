import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest

from lpnet_rt.sinks.window import open_windows
from lpnet_rt.view.overlay import Painter

HERE = Path(__file__).parent.parent  # where made_reports.py is
needs_display = pytest.mark.skipif(
    not all(map(shutil.which, ("Xvfb", "xdotool", "import"))), reason="needs apt-get install xvfb xdotool imagemagick"
)

WATCH = """
import logging, sys, time
from made_reports import make
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.view.overlay import Painter
from lpnet_rt.sinks.window import open_windows
logging.basicConfig(format="%(message)s", level="INFO")
(window,) = open_windows("lpnet-rt", {"clip": Painter("clip", SYSTEM_CLOCK)}, SYSTEM_CLOCK, sys.argv[1])
shown, paused, index, ends_at = False, False, 0, time.monotonic() + 90
while not window.wants_stop and time.monotonic() < ends_at:
    window.write(make(index))
    if not shown and window._link.shown_hw is not None:
        shown = True
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

TILES = """
import sys, time
from made_reports import make
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.view.overlay import Painter
from lpnet_rt.sinks.window import open_windows
painters = {name: Painter(name, SYSTEM_CLOCK) for name in ("east", "west", "north")}
windows = open_windows("lpnet-rt", painters, SYSTEM_CLOCK, sys.argv[1])
ends_at, said = time.monotonic() + 90, False
while not all(window.wants_stop for window in windows) and time.monotonic() < ends_at:
    for index, window in enumerate(windows):
        window.write(make(index * 10))
    if windows[0]._link._wall.link.shown_hw and not said:
        print("shown", *windows[0]._link._wall.link.shown_hw, flush=True)
        said = True
    time.sleep(0.02)
print("stopped", *(window.wants_stop for window in windows), flush=True)
for window in windows:
    window.close()
print(windows[0]._link.has_ended, flush=True)
"""

SAVES = """
import logging, sys, time
from made_reports import make
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.view.overlay import Painter
from lpnet_rt.sinks.window import open_windows
logging.basicConfig(format="%(message)s", level="INFO")
(window,) = open_windows("lpnet-rt", {"clip": Painter("clip", SYSTEM_CLOCK)}, SYSTEM_CLOCK, sys.argv[1])
window.write(make(INDEX))
ends_at = time.monotonic() + 90
while window._link.shown_hw is None and time.monotonic() < ends_at:
    time.sleep(0.01)
print("shown", flush=True)
while not window.wants_stop and time.monotonic() < ends_at:
    window.tick()
    time.sleep(0.02)
window.close()
"""

# Commands on standard input, one answer each: what a run does with a window, in steps.
STEPS = """
import sys, time
from made_reports import make
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SinkError
from lpnet_rt.view.overlay import Painter
from lpnet_rt.sinks.window import open_windows
size_hw = (int(sys.argv[1]), int(sys.argv[2]))
(window,) = open_windows("lpnet-rt", {"clip": Painter("clip", SYSTEM_CLOCK)}, SYSTEM_CLOCK)
window.write(make(0, size_hw))
ends_at = time.monotonic() + 20
while window._link.shown_hw is None and time.monotonic() < ends_at:
    time.sleep(0.01)
print(window._link._process.pid, *window._link.shown_hw, flush=True)
for command in sys.stdin:
    if command == "write\\n":
        started = time.monotonic()
        for index in range(1, 51):
            window.write(make(index, size_hw))
            window.tick()
        print(time.monotonic() - started, flush=True)
    elif command == "watch\\n":
        index, told = 100, "nothing"
        ends_at = time.monotonic() + 20
        while not window.wants_stop and time.monotonic() < ends_at:
            try:
                window.write(make(index, size_hw))
            except SinkError as error:
                told = str(error)
                break
            index += 1
            time.sleep(0.01)
        print(window.wants_stop, told, flush=True)
started = time.monotonic()
window.close()
window.close()
print(time.monotonic() - started, flush=True)
"""


@contextmanager
def screen(size: str = "1024x768x24") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A virtual display, whose number is its own choice, and its server."""
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp", "-noreset"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdout is not None
    try:
        yield f":{server.stdout.readline().decode().strip()}", server
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as (name, _):
        yield name


class Steps:
    """A program with a window that does one step when it is asked to."""

    def __init__(self, display: str, size_hw: tuple[int, int] = (48, 64)) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", STEPS, *map(str, size_hw)],
            cwd=HERE,
            env=os.environ | {"DISPLAY": display},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.window_pid, *shown = map(int, self._answer().split())
        self.shown_hw = tuple(shown)
        self.pid = self._program.pid

    def ask(self, command: str) -> str:
        self._program.stdin.write(command + "\n")
        self._program.stdin.flush()
        return self._answer()

    def end(self) -> float:
        """Seconds that closing the window took."""
        self._program.stdin.close()
        seconds = float(self._answer())
        assert self._program.wait(20) == 0
        return seconds

    def kill(self) -> None:
        self._program.kill()
        self._program.wait(10)
        self._program.stdin.close()
        self._program.stdout.close()

    def _answer(self) -> str:
        return self._program.stdout.readline().strip()


@pytest.fixture
def start() -> Iterator[Callable[..., Steps]]:
    """Start programs that do not outlive their test."""
    started: list[Steps] = []

    def begin(*arguments: object) -> Steps:
        started.append(Steps(*arguments))
        return started[-1]

    yield begin
    for program in started:
        program.kill()


def is_there(pid: int) -> bool:
    """Whether a process lives; one that was not waited for counts."""
    return Path(f"/proc/{pid}").exists()


def gone_within(pid: int, seconds: float) -> bool:
    ends_at = time.monotonic() + seconds
    while is_there(pid) and time.monotonic() < ends_at:
        time.sleep(0.02)
    return not is_there(pid)


def xdotool(display: str, *arguments: str) -> str:
    environment = os.environ | {"DISPLAY": display}
    done = subprocess.run(
        ["xdotool", *arguments], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def window_of(display: str) -> str:
    return xdotool(display, "search", "--sync", "--onlyvisible", "--class", "^lpnet-rt$").split()[-1]


def press(display: str, key: str) -> None:
    window = window_of(display)
    # The window may go at the press, before xdotool lets the key go.
    with contextlib.suppress(subprocess.CalledProcessError):
        xdotool(display, "key", "--window", window, key)


def press_until(display: str, key: str, done: Callable[[], bool]) -> None:
    """Press a key; press it again after five seconds without its effect, as a person would on a busy machine."""
    for _ in range(6):
        # The window may be gone: the previous press had its effect late.
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            press(display, key)
        ends_at = time.monotonic() + 5
        while time.monotonic() < ends_at:
            if done():
                return
            time.sleep(0.02)


def press_q(display: str, program: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    press_until(display, "q", lambda: program.poll() is not None)


class ClientMessage(ctypes.Structure):
    """``XClientMessageEvent``, as long as any event."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 24),
    )


def close_politely(display_name: str) -> None:
    """Send what a window manager sends when a person closes a window."""
    window = int(window_of(display_name))
    xlib = ctypes.CDLL("libX11.so.6")
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    xlib.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(xlib.XOpenDisplay(display_name.encode()))
    protocols, delete = (xlib.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    event = ClientMessage(type=33, window=window, message_type=protocols, format=32)
    event.data[0] = delete
    xlib.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    xlib.XCloseDisplay(display)


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
    press_until(display, "s", lambda: bool(list(tmp_path.glob("*.png"))))
    press(display, "space")
    word, going_on_at = watcher.stdout.readline().rsplit(maxsplit=1)
    assert word == "going on"
    press_q(display, watcher)
    out, err = watcher.communicate(timeout=20)
    assert (out, watcher.returncode) == ("stopped True\n", 0)
    (saved,) = tmp_path.glob("*.png")
    assert int(saved.stem.removeprefix("lpnet-rt_")) <= int(paused_at) < int(going_on_at), "the picture went on"
    assert cv2.imread(str(saved)).shape == (48 * 4 + 24, 64 * 4, 3)
    assert f"saved {saved}" in err


@needs_display
def test_s_never_saves_over_a_picture_that_is_there(tmp_path: Path, display: str) -> None:
    index = 7
    taken = [tmp_path / f"lpnet-rt_{index:06d}.png", tmp_path / f"lpnet-rt_{index:06d}_2.png"]
    for path in taken:
        path.write_bytes(b"mine")
    saved = tmp_path / f"lpnet-rt_{index:06d}_3.png"
    program = SAVES.replace("INDEX", str(index))
    command = [sys.executable, "-c", program, str(tmp_path)]
    environment = os.environ | {"DISPLAY": display}
    with subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout.readline() == "shown\n"
        press_until(display, "s", saved.exists)
        press_q(display, watcher)
        _, err = watcher.communicate(timeout=20)
    assert [path.read_bytes() for path in taken] == [b"mine", b"mine"]
    assert cv2.imread(str(saved)) is not None
    assert saved.stat().st_mode & 0o7777 == 0o640
    assert err == f"saved {saved}\n"


@needs_display
def test_several_sources_share_a_window_and_its_keys(tmp_path: Path, display: str) -> None:
    environment = os.environ | {"DISPLAY": display, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-c", TILES, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        word, height, width = watcher.stdout.readline().split()
        assert word == "shown"
        press_until(display, "s", lambda: len(list(tmp_path.glob("*.png"))) == 3)
        press_q(display, watcher)
        out, _ = watcher.communicate(timeout=20)
    assert out == "stopped True True True\nTrue\n"
    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.stem.rpartition("_")[0] for path in pictures] == [
        f"lpnet-rt-{name}" for name in ("east", "north", "west")
    ]
    for path in pictures:
        assert cv2.imread(str(path)).shape == (int(height) // 2, int(width) // 2, 3)


def test_closing_the_window_asks_to_stop(display: str, start) -> None:
    program = start(display)
    close_politely(display)
    assert program.ask("watch") == "True nothing"
    assert program.end() < 10


@needs_display
def test_a_window_that_is_killed_is_an_error_of_one_line_and_leaves_nothing(display: str, start) -> None:
    program = start(display)
    os.kill(program.window_pid, signal.SIGKILL)
    wants_stop, told = program.ask("watch").split(" ", 1)
    assert (wants_stop, told.split(";")[0]) == ("False", "window: the display went away")
    assert not is_there(program.window_pid)
    program.end()


@needs_display
def test_a_display_that_dies_is_an_error_and_not_the_end(start) -> None:
    with screen() as (display, server):
        program = start(display)
        server.kill()
        assert program.ask("watch").startswith("False window: the display went away; ")
        assert program.ask("watch").startswith("False window: ")
        program.end()


@needs_display
def test_a_window_or_a_display_that_hangs_holds_nothing_up(start) -> None:
    with screen() as (display, server):
        program = start(display, (512, 640))
        os.kill(program.window_pid, signal.SIGSTOP)
        assert float(program.ask("write")) < 1.0
        os.kill(program.window_pid, signal.SIGCONT)
        os.kill(server.pid, signal.SIGSTOP)
        assert float(program.ask("write")) < 1.0
        assert program.end() < 5.0
        assert not is_there(program.window_pid)


@needs_display
def test_the_window_ends_with_the_program_even_if_both_hang_or_are_killed(start) -> None:
    with screen() as (display, server):
        program = start(display)
        os.kill(server.pid, signal.SIGSTOP)
        program.ask("write")
        program.kill()
        assert gone_within(program.window_pid, 10)


@needs_display
def test_ctrl_c_is_not_for_the_window(display: str, start) -> None:
    program = start(display)
    assert os.getpgid(program.window_pid) != os.getpgid(program.pid)
    os.kill(program.window_pid, signal.SIGINT)
    assert float(program.ask("write")) < 10
    assert is_there(program.window_pid)
    program.end()
    assert not is_there(program.window_pid)


@needs_display
def test_the_window_opens_no_larger_than_the_screen(start) -> None:
    with screen("800x600x24") as (display, _):
        height, width = start(display, (1080, 1918)).shown_hw
    assert 500 < width <= 800
    assert (height - 24) / width == pytest.approx(1080 / 1918, abs=0.01)


@needs_display
def test_pictures_are_drawn_at_the_size_the_window_is_given(tmp_path: Path, display: str, start) -> None:
    program = start(display, (512, 640))
    assert program.shown_hw == (536, 640)
    xdotool(display, "windowsize", "--sync", window_of(display), "400", "300")
    ends_at = time.monotonic() + 20
    shot = tmp_path / "shot.png"
    while time.monotonic() < ends_at:
        program.ask("write")
        subprocess.run(
            ["import", "-window", window_of(display), str(shot)],
            env=os.environ | {"DISPLAY": display},
            timeout=10,
            check=True,
        )
        picture = cv2.imread(str(shot))
        if picture.shape == (300, 400, 3) and (picture == (70, 240, 255)).all(axis=2).sum() > 20:
            break
    else:
        pytest.fail("no bracket in its own colour on the window that was made smaller")
    program.end()


@pytest.mark.parametrize(
    ("display_name", "reason"),
    [(None, "neither DISPLAY nor WAYLAND_DISPLAY set"), (":7654", "the display :7654 cannot be opened")],
)
def test_without_a_display_it_says_so_in_one_line_and_goes_on(clock, monkeypatch, caplog, display_name, reason) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display_name:
        monkeypatch.setenv("DISPLAY", display_name)
    assert open_windows("lpnet-rt", {"clip": Painter("clip", clock)}, clock) == []
    (line,) = caplog.messages
    assert line.startswith("no window: ")
    assert reason in line
    assert "\n" not in line


def test_without_pygame_it_names_the_package(tmp_path: Path, clock, monkeypatch, caplog) -> None:
    (tmp_path / "pygame.py").write_text("raise ImportError(\"No module named 'pygame'\")\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":7654")
    assert open_windows("lpnet-rt", {"clip": Painter("clip", clock)}, clock) == []
    (line,) = caplog.messages
    assert "it needs pygame-ce (No module named 'pygame'); pip install pygame-ce; continuing without it" in line


@needs_display
def test_a_paused_window_holds_neither_detection_nor_files(tmp_path: Path, display: str) -> None:
    lines = tmp_path / "out.jsonl"
    flags = ["--source", "demo", "--realtime", "--frames", "100000", "--show", "--no-publish", "--quiet"]
    flags += ["--engine", "onnxruntime"]  # auto would time every engine first
    run = subprocess.Popen(
        [sys.executable, "-m", "lpnet_rt", "run", *flags, "--jsonl", str(lines)],
        cwd=tmp_path,
        env=os.environ | {"DISPLAY": display},
        stderr=subprocess.PIPE,
    )
    try:
        press(display, "space")
        time.sleep(0.5)  # the pause is under way
        before = lines.read_bytes().count(b"\n")
        ends_at = time.monotonic() + 20
        while lines.read_bytes().count(b"\n") < before + 10 and time.monotonic() < ends_at:
            time.sleep(0.05)
        assert lines.read_bytes().count(b"\n") >= before + 10
        press_q(display, run)
        assert run.wait(20) == 0
    finally:
        run.kill()
        run.communicate(timeout=20)
