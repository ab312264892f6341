from __future__ import annotations

import dataclasses

import numpy as np
from made_reports import make, with_track

from lpnet_rt.pipeline.angle_stage import AngleStage
from lpnet_rt.settings import CameraSettings
from lpnet_rt.view.track_marks import labels_of

CAMERA = CameraSettings(azimuth_deg=359.0, elevation_deg=5.0, field_of_view_deg=12.0)


def test_confirmed_tracks_show_their_direction_where_it_is_known() -> None:
    assert labels_of(with_track(make())) == ["#7 0.90"]
    added = AngleStage(CAMERA, "clip").add(with_track(make()))
    assert added.directions is not None
    (label,) = labels_of(added)
    assert label == f"#7 0.90  az {added.directions.azimuth_deg[0]:.1f} el {added.directions.elevation_deg[0]:+.1f}"
    north = dataclasses.replace(added.directions, azimuth_deg=np.full(4, 359.97))
    assert "az 0.0 el" in labels_of(dataclasses.replace(added, directions=north))[0]
    unknown = dataclasses.replace(added.directions, azimuth_deg=np.full(4, np.nan))
    assert labels_of(dataclasses.replace(added, directions=unknown)) == ["#7 0.90"]


def test_without_a_track_there_is_the_score_only() -> None:
    assert labels_of(AngleStage(CAMERA, "clip").add(make())) == ["0.90"]
