"""What viewers of the web page cost detection: two sources at 30 frames per second, with none, one and ten viewers.

    python -m lpnet_rt.benchmarks.web [--viewers 0,1,10] [--rounds N] [--seconds S] [--size WxH] [--json OUT]

All is one run of one process: the numbers of viewers take turns, so that what else the machine does falls on all of
them. Viewers are real WebSockets in a process of their own, which acknowledge each picture at once and do not draw it.
Latency runs from the time a frame was due to its message at a subscriber. Further flags go to ``lpnet-rt run``.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.benchmarks.published import Arrival, run_published
from lpnet_rt.benchmarks.results import Spread
from lpnet_rt.benchmarks.videos import repeat_video, write_demo_video
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import LpnetError, SettingsError

__all__ = ["Phase", "Row", "main", "rows_of"]

_RATE_HZ = 30
_SCENE_FRAMES = 300
_SETTLE_S = 1.5  # until the viewers of a turn have connected
_START_S = 60.0
# The viewers end with the pipe to them, however the benchmark ends, and say how many messages they got.
_VIEWERS = """
import asyncio, json, sys
from websockets.asyncio.client import connect

count = 0

async def watch(port):
    global count
    url = f"ws://127.0.0.1:{port}/ws"
    async with connect(url, origin=f"http://127.0.0.1:{port}", max_size=2**24, proxy=None) as viewer:
        async for message in viewer:
            if isinstance(message, bytes):
                count += 1
                await viewer.send(json.dumps({"ack": int.from_bytes(message[:4], "little")}))
            elif '"hello"' in message[:20]:
                sources = json.loads(message)["sources"]
                await viewer.send(json.dumps({"want": {name: "full" for name in sources}}))

async def main():
    watching = [asyncio.ensure_future(watch(sys.argv[1])) for _ in range(int(sys.argv[2]))]
    await asyncio.to_thread(sys.stdin.read)
    print(count, flush=True)
    for task in watching:
        task.cancel()

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of viewers.

    Attributes:
        viewers: How many.
        fps: Frames per second of both sources together.
        fps_ratio: Against no viewer in the same run; 1 is as many.
        latency: From due to the message at the subscriber.
        p99_more_ms: Its 99th percentile less that without viewers.
        server_share: Processor time of the page's thread, as a share of one processor.
        pictures_hz: Messages with pictures per second and viewer, each with the newest frames of both sources.
    """

    viewers: int
    fps: float
    fps_ratio: float
    latency: Spread
    p99_more_ms: float
    server_share: float
    pictures_hz: float


@dataclass(frozen=True, slots=True)
class Phase:
    """One turn.

    Attributes:
        viewers: So many.
        begin_us: Unix time from which it counts, microseconds.
        end_us: And to which.
        messages: Messages with pictures that all viewers got.
        busy_s: Processor time of the page's thread, seconds.
    """

    viewers: int
    begin_us: int
    end_us: int
    messages: int
    busy_s: float


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.web", description=__doc__)
    parser.add_argument("--viewers", default="0,1,10", metavar="N,N", help="in turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, metavar="S", help="of each turn (default: %(default)s)")
    parser.add_argument("--size", default="320x256", metavar="WxH", help="of both sources (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args, flags = parser.parse_known_args(argv)
    return exit_code_of(lambda: _run(args, flags))


def _run(args: argparse.Namespace, flags: list[str]) -> int:
    if args.json:
        check_output(args.json, "--json", args.overwrite)
    try:
        numbers = [int(word) for word in args.viewers.split(",")]
        width, height = (int(word) for word in args.size.split("x"))
    except ValueError:
        raise SettingsError("--viewers 0,1,10 and --size WxH: expected whole numbers") from None
    if 0 not in numbers:
        raise SettingsError(f"--viewers: expected 0 among them, to compare with, found {args.viewers}")
    plan = numbers * args.rounds
    with tempfile.TemporaryDirectory() as folder:
        scene, path = Path(folder) / "scene.mkv", Path(folder) / "repeated.mkv"
        write_demo_video(scene, (height, width), _SCENE_FRAMES, _RATE_HZ)
        # Some seconds more: the engine opens while a source in real time already runs.
        repeat_video(scene, path, round((len(plan) * (args.seconds + 1.5) + 20) * _RATE_HZ / _SCENE_FRAMES))
        phases, arrivals = _measure(path, plan, args.seconds, flags)
    rows = rows_of(phases, arrivals)
    Console().print(_table(rows, args.size))
    if args.json:
        write_figures({"web": [asdict(row) for row in rows]}, args.json, args.overwrite)
    return 0


def _measure(path: Path, plan: Sequence[int], seconds: float, flags: list[str]) -> tuple[list[Phase], list[Arrival]]:
    """Run the main job to the end of the video, while viewers come and go."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    phases: list[Phase] = []
    watching = threading.Thread(target=_watch, args=(port, plan, seconds, phases), daemon=True)
    watching.start()
    sources = [word for name in ("one", "two") for word in ("--source", str(path), "--name", name)]
    done = run_published([*sources, "--realtime", "--web", f"127.0.0.1:{port}", *flags], SYSTEM_CLOCK)
    watching.join(seconds + _START_S)
    if len(phases) < len(plan):
        raise LpnetError(
            f"web: expected {len(plan)} turns, found {len(phases)}; the run was too short, or no page came"
        )
    return phases, done.arrivals


def _watch(port: int, plan: Sequence[int], seconds: float, phases: list[Phase]) -> None:
    """Let viewers come and go; note how many there were from when to when (Unix time, microseconds)."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    time.sleep(5)  # the first frames pay for what is loaded late
    for viewers in plan:
        command = [sys.executable, "-c", _VIEWERS, str(port), str(viewers)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        time.sleep(_SETTLE_S)
        begin_us, busy_s = time.time_ns() // 1000, _busy_s(port)
        time.sleep(seconds)
        end_us, busy_s = time.time_ns() // 1000, _busy_s(port) - busy_s
        said, _ = process.communicate()
        phases.append(Phase(viewers, begin_us, end_us, int(said or 0), busy_s))


def _busy_s(port: int) -> float:
    """Processor time of the page's thread so far, seconds, as the page says itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return float(text.partition("\nlpnet_web_cpu_seconds_total ")[2].partition("\n")[0])


def rows_of(phases: Sequence[Phase], arrivals: Sequence[Arrival]) -> list[Row]:
    """Put the turns of each number of viewers together.

    Args:
        phases: The turns.
        arrivals: Every frame's message.

    Raises:
        LpnetError: No frame arrived in some turn.
    """
    rows: list[Row] = []
    for viewers in sorted({phase.viewers for phase in phases}):
        own = [phase for phase in phases if phase.viewers == viewers]
        seconds = sum((phase.end_us - phase.begin_us) / 1e6 for phase in own)
        found = [a for a in arrivals if any(phase.begin_us <= a.unix_us < phase.end_us for phase in own)]
        if not found:
            raise LpnetError(f"web: expected frames with {viewers} viewers, found none; the run was too short")
        latency = Spread.of([(a.unix_us - a.message.t_capture_us) / 1e3 for a in found])
        base = rows[0] if rows else None
        fps = len(found) / seconds
        rows.append(
            Row(
                viewers=viewers,
                fps=fps,
                fps_ratio=1.0 if base is None else fps / base.fps,
                latency=latency,
                p99_more_ms=0.0 if base is None else latency.p99_ms - base.latency.p99_ms,
                server_share=sum(phase.busy_s for phase in own) / seconds,
                pictures_hz=sum(phase.messages for phase in own) / ((seconds + len(own) * _SETTLE_S) * max(viewers, 1)),
            )
        )
    return rows


def _table(rows: Sequence[Row], size: str) -> Table:
    table = Table(title=f"two sources of {size} at {_RATE_HZ} frames per second")
    for name in (
        "viewers",
        "frames/s",
        "against none",
        "p50, ms",
        "p99, ms",
        "p99 more, ms",
        "page, % of a CPU",
        "pictures/s each",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        latency = f"{row.latency.p50_ms:.1f}", f"{row.latency.p99_ms:.1f}", f"{row.p99_more_ms:+.1f}"
        counts = str(row.viewers), f"{row.fps:.1f}", f"{row.fps_ratio:.3f}"
        table.add_row(*counts, *latency, f"{100 * row.server_share:.1f}", f"{row.pictures_hz:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
