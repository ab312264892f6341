import csv
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.evaluation.paper_metrics import (
    PAPER_THRESHOLDS,
    PLAIN,
    PUBLISHED,
    PaperRules,
    area_under_roc,
    paper_metrics,
)

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("LPNET_DATA", REPOSITORY.parent / "shared" / "data"))
REFERENCE = DATA.parent / "reference" / "lpnetga"
COLUMNS = {
    "Pd": "pd",
    "Fa_per_image": "fa_per_image",
    "target_precision": "target_precision",
    "target_recall": "target_recall",
    "target_f1": "target_f1",
    "pixel_precision": "pixel_precision",
    "pixel_recall": "pixel_recall",
    "pixel_f1": "pixel_f1",
}


def frame(*squares: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((40, 50), np.uint8)
    for x, y, size in squares:
        mask[y : y + size, x : x + size] = 255
    return mask


def at_half(prediction: np.ndarray, truth: np.ndarray, rules: PaperRules = PLAIN):
    return paper_metrics([(prediction, truth)], (0.5,), rules).rows[0]


def test_two_predictions_on_one_target_both_count_for_pd_but_not_for_recall():
    truth = frame((10, 10, 5))
    row = at_half(frame((10, 10, 2), (13, 13, 2)), truth)
    assert row.pd == 2.0
    assert row.target_recall == 1.0
    assert row.target_precision == 1.0
    assert row.fa_per_image == 0.0
    assert row.pixel_recall == pytest.approx(8 / 25)


def test_a_shared_pixel_and_the_middle_within_four_pixels_are_both_needed():
    truth = frame((10, 10, 3))
    touching_not_overlapping = at_half(frame((13, 10, 3)), truth)
    assert touching_not_overlapping.pd == 0.0
    assert touching_not_overlapping.fa_per_image == 1.0
    assert at_half(frame((10, 10, 8)), truth).pd == 1.0  # middles sqrt(2) * 2.5 = 3.54 px apart
    assert at_half(frame((10, 10, 9)), truth).pd == 0.0  # sqrt(2) * 3 = 4.24 px
    wide = frame()
    wide[10:13, 10:21] = 255
    assert at_half(wide, truth).pd == 1.0  # exactly 4 px


def test_quirks_are_switchable_one_by_one():
    silent = [(frame(), frame((5, 5, 2), (20, 20, 2))), (frame((30, 5, 2)), frame((30, 5, 2)))]
    assert paper_metrics(silent, (0.5,), PUBLISHED).rows[0].target_recall == pytest.approx(1 / 2)
    assert paper_metrics(silent, (0.5,), PLAIN).rows[0].target_recall == pytest.approx(1 / 3)

    noisy = [(frame((5, 5, 2), (20, 20, 2)), frame()), (frame((30, 5, 2)), frame((30, 5, 2)))]
    assert paper_metrics(noisy, (0.5,), PLAIN).rows[0].fa_per_image == 1.0
    capped = replace(PLAIN, one_false_on_empty_mask=True)
    assert paper_metrics(noisy, (0.5,), capped).rows[0].fa_per_image == 0.5
    skipped = paper_metrics(noisy + noisy[:1], (0.5,), PUBLISHED).rows[0]
    assert skipped.fa_per_image == 0.0
    assert skipped.pixel_precision == 1.0
    one_wrong = [*noisy, (frame((1, 1, 2)), frame((30, 30, 2)))]
    assert paper_metrics(one_wrong, (0.5,), PUBLISHED).rows[0].fa_per_image == pytest.approx(1 / 3)

    truth = frame((5, 5, 2))
    nearly = [(np.where(truth > 0, 0.999, 0.001).astype(np.float32), truth)]
    assert paper_metrics(nearly, (1.0,), PLAIN).rows[0].pixel_recall == 0.0
    assert paper_metrics(nearly, (1.0,), PUBLISHED).rows[0].pixel_recall == 1.0
    assert paper_metrics(nearly, (1.0,), replace(PLAIN, eight_bits=True)).rows[0].pixel_recall == 1.0


def test_scores_that_are_no_numbers_are_refused_before_they_are_rounded():
    with pytest.raises(DataError, match="expected finite scores"):
        paper_metrics([(np.full((4, 4), np.nan, np.float32), np.eye(4, dtype=bool))], (0.5,), PUBLISHED)


def test_undefined_rates_are_none_and_total_failure_is_zero():
    row = at_half(frame(), frame())
    assert (row.pd, row.target_precision, row.pixel_f1, row.fa_per_image) == (None, None, None, 0.0)
    assert at_half(frame((1, 1, 2)), frame((30, 30, 2))).target_f1 == 0.0


def test_nested_thresholds_are_each_judged():
    truth = frame((10, 10, 2))
    score = np.where(truth > 0, 0.8, 0.0).astype(np.float32)
    score[30:32, 30:32] = 0.4
    result = paper_metrics([(score, truth)], (0.1, 0.3, 0.5, 0.9), PLAIN)
    assert [row.fa_per_image for row in result.rows] == [1.0, 1.0, 0.0, 0.0]
    assert [row.pd for row in result.rows] == [1.0, 1.0, 1.0, 0.0]
    assert result.best_target_f1 is result.rows[2]


def test_roc_area_is_a_staircase():
    assert area_under_roc([(0.0, 1.0)], 0.5) == 1.0
    assert area_under_roc([(0.25, 0.8), (0.1, 0.4), (0.6, 1.0)], 0.5) == pytest.approx((0.15 * 0.4 + 0.25 * 0.8) / 0.5)
    assert area_under_roc([(0.1, 0.9), (0.2, 0.5)], 0.5) == pytest.approx(0.9 * 0.8)
    assert area_under_roc([(None, 0.5), (0.7, 1.0)], 0.5) == 0.0


@pytest.mark.data
@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"reference tables not found at {REFERENCE}; set LPNET_DATA")
@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_published_evaluator_is_reproduced(mode):
    sirst = DATA / "sirst"
    names = (sirst / "splits" / "v1_val.txt").read_text().split()
    pairs = [
        (
            cv2.imread(str(REFERENCE / f"maps_v1_val_bn_{mode}" / f"{name}.png"), cv2.IMREAD_UNCHANGED),
            cv2.imread(str(sirst / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED),
        )
        for name in names
    ]
    rows = paper_metrics(pairs, PAPER_THRESHOLDS, PUBLISHED).rows
    with (REFERENCE / f"eval_v1_val_bn_{mode}.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert len(rows) == len(expected) == 20
    for row, wanted in zip(rows, expected, strict=True):
        assert row.threshold == pytest.approx(float(wanted["threshold"]))
        for column, name in COLUMNS.items():
            assert getattr(row, name) == pytest.approx(float(wanted[column]), abs=1e-6), (row.threshold, column)
