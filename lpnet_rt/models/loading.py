"""Find a model: by the name of a packaged one, or by the path of a file with its card beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from lpnet_rt.errors import ModelError, reason
from lpnet_rt.files import read_limited
from lpnet_rt.models.card import CARD_BYTES, MODEL_BYTES, LPNetRTShape, ModelCard, ModelFile
from lpnet_rt.models.onnx_check import onnx_problem
from lpnet_rt.models.weights import find_weights

__all__ = ["find_model", "packaged_models"]

_SUFFIXES = (".onnx", ".xml", ".engine", ".safetensors")
_PICKLES = {".pt2", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}


def packaged_models() -> list[str]:
    """Return the names of the packaged models."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.onnx"))


def find_model(spec: str) -> ModelFile:
    """Find a packaged model by name or a model file by path, and check it against its card.

    Raises:
        ModelError: The model does not exist, or the file or its card is damaged.
    """
    if spec.endswith(".safetensors"):
        return find_weights(Path(spec))
    path = Path(__file__).parent / f"{spec}.onnx" if spec in packaged_models() else Path(spec)
    if not path.is_file() and not path.is_fifo():
        known = ", ".join(packaged_models()) or "none"
        raise ModelError(f"{spec}: expected a model file or a packaged model ({known}), found none")
    _check_suffix(path)
    content = read_limited(path, MODEL_BYTES, "model file", ModelError)
    card = _read_card(path, content)
    if hashlib.sha256(content).hexdigest() != card.file_sha256:
        raise ModelError(f"{path}: the file is not the one its card describes (damaged?); export it again")
    # OpenVINO's engine checks an .xml together with its weights.
    problem = onnx_problem(content) if path.suffix == ".onnx" else None
    if problem is not None:
        raise ModelError(f"{path}: expected an ONNX file of finite weights and plain operators, found {problem}")
    return ModelFile(path, content, card)


def _check_suffix(path: Path) -> None:
    """Refuse formats that can run code when they are read."""
    if path.suffix in _SUFFIXES:
        return
    if path.suffix in _PICKLES:
        raise ModelError(
            f"{path}: expected one of {', '.join(_SUFFIXES)}, found {path.suffix}, which can run code when it is read; "
            "export the model to ONNX ('lpnet-rt export --format onnx')"
        )
    raise ModelError(
        f"{path}: expected one of {', '.join(_SUFFIXES)}, found {path.suffix or 'no ending'!r}; "
        "export the model to ONNX ('lpnet-rt export --format onnx')"
    )


def _read_card(path: Path, content: bytes) -> ModelCard:
    beside = path.with_suffix(".json")
    if not beside.exists():
        kind = "an empty file" if not content else "no card"
        raise ModelError(
            f"{path}: expected a model with its card {beside.name} beside it, found {kind}; "
            "export it with 'lpnet-rt export'"
        )
    try:
        card = msgspec.json.decode(read_limited(beside, CARD_BYTES, "model card", ModelError), type=ModelCard)
        if card.network == "LPNetRT":
            msgspec.convert(card.config, LPNetRTShape)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ModelError(f"{beside}: not a model card: {reason(error)}") from error
    return card
