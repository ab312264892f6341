"""Two RTSP cameras for ten minutes, with a kill or a freeze every minute: what docs/reliability.md reports.

    python tests/faults/ten_minutes.py [--minutes N] [--json FILE]

Runs ``lpnet-rt`` as a user does, hears its messages, and breaks one camera after the other. It checks how long after
a camera's return its frames come again, whether threads, open files or memory grow, and whether every gap in the frames
is explained by something that was published. Loopback only; everything it starts ends with it. The exit code is 1 if a
check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import Peer, free_port

from lpnet_rt import Subscriber
from lpnet_rt.messages import FrameMessage, StatusMessage
from lpnet_rt.subscriber import Gap

NAMES = ("north", "south")
OUTAGE_S = 8.0
BACK_S = 3.0
GAP_S = 0.5
GROWTH_MIB = 5.0


@dataclass
class Heard:
    """What was published of one camera: arrival times of frames, with how many had been dropped, and the states."""

    frames: list[float] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    states: list[tuple[float, str]] = field(default_factory=list)
    latency_ms: list[tuple[float, float]] = field(default_factory=list)
    missed: int = 0


class Listener:
    """Hears everything, in a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        self.heard = {name: Heard() for name in NAMES}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(endpoint,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)

    def _listen(self, endpoint: str) -> None:
        with Subscriber(endpoint) as subscriber:
            while not self._ended.is_set():
                event = subscriber.receive(0.2)
                now_s = time.monotonic()
                if isinstance(event, FrameMessage):
                    self.heard[event.source].dropped.append(event.dropped)
                    self.heard[event.source].frames.append(now_s)
                    latency = event.latency_ms
                    self.heard[event.source].latency_ms.append((latency.total, latency.infer))
                elif isinstance(event, StatusMessage):
                    self.heard[event.source].states.append((now_s, event.state))
                elif isinstance(event, Gap):
                    self.heard[event.source].missed += event.count


@dataclass(frozen=True)
class Usage:
    """Of the process that is watched."""

    threads: int
    files: int
    resident_mib: float


def usage_of(pid: int) -> Usage:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return Usage(int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd")), int(status["VmRSS"].split()[0]) / 1024)


def unexplained(heard: Heard, until_s: float) -> list[float]:
    """Gaps in the frames of over half a second, seconds each, that nothing published explains.

    What explains one is a state other than live, or a next frame that says that frames were dropped before it.
    """
    times, dropped = [*heard.frames, until_s], [*heard.dropped, heard.dropped[-1]]
    gaps = [
        (times[i], times[i + 1])
        for i in range(len(times) - 1)
        if times[i + 1] - times[i] > GAP_S and dropped[i + 1] == dropped[i]
    ]
    return [
        round(after - before, 2)
        for before, after in gaps
        if not any(state != "live" and before - 0.5 <= at_s <= after + 0.5 for at_s, state in heard.states)
    ]


def break_once(camera: Peer, kind: str) -> float:
    """Break a camera for a while; the time of its return."""
    if kind == "kill":
        camera.kill()
        time.sleep(OUTAGE_S)
        return camera.start()
    camera.stop()
    time.sleep(OUTAGE_S)
    return camera.go_on()


def measure(minutes: int, endpoint: str, pid: int, cameras: list[Peer], listener: Listener) -> dict[str, object]:
    begun_s = time.monotonic()
    returns = []
    first: Usage | None = None
    for minute in range(minutes):
        time.sleep(max(0.0, begun_s + 60 * minute + 45 - time.monotonic()))
        number, kind = minute % 2, ("kill", "freeze")[minute // 2 % 2]
        name = NAMES[number]
        back_s = break_once(cameras[number], kind)
        end_s = back_s + 20
        while time.monotonic() < end_s and listener.heard[name].frames[-1] <= back_s:
            time.sleep(0.02)
        took_s = listener.heard[name].frames[-1] - back_s
        after = [at_s for at_s in listener.heard[name].frames if at_s > back_s]
        returns.append({"camera": name, "fault": kind, "back_s": round(after[0] - back_s, 2) if after else None})
        print(
            f"minute {minute + 1}: {name} {kind}, frames again after {after[0] - back_s if after else took_s:.2f} s",
            flush=True,
        )
        if minute == 0:
            time.sleep(max(0.0, begun_s + 60 - time.monotonic()))
            first = usage_of(pid)
    time.sleep(max(0.0, begun_s + 60 * minutes - time.monotonic()))
    last, now_s = usage_of(pid), time.monotonic()
    assert first is not None
    latencies = sorted(total for heard in listener.heard.values() for total, _ in heard.latency_ms)
    beside = sorted(total - infer for heard in listener.heard.values() for total, infer in heard.latency_ms)
    return {
        "minutes": minutes,
        "returns": returns,
        "after_first_minute": first.__dict__,
        "at_end": last.__dict__,
        "frames": {name: len(heard.frames) for name, heard in listener.heard.items()},
        "missed_by_subscriber": {name: heard.missed for name, heard in listener.heard.items()},
        "unexplained_gaps_s": {name: unexplained(heard, now_s) for name, heard in listener.heard.items()},
        "latency_ms": {"p50": latencies[len(latencies) // 2], "p99": latencies[len(latencies) * 99 // 100]},
        "beside_inference_ms": {"p50": beside[len(beside) // 2], "p99": beside[len(beside) * 99 // 100]},
    }


def failures(found: dict[str, object]) -> list[str]:
    """What is not as it must be."""
    wrong = []
    for one in found["returns"]:  # type: ignore[attr-defined]
        if one["back_s"] is None or one["back_s"] > BACK_S:
            wrong.append(f"{one['camera']} after a {one['fault']}: {one['back_s']} s, at most {BACK_S:g} wanted")
    first, last = found["after_first_minute"], found["at_end"]
    for what in ("threads", "files"):
        if last[what] > first[what]:  # type: ignore[index]
            wrong.append(f"{what}: {last[what]} at the end, {first[what]} after a minute")  # type: ignore[index]
    growth = last["resident_mib"] - first["resident_mib"]  # type: ignore[index]
    if growth > GROWTH_MIB:
        wrong.append(f"memory: grew by {growth:.1f} MiB")
    wrong += [f"{name}: gaps without a status: {gaps}" for name, gaps in found["unexplained_gaps_s"].items() if gaps]  # type: ignore[attr-defined]
    return wrong


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cameras = [Peer(["/usr/bin/python3", str(Path(__file__).parent / "rtsp_server.py")], free_port()) for _ in NAMES]
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with tempfile.TemporaryFile() as log:
        for camera in cameras:
            camera.start(320, 256, 30)
        command = [sys.executable, "-m", "lpnet_rt", "run", "--quiet", "--publish", endpoint]
        for name, camera in zip(NAMES, cameras, strict=True):
            command += ["--source", f"rtsp://127.0.0.1:{camera.port}/cam", "--name", name]
        program = subprocess.Popen(command, stderr=log)
        listener = Listener(endpoint)
        try:
            end_s = time.monotonic() + 60
            while not all(heard.frames for heard in listener.heard.values()) and time.monotonic() < end_s:
                time.sleep(0.1)
            found = measure(args.minutes, endpoint, program.pid, cameras, listener)
        finally:
            program.terminate()
            code = program.wait(20)
            listener.close()
            for camera in cameras:
                camera.kill()
        log.seek(0)
        print(log.read().decode(), end="")
    print(json.dumps({**found, "exit_code": code}, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    wrong = failures(found)
    print("\n".join(wrong) or "all as it must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
