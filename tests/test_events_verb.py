"""``lpnet-rt events``: what it prints, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from lpnet_rt.cli import main
from lpnet_rt.events import EventSummary
from lpnet_rt.events.index import EventIndex

START_US = 1_700_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty events, a minute apart."""
    with closing(EventIndex(tmp_path)) as index:
        index.put(
            EventSummary(
                id=f"20231114T221320Z-0123456789abcdef-{number}",
                source="north" if number % 2 else "south",
                first_us=START_US + number * 60_000_000,
                last_us=START_US + number * 60_000_000 + 2_500_000,
                duration_s=2.5,
                probability=0.5 + number / 200,
                best_score=0.9,
                moved_px=12.3,
                alarm=number % 10 == 0,
                no_alarm=None if number % 10 == 0 else "it came in quiet hours",
                state="open" if number == 59 else "closed",
                session="0123456789abcdef",
                track=number,
                part=1,
                clip_s=None if number == 58 else 12.4,
                bytes=1_000,
            )
            for number in range(60)
        )
    return tmp_path


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(folder), "--limit", "3"]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["first", "seen", "source", "duration", "prob.", "score", "moved", "clip", "alarm", "event"]
    assert [row.split()[-1] for row in rows] == [
        "(open)",
        *(f"20231114T221320Z-0123456789abcdef-{n}" for n in (58, 57)),
    ]
    assert rows[1].split()[2:10] == ["south", "2.5", "s", "0.79", "0.90", "12", "px", "-"]
    assert last == "3 of 60 events"


def test_lines_of_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(folder), "--json", "--limit", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 60
    assert msgspec.json.decode(lines[0], type=EventSummary).track == 59
    assert json.loads(lines[0])["state"] == "open"


def test_comma_separated_values(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(folder), "--csv", "--source", "north", "--min-probability", "0.78"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["track"] for row in rows] == ["59", "57"]
    assert rows[0]["first_time"] == "2023-11-14T23:12:20.000000Z"


@pytest.mark.parametrize(
    ("flags", "tracks"),
    [
        (["--since", "2023-11-14T23:11:20+00:00"], [59, 58]),
        (["--until", "2023-11-14T22:15:20Z"], [1, 0]),
        (["--since", "1h"], []),
        (["--alarms"], [50, 40, 30, 20, 10, 0]),
        (["--source", "nobody"], []),
    ],
)
def test_what_is_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], tracks: list[int]
) -> None:
    assert main(["events", str(folder), "--json", *flags]) == 0
    assert [json.loads(line)["track"] for line in capsys.readouterr().out.splitlines()] == tracks


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--since", "yesterday"], "--since: expected a time"),
        (["--limit", "-1"], "--limit: expected a whole number"),
        (["--min-probability", "1.5"], "--min-probability: expected a number from 0 to 1"),
        (["--csv", "--json"], "not allowed with"),
    ],
)
def test_what_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], flags: list[str], reason: str) -> None:
    assert main(["events", str(folder), *flags]) == 2
    assert reason in capsys.readouterr().err


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", str(tmp_path / "nowhere")]) == 3
    assert "expected a folder of events" in capsys.readouterr().err
