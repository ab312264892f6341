"""Samples of LPNet-RT's training: what is held back, truth from boxes, damage named."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from lpnet_rt_data import SIZE, blob, sample, write_clip, write_samples

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.samples import IGNORE, clip_is_held_back, load_masked, load_training_samples, load_video
from lpnet_rt.training.recipes.lpnet_rt import Recipe
from lpnet_rt.training.tasks.validate import ValidationSet


def test_samples_are_read_with_what_is_held_back_left_out(recipe: Recipe) -> None:
    masked, empty, video = load_training_samples(recipe.data)
    assert [one.name for one in masked] == ["s0", "s1", "s2", "s3"]
    assert [one.name for one in empty] == ["s10", "s11", "s12"]
    assert [one.name for one in video] == ["clip_2:0", "clip_2:2", "clip_2:4"]  # 6 leaves 1 when divided by 5
    part = msgspec.structs.replace(recipe.validation, video_stride=3)
    judged = ValidationSet.load(msgspec.structs.replace(recipe, validation=part))
    assert [one.name for one in judged.masked] == ["s20"]
    assert [one.name for one in judged.empty] == ["s21"]
    assert [one.name for one in judged.video] == ["clip_6:0", "clip_6:3"]


@pytest.mark.parametrize(("name", "held"), [("clip_1", True), ("IR_016", True), ("clip_5", False), ("clip", False)])
def test_which_clips_are_held_back(name: str, held: bool) -> None:
    assert clip_is_held_back(name, 1, 5) is held


def test_truth_is_made_from_loose_boxes(folders: tuple[Path, Path]) -> None:
    for one in load_video(folders[1], 1, (1, 5), keep_held_back=True):
        x, y, w, h = one.boxes[0]
        expected = np.argwhere(blob(x + 7, y + 7) >= 0.5)
        target = np.argwhere(one.truth == 255)
        np.testing.assert_allclose(target.mean(axis=0), expected.mean(axis=0), atol=0.5)
        assert len(target) == pytest.approx(len(expected), abs=4)
        grown = np.zeros((SIZE, SIZE), bool)
        grown[round(y) - 2 : round(y + h) + 2, round(x) - 2 : round(x + w) + 2] = True
        assert (one.truth[~grown] == 0).all()
        assert set(np.unique(one.truth[grown])) == {IGNORE, 255}


def test_a_box_around_nothing_is_ignored_as_a_whole(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip_1", frames=1)
    (tmp_path / "boxes" / "clip_1.csv").write_text("frame,x,y,w,h\n0,60,10,12,12\n0,-20,-20,5,5\n")
    (one,) = load_video(tmp_path, 1, (1, 5), keep_held_back=True)
    assert not one.has_target
    assert (one.truth == IGNORE).sum() == 16 * 16


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "boxes" / "clip_1.csv").unlink(), "expected lines of frame,x,y,w,h"),
        (lambda root: (root / "boxes" / "clip_1.csv").write_text("a,b\n1,2\n"), "expected lines of frame,x,y,w,h"),
        (lambda root: (root / "clips" / "clip_1.mp4").write_text("no video"), "expected a video that can be read"),
        (lambda root: (root / "clips" / "clip_1.mp4").unlink(), r"expected clips/\*\.mp4, found none"),
    ],
)
def test_damaged_video_data_are_named(tmp_path: Path, damage, message: str) -> None:
    write_clip(tmp_path, "clip_1", frames=2)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        load_video(tmp_path, 1, (1, 5), keep_held_back=True)


def test_damaged_masks_are_named(tmp_path: Path) -> None:
    write_samples(tmp_path, "v1_train", [sample(0, (40.0, 40.0))])
    cv2.imwrite(str(tmp_path / "masks" / "s0.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"s0: expected a mask of the image's size \(96, 96\), found \(9, 9\)"):
        load_masked(tmp_path, ("v1_train",))
    (tmp_path / "masks" / "s0.png").unlink()
    with pytest.raises(DataError, match=r"masks/s0: expected \.png, .*, found no such file; copy the data again"):
        load_masked(tmp_path, ("v1_train",))
    (tmp_path / "splits" / "v1_train.txt").write_text("\n")
    with pytest.raises(DataError, match="expected one image name a line, found none"):
        load_masked(tmp_path, ("v1_train",))
    with pytest.raises(DataError, match="expected a split file with one name a line, found none"):
        load_masked(tmp_path, ("v9",))
