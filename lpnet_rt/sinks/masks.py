"""Write one black and white mask for every image."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from lpnet_rt.errors import SinkError
from lpnet_rt.reports import Report

__all__ = ["MaskSink"]


class MaskSink:
    """Writes ``<stem>.png`` of the image's size: 255 where the score reaches the threshold, 0 elsewhere.

    A frame that could not be judged gets no mask, since an empty one would say that nothing is there.
    """

    def __init__(self, folder: str, threshold: float) -> None:
        """Make the folder where it is missing.

        Args:
            folder: Where the masks go; masks of the same names are replaced.
            threshold: The score from which on a pixel is part of a detection.

        Raises:
            SinkError: The folder cannot be made or written.
        """
        self._folder = Path(folder)
        self._threshold = np.float32(threshold)
        self._stems: set[str] = set()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"masks: {folder}: the folder cannot be made: {error.strerror}; give another") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise SinkError(f"masks: {folder}: the folder cannot be written: permission denied; give another")

    def write(self, report: Report) -> None:
        """Write one mask.

        Raises:
            SinkError: The source is no set of images, two images have the same stem, or the disk is full.
        """
        stem = report.frame.stem
        if stem is None:
            raise SinkError(
                f"masks: expected a source of single images, found {report.frame.source}, frame {report.frame.index}; "
                "give a folder or a pattern of images, or leave out --masks"
            )
        if stem in self._stems:
            raise SinkError(
                f"masks: two images are called {stem}: the mask of one would replace the other's; rename one"
            )
        self._stems.add(stem)
        if report.error is not None:
            return
        mask = (report.score_map >= self._threshold).view(np.uint8) * np.uint8(255)
        path = self._folder / f"{stem}.png"
        try:
            path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
        except OSError as error:
            raise SinkError(f"masks: {path}: cannot be written: {error.strerror}") from error

    def tick(self) -> None:
        """Nothing is due while no frames come."""

    def close(self, outcome: str = "end") -> None:
        """Nothing is left to do; every mask is complete when ``write`` returns."""
