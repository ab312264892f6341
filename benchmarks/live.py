"""Live latency: frames are due at the camera's times, whether or not the detector is ready.

A benchmark that asks for the next frame when the last one is done measures a camera that politely waits. Here every
latency counts from the time the frame was due, and a frame that was dropped is counted as dropped.

    python -m lpnet_rt.benchmarks.live --clip FILE [--threads 1,2] [--load 0,1] [--seconds S] [--json OUT]

plays a clip with each number of inference threads, with nothing beside it and with busy processes of equal priority.
Further flags go to ``lpnet-rt run``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.benchmarks.published import run_published
from lpnet_rt.benchmarks.results import Live, Spread
from lpnet_rt.benchmarks.tables import live_table
from lpnet_rt.benchmarks.videos import count_frames, repeat_video
from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import LpnetError, SettingsError

__all__ = ["busy_processes", "main", "measure_live"]

_LEAST_SAMPLES = 10
# It ends with the pipe to it, however the benchmark ends.
_BUSY = """
import sys, threading

def spin():
    while True:
        pass

threading.Thread(target=spin, daemon=True).start()
sys.stdin.read()
"""


def measure_live(path: Path, engine: str, due: int, flags: list[str], clock: Clock, more_subscribers: int = 0) -> Live:
    """Play a video at its own pace through the main job.

    Args:
        path: Video.
        engine: What the row is called.
        due: Frames in it.
        flags: Further flags of ``lpnet-rt run``.
        clock: Tells the time.
        more_subscribers: So many others read everything, too.

    Raises:
        LpnetError: The run failed, or no message arrived.
    """
    arguments = ["--source", str(path), "--realtime", *flags]
    done = run_published(arguments, clock, more_subscribers=more_subscribers)
    if not done.arrivals:
        raise LpnetError(f"{path}: expected messages, found none; is it a video?")
    # The publisher's Unix time of capture is that at which the frame was due, on this machine's clock.
    latency_ms = [(a.unix_us - a.message.t_capture_us) / 1e3 for a in done.arrivals]
    beside_ms = [total - a.message.latency_ms.infer for total, a in zip(latency_ms, done.arrivals, strict=True)]
    samples = done.resident_mib
    known = len(samples) >= _LEAST_SAMPLES
    return Live(
        name=path.stem,
        engine=engine,
        due=due,
        arrived=len(done.arrivals),
        dropped=done.arrivals[-1].message.dropped,
        latency=Spread.of(latency_ms),
        beside_inference=Spread.of(beside_ms),
        memory_early_mib=samples[len(samples) // 5] if known else None,
        memory_end_mib=samples[-1] if known else None,
        peak_mib=done.peak_mib,
    )


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep so many processes busy beside what is measured, at the same priority."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE))
            stack.callback(process.kill)
        yield


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.live", description=__doc__)
    parser.add_argument("--clip", type=Path, required=True, metavar="FILE", help="a video with a frame rate")
    parser.add_argument("--threads", default="1,2", metavar="N,N", help="inference threads (default: %(default)s)")
    parser.add_argument("--load", default="0,1", metavar="N,N", help="busy processes beside it (default: %(default)s)")
    parser.add_argument("--subscribers", type=int, default=0, metavar="N", help="further ones (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="of each run (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args, flags = parser.parse_known_args(argv)
    return exit_code_of(lambda: _run(args, flags))


def _run(args: argparse.Namespace, flags: list[str]) -> int:
    if args.json:
        check_output(args.json, "--json", args.overwrite)
    rows: list[Live] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{args.clip.stem}.mkv"
        frames, rate_hz = count_frames(args.clip)
        times = max(1, round(args.seconds * rate_hz / frames))
        repeat_video(args.clip, path, times)
        for load in _numbers(args.load, "--load"):
            for threads in _numbers(args.threads, "--threads"):
                name = f"{threads} threads, {load} busy"
                with busy_processes(load):
                    own = [*flags, "--threads", str(threads)]
                    rows.append(measure_live(path, name, times * frames, own, SYSTEM_CLOCK, args.subscribers))
    Console().print(live_table(rows))
    if args.json:
        write_figures({"live": [asdict(row) for row in rows]}, args.json, args.overwrite)
    return 0


def _numbers(text: str, flag: str) -> Sequence[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise SettingsError(f"{flag}: expected whole numbers such as 1,2, found {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
