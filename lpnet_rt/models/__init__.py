"""Packaged ONNX models, each with a model card (JSON) beside it; finding and checking models."""

from lpnet_rt.models.card import InputRule, ModelCard, ModelFile, SelfTest, write_card
from lpnet_rt.models.loading import find_model, packaged_models

__all__ = ["InputRule", "ModelCard", "ModelFile", "SelfTest", "find_model", "packaged_models", "write_card"]
