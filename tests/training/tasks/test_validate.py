"""Validation of LPNet-RT: a perfect scorer, a noisy one, and where it fires falsely."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from lpnet_rt_data import SIZE

from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.tasks.validate import ValidationSet, find_false_alarms, validate


def test_a_perfect_scorer_is_judged_perfect_and_a_noisy_one_is_not(recipe: Recipe) -> None:
    part = msgspec.structs.replace(recipe.validation, video_stride=1)
    data = ValidationSet.load(msgspec.structs.replace(recipe, validation=part))
    truth_of = {one.image.tobytes(): one.truth.mask for one in (*data.masked, *data.empty, *data.video)}

    def perfect(image: np.ndarray) -> np.ndarray:
        return (truth_of[image.tobytes()] == 255).astype(np.float32)

    def noisy(image: np.ndarray) -> np.ndarray:
        scores = perfect(image)
        scores[2:4, 90:92] = 0.9
        return scores

    found, worse = validate(perfect, data), validate(noisy, data)
    assert dataclasses.astuple(found) == (100, 100, 100, 0, 0, 100, 0)
    assert worse.fa_per_million == pytest.approx(4e6 / SIZE**2)
    assert (worse.empty_false, worse.video_false, worse.pd) == (1, 1, 100)
    assert worse.fitness < found.fitness
    assert find_false_alarms(noisy, data.empty) == [(0, 90.5, 2.5)]
    assert find_false_alarms(perfect, data.empty) == []
