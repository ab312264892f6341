from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_reports import make, with_track

from lpnet_rt.angle_fields import camera_message
from lpnet_rt.camera_geometry import Directions
from lpnet_rt.formats import ANGLE_COLUMNS, CSV_COLUMNS, convert
from lpnet_rt.messages import DetectionMessage, decode, encode, json_schema
from lpnet_rt.pipeline.angle_stage import AngleStage
from lpnet_rt.settings import CameraSettings
from lpnet_rt.stamping import event_messages, frame_message

CAMERA = CameraSettings(azimuth_deg=359.0, elevation_deg=5.0, field_of_view_deg=12.0)
DIRECTION = {"azimuth_deg", "elevation_deg", "azimuth_error_deg", "elevation_error_deg"}
RATES = {
    "azimuth_rate_deg_s", "elevation_rate_deg_s", "azimuth_rate_error_deg_s", "elevation_rate_error_deg_s",
    "angular_speed_deg_s",
}  # fmt: skip


def message(report):
    return frame_message(report, "5e55", 3, "lpnet-rt", 9)


def test_without_a_camera_there_is_not_a_byte_of_angles() -> None:
    frame = message(with_track(make()))
    (event,) = event_messages(with_track(make()), "5e55", 0, frame, 9)
    for payload in (encode(frame), encode(event)):
        assert b"azimuth" not in payload
        assert b"angular" not in payload


def test_detections_tracks_and_events_carry_directions() -> None:
    report = AngleStage(CAMERA, "clip").add(with_track(make()))
    frame = message(report)
    told = json.loads(encode(frame))
    (detection,) = told["detections"]
    assert set(detection) >= DIRECTION
    assert not RATES & set(detection)
    assert set(detection["track"]) >= DIRECTION | RATES
    assert report.directions is not None
    assert detection["azimuth_deg"] == round(float(report.directions.azimuth_deg[0]), 5)
    assert detection["track"]["angular_speed_deg_s"] == round(float(report.directions.angular_speed_deg_s[1]), 5)
    (event,) = event_messages(report, "5e55", 0, frame, 9)
    assert event.first.azimuth_deg == round(float(report.directions.azimuth_deg[2]), 5)
    assert event.last.elevation_deg == round(float(report.directions.elevation_deg[3]), 5)
    assert decode(None, encode(frame)) == frame
    assert decode(None, encode(event)) == event


def test_a_track_without_a_detection_has_a_direction_too() -> None:
    report = with_track(make())
    assert report.tracks is not None
    alone = dataclasses.replace(report.tracks, detection_track_id=np.array([0]))
    (track,) = message(AngleStage(CAMERA, "clip").add(dataclasses.replace(report, tracks=alone))).tracks
    assert track.azimuth_rate_deg_s == pytest.approx(6 * 12 / 64, rel=0.02)


def directions(azimuth: float, count: int = 4) -> Directions:
    columns = {field.name: np.full(count, 1.0) for field in dataclasses.fields(Directions)}
    return Directions(**{**columns, "azimuth_deg": np.full(count, azimuth)})


def test_an_azimuth_that_is_rounded_to_360_is_0() -> None:
    report = dataclasses.replace(with_track(make()), directions=directions(359.999999))
    (detection,) = message(report).detections
    assert detection.azimuth_deg == 0.0


def test_a_pixel_without_a_direction_has_none_on_the_wire() -> None:
    endless = dataclasses.replace(directions(10.0), azimuth_error_deg=np.full(4, np.inf))
    for unknown in (directions(np.nan), endless):
        frame = message(dataclasses.replace(with_track(make()), directions=unknown))
        assert frame.error is None
        assert b"azimuth" not in encode(frame)


def test_the_camera_is_told_with_its_errors() -> None:
    told = camera_message(CameraSettings(azimuth_deg=-10.0, elevation_deg=5.0, field_of_view_deg=12.0))
    assert (told.azimuth_deg, told.azimuth_error_deg, told.latitude_deg) == (350.0, 1.0, None)
    rows = tuple(tuple(0.25 * (row == column) for column in range(5)) for row in range(5))
    calibrated = CameraSettings(azimuth_deg=0, elevation_deg=5, field_of_view_deg=12, calibration_covariance=rows)
    assert camera_message(calibrated).roll_error_deg == 0.5


def test_the_schema_states_units_and_datum_and_does_not_require_angles() -> None:
    parts = json_schema()["$defs"]
    assert isinstance(parts, dict)
    detection = parts["DetectionMessage"]
    assert "azimuth_deg" not in detection["required"]
    assert detection["properties"]["azimuth_deg"]["description"] == "degrees clockwise from true north"
    assert "cx" in detection["required"]
    assert set(parts["CameraMessage"]["required"]) == set(parts["CameraMessage"]["properties"])
    assert "WGS84" in json.dumps(parts["CameraMessage"])
    assert "camera" not in parts["WelcomeMessage"]["required"]


def test_csv_has_columns_of_angles_only_where_there_are_any(tmp_path: Path) -> None:
    plain, angled = message(with_track(make())), message(AngleStage(CAMERA, "clip").add(with_track(make())))
    for name, frames in (("plain", [plain]), ("angled", [plain, angled])):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(encode(frame) + b"\n" for frame in frames))
        convert(tmp_path / f"{name}.jsonl", "csv", tmp_path / f"{name}.csv")
    assert (tmp_path / "plain.csv").read_text().splitlines()[0] == ",".join(CSV_COLUMNS)
    with (tmp_path / "angled.csv").open() as file:
        without, row = csv.DictReader(file)
    assert list(row) == [*CSV_COLUMNS, *ANGLE_COLUMNS]
    (detection,) = angled.detections
    assert isinstance(detection, DetectionMessage)
    assert float(row["azimuth_deg"]) == detection.azimuth_deg
    assert float(row["track_angular_speed_deg_s"]) > 0
    assert without["azimuth_deg"] == ""
