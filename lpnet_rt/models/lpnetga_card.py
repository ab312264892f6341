"""The card of a weights file of the paper's network: what the file holds, and how to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from lpnet_rt.errors import ModelError, reason
from lpnet_rt.files import read_limited
from lpnet_rt.models.card import CARD_BYTES

__all__ = [
    "INPUT_PX",
    "LPNETGA",
    "Fitting",
    "Fusing",
    "LPNetGACard",
    "Statistics",
    "card_path",
    "read_card",
    "read_weights",
]

LPNETGA = "LPNetGA"
INPUT_PX = 120

Fusing = Literal["sum_minmax", "mean", "dense"]
Statistics = Literal["running", "image"]
Fitting = Literal["resize", "tile"]

# The network has 0.1 million values; the header holds little more than their names.
_WEIGHTS_BYTES = 256 << 20
_HEADER_BYTES = 1 << 20

# Wide enough for any sensible network, and narrow enough for its memory.
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_SidePx = Annotated[int, Meta(ge=8, le=4096)]
_PatchPx = Annotated[int, Meta(le=512)]
_INPUT_RULE = "grey frame resized to input_hw, 8-bit counts divided by 255"


class LPNetGACard(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Card of a weights file: FILE.json beside FILE.safetensors.

    Attributes:
        name: Name of the model.
        network: ``LPNetGA``.
        input: How counts become the input, in words.
        input_hw: Height and width of the input, in pixels.
        patch_px: Side of a patch.
        stride_px: Distance between the starts of adjacent patches.
        padding_px: Zeros around the map that is cut into patches.
        statistics: Statistics that batch norm uses: ``running``, or those of each ``image``.
        fusing: How patch scores become a score map.
        fitting: ``resize``: a frame is resized to the input. ``tile``: it is cut into tiles of the input's size.
        parameters: Number of trained values.
        threshold: Score above which a pixel is a detection.
        sha256: SHA-256 of the weights file, in hexadecimal.
        licence: What is known about the licence of the weights.
    """

    name: _Name
    sha256: str
    licence: str
    network: str = LPNETGA
    input: str = _INPUT_RULE
    input_hw: tuple[_SidePx, _SidePx] = (INPUT_PX, INPUT_PX)
    patch_px: _PatchPx = 30
    stride_px: _PatchPx = 10
    padding_px: _PatchPx = 30
    statistics: Statistics = "running"
    fusing: Fusing = "sum_minmax"
    fitting: Fitting = "resize"
    parameters: Annotated[int, Meta(ge=0)] = 0
    threshold: Annotated[float, Meta(gt=0, le=1)] = 0.5


def read_card(path: Path) -> LPNetGACard:
    """Read the card beside a ``.safetensors`` file.

    Raises:
        ModelError: The card is missing, malformed or that of another network.
    """
    file = card_path(path)
    try:
        card = msgspec.json.decode(read_limited(file, CARD_BYTES, "model card file", ModelError), type=LPNetGACard)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ModelError(f"{file}: expected a model card of {LPNETGA}, found: {reason(error)}") from error
    if card.network != LPNETGA:
        raise ModelError(f"{file}: expected a model card of {LPNETGA}, found one of {card.network!r}")
    return card


def read_weights(path: Path) -> bytes:
    """Read a ``.safetensors`` file under limits; its values are checked by ``load_lpnetga``.

    Raises:
        ModelError: It is missing, not a regular file, too large or damaged.
    """
    content = read_limited(path, _WEIGHTS_BYTES, "weights file", ModelError)
    header_bytes = int.from_bytes(content[:8], "little")
    if len(content) < 8 or header_bytes > min(len(content) - 8, _HEADER_BYTES):
        raise ModelError(f"{path}: expected safetensors, found a damaged file: a header of {header_bytes:,} bytes")
    return content


def card_path(path: Path) -> Path:
    """Return the path of a weights file's card."""
    return path.with_suffix(".json")
