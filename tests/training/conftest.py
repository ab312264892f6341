"""Small generated data for the tests of training; this file also puts the helpers beside it on the import path."""

from __future__ import annotations

from pathlib import Path

import pytest
from lpnet_rt_data import small_video_recipe, write_folders
from lpnetga_data import write_plain

from lpnet_rt.training.recipes.lpnet_rt import Recipe


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders like sirst/ and irvideo/, with a handful of frames."""
    return write_folders(tmp_path_factory.mktemp("data"))


@pytest.fixture
def recipe(folders: tuple[Path, Path]) -> Recipe:
    """A recipe that trains on these folders within seconds."""
    return small_video_recipe(folders)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the plain layout: six training frames, two for validation."""
    return write_plain(tmp_path_factory.mktemp("plain"))
