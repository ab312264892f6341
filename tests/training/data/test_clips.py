"""Clips with boxes: found, read at full depth, with what is ignored, damage named."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from lpnet_rt_data import SIZE, blob, sky, write_clip

from lpnet_rt.errors import DataError
from lpnet_rt.training.data.check import check
from lpnet_rt.training.data.clips import clip_frames, clip_is_held_back, read_boxes, read_clip, read_clip_labels
from lpnet_rt.training.data.convert import ConvertOptions, convert
from lpnet_rt.training.data.frames import IGNORE, LabelledFrame
from lpnet_rt.training.data.layouts import open_data_set, recognise


def frames(root: Path, stride: int = 1, target_free: bool = False) -> list[LabelledFrame]:
    return [one for clip in open_data_set(root).entries for one in clip_frames(clip, stride, target_free, "CC0-1.0")]


def write_deep_clip(root: Path, pixel_format: str, counts: list[np.ndarray]) -> Path:
    """A lossless FFV1 clip of raw counts in MKV, with a box around (42, 47) in every frame."""
    for folder in ("clips", "boxes"):
        (root / folder).mkdir(parents=True)
    path = root / "clips" / "deep_1.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width = counts[0].shape
        stream.pix_fmt = pixel_format
        for image in counts:
            frame = av.VideoFrame.from_ndarray(image, "gray16le")
            if pixel_format != "gray16le":  # no conversion: its counts are those of 16 bits
                narrow = av.VideoFrame(image.shape[1], image.shape[0], pixel_format)
                lines = np.zeros((image.shape[0], narrow.planes[0].line_size // 2), np.uint16)
                lines[:, : image.shape[1]] = image
                narrow.planes[0].update(lines.tobytes())
                frame = narrow
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (root / "boxes" / "deep_1.csv").write_text(
        "frame,x,y,w,h\n" + "".join(f"{i},35,40,14,14\n" for i in range(len(counts)))
    )
    return path


@pytest.mark.parametrize(("pixel_format", "bit_depth"), [("gray16le", 16), ("gray12le", 12)])
def test_deep_clips_stay_deep(tmp_path: Path, pixel_format: str, bit_depth: int) -> None:
    counts = [(1500 + 8 * (sky(seed) + 100 * blob(42, 47))).astype(np.uint16) for seed in range(3)]
    write_deep_clip(tmp_path, pixel_format, counts)
    read = frames(tmp_path)
    assert [(one.bit_depth, one.image.dtype) for one in read] == [(bit_depth, np.uint16)] * 3
    for one, written in zip(read, counts, strict=True):
        np.testing.assert_array_equal(one.image, written)
        assert one.truth.mask[47, 42] == 255


def test_labelled_frames_of_a_clip(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip_1", frames=5)
    (tmp_path / "unlabelled.csv").write_text("clip,frame,x,y,why\nclip_1,2,80,80,a bird\nclip_2,0,1,1,another\n")
    assert recognise(tmp_path) == "clips"
    first, second, third = frames(tmp_path, stride=2)
    assert (first.name, first.clip, first.index, first.role) == ("clip_1:0", "clip_1", 0, "video")
    assert (third.index, third.source, third.licence) == (4, tmp_path.name, "CC0-1.0")
    assert second.truth.ignored_xy.tolist() == [[80.0, 80.0]]
    assert (second.truth.mask[80, 80], third.truth.mask[80, 80]) == (IGNORE, 0)
    labels = read_clip_labels(tmp_path, "clip_1")
    assert (sorted(labels.boxes_xywh), list(labels.ignored_xy)) == ([0, 1, 2, 3, 4], [2])
    (tmp_path / "unlabelled.csv").write_text("frame,x,y\n2,80,80\n")
    with pytest.raises(DataError, match=r"unlabelled\.csv: expected lines of clip,frame,x,y: 'clip'"):
        read_clip_labels(tmp_path, "clip_1")


def test_frames_without_boxes_can_be_taken_as_target_free(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip_1", frames=6)
    (tmp_path / "boxes" / "clip_1.csv").write_text("frame,x,y,w,h\n0,23,33,14,14\n")
    assert [(one.index, one.role) for one in frames(tmp_path, 2, target_free=True)] == [
        (2, "target-free"),
        (4, "target-free"),
    ]


def test_points_are_boxes_without_a_size(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame,x,y\n3,30.5,40\n")
    assert {index: boxes.tolist() for index, boxes in read_boxes(tmp_path / "a.csv").items()} == {
        3: [[22.5, 32.0, 16.0, 16.0]]
    }


def test_clips_have_splits_too(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_clip(tmp_path, name, frames=1)
    assert [(clip.name, clip.split) for clip in open_data_set(tmp_path).entries] == [
        ("a", None),
        ("b", None),
        ("c", None),
    ]
    (tmp_path / "train.txt").write_text("c\na.mp4\n")
    assert [(clip.name, clip.split) for clip in open_data_set(tmp_path).entries] == [("c", "train"), ("a", "train")]
    (tmp_path / "train.txt").write_text("d\n")
    with pytest.raises(DataError, match="d: expected a clip, as the split train names one, found none"):
        frames(tmp_path)


@pytest.mark.parametrize(("name", "held"), [("clip_1", True), ("IR_016", True), ("clip_5", False), ("clip", False)])
def test_which_clips_are_held_back(name: str, held: bool) -> None:
    assert clip_is_held_back(name, 1, 5) is held


def test_a_clip_is_read_whole_where_nothing_is_wanted(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip_1", frames=4)
    read = list(read_clip(tmp_path / "clips" / "clip_1.mp4"))
    assert [(index, image.shape, depth) for index, image, depth in read] == [(i, (SIZE, SIZE), 8) for i in range(4)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "boxes" / "clip_1.csv").unlink(), "expected lines of frame,x,y,w,h"),
        (lambda root: (root / "boxes" / "clip_1.csv").write_text("a,b\n1,2\n"), "expected lines of frame,x,y,w,h"),
        (
            lambda root: (root / "boxes" / "clip_1.csv").write_text("frame,x,y\n9,1,2\n"),
            "expected frame 9, .* found 2 fr",
        ),
        (lambda root: (root / "clips" / "clip_1.mp4").write_text("no video"), "not a video that can be read"),
        (lambda root: (root / "clips" / "clip_1.mp4").unlink(), r"expected clips/\*\.mp4 .*, found none"),
    ],
)
def test_damaged_video_data_are_named(tmp_path: Path, damage, message: str) -> None:
    write_clip(tmp_path, "clip_1", frames=2)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        frames(tmp_path)


def test_clips_are_no_images_to_convert(tmp_path: Path) -> None:
    write_clip(tmp_path / "clips", "clip_1", frames=1)
    with pytest.raises(DataError, match="expected images in the layout clips, found none"):
        convert(ConvertOptions(tmp_path / "clips", tmp_path / "out"))


def test_labelled_frames_of_clips_are_checked(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip_1", frames=3)
    write_clip(tmp_path, "clip_2", frames=2)
    found = check(tmp_path)
    assert (found.layout, found.problems) == ("clips", ())
    assert (found.splits[0].images, found.splits[0].targets) == (5, 5)
    (tmp_path / "boxes" / "clip_1.csv").write_text("frame,x,y,w,h\n0,500,5,9,9\n7,5,5,9,9\n")
    assert [(problem.kind, problem.name) for problem in check(tmp_path).problems] == [
        ("box_outside", "clip_1"),
        ("unreadable", "clip_1"),
    ]
