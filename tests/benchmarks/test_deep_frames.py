"""Frames made 14 bits deep: what is in them, and that they are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.benchmarks.deep_frames import FORMS, DeepCamera, main


def test_a_deep_frame_holds_the_picture_and_what_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (48, 64)).astype(np.uint8)
    camera = DeepCamera.draw((48, 64), rng)
    plain = camera.see(image, FORMS[1], 0, rng)
    assert plain.dtype == np.uint16
    assert np.abs((plain - camera.level) / camera.gain - image).max() <= 0.5 + 0.51 / camera.gain
    drifted = camera.see(image, "drift", 100, rng)
    difference = (drifted.astype(float) - plain) / camera.gain
    assert np.abs(difference - 2 * camera.shading).max() <= 1.0 + 1.1 / camera.gain
    assert (
        np.corrcoef((camera.see(image, "fixed pattern", 0, rng) - plain.astype(float)).ravel(), camera.pattern.ravel())[
            0, 1
        ]
        > 0.9
    )


def test_without_clips_there_is_nothing_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path)]) == 9
    assert "expected clips/*.mp4, found none" in capsys.readouterr().err
