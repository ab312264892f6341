"""``lpnet-rt listen``: print the messages of a running detector."""

from __future__ import annotations

import argparse

from lpnet_rt.listen import listen

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("endpoint", nargs="?", default="tcp://127.0.0.1:5556", help="default: tcp://127.0.0.1:5556")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print the messages as JSON, one per line")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="stop when nothing came for S seconds; exit code 3 if nothing came at all",
    )
    parser.add_argument(
        "--key", metavar="FILE", help="this client's own keys, NAME.key_secret, for a publisher with keys"
    )
    parser.add_argument("--server-key", metavar="FILE", help="the publisher's public key, server.key; goes with --key")


def run(args: argparse.Namespace) -> int:
    """Listen until the count or the timeout is reached, or Ctrl-C."""
    keys = None if args.key is None and args.server_key is None else (args.key, args.server_key)
    return listen(args.endpoint, count=args.count, timeout_s=args.timeout, as_json=args.as_json, keys=keys)
