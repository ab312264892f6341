import dataclasses
import itertools

import numpy as np
import pytest

from lpnet_rt.errors import SinkError
from lpnet_rt.training.evaluation.evaluator import Evaluation, Evaluator
from lpnet_rt.training.evaluation.plots import PLOT_NAMES, _precision_recall, _roc, staircase, write_plots


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Twelve frames with a target each and twelve without, with scores of all heights."""
    rng = np.random.default_rng(3)
    evaluator = Evaluator("noise")
    image = np.zeros((64, 64), np.uint8)
    for number in range(24):
        score = (rng.random((64, 64)) ** 40).astype(np.float32)
        true = np.zeros((64, 64), bool)
        if number % 2:
            true[30:33, 30:33] = True
            score[30:33, 30:33] = 1 - 10.0 ** -rng.uniform(0.1, 3)
        evaluator.add(f"frame{number}", image, score, true)
    return evaluator.result()


def test_a_staircase_never_falls_nor_doubles_back():
    xs, ys = staircase([(3.0, 0.7), (1.0, 0.5), (2.0, 0.9), (2.0, 0.4), (4.0, 0.95)])
    assert (xs, ys) == ([1.0, 2.0, 4.0], [0.5, 0.9, 0.95])
    assert staircase([]) == ([], [])


def test_the_roc_has_thresholds_and_ticks_that_do_not_collide(evaluation):
    figure = _roc(evaluation)
    figure.canvas.draw()
    for axes in figure.axes:
        (line,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
        assert (np.diff(line.get_xdata()) >= 0).all()
        assert (np.diff(line.get_ydata()) >= 0).all()
        assert len([text for text in axes.texts if text.get_text()]) >= 3
        boxes = [tick.get_window_extent() for tick in axes.get_xticklabels() if tick.get_text()]
        assert len(boxes) >= 3
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_points_of_precision_and_recall_are_not_joined_across_the_plot(evaluation):
    (axes,) = _precision_recall(evaluation).axes
    steps = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert len(steps) == 2
    assert all(line.get_linestyle() == "None" for line in axes.lines if line not in steps and len(line.get_xdata()))


def test_plots_are_written_whole_and_over_nothing(evaluation, tmp_path):
    (tmp_path / "f1.png").write_text("precious")
    with pytest.raises(SinkError, match=r"f1\.png: the file exists"):
        write_plots(evaluation, tmp_path, overwrite=False)
    assert (tmp_path / "f1.png").read_text() == "precious"
    write_plots(dataclasses.replace(evaluation, misses=(), false_alarms=()), tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PLOT_NAMES)
    assert all(path.stat().st_mode & 0o777 == 0o640 for path in tmp_path.iterdir())
