from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lpnet_rt.detections import candidate_pixels, detect
from lpnet_rt.tracking import detect_with_weak


@given(seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.4, 0.5, 0.74, 0.9]))
def test_strong_ones_are_the_detector_s_and_weak_ones_are_no_part_of_them(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.random((20, 24)) ** 4).astype(np.float32)
    image = rng.integers(0, 255, (20, 24), np.uint8)
    both = detect_with_weak(candidate_pixels(scores, 0.1), image, threshold, 0.1)
    strong, weak = detect(scores, image, threshold), detect(scores, image, 0.1)
    count = len(strong)
    for field in fields(strong):
        np.testing.assert_array_equal(getattr(both, field.name)[:count], getattr(strong, field.name))
    assert (np.diff(both.score) <= 0).all() or count
    assert (both.score[count:] < np.float32(threshold)).all()
    assert sorted(both.score[count:].tolist()) == sorted(weak.score[weak.score < np.float32(threshold)].tolist())
