"""Real peers that break: cameras as processes of their own, on the loopback, and a reader that watches a source."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

import numpy as np

from lpnet_rt.frames import Frame
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import ReconnectingSource, SourceState, open_source

__all__ = ["LossyRelay", "Peer", "Reader", "free_port"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Peer:
    """A process that sends pictures, and can be killed, stopped and started again."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *size_wh: int) -> float:
        """Start; return the time at which it was ready."""
        command = [*self._command, str(self.port), *(str(side) for side in size_wh or (320, 256))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return time.monotonic()

    def stop(self) -> None:
        """Freeze it where it is."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> float:
        """Let it go on; return the time."""
        self._signal(signal.SIGCONT)
        return time.monotonic()

    def kill(self) -> None:
        """End it without a farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Reader:
    """Reads a source in a thread of its own, as the pipeline does, and remembers what came when."""

    def __init__(self, url: str, **settings: object) -> None:
        self.states: list[SourceState] = []
        self.frames: list[tuple[float, Frame]] = []
        source = open_source(SourceSettings(spec=url, **settings), on_state=self.states.append)  # type: ignore[arg-type]
        assert isinstance(source, ReconnectingSource)
        self.source = source
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for frame in self.source:
            self.frames.append((time.monotonic(), frame))

    @property
    def state(self) -> str:
        return self.source.state.state

    def wait(self, there: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Wait until something is true."""
        end_s = time.monotonic() + timeout_s
        while not there():
            assert time.monotonic() < end_s, self.states
            time.sleep(0.01)

    def frames_after(self, time_s: float, count: int = 5, timeout_s: float = 20.0) -> list[tuple[float, Frame]]:
        """Wait for frames that arrive after a time and return them."""
        self.wait(lambda: len([1 for at_s, _ in self.frames if at_s > time_s]) >= count, timeout_s)
        return [(at_s, frame) for at_s, frame in self.frames if at_s > time_s]

    def close(self) -> float:
        """Close the source and return how long it took until its reader had ended."""
        begun_s = time.monotonic()
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - begun_s


class LossyRelay:
    """Passes UDP packets on, and loses and damages a share of them, always the same ones."""

    def __init__(self, to_port: int, lost: float, damaged: float) -> None:
        self._random = np.random.default_rng(5)
        self._lost, self._damaged = lost, damaged
        self._to = ("127.0.0.1", to_port)
        self._inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inlet.bind(("127.0.0.1", 0))
        self._inlet.settimeout(0.1)
        self.port = int(self._inlet.getsockname()[1])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pass_on)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._inlet.close()

    def _pass_on(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outlet:
            while not self._ended.is_set():
                try:
                    packet = bytearray(self._inlet.recv(65_536))
                except TimeoutError:
                    continue
                fate = self._random.random()
                if fate < self._lost:
                    continue
                if fate < self._lost + self._damaged:
                    for position in self._random.integers(0, len(packet), 20):
                        packet[position] ^= 0xFF
                outlet.sendto(packet, self._to)
