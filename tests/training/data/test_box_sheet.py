"""The contact sheet of masks that are drawn from boxes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from lpnet_rt_data import write_clip

from lpnet_rt.training.data.box_sheet import contact_sheet, main


def test_a_sheet_shows_training_clips_only(tmp_path: Path) -> None:
    for number in range(1, 4):
        write_clip(tmp_path / "set", f"clip_{number}", frames=2)
    sheet = contact_sheet(tmp_path / "set", 30, seed=1)
    assert sheet.shape == (164, 6 * 300, 3)
    empty = [not sheet[:, start : start + 300].any() for start in range(0, 1800, 300)]
    assert empty == [False, False, True, True, True, True]  # clip_1 is held back
    assert (sheet == np.array((60, 60, 255))).all(axis=-1).any()
    assert main([str(tmp_path / "set"), "--out", str(tmp_path / "sheet.png"), "--count", "1"]) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == sheet.shape


def test_without_clips_there_is_no_sheet(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "sheet.png")]) == 9
