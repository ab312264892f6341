from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.tracks.truth import inside_boxes, load_truth


def _write(root: Path, lines: list[str]) -> Path:
    (root / "boxes").mkdir()
    (root / "boxes" / "A_001.csv").write_text("frame,x,y,w,h\n" + "".join(f"{line}\n" for line in lines))
    return root


def test_targets_are_numbered_through_gaps_and_crossings_of_the_list(tmp_path: Path) -> None:
    lines = []
    for frame in range(12):
        if frame in (4, 5):
            continue
        first, second = f"{frame},{10 + 2 * frame},10,8,8", f"{frame},{200 - 2 * frame},90,8,8"
        lines += [first, second] if frame % 2 else [second, first]
    truth = load_truth(_write(tmp_path, lines), "A_001")
    numbers = {}
    for frame, boxes in truth.boxes.items():
        for number, box in zip(truth.target_ids[frame], boxes, strict=True):
            numbers.setdefault(int(number), set()).add(float(box[1]))
    assert numbers == {1: {90.0}, 2: {10.0}}


def test_a_box_far_away_is_another_target(tmp_path: Path) -> None:
    truth = load_truth(_write(tmp_path, ["0,10,10,8,8", "1,200,200,8,8", "40,200,200,8,8"]), "A_001")
    assert [truth.target_ids[frame].tolist() for frame in (0, 1, 40)] == [[1], [2], [3]]


def test_the_first_frames_of_each_run_are_left_out(tmp_path: Path) -> None:
    lines = [f"{frame},10,10,8,8" for frame in (*range(5), *range(10, 25))]
    truth = load_truth(_write(tmp_path, lines), "A_001")
    assert truth.settled_frames(10) == [20, 21, 22, 23, 24]
    assert truth.settled_frames(3) == [3, 4, *range(13, 25)]


def test_centres_count_pixels_from_the_middle_of_the_first(tmp_path: Path) -> None:
    truth = load_truth(_write(tmp_path, ["0,10,20,4,6"]), "A_001")
    assert truth.centres_at(0).tolist() == [[11.5, 22.5]]
    assert truth.centres_at(1).shape == (0, 2)


def test_a_place_is_in_a_box_up_to_its_margin() -> None:
    places = np.array([[6.0, 20.0], [5.9, 20.0], [22.0, 28.0], [22.1, 28.0]])
    inside = inside_boxes(places, np.array([[10.0, 10.0, 8.0, 14.0]]))
    assert inside[:, 0].tolist() == [True, False, True, False]


def test_places_that_count_neither_way_are_ten_pixels_wide(tmp_path: Path) -> None:
    (tmp_path / "unlabelled.csv").write_text("clip,frame,x,y,why\nA_001,3,50,60,bird\n")
    truth = load_truth(_write(tmp_path, ["0,10,10,8,8"]), "A_001")
    places = np.array([[50.0, 70.0], [50.0, 70.1]])
    assert truth.is_ignored(3, places).tolist() == [True, False]
    assert truth.is_ignored(4, places).tolist() == [False, False]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "unlabelled.csv").write_text("clip,frame,x\nA_001,3,50\n")
    with pytest.raises(DataError, match="expected lines of clip,frame,x,y"):
        load_truth(_write(tmp_path, ["0,10,10,8,8"]), "A_001")
