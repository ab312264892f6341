"""Targets without a box: what moves and scores well is listed; lamps, and what has a box, are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from track_clips import FRAMES, any_profile, moving_and_standing_clips

from lpnet_rt.training.data.clips import read_clip_labels
from lpnet_rt.training.data.frames import IGNORE, Truth
from lpnet_rt.training.tracks.__main__ import main
from lpnet_rt.training.tracks.recording import save_recording
from lpnet_rt.training.tracks.unlabelled import find_unlabelled


def test_a_moving_track_without_a_box_is_found_and_the_lamp_is_not() -> None:
    (found,) = find_unlabelled(moving_and_standing_clips(1, labelled=False), any_profile())
    frames, x, y = np.array(found.places).T
    assert len(frames) > FRAMES / 2
    np.testing.assert_allclose(x, 20.0 + 1.5 * frames, atol=1.0)
    np.testing.assert_allclose(y, 30.0 + 0.5 * frames, atol=1.0)


def test_a_target_with_a_box_is_not_listed() -> None:
    assert not list(find_unlabelled(moving_and_standing_clips(1), any_profile()))


def test_the_list_is_ignored_in_training(tmp_path: Path) -> None:
    (recording, _) = moving_and_standing_clips(1, labelled=False)[0]
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / f"{recording.name}.csv").write_text("frame,x,y,w,h\n")
    save_recording(recording, tmp_path / f"{recording.name}.npz")
    out = tmp_path / "places.csv"
    flags = ["--data", str(tmp_path), "--recordings", str(tmp_path), "--out", str(out)]
    assert main(["unlabelled", *flags, "--held-back", "3", "5"]) == 0
    places = read_clip_labels(tmp_path, recording.name, out).ignored_xy
    x, y = places[40][0]
    truth = Truth.from_boxes(np.zeros((120, 160), np.uint8), np.zeros((0, 4)), places[40])
    assert truth.mask[round(y), round(x)] == IGNORE
    assert truth.mask[90, 120] == 0  # the lamp
