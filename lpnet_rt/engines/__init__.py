"""What turns a batch of model inputs into score maps."""

from lpnet_rt.engines.base import DeviceEngine, Engine
from lpnet_rt.engines.candidates import Candidate, candidates_for, list_candidates, weights_candidates
from lpnet_rt.engines.choice import Choice, choose_engine

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
