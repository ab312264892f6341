"""What outputs with a peer cost: frames per second and latency with all of them on, against none.

    python -m lpnet_rt.benchmarks.outputs_load [--seconds S] [--repeat N] [--sources N] [flags of lpnet-rt run]

plays the demo scene at its own pace through the main job: with no such output, with all four and every peer away
(nobody listens), and with all four and peers that accept a connection and then neither read nor answer. The three take
turns, so that other work on the machine troubles all alike.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lpnet_rt.benchmarks.published import PublishedRun, run_published
from lpnet_rt.benchmarks.results import Spread
from lpnet_rt.clock import SYSTEM_CLOCK
from lpnet_rt.console import exit_code_of
from lpnet_rt.errors import LpnetError

__all__ = ["configuration", "main"]

_RATE_HZ = 30
_PEERS = ("none", "away", "silent")
_CONFIGURATION = """
[[camera]]
azimuth_deg = 90.0
elevation_deg = 5.0
field_of_view_deg = 20.0
latitude_deg = 50.0
longitude_deg = 8.0
height_m = 150.0

[mqtt]
host = "127.0.0.1"
port = {port}
rate_hz = 5.0

[cot]
url = "tcp://127.0.0.1:{port}"
rate_hz = 5.0

[sapient]
host = "127.0.0.1"
port = {port}
rate_hz = 5.0

[[webhook]]
url = "http://127.0.0.1:{port}/"
events = ["started", "confirmed", "ended"]
"""


def configuration(port: int) -> str:
    """A configuration with all four outputs, TOML, whose peers are at a port of this machine."""
    return _CONFIGURATION.format(port=port)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.outputs_load", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, metavar="S", help="of each run (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each kind (default: %(default)s)")
    parser.add_argument("--sources", type=int, default=2, metavar="N", help="demo scenes (default: %(default)s)")
    args, flags = parser.parse_known_args(argv)
    return exit_code_of(lambda: _run(args, flags))


def _run(args: argparse.Namespace, flags: Sequence[str]) -> int:
    runs: dict[str, list[PublishedRun]] = {peers: [] for peers in _PEERS}
    sources = [word for number in range(args.sources) for word in ("--source", "demo", "--name", f"demo-{number}")]
    arguments = [*sources, "--realtime", "--frames", str(args.seconds * _RATE_HZ), *flags]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeat):
            for peers in _PEERS:
                with _peers(peers) as port:
                    own = [] if port is None else _written(Path(folder) / "outputs.toml", port)
                    runs[peers].append(run_published([*arguments, *own], SYSTEM_CLOCK))
    Console().print(_table(runs))
    return 0


def _written(path: Path, port: int) -> list[str]:
    path.write_text(configuration(port), encoding="utf-8")
    return ["--config", str(path)]


@contextmanager
def _peers(kind: str) -> Iterator[int | None]:
    """A port that nobody listens on, one where connections are taken and left, or none."""
    if kind == "none":
        yield None
        return
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        port: int = server.getsockname()[1]
        if kind == "silent":
            yield port  # the system accepts; nobody reads
            return
    yield port


def _table(runs: dict[str, list[PublishedRun]]) -> Table:
    table = Table(title="Latency in ms, from when a frame was due to its message")
    for column in ("peers", "frames/s per source", "p50", "p95", "p99", "dropped", "peak MiB"):
        table.add_column(column, justify="left" if column == "peers" else "right")
    for peers, own in runs.items():
        arrivals = [arrival for run in own for arrival in run.arrivals]
        if not arrivals:
            raise LpnetError(f"{peers}: expected messages, found none")
        spread = Spread.of([(arrival.unix_us - arrival.message.t_capture_us) / 1e3 for arrival in arrivals])
        rate_hz, dropped = _rate(own)
        table.add_row(
            peers, f"{rate_hz:.2f}", f"{spread.p50_ms:.1f}", f"{spread.p95_ms:.1f}", f"{spread.p99_ms:.1f}",
            str(dropped), f"{max(run.peak_mib for run in own):.0f}",
        )  # fmt: skip
    return table


def _rate(runs: Sequence[PublishedRun]) -> tuple[float, int]:
    """Frames per second of a source, over all runs, and frames dropped."""
    frames, seconds, dropped = 0, 0.0, 0
    for run in runs:
        names = {arrival.message.source for arrival in run.arrivals}
        for name in names:
            own = [arrival for arrival in run.arrivals if arrival.message.source == name]
            frames += len(own) - 1
            seconds += (own[-1].unix_us - own[0].unix_us) / 1e6
            dropped += own[-1].message.dropped
    return (frames / seconds if seconds else 0.0), dropped


if __name__ == "__main__":
    sys.exit(main())
