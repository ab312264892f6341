"""LPNet-RT in PyTorch: on a GPU, frames are uploaded once as bytes and only candidate pixels come back.

The device path, for frames of one size:

    host memory -> pinned memory -> [copy stream] -> device bytes -> [compute stream] standardised -> scored ->
    thresholded -> indices and scores of candidate pixels -> host memory

A batch is split in two halves, so that the second half is transferred while the first is computed. The steps from bytes
to scores become one CUDA graph for every size of batch and frame that recurs more than a few times. On a CPU the same
code runs without pinned memory, streams and graphs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lpnet_rt.detections import CandidatePixels
from lpnet_rt.engines.batches import Batcher, LRUCache
from lpnet_rt.engines.torch_graphs import Function, captured
from lpnet_rt.errors import EngineError, reason
from lpnet_rt.frames import GreyImage
from lpnet_rt.models import ModelFile
from lpnet_rt.networks.lpnet_rt.inference import apply_plan, default_plan
from lpnet_rt.networks.lpnet_rt.standardising import Standardise
from lpnet_rt.networks.lpnet_rt.weights import network_of_onnx
from lpnet_rt.preprocessing.frame_and_local import ModelInput

__all__ = ["TorchLPNetRTEngine"]

# A larger batch uses a large GPU better, but delays the first result on a small one.
_MAX_BATCH_ON_GPU = 16
_KEPT_SIZES = 16
_USES_BEFORE_GRAPH = 3
_HALF = {"f16": torch.float16, "bf16": torch.bfloat16}

# Batch, height, width, and whether frames are uint16.
_Key = tuple[int, int, int, bool]


class TorchLPNetRTEngine:
    """LPNet-RT on CUDA if available, else on the CPU; also a DeviceEngine."""

    name = "torch"

    def __init__(
        self, model: ModelFile, precision: str, threads: int | None, device: str = "auto", compiled: bool | None = None
    ) -> None:
        """Read the weights.

        Args:
            model: An fp32 ONNX file of LPNet-RT.
            precision: ``f32``, ``bf16``, or ``f16`` (CUDA only).
            threads: CPU threads of PyTorch in this process, or None to leave them unchanged.
            device: ``auto``, ``cuda`` or ``cpu``.
            compiled: Compile the network with torch.compile, which takes a minute at every start; None: only if the
                environment variable ``LPNET_TORCH_COMPILE`` is 1.

        Raises:
            DependencyError: The package onnx is missing.
            EngineError: The device or the precision is not available.
            ModelError: The file is damaged or of another network.
        """
        self.precision = precision
        self._device = _find_device(device)
        if precision == "f16" and self._device.type != "cuda":
            raise EngineError("torch: precision f16 needs an NVIDIA GPU, found none; take f32 or bf16")
        if threads is not None:
            torch.set_num_threads(threads)
        network = network_of_onnx(model)
        if precision in _HALF:
            network = apply_plan(network, default_plan(network), _HALF[precision])
        network = network.to(self._device)
        self._network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled or (compiled is None and os.environ.get("LPNET_TORCH_COMPILE") == "1"):
            self._network = torch.compile(self._network)  # type: ignore[assignment]
        self._rule = model.card.input
        self._paths: LRUCache[_Key, _Path] = LRUCache(self._make_path, _KEPT_SIZES)
        on_gpu = self._device.type == "cuda"
        if on_gpu and precision == "f32":
            torch.backends.cudnn.allow_tf32 = False  # f32 is the reference
        self._batches = Batcher(_MAX_BATCH_ON_GPU if on_gpu else 1, torch.OutOfMemoryError, self._free_memory)

    @property
    def max_batch(self) -> int:
        """Number of frames that should be passed at once."""
        return self._batches.max_batch

    @torch.inference_mode()
    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            image = torch.from_numpy(batch).to(self._device, memory_format=torch.channels_last)
            scores: NDArray[np.float32] = self._network(image).cpu().numpy()
        except RuntimeError as error:
            raise EngineError(f"torch: {reason(error)}") from error
        return scores

    @torch.inference_mode()
    def find(self, frames: Sequence[GreyImage], min_score: float) -> list[CandidatePixels]:
        """See :class:`lpnet_rt.engines.base.DeviceEngine`.

        Raises:
            EngineError: The network fails, frames differ in size or dtype, or memory runs out even for half a batch.
        """
        if len({(frame.shape, frame.dtype) for frame in frames}) > 1:
            raise EngineError("torch: expected frames of one size and depth, found several; group them first")
        try:
            return self._batches.run(partial(self._find_batch, float(min_score)), frames)
        except RuntimeError as error:
            raise EngineError(f"torch: {reason(error)}") from error

    def _find_batch(self, min_score: float, frames: Sequence[GreyImage]) -> list[CandidatePixels]:
        """Process two halves; the copy of the second overlaps with the computation of the first."""
        half = -(-len(frames) // 2) if self._device.type == "cuda" and len(frames) > 1 else len(frames)
        height, width = frames[0].shape
        found: list[CandidatePixels] = []
        uploads = [
            self._paths[len(part), height, width, part[0].dtype == np.uint16].upload(part, slot)
            for slot, part in enumerate(frames[i : i + half] for i in range(0, len(frames), half))
        ]
        for finish in uploads:
            found += finish(min_score)
        return found

    def _make_path(self, key: _Key) -> _Path:
        standardise = Standardise(key[1:3], self._rule.multiple, self._rule.min_side_px)
        if len(self._paths):
            with contextlib.suppress(torch.OutOfMemoryError):
                return _Path(self._network, standardise, key, self._device)
            self._free_memory()  # graphs of other sizes hold memory; the batch itself may fit
        return _Path(self._network, standardise, key, self._device)

    def _free_memory(self) -> str:
        if self._device.type == "cuda":
            torch.cuda.synchronize()  # copies into the memory to be released may be in flight
        self._paths.clear()
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info() if self._device.type == "cuda" else (0, 0)
        return f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free"


class _Path:
    """Buffers and graph for one size of batch: two sets of buffers, one graph."""

    def __init__(self, network: nn.Module, standardise: Standardise, key: _Key, device: torch.device) -> None:
        batch, height, width, raw = key
        self._size_hw = (height, width)
        self._on_gpu = device.type == "cuda"
        dtype = torch.int16 if raw else torch.uint8
        self._host = [torch.empty(batch, height, width, dtype=dtype, pin_memory=self._on_gpu) for _ in range(2)]
        self._frames = [torch.zeros(batch, height, width, dtype=dtype, device=device) for _ in range(2)]
        self._standardise = standardise.to(device)
        self._copies = torch.cuda.Stream() if self._on_gpu else None  # type: ignore[no-untyped-call]

        def scored(frames: Tensor) -> Tensor:
            image = self._standardise(frames).contiguous(memory_format=torch.channels_last)
            return network(image)[:, 0, :height, :width]  # type: ignore[no-any-return]

        self._scored: Function = scored
        self._score: Function = scored
        self._uses = 0

    def _run(self, frames: Tensor) -> Tensor:
        """Score; a recurring size gets a graph, which costs more to capture than a few frames take."""
        self._uses += 1
        if self._uses == _USES_BEFORE_GRAPH:
            self._score = captured(self._scored, frames)
        return self._score(frames)

    def upload(self, frames: Sequence[GreyImage], slot: int) -> Callable[[float], list[CandidatePixels]]:
        """Start to upload frames; return a function that takes the lowest score and finishes the batch."""
        host, held = self._host[slot], self._frames[slot]
        into = host.numpy()
        for target, frame in zip(into, frames, strict=True):
            np.copyto(target, frame.view(np.int16) if frame.dtype == np.uint16 else frame)
        if self._copies is None:
            held.copy_(host)
            return lambda min_score: self._compact(self._run(held), min_score)
        self._copies.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._copies):
            held.copy_(host, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self._copies)

        def finish(min_score: float) -> list[CandidatePixels]:
            torch.cuda.current_stream().wait_event(arrived)
            return self._compact(self._run(held), min_score)

        return finish

    def _compact(self, scores: Tensor, min_score: float) -> list[CandidatePixels]:
        """Reduce (B, H, W) scores to candidate pixels: two small transfers for any frame size."""
        height, width = self._size_hw
        finite = torch.isfinite(scores).flatten(1).all(dim=1)
        indices = (scores >= min_score).flatten().nonzero()[:, 0]  # waits for the device
        values = scores.flatten()[indices]
        packed = torch.cat((finite.long(), indices, values.view(torch.int32).long())).cpu().numpy()
        frames = len(scores)
        per_frame = height * width
        flat, bits = np.split(packed[frames:], 2)
        number, pixel = np.divmod(flat, per_frame)
        found = bits.astype(np.int32).view(np.float32)
        ends = np.searchsorted(number, np.arange(frames + 1))
        result = []
        for frame in range(frames):
            part = slice(ends[frame], ends[frame + 1])
            rows, columns = np.divmod(pixel[part], width)
            result.append(CandidatePixels(rows, columns, found[part], self._size_hw, bool(packed[frame])))
        return result


def _find_device(asked: str) -> torch.device:
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise EngineError("torch: expected an NVIDIA GPU, found none that PyTorch can use; take device cpu")
    return torch.device("cuda" if asked == "cuda" or (asked == "auto" and available) else "cpu")
