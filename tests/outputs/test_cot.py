"""Cursor on Target, received by pytak over UDP, and through a relay over TCP and TLS, as through a TAK server."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Callable
from configparser import ConfigParser
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import pymap3d
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from stepped_clock import SteppedClock
from tracked_reports import CAMERA, event, sink_for, tracked

from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.errors import SettingsError
from lpnet_rt.outputs.cot import CotLink
from lpnet_rt.outputs.opening import open_peers
from lpnet_rt.outputs.outbox import OutboxLimits
from lpnet_rt.outputs.peer import Peer
from lpnet_rt.outputs.places import Direction, place_at
from lpnet_rt.outputs.sink import PeerSink, Wishes
from lpnet_rt.settings import CameraSettings, CotSettings, Settings
from lpnet_rt.settings.outputs import PlaceSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pytak warns of its own optional packages
    import pytak

WAIT_S = 10.0
# The base schema's patterns: event types are words of letters and digits, times are ISO 8601 in UTC.
TYPE, HOW = re.compile(r"\w+(-\w+)*(;[^;]*)?"), re.compile(r"\w(-\w+)*")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def check_schema(payload: bytes) -> ElementTree.Element:
    """What the public base schema (version 2.0) requires of an event."""
    root = ElementTree.fromstring(payload)
    assert root.tag == "event"
    assert set(root.attrib) == {"version", "uid", "type", "time", "start", "stale", "how"}
    assert float(root.get("version", "")) == 2.0
    assert TYPE.fullmatch(root.get("type", ""))
    assert HOW.fullmatch(root.get("how", ""))
    times = [root.get(name, "") for name in ("time", "start", "stale")]
    assert all(TIME.fullmatch(text) for text in times)
    moments = [datetime.fromisoformat(text) for text in times]
    assert moments[0] <= moments[1] <= moments[2]
    assert [child.tag for child in root] == ["point", "detail"]
    point = root[0]
    assert set(point.attrib) == {"lat", "lon", "hae", "ce", "le"}
    assert -90 <= float(point.get("lat", "")) <= 90
    assert -180 <= float(point.get("lon", "")) <= 180
    assert all(math.isfinite(float(point.get(name, ""))) for name in ("hae", "ce", "le"))
    assert float(point.get("ce", "")) >= 0
    assert float(point.get("le", "")) >= 0
    return root


def cot_peer(settings: CotSettings, camera: CameraSettings = CAMERA) -> tuple[Peer, PeerSink]:
    peer = Peer(CotLink(settings, {"north": camera}), OutboxLimits(), SYSTEM_CLOCK)
    return peer, sink_for([peer], Wishes(("ended",), rate_hz=1.0), SYSTEM_CLOCK)


def steps(peer: Peer, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not until():
        assert time.monotonic() < deadline, peer.counts
        time.sleep(min(peer.step(), 0.01))


async def receive(url: str, count: int, ready: asyncio.Event, **tls: str) -> list[bytes]:
    """Read events with pytak's receiving worker."""
    config = ConfigParser({"COT_URL": url, "TAK_PROTO": "0", **tls})["DEFAULT"]
    reader, writer = await pytak.protocol_factory(config)
    worker: Any = pytak.RXWorker(asyncio.Queue(), config, reader)
    ready.set()
    events = [await asyncio.wait_for(worker.readcot(), WAIT_S) for _ in range(count)]
    for end in (writer, reader):
        if hasattr(end, "close"):
            end.close()
    await asyncio.sleep(0)
    return events


@asynccontextmanager
async def relay(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """What a TAK server does: everybody gets what the others send."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while payload := await reader.read(65_536):
                for other in writers - {writer}:
                    other.write(payload)
        except OSError:
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in list(writers):
            writer.close()
        await asyncio.sleep(0.05)


async def exchange(settings_of: Callable[[int], CotSettings], url: str, tls: dict[str, str], port: int) -> list[bytes]:
    """Send a track and its end to a port where pytak listens."""
    ready = asyncio.Event()
    receiving = asyncio.create_task(receive(url.format(port=port), 2, ready, **tls))
    await asyncio.wait_for(ready.wait(), WAIT_S)
    await asyncio.sleep(0.05)

    def send() -> None:
        peer, sink = cot_peer(settings_of(port))
        sink.write(tracked(0, camera=CAMERA))
        sink.write(tracked(1, ids=(), events=[event("ended")], camera=CAMERA))
        steps(peer, lambda: peer.counts.sent == 2)
        peer.stop()
        peer.start()
        peer.join(WAIT_S)

    await asyncio.to_thread(send)
    return await receiving


def check_line(payloads: list[bytes]) -> None:
    seen, last = (check_schema(payload) for payload in payloads)
    assert seen.get("type") == last.get("type") == "u-rb-a"
    assert seen.get("uid") == last.get("uid")
    assert last.get("stale") == last.get("start")
    assert (seen[0].get("lat"), seen[0].get("lon"), seen[0].get("ce")) == ("50.0000000", "8.0000000", "3.0")
    values = {child.tag: child.get("value") for child in seen[1]}
    assert float(values["bearing"] or "") == pytest.approx(90.0, abs=0.5)
    assert float(values["inclination"] or "") == pytest.approx(0.0, abs=0.5)
    assert (values["range"], values["northRef"], values["bearingUnits"]) == ("5000.0", "0", "0")
    assert "for display only" in (seen.findtext("detail/remarks") or "")
    assert seen.find("detail/contact") is not None


def test_pytak_reads_lines_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    got = exchange(lambda p: CotSettings(url=f"udp://127.0.0.1:{p}"), "udp+ro://127.0.0.1:{port}", {}, port)
    check_line(asyncio.run(got))


def test_packets_to_a_group_carry_their_ttl_and_arrive() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
        member.bind(("239.2.3.1", 0))
        membership = socket.inet_aton("239.2.3.1") + socket.inet_aton("127.0.0.1")
        try:
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        except OSError as error:
            pytest.skip(f"no multicast here: {error}")
        member.settimeout(WAIT_S)
        url = f"udp://239.2.3.1:{member.getsockname()[1]}"
        peer, sink = cot_peer(CotSettings(url=url, multicast_address="127.0.0.1"))
        sink.write(tracked(0, camera=CAMERA))
        steps(peer, lambda: peer.counts.sent == 1)
        check_schema(member.recv(65_536))
        peer.stop()
        peer.start()
        peer.join(WAIT_S)


def test_pytak_reads_lines_over_tcp() -> None:
    async def run() -> list[bytes]:
        async with relay() as port:
            return await exchange(lambda p: CotSettings(url=f"tcp://127.0.0.1:{p}"), "tcp://127.0.0.1:{port}", {}, port)

    check_line(asyncio.run(run()))


# pytak refuses old versions of TLS by options that Python deprecates.
@pytest.mark.filterwarnings("ignore:ssl.OP_NO:DeprecationWarning")
def test_pytak_reads_lines_over_tls_with_client_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("mast")
    client.private_key_pem.write_to_path(tmp_path / "key.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    tls = {
        "PYTAK_TLS_CLIENT_CERT": files["cert"],
        "PYTAK_TLS_CLIENT_KEY": files["key"],
        "PYTAK_TLS_CLIENT_CAFILE": files["ca"],
        "PYTAK_TLS_SERVER_EXPECTED_HOSTNAME": "127.0.0.1",
    }

    def settings(port: int) -> CotSettings:
        return CotSettings(
            url=f"tls://127.0.0.1:{port}", ca_file=files["ca"], certificate=files["cert"], key=files["key"]
        )

    async def run() -> list[bytes]:
        async with relay(context) as port:
            return await exchange(settings, "tls://127.0.0.1:{port}", tls, port)

    check_line(asyncio.run(run()))


def test_a_server_that_is_away_for_five_minutes_gets_no_old_tracks(clock: SteppedClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = CotSettings(url=f"tcp://127.0.0.1:{port}")
    peer = Peer(CotLink(settings, {"north": CAMERA}), OutboxLimits(keep_s=10.0), clock)
    sink = sink_for([peer], Wishes(("ended",), rate_hz=1.0), clock)
    report, ended = tracked(0, camera=CAMERA), tracked(0, camera=CAMERA, events=[event("ended", 2)])
    for second in range(300):
        sink.write(ended if second % 10 == 0 else report)
        peer.step()
        clock.sleep(1.0)
    assert peer.counts.is_away
    assert peer.counts.waiting <= 3
    assert peer.counts.dropped >= 28
    with socket.create_server(("127.0.0.1", port)) as server:
        clock.sleep(30.0)
        sink.write(report)
        while peer.counts.sent == 0:
            peer.step()
        connection, _ = server.accept()
        with connection:
            root = check_schema(connection.recv(65_536))
        assert str(root.get("uid")).endswith(".north.1")
        clock.sleep(2)
        for _ in range(20):
            peer.step()
        assert peer.counts.is_away  # it has closed the connection, which is noticed without anything to send
    peer.stop()
    peer.start()
    peer.join(WAIT_S)


def test_a_range_gives_a_place_with_its_errors() -> None:
    place = place_at(CAMERA, Direction(90.0, 2.0, 0.1, 0.1), PlaceSettings(range_m=2_000.0, range_error_m=200.0))
    assert place is not None
    azimuth, elevation, range_m = pymap3d.geodetic2aer(
        place.latitude_deg, place.longitude_deg, place.height_m, 50.0, 8.0, 150.0
    )
    assert (azimuth, elevation, range_m) == pytest.approx((90.0, 2.0, 2_000.0), abs=1e-6)
    assert place.circular_error_m == pytest.approx(math.hypot(200.0, 3.0), rel=1e-3)
    assert place.height_error_m == pytest.approx(math.sqrt((200 * 0.0349) ** 2 + (2000 * 0.001745) ** 2 + 25), rel=1e-2)


@given(st.floats(1.0, 3_000.0), st.floats(-89.0, 89.0))
def test_a_place_on_the_ground_lies_on_the_ground_and_in_the_direction_or_is_not_given(
    drop_m: float, elevation_deg: float
) -> None:
    camera = msgspec.structs.replace(CAMERA, height_m=100.0 + drop_m)
    settings = PlaceSettings(ground_height_m=100.0, ground_error_m=1.0)
    place = place_at(camera, Direction(123.0, elevation_deg, 0.05, 0.05), settings)
    if elevation_deg >= 0:
        assert place is None
    if place is not None:
        assert place.height_m == pytest.approx(100.0, abs=max(1.0, place.range_m * 1e-3))
        back = pymap3d.geodetic2aer(place.latitude_deg, place.longitude_deg, place.height_m, 50.0, 8.0, 100.0 + drop_m)
        assert back[0] == pytest.approx(123.0, abs=1e-6)
        assert np.isfinite(place.circular_error_m)


@pytest.mark.parametrize(("y", "kind"), [(40.0, "a-u-G"), (24.0, "u-rb-a"), (8.0, "u-rb-a")])
def test_only_what_is_seen_on_the_ground_gets_a_place(y: float, kind: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(WAIT_S)
        place = PlaceSettings(ground_height_m=100.0, ground_error_m=1.0)
        peer, sink = cot_peer(CotSettings(url=f"udp://127.0.0.1:{server.getsockname()[1]}", place=(place,)))
        sink.write(tracked(0, ids=(0, 1), camera=CAMERA, y=y))
        steps(peer, lambda: peer.counts.sent == 2)
        roots = [check_schema(server.recv(65_536)) for _ in range(2)]
        assert roots[1].get("type") == kind
        assert ("not measured" in (roots[1].findtext("detail/remarks") or "")) == (kind == "a-u-G")
        peer.stop()
        peer.start()
        peer.join(WAIT_S)


@pytest.mark.parametrize(
    ("cameras", "missing"),
    [((), r"expected a \[\[camera\]\] for north"), ((msgspec.structs.replace(CAMERA, latitude_deg=None),), "latitude")],
)
def test_without_a_camera_or_its_place_the_table_is_refused(cameras: tuple[CameraSettings, ...], missing: str) -> None:
    settings = Settings(cot=CotSettings(url="udp://127.0.0.1:6969"), camera=cameras)
    with pytest.raises(SettingsError, match=missing):
        open_peers(settings, ["north"], SYSTEM_CLOCK)
