"""What a GPU makes of both networks: the one command for a machine that has one.

    python -m lpnet_rt.benchmarks.gpu [--json OUT] [--weights ga.safetensors]

LPNet-RT at 640x512 by the device path, from frames in host memory to detections in host memory, and LPNetGA's exact
form beside the published loop of one patch at a time on the same GPU. ``--device cpu --quick`` runs all of it, small,
where there is none.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lpnet_rt.benchmarks.lpnetga_loop import published_loop
from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.benchmarks.results import Spread
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.console import exit_code_of
from lpnet_rt.detector import Detector
from lpnet_rt.engines import Choice
from lpnet_rt.engines.torch_lpnet_rt import TorchLPNetRTEngine
from lpnet_rt.errors import EngineError
from lpnet_rt.frames import Frame
from lpnet_rt.models import find_model
from lpnet_rt.models.lpnetga_card import INPUT_PX
from lpnet_rt.networks.lpnetga.folding import fold_batch_norm
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.strips import Strips
from lpnet_rt.networks.lpnetga.weights import load_lpnetga
from lpnet_rt.sources.demo import DemoScene

__all__ = ["Row", "main"]

_SIZE_HW = (512, 640)
_WARM_UPS = 10
_OPERATIONS = 12


class Row(Struct, frozen=True):
    """One form, measured.

    Attributes:
        name: What was run.
        precision: Of the arithmetic.
        batch: Frames at once.
        latency: Milliseconds a batch.
        frames_per_s: At the median.
        times_the_loop: Against the published loop a frame, or None.
        score_difference: Largest, against the first form of its kind; None where there is none.
        peak_mib: Of device memory, or None without a GPU.
        bound_by: Operations that take most of the device's time, with their share.
    """

    name: str
    precision: str
    batch: int
    latency: Spread
    frames_per_s: float
    times_the_loop: float | None
    score_difference: float | None
    peak_mib: float | None
    bound_by: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Bench:
    """How things are measured here."""

    device: torch.device
    rounds: int

    def row(self, name: str, precision: str, batch: int, run: Callable[[], object]) -> Row:
        """Warm up, time every run with the device waited for, and look once where the time goes."""
        for _ in range(min(_WARM_UPS, self.rounds)):
            run()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        times_ms = []
        for _ in range(self.rounds):
            self._wait()
            began = time.perf_counter_ns()
            run()
            self._wait()
            times_ms.append((time.perf_counter_ns() - began) / 1e6)
        latency = Spread.of(times_ms)
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None
        rate = batch * 1e3 / latency.p50_ms
        return Row(name, precision, batch, latency, rate, None, None, peak, self._bound_by(run))

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _bound_by(self, run: Callable[[], object]) -> list[str]:
        on_gpu = self.device.type == "cuda"
        with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
            run()
            self._wait()
        found = [
            (event.key, event.self_device_time_total if on_gpu else event.self_cpu_time_total)
            for event in profiled.key_averages()
        ]
        whole = sum(spent for _, spent in found) or 1.0
        found.sort(key=lambda one: -one[1])
        return [f"{100 * spent / whole:.0f} % {key[:70]}" for key, spent in found[:_OPERATIONS] if spent]


def lpnet_rt_rows(bench: _Bench, precisions: Sequence[str], batches: Sequence[int]) -> list[Row]:
    """LPNet-RT, frames in host memory to detections in host memory."""
    model, scene = find_model("lpnet-rt"), DemoScene(seed=1, size_hw=_SIZE_HW)
    frames = [
        Frame(image=scene.frame(i), index=i, source="demo", pts_s=None, t_capture_us=0, t_read_ns=0, bit_depth=14)
        for i in range(max(batches))
    ]
    rows = []
    for precision in precisions:
        engine = TorchLPNetRTEngine(model, precision, None, bench.device.type)
        detector = Detector(model.card, Choice(engine, "measured"), model.card.threshold, SYSTEM_CLOCK)
        for batch in batches:
            run = partial(detector.reports, frames[:batch])
            rows.append(bench.row("LPNet-RT 640x512", precision, batch, run))
    return rows


def lpnetga_rows(bench: _Bench, weights: Path | None, batches: Sequence[int], loops: int) -> list[Row]:
    """LPNetGA's exact form beside the published loop, all on the device."""
    torch.manual_seed(0)
    plain = (load_lpnetga(weights) if weights else LPNetGA().eval()).to(bench.device)
    image = torch.rand(max(batches), 1, INPUT_PX, INPUT_PX, device=bench.device)
    loop = dataclasses.replace(bench, rounds=loops).row(
        "LPNetGA loop, one patch at a time", "f32", 1, lambda: published_loop(plain, image[:1])
    )
    expected = published_loop(plain, image[:1])
    rows = [loop]
    half = torch.float16 if bench.device.type == "cuda" else torch.bfloat16
    for precision, dtype in (("f32", torch.float32), (str(half).removeprefix("torch."), half)):
        folded = fold_batch_norm(plain).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        strips = Strips(folded, (INPUT_PX, INPUT_PX)).eval().to(bench.device)
        for batch in batches:

            def exact(part: Tensor = image[:batch], dtype: torch.dtype = dtype, network: LPNetGA = folded) -> Tensor:
                with torch.autocast(bench.device.type, dtype, enabled=dtype != torch.float32):
                    total: Tensor = strips(network.global_view(part)[2])  # noqa: B023
                    return (total / strips.coverage).cpu()  # noqa: B023

            row = bench.row("LPNetGA exact", precision, batch, exact)
            apart = float(np.abs(exact()[0, 0].float().numpy() - expected).max())
            per_frame = row.latency.p50_ms / batch
            rows.append(
                msgspec.structs.replace(row, times_the_loop=loop.latency.p50_ms / per_frame, score_difference=apart)
            )
    return rows


def table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    shown = Table()
    for column in ("form", "precision", "batch", "p50 ms", "p95 ms", "p99 ms", "frames/s", "x loop", "apart", "MiB"):
        shown.add_column(column, justify="left" if column == "form" else "right")
    for row in rows:
        shown.add_row(
            row.name,
            row.precision,
            str(row.batch),
            *(f"{value:.3f}" for value in (row.latency.p50_ms, row.latency.p95_ms, row.latency.p99_ms)),
            f"{row.frames_per_s:.0f}",
            "-" if row.times_the_loop is None else f"{row.times_the_loop:.0f}",
            "-" if row.score_difference is None else f"{row.score_difference:.0e}",
            "-" if row.peak_mib is None else f"{row.peak_mib:.0f}",
        )
    return shown


def main(argv: Sequence[str] | None = None) -> int:
    """Measure everything, print it, and write it where wanted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.gpu", description=__doc__, allow_abbrev=False)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="LPNetGA's, as import-weights writes them")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="timed runs of each (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="few runs of small batches: does it work?")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    flags = parser.parse_args(argv)
    return exit_code_of(lambda: _run(flags))


def _run(flags: argparse.Namespace) -> int:
    if flags.json:
        check_output(flags.json, "--json", flags.overwrite)
    rows = _measure(flags)
    device = torch.cuda.get_device_name() if flags.device == "cuda" else "processor"
    console = Console(width=140, highlight=False)
    console.print(f"{device}; torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}")
    console.print(table(rows))
    for row in rows:
        console.print(f"{row.name}, {row.precision}, batch {row.batch}: " + "; ".join(row.bound_by[:6]), markup=False)
    if flags.json:
        whole = {"device": device, "torch": str(torch.__version__), "rows": rows}
        write_figures(whole, flags.json, flags.overwrite)
    return 0


@torch.inference_mode()
def _measure(flags: argparse.Namespace) -> list[Row]:
    if flags.device == "cuda" and not torch.cuda.is_available():
        raise EngineError("gpu: expected an NVIDIA GPU that PyTorch can use, found none; --device cpu --quick tries it")
    bench = _Bench(torch.device(flags.device), 2 if flags.quick else flags.rounds)
    precisions = ("f16", "f32") if flags.device == "cuda" else ("bf16", "f32")
    rows = lpnet_rt_rows(bench, precisions, (1, 2) if flags.quick else (1, 16))
    return rows + lpnetga_rows(bench, flags.weights, (1, 2) if flags.quick else (1, 32), 1 if flags.quick else 10)


if __name__ == "__main__":
    sys.exit(main())
