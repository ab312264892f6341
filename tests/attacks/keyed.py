"""Attacks on a publisher with keys, on loopback and bounded: does anything get in, and what does it cost detection?

    python tests/attacks/keyed.py [--seconds S] [--only WORD]

An allowed subscriber counts frames for S seconds before, during and after each attack. Prints a table; judges nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import zmq

sys.path.insert(0, str(Path(__file__).parent))
from harness import free_endpoint

from lpnet_rt.keys import KeyFolder
from lpnet_rt.messages import FrameMessage
from lpnet_rt.subscriber import Subscriber

Stopped = Callable[[], bool]


class Site:
    """A running publisher with keys, an allowed subscriber that counts, and what an attacker may hold."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.keys = KeyFolder(folder / "keys")
        self.keys.create("server")
        self.files = {}
        for name in ("gate", "other", "stranger"):
            path, pair = KeyFolder(folder / name).create(name)
            self.files[name] = path.with_suffix(".key_secret")
            if name != "stranger":
                self.keys.allow(name, pair.public)
        self.endpoint = free_endpoint()
        self.address = ("127.0.0.1", int(self.endpoint.rpartition(":")[2]))
        command = [
            sys.executable,
            "-m",
            "lpnet_rt",
            "run",
            "--source",
            "demo",
            "--realtime",
            "--frames",
            "1000000",
            "--quiet",
        ]
        command += ["--publish", self.endpoint, "--keys", str(self.keys.path), "--model", "lpnet-rt-s"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(self.process.kill)
        self.arrivals_s: list[float] = []
        self.missed = self.heard_wrongly = 0
        self.note = ""
        threading.Thread(target=self._listen, daemon=True).start()
        while len(self.arrivals_s) < 60:
            time.sleep(0.05)

    def _listen(self) -> None:
        with Subscriber(self.endpoint, key=self.files["gate"], server_key=self.keys.path / "server.key") as subscriber:
            for event in subscriber:
                if isinstance(event, FrameMessage):
                    self.arrivals_s.append(time.monotonic())
                self.missed += type(event).__name__ == "Gap"

    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def try_subscribers(self, stopped: Stopped, **files: Path) -> None:
        """Subscribe again and again with these keys, and count what is heard."""
        while not stopped():
            with Subscriber(self.endpoint, **files) as subscriber:
                event = subscriber.receive(0.2)
                self.heard_wrongly += event is not None and type(event).__name__ != "Silence"


def no_key(site: Site, stopped: Stopped) -> None:
    site.try_subscribers(stopped)


def wrong_key(site: Site, stopped: Stopped) -> None:
    site.try_subscribers(stopped, key=site.files["stranger"], server_key=site.keys.path / "server.key")


def wrong_server_key(site: Site, stopped: Stopped) -> None:
    site.try_subscribers(stopped, key=site.files["gate"], server_key=site.files["stranger"].with_suffix(".key"))


def revoked_key(site: Site, stopped: Stopped) -> None:
    """Revoked while connected: what it still hears two seconds later counts."""
    with Subscriber(site.endpoint, key=site.files["other"], server_key=site.keys.path / "server.key") as subscriber:
        assert subscriber.receive(10.0) is not None
        site.keys.revoke("other")
        time.sleep(1.5)
        while subscriber.receive(0.0) is not None:
            pass
        while not stopped():
            event = subscriber.receive(0.2)
            site.heard_wrongly += event is not None and type(event).__name__ != "Silence"


def connections(site: Site, stopped: Stopped) -> None:
    """Up to 10,000 TCP connections, as fast as they are made, each held while it lasts."""
    held: list[socket.socket] = []
    for _ in range(10_000):
        if stopped():
            break
        try:
            peer = socket.create_connection(site.address, timeout=1)
        except OSError:
            continue
        held = [*held[-400:], peer]
    site.note = f"{_ + 1:,} made"
    for peer in held:
        peer.close()


def garbage(site: Site, stopped: Stopped) -> None:
    """Random bytes; half greetings; a proper CURVE greeting and then random bytes."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
    starts = itertools.cycle([b"", greeting[:12], greeting, greeting + b"\x04\xc8" + b"\x05HELLO"])
    while not stopped():
        try:
            with socket.create_connection(site.address, timeout=1) as peer:
                peer.sendall(next(starts) + os.urandom(4_000))
                peer.settimeout(0.05)
                peer.recv(1)
        except OSError:
            continue


def _allowed(site: Site, kind: int) -> zmq.Socket[bytes]:
    from lpnet_rt.keys import read_pair

    pair = read_pair(site.files["other"])
    peer = zmq.Context.instance().socket(kind)
    peer.linger = 0
    peer.curve_publickey, peer.curve_secretkey = pair.public.encode(), pair.secret.encode()
    peer.curve_serverkey = site.keys.server().public.encode()
    return peer


# A process of its own: libzmq's client crashes now and then when it is cut in the middle of such a message.
_OVERSIZED = """
import sys, zmq
from lpnet_rt.keys import read_pair, read_public
endpoint, own, server = sys.argv[1:]
pair = read_pair(own)
peer = zmq.Context.instance().socket(zmq.XSUB)
peer.linger, peer.sndhwm = 0, 1000
peer.curve_publickey, peer.curve_secretkey = pair.public.encode(), pair.secret.encode()
peer.curve_serverkey = read_public(server).encode()
peer.connect(endpoint)
for number in range(10**9):
    size = 1_000_000 if number % 100 == 0 else 300
    if peer.poll(50, zmq.POLLOUT):
        peer.send(b"\\x01" + f"{number:08d}".encode().ljust(size, b"x"))
"""


def oversized(site: Site, stopped: Stopped) -> None:
    """An allowed client that sends what is far too large, and subscriptions without end."""
    files = [str(site.files["other"]), str(site.keys.path / "server.key")]
    command = [sys.executable, "-c", _OVERSIZED, site.endpoint, *files]
    while not stopped():
        with subprocess.Popen(command) as child:
            while not stopped() and child.poll() is None:
                time.sleep(0.05)
            child.kill()


def slow_readers(site: Site, stopped: Stopped) -> None:
    """Fifty allowed clients that never read."""
    peers = []
    for _ in range(50):
        peer = _allowed(site, zmq.SUB)
        peer.rcvhwm = 1
        peer.setsockopt(zmq.RCVBUF, 4096)
        peer.setsockopt(zmq.SUBSCRIBE, b"")
        peer.connect(site.endpoint)
        peers.append(peer)
    while not stopped():
        time.sleep(0.05)
    for peer in peers:
        peer.close()


ATTACKS = (no_key, wrong_key, wrong_server_key, revoked_key, connections, garbage, oversized, slow_readers)


def newcomer_s(site: Site) -> float | None:
    """Seconds until an allowed newcomer hears something; None: not within 20 s."""
    began_s = time.monotonic()
    with Subscriber(site.endpoint, key=site.files["gate"], server_key=site.keys.path / "server.key") as subscriber:
        while time.monotonic() - began_s < 20:
            event = subscriber.receive(0.5)
            if event is not None and type(event).__name__ != "Silence":
                return time.monotonic() - began_s
    return None


def measure(attack: Callable[[Site, Stopped], None], seconds: float) -> str:
    """Run one attack against a new publisher; return a row of the table."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        site = Site(Path(folder), stack)
        time.sleep(1.0)

        def rate_hz(wait: Callable[[], None]) -> tuple[float, float]:
            first, began_s = len(site.arrivals_s), time.monotonic()
            wait()
            times = site.arrivals_s[first - 1 :]
            silence_s = max((b - a for a, b in itertools.pairwise(times)), default=seconds)
            return (len(times) - 1) / (time.monotonic() - began_s), silence_s

        before_hz, _ = rate_hz(lambda: time.sleep(seconds))
        ended = threading.Event()
        thread = threading.Thread(target=attack, args=(site, ended.is_set))
        thread.start()
        during_hz, silence_s = rate_hz(lambda: time.sleep(seconds))
        newcomer = newcomer_s(site)
        ended.set()
        thread.join(30)
        after_hz, _ = rate_hz(lambda: time.sleep(seconds))
        cells = [
            attack.__name__.replace("_", " ") + (f" ({site.note})" if site.note else ""),
            str(site.heard_wrongly),
            f"{before_hz:.1f} / {during_hz:.1f} / {after_hz:.1f}",
            f"{silence_s:.2f}",
            "none" if newcomer is None else f"{newcomer:.1f}",
            f"{site.peak_mib():.0f}",
            str(site.missed),
        ]
        return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    print("| attack | messages it got | frames/s before / during / after | longest silence, s ", end="")
    print("| a newcomer waits, s | peak MiB | gaps |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for attack in ATTACKS:
        if args.only in attack.__name__:
            print(measure(attack, args.seconds), flush=True)


if __name__ == "__main__":
    main()
