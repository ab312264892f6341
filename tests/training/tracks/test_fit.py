from __future__ import annotations

import numpy as np
import pytest
from track_clips import any_profile, moving_and_standing_clips

from lpnet_rt.training.tracks.fit import FitSettings, calibrate, fit_evidence, out_of_fold
from lpnet_rt.training.tracks.samples import IGNORED, TrackSamples, collect_samples

_SETTINGS = FitSettings(features=("mean_score", "log_reach", "stands"), min_hits=5)


@pytest.fixture(scope="module")
def samples() -> TrackSamples:
    return collect_samples(moving_and_standing_clips(), any_profile())


def test_a_track_is_a_target_s_where_it_lies_in_the_boxes(samples: TrackSamples) -> None:
    last = np.flatnonzero(np.diff(samples.track, append=-1))
    moved = samples.rows["reach_px"][last] > 8.0
    assert set(samples.target[moved].tolist()) == {1}
    assert set(samples.target[~moved].tolist()) == {0}
    assert samples.minutes == pytest.approx(12 * 60 / 1800)
    assert samples.settled_frames == 12 * 50


def test_what_moves_and_scores_outside_every_box_is_not_known() -> None:
    clips = [(recording, truth) for recording, truth in moving_and_standing_clips(labelled=False)]
    assert set(collect_samples(clips, any_profile()).target.tolist()) == {IGNORED}


def test_the_model_tells_what_moves_from_what_stands(samples: TrackSamples) -> None:
    model = fit_evidence(samples, _SETTINGS)
    assert set(model.weights) == set(_SETTINGS.features)
    assert model.weights["log_reach"] > 0.0
    assert model.weights["stands"] < 0.0
    log_odds = samples.columns @ model.vector() + model.intercept
    late = samples.usable(30)
    target = samples.target[samples.track] == 1
    assert log_odds[late & target].min() > log_odds[late & ~target].max()


def test_a_clip_is_judged_by_a_model_that_has_not_seen_its_session(samples: TrackSamples) -> None:
    found = out_of_fold(samples, _SETTINGS)
    assert ((found > 0.0) & (found < 1.0)).all()
    fitted = samples.columns @ fit_evidence(samples, _SETTINGS).vector()
    assert np.abs(np.corrcoef(found, fitted)[0, 1]) > 0.5
    assert not np.allclose(np.log(found / (1 - found)) - fitted, (np.log(found / (1 - found)) - fitted)[0])


def test_the_table_counts_tracks_that_reach_the_threshold(samples: TrackSamples) -> None:
    probability = np.where(samples.target[samples.track] == 1, 0.8, 0.3)
    false = int((samples.target == 0).sum())
    per_hour = 60.0 * false / samples.minutes
    points = calibrate(samples, probability, 5, (per_hour / 100.0, per_hour * 2.0))
    assert 0.3 < points[0].probability < 0.8
    assert points[0].coverage > 0.9
    assert points[1].probability < 0.3
    assert [point.false_tracks_per_hour for point in points] == [per_hour / 100.0, per_hour * 2.0]


def test_what_is_confirmed_late_covers_only_from_then_on(samples: TrackSamples) -> None:
    target = samples.target[samples.track] == 1
    probability = np.where(target & (samples.rows["frame"] >= 35), 0.9, 0.1)
    assert calibrate(samples, probability, 5, (1.0,))[0].coverage == pytest.approx(0.5, abs=0.02)
