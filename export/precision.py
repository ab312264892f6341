"""Which layers calculate in half precision, and which must not.

Newer TensorRT takes precision from the graph alone, so the graph has to say it: casts stand where half precision
begins and ends. The same module goes to every format, so ONNX Runtime can prove on a processor what TensorRT will run.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lpnet_rt.networks.lpnet_rt.inference import HEADS, VIEWS, PrecisionPlan, ScoredLPNetRT, fold_norms

__all__ = ["PEAK_LIMIT", "plan_precision"]

# Half precision ends at 65,504. Frames are met in the field that were not among those measured here.
PEAK_LIMIT = 8192.0


def plan_precision(module: ScoredLPNetRT, inputs: Iterable[Tensor]) -> PrecisionPlan:
    """Measure what each layer reaches in fp32, and keep in fp32 what comes near the end of half precision's range.

    Args:
        module: In evaluation mode; left as it is.
        inputs: (B, 2, H, W) float32 model inputs of real frames.
    """
    folded = fold_norms(module)
    peaks = _peaks(folded, inputs)
    full: list[tuple[str, str]] = []
    for view in VIEWS:
        # A sum between convolutions cannot be cast by itself; where one is too large, its whole view stays.
        sums = [name for name in peaks if name.startswith(view) and not _is_convolution(folded, name)]
        worst = max(sums, key=lambda name: peaks[name])
        if not peaks[worst] <= PEAK_LIMIT:
            full.append((view, f"{worst.removeprefix(view + '.')} reaches {peaks[worst]:.0f}"))
    for name in (name for name in peaks if _is_convolution(folded, name)):
        weight = float(folded.get_submodule(name).get_parameter("weight").abs().max())
        if name in HEADS:
            full.append((name, "writes logits"))
        elif not max(peaks[name], weight) <= PEAK_LIMIT:
            full.append((name, f"reaches {max(peaks[name], weight):.0f}"))
    kept = {name for name, _ in full}
    views = tuple(f"{view}." for view in VIEWS if view in kept)
    convolutions = (name for name in peaks if _is_convolution(folded, name))
    half = tuple(name for name in convolutions if name not in kept and not name.startswith(views or ("?",)))
    return PrecisionPlan(half, tuple(full))


def _is_convolution(module: nn.Module, name: str) -> bool:
    return isinstance(module.get_submodule(name), nn.Conv2d)


def _peaks(module: nn.Module, inputs: Iterable[Tensor]) -> dict[str, float]:
    """Largest absolute output of everything inside the views, by name; NaN counts as infinite."""
    peaks: dict[str, float] = {}
    handles = []
    for name, inner in module.named_modules():
        if not name.startswith(tuple(f"{view}." for view in VIEWS)):
            continue
        peaks[name] = 0.0

        def note(_module: nn.Module, _inputs: object, output: Tensor, name: str = name) -> None:
            peaks[name] = max(peaks[name], float(torch.nan_to_num(output.abs(), nan=torch.inf).max()))

        handles.append(inner.register_forward_hook(note))
    with torch.inference_mode():
        for batch in inputs:
            module(batch)
    for handle in handles:
        handle.remove()
    return peaks
