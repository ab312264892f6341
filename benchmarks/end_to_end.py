"""How fast the main job is, from a video file to published messages, and whether its memory grows.

    python -m lpnet_rt.benchmarks.end_to_end [--clip FILE] [--runs N] [--soak FRAMES] [--json OUT]

Every run is a process of its own that publishes to a subscriber in this one. The files are H.264, made of the demo
scene (and of a real clip where one is named), so that decoding is part of what is timed. Rates count from the first
message to the last; start-up is in the time of the whole process. Further flags go to ``lpnet-rt run``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.benchmarks.published import PublishedRun, run_published
from lpnet_rt.benchmarks.results import EndToEnd
from lpnet_rt.benchmarks.tables import end_to_end_table
from lpnet_rt.benchmarks.videos import decode_rate_hz, write_demo_video
from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import LpnetError

__all__ = ["Soak", "main", "measure_file", "soak"]

_SIZES_HW = ((256, 320), (512, 640), (1024, 1280))
_SETTLED = 5
_WARM_UP_FRAMES = 5


@dataclass(frozen=True, slots=True)
class Soak:
    """Resident memory over a long run of the demo scene, in MiB."""

    frames: int
    after_two_seconds_mib: float
    at_end_mib: float
    highest_mib: float


def measure_file(
    path: Path, engines: Sequence[tuple[str, list[str]]], runs: int, clock: Clock, warm_up: bool = True
) -> list[EndToEnd]:
    """Run the main job on a file ``runs`` times an engine, in turns.

    Args:
        path: Video.
        engines: What a row is called, and the flags of ``lpnet-rt run`` for it.
        runs: Of each engine, at least 1.
        clock: Tells the time.
        warm_up: Run each engine once more, for a few frames and uncounted, first; not needed where its cache of
            compiled models is warm.

    Raises:
        LpnetError: A run failed or published fewer than two frames.
    """
    rate_hz = decode_rate_hz(path)
    done: dict[str, list[PublishedRun]] = {name: [] for name, _ in engines}
    for number in range(0 if warm_up else 1, runs + 1):
        for name, flags in engines:
            if number:
                done[name].append(run_published(["--source", str(path), *flags], clock))
            else:
                run_published(["--source", str(path), *flags, "--frames", str(_WARM_UP_FRAMES)], clock)
    return [_summarise(path.stem, name, those, rate_hz) for name, those in done.items()]


def soak(frames: int, flags: list[str], clock: Clock) -> Soak:
    """Run the demo scene for many frames and watch the process's resident memory from outside.

    Raises:
        LpnetError: The run failed, or was too short to tell.
    """
    run = run_published(["--source", "demo", "--frames", str(frames), *flags], clock)
    if len(run.resident_mib) < _SETTLED:
        raise LpnetError(f"soak: expected a run of three seconds or more, found {frames} frames; give more")
    settled = run.resident_mib[_SETTLED - 1]
    return Soak(len(run.arrivals), settled, run.resident_mib[-1], max(run.resident_mib))


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.end_to_end", description=__doc__)
    parser.add_argument("--clip", type=Path, metavar="FILE", help="a real clip, measured beside the demo scene")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="counted runs a file (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=900, metavar="N", help="frames a file (default: %(default)s)")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="frames of the memory test (default: none)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    args, flags = parser.parse_known_args(argv)
    return exit_code_of(lambda: _run(args, flags))


def _run(args: argparse.Namespace, flags: list[str]) -> int:
    if args.json:
        check_output(args.json, "--json", args.overwrite)
    found: list[EndToEnd] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [args.clip] if args.clip else []
        for height, width in _SIZES_HW:
            paths.append(Path(folder) / f"demo_{width}x{height}.mp4")
            write_demo_video(paths[-1], (height, width), args.frames)
        for path in paths:
            found += measure_file(path, [(" ".join(flags) or "auto", flags)], args.runs, SYSTEM_CLOCK)
    Console().print(end_to_end_table(found))
    memory = soak(args.soak, flags, SYSTEM_CLOCK) if args.soak else None
    if memory is not None:
        print(
            f"memory over {memory.frames} frames: {memory.after_two_seconds_mib:.0f} MiB after two seconds, "
            f"{memory.at_end_mib:.0f} MiB at the end, highest {memory.highest_mib:.0f} MiB"
        )
    if args.json:
        whole = {"files": [asdict(one) for one in found], "soak": asdict(memory) if memory else None}
        write_figures(whole, args.json, args.overwrite)
    return 0


def _summarise(file: str, engine: str, runs: list[PublishedRun], decode_fps: float) -> EndToEnd:
    rates = [_rate_hz(run) for run in runs]
    return EndToEnd(
        name=file,
        engine=engine,
        frames=len(runs[-1].arrivals),
        fps=(statistics.median(rates), min(rates), max(rates)),
        wall_s=statistics.median(run.wall_s for run in runs),
        peak_mib=max(run.peak_mib for run in runs),
        decode_fps=decode_fps,
    )


def _rate_hz(run: PublishedRun) -> float:
    if len(run.arrivals) < 2:
        raise LpnetError(f"end to end: expected two messages or more, found {len(run.arrivals)}; is it a video?")
    first, last = run.arrivals[0], run.arrivals[-1]
    return (len(run.arrivals) - 1) / max(last.since_start_s - first.since_start_s, 1e-9)


if __name__ == "__main__":
    sys.exit(main())
