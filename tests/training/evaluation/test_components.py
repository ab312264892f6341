import numpy as np
import pytest

from lpnet_rt.errors import DataError
from lpnet_rt.training.evaluation.components import binarise, components, match, truth_mask


def test_diagonal_pixels_are_one_component_with_its_centroid_and_box():
    mask = np.zeros((20, 30), bool)
    mask[5, 7] = mask[6, 8] = mask[7, 8] = True
    mask[15, 20:24] = True
    found = components(mask)
    assert len(found) == 2
    np.testing.assert_allclose(found.centroid_xy, [[23 / 3, 6.0], [21.5, 15.0]])
    assert found.box_xywh.tolist() == [[7, 5, 2, 3], [20, 15, 4, 1]]
    assert found.area_px.tolist() == [3, 4]
    np.testing.assert_allclose(found.box_centre_xy, [[8.0, 6.5], [22.0, 15.5]])


def test_empty_mask_has_no_component():
    found = components(np.zeros((4, 4), bool))
    assert len(found) == 0
    assert found.centroid_xy.shape == (0, 2)


def test_matching_takes_as_many_pairs_as_possible():
    # Taking the nearest pair first (0.5 px) would leave the other two without a partner.
    predicted = np.array([[0.0, 0.0], [2.5, 0.0]])
    true = np.array([[2.0, 0.0], [4.9, 0.0]])
    rows, columns = match(predicted, true, 3.0)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_matching_is_one_to_one_and_strictly_under_the_limit():
    rows, _ = match(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.5, 0.0]]), 3.0)
    assert len(rows) == 1
    rows, _ = match(np.array([[0.0, 0.0]]), np.array([[3.0, 0.0]]), 3.0)
    assert len(rows) == 0
    rows, _ = match(np.zeros((0, 2)), np.array([[3.0, 0.0]]), 3.0)
    assert len(rows) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_scores_of_their_full_scale(dtype):
    full = int(np.iinfo(dtype).max)
    half = full // 2
    image = np.array([[0, half, half + 1, full]], dtype)
    assert binarise(image, 0.5).tolist() == [[False, False, True, True]]
    assert binarise(image, 1.0).tolist() == [[False, False, False, True]]
    assert not binarise(image, 1.5).any()


def test_level_on_the_threshold_counts():
    levels = np.arange(256, dtype=np.uint8)[None]
    assert int(np.argmax(binarise(levels, 0.6)[0])) == 153  # 153 / 255 == 0.6
    assert binarise(np.array([[0.3]], np.float32), 0.3).all()


def test_bad_predictions_are_refused():
    with pytest.raises(DataError, match="finite"):
        binarise(np.array([[np.nan]], np.float32), 0.5)
    with pytest.raises(DataError, match="int64"):
        binarise(np.zeros((2, 2), np.int64), 0.5)
    with pytest.raises(DataError, match="shape"):
        binarise(np.zeros((1, 2, 2), np.float32), 0.5)
    with pytest.raises(DataError, match=r"\(2, 3\)"):
        truth_mask(np.zeros((3, 2), np.uint8), (2, 3))
