from __future__ import annotations

import os
from pathlib import Path

import pytest

from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source

_DATA = Path(os.environ.get("LPNET_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
_CLIPS = sorted((_DATA / "irvideo" / "clips").glob("*.mp4"))[::40]

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not _CLIPS, reason=f"no clips in {_DATA}/irvideo/clips; set LPNET_DATA"),
]


@pytest.mark.parametrize("path", _CLIPS, ids=lambda path: path.stem)
def test_every_frame_of_a_real_clip_comes_once(path: Path) -> None:
    source = open_source(SourceSettings(spec=str(path)))
    count, last_s = 0, -1.0
    for frame in source:
        assert frame.index == count
        assert frame.pts_s is not None
        assert frame.pts_s > last_s
        assert frame.size_hw == (256, 320)
        count, last_s = count + 1, frame.pts_s
    assert count == source.frame_count
    assert source.rate_hz == pytest.approx(30, abs=0.1)
