from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.camera_text import TextFinder, TextFindings
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source

SIZE_HW = (256, 320)
CLIPS = (
    Path(os.environ.get("LPNET_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "irvideo" / "clips"
)


def scene(speed_px: int, count: int = 30) -> Iterator[np.ndarray]:
    """A soft landscape that passes by, with sensor noise."""
    rng = np.random.default_rng(7)
    wide = cv2.GaussianBlur(rng.normal(0, 300, (SIZE_HW[0], 1200)), (0, 0), 6)
    for index in range(count):
        view = wide[:, index * speed_px : index * speed_px + SIZE_HW[1]]
        yield np.clip(110 + view + rng.normal(0, 2, SIZE_HW), 0, 255).astype(np.uint8)


def find(images: Iterator[np.ndarray]) -> TextFindings:
    finder = TextFinder(SIZE_HW)
    for image in images:
        finder.add(image)
    return finder.find()


def written(image: np.ndarray) -> np.ndarray:
    return cv2.putText(image.copy(), "WHITE HOT", (30, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255)  # type: ignore[no-any-return]


def test_text_before_a_scene_that_moves_is_one_box_around_it() -> None:
    found = find(written(image) for image in scene(4))
    assert not found.stands_still
    ((x1, y1, x2, y2),) = found.boxes_xyxy.tolist()
    rows, columns = np.nonzero(written(np.zeros(SIZE_HW, np.uint8)))
    assert (x1, y1, x2, y2) == pytest.approx((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), abs=4)


def test_nothing_is_found_where_nothing_is_written() -> None:
    found = find(scene(4))
    assert not found.stands_still
    assert found.boxes_xyxy.shape == (0, 4)


def test_a_patch_that_stays_is_no_text() -> None:
    def blotted() -> Iterator[np.ndarray]:
        for image in scene(4):
            image[100:115, 50:80] = 255
            yield image

    assert len(find(blotted()).boxes_xyxy) == 0


def test_a_scene_that_stands_still_is_said_to() -> None:
    fence = np.tile(np.array([40] * 4 + [220] * 4, np.uint8), (SIZE_HW[0], SIZE_HW[1] // 8))
    found = find(written(fence) for _ in range(10))
    assert found.stands_still
    assert len(found.boxes_xyxy) == 0
    assert TextFinder(SIZE_HW).find().stands_still, "without a frame"


def test_deep_frames_are_judged_by_their_own_range() -> None:
    found = find(written(image).astype(np.uint16) * 20 + 7000 for image in scene(4))
    assert len(found.boxes_xyxy) == 1


def test_zones_have_a_margin_and_stay_inside_the_frame() -> None:
    boxes = np.array([[2, 3, 40, 12], [300, 240, 320, 256]], np.int32)
    first, second = TextFindings(boxes, False).zones("mast", SIZE_HW)
    assert first.points == ((0, 0), (43, 0), (43, 15), (0, 15))
    assert second.points == ((296, 236), (319, 236), (319, 255), (296, 255))
    assert (first.name, second.name, first.kind, first.source) == ("text-1", "text-2", "ignore", "mast")


@pytest.mark.data
@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs the infrared clips (LPNET_DATA or ../shared/data)")
@pytest.mark.parametrize(
    ("clip", "places_xy"),
    [
        ("IR_AIRPLANE_062", [(60, 25), (280, 27), (290, 240), (15, 244)]),
        ("IR_AIRPLANE_063", [(60, 25), (280, 27), (290, 240), (15, 244)]),
        ("IR_DRONE_077", []),
        ("IR_HELICOPTER_013", []),
    ],
)
def test_text_of_real_cameras(clip: str, places_xy: list[tuple[int, int]]) -> None:
    source = open_source(SourceSettings(spec=str(CLIPS / f"{clip}.mp4")))
    boxes = find(frame.image for number, frame in enumerate(source) if number % 6 == 0).boxes_xyxy
    source.close()
    inside = [[x1 <= x < x2 and y1 <= y < y2 for x1, y1, x2, y2 in boxes.tolist()] for x, y in places_xy]
    assert len(boxes) == len(places_xy)
    assert all(any(row) for row in inside)
