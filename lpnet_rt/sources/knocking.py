"""Knocking: check whether a stream's address answers, without FFmpeg."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from lpnet_rt.errors import reason

__all__ = ["knock_at"]

# The kernel repeats an unanswered request after 1, 3 and 7 s. With a new request every two seconds, a machine that
# comes back is noticed within seconds, however long it was away.
_KNOCK_S = 2.0
# Without ``tcp``: such a server may accept only one connection.
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935}


def knock_at(url: str) -> str | None:
    """Connect to the host and port of a URL and hang up.

    Returns:
        None if something answered or the scheme is connectionless, else the reason, without the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return None  # FFmpeg may still be able to parse this port or address
    if not host or port is None or parts.scheme.lower() not in _PORTS:
        return None
    try:
        socket.create_connection((host, port), _KNOCK_S).close()
    except TimeoutError:
        return f"no answer within {_KNOCK_S:g} s; check the address and that the camera is on"
    except OSError as error:
        return reason(error).lower()
    return None
