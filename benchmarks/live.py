"""Live latency: frames are due at the camera's times, whether or not the detector is ready.

A benchmark that asks for the next frame when the last one is done measures a camera that politely waits. Here every
latency counts from the time the frame was due, and a frame that was dropped is counted as dropped.
"""

from __future__ import annotations

from pathlib import Path

from lpnet_rt.benchmarks.published import run_published
from lpnet_rt.benchmarks.results import Live, Spread
from lpnet_rt.clock import Clock
from lpnet_rt.errors import LpnetError

__all__ = ["measure_live"]

_LEAST_SAMPLES = 10


def measure_live(path: Path, engine: str, due: int, flags: list[str], clock: Clock) -> Live:
    """Play a video at its own pace through the main job.

    Args:
        path: Video.
        engine: What the row is called.
        due: Frames in it.
        flags: Further flags of ``lpnet-rt run``.
        clock: Tells the time.

    Raises:
        LpnetError: The run failed, or no message arrived.
    """
    done = run_published(["--source", str(path), "--realtime", *flags], clock)
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
