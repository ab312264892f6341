"""Packaged ONNX models, each with a model card (JSON) beside it."""
