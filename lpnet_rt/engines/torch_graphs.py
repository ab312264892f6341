"""CUDA graphs: a network's hundred small kernels, launched as one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Function", "captured"]

_logger = logging.getLogger(__name__)

_WARM_UPS = 3

Function = Callable[[Tensor], Tensor]


def captured(function: Function, example: Tensor) -> Function:
    """Record what a function does on the GPU, for inputs of one shape.

    Args:
        function: Tensor to tensor, without a look at values on the host. Whatever else it reads must stay alive and
            where it is.
        example: An input of that shape and dtype. On the processor, which has no graphs, the function itself is
            returned.

    Returns:
        The same function; its result is valid until its next call.
    """
    if example.device.type != "cuda":
        return function
    given = example.clone()
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    # Libraries choose their kernels and take their memory at the first calls, which a graph must not record.
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            function(given)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        # The stream outside is put back even where the end of a broken capture raises; other threads go on.
        here = torch.cuda.stream(torch.cuda.current_stream())
        with here, torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = function(given)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        _logger.warning("no CUDA graph for %s: %s; running without", tuple(example.shape), reason)
        return function

    def replay(x: Tensor) -> Tensor:
        given.copy_(x, non_blocking=True)
        graph.replay()
        return result

    return replay
