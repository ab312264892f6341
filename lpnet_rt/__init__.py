"""Real-time detection of small targets in infrared video.

>>> from lpnet_rt import Detector
>>> detector = Detector.load()
>>> detections = detector.detect(image)

The library logs to ``lpnet_rt`` and its children; nothing is shown unless logging is configured.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lpnet_rt.detections import Detections as Detections
    from lpnet_rt.detector import Detector as Detector
    from lpnet_rt.frames import Frame as Frame
    from lpnet_rt.subscriber import Subscriber as Subscriber

__version__ = "0.1.0"
__all__ = ["Detections", "Detector", "Frame", "Subscriber", "__version__"]

_HOMES = {
    "Detections": "lpnet_rt.detections",
    "Detector": "lpnet_rt.detector",
    "Frame": "lpnet_rt.frames",
    "Subscriber": "lpnet_rt.subscriber",
}

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """Load a public name on first use: ``lpnet-rt --help`` should not wait for OpenCV and OpenVINO."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
