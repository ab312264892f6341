import numpy as np

from lpnet_rt.training.evaluation.error_examples import ErrorCollector


def disc(*spots: tuple[int, int, int, float]) -> np.ndarray:
    score = np.zeros((80, 100), np.float32)
    for x, y, size, level in spots:
        score[y : y + size, x : x + size] = level
    return score


def test_misses_are_ranked_by_size_and_false_alarms_by_score():
    image = np.arange(8000, dtype=np.uint16).reshape(80, 100)
    collector = ErrorCollector(threshold=0.5, limit=2)
    truth = disc((5, 5, 1, 1), (30, 30, 3, 1), (60, 60, 2, 1), (80, 20, 2, 1)) > 0
    prediction = disc((80, 20, 2, 0.8), (10, 70, 2, 0.6), (50, 10, 2, 0.9), (90, 70, 2, 0.7), (30, 30, 3, 0.2))
    collector.add("one", image, prediction, truth)
    assert [case.area_px for case in collector.misses] == [9, 4]
    assert [round(case.score, 2) for case in collector.misses] == [0.2, 0.0]
    assert [round(case.score, 2) for case in collector.false_alarms] == [0.9, 0.7]
    collector.add("two", image, disc((40, 40, 2, 0.95)), truth & False)
    assert [case.stem for case in collector.false_alarms] == ["two", "one"]


def test_a_case_is_cut_out_around_its_centre():
    image = np.arange(8000, dtype=np.uint16).reshape(80, 100)
    collector = ErrorCollector(threshold=0.5)
    collector.add("a", image, disc((98, 40, 2, 0.9)), np.zeros((80, 100), bool))
    (case,) = collector.false_alarms
    assert case.centre_xy == (98.5, 40.5)
    assert case.image.shape == case.predicted.shape == case.true.shape == (48, 48)
    assert case.image[24, 47] == image[40, 99]
    assert np.argwhere(case.predicted).tolist() == [[24, 46], [24, 47], [25, 46], [25, 47]]


def test_frames_smaller_than_a_picture_are_kept_whole():
    collector = ErrorCollector(threshold=0.5)
    truth = np.zeros((10, 12), bool)
    truth[3, 3] = True
    collector.add("small", np.zeros((10, 12), np.uint8), np.zeros((10, 12), np.uint8), truth)
    assert collector.misses[0].image.shape == (10, 12)


def test_matched_targets_are_no_cases():
    collector = ErrorCollector(threshold=0.5)
    truth = disc((30, 30, 3, 1.0))
    collector.add("a", np.zeros((80, 100), np.uint8), truth, truth > 0)
    assert collector.misses == collector.false_alarms == ()


def test_the_halves_of_a_split_target_are_no_false_alarms():
    collector = ErrorCollector(threshold=0.5)
    truth = disc((30, 30, 12, 1.0)) > 0
    halves = np.zeros((80, 100), np.float32)
    halves[30:42, 30:34] = halves[30:42, 38:43] = 0.99
    collector.add("a", np.zeros((80, 100), np.uint8), halves + disc((70, 60, 2, 0.6)), truth)
    assert [case.centre_xy for case in collector.false_alarms] == [(70.5, 60.5)]
    assert len(collector.misses) == 1
