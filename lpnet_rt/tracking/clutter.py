"""What has never moved in a source's scene: lamps, posts, roof edges, hot ground."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.errors import SettingsError, reason
from lpnet_rt.files import read_limited, write_whole
from lpnet_rt.tracking.camera_motion import CameraMotion

__all__ = ["ClutterMap"]

_CELL_PX = 4
_MAX_FILE_BYTES = 64 << 20
_MAX_SECONDS = 3600.0
_FADE_EVERY_S = 1.0


class ClutterMap:
    """For every place of the frame, for how many seconds something stood there that never moved.

    The map moves with the background, so that it stays with the scene where the camera pans; what leaves the frame is
    forgotten. What it holds fades by half in ten minutes.
    """

    def __init__(self, size_hw: tuple[int, int], half_life_s: float = 600.0) -> None:
        """Begin with an empty map.

        Args:
            size_hw: Height and width of the frames, px.
            half_life_s: Time in which what is remembered fades by half.
        """
        self.size_hw = size_hw
        self._half_life_s = half_life_s
        self._seconds = np.zeros((-(-size_hw[0] // _CELL_PX), -(-size_hw[1] // _CELL_PX)), np.float32)
        self._near = self._seconds
        self._rest_xy = np.zeros(2)  # how far the scene has moved beyond whole cells
        self._unfaded_s = 0.0

    def advance(self, camera: CameraMotion, dt_s: float) -> None:
        """Move with the background, and fade."""
        self._rest_xy += (camera.dx, camera.dy)
        cells_x, cells_y = (int(v) for v in np.trunc(self._rest_xy / _CELL_PX))
        if cells_x or cells_y:
            self._rest_xy -= (cells_x * _CELL_PX, cells_y * _CELL_PX)
            self._seconds = _moved(self._seconds, cells_x, cells_y)
            self._near = _moved(self._near, cells_x, cells_y)
        self._unfaded_s += dt_s
        if self._unfaded_s >= _FADE_EVERY_S:
            self._seconds *= np.float32(0.5 ** (self._unfaded_s / self._half_life_s))
            np.minimum(self._seconds, np.float32(_MAX_SECONDS), out=self._seconds)
            self._unfaded_s = 0.0
            self._near = cv2.dilate(self._seconds, np.ones((3, 3), np.uint8))  # type: ignore[assignment]

    def observe(self, xy: NDArray[np.float64], still: NDArray[np.bool_], seconds: float) -> NDArray[np.float64]:
        """Note what stands still, and say what is remembered of each place.

        Args:
            xy: (N, 2) px of the frame.
            still: (N,) whether something that has never moved is there now.
            seconds: For how long: the time since the last frame.

        Returns:
            (N,) seconds remembered within a cell of each place, as of the last whole second; 0 outside the frame.
        """
        height, width = self._seconds.shape
        cells = np.floor((xy - (self._rest_xy - 0.5)) / _CELL_PX).astype(np.intp)
        inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
        columns, rows = np.minimum(np.maximum(cells, 0), (width - 1, height - 1)).T
        learnt = inside & still
        np.add.at(self._seconds, (rows[learnt], columns[learnt]), np.float32(seconds))
        return np.where(inside, self._near[rows, columns].astype(np.float64), 0.0)

    def picture(self) -> NDArray[np.float32]:
        """(H, W) float32, seconds, at the size of the frame; for display."""
        height, width = self.size_hw
        large = np.kron(self._seconds, np.ones((_CELL_PX, _CELL_PX), np.float32))
        return np.ascontiguousarray(large[:height, :width])

    def save(self, path: Path) -> None:
        """Write the map to a file, whole or not at all.

        Raises:
            SinkError: It cannot be written.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, size_hw=np.array(self.size_hw), seconds=self._seconds, rest_xy=self._rest_xy)
        write_whole(path, buffer.getvalue(), "clutter map")

    @classmethod
    def load(cls, path: Path, size_hw: tuple[int, int]) -> ClutterMap:
        """Read a map that :meth:`save` wrote.

        Args:
            path: File.
            size_hw: Height and width of the frames it is for, px.

        Raises:
            SettingsError: It cannot be read, is no clutter map, or of frames of another size.
        """
        content = read_limited(path, _MAX_FILE_BYTES, "clutter map", SettingsError)
        made = cls(size_hw)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                saved_hw = tuple(int(side) for side in file["size_hw"])
                seconds, rest_xy = file["seconds"], file["rest_xy"]
        except Exception as error:  # damaged archives raise whatever zipfile, zlib and numpy come upon
            raise SettingsError(f"{path}: expected a clutter map, found: {reason(error)}; delete the file") from error
        if saved_hw != size_hw:
            raise SettingsError(
                f"{path}: expected the clutter map of frames of {size_hw[1]}x{size_hw[0]}, found one of "
                f"{'x'.join(str(side) for side in reversed(saved_hw))}; give each source a file of its own"
            )
        fits = seconds.shape == made._seconds.shape and seconds.dtype == np.float32 and rest_xy.shape == (2,)
        if not fits or not np.isfinite(seconds).all() or not (np.abs(rest_xy) < _CELL_PX).all():
            raise SettingsError(f"{path}: expected a clutter map, found other values; delete the file")
        made._seconds = np.clip(seconds, 0.0, np.float32(_MAX_SECONDS))
        made._rest_xy = rest_xy.astype(np.float64)
        made._near = cv2.dilate(made._seconds, np.ones((3, 3), np.uint8))  # type: ignore[assignment]
        return made


def _moved(values: NDArray[np.float32], right: int, down: int) -> NDArray[np.float32]:
    """The map moved by whole cells, with zeros where nothing came from."""
    height, width = values.shape
    moved = np.zeros_like(values)
    if abs(right) < width and abs(down) < height:
        moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = values[
            max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
        ]
    return moved
