"""Pictures for viewers: a frame as JPEG with its detections as JSON, encoded once for all viewers of a size."""

from __future__ import annotations

from typing import Literal

import cv2
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lpnet_rt.clock import Clock
from lpnet_rt.frames import GreyImage
from lpnet_rt.messages import FrameMessage
from lpnet_rt.stamping import FrameStamper, frame_message
from lpnet_rt.view.display_stretch import display_stretch
from lpnet_rt.web.feed import Newest

__all__ = ["PictureMaker", "PictureSize"]

PictureSize = Literal["small", "full"]

# The longest side of a picture; the marks are drawn by the browser, sharp at any size.
_LONGEST_PX: dict[PictureSize, int] = {"small": 480, "full": 1280}
_QUALITY = {"small": 75, "full": 85}


class _PictureHead(Struct, frozen=True, kw_only=True):
    """What stands before the JPEG.

    Attributes:
        frame: The frame as it is published.
        camera_xy: Motion of the background since the start, pixels.
    """

    frame: FrameMessage
    camera_xy: tuple[float, float]


class PictureMaker:
    """Encodes the newest frame of each source when somebody wants it; used from the server's thread only."""

    def __init__(self, stamper: FrameStamper, clock: Clock) -> None:
        """Begin without pictures.

        Args:
            stamper: Knows session, model and polarity.
            clock: Clock of the run.
        """
        self._stamper, self._clock = stamper, clock
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._parts: dict[tuple[str, PictureSize], tuple[int, bytes]] = {}
        self.encoded = 0

    def part(self, newest: Newest, size: PictureSize) -> bytes:
        """Return the part of a message for one frame.

        Returns:
            Two lengths (uint32, little-endian), the head as JSON, the JPEG.
        """
        source = newest.report.frame.source
        number, part = self._parts.get((source, size), (0, b""))
        if number == newest.number:
            return part
        head = self._head(newest)
        jpeg = _jpeg(newest.report.frame.image, size)
        part = len(head).to_bytes(4, "little") + len(jpeg).to_bytes(4, "little") + head + jpeg
        self._parts[source, size] = newest.number, part
        self.encoded += 1
        return part

    def _head(self, newest: Newest) -> bytes:
        source = newest.report.frame.source
        number, head = self._heads.get(source, (0, b""))
        if number == newest.number:
            return head
        stamper = self._stamper
        now_us = self._clock.unix_us()
        report, seq = newest.report, newest.number - 1
        message = frame_message(report, stamper.session, seq, stamper.model, now_us, stamper.polarity)
        camera_xy = round(newest.camera_xy[0], 2), round(newest.camera_xy[1], 2)
        head = msgspec.json.encode(_PictureHead(frame=message, camera_xy=camera_xy))
        self._heads[source] = newest.number, head
        return head


def _jpeg(image: GreyImage, size: PictureSize) -> bytes:
    height, width = image.shape
    scale = _LONGEST_PX[size] / max(height, width)
    if scale < 1:
        wh = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, wh, interpolation=cv2.INTER_AREA), image.dtype)  # type: ignore[assignment]
    picture: NDArray[np.uint8] = display_stretch(image)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY[size]])[1].tobytes()
