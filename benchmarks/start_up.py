"""How long a user waits: for the import, and from the start of a process to the first detection.

The operating system's own cache of files is warm throughout: emptying it is not a benchmark's to do.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lpnet_rt.benchmarks.published import PublishedRun, run_published
from lpnet_rt.benchmarks.results import StartUp
from lpnet_rt.clock import Clock
from lpnet_rt.errors import LpnetError

__all__ = ["measure_start_up"]

_FRAMES = 30
_TIMED = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"


def measure_start_up(path: Path, runs: int, flags: list[str], clock: Clock) -> StartUp:
    """Start the main job on a file with an empty cache, and again with the cache that was left.

    Args:
        path: Video; its first second is used.
        runs: Of each kind.
        flags: Further flags of ``lpnet-rt run``.
        clock: Tells the time.

    Raises:
        LpnetError: A run failed or published nothing.
    """
    arguments = ["--source", str(path), "--frames", str(_FRAMES), *flags]
    cold, warm = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(run_published(arguments, clock, Path(folder)))
            warm.append(run_published(arguments, clock, Path(folder)))
    firsts = [run.arrivals[0].since_start_s for run in warm if run.arrivals]
    if not firsts:
        raise LpnetError(f"{path}: expected messages, found none; is it a video?")
    return StartUp(
        import_s=statistics.median(_import_s("import lpnet_rt") for _ in range(runs)),
        import_detector_s=statistics.median(_import_s("from lpnet_rt import Detector") for _ in range(runs)),
        cold_s=_first_detection_s(cold),
        warm_s=_first_detection_s(warm),
        warm_first_frame_s=statistics.median(firsts),
    )


def _first_detection_s(runs: list[PublishedRun]) -> float | None:
    """Median, or None where a run found nothing."""
    times = [next((a.since_start_s for a in run.arrivals if a.message.detections), None) for run in runs]
    found = [time_s for time_s in times if time_s is not None]
    return statistics.median(found) if len(found) == len(runs) else None


def _import_s(statement: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LpnetError(f"{statement}: exit code {done.returncode}: {' '.join(done.stderr.split())[-300:]}")
    return float(done.stdout)
