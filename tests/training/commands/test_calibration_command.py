from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lpnet_rt_data import sample, write_clip, write_samples

from lpnet_rt.detections import Detections, detect
from lpnet_rt.errors import DataError
from lpnet_rt.models import find_model
from lpnet_rt.models.false_alarms import ScoreCalibration
from lpnet_rt.training.commands import calibration
from lpnet_rt.training.commands.calibration import JudgedFrame, calibrate, judged_frames


def find(image: np.ndarray) -> Detections:
    """Whatever is bright: the blobs and, in every frame, one pixel of the corner."""
    scores = np.clip((image.astype(np.float32) - 120) / 100, 0, 1)
    scores[2, 3] = 0.9
    return detect(scores, image, 0.3)


def parsed(*flags: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    calibration.add_arguments(parser)
    return parser.parse_args([str(flag) for flag in flags])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_samples(tmp_path / "images", "val", [sample(1, (50.0, 60.0)), sample(2, None)])
    write_samples(tmp_path / "images", "train", [sample(3, None)])
    for name in ("A_001", "A_006", "A_007", "A_011"):
        write_clip(tmp_path / "clips", name)
    (tmp_path / "clips" / "unlabelled.csv").write_text("clip,frame,x,y,why\nA_006,2,3,2,a bird\n")
    (tmp_path / "clips" / "boxes" / "A_011.csv").write_text("frame,x,y,w,h\n")
    return tmp_path


def test_detections_are_judged_by_masks_boxes_and_unlabelled_places(data: Path) -> None:
    frames = list(judged_frames(parsed("--images", data / "images", "--split", "val"), find))
    assert [(frame.session, frame.counts_false) for frame in frames] == [("image s1", False), ("image s2", True)]
    assert [sorted(frame.is_target.tolist()) for frame in frames] == [[False, True], [False]]
    frames = list(judged_frames(parsed("--clips", data / "clips", "--stride", 2), find))
    assert [frame.session for frame in frames] == ["A_0"] * 6, "held back; A_011 was not labelled"
    assert [len(frame.score) for frame in frames] == [2, 2, 2, 2, 1, 2], "a place without a label counts neither way"
    assert [frame.is_target.sum() for frame in frames] == [1] * 6
    assert frames[0].score[~frames[0].is_target] == pytest.approx(0.9)


def made(sessions: int, count: int = 40) -> list[JudgedFrame]:
    rng = np.random.default_rng(0)
    frames = []
    for number in range(sessions * count):
        score = rng.uniform(0.1, 1, 2)
        is_target = rng.random(2) < score**2
        frames.append(JudgedFrame(f"s{number % sessions}", score, is_target, counts_false=number % sessions != 0))
    return frames


def test_a_card_takes_what_is_fitted() -> None:
    found, every, fit = calibrate(made(10), ["made"])
    assert (found.detections, found.sessions, found.frames) == (800, 10, 360)
    assert found.log_loss[1] < found.log_loss[0]
    assert len(every.score) == len(fit.held_out[fit.method]) == 800
    card = msgspec.structs.replace(find_model("lpnet-rt").card, scores=found)
    content = msgspec.json.encode(card)
    assert msgspec.json.decode(content, type=type(card)) == card
    assert len(msgspec.json.encode(found)) < 2500


@pytest.mark.parametrize("frames", [made(4), made(10, 1), []])
def test_too_little_is_refused(frames: list[JudgedFrame]) -> None:
    with pytest.raises(DataError, match="expected 20 detections of targets and 20 others from 5 sessions"):
        calibrate(frames, [])


def test_the_command_writes_the_card_beside_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packaged = find_model("lpnet-rt")
    for suffix in (".onnx", ".json"):
        shutil.copy(packaged.path.with_suffix(suffix), tmp_path / f"mine{suffix}")
    for clip in range(6):
        write_clip(tmp_path / "data", f"A_{clip * 10 + 1}", frames=8)
    # Every second box lies elsewhere: what the model finds is right in half of the clips.
    for path in sorted((tmp_path / "data" / "boxes").iterdir())[::2]:
        path.write_text("frame,x,y,w,h\n" + "".join(f"{index},80,5,9,9\n" for index in range(8)))
    flags = ["--model", tmp_path / "mine.onnx", "--engine", "onnxruntime", "--clips", tmp_path / "data", "--write"]
    flags += ["--plot", tmp_path / "a.png", "--json", tmp_path / "a.json"]
    assert calibration.main([str(flag) for flag in flags]) == 0
    shown = capsys.readouterr().out
    assert "1 false detection in 10,000 frames: the data cannot show it" in shown
    card = find_model(str(tmp_path / "mine.onnx")).card
    assert card.scores == msgspec.json.decode((tmp_path / "a.json").read_bytes(), type=ScoreCalibration)
    assert card.scores is not None
    assert card.scores.frames == 48
    assert msgspec.structs.replace(card, scores=None) == msgspec.structs.replace(packaged.card, scores=None)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert calibration.main([str(flag) for flag in flags]) == 7, "files that exist are not replaced"
