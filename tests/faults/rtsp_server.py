"""A camera on the loopback: an RTSP server that sends a moving test picture as H.264, until it is ended.

Run by the system's Python, which has GStreamer's bindings: ``/usr/bin/python3 rtsp_server.py PORT WIDTH HEIGHT
[RATE]``. It writes ``ready`` to standard output once it listens on ``rtsp://127.0.0.1:PORT/cam``, and ends with its
standard input.
"""

from __future__ import annotations

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_RATE_HZ = 25


def main() -> None:
    """Serve until standard input ends: a server never outlives the test that started it."""
    port, width, height = sys.argv[1:4]
    rate_hz = int(sys.argv[4]) if len(sys.argv) > 4 else _RATE_HZ
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_shared(True)
    # A key frame a second, as cameras have by default.
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball"
        f" ! video/x-raw,width={width},height={height},framerate={rate_hz}/1"
        f" ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=300 key-int-max={rate_hz} threads=1"
        " ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    server.get_mount_points().add_factory("/cam", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
