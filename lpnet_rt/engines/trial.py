"""One frame through an engine: the self-test of a model, which says whether the engine finds what it should."""

from __future__ import annotations

import numpy as np

from lpnet_rt.detections import HotPixels, detect_hot, hot_pixels, least_score
from lpnet_rt.engines.base import DeviceEngine, Engine, ForgetfulEngine
from lpnet_rt.frames import GreyImage
from lpnet_rt.inputs import prepare, restore
from lpnet_rt.models import ModelFile
from lpnet_rt.selftest import SELF_TEST_THRESHOLD, disagreement, self_test_frame

__all__ = ["score_once", "self_test"]


def self_test(engine: Engine, model: ModelFile) -> str | None:
    """Run the self-test's frame through an engine.

    A file of another fixed size gets a frame of noise of its own size, and a card without a self-test expects nothing:
    then only whether scores are finite is looked at.

    Args:
        engine: With the model in it.
        model: With its card.

    Returns:
        None where the engine agrees with the card, else what differs, in a few words.

    Raises:
        EngineError: The engine fails.
    """
    image, card = self_test_frame(), model.card
    fits = card.built.wrong_size(prepare(image, card.input).shape) is None
    if not fits and card.built.most is not None:
        image = np.random.default_rng(0).integers(80, 120, card.built.most[1:], np.uint8)
    hot = score_once(engine, model, image)
    if isinstance(engine, ForgetfulEngine):
        engine.forget()  # no frame has this size
    if not hot.finite:
        return "expected finite scores, found NaN or infinity"
    if not fits or not card.self_test.score:
        return None
    found = detect_hot(hot, image, SELF_TEST_THRESHOLD)
    return disagreement(found, card.self_test.centroid_xy, card.self_test.score, engine.precision)


def score_once(engine: Engine, model: ModelFile, image: GreyImage) -> HotPixels:
    """Score a frame by the way that the detector takes: through the device where the engine has one.

    Args:
        engine: With the model in it.
        model: With its card.
        image: (H, W) uint8 or uint16, raw counts.

    Raises:
        EngineError: The engine fails.
    """
    if isinstance(engine, DeviceEngine):
        return engine.find([image], least_score(SELF_TEST_THRESHOLD))[0]
    height, width = image.shape
    scores = restore(engine.score(prepare(image, model.card.input)), (height, width), model.card.input)
    if not np.isfinite(scores).all():
        return HotPixels.failed((height, width))
    return hot_pixels(scores, SELF_TEST_THRESHOLD)
