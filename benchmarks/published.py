"""The main job in a process of its own, watched by a subscriber as a user's program would watch it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from lpnet_rt.clock import Clock
from lpnet_rt.errors import LpnetError
from lpnet_rt.messages import TOPIC_PREFIX, EndMessage, FrameMessage, decode

__all__ = ["Arrival", "PublishedRun", "run_published"]

_POLL_MS = 50
_RECONNECT_MS = 5
_SAMPLE_NS = 500_000_000
_SILENCE_NS = 120_000_000_000
_OTHERS = """
import sys, threading, zmq

def read():
    context, poller = zmq.Context(), zmq.Poller()
    for _ in range(int(sys.argv[2])):
        sub = context.socket(zmq.SUB)
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        sub.connect(sys.argv[1])
        poller.register(sub, zmq.POLLIN)
    while True:
        for sub, _ in poller.poll():
            sub.recv_multipart()

threading.Thread(target=read, daemon=True).start()
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame's message, with the Unix time (microseconds) and the seconds since the process's start it came at."""

    message: FrameMessage
    unix_us: int
    since_start_s: float


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """What one process published and used.

    Attributes:
        arrivals: Every frame's message, in order.
        wall_s: From the start of the process to its end.
        peak_mib: Resident memory at its highest, up to the end of the stream.
        resident_mib: And twice per second, from the first message on.
    """

    arrivals: list[Arrival]
    wall_s: float
    peak_mib: float
    resident_mib: list[float]


@dataclass(frozen=True, slots=True)
class _Memory:
    """Resident memory of a process at one moment, and its highest so far."""

    now_mib: float
    highest_mib: float


def run_published(
    arguments: Sequence[str], clock: Clock, cache: Path | None = None, more_subscribers: int = 0
) -> PublishedRun:
    """Run the main job to its end and take every message it publishes.

    Args:
        arguments: Flags of ``lpnet-rt run``, but for those of publishing.
        clock: Tells the time.
        cache: Folder for compiled models and choices; None takes the user's.
        more_subscribers: So many others read everything, too, in a process of their own.

    Raises:
        LpnetError: The process failed, or published nothing for two minutes.
    """
    environment = {**os.environ, **({"LPNET_CACHE": str(cache)} if cache else {})}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "errors").open("w+") as errors:
        endpoint = f"ipc://{folder}/messages"
        command = [sys.executable, "-m", "lpnet_rt", "run", "--quiet", "--publish", endpoint, *arguments]
        command += ["--wait-subscriber", "60"]
        with _subscribed(endpoint) as subscriber, _others(endpoint, more_subscribers):
            began_ns = clock.monotonic_ns()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
            try:
                arrived, memory = _receive(subscriber, process.pid, clock)
            except BaseException:
                process.kill()
                process.wait()
                raise
            process.wait()
            wall_s = (clock.monotonic_ns() - began_ns) / 1e9
        if process.returncode:
            errors.seek(0)
            said = " ".join(errors.read().split())[-300:]
            raise LpnetError(f"lpnet-rt run {' '.join(arguments)}: exit code {process.returncode}: {said}")
    arrivals = []
    for payload, unix_us, monotonic_ns in arrived:
        message = decode(None, payload)
        if isinstance(message, FrameMessage):
            arrivals.append(Arrival(message, unix_us, (monotonic_ns - began_ns) / 1e9))
    # What a child's ru_maxrss says begins with its parent's memory at the fork; VmHWM is of the program alone.
    peak_mib = max((each.highest_mib for each in memory), default=0.0)
    return PublishedRun(arrivals, wall_s, peak_mib, [each.now_mib for each in memory])


@contextmanager
def _others(endpoint: str, count: int) -> Iterator[None]:
    """Subscribers that read and forget; they end with their standard input, however the benchmark ends."""
    if not count:
        yield
        return
    command = [sys.executable, "-c", _OTHERS, endpoint, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _subscribed(endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.RCVHWM, 0)
        subscriber.setsockopt(zmq.LINGER, 0)
        # The publisher is not there yet: looking for it seldom would be measured as its start-up.
        subscriber.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        subscriber.setsockopt_string(zmq.SUBSCRIBE, TOPIC_PREFIX)
        subscriber.connect(endpoint)
        yield subscriber


def _receive(
    subscriber: zmq.Socket[bytes], pid: int, clock: Clock
) -> tuple[list[tuple[bytes, int, int]], list[_Memory]]:
    """Take messages until the end of the stream, or of the process; payload, Unix and monotonic time of each.

    Memory is looked at with the first message, twice per second, and at the end of the stream: the process is about to
    leave.
    """
    arrived: list[tuple[bytes, int, int]] = []
    memory: list[_Memory] = []
    sampled_ns = heard_ns = clock.monotonic_ns()
    while True:
        ready = bool(subscriber.poll(_POLL_MS))
        now_ns = clock.monotonic_ns()
        if ready:
            _, payload = subscriber.recv_multipart()
            arrived.append((payload, clock.unix_us(), now_ns))
            heard_ns = now_ns
            if b'"kind":"end"' in payload and isinstance(decode(None, payload), EndMessage):
                return arrived, memory + _memory_mib(pid)
        elif _has_ended(pid):
            return arrived, memory
        if arrived and (not memory or now_ns - sampled_ns >= _SAMPLE_NS):
            sampled_ns = now_ns
            memory += _memory_mib(pid)
        if now_ns - heard_ns > _SILENCE_NS:
            raise LpnetError("lpnet-rt run: expected a message, found none for two minutes; it was stopped")


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it still has to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _memory_mib(pid: int) -> list[_Memory]:
    """Resident memory, or nothing where the process has just gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS:", "VmHWM:"))}
    return [_Memory(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)] if len(kib) == 2 else []
