from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.messages import (
    DetectionMessage,
    FrameMessage,
    LatencyMessage,
    PlacedTrackMessage,
    TrackMessage,
    encode,
)
from lpnet_rt.training.commands.evaluate import main
from lpnet_rt.training.tracks.files import read_tracks


def line(frame: int, state: str = "confirmed", coasts: bool = False, source: str = "clip_1") -> bytes:
    values = {"id": 7, "state": state, "age": 9, "hits": 9, "probability": 0.9, "vx": 1.0, "vy": 0.0}
    at = (10.0 + frame, 20.0)
    detection = DetectionMessage(
        cx=at[0],
        cy=at[1],
        box=(0, 0, 1, 1),
        score=1,
        area_px=1,
        peak=1,
        snr=1,
        track=TrackMessage(**values),  # type: ignore[arg-type]
    )
    placed = PlacedTrackMessage(**{**values, "state": "coasting", "x": at[0], "y": at[1]})  # type: ignore[arg-type]
    message = FrameMessage(
        session="a", seq=frame, source=source, frame=frame, width=64, height=48, t_capture_us=1, pts_s=None,
        t_publish_us=2, latency_ms=LatencyMessage(queue=0, prepare=0, infer=0, detect=0, total=0), dropped=0,
        model="m", detections=() if coasts else (detection,), tracks=(placed,) if coasts else (),
    )  # fmt: skip
    return encode(message) + b"\n"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A track that is tentative for five frames, confirmed for thirty, and coasts for five."""
    path = tmp_path / "out.jsonl"
    states = ["tentative"] * 5 + ["confirmed"] * 30
    parts = [line(frame, state) for frame, state in enumerate(states)] + [
        line(frame, coasts=True) for frame in range(35, 40)
    ]
    path.write_bytes(b"".join(parts))
    (tmp_path / "boxes").mkdir()
    boxes = [f"{frame},{6 + frame},16,9,9" for frame in range(40)]
    (tmp_path / "boxes" / "clip_1.csv").write_text("\n".join(["frame,x,y,w,h", *boxes]))
    return path


def test_confirmed_and_coasting_tracks_of_a_run_are_read(lines: Path) -> None:
    path = read_tracks(lines)["clip_1"]
    assert path.frames == 40
    assert path.frame.tolist() == list(range(5, 40))
    assert path.coasting.tolist() == [False] * 30 + [True] * 5
    np.testing.assert_array_equal(path.xy[0], [15.0, 20.0])


def test_a_mot_file_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "clip_1.txt").write_text("2,3,10,20,4,6,0.9,-1,-1,-1\n1,3,9,20,4,6,0.9,-1,-1,-1\n")
    path = read_tracks(tmp_path / "clip_1.txt")["clip_1"]
    assert (path.frames, path.frame.tolist(), path.track_id.tolist()) == (2, [0, 1], [3, 3])
    assert path.xy.tolist() == [[10.5, 22.5], [11.5, 22.5]]


@pytest.mark.parametrize("text", ["1,2,3\n", "0,1,1,1,1,1\n", "1,a,1,1,1,1\n", "1,1,nan,1,1,1\n"])
def test_a_wrong_line_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=r"a\.txt: expected lines of frame,track,x,y"):
        read_tracks(tmp_path / "a.txt")


def test_the_verb_prints_the_measures(lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tracks", str(lines), "--data", str(lines.parent)]) == 0
    said = dict(part.split(": ", 1) for part in capsys.readouterr().out.splitlines())
    assert said["coverage"] == "1"
    assert said["false_tracks"] == "0"
    assert said["median_frames_to_confirm"] == "5"
    assert said["at 3 px"].startswith("HOTA 0.875, DetA 0.875, AssA 0.875")  # 35 of 40 frames


def test_figures_are_written_and_a_clip_that_nobody_labelled_is_left_out(lines: Path) -> None:
    more = lines.parent / "clip_2.txt"
    more.write_text("1,3,9,20,4,6,0.9,-1,-1,-1\n")
    (lines.parent / "boxes" / "clip_2.csv").write_text("frame,x,y,w,h\n")
    out = lines.parent / "figures.json"
    assert main(["--tracks", str(lines), str(more), "--data", str(lines.parent), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert (figures["clips"], figures["false_tracks"], figures["coverage"]) == (1, 0, 1.0)
    assert figures["at 8 px"]["HOTA"] == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tracks", "x.jsonl"], "--tracks: expected the folder of the boxes"),
        ([], "expected --images and --masks, or --tracks and --data"),
        (["--tracks", "out.jsonl", "out.jsonl", "--data", "."], "expected every clip once, found clip_1 in another"),
        (
            ["--tracks", "out.jsonl", "--data", ".", "--plots", "p"],
            "--plots: expected no flag of images beside --tracks",
        ),
        (["--tracks", "out.jsonl", "--data", ".", "--json", "out.jsonl"], "--json out.jsonl"),
    ],
)
def test_what_is_missing_or_double_is_one_line(
    lines: Path, flags: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lines.parent)
    assert main(flags) in (2, 7, 9)
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
