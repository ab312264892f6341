"""Model cards: what a model file needs to be run, and to be trusted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from lpnet_rt.errors import ModelError
from lpnet_rt.models.built import Built

__all__ = ["InputRule", "ModelCard", "ModelFile", "SelfTest", "find_model", "packaged_models", "write_card"]


# A tensor of an ONNX file that lies in another file says where by an entry of this key, as protobuf writes it.
_EXTERNAL_DATA = b"\n\x08location"


class InputRule(Struct, frozen=True, kw_only=True):
    """How a frame becomes the model's input.

    Attributes:
        normalisation: ``frame-and-local``, ``paper-resize`` or ``paper-tiles``: see ``lpnet_rt.inputs``.
        multiple: Both sides are padded to a multiple of this many pixels (``frame-and-local``).
        least: And to at least this many.
        side_px: Side of the square that a frame is resized to or cut into (the other two).
        stretch: Stretch the scores of every frame to 0..1, as the paper does.
    """

    normalisation: Literal["frame-and-local", "paper-resize", "paper-tiles"] = "frame-and-local"
    multiple: Annotated[int, Meta(ge=1)] = 16
    least: Annotated[int, Meta(ge=1)] = 64
    side_px: Annotated[int, Meta(ge=8)] = 120
    stretch: bool = False


class SelfTest(Struct, frozen=True, kw_only=True):
    """What PyTorch in fp32 finds in ``lpnet_rt.selftest``'s frame; every engine must find the same.

    Attributes:
        centroid_xy: Detections, strongest first.
        score: Their scores.
    """

    centroid_xy: list[tuple[float, float]]
    score: list[float]


class ModelCard(Struct, frozen=True, kw_only=True):
    """Everything that travels with a model.

    Attributes:
        name: As it stands in messages.
        network: Class of the network.
        config: Its shape.
        parameters: Number of trained values.
        input: How a frame becomes its input.
        threshold: Score from which a pixel is a detection.
        weights_sha256: Hash of the PyTorch weights.
        file_sha256: Hash of the model file.
        self_test: What every engine must reproduce.
        trained_on: Data, with what was held back.
        measured: Figures on validation data, by name.
        licences: Of the data it was trained on.
        notes: Anything a user should know.
        built: Format, precision and sizes of the file.
    """

    name: str
    network: str
    config: dict[str, object]
    parameters: int
    input: InputRule
    threshold: Annotated[float, Meta(gt=0, le=1)]
    weights_sha256: str
    file_sha256: str
    self_test: SelfTest
    trained_on: list[str] = []
    measured: dict[str, float] = {}
    licences: list[str] = []
    notes: str = ""
    built: Built = Built()


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file, whole in memory, with its card."""

    path: Path
    content: bytes
    card: ModelCard


def packaged_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.onnx"))


def find_model(spec: str) -> ModelFile:
    """Find a packaged model by name or a model file by path, and check it against its card.

    Raises:
        DependencyError: It is a weights file (``.safetensors``), and PyTorch is not installed.
        ModelError: There is no such model, or the file or its card is damaged.
    """
    if spec.endswith(".safetensors"):
        from lpnet_rt.models.weights import find_weights  # knows this module, and needs PyTorch

        return find_weights(Path(spec))
    path = Path(__file__).parent / f"{spec}.onnx" if spec in packaged_models() else Path(spec)
    try:
        content = path.read_bytes()
    except OSError as error:
        known = ", ".join(packaged_models()) or "none"
        raise ModelError(f"{spec}: expected a model file or a packaged model ({known}), found none") from error
    card = _read_card(path, content)
    if hashlib.sha256(content).hexdigest() != card.file_sha256:
        raise ModelError(f"{path}: the file is not the one its card describes (damaged?); export it again")
    if path.suffix == ".onnx" and _EXTERNAL_DATA in content:
        # Its hash says nothing of what lies in the other file, and engines look for that in other places.
        raise ModelError(
            f"{path}: expected a file with its weights in it, found one with external data; "
            "save it as one file, or export it again"
        )
    return ModelFile(path, content, card)


def write_card(path: Path, card: ModelCard) -> None:
    """Write a card as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")


def _read_card(path: Path, content: bytes) -> ModelCard:
    beside = path.with_suffix(".json")
    try:
        return msgspec.json.decode(beside.read_bytes(), type=ModelCard)
    except OSError as error:
        kind = "an empty file" if not content else "no card"
        raise ModelError(
            f"{path}: expected a model with its card {beside.name} beside it, found {kind}; "
            "export it with 'lpnet-rt export'"
        ) from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ModelError(f"{beside}: not a model card: {error}") from error
