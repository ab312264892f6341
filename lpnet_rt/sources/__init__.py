"""Sources of frames."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

from lpnet_rt.clock import SYSTEM_CLOCK, Clock
from lpnet_rt.errors import SettingsError, SourceError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources.base import Connection, Source
from lpnet_rt.sources.camera import CameraSource, camera_index
from lpnet_rt.sources.gige import GIGE_SCHEME, GigeSource
from lpnet_rt.sources.images import IMAGE_SUFFIXES, ImageSource, find_images
from lpnet_rt.sources.naming import source_name, url_scheme
from lpnet_rt.sources.reconnecting import ReconnectingSource
from lpnet_rt.sources.states import OnState, SourceState
from lpnet_rt.text import printable, redact

__all__ = ["ReconnectingSource", "Source", "SourceState", "open_source"]


def open_source(settings: SourceSettings, clock: Clock = SYSTEM_CLOCK, on_state: OnState | None = None) -> Source:
    """Open the source that ``settings.spec`` names.

    ``demo`` is the built-in scene; digits or ``/dev/videoN`` a camera; ``gige://ADDRESS`` a GigE Vision camera; any
    other URL a video stream; a folder or a glob its
    images in natural order; a file with an image suffix an image; any other file a video.

    Args:
        settings: What to open and how.
        clock: Clock for times and waits.
        on_state: Called with every change of state of a :class:`ReconnectingSource`.

    Returns:
        The open source; the caller closes it. Unless ``reconnect`` is ``never``, a camera or a stream is a
        :class:`ReconnectingSource`: one connection attempt has been made; more follow when it is read.

    Raises:
        SourceError: It is missing or cannot be read; for a camera or a stream only if ``reconnect`` is ``never``.
        SettingsError: ``realtime`` is set for images, which have no times; a camera profile is unknown, or is given
            for another source than a camera.
    """
    spec = settings.spec
    index = camera_index(spec)
    if settings.camera_profile is not None and index is None:
        raise SettingsError(
            f"source.camera_profile: expected a camera such as /dev/video0, found {printable(redact(spec))[:80]}; "
            "leave it out"
        )
    if spec == "demo":
        from lpnet_rt.sources.demo import DemoSource

        return DemoSource(settings, clock)
    if index is not None:
        return _connected(lambda: CameraSource(index, settings, clock), settings, clock, on_state)
    scheme = url_scheme(spec)
    if scheme == GIGE_SCHEME:
        address = spec.partition("://")[2].strip("/")
        return _connected(lambda: GigeSource(address, settings, clock), settings, clock, on_state)
    if scheme is not None:
        return _open_stream(settings, scheme, clock, on_state)
    path = Path(spec)
    if path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES:
        # PyAV and FFmpeg are slow to load; images and the demo scene do not need them.
        from lpnet_rt.sources.video import VideoSource

        return VideoSource(path, settings, clock)
    return _open_images(settings, path, clock)


def _connected(
    connection: Callable[[], Connection], settings: SourceSettings, clock: Clock, on_state: OnState | None
) -> Source:
    if settings.reconnect == "forever":
        source = ReconnectingSource(connection, settings, clock, on_state)
        source.try_connect()
        return source
    only = connection()
    only.connect()
    return only


def _open_stream(settings: SourceSettings, scheme: str, clock: Clock, on_state: OnState | None) -> Source:
    from lpnet_rt.sources.streams import STREAM_SCHEMES, StreamSource

    if scheme not in STREAM_SCHEMES:
        known = ", ".join(sorted(STREAM_SCHEMES))
        raise SourceError(f"{scheme}://: expected a URL that starts with one of {known}; files are named by their path")
    return _connected(lambda: StreamSource(settings, clock), settings, clock, on_state)


def _open_images(settings: SourceSettings, path: Path, clock: Clock) -> Source:
    spec = settings.spec
    if not path.exists() and not glob.has_magic(spec):
        raise SourceError(f"{spec}: no such file or folder; name a video, an image, a folder, a camera, a URL or demo")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise SourceError(f"{spec}: expected a file or a folder, found a device or a pipe; name a file or /dev/videoN")
    images = find_images(spec)
    if settings.realtime:
        raise SettingsError(f"source.realtime: images have no frame rate, found {spec}; leave realtime out")
    stem = path.stem if path.is_file() else (path if path.is_dir() else images[0].parent).resolve().name
    return ImageSource(images, settings.name or source_name(stem), settings.frames, clock)
