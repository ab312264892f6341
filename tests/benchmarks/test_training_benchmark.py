"""The training benchmark: forms side by side, and what it refuses."""

from __future__ import annotations

import pytest

from lpnet_rt.benchmarks.training import StepForm, main, make_step
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe

SMALL = NetworkRecipe(channels=(4, 6, 8), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4)


def test_a_step_can_be_repeated() -> None:
    step = make_step(StepForm(1, 2), SMALL, 2, 64)
    step()
    step()


def test_forms_are_compared_with_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recipe", "lpnet-rt-s", "--threads", "1", "--patches", "16,2", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["lpnet-rt-s", "1 threads, 16 cells", "1 threads, 2 cells"]
    assert "1.00 times the first" in lines[1]


def test_another_networks_recipe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recipe", "lpnetga-sirst"]) == 2
    assert "expected a recipe of LPNet-RT" in capsys.readouterr().err


def test_numbers_of_threads_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--threads", "1,x"]) == 2
    assert "--threads 1,x: expected whole numbers" in capsys.readouterr().err
