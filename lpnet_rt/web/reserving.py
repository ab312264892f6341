"""Reserve the page's address and read its token before anything slow begins."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass

from lpnet_rt.clock import Clock
from lpnet_rt.credentials import read_secret
from lpnet_rt.endpoints import is_local
from lpnet_rt.errors import DependencyError, SinkError, reason
from lpnet_rt.settings import WebSettings
from lpnet_rt.web.access import Access

__all__ = ["Reserved", "reserve"]

_logger = logging.getLogger(__name__)

_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Reserved:
    """The page's address, taken before anything slow begins.

    Attributes:
        listener: Bound, not yet listening.
        access: The token.
        url: Where the page will be.
    """

    listener: socket.socket
    access: Access
    url: str

    def close(self) -> None:
        """Give the address back."""
        self.listener.close()


def reserve(web: WebSettings, clock: Clock) -> Reserved | None:
    """Read the token and bind the address.

    Args:
        web: The settings; they have been checked.
        clock: Clock of the run.

    Returns:
        None without a page.

    Raises:
        DependencyError: A library is missing.
        SettingsError: The token cannot be read or is too short.
        SinkError: The address cannot be bound.
    """
    if web.address is None:
        return None
    try:
        import prometheus_client  # noqa: F401 - fails here, before the model is loaded
        import starlette  # noqa: F401
        import tomlkit  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise DependencyError(f"web: needs {error.name}; pip install '.[web]' in a checkout of lpnet-rt") from error
    access = Access(None if web.token is None else read_secret(web.token, "web.token"), clock)
    listener = _bound(web.address)
    host, port = listener.getsockname()[:2]
    scheme = "http" if web.certificate is None else "https"
    if scheme == "http" and not is_local(f"tcp://{web.address}"):
        _logger.warning(
            "warning: web: nothing is encrypted on the way to %s; give a certificate and a key", web.address
        )
    return Reserved(listener, access, f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SinkError(f"web {address}: the address cannot be used: {reason(error)}; give another") from error
    return listener
