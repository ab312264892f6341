"""Webhooks against a real HTTP server: one that fails, hangs, restarts, redirects and lies."""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from pytest_httpserver import HTTPServer
from stepped_clock import SteppedClock
from tracked_reports import event, sink_for, tracked
from werkzeug import Request, Response

from lpnet_rt.errors import SettingsError
from lpnet_rt.messages import EventMessage, decode
from lpnet_rt.outputs.outbox import OutboxLimits
from lpnet_rt.outputs.peer import Peer
from lpnet_rt.outputs.sink import Wishes
from lpnet_rt.outputs.webhook import WebhookLink
from lpnet_rt.settings import WebhookSettings


def posting(settings: WebhookSettings, clock: SteppedClock, count: int = 1, **limits: float) -> Peer:
    """A peer, without a thread, with events to send."""
    peer = Peer(WebhookLink(settings, clock), OutboxLimits(**limits), clock)
    sink = sink_for([peer], Wishes(settings.events), clock)
    sink.write(tracked(0, events=[event("confirmed", track) for track in range(count)]))
    return peer


def steps(peer: Peer, clock: SteppedClock, until: Callable[[], bool], most: int = 2_000) -> None:
    for _ in range(most):
        if until():
            return
        clock.sleep(max(peer.step(), 0.001))
    raise AssertionError(f"not in {most} steps: {peer.counts}")


def received(server: HTTPServer) -> list[int]:
    messages = [decode(None, request.get_data()) for request, _ in server.log]
    return [message.track for message in messages if isinstance(message, EventMessage)]


def test_an_event_is_posted_signed_and_with_its_token(
    httpserver: HTTPServer, clock: SteppedClock, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "token").write_text("t0ken\n")
    httpserver.expect_request("/hook", method="POST").respond_with_data("", 204)
    settings = WebhookSettings(
        url=httpserver.url_for("/hook"),
        secret=f"${{file:{tmp_path}/secret}}",
        token=f"${{file:{tmp_path}/token}}",
    )
    peer = posting(settings, clock)
    steps(peer, clock, lambda: peer.counts.sent == 1)
    request, _ = httpserver.log[0]
    message = decode(None, request.get_data())
    assert isinstance(message, EventMessage)
    assert (message.event, message.track, message.chip is not None) == ("confirmed", 0, True)
    expected = hmac.new(b"hunter2", request.get_data(), hashlib.sha256).hexdigest()
    assert request.headers["X-Hub-Signature-256"] == f"sha256={expected}"
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Idempotency-Key"] == f"{message.session}-north-0"
    assert request.headers["Content-Type"] == "application/json"
    peer.step()


@pytest.mark.parametrize("status", [500, 503, 408, 429])
def test_a_server_that_fails_gets_the_event_again_with_the_same_key(
    httpserver: HTTPServer, clock: SteppedClock, status: int
) -> None:
    httpserver.expect_ordered_request("/").respond_with_data("no", status)
    httpserver.expect_ordered_request("/").respond_with_data("no", status)
    httpserver.expect_ordered_request("/").respond_with_data("yes")
    peer = posting(WebhookSettings(url=httpserver.url_for("/")), clock)
    steps(peer, clock, lambda: peer.counts.sent == 1)
    assert len({request.headers["Idempotency-Key"] for request, _ in httpserver.log}) == 1
    assert (len(httpserver.log), peer.counts.refused, peer.counts.dropped) == (3, 0, 0)


@pytest.mark.parametrize("status", [400, 401, 404, 301, 302, 307, 308])
def test_what_is_refused_is_not_tried_again_and_redirects_are_not_followed(
    httpserver: HTTPServer, clock: SteppedClock, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = {"Location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request("/").respond_with_data("", status, headers=elsewhere)
    httpserver.expect_request("/elsewhere").respond_with_data("")
    peer = posting(WebhookSettings(url=httpserver.url_for("/")), clock, 3)
    steps(peer, clock, lambda: peer.counts.waiting == 0)
    assert (peer.counts.refused, peer.counts.sent) == (3, 0)
    assert {request.path for request, _ in httpserver.log} == {"/"}
    assert len([line for line in caplog.records if line.name.startswith("lpnet_rt")]) == 1  # one a minute


def test_the_servers_wish_for_a_pause_is_kept(httpserver: HTTPServer, clock: SteppedClock) -> None:
    httpserver.expect_ordered_request("/").respond_with_data("", 429, headers={"Retry-After": "120"})
    httpserver.expect_ordered_request("/").respond_with_data("")
    peer = posting(WebhookSettings(url=httpserver.url_for("/")), clock)
    while peer.step() == 0:
        pass
    assert 119 <= peer.step() <= 120


def test_a_server_that_is_away_for_five_minutes_gets_what_was_kept(
    clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = WebhookSettings(url=f"http://127.0.0.1:{port}/")
    peer = Peer(WebhookLink(settings, clock), OutboxLimits(events=100), clock)
    sink = sink_for([peer], Wishes(settings.events), clock)
    for second in range(0, 300, 10):  # an event per second
        sink.write(tracked(0, events=[event("ended", second + number) for number in range(10)]))
        for _ in range(10):
            peer.step()
            clock.sleep(1.0)
    assert (peer.counts.waiting, peer.counts.dropped, peer.counts.is_away) == (100, 200, True)
    with HTTPServer(port=port) as back:
        back.expect_request("/").respond_with_data("")
        steps(peer, clock, lambda: peer.counts.waiting == 0)
        assert received(back) == list(range(200, 300))
        clock.sleep(2.0)
        steps(peer, clock, lambda: not peer.counts.is_away)
    lines = [record.message for record in caplog.records if record.name.startswith("lpnet_rt")]
    assert len(lines) == 2
    assert "away (ConnectionRefusedError" in lines[0]
    assert "200 items dropped meanwhile" in lines[1]


def test_a_server_that_hangs_or_answers_nonsense_holds_its_own_queue_only(clock: SteppedClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        peer = posting(WebhookSettings(url=url, timeout_s=0.1), clock)
        steps(peer, clock, lambda: peer.counts.connects == 1)
        peer.step()
        assert peer.counts.is_away
        assert peer.counts.waiting == 1

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        clock.sleep(10)
        for _ in range(4):
            clock.sleep(peer.step())
        assert peer.counts.waiting == 1
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    peer.step()


def test_a_long_answer_is_not_read_to_its_end(httpserver: HTTPServer, clock: SteppedClock) -> None:
    def endless(_: Request) -> Response:
        return Response((b"x" * 65_536 for _ in range(1000)), 200)

    httpserver.expect_request("/").respond_with_handler(endless)
    peer = posting(WebhookSettings(url=httpserver.url_for("/")), clock, 2)
    steps(peer, clock, lambda: peer.counts.sent == 2)


# http.client leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_servers_certificate_is_checked(
    clock: SteppedClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with HTTPServer(host="localhost", ssl_context=context) as server:
        server.expect_request("/").respond_with_data("")
        trusted = posting(WebhookSettings(url=server.url_for("/"), ca_file=str(tmp_path / "ca.pem")), clock)
        steps(trusted, clock, lambda: trusted.counts.sent == 1)
        unknown = posting(WebhookSettings(url=server.url_for("/")), clock)
        unknown.step()
        assert "certificate verify failed" in caplog.text
        assert unknown.counts.connects == 0


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@host/", "https://host:port/", "http:///path", "https://host/hunter2-\u00fc"]
)
def test_urls_that_cannot_be_used_are_refused_without_their_secrets(url: str, clock: SteppedClock) -> None:
    with pytest.raises(SettingsError) as refused:
        WebhookLink(WebhookSettings(url=url), clock)
    assert "hunter2" not in str(refused.value)


def test_a_secret_in_the_url_is_in_no_log_line(
    clock: SteppedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK", "T0P-hunter2")
    settings = WebhookSettings(url="http://127.0.0.1:1/services/${HOOK}?key=${HOOK}")
    peer = posting(settings, clock)
    peer.step()
    assert "away" in caplog.text
    assert "hunter2" not in caplog.text + repr(settings) + peer.name
