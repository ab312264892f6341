"""The machine that figures belong to: what it is, and how fast it multiplies at best."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpnet_rt import __version__
from lpnet_rt.clock import Clock
from lpnet_rt.processors import processor_count

__all__ = ["Machine", "Peak", "describe_machine", "measure_peaks"]

_LIBRARIES = ("numpy", "opencv-python-headless", "av", "pyzmq", "msgspec", "openvino", "onnxruntime", "torch")
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8")
_SIDE = 1024
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and with what the figures were measured.

    Attributes:
        processor: Its name.
        processors: Logical processors that this process may use.
        flags: What it can do, of what matters here.
        memory_gib: Of the machine.
        system: Operating system.
        python: Version.
        libraries: Versions by name; those that are absent are left out.
        lpnet_rt: Version.
        revision: Git revision of the source, ``+`` where files were changed since; None outside a checkout.
        measured_utc: When.
        load_before: Load average of the last minute before anything was measured; over 0.5, others were at work.
    """

    processor: str
    processors: int
    flags: list[str]
    memory_gib: float
    system: str
    python: str
    libraries: dict[str, str]
    lpnet_rt: str
    revision: str | None
    measured_utc: str
    load_before: float


@dataclass(frozen=True, slots=True)
class Peak:
    """How fast a large matrix product runs: what a network can be measured against.

    Attributes:
        precision: ``f32`` or ``bf16``.
        gmac_per_s: 10^9 multiply-accumulates per second, the best of the repetitions.
    """

    precision: str
    gmac_per_s: float


def describe_machine(clock: Clock) -> Machine:
    """Look around."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    measured = datetime.datetime.fromtimestamp(clock.unix_us() / 1e6, datetime.UTC)
    return Machine(
        processor=_from_cpuinfo("model name") or platform.processor() or platform.machine(),
        processors=processor_count(),
        flags=[flag for flag in _TELLING_FLAGS if flag in _from_cpuinfo("flags").split()],
        memory_gib=round(pages * page_bytes / 2**30, 1),
        system=platform.platform(),
        python=platform.python_version(),
        libraries=_versions(),
        lpnet_rt=__version__,
        revision=_revision(Path(__file__).resolve().parent),
        measured_utc=measured.isoformat(timespec="seconds"),
        load_before=round(os.getloadavg()[0], 2),
    )


def measure_peaks(precisions: list[str], threads: int, clock: Clock, repetitions: int = 100) -> list[Peak]:
    """Time a product of two 1024x1024 matrices in OpenVINO.

    Args:
        precisions: ``f32``, ``bf16``; others are left out, and so are all where OpenVINO is not installed.
        threads: Processor threads.
        clock: Tells the time.
        repetitions: The best counts: what else the machine does only ever adds.
    """
    if importlib.util.find_spec("openvino") is None:
        return []
    peaks = []
    for precision in (p for p in ("f32", "bf16") if p in precisions):
        multiply = _matrix_product(precision, threads)
        for _ in range(_WARM_UP):
            multiply()
        best_ns = min(_timed_ns(multiply, clock) for _ in range(repetitions))
        peaks.append(Peak(precision, _SIDE**3 / best_ns))
    return peaks


def _matrix_product(precision: str, threads: int) -> Callable[[], object]:
    import openvino as ov
    from openvino import opset13

    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((_SIDE, _SIDE), np.float32) for _ in range(2))
    given = opset13.parameter([_SIDE, _SIDE], np.float32)
    model = ov.Model([opset13.matmul(given, opset13.constant(right), False, False)], [given])
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
    return lambda: request.infer([left], share_inputs=True, share_outputs=True)


def _timed_ns(work: Callable[[], object], clock: Clock) -> int:
    began = clock.monotonic_ns()
    work()
    return clock.monotonic_ns() - began


def _from_cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""  # a system without it says less of itself
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _revision(folder: Path) -> str | None:
    """Revision of the checkout that ``folder`` lies in; None where there is no git or no checkout."""
    commands = (["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"])
    try:
        head, changed = (
            subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}+" if changed else head
