from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from track_clips import any_profile, moving_and_standing_clips

from lpnet_rt.detections import candidate_pixels
from lpnet_rt.errors import DataError
from lpnet_rt.frames import Frame
from lpnet_rt.tracking import Tracker, detect_with_weak
from lpnet_rt.training.tracks.recording import load_recording, record, save_recording
from lpnet_rt.training.tracks.replay import replay


def _frames(count: int = 40) -> list[tuple[Frame, np.ndarray]]:
    """A target on a textured background that pans, and score maps that mark it."""
    rng = np.random.default_rng(5)
    scene = cv2.GaussianBlur(rng.normal(0, 1, (200, 320)), (0, 0), 3)
    scene = (scene - scene.min()) / np.ptp(scene) * 120 + 40
    frames = []
    for index in range(count):
        image = scene[20:148, 100 - index : 292 - index].copy()
        x, y = 30 + 2 * index, 60
        image[y - 1 : y + 2, x - 1 : x + 2] = 250
        scores = np.zeros(image.shape, np.float32)
        scores[y - 1 : y + 2, x - 1 : x + 2] = 0.9 if index % 4 else 0.3
        frames.append((Frame(image.astype(np.uint8), index, "clip", index / 30.0, 0, 0), scores))
    return frames


def test_a_replayed_recording_gives_the_tracks_of_the_video() -> None:
    frames = _frames()
    recording = record("clip", ((frame, candidate_pixels(scores, 0.1)) for frame, scores in frames), 0.74, 0.1)
    tracker = Tracker(any_profile())
    live = []
    for frame, scores in frames:
        detections = detect_with_weak(candidate_pixels(scores, 0.1), frame.image, 0.74, 0.1)
        tracks = tracker.update(frame.image, detections, frame.pts_s or 0.0).tracks
        live += [(frame.index, int(i), *xy) for i, s, xy in zip(tracks.id, tracks.state, tracks.xy, strict=True) if s]
    path = replay(recording, any_profile())
    assert len(path.frame) > 20
    np.testing.assert_allclose(np.column_stack((path.frame, path.track_id, path.xy)), live)


def test_a_file_keeps_a_recording(tmp_path: Path) -> None:
    recording, _ = moving_and_standing_clips(1)[0]
    path = tmp_path / f"{recording.name}.npz"
    save_recording(recording, path)
    again = load_recording(path)
    assert (again.name, again.size_hw, len(again)) == (recording.name, recording.size_hw, len(recording))
    for (t_s, one, motion), (other_s, other, other_motion) in zip(recording.frames(), again.frames(), strict=True):
        assert (t_s, motion) == (other_s, other_motion)
        np.testing.assert_array_equal(one.centroid_xy, other.centroid_xy)
        np.testing.assert_array_equal(one.score, other.score)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 damaged"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"expected a recording.*delete it and record again"):
        load_recording(tmp_path / "clip.npz")


def test_a_clip_without_frames_is_an_empty_recording() -> None:
    recording = record("clip", [], 0.74, 0.1)
    assert len(recording) == 0
    assert replay(recording, any_profile()).frames == 0
