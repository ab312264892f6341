from __future__ import annotations

from pathlib import Path

import pytest
from track_clips import moving_and_standing_clips

from lpnet_rt.tracking import load_profile
from lpnet_rt.training.tracks.__main__ import main
from lpnet_rt.training.tracks.recording import save_recording


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings and boxes of generated clips, named CLIP_000, CLIP_020, ...; two more are for judging."""
    root = tmp_path_factory.mktemp("tracks")
    (root / "boxes").mkdir()
    (root / "recordings").mkdir()
    clips = moving_and_standing_clips(14)
    for index, (recording, truth) in enumerate(clips):
        name = recording.name if index < 12 else f"CLIP_{5 * index + 1:03d}"
        save_recording(recording, root / "recordings" / f"{name}.npz")
        rows = [f"{frame},{','.join(str(v) for v in boxes[0])}\n" for frame, boxes in truth.boxes.items()]
        (root / "boxes" / f"{name}.csv").write_text("frame,x,y,w,h\n" + "".join(rows))
    return root


def test_a_fitted_profile_finds_the_target_and_leaves_the_lamp(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--data", str(folder), "--recordings", str(folder / "recordings")]
    assert main(["fit", *places, "--out", str(folder / "profile.json")]) == 0
    profile = load_profile(folder / "profile.json")
    assert profile.evidence.weights["log_reach"] > 0.0
    assert profile.fitted_on[1] == "12 tracks of targets, 12 others"
    capsys.readouterr()
    assert main(["judge", *places, "--profile", str(folder / "profile.json"), "--rate", "1"]) == 0
    figures = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert figures["clips"] == "2"
    assert figures["false_tracks"] == "0"
    assert float(figures["coverage"]) > 0.6
    assert "HOTA 0." in figures["at 3 px"]


def test_without_recordings_the_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["judge", "--data", str(tmp_path), "--recordings", str(tmp_path)])
    assert code == 9
    assert capsys.readouterr().err.startswith(f"lpnet-rt: {tmp_path}: expected recordings (NAME.npz)")


def test_a_folder_without_clips_cannot_be_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 9
    assert "expected clips/*.mp4, found none" in capsys.readouterr().err
