"""Packaged ONNX models, each with a model card (JSON) beside it; how a model is found and what its card says."""

from lpnet_rt.models.card import InputRule, ModelCard, ModelFile, SelfTest, write_card
from lpnet_rt.models.loading import find_model, packaged_models

__all__ = ["InputRule", "ModelCard", "ModelFile", "SelfTest", "find_model", "packaged_models", "write_card"]
