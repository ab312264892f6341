"""Runs lpnet-rt under attack on loopback and measures peak memory, longest silence of its messages, time to Ctrl-C."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zmq

__all__ = ["Outcome", "Watched", "finished", "free_endpoint", "watched"]

LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack came to.

    Attributes:
        attack: In words.
        exit_code: Of lpnet-rt.
        peak_mib: Largest resident memory.
        silence_s: Longest time without any message, between the first and the last; None where nothing is published.
        ctrl_c_s: From Ctrl-C to the end of the process; None where it had ended by itself.
        said: Last line of standard error.
    """

    attack: str
    exit_code: int
    peak_mib: float
    silence_s: float | None
    ctrl_c_s: float | None
    said: str


class Watched:
    """A running lpnet-rt with somebody who listens to it."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path, endpoint: str | None) -> None:
        self.process = process
        self.peak_mib = 0.0
        self.arrivals_s: list[float] = []
        self._errors, self._endpoint = errors, endpoint
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._weigh, daemon=True)]
        if endpoint is not None:
            self._threads.append(threading.Thread(target=self._listen, daemon=True))
        for thread in self._threads:
            thread.start()

    def wait_for_messages(self, count: int = 5, timeout_s: float = LIMIT_S) -> None:
        """Wait until it publishes."""
        deadline_s = time.monotonic() + timeout_s
        while len(self.arrivals_s) < count and self.process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def forget(self) -> None:
        """Count the silence from here on."""
        del self.arrivals_s[:-1]

    def interrupt(self, attack: str) -> Outcome:
        """Press Ctrl-C, unless it has ended, and say what came of it all."""
        ctrl_c_s = None
        if self.process.poll() is None:
            sent_s = time.monotonic()
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(LIMIT_S)
            ctrl_c_s = time.monotonic() - sent_s
        return self.outcome(attack, ctrl_c_s)

    def outcome(self, attack: str, ctrl_c_s: float | None = None) -> Outcome:
        """Say what came of it; the process has ended."""
        self._done.set()
        for thread in self._threads:
            thread.join(5)
        times = list(self.arrivals_s)
        silence_s = max((b - a for a, b in itertools.pairwise(times)), default=None)
        lines = self._errors.read_text(errors="replace").strip().splitlines() or [""]
        return Outcome(attack, self.process.poll() or 0, self.peak_mib, silence_s, ctrl_c_s, lines[-1][:160])

    def _weigh(self) -> None:
        path = Path(f"/proc/{self.process.pid}/status")
        while not self._done.wait(0.02):
            with contextlib.suppress(OSError, ValueError):
                for line in path.read_text().splitlines():
                    if line.startswith("VmHWM"):
                        self.peak_mib = max(self.peak_mib, int(line.split()[1]) / 1024)

    def _listen(self) -> None:
        context = zmq.Context()
        sub = context.socket(zmq.SUB)
        sub.linger = 0
        sub.setsockopt(zmq.RCVHWM, 100_000)
        sub.setsockopt(zmq.SUBSCRIBE, b"lpnet.v1.")
        sub.connect(str(self._endpoint))
        while not self._done.is_set():
            if sub.poll(50):
                sub.recv_multipart()
                self.arrivals_s.append(time.monotonic())
        sub.close()
        context.term()


@contextlib.contextmanager
def watched(
    *arguments: object,
    publish: bool = True,
    verb: str = "run",
    environment: dict[str, str] | None = None,
    **options: object,
) -> Iterator[Watched]:
    """Start lpnet-rt; it is ended at the latest when the block is left."""
    endpoint = free_endpoint() if publish else None
    command = [sys.executable, "-m", "lpnet_rt", verb, *map(str, arguments)]
    if verb == "run":
        command += ["--quiet", *(["--publish", endpoint] if endpoint else ["--no-publish"])]
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors"
        with errors.open("wb") as file:
            options.setdefault("stdout", subprocess.DEVNULL)
            process = subprocess.Popen(command, stderr=file, env={**os.environ, **(environment or {})}, **options)  # type: ignore[call-overload]
        run = Watched(process, errors, endpoint)
        run.endpoint = endpoint  # type: ignore[attr-defined]
        try:
            yield run
        finally:
            process.kill()
            process.wait(10)
            run.outcome("left")


def finished(attack: str, *arguments: object, timeout_s: float = 20.0, **options: object) -> Outcome:
    """Run lpnet-rt to its end; press Ctrl-C where it does not come."""
    with watched(*arguments, **options) as run:  # type: ignore[arg-type]
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(timeout_s)
        return run.interrupt(attack)


def free_endpoint() -> str:
    """An address of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
