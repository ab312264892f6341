"""GigE Vision cameras, by Aravis: ``gige://ADDRESS`` or ``gige://`` for the first that is found."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import DependencyError, SourceError, reason
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.camera import CameraSource
from lpnet_rt.sources.limits import check_size
from lpnet_rt.sources.naming import source_name
from lpnet_rt.sources.states import SourceCounts

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["GIGE_SCHEME", "GigeSource"]

GIGE_SCHEME = "gige"

# Grey formats in whole bytes, the deepest first: name, GenICam number, type of a count, significant bits.
_FORMATS = (
    ("Mono16", 0x01100007, "<u2", 16),
    ("Mono14", 0x01100025, "<u2", 14),
    ("Mono12", 0x01100005, "<u2", 12),
    ("Mono10", 0x01100003, "<u2", 10),
    ("Mono8", 0x01080001, "u1", 8),
)
_BUFFERS = 8
_WAIT_US = 100_000


class GigeSource(CameraSource):
    """Delivers the frames of a GigE Vision camera; frames with missing packets are left out and counted."""

    def __init__(self, address: str, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        """Prepare; nothing is opened yet.

        Args:
            address: IP address, host name or Aravis's identifier; empty: the first camera that is found.
            settings: As of a :class:`~lpnet_rt.sources.camera.CameraSource`, without ``camera_profile``.
            clock: Clock for read times, and for waits between failed reads.
        """
        super().__init__(address, settings, clock)
        self.shown = f"gige {address or 'camera'}"
        self.name = settings.name or source_name(f"gige-{address}" if address else "gige")
        self._camera: Any = None
        self._stream: Any = None
        self._left_out = 0
        self._bits = 16

    @property
    def counts(self) -> SourceCounts:
        """Frame counts so far."""
        return SourceCounts(self._delivered, left_out=self._left_out, corrupt_packets=self._left_out)

    def _open(self, device: int | str) -> float:
        """Connect and start the stream, in the deepest grey format; return the camera's rate, or 0 if unknown."""
        aravis, failure = _aravis(self.shown)
        try:
            aravis.update_device_list()
            camera = aravis.Camera.new(str(device) or None)
            offered = camera.dup_available_pixel_formats_as_strings()
            wanted = next((each for each in _FORMATS if each[0] in offered), None)
            if wanted is None:
                names = ", ".join(name for name, *_ in _FORMATS)
                raise SourceError(f"{self.shown}: expected one of {names}, found {', '.join(offered)[:200]}")
            camera.set_pixel_format_from_string(wanted[0])
            if camera.is_gv_device():
                camera.gv_auto_packet_size()
            self._bits = wanted[3]
            stream = camera.create_stream(None, None)
            payload = camera.get_payload()
            for _ in range(_BUFFERS):
                stream.push_buffer(aravis.Buffer.new_allocate(payload))
            camera.start_acquisition()
            self._camera, self._stream = camera, stream
            return float(camera.get_frame_rate()) if camera.is_frame_rate_available() else 0.0
        except failure as error:
            raise SourceError(
                f"{self.shown}: cannot be opened: {reason(error)}; check its address and cable"
            ) from error

    def _read(self) -> GreyImage | None:
        """Read one frame; None if none came, or an incomplete one."""
        if self._stream is None:
            return None
        aravis, _ = _aravis(self.shown)
        buffer = self._stream.timeout_pop_buffer(_WAIT_US)
        if buffer is None:
            return None
        try:
            if buffer.get_status() != aravis.BufferStatus.SUCCESS:
                self._left_out += 1
                return None
            return self._grey(buffer)
        finally:
            self._stream.push_buffer(buffer)

    def _grey(self, buffer: Any) -> GreyImage:
        number = buffer.get_image_pixel_format()
        known = next((each for each in _FORMATS if each[1] == number), None)
        height, width = buffer.get_image_height(), buffer.get_image_width()
        check_size((height, width), self.shown)
        if known is None:
            raise SourceError(f"{self.shown}: expected the pixel format that was set, found number {number:#010x}")
        counts = np.frombuffer(buffer.get_data(), known[2])
        if counts.size < height * width:
            raise SourceError(f"{self.shown}: expected {width}x{height} counts, found {counts.size}")
        picture: GreyImage = counts[: height * width].reshape(height, width).astype(known[2].lstrip("<"))
        return picture

    def _frame(self, image: GreyImage, pts_s: float, now_ns: int) -> Frame:
        frame = super()._frame(image, pts_s, now_ns)
        return dataclasses.replace(
            frame, index=frame.index + self._left_out, dropped=self._left_out, bit_depth=self._bits
        )

    def _release(self) -> None:
        camera, self._camera, self._stream = self._camera, None, None
        if camera is None:
            return
        _, failure = _aravis(self.shown)
        with contextlib.suppress(failure):  # a camera that is gone need not stop
            camera.stop_acquisition()


def _aravis(shown: str) -> tuple[ModuleType, type[Exception]]:
    """Aravis by GObject introspection, and the error that it raises.

    Raises:
        DependencyError: PyGObject or Aravis is not installed.
    """
    try:
        import gi

        gi.require_version("Aravis", "0.8")
        from gi.repository import Aravis, GLib
    except (ImportError, ValueError) as error:
        raise DependencyError(
            f"{shown}: needs Aravis and PyGObject; apt install gir1.2-aravis-0.8 libgirepository1.0-dev, and "
            "pip install '.[gige]' in a checkout of lpnet-rt"
        ) from error
    return Aravis, GLib.Error
