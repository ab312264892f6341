"""Cameras that OpenCV can open by index or device file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import DependencyError, LostError, SourceError
from lpnet_rt.frames import Frame, GreyImage, to_grey
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.base import LiveSource, UnusableSourceError
from lpnet_rt.sources.blocking import BlockingCalls, FinishedError
from lpnet_rt.sources.colour import is_sampled, shrunk_colour
from lpnet_rt.sources.limits import check_size
from lpnet_rt.sources.naming import natural_key, source_name
from lpnet_rt.sources.pacing import silence_limit_s
from lpnet_rt.sources.profiles import Profile, find_profile
from lpnet_rt.sources.states import EpochCounter, SourceCounts

__all__ = ["CameraSource", "camera_index", "grey_counts"]

_RETRY_S = 0.01
_Y16 = cv2.VideoWriter.fourcc(*"Y16 ")


def camera_index(spec: str) -> int | None:
    """Return the index of a camera written as ``3`` or ``/dev/video3``, or None if the text is not a camera."""
    match = re.fullmatch(r"(?:/dev/video)?(\d{1,4})", spec, re.ASCII)
    return int(match.group(1)) if match else None


def grey_counts(image: NDArray[np.generic], size_hw: tuple[int, int] | None = None) -> GreyImage:
    """Convert a camera's image to grey counts, as a copy.

    Args:
        image: (H, W) or (H, W, 3) uint8 or uint16; or (H, W, 2) uint8, little-endian 16-bit counts from some
            drivers; or one flat row of those counts or bytes, as from OpenCV 4.11.
        size_hw: Height and width that the driver reports; needed for a flat row.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        ValueError: For any other shape or type.
    """
    if image.ndim == 1 or image.shape[0] == 1:
        image = _unflattened(image, size_hw)
    if image.dtype == np.uint16:
        return to_grey(image.astype(np.uint16))
    if image.dtype != np.uint8:
        raise ValueError(f"image: expected uint8 or uint16, found {image.dtype}")
    if image.ndim == 3 and image.shape[2] == 2:
        return np.ascontiguousarray(image).view("<u2")[:, :, 0].astype(np.uint16)
    return to_grey(image.astype(np.uint8))


def _unflattened(image: NDArray[np.generic], size_hw: tuple[int, int] | None) -> NDArray[np.generic]:
    """Restore the shape of a flat row of 16-bit counts."""
    height, width = size_hw or (0, 0)
    flat = image.reshape(-1)
    if flat.dtype == np.uint8 and flat.size == 2 * height * width:
        flat = np.ascontiguousarray(flat).view("<u2").astype(np.uint16)
    if flat.dtype != np.uint16 or flat.size != height * width:
        found = f"one row of {image.size} {image.dtype}"
        raise ValueError(f"expected a picture of {width}x{height} pixels, found {found}; use another OpenCV than 4.11")
    return flat.reshape(height, width)


class CameraSource(LiveSource):
    """Delivers the frames of a camera as they arrive.

    Requests 16-bit grey (``Y16``) first, because the 8-bit picture of a thermal camera loses small differences; a
    camera without it delivers its default format, converted to grey.

    Attributes:
        shown: Name in messages.
    """

    def __init__(self, device: int | str, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        """Prepare; nothing is opened yet.

        Args:
            device: Index of a camera, or anything else that OpenCV can open (a path).
            settings: ``name``, ``open_timeout_s``, ``reconnect``, ``frozen_after_s`` and ``camera_profile`` are used.
            clock: Clock for read times, and for waits between failed reads.

        Raises:
            SettingsError: There is no camera profile of that name.
        """
        self._device, self._settings = device, settings
        self._profile = find_profile(settings.camera_profile)
        self.shown = f"camera {device}"
        name = source_name(f"camera-{device}" if isinstance(device, int) else Path(device).stem)
        super().__init__(settings.name or name, settings.frames)
        self._timeout_s = self._silence_s = settings.open_timeout_s
        self._delivered = 0
        self._colour: float | None = None
        self._epochs = EpochCounter()
        self._clock = clock
        self._capture: cv2.VideoCapture | None = None
        self._reported_hw = (0, 0)
        self._calls = BlockingCalls(self.shown)

    def connect(self, knock: bool = False) -> None:
        """Open the camera; ``close`` in another thread interrupts it.

        Args:
            knock: Ignored: an absent camera is refused at once.

        Raises:
            SourceError: The camera does not exist or cannot be opened within ``open_timeout_s``.
            FinishedError: It was closed in the meantime.
        """
        try:
            _refuse_absent(self._device)
            rate_hz = self._calls.call(lambda: self._open(self._device), self._timeout_s)
        except TimeoutError as error:
            self.close()
            raise SourceError(
                f"{self.shown}: did not open within {self._timeout_s:g} s; unplug it and plug it in again"
            ) from error
        except (SourceError, DependencyError):
            self.close()
            raise
        self.rate_hz = rate_hz if rate_hz > 0 else None
        self._silence_s = silence_limit_s(self._settings, self.rate_hz)

    @property
    def is_recording(self) -> bool:
        """False: a camera does not end."""
        return False

    @property
    def is_over(self) -> bool:
        """True once it is closed and its thread and its device are gone."""
        return self._calls.is_over

    @property
    def counts(self) -> SourceCounts:
        """Frame counts so far."""
        return SourceCounts(self._delivered)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until they stop; then release the camera.

        Raises:
            LostError: Frames came, and then none for ``open_timeout_s``, or for ``frozen_after_s`` if it will be
                reconnected.
            SourceError: No frame ever came, or its format is not supported.
        """
        try:
            yield from self._frames()
        finally:
            self.close()

    def close(self) -> None:
        """Release the camera; a reader in another thread ends at once."""
        self._calls.finish(self._release)

    def _frames(self) -> Iterator[Frame]:
        start_ns = last_ns = self._clock.monotonic_ns()
        while True:
            try:
                image = self._next_image(last_ns)
            except FinishedError:
                return
            now_ns = self._clock.monotonic_ns()
            if image is None:
                if now_ns - last_ns >= self._limit_s * 1e9:
                    raise self._silent()
                self._clock.sleep(_RETRY_S)
                continue
            last_ns = now_ns
            frame = self._frame(image, (now_ns - start_ns) / 1e9, now_ns)
            self._delivered += 1
            yield frame

    @property
    def _limit_s(self) -> float:
        return self._silence_s if self._delivered else self._timeout_s

    def _next_image(self, last_ns: int) -> GreyImage | None:
        """Read one image, or None if the driver has none; raises SourceError if the driver hangs."""
        left_s = self._limit_s - (self._clock.monotonic_ns() - last_ns) / 1e9
        try:
            return self._calls.call(self._read, max(left_s, 0.001))
        except TimeoutError as error:
            raise self._silent() from error

    def _silent(self) -> SourceError:
        kind = LostError if self._delivered else SourceError
        reason = f"no frame came for {self._limit_s:g} s ({self._delivered} frames were delivered)"
        return kind(f"{self.shown}: {reason}; check the cable")

    def _open(self, device: int | str) -> float:
        """Open the camera in the reading thread; return its rate, or 0 if unknown."""
        # OpenCV would write one line per back end to stderr; the error below says it once.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        video4linux = isinstance(device, int) and sys.platform == "linux"
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2 if video4linux else cv2.CAP_ANY)
        if not capture.isOpened():
            raise SourceError(f"{self.shown}: cannot be opened; another program may use it, or this user may not")
        if self._profile is not None:
            _request(capture, self._profile)
        elif video4linux:
            capture.set(cv2.CAP_PROP_FOURCC, _Y16)
            if int(capture.get(cv2.CAP_PROP_FOURCC)) == _Y16:
                capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._capture = capture
        self._reported_hw = (
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        )
        return float(capture.get(cv2.CAP_PROP_FPS))

    def _read(self) -> GreyImage | None:
        if self._capture is None:
            return None
        ok, image = self._capture.read()
        if not ok:
            return None
        try:
            grey = grey_counts(image, self._reported_hw)
            if self._profile is not None:
                grey = self._profile.picture(grey)
        except ValueError as error:
            kind = SourceError if self._profile is None else UnusableSourceError
            raise kind(f"{self.shown}: delivers pictures that are not read: {error}") from error
        check_size((grey.shape[0], grey.shape[1]), self.shown)
        self._colour = shrunk_colour(image) if is_sampled(self._delivered) else None
        return grey

    def _frame(self, image: GreyImage, pts_s: float, now_ns: int) -> Frame:
        bit_depth = 8 if image.dtype == np.uint8 else 16
        if self._profile is not None:
            bit_depth = self._profile.bit_depth
        return Frame(
            image=image,
            index=self._delivered,
            source=self.name,
            pts_s=pts_s,
            t_capture_us=self._clock.unix_us(),
            t_read_ns=now_ns,
            bit_depth=bit_depth,
            epoch=self._epochs.of(image, bit_depth),
            colour=self._colour,
        )

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def _request(capture: cv2.VideoCapture, profile: Profile) -> None:
    """Ask the driver for a profile's format and size, and for the bytes as they are; what comes is checked later."""
    capture.set(cv2.CAP_PROP_FOURCC, profile.code)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, profile.layouts[0].width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, profile.layouts[0].height)
    capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)


def _refuse_absent(device: int | str) -> None:
    """Raise if the device file does not exist, before OpenCV tries its ten back ends."""
    if not isinstance(device, int) or sys.platform != "linux" or Path(f"/dev/video{device}").exists():
        return
    present = sorted(Path("/dev").glob("video[0-9]*"), key=natural_key)
    found = ", ".join(str(path) for path in present) or "no camera at all"
    raise SourceError(f"camera {device}: expected /dev/video{device}, found {found}; plug it in or name another one")
