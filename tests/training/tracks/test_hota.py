from __future__ import annotations

import numpy as np
import pytest

from lpnet_rt.training.tracks.hota import clip_hota, combine_hota
from lpnet_rt.training.tracks.replay import TrackPath
from lpnet_rt.training.tracks.truth import ClipTruth

_LIMIT_PX = 4.0


def _clip(seed: int, frames: int = 30) -> tuple[TrackPath, ClipTruth]:
    """Three targets and tracks that follow them badly: noise, misses, false places, exchanged numbers."""
    rng = np.random.default_rng(seed)
    start, step = rng.uniform(20, 80, (3, 2)), rng.normal(0, 1, (3, 2))
    boxes, ids, places = {}, {}, []
    for frame in range(frames):
        centres = start + step * frame
        seen = np.flatnonzero(rng.random(3) < 0.9)
        boxes[frame] = np.concatenate((centres[seen] - 3.5, np.full((len(seen), 2), 8.0)), axis=1)
        ids[frame] = seen + 1
        numbers = (2, 1, 3, 4) if frame > frames // 2 else (1, 2, 3, 4)
        for target in np.flatnonzero(rng.random(3) < 0.8):
            places.append((frame, numbers[target], *(centres[target] + rng.normal(0, 1.5, 2))))
        if rng.random() < 0.3:
            places.append((frame, numbers[3], *rng.uniform(0, 100, 2)))
    columns = np.array(places)
    numbered = columns[:, 0].astype(np.int64)
    path = TrackPath(
        numbered, columns[:, 1].astype(np.int64), columns[:, 2:], np.zeros(len(numbered), np.bool_), frames
    )
    return path, ClipTruth(boxes, ids, {})


def test_perfect_tracks_reach_one() -> None:
    _, truth = _clip(0)
    parts = [
        (frame, int(i), *xy)
        for frame in range(30)
        for i, xy in zip(truth.target_ids[frame], truth.centres_at(frame), strict=True)
    ]
    columns = np.array(parts)
    numbered = columns[:, 0].astype(np.int64)
    path = TrackPath(numbered, columns[:, 1].astype(np.int64), columns[:, 2:], np.zeros(len(numbered), np.bool_), 30)
    assert combine_hota([clip_hota(path, truth, _LIMIT_PX)]).hota == pytest.approx(1.0)


def test_without_tracks_there_is_no_association() -> None:
    _, truth = _clip(0)
    none = np.zeros(0, np.int64)
    hota = combine_hota(
        [clip_hota(TrackPath(none, none, np.zeros((0, 2)), none.astype(np.bool_), 30), truth, _LIMIT_PX)]
    )
    assert (hota.hota, hota.detection, hota.association) == (None, 0.0, None)


def test_an_exchange_of_numbers_costs_association_and_no_detection() -> None:
    boxes = {frame: np.array([[0.0, 0.0, 2.0, 2.0]]) for frame in range(20)}
    truth = ClipTruth(boxes, {frame: np.array([1]) for frame in range(20)}, {})
    frame, xy = np.arange(20), np.full((20, 2), 0.5)
    whole = TrackPath(frame, np.ones(20, np.int64), xy, np.zeros(20, np.bool_), 20)
    halves = TrackPath(frame, np.repeat([1, 2], 10), xy, np.zeros(20, np.bool_), 20)
    one, two = (combine_hota([clip_hota(path, truth, _LIMIT_PX)]) for path in (whole, halves))
    assert (one.detection, one.association) == (1.0, 1.0)
    assert two.detection == 1.0
    assert two.association == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_one_of_the_reference_implementation(seed: int) -> None:
    reference = pytest.importorskip("trackeval", reason="trackeval is not installed")
    path, truth = _clip(seed)
    data: dict[str, object] = {"num_timesteps": path.frames, "gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    track_numbers = {number: index for index, number in enumerate(np.unique(path.track_id).tolist())}
    for frame in range(path.frames):
        part = path.at(frame)
        gap = truth.centres_at(frame)[:, None] - path.xy[part][None]
        data["gt_ids"].append(truth.target_ids[frame] - 1)  # type: ignore[attr-defined]
        numbers = np.array([track_numbers[n] for n in path.track_id[part].tolist()], np.int64)
        data["tracker_ids"].append(numbers)  # type: ignore[attr-defined]
        similarity = np.maximum(0.0, 1.0 - np.hypot(gap[..., 0], gap[..., 1]) / (2.0 * _LIMIT_PX))
        data["similarity_scores"].append(similarity)  # type: ignore[attr-defined]
    data["num_gt_ids"], data["num_tracker_ids"] = 3, len(track_numbers)
    data["num_gt_dets"] = sum(len(ids) for ids in truth.target_ids.values())
    data["num_tracker_dets"] = len(path.frame)
    metric = reference.metrics.HOTA()
    result = metric.eval_sequence(data)
    level = int(np.argmin(np.abs(metric.array_labels - 0.5)))
    ours = combine_hota([clip_hota(path, truth, _LIMIT_PX)])
    assert ours.hota == pytest.approx(float(result["HOTA"][level]), abs=1e-9)
    assert ours.detection == pytest.approx(float(result["DetA"][level]), abs=1e-9)
    assert ours.association == pytest.approx(float(result["AssA"][level]), abs=1e-9)
