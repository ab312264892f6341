"""What is held back where a data set has no splits: whole recordings, or else the end of each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from lpnet_rt_data import sample, write_clip, write_samples

from lpnet_rt.training.data.clips import clip_frames
from lpnet_rt.training.data.data_set import DataSet, Entry
from lpnet_rt.training.data.recordings import hold_back, recording_of
from lpnet_rt.training.data.roles import training_frames, validation_frames
from lpnet_rt.training.recipes.data import DataSetsRecipe, PartRecipe

RULE = (1, 5)


def images(root: Path, **recordings: tuple[int, bool]) -> DataSet:
    """A data set of recordings with so many frames, and targets in all of them or in none."""
    entries = []
    for name, (count, has_target) in recordings.items():
        mask = root / f"{name}.png"
        assert cv2.imwrite(str(mask), np.full((8, 8), 255 * has_target, np.uint8))
        entries += [Entry(f"{name}_{i:04}", None, root / "image.png", mask) for i in range(count)]
    return DataSet(root, "plain", tuple(entries))


def recordings(entries: tuple[Entry, ...]) -> set[str]:
    return {recording_of(entry.name) for entry in entries}


@pytest.mark.parametrize(
    ("name", "recording"),
    [("mast_0012", "mast"), ("0012", ""), ("2024-05-01_cam1-7", "2024-05-01_cam1"), ("sky", "sky"), ("a.12", "a")],
)
def test_the_recording_of_a_name(name: str, recording: str) -> None:
    assert recording_of(name) == recording


def test_whole_recordings_are_held_back_with_targets_and_without(tmp_path: Path) -> None:
    sizes = {**{f"t{i}": (10, True) for i in range(8)}, **{f"e{i}": (5, False) for i in range(6)}}
    data = images(tmp_path, **{name.replace("0", "x"): size for name, size in sizes.items()})
    train, kept = hold_back(data, 0.2, RULE)
    assert set(train) | set(kept) == set(data.entries)
    assert not recordings(train) & recordings(kept)
    assert sum(e.name.startswith("t") for e in kept) == 20
    assert sum(e.name.startswith("e") for e in kept) == 10
    assert hold_back(data, 0.2, RULE) == (train, kept)


def test_images_with_boxes_hold_targets_too(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("x,y,w,h\n3,3,2,2\n")
    (tmp_path / "none.csv").write_text("x,y,w,h\n")
    entries = tuple(
        Entry(f"{kind}{recording}_{i}", None, tmp_path / "image.png", None, boxes=tmp_path / f"{kind}.csv")
        for kind in ("some", "none")
        for recording in "abcd"
        for i in range(3)
    )
    train, kept = hold_back(DataSet(tmp_path, "plain", entries), 0.2, RULE)
    assert (len(train), len(kept)) == (18, 6)
    assert sum(entry.name.startswith("some") for entry in kept) == 3


def test_one_recording_gives_its_end(tmp_path: Path) -> None:
    train, kept = hold_back(images(tmp_path, mast=(10, True)), 0.2, RULE)
    assert [entry.name for entry in kept] == ["mast_0008", "mast_0009"]
    assert len(train) == 8


def test_two_recordings_of_a_size_give_their_ends(tmp_path: Path) -> None:
    train, kept = hold_back(images(tmp_path, east=(10, True), west=(10, True)), 0.2, RULE)
    assert [entry.name for entry in kept] == ["east_0008", "east_0009", "west_0008", "west_0009"]
    assert len(train) == 16


def test_nothing_of_nothing(tmp_path: Path) -> None:
    assert hold_back(DataSet(tmp_path, "plain"), 0.2, RULE) == ((), ())


def test_clips_go_by_their_numbers_or_are_drawn_or_give_their_ends(tmp_path: Path) -> None:
    def clips(*names: str) -> DataSet:
        for name in names:
            write_clip(tmp_path, name, frames=5)
        files = (tmp_path / "clips", tmp_path / "boxes")
        entries = tuple(Entry(name, None, files[0] / f"{name}.mp4", files[1] / f"{name}.csv") for name in names)
        return DataSet(tmp_path, "clips", entries, clips=True)

    train, kept = hold_back(clips("c1", "c2", "c3"), 0.2, RULE)
    assert ([e.name for e in train], [e.name for e in kept]) == (["c2", "c3"], ["c1"])
    train, kept = hold_back(clips("east", "north", "west"), 0.2, RULE)
    assert (len(train), len(kept)) == (2, 1)
    train, kept = hold_back(clips("east"), 0.4, RULE)
    assert [frame.index for frame in clip_frames(train[0], 1)] == [0, 1, 2]
    assert [frame.index for frame in clip_frames(kept[0], 1)] == [3, 4]


def test_a_recipe_holds_recordings_back(tmp_path: Path) -> None:
    write_samples(tmp_path / "images", "all", [sample(i, (40.0, 40.0)) for i in range(10)])
    (tmp_path / "images" / "splits" / "all.txt").unlink()
    for name in ("east", "north", "west"):
        write_clip(tmp_path / "video", name, frames=1)
    recipe = DataSetsRecipe(
        root=str(tmp_path),
        train=(PartRecipe(folder="images"), PartRecipe(folder="video")),
        validation=(),
        validation_share=0.2,
        held_back_by="recording",
        video_crops=4,
    )
    train, validation = (
        [f.clip or f.name for f in frames] for frames in (training_frames(recipe), validation_frames(recipe))
    )
    assert [name for name in validation if name.startswith("s")] == ["s8", "s9"]
    assert len(validation) == 3
    assert sorted(train + validation) == ["east", "north", *(f"s{i}" for i in range(10)), "west"]
