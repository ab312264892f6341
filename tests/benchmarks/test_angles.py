from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.benchmarks.angles import calibrations, directions, main
from lpnet_rt.benchmarks.synthetic_cameras import Errors


@pytest.mark.parametrize("distorted", [False, True])
def test_the_arithmetic_is_exact(distorted: bool) -> None:
    judged = directions(100, np.random.default_rng(1), distorted=distorted, errors=None)
    assert judged.errors.max() < 1e-6


def test_stated_errors_hold_the_truth_as_often_as_they_should() -> None:
    judged = directions(600, np.random.default_rng(2), distorted=True, errors=Errors())
    for share in judged.within(1):
        assert share == pytest.approx(0.683, abs=0.06)
    for share in judged.within(2):
        assert share == pytest.approx(0.954, abs=0.03)


def test_calibrations_are_good_to_a_pixel() -> None:
    judged = calibrations(20, np.random.default_rng(3), 6, distorted=True)
    assert np.median(judged.errors) < 1.0
    assert judged.refused <= 2


def test_the_program_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cameras", "2"]) == 0
    printed = capsys.readouterr().out
    assert "2 random cameras and targets" in printed
    assert "Ten directions take" in printed
