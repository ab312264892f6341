"""LPNetGA's weights files in OpenVINO: the fastest engine for the paper's network on x86 CPUs.

PyTorch reads and folds the weights; the graph is converted once, when the engine is created. The exact form uses strips
(:mod:`lpnet_rt.networks.lpnetga.strips`), whose final sums are computed here in float32 in every precision.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lpnet_rt.errors import EngineError, SettingsError, last_line
from lpnet_rt.models import ModelFile
from lpnet_rt.models.lpnetga_card import Fusing, read_card
from lpnet_rt.networks.lpnetga.folding import fold_batch_norm
from lpnet_rt.networks.lpnetga.merging import merge_local_view
from lpnet_rt.networks.lpnetga.network import LPNetGA, fused
from lpnet_rt.networks.lpnetga.strips import StripParts, Strips
from lpnet_rt.networks.lpnetga.weights import load_lpnetga
from lpnet_rt.preprocessing.frame_and_local import ModelInput
from lpnet_rt.processors import processor_count

__all__ = ["ConvertedLPNetGA", "OpenVINOLPNetGAEngine"]

Score = NDArray[np.float32]


class OpenVINOLPNetGAEngine:
    """A weights file in OpenVINO; frames or tiles run one at a time."""

    name = "openvino"

    def __init__(self, model: ModelFile, precision: str, threads: int | None) -> None:
        """Read and convert the weights.

        Args:
            model: A ``.safetensors`` file whose batch norm uses running statistics.
            precision: ``f32`` or ``bf16``. In bf16 the softmax over a frame moves scores by up to a tenth.
            threads: CPU threads, or None for all.

        Raises:
            ModelError: The file is damaged or of another network.
            SettingsError: Its batch norm uses the statistics of each image.
        """
        card = read_card(model.path)
        if card.statistics != "running":
            raise SettingsError(f"{model.path}: batch norm by each image runs only in the engine torch")
        # Scores are stretched over the whole frame, after the tiles are blended.
        fusing: Fusing = "mean" if model.card.input.stretch else card.fusing
        self.precision = precision
        self._network = ConvertedLPNetGA(load_lpnetga(model.path), card.input_hw, fusing, precision, threads)

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            return np.concatenate([self._network.score(frame[None]) for frame in batch])
        except RuntimeError as error:
            raise EngineError(f"openvino: {last_line(error)}") from error


class ConvertedLPNetGA:
    """LPNetGA in OpenVINO for one frame size."""

    def __init__(
        self, model: LPNetGA, size_hw: tuple[int, int], fusing: Fusing, precision: str, threads: int | None
    ) -> None:
        """Convert and compile.

        Args:
            model: As loaded, batch norm not folded.
            size_hw: Height and width of a frame, in pixels.
            fusing: How patch scores become a score map.
            precision: ``f32``, ``bf16``, or ``mixed``: the patch net in bf16, everything before it in f32.
            threads: CPU threads, or None for all.
        """
        folded = fold_batch_norm(model)
        self._fusing = fusing
        self._strips = None if fusing == "dense" else Strips(folded, size_hw).eval()
        look = _Gated(folded)
        decide: nn.Module = merge_local_view(folded.lfe) if self._strips is None else _Parts(self._strips)
        frame, gated = torch.zeros(1, 1, *size_hw), torch.zeros(1, 8, *size_hw)
        if precision == "mixed":
            first, second = _compile(look, frame, "f32", threads), _compile(decide, gated, "bf16", threads)
            self._run: Callable[[ModelInput], list[Score]] = lambda image: second(first(image)[0])
        else:
            self._run = _compile(nn.Sequential(look, decide), frame, precision, threads)

    def score(self, image: ModelInput) -> Score:
        """(1, 1, H, W) float32 in 0..1 to scores, (1, 1, H, W) float32 in 0..1."""
        found = self._run(image)
        if self._strips is None:
            return found[0].copy()
        total = self._strips.join(StripParts(*(torch.from_numpy(part) for part in found)))
        scores: Score = fused(total, self._strips.coverage, self._fusing).numpy()
        return scores


class _Gated(nn.Module):
    """Only the global view: frame to gated features."""

    def __init__(self, model: LPNetGA) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """(1, 1, H, W) to (1, 8, H, W)."""
        return self.model.global_view(image)[2]


class _Parts(nn.Module):
    """Only the patch net: gated features to the parts of the exact sum, as a tuple."""

    def __init__(self, strips: Strips) -> None:
        super().__init__()
        self.strips = strips

    def forward(self, gated: Tensor) -> tuple[Tensor, ...]:
        """(1, 8, H, W) to the fields of StripParts."""
        parts = self.strips.parts(gated)
        return parts.dense, parts.beside, parts.above, parts.corners


def _compile(
    module: nn.Module, example: Tensor, precision: str, threads: int | None
) -> Callable[[ModelInput], list[Score]]:
    """Return a function from an input of the example's shape to the outputs, valid until its next call."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # raised inside torch.export
        graph = ov.convert_model(torch.export.export(module.eval(), (example,)))
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads or processor_count(),
        "NUM_STREAMS": 1,
    }
    compiled = ov.Core().compile_model(graph, "CPU", options)
    request = compiled.create_infer_request()

    def run(image: ModelInput) -> list[Score]:
        request.infer([image], share_inputs=True)
        return [request.get_output_tensor(index).data for index in range(len(compiled.outputs))]

    return run
