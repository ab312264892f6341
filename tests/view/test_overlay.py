import time
from collections.abc import Sequence

import numpy as np
import pytest

from lpnet_rt.detections import Detections
from lpnet_rt.frames import Frame
from lpnet_rt.reports import Latency, Report
from lpnet_rt.view.overlay import Painter, Status, draw, picture_size_hw

STRIP_PX = 24


class SteppedClock:
    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def unix_us(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def found(boxes: list[tuple[int, int, int, int]]) -> Detections:
    n = len(boxes)
    xyxy = np.array(boxes, np.int32).reshape(n, 4)
    return Detections(
        centroid_xy=(xyxy[:, :2] + xyxy[:, 2:]).astype(np.float32) / 2,
        box_xyxy=xyxy,
        score=np.linspace(0.97, 0.5, n, dtype=np.float32),
        area_px=np.full(n, 9, np.int32),
        peak=np.full(n, 200, np.int32),
        snr=np.full(n, 8, np.float32),
    )


def report(
    image: np.ndarray, boxes: Sequence[tuple[int, int, int, int]] = (), error: str | None = None, **frame
) -> Report:
    values = {"index": 3, "source": "clip", "pts_s": 0.1, "t_capture_us": 0, "t_read_ns": 0} | frame
    return Report(Frame(image, **values), found(list(boxes)), Latency(0, 0, 0, 0, 0), np.zeros(image.shape), error)


def changed(image: np.ndarray, boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Where the detections alter the scene, the status line left out."""
    with_marks, without = draw(report(image, boxes), Status()), draw(report(image), Status())
    return (with_marks != without).any(axis=2)[:-STRIP_PX]


@pytest.mark.parametrize(
    ("size_hw", "scale"), [((256, 320), 2), ((512, 640), 1), ((1024, 1280), 1), ((100, 120), 4), ((1, 1), 4)]
)
def test_small_frames_are_enlarged_and_the_status_line_is_added_below(size_hw, scale) -> None:
    height, width = size_hw
    picture = draw(report(np.full(size_hw, 77, np.uint8)), Status("clip", 25.0))
    assert picture.shape == (height * scale + STRIP_PX, width * scale, 3)
    assert picture.dtype == np.uint8
    assert (picture[:-STRIP_PX] == 77).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_marks_stand_out_on_black_grey_and_white(level: int) -> None:
    image = np.full((512, 640), level, np.uint8)
    picture = draw(report(image, [(300, 200, 303, 203)]), Status()).astype(int)
    near = picture[180:225, 280:325]
    contrast = np.abs(near - level).max(axis=2)
    assert (contrast > 100).sum() > 40


def test_no_target_is_drawn_over_however_close_the_next_one_is() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (512, 640)).astype(np.uint8)
    corners = [(100, 100), (110, 104), (121, 96), (0, 0), (636, 0), (0, 508), (636, 508), (300, 1), (310, 12)]
    boxes = [(x, y, x + 4, y + 4) for x, y in corners]
    marks = changed(image, boxes)
    for x1, y1, x2, y2 in boxes:
        assert not marks[y1:y2, x1:x2].any()


@pytest.mark.parametrize("corner", [(0, 0), (637, 0), (0, 509), (637, 509), (320, 0), (0, 250), (637, 250), (320, 509)])
def test_a_target_at_the_edge_has_its_marks_and_its_whole_label_in_the_picture(corner) -> None:
    x, y = corner
    image = np.full((512, 640), 200, np.uint8)
    picture = draw(report(image, [(x, y, x + 3, y + 3)]), Status())[:-STRIP_PX]
    chip = (picture == 50).all(axis=2)
    rows, columns = np.nonzero(chip)
    assert np.ptp(rows) > 10
    assert np.ptp(columns) > 20
    assert min(rows.min(), columns.min()) >= 2
    assert rows.max() <= 509
    assert columns.max() <= 637
    assert max(abs(rows.mean() - y), abs(columns.mean() - x)) < 60


def test_labels_of_close_targets_do_not_cover_each_other() -> None:
    image = np.full((512, 640), 200, np.uint8)
    alone = int((draw(report(image, [(200, 200, 203, 203)]), Status()) == 50).all(axis=2).sum())
    boxes = [(200, 200, 203, 203), (214, 204, 217, 207), (206, 216, 209, 219)]
    together = int((draw(report(image, boxes), Status()) == 50).all(axis=2).sum())
    assert together > 2.7 * alone


def test_a_deep_frame_is_stretched_for_the_eye_and_left_alone_itself() -> None:
    image = np.random.default_rng(0).normal(7000, 5, (512, 640)).astype(np.uint16)
    image[200:203, 300:303] = 7100
    before = image.copy()
    picture = draw(report(image, [(300, 200, 303, 203)], bit_depth=14), Status())
    assert np.array_equal(image, before)
    assert picture[200:203, 300:303].min() - picture[300:400, 300:400].mean() > 100


def test_the_status_line_tells_of_frame_rate_drops_and_failure() -> None:
    image = np.full((512, 640), 77, np.uint8)

    def strip(**changes) -> np.ndarray:
        status = {"fps": 25.0, "title": "clip", "threshold": 0.7, "paused": False}
        values = {"error": None, "dropped": 0, "index": 3, "t_capture_us": 1_700_000_000_120_000} | changes
        status = {name: values.pop(name, value) for name, value in status.items()}
        return draw(report(image, **values), Status(**status))[-STRIP_PX:]

    plain = strip()
    shown = [{"fps": 31.0}, {"fps": None}, {"title": "other"}, {"dropped": 4}, {"index": 4}, {"error": "x\ny"}]
    shown += [{"threshold": 0.74}, {"threshold": None}, {"paused": True}, {"t_capture_us": 1_700_000_000_130_000}]
    for changes in shown:
        assert (strip(**changes) != plain).any(), changes
    assert (strip(fps=25.2) == plain).all()
    reddish = strip(error="no answer").astype(int)
    assert (reddish[:, :, 2] - reddish[:, :, 0]).max() > 100


def test_the_painter_draws_a_report_once_and_measures_the_rate() -> None:
    clock = SteppedClock()
    painter = Painter("clip", clock)
    image = np.full((64, 200), 77, np.uint8)
    first = report(image)
    picture = painter.paint(first)
    assert painter.paint(first) is picture
    assert np.array_equal(picture, draw(first, Status("clip")))
    for _ in range(20):
        clock.sleep(0.04)
        newest = report(image)
        painter.note(newest)
        painter.note(newest)
    assert np.array_equal(painter.paint(newest), draw(newest, Status("clip", 25.0)))


def test_drawing_is_quick() -> None:
    image = np.random.default_rng(0).normal(7000, 5, (512, 640)).astype(np.uint16)
    one = report(image, [(300, 200, 303, 203)], bit_depth=14)
    times_s = []
    for _ in range(20):
        started = time.perf_counter()
        draw(one, Status("clip", 25.0))
        times_s.append(time.perf_counter() - started)
    assert min(times_s) < 0.003


@pytest.mark.parametrize("size_hw", [(1080, 1918), (256, 320), (2000, 300), (3, 5)])
def test_a_picture_fits_into_the_room_there_is_and_keeps_its_aspect(size_hw) -> None:
    room_hw = (540, 720)
    height, width = picture_size_hw(size_hw, room_hw)
    assert height <= room_hw[0]
    assert width <= room_hw[1]
    scene_hw = np.array((height - STRIP_PX, width))
    assert scene_hw / size_hw == pytest.approx(scene_hw[0] / size_hw[0], abs=1 / min(size_hw))


def test_a_frame_that_is_shrunk_is_marked_at_the_size_it_is_shown_at() -> None:
    image = np.full((1600, 2000), 200, np.uint8)
    picture = draw(report(image, [(1000, 800, 1012, 812)]), Status(), (300, 400))
    assert picture.shape == (300, 400, 3)
    scene = picture[:-STRIP_PX]
    assert (scene == (70, 240, 255)).all(axis=2).sum() > 20
    rows, columns = np.nonzero((scene == 50).all(axis=2))
    assert np.ptp(rows) > 10
    assert np.ptp(columns) > 20


def test_marks_stand_around_the_target_where_bars_fill_the_rest() -> None:
    image = np.full((400, 400), 60, np.uint8)
    image[100:110, 300:310] = 220
    picture = draw(report(image, [(300, 100, 310, 110)]), Status(), (400 + STRIP_PX, 1000))
    assert (picture[100:110, 600:610] == 220).all()
    assert not picture[:-STRIP_PX, :300].any()
    rows, columns = np.nonzero((picture[:-STRIP_PX] == (70, 240, 255)).all(axis=2))
    assert columns.min() < 600 < 610 <= columns.max()
    assert rows.min() < 100 < 110 <= rows.max()


def test_a_report_that_stands_still_does_not_count_for_the_rate() -> None:
    clock = SteppedClock()
    painter, twin = Painter("clip", clock), Painter("clip", clock)
    image = np.full((64, 200), 77, np.uint8)
    still = report(image)
    for _ in range(20):
        clock.sleep(0.04)
        newest = report(image)
        painter.note(newest)
        painter.paint_paused(still)
        twin.note(newest)
    assert np.array_equal(painter.paint(newest), twin.paint(newest))


@pytest.mark.parametrize("size_hw", [(1, 1), (4, 28), (30, 2000), (64, 64)])
def test_any_size_can_be_drawn(size_hw) -> None:
    assert draw(report(np.full((512, 640), 77, np.uint8), [(3, 3, 6, 6)]), Status("clip"), size_hw).shape[:2] == size_hw
