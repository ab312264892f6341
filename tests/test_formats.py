from __future__ import annotations

import csv
import dataclasses
import json
import os
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np
import pytest
from made_reports import make

from lpnet_rt.cli import main
from lpnet_rt.errors import MessageError
from lpnet_rt.formats import CSV_COLUMNS, convert
from lpnet_rt.messages import FrameMessage, StatusMessage, TrackMessage, encode
from lpnet_rt.stamping import frame_message

TRACK = TrackMessage(id=7, state="confirmed", age=4, hits=3, probability=0.99, vx=1.5, vy=-2.0)


def message(index: int, source: str = "clip", error: str | None = None, tracked: bool = False) -> FrameMessage:
    report = make(index, source=source, error=error)
    made = frame_message(report, "s", index, "lpnet-rt", 1)
    if not tracked:
        return made
    detections = tuple(msgspec.structs.replace(each, track=TRACK) for each in made.detections)
    return msgspec.structs.replace(made, detections=detections)


def write(path: Path, *messages: FrameMessage | StatusMessage) -> Path:
    path.write_bytes(b"".join(encode(each) + b"\n" for each in messages))
    return path


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Two frames with a detection each, the second with a track, a failed frame between them and a status."""
    status = StatusMessage(
        session="s", source="clip", seq=1, frames=2, dropped=0, failed=0, fps=9.0, detections=2, uptime_s=1.0,
        model="m", engine="e", t_publish_us=1,
    )  # fmt: skip
    return write(tmp_path / "run.jsonl", message(0), status, message(1, error="damaged"), message(2, tracked=True))


def test_mot_counts_frames_and_pixels_from_one(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.txt"
    assert main(["convert", str(lines), "--to", "mot", "--out", str(out)]) == 0
    # The blob of frame i covers columns 5 + i to 7 + i and rows 24 to 26, counted from 0.
    assert out.read_text() == "1,-1,6,25,3,3,0.9,-1,-1,-1\n3,7,8,25,3,3,0.9,-1,-1,-1\n"


def test_mot_has_a_file_for_each_of_several_sources(tmp_path: Path) -> None:
    lines = write(tmp_path / "run.jsonl", message(0, "east"), message(0, "west"), message(1, "west"))
    _, paths = convert(lines, "mot", tmp_path / "run.txt")
    assert [path.name for path in paths] == ["run-east.txt", "run-west.txt"]
    assert [len(path.read_text().splitlines()) for path in paths] == [1, 2]


def test_coco_has_images_annotations_and_categories(lines: Path, tmp_path: Path) -> None:
    survey, (out,) = convert(lines, "coco", tmp_path / "run.json")
    content = json.loads(out.read_text())
    assert content["categories"] == [{"id": 1, "name": "target"}]
    assert [(each["id"], each["file_name"], each["width"], each["height"]) for each in content["images"]] == [
        (1, "clip/000000", 64, 48),
        (2, "clip/000002", 64, 48),
    ], "a frame that could not be judged must not pass as one without targets"
    first, second = content["annotations"]
    assert first == {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 24, 3, 3], "area": 9, "iscrowd": 0, "score": 0.9,
    }  # fmt: skip
    assert (second["image_id"], second["track_id"]) == (2, 7)
    assert (survey.frames, survey.failed, survey.detections) == (2, 1, 2)


def test_csv_has_a_row_for_each_detection_with_its_source_and_track(lines: Path, tmp_path: Path) -> None:
    write(tmp_path / "two.jsonl", *(message(0, "east"), message(0, "west", tracked=True)))
    _, (out,) = convert(tmp_path / "two.jsonl", "csv", tmp_path / "two.csv")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    east, west = rows
    assert (east["source"], east["frame"], east["cx"], east["x1"], east["x2"]) == ("east", "0", "6.0", "5", "8")
    assert (east["track_id"], east["track_state"], east["file"]) == ("", "", "")
    assert (west["source"], west["track_id"], west["track_state"], west["track_vy"]) == (
        "west",
        "7",
        "confirmed",
        "-2.0",
    )


def test_the_original_number_of_every_detection_comes_through(tmp_path: Path) -> None:
    made = [message(index, tracked=index % 2 == 0) for index in range(20)]
    lines = write(tmp_path / "run.jsonl", *made)
    _, (coco,) = convert(lines, "coco", tmp_path / "run.json")
    _, (mot,) = convert(lines, "mot", tmp_path / "run.txt")
    boxes = np.array([each["bbox"] for each in json.loads(coco.read_text())["annotations"]])
    from_mot = np.array([line.split(",")[2:6] for line in mot.read_text().splitlines()], int)
    from_mot[:, :2] -= 1
    expected = np.array([each.detections[0].box for each in made])
    assert (boxes == from_mot).all()
    assert (np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:])) == expected).all()


@pytest.mark.parametrize("to", ["mot", "coco", "csv"])
def test_a_run_without_frames_is_an_empty_file_of_its_format(tmp_path: Path, to: str) -> None:
    survey, (out,) = convert(write(tmp_path / "run.jsonl"), to, tmp_path / "out")
    assert survey.frames == 0
    text = out.read_text()
    assert text == "" if to == "mot" else json.loads(text)["images"] == [] if to == "coco" else text.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "message: not of schema 1"),
        (b"\n", "message: not of schema 1"),
        (b'{"v":2,"source":"clip"}\n', "message: expected version 1, found 2"),
        (b"x" * 100, "message: not of schema 1"),
        (encode(message(0, "../up")) + b"\n", "source: expected one of at most 256 names of 1 to 64 letters"),
    ],
)
def test_a_line_that_is_none_ends_it_with_its_number_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, reason: str
) -> None:
    path = write(tmp_path / "run.jsonl", message(0), message(1))
    path.write_bytes(path.read_bytes() + line)
    out = tmp_path / "out.csv"
    assert main(["convert", str(path), "--to", "csv", "--out", str(out)]) == MessageError.exit_code == 10
    error = capsys.readouterr().err
    assert f"run.jsonl: line 3: {reason}" in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_no_file_is_replaced_unless_that_is_asked_for(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine" * 1000)
    arguments = ["convert", str(lines), "--to", "csv", "--out", str(out)]
    assert main(arguments) == 7
    assert "the file exists" in capsys.readouterr().err
    assert out.read_text() == "mine" * 1000
    assert main([*arguments, "--overwrite"]) == 0
    assert "mine" not in out.read_text()
    before = lines.read_bytes()
    assert main(["convert", str(lines), "--to", "csv", "--out", str(lines), "--overwrite"]) == 2
    link = tmp_path / "same.csv"
    os.link(lines, link)
    assert main(["convert", str(lines), "--to", "csv", "--out", str(link), "--overwrite"]) == 2
    assert lines.read_bytes() == before


def test_an_input_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "no.jsonl"), "--to", "mot", "--out", str(tmp_path / "x")]) == 2
    assert "expected a file of JSON Lines, found: No such file" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "no.jsonl"), "--to", "xml", "--out", "x"]) == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = encode(message(0)) + b"\n"
    path = tmp_path / "long.jsonl"
    path.write_bytes(line * 4_000)
    assert path.stat().st_size > 1_500_000
    tracemalloc.start()
    convert(path, "coco", tmp_path / "long.json")
    convert(path, "csv", tmp_path / "long.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


def test_what_a_run_appends_meanwhile_is_left_out(tmp_path: Path, lines: Path) -> None:
    survey, _ = convert(lines, "csv", tmp_path / "a.csv")
    with lines.open("ab") as file:
        file.write(encode(message(3))[:50])
    with pytest.raises(MessageError, match="line 5"):
        convert(lines, "csv", tmp_path / "b.csv")
    assert dataclasses.asdict(survey)["lines"] == 4
