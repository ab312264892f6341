from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from scenes import mean_score_profile

from lpnet_rt.errors import ModelError
from lpnet_rt.models import packaged_models
from lpnet_rt.tracking import load_profile, packaged_profile
from lpnet_rt.tracking.evidence import FEATURES, features
from lpnet_rt.tracking.profile import CalibrationPoint
from lpnet_rt.tracking.table import new_rows


def test_every_packaged_model_has_a_profile_and_others_take_the_first() -> None:
    for model in packaged_models():
        profile = packaged_profile(model)
        assert profile.model == model
        assert 0.0 < profile.threshold() < 1.0
    assert packaged_profile("mine") == packaged_profile("lpnet-rt")


def test_fewer_false_tracks_ask_for_a_higher_probability() -> None:
    profile = packaged_profile()
    thresholds = [profile.threshold(rate) for rate in (0.5, 2.0, 10.0, 30.0, 100.0, 1000.0)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[-1]


def test_between_two_rates_the_threshold_is_interpolated() -> None:
    points = [
        CalibrationPoint(probability=0.9, false_tracks_per_hour=1.0, coverage=0.9),
        CalibrationPoint(probability=0.5, false_tracks_per_hour=100.0, coverage=0.95),
    ]
    profile = msgspec.structs.replace(mean_score_profile(), calibration=points)
    assert profile.threshold(10.0) == pytest.approx(0.7)
    assert profile.threshold(0.2) == 0.9
    assert profile.threshold(5000.0) == 0.5


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_bytes(msgspec.json.encode(mean_score_profile()))
    assert load_profile(tmp_path / "profile.json") == mean_score_profile()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ((b'"mean_score"', b'"no_such_feature"'), "expected features among"),
        ((b'"min_hits":4', b'"min_hits":0'), "min_hits"),
        ((b'"intercept":-5.0', b'"intercept":"x"'), "intercept"),
        ((b"{", b"["), ""),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, change: tuple[bytes, bytes], found: str) -> None:
    content = msgspec.json.encode(mean_score_profile())
    assert change[0] in content
    (tmp_path / "profile.json").write_bytes(content.replace(*change))
    with pytest.raises(ModelError, match="expected a tracking profile") as caught:
        load_profile(tmp_path / "profile.json")
    assert found in str(caught.value)


def test_there_is_one_column_for_each_feature() -> None:
    tracks = new_rows(3)
    tracks["frames"] = tracks["hits"] = 4
    columns = features(tracks)
    assert columns.shape == (3, len(FEATURES))
    assert np.isfinite(columns).all()


def test_standing_still_counts_nothing_where_targets_hover() -> None:
    evidence = msgspec.structs.replace(mean_score_profile().evidence, weights={"stands": -2.0, "mean_score": 1.0})
    assert evidence.vector()[FEATURES.index("stands")] == -2.0
    assert evidence.vector(hovering=True)[FEATURES.index("stands")] == 0.0
    assert evidence.vector(hovering=True)[FEATURES.index("mean_score")] == 1.0
