"""``lpnet-rt benchmark``: how fast this machine is, stage by stage and from file to message.

Engines take turns within every measurement, so that whatever else the machine does falls on all of them alike; compare
figures of one run with each other. The first run of everything is a warm-up and counts for nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lpnet_rt.benchmarks.arithmetic import count_macs
from lpnet_rt.benchmarks.choosing import load_detectors
from lpnet_rt.benchmarks.end_to_end import measure_file
from lpnet_rt.benchmarks.live import measure_live
from lpnet_rt.benchmarks.machine import Machine, Peak, describe_machine, measure_peaks
from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.benchmarks.parity import compare_engines, demo_frames, reference_of
from lpnet_rt.benchmarks.plan import Plan, add_flags, read_plan
from lpnet_rt.benchmarks.plots import check_plotting, draw_results
from lpnet_rt.benchmarks.results import Results, StageTimes
from lpnet_rt.benchmarks.stages import engine_name, measure_stages
from lpnet_rt.benchmarks.start_up import measure_start_up
from lpnet_rt.benchmarks.tables import (
    arithmetic_table,
    end_to_end_table,
    live_table,
    parity_table,
    stages_table,
    start_up_table,
)
from lpnet_rt.benchmarks.videos import first_frames, repeat_video, write_demo_video
from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError, SinkError
from lpnet_rt.models import find_model
from lpnet_rt.processors import processor_count

__all__ = ["add_arguments", "measure", "run"]

_RATE_HZ = 30
_PARITY_FRAMES = 40
_WIDTH = 110
_LIVE_HW = (512, 640)


@dataclasses.dataclass(frozen=True, slots=True)
class _Workload:
    """A video to measure, and how many frames it has."""

    path: Path
    size_hw: tuple[int, int]
    frames: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, write.

    Raises:
        LpnetError: A flag is wrong, an engine is missing, or a run failed.
    """
    plan = read_plan(args)
    _check_outputs(plan)
    clock, console = SYSTEM_CLOCK, Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    machine = describe_machine(clock)
    console.print(_describe(machine))
    detectors = load_detectors(plan.engines, plan.model, plan.threads)
    precisions = [detector.choice.engine.precision for detector in detectors]
    peaks = measure_peaks(precisions, plan.threads or processor_count(), clock)
    console.print("matrix product: " + (", ".join(f"{p.precision} {p.gmac_per_s:.0f} GMAC/s" for p in peaks) or "none"))
    with tempfile.TemporaryDirectory() as folder:
        results = measure(plan, detectors, peaks, Path(folder), console)
    if plan.json:
        whole = {"machine": machine, "peaks": peaks, "plan": plan, "results": results}
        write_figures(whole, Path(plan.json), plan.overwrite)
    if plan.plot:
        title = f"{detectors[0].card.name}, {machine.processor}, {machine.processors} processors"
        draw_results(results, title, Path(plan.plot), overwrite=plan.overwrite)
    return 0


def measure(
    plan: Plan, detectors: Sequence[Detector], peaks: Sequence[Peak], folder: Path, console: Console
) -> Results:
    """Do the parts that the plan asks for, and print each as soon as it is known.

    Args:
        plan: What to do.
        detectors: One an engine.
        peaks: What stages are compared with.
        folder: For generated files.
        console: For tables.

    Raises:
        LpnetError: A run failed.
    """
    clock, parts, began_ns = SYSTEM_CLOCK, plan.parts(), SYSTEM_CLOCK.monotonic_ns()
    results = Results([], [], [], None, [], [])
    loads = _workloads(plan, folder)

    def print_elapsed(part: str) -> None:
        """Say how long a part has taken."""
        nonlocal began_ns
        now_ns = clock.monotonic_ns()
        console.print(f"{part}: {(now_ns - began_ns) / 1e9:.0f} s")
        began_ns = now_ns

    if "stages" in parts:
        _do_stages(plan, detectors, peaks, loads, results, clock)
        console.print(stages_table(results.stages))
        console.print(arithmetic_table(results.stages))
        print_elapsed("stages")
    if "end-to-end" in parts:
        engines = [(engine_name(detector), _flags(plan, detector)) for detector in detectors]
        # Timing the stages has compiled every size for every engine; a quick run leaves it at that.
        warm_up = plan.runs > 1 or "stages" not in parts
        for load in loads:
            results.end_to_end.extend(measure_file(load.path, engines, plan.runs, clock, warm_up))
        console.print(end_to_end_table(results.end_to_end))
        print_elapsed("end to end")
    fastest, load = _fastest(detectors, results.stages), _live_workload(loads)
    if "live" in parts:
        times = max(1, round(plan.live_s * _RATE_HZ / load.frames))
        path = folder / f"{load.path.stem}_live.mkv"
        repeat_video(load.path, path, times)
        due, flags = times * load.frames, _flags(plan, fastest)
        results.live.append(measure_live(path, engine_name(fastest), due, flags, clock))
        console.print(live_table(results.live))
        print_elapsed("live")
    if "start-up" in parts:
        start_up = measure_start_up(load.path, plan.runs, _flags(plan, fastest), clock)
        results = dataclasses.replace(results, start_up=start_up)
        console.print(start_up_table(start_up))
        print_elapsed("start-up")
    if "parity" in parts:
        _do_parity(plan, detectors, loads, results)
        if results.parity:
            console.print(parity_table(results.parity))
        print_elapsed("parity")
    for line in results.skipped:
        console.print(f"left out: {line}")
    return results


def _workloads(plan: Plan, folder: Path) -> list[_Workload]:
    """The video that was given, or one of each size."""
    if plan.source:
        path = Path(plan.source)
        if not path.is_file():
            raise SettingsError(f"--source {plan.source}: expected a video file, found none; name one")
        frames = first_frames(path, plan.frames)
        return [_Workload(path, frames[0].size_hw, len(frames))]
    loads = []
    for size_hw in plan.sizes_hw():
        path = folder / f"demo_{size_hw[1]}x{size_hw[0]}.mp4"
        count = plan.frames_of(size_hw)
        write_demo_video(path, size_hw, count, _RATE_HZ)
        loads.append(_Workload(path, size_hw, count))
    return loads


def _do_stages(
    plan: Plan,
    detectors: Sequence[Detector],
    peaks: Sequence[Peak],
    loads: Sequence[_Workload],
    results: Results,
    clock: Clock,
) -> None:
    model = find_model(plan.model)
    rates = {peak.precision: peak.gmac_per_s for peak in peaks}
    for load in loads:
        frames = first_frames(load.path, plan.stage_frames)
        macs = count_macs(model, load.size_hw)
        for batch in plan.batches():
            if batch > len(frames):
                results.skipped.append(f"{load.path.name}, batch {batch}: it has {len(frames)} frames")
                continue
            rows, skipped = measure_stages(detectors, frames, plan.rounds, batch, clock)
            results.stages.extend(_with_macs(row, macs, rates) for row in rows)
            results.skipped.extend(f"{load.path.name}: {line}" for line in skipped)


def _with_macs(row: StageTimes, macs: int | None, peaks: dict[str, float]) -> StageTimes:
    if macs is None:
        return row
    rate = macs / 1e6 / row.infer.p50_ms
    peak = peaks.get(row.engine.rpartition(" ")[2])
    return dataclasses.replace(
        row, gmac=macs / 1e9, gmac_per_s=rate, share_of_peak=None if peak is None else rate / peak
    )


def _do_parity(plan: Plan, detectors: Sequence[Detector], loads: Sequence[_Workload], results: Results) -> None:
    reference = reference_of(detectors)
    if reference is None or len(detectors) < 2:
        results.skipped.append("parity: it takes two engines, one of them in f32")
        return
    others = [detector for detector in detectors if detector is not reference]
    count = min(_PARITY_FRAMES, plan.stage_frames)
    results.parity.extend(compare_engines(reference, others, demo_frames(count), "demo, 14 bits"))
    if plan.source:
        images = [frame.image for frame in first_frames(loads[0].path, count)]
        results.parity.extend(compare_engines(reference, others, images, loads[0].path.name))


def _fastest(detectors: Sequence[Detector], stages: Sequence[StageTimes]) -> Detector:
    """Fastest by the last single frames that were timed; the first where none were."""
    singles = [row for row in stages if row.batch == 1]
    timed = {row.engine: row.infer.p50_ms for row in singles if row.size_wh == singles[-1].size_wh}
    return min(detectors, key=lambda detector: timed.get(engine_name(detector), float("inf")))


def _live_workload(loads: Sequence[_Workload]) -> _Workload:
    return next((load for load in loads if load.size_hw == _LIVE_HW), loads[-1])


def _flags(plan: Plan, detector: Detector) -> list[str]:
    """Flags of ``lpnet-rt run`` for a detector's engine."""
    engine = detector.choice.engine
    flags = ["--model", plan.model, "--engine", engine.name, "--precision", engine.precision]
    return [*flags, "--threads", str(plan.threads)] if plan.threads else flags


def _check_outputs(plan: Plan) -> None:
    """Refuse what cannot be written before anything is measured."""
    if plan.plot:
        check_plotting()
    given = {flag: Path(name) for flag, name in (("--json", plan.json), ("--plot", plan.plot)) if name}
    for flag, path in given.items():
        check_output(path, flag, plan.overwrite)
    if len({path.resolve() for path in given.values()}) < len(given):
        raise SinkError(f"--plot {plan.plot}: --json writes the same file; give another name")


def _describe(machine: Machine) -> str:
    able = ", ".join(machine.flags) or "no flags known"
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    revision = f" ({machine.revision})" if machine.revision else ""
    return (
        f"{machine.processor}, {machine.processors} processors, {machine.memory_gib:g} GiB, {able}\n"
        f"lpnet-rt {machine.lpnet_rt}{revision}, Python {machine.python}, {libraries}\n"
        f"load before: {machine.load_before:g}"
        + (" (others are at work: take ratios, not figures)" if machine.load_before > 0.5 else "")
    )
