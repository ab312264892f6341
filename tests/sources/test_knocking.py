from __future__ import annotations

import socket

from lpnet_rt.sources.knocking import knock_at


def test_a_knock_at_a_door() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert knock_at(f"rtsp://user:pass@127.0.0.1:{port}/cam") is None
    assert knock_at(f"rtsp://user:pass@127.0.0.1:{port}/cam") == "connection refused"
    assert "127" not in (knock_at("http://no-such-camera.invalid/x") or "127")
    for other in (f"udp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}", "rtsp://[broken", "rtsp:///x", "rtsp://h:x/"):
        assert knock_at(other) is None
