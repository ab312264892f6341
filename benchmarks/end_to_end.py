"""How fast the main job is, from a video file to published messages, and whether its memory grows.

    python -m lpnet_rt.benchmarks.end_to_end [--clip FILE] [--runs N] [--soak FRAMES] [--json OUT]

Every run is a process of its own: ``lpnet-rt --source FILE --jsonl OUT``, publishing on loopback. The files are
H.264, made of the demo scene (and of a real clip where one is named), so that decoding is part of what is timed. Rates
count from the moment everything is loaded to the last message; start-up is reported beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import av

from lpnet_rt import __version__
from lpnet_rt.frames import display_stretch
from lpnet_rt.sources.demo import DemoScene

__all__ = ["EndToEnd", "Soak", "main", "measure_file", "soak", "write_demo_video"]

_SIZES_HW = ((256, 320), (512, 640), (1024, 1280))
_FPS = re.compile(r"([\d.]+) fps")
_PERCENTILES = re.compile(r"p50 ([\d.]+) ms, p95 ([\d.]+) ms, p99 ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """One file through the main job; medians over runs.

    Attributes:
        name: Of the file.
        frames: In it.
        fps: Frames a second, median, lowest and highest of the runs.
        latency_p50_ms: From frame read to report ready; includes waiting, since a file is read ahead.
        latency_p99_ms: The same.
        wall_s: Whole process, start-up included.
        peak_mib: Resident memory at its highest.
        decode_fps: The same file decoded and thrown away, in one thread pool, nothing else running.
    """

    name: str
    frames: int
    fps: tuple[float, float, float]
    latency_p50_ms: float
    latency_p99_ms: float
    wall_s: float
    peak_mib: float
    decode_fps: float


@dataclass(frozen=True, slots=True)
class Soak:
    """Resident memory over a long run of the demo scene, in MiB."""

    frames: int
    after_1000_frames_mib: float
    at_end_mib: float
    highest_mib: float


def write_demo_video(path: Path, size_hw: tuple[int, int], frames: int, rate_hz: int = 30) -> None:
    """Write the demo scene, stretched to eight bits, as H.264."""
    scene = DemoScene(seed=1, size_hw=size_hw)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate_hz, options={"preset": "veryfast", "crf": "23"})
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(display_stretch(scene.frame(index)), format="gray")
            container.mux(stream.encode(picture.reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def measure_file(path: Path, runs: int, flags: list[str]) -> EndToEnd:
    """Run the main job on a file, once to warm the caches and then ``runs`` times."""
    rates, walls, peaks, p50s, p99s, frames = [], [], [], [], [], 0
    for number in range(runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.jsonl"
            began = time.perf_counter()
            text, peak_mib = _run_job(["--source", str(path), "--jsonl", str(out), *flags])
            wall_s = time.perf_counter() - began
            frames = sum(1 for _ in out.open("rb"))
        if number:
            rates.append(_number(_FPS, text, 1))
            p50s.append(_number(_PERCENTILES, text, 1))
            p99s.append(_number(_PERCENTILES, text, 3))
            walls.append(wall_s)
            peaks.append(peak_mib)
    return EndToEnd(
        name=path.name,
        frames=frames,
        fps=(statistics.median(rates), min(rates), max(rates)),
        latency_p50_ms=statistics.median(p50s),
        latency_p99_ms=statistics.median(p99s),
        wall_s=statistics.median(walls),
        peak_mib=max(peaks),
        decode_fps=_decode_rate(path),
    )


def soak(frames: int, flags: list[str]) -> Soak:
    """Run the demo scene for many frames and watch the process's resident memory from outside."""
    command = [sys.executable, "-m", "lpnet_rt", "--source", "demo", "--frames", str(frames), "--jsonl", "-", *flags]
    samples: list[tuple[int, float]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for index, _ in enumerate(process.stdout, start=1):
            if index % 500 == 0:
                samples.append((index, _resident_mib(process.pid)))
    if process.returncode:
        raise RuntimeError(f"the demo scene ended with exit code {process.returncode}")
    first = next(mib for index, mib in samples if index >= 1000)
    return Soak(frames, first, samples[-1][1], max(mib for _, mib in samples))


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.end_to_end", description=__doc__)
    parser.add_argument("--clip", type=Path, metavar="FILE", help="a real clip, measured beside the demo scene")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="counted runs a file (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=900, metavar="N", help="frames a file (default: %(default)s)")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="frames of the memory test (default: none)")
    parser.add_argument("--json", type=Path, metavar="OUT")
    args, flags = parser.parse_known_args(argv)
    flags = ["--publish", "tcp://127.0.0.1:*", *flags]
    print(f"lpnet-rt {__version__}, {len(os.sched_getaffinity(0))} processors, {platform.platform()}")
    found: list[EndToEnd] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [args.clip] if args.clip else []
        for height, width in _SIZES_HW:
            paths.append(Path(folder) / f"demo_{width}x{height}.mp4")
            write_demo_video(paths[-1], (height, width), args.frames)
        for path in paths:
            found.append(measure_file(path, args.runs, flags))
            _print_row(found[-1])
    memory = soak(args.soak, flags) if args.soak else None
    if memory is not None:
        print(
            f"memory over {memory.frames} frames: {memory.after_1000_frames_mib:.0f} MiB after 1000, "
            f"{memory.at_end_mib:.0f} MiB at the end, highest {memory.highest_mib:.0f} MiB"
        )
    if args.json:
        whole = {"files": [asdict(one) for one in found], "soak": asdict(memory) if memory else None}
        args.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return 0


def _print_row(one: EndToEnd) -> None:
    median, least, most = one.fps
    print(
        f"{one.name}: {median:.0f} fps ({least:.0f} to {most:.0f}), latency p50 {one.latency_p50_ms:.1f} ms "
        f"p99 {one.latency_p99_ms:.1f} ms, process {one.wall_s:.2f} s for {one.frames} frames, "
        f"{one.peak_mib:.0f} MiB, decoding alone {one.decode_fps:.0f} fps",
        flush=True,
    )


def _run_job(arguments: list[str]) -> tuple[str, float]:
    """Run the command line; its output and its highest resident memory in MiB."""
    command = [sys.executable, "-m", "lpnet_rt", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return text, usage.ru_maxrss / 1024


def _number(pattern: re.Pattern[str], text: str, group: int) -> float:
    found = pattern.search(text)
    if found is None:
        raise RuntimeError(f"expected a summary with {pattern.pattern}, found {text!r}")
    return float(found.group(group))


def _decode_rate(path: Path) -> float:
    count, began = 0, time.perf_counter()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            count += 1
    return count / (time.perf_counter() - began)


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    sys.exit(main())
