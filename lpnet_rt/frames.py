"""Frame: one frame of a source.

Coordinates: x to the right, y down, the centre of the first pixel is (0, 0). Sizes are ``_hw``; OpenCV's ``_wh`` order
is used only in calls to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "GreyImage", "to_grey"]

GreyImage = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source; no stage modifies it.

    Attributes:
        image: (H, W) uint8 or uint16, grey, raw counts, marked read-only.
        index: Position in the source, from 0; dropped frames leave gaps.
        source: Name of the source in message topics.
        pts_s: Time in the stream, seconds, or None if the source has no clock; restarts with every reconnection.
        t_capture_us: Wall clock (Unix time, microseconds) at which the frame was captured or read; see ``clock``.
        t_read_ns: Monotonic clock (nanoseconds) at which the frame became available; latency counts from here.
        bit_depth: Significant bits of a count: 8, 10, 12, 14 or 16.
        dropped: Frames dropped so far, by the source and because the detector was behind.
        late: Part of ``dropped``: frames dropped because the detector was behind.
        file: Name of the file, without its folder, for sources that read one file per frame, else None.
        damage: Damage of the picture in one line, or None. A damaged frame is delivered, but not judged.
        epoch: Number of changes of the size, the type or the bit depth of the pictures so far.
        reconnects: Number of reconnections before this frame; nothing was seen in between.
        clock: Clock of ``t_capture_us``: the sender's, which an RTSP or RTP stream may report (RTCP), or this
            machine's at arrival. It may change from frame to frame.
        colour: How colourful the picture was before it became grey, 0 to 1: the mean spread of its channels as a share
            of full scale. Sources measure it in a few pictures only; None: not measured, or grey.
    """

    image: GreyImage
    index: int
    source: str
    pts_s: float | None
    t_capture_us: int
    t_read_ns: int
    bit_depth: int = 8
    dropped: int = 0
    late: int = 0
    file: str | None = None
    damage: str | None = None
    epoch: int = 0
    reconnects: int = 0
    clock: Literal["sender", "arrival"] = "arrival"
    colour: float | None = None

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"Frame.image: expected (H, W) uint8 or uint16, found {image.shape} {image.dtype}")
        image.flags.writeable = False

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.image.shape
        return height, width

    @property
    def stem(self) -> str | None:
        """File name without its suffix, or None."""
        return None if self.file is None else PurePath(self.file).stem


def to_grey(image: NDArray[np.uint8] | NDArray[np.uint16]) -> GreyImage:
    """Convert an image to grey at its own depth.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8 or uint16.

    Returns:
        (H, W) of the same dtype.

    Raises:
        ValueError: For any other shape or dtype.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"image: expected uint8 or uint16, found {image.dtype}; convert it first")
    if image.ndim == 2:
        return image
    channels = image.shape[2] if image.ndim == 3 else 0
    if channels == 1:
        return image[:, :, 0]
    if channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]
    if channels == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY)  # type: ignore[return-value]
    raise ValueError(f"image: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found {image.shape}")
