from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from made_reports import make, with_track

from lpnet_rt.camera_geometry import CameraGeometry, Points
from lpnet_rt.detections import Detections
from lpnet_rt.pipeline.angle_stage import AngleStage, angle_stages, centroid_variance, warn_of_strange_cameras
from lpnet_rt.settings import CameraSettings

CAMERA = CameraSettings(azimuth_deg=359.0, elevation_deg=5.0, field_of_view_deg=12.0)


def test_detections_tracks_and_ends_of_events_get_directions_in_order() -> None:
    report = with_track(make())
    added = AngleStage(CAMERA, "clip").add(report)
    assert added.directions is not None
    xy = np.array((report.detections.centroid_xy[0], (10, 20), (5, 21), (9, 20)), np.float64)
    geometry = CameraGeometry(CAMERA, report.frame.size_hw)
    none = np.zeros(4)
    expected = geometry.directions(Points(xy, none, np.zeros((4, 2)), none))
    np.testing.assert_allclose(added.directions.azimuth_deg, expected.azimuth_deg)
    np.testing.assert_allclose(added.directions.elevation_deg, expected.elevation_deg)
    per_px = 12 / 64
    assert added.directions.azimuth_rate_deg_s[1] == pytest.approx(6 * per_px, rel=0.02)
    assert added.directions.elevation_rate_error_deg_s[1] == pytest.approx(3 * per_px, rel=0.02)
    assert added.directions.angular_speed_deg_s[[0, 2, 3]].tolist() == [0, 0, 0]


def test_without_tracks_detections_have_directions_all_the_same() -> None:
    added = AngleStage(CAMERA, "clip").add(make())
    assert added.directions is not None
    assert len(added.directions.azimuth_deg) == 1


def test_a_frame_with_nothing_in_it_is_passed_on() -> None:
    report = dataclasses.replace(make(), detections=Detections.empty())
    assert AngleStage(CAMERA, "clip").add(report) is report


def test_another_size_is_another_geometry() -> None:
    stage = AngleStage(CAMERA, "clip")
    small, large = (stage.add(make(size_hw=size)).directions for size in ((48, 64), (96, 128)))
    assert small is not None
    assert large is not None
    assert small.azimuth_deg[0] != large.azimuth_deg[0]


def test_a_source_without_a_camera_has_no_stage(caplog: pytest.LogCaptureFixture) -> None:
    own = CameraSettings(source="mast", azimuth_deg=0, elevation_deg=0, field_of_view_deg=12.0)
    assert len(angle_stages((own,), "mast")) == 1
    assert angle_stages((own,), "roof") == []
    with caplog.at_level(logging.WARNING):
        warn_of_strange_cameras((own, CAMERA), ["roof", "yard"])
    assert caplog.messages == ["camera: its source mast is not in this run (roof, yard)"]


def test_a_lens_that_does_not_reach_the_corners_is_named(caplog: pytest.LogCaptureFixture) -> None:
    folded = CameraSettings(azimuth_deg=0, elevation_deg=0, field_of_view_deg=100.0, k1=-0.9)
    with caplog.at_level(logging.WARNING):
        AngleStage(folded, "clip").add(make())
    assert "no inverse at the corners" in caplog.text


def test_centroids_of_faint_and_of_large_targets_are_less_certain() -> None:
    one = make().detections
    faint, large = dataclasses.replace(one, snr=one.snr / 50), dataclasses.replace(one, area_px=one.area_px * 40)
    assert centroid_variance(faint)[0] > centroid_variance(one)[0]
    assert centroid_variance(large)[0] > centroid_variance(one)[0]
