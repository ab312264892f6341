"""Model cards: what is needed to run a model file, and to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from lpnet_rt.models.built import Built
from lpnet_rt.models.false_alarms import ScoreCalibration

__all__ = ["InputRule", "ModelCard", "ModelFile", "SelfTest", "card_json", "write_card"]


MODEL_BYTES = 1 << 30
CARD_BYTES = 4 << 20

# Wide enough for any sensible network; beyond these limits a card could exhaust memory or crash the loader.
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Width = Annotated[int, Meta(ge=1, le=1024)]
_Blocks = Annotated[int, Meta(ge=0, le=16)]
_ScoreValue = Annotated[float, Meta(ge=0, le=1)]
_CentroidPx = Annotated[float, Meta(ge=-0.5, le=65536)]


class InputRule(Struct, frozen=True, kw_only=True):
    """How a frame becomes the model's input.

    Attributes:
        normalisation: ``frame-and-local``, ``paper-resize`` or ``paper-tiles``: see ``lpnet_rt.preprocessing.rules``.
        multiple: Both sides are padded to a multiple of this many pixels (``frame-and-local``).
        min_side_px: Both sides are padded to at least this many pixels (``frame-and-local``); ``least`` in files.
        side_px: Side of the square that a frame is resized to or cut into (the other two normalisations).
        stretch: Stretch the scores of every frame to 0..1, as the paper does.
    """

    normalisation: Literal["frame-and-local", "paper-resize", "paper-tiles"] = "frame-and-local"
    multiple: Annotated[int, Meta(ge=16, le=1024, multiple_of=16)] = 16
    min_side_px: Annotated[int, Meta(ge=16, le=4096)] = field(default=64, name="least")
    side_px: Annotated[int, Meta(ge=8, le=4096)] = 120
    stretch: bool = False

    def __post_init__(self) -> None:
        """Refuse a minimum side that is not a multiple of ``multiple``.

        Raises:
            ValueError: It is not.
        """
        if self.min_side_px % self.multiple:
            raise ValueError(f"expected least to be a multiple of {self.multiple}, found {self.min_side_px}")

    def padded_px(self, side_px: int) -> int:
        """Return a side of the model's input, in pixels, for a side of the frame (``frame-and-local``)."""
        return max(-(-side_px // self.multiple) * self.multiple, self.min_side_px)


class LPNetRTShape(Struct, frozen=True, kw_only=True):
    """The network's shape in a card of LPNet-RT; see ``lpnet_rt.networks.lpnet_rt.network``."""

    channels: tuple[_Width, _Width, _Width]
    blocks: tuple[_Blocks, _Blocks, _Blocks]
    hints: Annotated[int, Meta(ge=0, le=1024)] = 3
    local_channels: _Width = 32
    local_blocks: _Blocks = 2
    patches: Annotated[int, Meta(ge=1, le=4096)] = 16
    scene: Annotated[int, Meta(ge=0, le=1024)] = 0
    offset: Annotated[float, Meta(ge=-100, le=100)] = 0.0

    @property
    def reach_px(self) -> int:
        """How far the global view sees to every side, in pixels, rounded up to the grid of 16 (320 as packaged).

        A 3x3 convolution sees one step of its grid of 4, 8 or 16 pixels further, the mean over the scene 7 of 16; where
        one grid is read on another, its cells overlap by at most one step.
        """
        at4, at8, at16 = self.blocks
        convolutions = 4 * (1 + 2 * at4 + 1 + 2) + 8 * (2 * at8 + 1 + 2) + 16 * 2 * at16
        reach = convolutions + (7 * 16 if self.scene else 0) + 4 + 8 + 16
        return -(-reach // 16) * 16


class SelfTest(Struct, frozen=True, kw_only=True):
    """What PyTorch in fp32 detects in the frame of ``lpnet_rt.selftest``; every engine must detect the same.

    Attributes:
        centroid_xy: Detections, strongest first.
        score: Their scores.
    """

    centroid_xy: Annotated[list[tuple[_CentroidPx, _CentroidPx]], Meta(max_length=1000)]
    score: Annotated[list[_ScoreValue], Meta(max_length=1000)]

    def __post_init__(self) -> None:
        """Refuse lists of two lengths.

        Raises:
            ValueError: Centroids and scores differ in number.
        """
        if len(self.centroid_xy) != len(self.score):
            raise ValueError(f"expected as many scores as centroids, {len(self.centroid_xy)}, found {len(self.score)}")


class ModelCard(Struct, frozen=True, kw_only=True):
    """Everything that travels with a model.

    Attributes:
        name: The model's name in messages.
        network: Class of the network.
        config: Shape of the network.
        parameters: Number of trained values.
        input: How a frame becomes the model's input.
        threshold: Score from which a pixel is a detection.
        weights_sha256: Hash of the PyTorch weights.
        file_sha256: Hash of the model file.
        self_test: Detections that every engine must reproduce.
        trained_on: Training data, and what was held back.
        measured: Figures on validation data, by name.
        licences: Licences of the training data.
        notes: Anything a user should know.
        licence: Of the model itself.
        limits: What it does badly or was not made for, a sentence each.
        base: The model that it was fine-tuned from; empty for one that was trained from the start.
        built: Format, precision and sizes of the file.
        reach_px: How far from a pixel its score depends on the frame, in pixels, a multiple of ``grid_px``: tiles of
            large frames overlap by twice as much. None: derived from ``config``; without either, no frame is tiled.
        grid_px: Tiles start at multiples of this many pixels, so that the network's grids have the same phase in a tile
            as in the whole frame.
        scores: What scores mean, and thresholds by rate of false detections; None in older cards.
    """

    name: _Name
    network: _Name
    config: dict[str, object]
    parameters: Annotated[int, Meta(ge=0)]
    input: InputRule
    threshold: Annotated[float, Meta(gt=0, le=1)]
    weights_sha256: str
    file_sha256: str
    self_test: SelfTest
    trained_on: list[str] = []
    measured: dict[str, float] = {}
    licences: list[str] = []
    notes: str = ""
    licence: str = ""
    limits: list[str] = []
    base: str = ""
    built: Built = Built()
    reach_px: Annotated[int, Meta(ge=0, le=1280)] | None = None
    grid_px: Literal[16, 32, 64, 128] = 16
    scores: ScoreCalibration | None = None

    def __post_init__(self) -> None:
        """Refuse a reach or an input that does not keep to the grid.

        Raises:
            ValueError: ``reach_px``, or the input's ``multiple`` where there is a reach, is not a multiple of the grid.
        """
        if self.reach_px is None:
            return
        for name, value in (("reach_px", self.reach_px), ("input.multiple", self.input.multiple)):
            if value % self.grid_px:
                raise ValueError(f"expected {name} to be a multiple of grid_px, {self.grid_px}, found {value}")

    def known_reach_px(self) -> int | None:
        """Return ``reach_px``; for older cards, which lack that field, derive it from ``config``."""
        if self.reach_px is not None or "blocks" not in self.config:
            return self.reach_px
        return msgspec.convert(self.config, LPNetRTShape).reach_px


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file, read into memory, and its card."""

    path: Path
    content: bytes
    card: ModelCard


def write_card(path: Path, card: ModelCard) -> None:
    """Write a card as JSON."""
    path.write_bytes(card_json(card))


def card_json(card: ModelCard) -> bytes:
    """Return a card as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
