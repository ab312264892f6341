"""Cameras that break, and readers that wait for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peers import Peer, Reader, free_port

_HERE = Path(__file__).parent
_SYSTEM_PYTHON = "/usr/bin/python3"
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@pytest.fixture
def read() -> Iterator[Callable[..., Reader]]:
    """Read a URL; whatever is still read in the end is closed."""
    readers: list[Reader] = []

    def start(url: str, **settings: object) -> Reader:
        readers.append(Reader(url, **settings))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()


@pytest.fixture
def rtsp_camera() -> Iterator[Peer]:
    """An RTSP server, not started yet."""
    if not Path(_SYSTEM_PYTHON).exists():
        pytest.skip(f"needs {_SYSTEM_PYTHON} with GStreamer's bindings")
    done = subprocess.run([_SYSTEM_PYTHON, "-c", _BINDINGS], capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.skip("needs gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-good, -bad and -ugly")
    peer = Peer([_SYSTEM_PYTHON, str(_HERE / "rtsp_server.py")], free_port())
    yield peer
    peer.kill()


@pytest.fixture
def udp_camera() -> Iterator[Peer]:
    """A sender of MPEG-TS over UDP, not started yet."""
    peer = Peer([sys.executable, str(_HERE / "udp_sender.py")], free_port())
    yield peer
    peer.kill()
