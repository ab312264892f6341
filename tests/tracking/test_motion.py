from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.tracking.camera_motion import CameraMotion
from lpnet_rt.tracking.motion import MotionModel, correct, measurement_variance, predict
from lpnet_rt.tracking.table import new_rows

_MODEL = MotionModel(acceleration=300.0, start_speed_px_s=60.0, centroid_px=0.5, centroid_per_size=0.1, camera_px=0.1)


@given(steps=st.lists(st.tuples(st.floats(0.01, 0.5), st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=12))
def test_the_filter_is_the_one_of_the_textbook(steps: list[tuple[float, float, float]]) -> None:
    tracks = new_rows(1)
    tracks["xy"], tracks["var_p"], tracks["var_v"] = (20.0, 30.0), 0.4, _MODEL.start_speed_px_s**2
    state, covariance = np.array([20.0, 30.0, 0.0, 0.0]), np.diag([0.4, 0.4, 3600.0, 3600.0])
    camera = CameraMotion(1.0, -2.0, 1.0)
    for dt_s, off_x, off_y in steps:
        move = np.eye(4)
        move[0, 2] = move[1, 3] = dt_s
        noise = 300.0 * np.kron([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]], np.eye(2))
        noise[:2, :2] += 0.1**2 * np.eye(2)
        state = move @ state + (1.0, -2.0, 0.0, 0.0)
        covariance = move @ covariance @ move.T + noise
        predict(tracks, dt_s, camera, _MODEL)
        measured = state[:2] + np.array([off_x, off_y])
        total = covariance[:2, :2] + 0.7 * np.eye(2)
        gain = covariance[:, :2] @ np.linalg.inv(total)
        surprise = (measured - state[:2]) @ np.linalg.inv(total) @ (measured - state[:2])
        state = state + gain @ (measured - state[:2])
        covariance = covariance - gain @ covariance[:2]
        got = correct(tracks, np.array([0]), measured[None], np.array([0.7]))
        np.testing.assert_allclose(got, surprise, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(tracks["xy"][0], state[:2], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(tracks["velocity_xy"][0], state[2:], rtol=1e-6, atol=1e-6)
        expected = [covariance[0, 0], covariance[0, 2], covariance[2, 2]]
        np.testing.assert_allclose([tracks[name][0] for name in ("var_p", "cov_pv", "var_v")], expected, rtol=1e-6)


def test_an_unknown_camera_makes_the_place_less_certain() -> None:
    known, unknown = new_rows(1), new_rows(1)
    predict(known, 0.1, CameraMotion(0.0, 0.0, 1.0), MotionModel())
    predict(unknown, 0.1, CameraMotion(0.0, 0.0, 0.0), MotionModel())
    assert unknown["var_p"][0] > known["var_p"][0]


def test_large_targets_are_measured_less_exactly() -> None:
    small, large = measurement_variance(np.array([[0, 0, 2, 2], [0, 0, 40, 30]], np.int32), MotionModel())
    assert large > 4 * small
