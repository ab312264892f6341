"""Engines: turn a batch of model inputs into score maps.

Names are imported on first use: settings need only the registry, not the engines.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lpnet_rt.engines.base import DeviceEngine as DeviceEngine
    from lpnet_rt.engines.base import Engine as Engine
    from lpnet_rt.engines.candidates import Candidate as Candidate
    from lpnet_rt.engines.candidates import candidates_for as candidates_for
    from lpnet_rt.engines.candidates import list_candidates as list_candidates
    from lpnet_rt.engines.candidates import weights_candidates as weights_candidates
    from lpnet_rt.engines.choice import Choice as Choice
    from lpnet_rt.engines.choice import choose_engine as choose_engine

__all__ = [
    "Candidate",
    "Choice",
    "DeviceEngine",
    "Engine",
    "candidates_for",
    "choose_engine",
    "list_candidates",
    "weights_candidates",
]

_HOMES = {
    "Candidate": "candidates",
    "Choice": "choice",
    "DeviceEngine": "base",
    "Engine": "base",
    "candidates_for": "candidates",
    "choose_engine": "choice",
    "list_candidates": "candidates",
    "weights_candidates": "candidates",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
