"""The pipeline from sources through the detector to the sinks."""

from __future__ import annotations

from lpnet_rt.pipeline.session import Session as Session
from lpnet_rt.pipeline.stages import Pipeline as Pipeline

__all__ = ["Pipeline", "Session"]
