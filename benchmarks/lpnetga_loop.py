"""LPNetGA's forms against the published procedure's: one patch at a time, each score copied to the host.

    python -m lpnet_rt.benchmarks.lpnetga_loop --model sirst.safetensors

All forms take turns in every round, so that whatever else the machine does falls on all of them alike; the ratios are
those of one run. The loop is built from this project's own modules, so that only its shape differs. Score differences
are those of absolute scores (mean over the patches of a pixel) on the same frame.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor

from lpnet_rt.engines.openvino_lpnetga import ConvertedLPNetGA
from lpnet_rt.models.lpnetga_card import INPUT_PX
from lpnet_rt.networks.lpnetga.folding import fold_batch_norm
from lpnet_rt.networks.lpnetga.network import LPNetGA
from lpnet_rt.networks.lpnetga.patches import coverage
from lpnet_rt.networks.lpnetga.strips import Strips
from lpnet_rt.networks.lpnetga.weights import load_lpnetga
from lpnet_rt.preprocessing.paper_resize import resized
from lpnet_rt.training.data.files import read_grey

__all__ = ["Form", "main", "measure", "published_loop"]

Score = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Form:
    """One way of computing the score map of a frame.

    Attributes:
        name: What is computed: ``loop``, ``exact`` or ``dense``.
        engine: What computes it.
        run: (1, 1, H, W) float32 in 0..1 on the host -> (H, W) float32, absolute scores, on the host.
    """

    name: str
    engine: str
    run: Callable[[Tensor], Score]


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of one form: every round's milliseconds, and the last score map."""

    form: Form
    times_ms: list[float]
    score: Score


def published_loop(model: LPNetGA, image: Tensor) -> Score:
    """Score a frame as the published script does: every patch by itself, the ones in the zero border included.

    Args:
        model: In evaluation mode, on the host.
        image: (1, 1, H, W) float32 in 0..1.

    Returns:
        (H, W) float32, the mean score of the patches over each pixel.
    """
    grid = model.grid
    height, width = image.shape[2], image.shape[3]
    _, _, gated = model.global_view(image)
    pad, side, step = grid.padding_px, grid.patch_px, grid.stride_px
    padded = torch.nn.functional.pad(gated, (pad, pad, pad, pad))
    total = np.zeros(padded.shape[2:], np.float32)
    for y in range(0, total.shape[0] - side + 1, step):
        for x in range(0, total.shape[1] - side + 1, step):
            total[y : y + side, x : x + side] += model.lfe(padded[:, :, y : y + side, x : x + side])[0, 0].cpu().numpy()
    count = coverage((height, width), grid, like=image)[0, 0].cpu().numpy()
    mean: Score = total[pad : pad + height, pad : pad + width] / count
    return mean


def torch_forms(model: LPNetGA, size_hw: tuple[int, int]) -> list[Form]:
    """Exact and dense through PyTorch: float32, and bfloat16 autocast in channels_last."""
    folded = fold_batch_norm(model)
    strips = Strips(folded, size_hw).eval()
    last = fold_batch_norm(model)
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own, missing from its types

    def exact(network: LPNetGA, image: Tensor) -> Score:
        return _on_host(strips(network.global_view(image)[2]) / strips.coverage)

    def in_bf16(run: Callable[[Tensor], Score], image: Tensor) -> Score:
        with torch.autocast("cpu", torch.bfloat16):
            return run(image.contiguous(memory_format=torch.channels_last))

    return [
        Form("exact", "torch f32, all patches", lambda image: _on_host(model(image, "mean"))),
        Form("exact", "torch f32", lambda image: exact(folded, image)),
        Form("exact", "torch bf16", lambda image: in_bf16(lambda x: exact(last, x), image)),
        Form("dense", "torch f32", lambda image: _on_host(folded(image, "dense"))),
        Form("dense", "torch bf16", lambda image: in_bf16(lambda x: _on_host(last(x, "dense")), image)),
    ]


def openvino_forms(model: LPNetGA, size_hw: tuple[int, int], threads: int) -> list[Form]:
    """Exact and dense through OpenVINO: f32, bf16, and with the patch net alone in bf16."""
    forms = []
    for precision in ("f32", "mixed", "bf16"):
        for name, fusing in (("exact", "mean"), ("dense", "dense")):
            network = ConvertedLPNetGA(model, size_hw, fusing, precision, threads)  # type: ignore[arg-type]
            forms.append(Form(name, f"openvino {precision}", partial(_scored, network)))
    return forms


def _scored(network: ConvertedLPNetGA, frame: Tensor) -> Score:
    score: Score = network.score(frame.numpy())[0, 0]
    return score


def measure(forms: Sequence[Form], image: Tensor, rounds: int, clock: Callable[[], int]) -> list[Timing]:
    """Run every form once to warm up and then once a round, in turns.

    Args:
        forms: What to run.
        image: (1, 1, H, W) float32 in 0..1.
        rounds: At least 1.
        clock: Monotonic nanoseconds.
    """
    timings = [Timing(form, [], form.run(image)) for form in forms]
    for _ in range(rounds):
        for timing in timings:
            start = clock()
            timing.form.run(image)
            timing.times_ms.append((clock() - start) / 1e6)
    return timings


def table(timings: Sequence[Timing]) -> str:
    """The timings as text: the first one is what the others are compared with."""
    loop_ms = float(np.median(timings[0].times_ms))
    lines = [
        f"{'form':<6} {'engine':<22} {'median ms':>10} {'p95 ms':>9} {'x loop':>7} {'largest score difference':>26}"
    ]
    for timing in timings:
        median, p95 = np.percentile(timing.times_ms, (50, 95))
        difference = float(np.abs(timing.score - timings[0].score).max())
        lines.append(
            f"{timing.form.name:<6} {timing.form.engine:<22} {median:10.1f} {p95:9.1f} {loop_ms / median:7.1f} "
            f"{difference:26.1e}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all forms and print the table.

    Args:
        argv: Flags; None takes those of the command line.

    Returns:
        0.

    Raises:
        DataError: The image cannot be read.
        ModelError: The model cannot be read.
    """
    parser = argparse.ArgumentParser(prog="lpnetga_loop", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, help="weights as import-weights writes them; random ones by default")
    parser.add_argument("--image", type=Path, help="a frame; noise by default")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    flags = parser.parse_args(argv)
    torch.set_num_threads(flags.threads)
    torch.manual_seed(0)
    model = load_lpnetga(flags.model) if flags.model else LPNetGA().eval()
    image = torch.from_numpy(_frame(flags.image))[None, None]
    with torch.inference_mode():
        forms = [Form("loop", "torch f32", lambda frame: published_loop(model, frame))]
        forms += torch_forms(model, (INPUT_PX, INPUT_PX))
        forms += openvino_forms(model, (INPUT_PX, INPUT_PX), flags.threads)
        timings = measure(forms, image, flags.rounds, time.perf_counter_ns)
    print(f"{_processor()}, {flags.threads} threads; torch {torch.__version__}, OpenVINO {openvino.__version__}")
    print(f"{INPUT_PX}x{INPUT_PX}, {flags.rounds} rounds in turns, weights: {flags.model or 'random'}")
    print(table(timings))
    return 0


def _frame(path: Path | None) -> Score:
    """(120, 120) float32 in 0..1."""
    if path is None:
        return np.random.default_rng(0).random((INPUT_PX, INPUT_PX), np.float32)
    return resized(read_grey(path), (INPUT_PX, INPUT_PX))


def _on_host(score: Tensor) -> Score:
    on_host: Score = score[0, 0].float().cpu().numpy()
    return on_host


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    raise SystemExit(main())
