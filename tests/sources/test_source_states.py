from __future__ import annotations

import numpy as np

from lpnet_rt.sources.states import EpochCounter, SourceCounts


def test_counts_add_up() -> None:
    assert SourceCounts(1, 2, 3, 4) + SourceCounts(10, 20, 30, 40) == SourceCounts(11, 22, 33, 44)


def test_an_epoch_is_a_size_a_type_and_a_depth() -> None:
    epochs = EpochCounter()
    small, large = np.zeros((8, 8), np.uint8), np.zeros((8, 16), np.uint8)
    deep = large.astype(np.uint16)
    seen = [(small, 8), (small, 8), (large, 8), (deep, 14), (deep, 16), (deep, 16), (small, 8)]
    assert [epochs.of(image, depth) for image, depth in seen] == [0, 0, 1, 2, 3, 3, 4]
