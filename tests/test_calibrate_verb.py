from __future__ import annotations

import tomllib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lpnet_rt.cli import main
from lpnet_rt.settings import load_settings
from lpnet_rt.settings.zones import ZoneSettings
from lpnet_rt.view.alarm_map import alarm_map


@pytest.fixture(scope="module")
def lamp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a noisy sky in which a lamp is lit."""
    path = tmp_path_factory.mktemp("calibrate") / "empty.mkv"
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[0:128, 0:160]
    blob = 70 * np.exp(-0.5 * ((xs - 100) ** 2 + (ys - 40) ** 2) / 1.4**2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = 128, 160, "gray"
        for _ in range(60):
            image = np.clip(90 + 0.2 * ys + blob + rng.normal(0, 2, blob.shape), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "gray")))
        container.mux(stream.encode(None))
    return path


def calibrate(lamp: Path, out: Path, *flags: str) -> int:
    return main(["calibrate", "--source", str(lamp), "--out", str(out), "--engine", "onnxruntime", *flags])


def test_a_file_that_run_takes_and_a_picture(lamp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "site.toml"
    assert calibrate(lamp, out, "--false-alarms", "1/h") == 0
    shown = capsys.readouterr().out
    assert "watched: 2 s, 60 frames" in shown
    assert "too short: it takes 180 minutes without a false detection to show that rate" in shown
    assert "false detections left: none, so under 5,391/h (95 %)" in shown
    settings = load_settings(str(out), {"source.spec": str(lamp)})
    assert settings.zone == (), "zones are proposed as comments"
    assert settings.detector.threshold is not None
    picture = cv2.imread(str(tmp_path / "site.png"))
    assert picture is not None
    assert picture.shape[1] >= 640
    hot = (picture[..., 2].astype(int) - picture[..., 0]) > 80
    ys, xs = np.nonzero(hot[:-24])
    factor = picture.shape[1] / 160
    assert (xs.mean() / factor, ys.mean() / factor) == pytest.approx((100, 40), abs=3)

    text = out.read_text()
    comments = [line.removeprefix("# ") for line in text[text.index("# [[zone]]") :].splitlines()]
    (zone,) = tomllib.loads("\n".join(comments))["zone"]
    assert zone["kind"] == "ignore"
    assert main(["run", "--config", str(out), "--source", str(lamp), "--no-publish", "--engine", "onnxruntime"]) == 0
    assert "0 detections" in capsys.readouterr().out
    assert calibrate(lamp, out, "--false-alarms", "1/h") == 7, "a file that exists is kept"


def test_with_the_zones_in_use_the_threshold_is_lower(lamp: Path, tmp_path: Path) -> None:
    for name, flags in (("without", ()), ("with", ("--zones",))):
        assert calibrate(lamp, tmp_path / f"{name}.toml", "--false-alarms", "1/10", *flags) == 0
    without, used = (load_settings(str(tmp_path / f"{name}.toml"), {}) for name in ("without", "with"))
    assert len(used.zone) == 1
    assert (used.detector.threshold or 1) < (without.detector.threshold or 0)
    assert "# [[zone]]" in (tmp_path / "without.toml").read_text()


def test_zones_polarity_and_model_of_a_configuration_are_kept(lamp: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.toml"
    given.write_text(
        '[detector]\npolarity = "both"\nfalse_alarms = "1/100"\n'
        '[[zone]]\nname = "lamp"\npoints = [[80, 20], [120, 20], [120, 60], [80, 60]]\n'
    )
    assert calibrate(lamp, tmp_path / "a.toml", "--false-alarms", "1/10", "--config", str(given)) == 0
    settings = load_settings(str(tmp_path / "a.toml"), {})
    assert [zone.name for zone in settings.zone] == ["lamp"]
    assert settings.detector.polarity == "both"
    assert "confirmed tracks, at any threshold: none" in (tmp_path / "a.toml").read_text()


def test_it_stops_in_time(lamp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(lamp, tmp_path / "a.toml", "--false-alarms", "1/10", "--time", "1s") == 0
    frames = int(capsys.readouterr().out.partition("watched: ")[2].partition(", ")[2].partition(" frames")[0])
    assert 30 <= frames < 40


def test_a_live_source_needs_a_limit(lamp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "live.toml"
    config.write_text(f'[source]\nspec = "{lamp}"\nrealtime = true\n[detector]\nengine = "onnxruntime"\n')
    flags = ["calibrate", "--config", str(config), "--false-alarms", "1/h", "--out", str(tmp_path / "a.toml")]
    assert main(flags) == 2
    assert "expected --time for a live source" in capsys.readouterr().err
    assert main([*flags, "--time", "1s"]) == 0
    assert "too short: it takes 180 minutes" in (tmp_path / "a.toml").read_text()


def test_a_cut_recording_is_used_as_far_as_it_goes(
    lamp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.mkv"
    content = lamp.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert calibrate(cut, tmp_path / "a.toml", "--false-alarms", "1/10") == 0
    shown = capsys.readouterr()
    assert "going on with what was watched" in shown.err
    assert 20 < int(shown.out.partition("watched: ")[2].partition(", ")[2].partition(" frames")[0]) < 60


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--false-alarms", "often"), 2, "expected a rate such as 1/1000"),
        (("--false-alarms", "1/h", "--time", "soon"), 2, "--time: expected a number with s, m, h or d"),
        (("--false-alarms", "1/h", "--source", "missing.mp4"), 3, "no such file"),
        (("--false-alarms", "1/h", "--out", "site.png"), 2, "--out: expected a file that ends in .toml"),
        (("--false-alarms", "1/h", "--map", "site.toml"), 2, "--map: expected a file that ends in .png"),
    ],
)
def test_what_cannot_be_done_is_refused(
    flags: tuple[str, ...], code: int, said: str, lamp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(lamp, tmp_path / "a.toml", *flags) == code
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_map_without_alarms_is_the_mean_frame() -> None:
    mean = np.add.outer(np.arange(64), np.arange(80)).astype(np.float32)
    picture = alarm_map(mean, np.zeros((0, 2)), [], "nothing")
    assert picture.shape == (64 * 8 + 24, 640, 3)
    assert (np.ptp(picture[:-24].astype(int), axis=2) == 0).all()
    zone = ZoneSettings(points=((10, 10), (30, 10), (30, 30), (10, 30)))
    outlined = alarm_map(mean, np.zeros((0, 2)), [zone], "nothing")
    assert (np.ptp(outlined[:-24].astype(int), axis=2) > 20).any()
