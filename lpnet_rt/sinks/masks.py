"""Write one black and white mask per image."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.detections import body_mask
from lpnet_rt.errors import SinkError, reason
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.reports import Report
from lpnet_rt.sinks.naming import ImageNames

__all__ = ["MaskSink"]

# A text chunk after the header marks our masks; a PNG without it is the user's own and is not replaced.
_IHDR_END = 33
_NOTE = b"tEXtSoftware\0lpnet-rt mask"
_CHUNK = (len(_NOTE) - 4).to_bytes(4) + _NOTE + zlib.crc32(_NOTE).to_bytes(4)


class MaskSink:
    """Writes ``<stem>.png`` of the image's size: 255 where a pixel is part of a detection, 0 elsewhere.

    A failed frame gets no mask, since an empty mask would mean that there is no target. Masks of an earlier run are
    replaced; any other file is refused.
    """

    def __init__(self, folder: str, threshold: float, files: Iterable[str] = (), overwrite: bool = False) -> None:
        """Create the folder if it is missing.

        Args:
            folder: Folder for the masks.
            threshold: Detection threshold, 0..1.
            files: Names of the expected images; files in the way of their masks are refused now.
            overwrite: Replace any file, not only masks.

        Raises:
            SinkError: The folder cannot be made or written, two images have the same stem, or a file that is not a mask
                is in the way of one.
        """
        self._folder = Path(folder)
        self._threshold = threshold
        self._overwrite = overwrite
        self._names = ImageNames("masks")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"masks: {folder}: the folder cannot be made: {reason(error)}; give another") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise SinkError(f"masks: {folder}: the folder cannot be written: permission denied; give another")
        stems: dict[str, str] = {}
        for file in files:
            stem = Path(file).stem
            other = stems.setdefault(stem, file)
            if other != file:
                raise SinkError(f"masks: {other} and {file} would both be written as {stem}.png; rename one")
            self._refuse_foreign(self._folder / f"{stem}.png")

    def write(self, report: Report) -> None:
        """Write one mask.

        Raises:
            SinkError: The source is not a set of images, two images have the same stem, a file that is not a mask is
                in the way, or the disk is full.
        """
        name = self._names.name_of(report.frame)
        if report.error is not None:
            return
        path = self._folder / f"{name}.png"
        self._refuse_foreign(path)
        mask = _of_detections(body_mask(report.score_map, self._threshold), report).view(np.uint8) * np.uint8(255)
        png = cv2.imencode(".png", mask)[1].tobytes()
        write_whole(path, png[:_IHDR_END] + _CHUNK + png[_IHDR_END:], "masks")

    def tick(self) -> None:
        """Do nothing."""

    def close(self, outcome: str = "end") -> None:
        """Do nothing; every mask is complete when ``write`` returns."""

    def _refuse_foreign(self, path: Path) -> None:
        if not self._overwrite and not _is_mask_of_ours(path):
            refuse_existing(path, "masks", overwrite=False)


def _of_detections(mask: NDArray[np.bool_], report: Report) -> NDArray[np.bool_]:
    """The components of a mask that the report's detections are: a zone may have dropped others."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count - 1 <= len(report.detections):
        return mask
    corners = np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]))
    kept = (corners[:, None] == report.detections.box_xyxy[None]).all(2).any(1)
    kept[0] = False  # the background
    of_detections: NDArray[np.bool_] = kept[labels]
    return of_detections


def _is_mask_of_ours(path: Path) -> bool:
    """Return whether a file is a mask that this program wrote."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            head = file.read(_IHDR_END + len(_CHUNK)) if stat.S_ISREG(os.fstat(number).st_mode) else b""
    except OSError:
        return False
    return head.endswith(_CHUNK)
