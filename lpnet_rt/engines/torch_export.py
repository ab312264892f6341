"""Programs of torch.export (.pt2): PyTorch without this project's modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from lpnet_rt.errors import EngineError, ModelError
from lpnet_rt.frames import ModelInput
from lpnet_rt.models import ModelFile

__all__ = ["TorchExportEngine", "read_program"]


class TorchExportEngine:
    """A .pt2 on the processor."""

    name = "torch"

    def __init__(self, model: ModelFile, threads: int | None) -> None:
        """Read the program.

        Args:
            model: A ``.pt2`` file.
            threads: Processor threads of this whole process's PyTorch, or None to leave them as they are.

        Raises:
            ModelError: The file is damaged or from a version of PyTorch that this one does not read.
        """
        self.precision = model.card.built.precision
        if threads is not None:
            torch.set_num_threads(threads)
        self._module = read_program(model.path, {}).module()

    def score(self, batch: ModelInput) -> NDArray[np.float32]:
        """See :class:`lpnet_rt.engines.base.Engine`."""
        try:
            with torch.inference_mode():
                scores: NDArray[np.float32] = self._module(torch.from_numpy(batch)).numpy()
        except (RuntimeError, AssertionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise EngineError(f"torch: {reason}") from error
        return scores


def read_program(path: Path, extra: dict[str, str]) -> ExportedProgram:
    """Read a .pt2, and into ``extra`` the texts in it that ``extra`` has keys for.

    Raises:
        ModelError: The file is missing, damaged or from a version of PyTorch that this one does not read.
    """
    try:
        return torch.export.load(path, extra_files=extra or None)
    except Exception as error:  # torch raises whatever its parts raise on a damaged file
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ModelError(f"{path}: PyTorch {torch.__version__} cannot read this model: {reason}") from error
