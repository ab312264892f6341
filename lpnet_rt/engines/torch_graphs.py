"""CUDA graphs: launch a network's hundred small kernels as one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from lpnet_rt.errors import reason

__all__ = ["Function", "captured"]

_logger = logging.getLogger(__name__)

_WARM_UPS = 3

Function = Callable[[Tensor], Tensor]


def captured(function: Function, example: Tensor) -> Function:
    """Capture a function as a CUDA graph, for inputs of one shape.

    Args:
        function: Tensor to tensor, without host synchronisation. Other tensors that it reads must stay alive and must
            not move.
        example: An input of that shape and dtype. On the CPU, the function itself is returned.

    Returns:
        An equivalent function; its result is valid until its next call.
    """
    if example.device.type != "cuda":
        return function
    given = example.clone()
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    # The first calls select kernels and allocate memory, which a graph must not record.
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            function(given)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        # Restores the outer stream even if ending a failed capture raises; other threads are not affected.
        here = torch.cuda.stream(torch.cuda.current_stream())
        with here, torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = function(given)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        _logger.warning("no CUDA graph for %s: %s; running without", tuple(example.shape), reason(error))
        return function

    def replay(x: Tensor) -> Tensor:
        given.copy_(x, non_blocking=True)
        graph.replay()
        return result

    return replay
