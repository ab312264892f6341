"""Many connections, silent and slow ones: what they cost is bounded, and the others go on."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from lpnet_rt.web.server import MAX_CONNECTIONS_PER_ADDRESS
from lpnet_rt.web.viewers import MAX_VIEWERS

Serve = Callable[..., Any]


def watch(page: Any, stack: contextlib.ExitStack) -> ClientConnection:
    url = f"ws://{page.host}/ws"
    return stack.enter_context(connect(url, origin=page.url, max_size=2**24, open_timeout=20, proxy=None))  # type: ignore[arg-type]


def test_idle_connections_are_bounded_and_the_rest_is_turned_away(serve: Serve) -> None:
    page = serve()
    port = int(page.host.partition(":")[2])
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(300)]
        closed: set[socket.socket] = set()
        deadline_s = time.monotonic() + 8  # before silent ones are closed, too
        while len(closed) < 300 - MAX_CONNECTIONS_PER_ADDRESS and time.monotonic() < deadline_s:
            readable = select.select([each for each in opened if each not in closed], [], [], 0.2)[0]
            closed |= {connection for connection in readable if connection.recv(1) == b""}
        assert len(closed) >= 300 - MAX_CONNECTIONS_PER_ADDRESS


@pytest.mark.slow
def test_a_connection_on_which_nothing_goes_on_is_closed(serve: Serve) -> None:
    page = serve()
    port = int(page.host.partition(":")[2])
    whole = f"GET /static/style.css HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        silent, half, second, greedy = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(4)
        )
        half.sendall(whole[:30])
        second.sendall(whole + whole[:30])
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(TimeoutError, OSError):  # asks for much, and reads nothing
            greedy.settimeout(1)
            greedy.sendall(whole * 3000)
        time.sleep(12)
        for connection in (silent, half, second):
            connection.settimeout(1)
            while connection.recv(2**20):
                pass
        assert page.client.get("/").status_code == 200
        with contextlib.suppress(ConnectionResetError):
            greedy.settimeout(5)
            while greedy.recv(2**20):
                pass


def test_a_slow_reader_delays_nobody(serve: Serve) -> None:
    page = serve()
    with contextlib.ExitStack() as stack:
        slow, quick = watch(page, stack), watch(page, stack)
        for viewer in (slow, quick):
            viewer.send(json.dumps({"want": {"mast": "full"}}))
        shown, begin_s, last = 0, time.monotonic(), -1
        for index in range(10):
            page.write(index, size_hw=(480, 640))
            while last != index:
                message = quick.recv(20)  # the slow one reads nothing
                if isinstance(message, bytes):
                    shown, last = shown + 1, index
                    quick.send(json.dumps({"ack": int.from_bytes(message[:4], "little")}))
        assert shown == 10
        assert time.monotonic() - begin_s < 15


def test_there_are_so_many_viewers_and_no_more(serve: Serve) -> None:
    page = serve()
    with contextlib.ExitStack() as stack:
        viewers = [watch(page, stack) for _ in range(MAX_VIEWERS)]
        assert json.loads(viewers[0].recv(20))["kind"] == "hello"
        with pytest.raises(InvalidStatus, match="503"):
            watch(page, stack)
    # Their places are free again once they have gone.
    deadline_s = time.monotonic() + 20
    while "lpnet_web_viewers 0.0" not in page.client.get("/metrics").text:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
