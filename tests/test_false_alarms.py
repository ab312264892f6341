"""Thresholds by rate of false detections: in the card, in settings and on the command line."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from lpnet_rt import Detector
from lpnet_rt.cli import main
from lpnet_rt.errors import SettingsError
from lpnet_rt.models import ModelCard, find_model, write_card
from lpnet_rt.models.false_alarms import (
    FalseAlarmThreshold,
    ScoreCalibration,
    false_per_frame,
    interpolated,
    threshold_for,
)
from lpnet_rt.selftest import self_test_frame
from lpnet_rt.settings import DetectorSettings, load_settings


def calibration(**thresholds: float | None) -> ScoreCalibration:
    """A table with a threshold for 1 false detection in 10, 100, ... frames."""
    rows = [
        FalseAlarmThreshold(false_per_frame=1 / int(name[1:]), threshold=value) for name, value in thresholds.items()
    ]
    return ScoreCalibration(
        method="platt", points=[(0.1, 0.02), (0.9, 0.98)], thresholds=rows, frames=20_000, detections=900, sessions=40,
        log_loss=(0.5, 0.3), ece=(0.1, 0.02),
    )  # fmt: skip


TABLE = calibration(n10=0.6, n100=0.9, n1000=0.99, n10000=None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged model with the table above in its card."""
    packaged = find_model("lpnet-rt")
    path = tmp_path_factory.mktemp("model") / "mine.onnx"
    shutil.copy(packaged.path, path)
    write_card(path.with_suffix(".json"), msgspec.structs.replace(packaged.card, scores=TABLE))
    return path


@pytest.mark.parametrize(
    ("rate", "rate_hz", "expected"),
    [("1/1000", 30, 1e-3), ("10/h", 30, 10 / 108_000), ("10/h", 25, 10 / 90_000), ("2.5/100", 5, 0.025), ("1/1", 1, 1)],
)
def test_rates(rate: str, rate_hz: float, expected: float) -> None:
    assert false_per_frame(rate, rate_hz) == pytest.approx(expected)


@pytest.mark.parametrize("rate", ["", "0.001", "1/0", "0/h", "1/", "2/1", "-1/h", "1/d", "1/1000\n", "1/h "])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(SettingsError, match="expected a rate such as 1/1000"):
        false_per_frame(rate)


def test_a_row_is_taken_as_it_is_and_between_rows_log_rates_are_interpolated() -> None:
    assert threshold_for(TABLE, "1/100") == pytest.approx(0.9)
    assert threshold_for(TABLE, "1/1000") == pytest.approx(0.99)
    half = threshold_for(TABLE, "1/316")  # half a decade
    assert np.log(half / (1 - half)) == pytest.approx((np.log(9) + np.log(99)) / 2, abs=0.01)
    assert threshold_for(TABLE, "1080/h") == pytest.approx(0.9)
    assert threshold_for(TABLE, "900/h", rate_hz=25) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("rate", "supported"),
    [("1/5", "1/10 to 1/1000"), ("1/10000", "1/10 to 1/1000"), ("10/h", r"1.08e\+04/h .* to 108/h \(at 30 frames/s\)")],
)
def test_rates_beyond_the_table_are_refused_with_what_it_supports(rate: str, supported: str) -> None:
    with pytest.raises(SettingsError, match=f"supports {supported}.*, found {rate}"):
        threshold_for(TABLE, rate)


@pytest.mark.parametrize("scores", [None, calibration(n10=None)])
def test_a_card_without_a_table_is_refused(scores: ScoreCalibration | None) -> None:
    with pytest.raises(SettingsError, match="expected a card with thresholds by rate, found none"):
        threshold_for(scores, "1/100")


def test_probabilities_follow_the_points_and_stay_at_the_ends() -> None:
    points = np.array([(0.2, 0.1), (0.5, 0.5), (0.8, 0.9)])
    np.testing.assert_allclose(interpolated(points, np.array([0.0, 0.2, 0.5, 0.8, 1.0])), [0.1, 0.1, 0.5, 0.9, 0.9])
    rising = interpolated(points, np.linspace(0, 1, 50))
    assert (np.diff(rising) >= -1e-12).all()
    np.testing.assert_allclose(TABLE.probability(np.array([0.9], np.float32)), [0.98], rtol=1e-5)


def test_cards_of_before_load_and_tables_out_of_order_do_not(model: Path) -> None:
    card = find_model("lpnet-rt").card
    told = msgspec.to_builtins(card)
    del told["scores"]
    assert msgspec.convert(told, ModelCard).scores is None
    assert find_model(str(model)).card.scores == TABLE
    for wrong in ({"n10": 0.9, "n100": 0.6}, {"n100": 0.6, "n10": 0.9}):
        with pytest.raises(ValueError, match="expected thresholds"):
            calibration(**wrong)


def test_the_detector_takes_the_threshold_for_the_rate(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = DetectorSettings(model=str(model), engine="onnxruntime", threshold=0.3)
    with caplog.at_level(logging.INFO, "lpnet_rt"):
        detector = Detector.load(settings, false_alarms="1080/h")
    assert detector.threshold == pytest.approx(0.9)
    assert "the frame rate is unknown, taking 30 frames/s" in caplog.messages[0]
    detector.take_rate(DetectorSettings(false_alarms="1080/h"), 300.0)
    assert detector.threshold == pytest.approx(0.99)
    with pytest.raises(SettingsError, match="threshold and false_alarms: expected one of them, found both"):
        Detector.load(DetectorSettings(model=str(model), threshold=0.5, false_alarms="1/100"))


def test_either_flag_wins_over_both_keys_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[detector]\nfalse_alarms = "1/100"\n')
    assert load_settings(str(file), {}).detector.false_alarms == "1/100"
    assert load_settings(str(file), {"detector.threshold": 0.4}).detector == DetectorSettings(threshold=0.4)
    file.write_text("[detector]\nthreshold = 0.4\n")
    taken = load_settings(str(file), {"detector.false_alarms": "1/h"}).detector
    assert taken == DetectorSettings(false_alarms="1/h")
    file.write_text('[detector]\nthreshold = 0.4\nfalse_alarms = "1/100"\n')
    for flags in ({}, {"detector.threshold": 0.4, "detector.false_alarms": "1/h"}):
        with pytest.raises(SettingsError, match="expected one of them, found both"):
            load_settings(str(file), flags)
    with pytest.raises(SettingsError, match="false_alarms: expected a rate such as 1/1000"):
        load_settings(None, {"detector.false_alarms": "rarely"})


def test_the_command_line_takes_the_sources_rate(model: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height, stream.width, stream.pix_fmt = 128, 160, "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(self_test_frame(), "gray").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    command = [sys.executable, "-m", "lpnet_rt", "run", "--source", str(clip), "--no-publish", "--model", str(model)]
    command += ["--engine", "onnxruntime", "--false-alarms"]
    done = subprocess.run([*command, "720/h"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "false alarms 720/h: threshold 0.9, by the card of lpnet-rt" in done.stderr
    done = subprocess.run([*command, "1/h"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "supports 7200/h (at 20 frames/s) to 72/h (at 20 frames/s), found 1/h" in done.stderr


def test_info_shows_the_table(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(model)]) == 0
    line = "thresholds   for false detections per frame: 1/10 0.6, 1/100 0.9, 1/1000 0.99, 1/10000 not known\n"
    assert line in capsys.readouterr().out
