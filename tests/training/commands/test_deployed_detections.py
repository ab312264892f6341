"""What ``evaluate`` counts is what ``run`` publishes, on real frames where a plain cut at the threshold differs."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.detections import detect
from lpnet_rt.detector import Detector
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.commands.evaluate import EvaluateOptions, judge

DATA = Path(os.environ.get("LPNET_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
FRAMES = ("other-13", "other-11")
THRESHOLDS = (0.8, 0.85)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "sirst").is_dir(), reason=f"no SIRST frames in {DATA}; set LPNET_DATA")
def test_evaluate_and_run_agree_on_target_free_frames(tmp_path):
    split = tmp_path / "split.txt"
    split.write_text("\n".join(FRAMES))
    images, masks = DATA / "sirst" / "images", DATA / "sirst" / "masks"
    detector = Detector.load(DetectorSettings(engine="onnxruntime", precision="f32", threshold=THRESHOLDS[0]))
    seen = []

    def score(image):
        seen.append((image, detector.score_map(image).copy()))
        return seen[-1][1]

    points = {
        point.threshold: point for point in judge(EvaluateOptions(images, masks, split, model=score)).curve.points
    }
    for threshold in THRESHOLDS:
        found = sum(len(detect(scores, image, threshold)) for image, scores in seen)
        cut = sum(cv2.connectedComponents((scores >= threshold).view(np.uint8))[0] - 1 for _, scores in seen)
        assert points[threshold].false_per_empty_frame == found / len(FRAMES)
        assert found < cut  # cut at the threshold, blobs break
    image, scores = seen[0]
    assert len(detector.detect(image)) == len(detect(scores, image, THRESHOLDS[0]))
