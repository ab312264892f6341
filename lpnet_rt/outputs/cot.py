"""Cursor on Target to a receiver: UDP to one host or a group, TCP or TLS to a server."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

from lpnet_rt.credentials import read_secret
from lpnet_rt.errors import SettingsError
from lpnet_rt.outputs.connections import tls_context
from lpnet_rt.outputs.cot_events import CotWriter
from lpnet_rt.outputs.items import Item
from lpnet_rt.outputs.places import require_places
from lpnet_rt.outputs.sightings import sighting_of
from lpnet_rt.outputs.streams import Stream
from lpnet_rt.settings import CameraSettings
from lpnet_rt.settings.outputs import CotSettings

__all__ = ["CotLink"]


class CotLink:
    """Sends one event per packet (UDP) or one after the other (TCP, TLS)."""

    def __init__(self, settings: CotSettings, cameras: dict[str, CameraSettings]) -> None:
        """Read certificates; nothing is connected yet.

        Args:
            settings: Receiver, names and times.
            cameras: By source.

        Raises:
            SettingsError: A camera's place is not known, or a certificate cannot be read.
            DependencyError: The library that computes places is missing.
        """
        for source, camera in cameras.items():
            if camera.latitude_deg is None:
                raise SettingsError(
                    f"cot: expected latitude_deg, longitude_deg and height_m in the [[camera]] of {source}, "
                    "found none; events start at the camera's place"
                )
        if settings.place:
            require_places()
        url = urlsplit(settings.url)
        self._settings, self._scheme = settings, url.scheme
        try:
            self._host, self._port = url.hostname or "", url.port or 0
        except ValueError:
            self._port = 0
        if not 0 < self._port <= 65_535:
            raise SettingsError(f"cot.url: expected a port of 1 to 65535, found {settings.url}")
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "tls":
            password = "" if settings.key_password is None else read_secret(settings.key_password, "cot.key_password")
            self._tls = tls_context("cot", settings.ca_file, settings.certificate, settings.key, password)
        self._writer = CotWriter(settings, cameras)
        self._stream: Stream | None = None
        self._datagrams: socket.socket | None = None

    @property
    def name(self) -> str:
        """Output and address."""
        return f"cot {self._settings.url}"

    def open(self) -> None:
        """Connect; UDP has no connection, so its receiver is never away."""
        if self._scheme == "udp":
            self._datagrams = _datagram_socket(self._host, self._port, self._settings)
        else:
            self._stream = Stream(self._host, self._port, self._tls, self._settings.server_name)

    def send(self, item: Item) -> None:
        """Send a track, or the last of one that has ended."""
        sighting = sighting_of(item)
        payload = None if sighting is None else self._writer.event(sighting)
        if payload is None:
            return
        if self._datagrams is not None:
            try:
                self._datagrams.send(payload)
            except ConnectionRefusedError:
                self._datagrams.send(payload)  # the error was the packet's before: nobody listened, and may do now
        elif self._stream is not None:
            self._stream.write(payload)

    def idle(self) -> None:
        """Drop what a server sends; notice that it has gone."""
        if self._stream is not None:
            self._stream.read()

    def close(self, is_orderly: bool) -> None:
        """Close the connection."""
        for open_one in (self._stream, self._datagrams):
            if open_one is not None:
                open_one.close()
        self._stream = self._datagrams = None


def _datagram_socket(host: str, port: int, settings: CotSettings) -> socket.socket:
    """A connected UDP socket.

    Raises:
        OSError: The host has no address, or there is no way to it.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    made = socket.socket(family, kind, protocol)
    try:
        if ipaddress.ip_address(address[0]).is_multicast and family == socket.AF_INET:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, settings.multicast_ttl)
            if settings.multicast_address is not None:
                own = socket.inet_aton(settings.multicast_address)
                made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made
