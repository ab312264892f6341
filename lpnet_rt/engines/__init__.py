"""What turns a batch of model inputs into score maps."""

from lpnet_rt.engines.base import DeviceEngine, Engine
from lpnet_rt.engines.choice import Candidate, Choice, choose_engine, list_candidates, weights_candidates

__all__ = ["Candidate", "Choice", "DeviceEngine", "Engine", "choose_engine", "list_candidates", "weights_candidates"]
