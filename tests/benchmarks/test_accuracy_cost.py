"""Accuracy against cost: what is read from figures, and the plot."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from lpnet_rt.benchmarks.accuracy_cost import best_f1, main, read_point
from lpnet_rt.errors import DataError


def _figures(path: Path, kmac: float | None = 8.7) -> Path:
    rows = [
        {"threshold": threshold, "video": {"all clips": {"hit_rate": hit, "false_per_frame": false}}}
        for threshold, hit, false in ((0.5, 0.98, 0.4), (0.9, 0.9, 0.1))
    ]
    path.write_text(json.dumps({"model": "a", "kmac_per_pixel": kmac, "v1_val": {"miou": 0.7}, "thresholds": rows}))
    return path


def test_f1_is_the_best_of_the_curve() -> None:
    assert best_f1([(0.0, 0.5), (0.1, 0.9)]) == pytest.approx(0.9)
    assert best_f1([(0.0, 0.5), (3.0, 0.9)]) == pytest.approx(2 * 0.5 / 1.5)


def test_figures_become_a_point(tmp_path: Path) -> None:
    point = read_point(_figures(tmp_path / "a.json"))
    assert (point.name, point.kmac_per_pixel, point.miou, point.f1) == ("a", 8.7, 0.7, pytest.approx(0.9))
    assert point.curve == ((0.1, 0.9), (0.4, 0.98))


def test_what_is_no_figure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.json: expected the model's cost, found none; measure it with --engine"):
        read_point(_figures(tmp_path / "a.json", None))
    (tmp_path / "b.json").write_text('{"other": 1}')
    with pytest.raises(DataError, match=r"b.json: expected the figures of the accuracy benchmark: "):
        read_point(tmp_path / "b.json")


def test_the_plot_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    one, plot = str(_figures(tmp_path / "a.json")), tmp_path / "cost.png"
    assert main([one, one, "--names", "before,now", "--plot", str(plot)]) == 0
    assert "now: 8.7 kMAC per pixel, best F1 on clips 90.0, mIoU 70.0" in capsys.readouterr().out
    assert cv2.imread(str(plot)).shape[1] == 1100
    assert main([one, "--names", "before,now"]) == 9
