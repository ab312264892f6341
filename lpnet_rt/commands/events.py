"""``lpnet-rt events``: search the events that runs have kept."""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from lpnet_rt.errors import SettingsError
from lpnet_rt.events import EventFilter, EventStore, EventSummary
from lpnet_rt.settings import seconds_of
from lpnet_rt.text import printable

__all__ = ["add_arguments", "run"]

_FOLDER = "events"
_LIMIT = 50
_AGE = re.compile(r"[0-9]{1,6}[smhd]", re.ASCII)
_FIELDS = tuple(field.name for field in msgspec.structs.fields(EventSummary))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("folder", nargs="?", default=_FOLDER, help=f"folder of the events (default: {_FOLDER})")
    when = "2026-01-31, 2026-01-31T22:00 (local time, or with an offset), or an age such as 24h or 7d"
    parser.add_argument("--since", metavar="TIME", help=f"only events from then on: {when}")
    parser.add_argument("--until", metavar="TIME", help="only events before then")
    parser.add_argument("--source", metavar="NAME", help="only events of this source")
    parser.add_argument(
        "--min-probability", type=float, metavar="P", help="only events with at least this probability, 0 to 1"
    )
    parser.add_argument("--alarms", action="store_true", help="only alarms")
    parser.add_argument(
        "--limit", type=int, default=_LIMIT, metavar="N", help=f"at most N, the newest (default: {_LIMIT}; 0: all)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="comma-separated values, with a line of names")
    form.add_argument("--json", action="store_true", help="one JSON object per event and line")


def run(args: argparse.Namespace) -> int:
    """Print the events, newest first.

    Raises:
        SettingsError: A flag is wrong.
        SourceError: The folder has no events, or its index cannot be read.
    """
    if args.limit < 0:
        raise SettingsError(f"--limit: expected a whole number of at least 0, found {args.limit}")
    if args.min_probability is not None and not 0 <= args.min_probability <= 1:
        raise SettingsError(f"--min-probability: expected a number from 0 to 1, found {args.min_probability}")
    wanted = EventFilter(
        since_us=_unix_us("--since", args.since),
        until_us=_unix_us("--until", args.until),
        source=args.source,
        min_probability=args.min_probability,
        alarms=args.alarms,
    )
    with closing(EventStore(Path(args.folder))) as store:
        events = itertools.islice(store.all(wanted), args.limit or None)
        if args.csv:
            _write_csv(events)
        elif args.json:
            for event in events:
                print(msgspec.json.encode(event).decode())
        else:
            shown, total = _write_table(events), store.count(wanted)
            print(f"{shown} of {total} events" if shown < total else f"{total} event{'' if total == 1 else 's'}")
    return 0


def _write_table(events: Iterable[EventSummary]) -> int:
    """Print a table for people; return the number of rows."""
    layout = "{:19}  {:16} {:>9} {:>6} {:>6} {:>8}  {:>6}  {:5}  {}"
    head = ("first seen", "source", "duration", "prob.", "score", "moved", "clip", "alarm", "event")
    shown = 0
    for shown, event in enumerate(events, start=1):
        if shown == 1:
            print(layout.format(*head))
        print(
            layout.format(
                f"{datetime.fromtimestamp(event.first_us / 1e6):%Y-%m-%d %H:%M:%S}",
                printable(event.source),
                f"{event.duration_s:.1f} s",
                f"{event.probability:.2f}",
                f"{event.best_score:.2f}",
                f"{event.moved_px:.0f} px",
                "-" if event.clip_s is None else f"{event.clip_s:.0f} s",
                "yes" if event.alarm else "no",
                printable(event.id) + ("" if event.state == "closed" else f" ({event.state})"),
            )
        )
    return shown


def _write_csv(events: Iterable[EventSummary]) -> None:
    """Print comma-separated values."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("first_time", *_FIELDS))
    for event in events:
        values = msgspec.to_builtins(event)
        writer.writerow((f"{_utc(event.first_us):%Y-%m-%dT%H:%M:%S.%fZ}", *(values[name] for name in _FIELDS)))


def _utc(unix_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_us)


def _unix_us(flag: str, text: str | None) -> int | None:
    """Return the Unix time, in microseconds, of a date, a time or an age.

    Raises:
        SettingsError: It is none of them.
    """
    if text is None:
        return None
    try:
        if _AGE.fullmatch(text):
            when = datetime.now(UTC) - timedelta(seconds=seconds_of(text))
        else:
            when = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise SettingsError(
            f"{flag}: expected a time such as 2026-01-31 or 2026-01-31T22:00, or an age such as 7d, found {text!r}"
        ) from error
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
