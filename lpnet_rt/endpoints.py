"""ZeroMQ endpoints: which are local to this machine, and which need IPv6."""

from __future__ import annotations

import ipaddress

__all__ = ["is_ipv6", "is_local"]

_LOCAL_TRANSPORTS = ("ipc", "inproc")
_LOCAL_NAMES = ("localhost", "lo")


def is_ipv6(endpoint: str) -> bool:
    """Return whether the endpoint's host is an IPv6 address in brackets, such as ``tcp://[::1]:5556``."""
    return endpoint.partition("://")[2].startswith("[")


def is_local(endpoint: str) -> bool:
    """Return whether only programs of this machine can reach the endpoint once it is bound."""
    transport, _, address = endpoint.partition("://")
    if transport in _LOCAL_TRANSPORTS:
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES
