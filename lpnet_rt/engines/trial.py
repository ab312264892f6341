"""The self-test of a model: one frame, in which an engine must find the expected detections."""

from __future__ import annotations

import numpy as np

from lpnet_rt.agreement import Expected, disagreement
from lpnet_rt.detections import candidate_score, detect_candidates
from lpnet_rt.engines.base import Engine
from lpnet_rt.engines.scorer import make_scorer
from lpnet_rt.models import ModelFile
from lpnet_rt.preprocessing.rules import prepare
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, self_test_frame

__all__ = ["self_test"]


def self_test(engine: Engine, model: ModelFile) -> str | None:
    """Run the self-test's frame through an engine.

    A file of another fixed size gets a frame of noise of that size, and a card without a self-test expects nothing:
    then only finite scores are required.

    Args:
        engine: Engine with the loaded model.
        model: Model with its card.

    Returns:
        None if the engine agrees with the card, else the difference in a few words.

    Raises:
        EngineError: The engine fails.
    """
    image, card = self_test_frame(), model.card
    fits = card.built.wrong_size(prepare(image, card.input).shape) is None
    if not fits and card.built.max_size is not None:
        image = np.random.default_rng(0).integers(80, 120, card.built.max_size[1:], np.uint8)
    scorer = make_scorer(engine, card)
    (candidates,) = scorer.find([image], candidate_score(SELF_TEST_THRESHOLD))
    scorer.forget()  # frames have other sizes
    if not candidates.finite:
        return "expected finite scores, found NaN or infinity"
    if not fits or not card.self_test.score:
        return None
    found = detect_candidates(candidates, image, SELF_TEST_THRESHOLD)
    expected = Expected(
        np.array(card.self_test.centroid_xy, np.float32).reshape(-1, 2), np.array(card.self_test.score, np.float32)
    )
    return disagreement(expected, found, engine.precision)
