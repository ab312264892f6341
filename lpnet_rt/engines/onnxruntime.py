"""ONNX Runtime: runs everywhere."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelFile

__all__ = ["OnnxRuntimeEngine"]


class OnnxRuntimeEngine:
    """One session on the processor, fp32."""

    name = "onnxruntime"
    precision = "f32"

    def __init__(self, model: ModelFile, threads: int | None) -> None:
        """Read the model.

        Raises:
            ModelError: ONNX Runtime cannot read the model.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        # Spinning threads would take the other core from decoding and publishing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(model.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            reason = str(error).splitlines()[0][:200]
            raise ModelError(f"{model.path}: ONNX Runtime cannot read this model: {reason}") from error
        self._input = self._session.get_inputs()[0].name

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            (scores,) = self._session.run(None, {self._input: batch})
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise EngineError(f"onnxruntime: {str(error).splitlines()[0][:200]}") from error
        result: NDArray[np.float32] = scores
        return result
