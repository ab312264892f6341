from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lpnet_rt.sources.states import SourceState

TOKEN = "a token of more than sixteen characters"
BEARER = {"authorization": f"Bearer {TOKEN}"}
Serve = Callable[..., Any]
SECRETS = ("/", "/api/events", "/api/timeline", "/api/minute", "/metrics", "/api/events/1/chip.png", "/static/app.js")


def watch(page: Any, **headers: str) -> ClientConnection:
    """Open the WebSocket as the page itself does."""
    given = {"Origin": page.url} | headers
    return connect(f"ws://{page.host}/ws", additional_headers=given, max_size=2**24, open_timeout=20, proxy=None)


def receive(viewer: ClientConnection, kind: str) -> dict[str, Any]:
    """The next text of a kind; what comes before is skipped."""
    while True:
        message = viewer.recv(20)
        if isinstance(message, str) and json.loads(message)["kind"] == kind:
            return dict(json.loads(message))


def pictures(viewer: ClientConnection) -> tuple[int, list[tuple[dict[str, Any], np.ndarray]]]:
    """The next pictures: the number of their message, and of each the head and the grey image."""
    while True:
        message = viewer.recv(20)
        if isinstance(message, bytes):
            break
    at = 4
    parts: list[tuple[dict[str, Any], np.ndarray]] = []
    while at < len(message):
        head, jpeg = struct.unpack_from("<II", message, at)
        picture = cv2.imdecode(np.frombuffer(message[at + 8 + head :][:jpeg], np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        parts.append((json.loads(message[at + 8 : at + 8 + head]), picture))
        at += 8 + head + jpeg
    return struct.unpack_from("<I", message)[0], parts


def is_cut_off(viewer: ClientConnection) -> bool:
    """Whether the server closes the connection within twenty seconds."""
    deadline_s = time.monotonic() + 20
    try:
        while time.monotonic() < deadline_s:
            viewer.recv(deadline_s - time.monotonic())
    except ConnectionClosed:
        return True
    except TimeoutError:
        pass
    return False


def test_a_viewer_gets_the_newest_picture_with_the_detections_of_the_same_frame(serve: Serve) -> None:
    page = serve(names=("mast", "gate"))
    with watch(page) as viewer:
        assert receive(viewer, "hello")["sources"] == ["mast", "gate"]
        viewer.send(json.dumps({"want": {"mast": "full", "gate": "small", "nobody": "full"}}))
        for index in range(8):
            page.write(index)
        page.write(3, "gate", (600, 800))
        number, parts = pictures(viewer)
        while len(parts) < 2:  # a picture of one source may come before that of the other
            viewer.send(json.dumps({"ack": number}))
            number, more = pictures(viewer)
            parts += more
        shown = {head["frame"]["source"]: (head["frame"], picture) for head, picture in parts}
        message, picture = shown["mast"]
        found = message["detections"][0]
        assert picture.shape == (96, 128)
        assert picture[round(found["cy"]), round(found["cx"])] > 180, "the box is not where the picture is bright"
        assert found["cx"] == pytest.approx(5 + message["frame"] + 1)
        assert shown["gate"][1].shape == (360, 480), "a small picture has 480 pixels at most"


def test_no_picture_follows_before_the_last_is_acknowledged(serve: Serve) -> None:
    page = serve()
    with watch(page) as viewer:
        viewer.send(json.dumps({"want": {"mast": "full"}}))
        page.write(0)
        number, _ = pictures(viewer)
        for index in range(1, 6):
            page.write(index)
            receive(viewer, "status") if index == 5 else None
        viewer.send(json.dumps({"ack": number}))
        assert pictures(viewer)[1][0][0]["frame"]["frame"] == 5, "a slow viewer gets the newest frame, not a queue"


def test_a_picture_is_encoded_once_for_all_viewers(serve: Serve) -> None:
    page = serve()
    with watch(page) as one, watch(page) as other:
        for viewer in (one, other):
            viewer.send(json.dumps({"want": {"mast": "full"}}))
        page.write(0)
        assert pictures(one)[1][0][0] == pictures(other)[1][0][0]
    assert "lpnet_web_pictures_total 1.0" in page.client.get("/metrics").text


def test_an_event_reaches_viewers_and_has_a_chip(serve: Serve) -> None:
    page = serve()
    with watch(page) as viewer:
        assert receive(viewer, "events")["rows"] == []
        for index in range(8):
            page.write(index)
        (row,) = receive(viewer, "events")["rows"]
    assert (row["source"], row["ended_us"], row["has_chip"]) == ("mast", None, True)
    chip = page.client.get(f"/api/events/{row['id']}/chip.png")
    assert chip.headers["content-type"] == "image/png"
    assert cv2.imdecode(np.frombuffer(chip.content, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (64, 64)
    assert [event["id"] for event in page.client.get("/api/events?limit=1").json()] == [row["id"]]
    assert page.client.get(f"/api/events?before={row['id']}").json() == []
    assert page.client.get("/api/timeline").json()[0][:2] == [row["id"], "mast"]


def test_a_camera_that_is_lost_and_comes_back_is_shown(serve: Serve) -> None:
    page = serve()
    with watch(page) as viewer:
        page.log["mast"].add(SourceState("lost", "rtsp://user:secret@camera/x: no packets", 1_000_000, 1, 0))
        lost = receive(viewer, "status")["sources"]["mast"]
        while lost["state"] != "lost":
            lost = receive(viewer, "status")["sources"]["mast"]
        assert (lost["since_us"], lost["reason"]) == (1_000_000, "rtsp://camera/x: no packets")
        page.log["mast"].add(SourceState("live", None, 2_000_000, 2, 1))
        back = receive(viewer, "status")["sources"]["mast"]
        assert (back["state"], back["reconnects"]) == ("live", 1)


def test_a_threshold_acts_at_once_and_is_told_to_all(serve: Serve) -> None:
    page = serve(edit=True)
    origin = {"origin": page.url}
    with watch(page) as viewer:
        receive(viewer, "settings")
        assert page.client.put("/api/threshold", json={"threshold": 0.61}, headers=origin).status_code == 200
        assert page.detector.threshold == 0.61
        assert receive(viewer, "settings")["threshold"] == 0.61
    for wrong in (0, 1.5, "high", None):
        assert page.client.put("/api/threshold", json={"threshold": wrong}, headers=origin).status_code == 400
    assert page.client.put("/api/threshold", content=b"{", headers=origin).status_code == 415
    assert page.detector.threshold == 0.61


def test_the_last_minute_says_what_another_threshold_would_have_shown(serve: Serve) -> None:
    page = serve()
    for index in range(10):
        page.write(index)
    counts = page.client.get("/api/minute").json()["mast"]
    assert (counts["frames"], counts["detections"][50], counts["detections"][95]) == (10, 10, 0)
    assert (counts["tracks"][50], counts["tracks"][95]) == (1, 0)


def test_zones_act_at_once_and_are_saved_with_the_comments_around_them(serve: Serve, tmp_path: Path) -> None:
    config = tmp_path / "lpnet.toml"
    gate = '[[zone]]\nsource = "gate"\npoints = [[0, 0], [9, 0], [0, 9]]\n'
    before = f"# the mast\n[detector]\nthreshold = 0.7 # agreed\n\n{gate}"
    config.write_text(before)
    page = serve(edit=True, config=str(config))
    zone = {"kind": "ignore", "name": 'a "quoted" name', "points": [[1, 2], [30.5, 2], [30, 40]], "unit": "px"}
    answer = page.client.put("/api/zones/mast", json={"zones": [zone]}, headers={"origin": page.url})
    assert answer.json() == {"saved": True}
    assert [(each.name, each.source) for each in page.zones["mast"].zones.zones] == [('a "quoted" name', "mast")]
    saved = config.read_text()
    assert saved.startswith("# the mast\n[detector]\nthreshold = 0.7 # agreed\n")
    assert [saved.count('source = "gate"'), saved.count('source = "mast"')] == [1, 1]
    assert (tmp_path / "lpnet.toml.bak").read_text() == before
    page.client.put("/api/zones/mast", json={"zones": []}, headers={"origin": page.url})
    assert 'source = "mast"' not in config.read_text()


@pytest.mark.parametrize(
    ("source", "zone", "status"),
    [
        ("nobody", {"points": [[0, 0], [9, 0], [0, 9]]}, 400), ("mast", {"points": [[0, 0], [9, 9]]}, 400),
        ("mast", {"points": [[0, 0], [1, 1], [2, 2]]}, 400), ("mast", {"points": [[0, 0], [9, 0], [0, 1e9]]}, 400),
        ("mast", {"points": [[0, 0], [9, 0], [0, 9]], "more": 1}, 400), ("..%2f..%2fetc", {"points": []}, 404),
    ],
)  # fmt: skip
def test_a_zone_that_is_none_changes_nothing(serve: Serve, source: str, zone: dict[str, Any], status: int) -> None:
    page = serve(edit=True)
    answer = page.client.put(f"/api/zones/{source}", json={"zones": [zone]}, headers={"origin": page.url})
    assert answer.status_code == status
    assert page.zones["mast"].zones.zones == ()


def test_a_page_that_only_looks_changes_nothing(serve: Serve) -> None:
    page = serve()
    before = page.detector.threshold
    for path, value in (("/api/threshold", {"threshold": 0.2}), ("/api/zones/mast", {"zones": []})):
        assert page.client.put(path, json=value, headers={"origin": page.url}).status_code == 403
    assert page.detector.threshold == before


def test_without_the_token_nothing_is_shown(serve: Serve) -> None:
    page = serve(token=True, edit=True)
    answer = page.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert {page.client.get(path).status_code for path in SECRETS[1:]} == {401}
    changed = page.client.put("/api/threshold", json={"threshold": 0.2}, headers={"origin": page.url})
    assert (changed.status_code, page.detector.threshold != 0.2) == (401, True)
    with pytest.raises(InvalidStatus, match="403"):
        watch(page)
    assert page.client.get("/login").status_code == 200


def test_the_token_opens_the_page_as_a_header(serve: Serve) -> None:
    page = serve(token=True, edit=True)
    assert [page.client.get(path, headers=BEARER).status_code for path in ("/", "/metrics", "/api/events")] == [200] * 3
    changed = page.client.put("/api/threshold", json={"threshold": 0.5}, headers=BEARER)
    assert changed.status_code == 200, "a request with the token in its header comes from no other page"
    with watch(page, Authorization=f"Bearer {TOKEN}") as viewer:
        assert receive(viewer, "hello")["needs_token"] is True


def test_the_login_opens_a_session_that_the_logout_ends(serve: Serve) -> None:
    page = serve(token=True)
    origin = {"origin": page.url}
    wrong = page.client.post("/login", data={"token": "wrong"}, headers=origin)
    assert (wrong.headers["location"], "set-cookie" in wrong.headers) == ("/login?wrong", False)
    right = page.client.post("/login", data={"token": TOKEN}, headers=origin)
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert page.client.get("/").status_code == 200
    session = page.client.cookies["lpnet_session"]
    with watch(page, Cookie=f"lpnet_session={session}") as viewer:
        receive(viewer, "hello")
        page.client.post("/logout", headers=origin)
        assert is_cut_off(viewer), "a picture still comes after the log-out"
    assert page.client.get("/api/events", headers={"cookie": f"lpnet_session={session}"}).status_code == 401


def test_the_sixth_wrong_token_is_not_looked_at_and_neither_is_a_right_one_after_it(serve: Serve) -> None:
    page = serve(token=True)
    wrong = {"authorization": "Bearer wrong"}
    assert [page.client.get("/metrics", headers=wrong).status_code for _ in range(6)] == [401] * 5 + [429]
    assert page.client.get("/metrics", headers=BEARER).status_code == 429
    answer = page.client.post("/login", data={"token": TOKEN}, headers={"origin": page.url})
    assert (answer.status_code, int(answer.headers["retry-after"]) > 30) == (429, True)


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
def test_another_site_changes_nothing_and_opens_no_socket(serve: Serve, origin: str | None) -> None:
    page = serve(edit=True)
    headers = {} if origin is None else {"origin": origin}
    before = page.detector.threshold
    assert page.client.put("/api/threshold", json={"threshold": 0.2}, headers=headers).status_code == 403
    assert page.client.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403
    assert page.detector.threshold == before
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://{page.host}/ws", origin=origin, proxy=None)  # type: ignore[arg-type]


def test_a_name_that_points_here_is_not_answered(serve: Serve) -> None:
    page = serve()
    assert page.client.get("/api/events", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "path", ["/static/..%2f..%2fapp.py", "/static/../__init__.py", "/static/%2e%2e/server.py", "/static//etc/passwd",
             "/static/.", "/api/events/../../etc/passwd/clip", "/api/events/1%2f..%2f2/clip",
             "/api/events/99999999999999999999/clip"]
)  # fmt: skip
def test_no_path_leads_out_of_the_page(serve: Serve, path: str) -> None:
    page = serve()
    with socket.create_connection(("127.0.0.1", int(page.host.partition(":")[2])), timeout=20) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {page.host}\r\nConnection: close\r\n\r\n".encode())
        assert raw.recv(100).split()[1] == b"404"


def test_every_answer_has_the_headers_that_keep_other_sites_out(serve: Serve) -> None:
    page = serve(token=True)
    for path in ("/", "/login", "/nothing", "/metrics"):
        headers = page.client.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        kept = [headers[name] for name in ("x-content-type-options", "cache-control", "x-frame-options")]
        assert kept == ["nosniff", "no-store", "DENY"]
        assert "server" not in headers


def test_what_is_too_large_is_refused(serve: Serve) -> None:
    page = serve(edit=True)
    origin = {"origin": page.url}
    large = page.client.put(
        "/api/threshold", content=b"x" * 70_000, headers=origin | {"content-type": "application/json"}
    )
    assert large.status_code == 413
    assert page.client.get("/", headers={"x": "y" * 40_000}).status_code == 431
    for text in ("x" * 5000, "{", '{"want": 1}', '{"other": 1}', "[" * 4000):
        with watch(page) as viewer:
            viewer.send(text)
            assert is_cut_off(viewer)
    assert page.client.get("/").status_code == 200


def test_a_viewer_that_talks_without_end_is_cut_off(serve: Serve) -> None:
    page = serve()
    with watch(page) as viewer:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(1_000):
                viewer.send('{"ack": 1}')
        assert is_cut_off(viewer)


def test_metrics_are_what_prometheus_reads(serve: Serve) -> None:
    page = serve(names=("mast", "gate"))
    for index in range(8):
        page.write(index)
    page.log["gate"].add(SourceState("lost", "gone", 1, 1, 3))
    text = page.client.get("/metrics").text
    values = {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["lpnet_frames_total", "mast"] == 8
    assert values["lpnet_source_state", "gate", "lost"] == 1
    assert values["lpnet_source_reconnects_total", "gate"] == 3
    assert values["lpnet_latency_seconds_count", "mast", "infer"] == 8
    assert values["lpnet_latency_seconds_sum", "mast", "infer"] == pytest.approx(8 * 0.003)
    assert values["lpnet_latency_seconds_bucket", "0.005", "mast", "infer"] == 8
    assert values["lpnet_track_events_total", "confirmed", "mast"] == 1
    assert values["process_resident_memory_bytes",] > 1e6
    if which("promtool") is None:
        pytest.skip("needs promtool (apt-get install prometheus) for its own check")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
