from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lpnet_rt.errors import SourceError
from lpnet_rt.settings import SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.sources.demo import DemoSource


def test_demo() -> None:
    source = open_source(SourceSettings(spec="demo", frames=2, seed=3, name="sky"))
    assert isinstance(source, DemoSource)
    assert source.name == "sky"


@pytest.mark.parametrize("spec", ["no/such/file.mp4", "nothing.png", "nowhere/", ""])
def test_what_is_not_there(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as missing:
        open_source(SourceSettings(spec=spec))
    assert "\n" not in str(missing.value)


def test_an_unknown_scheme_names_the_known_ones_and_not_the_rest_of_the_url() -> None:
    with pytest.raises(SourceError, match="rtsp") as unknown:
        open_source(SourceSettings(spec="ftp://user:s3cret@host/clip.mp4"))
    assert "s3cret" not in str(unknown.value)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SourceError, match="found a device or a pipe"):
        open_source(SourceSettings(spec=str(pipe)))


def test_the_demo_scene_loads_neither_pyav_nor_torch() -> None:
    program = (
        "import sys; from lpnet_rt.settings import SourceSettings; from lpnet_rt.sources import open_source;"
        "frames = list(open_source(SourceSettings(spec='demo', frames=1)));"
        "print(len(frames), 'av' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["1", "False", "False"]
