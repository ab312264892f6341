"""What all tests share: a cache of their own, so that no test touches the home directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Workers share the processors: threads that torch and BLAS start in one would spin while those of another work.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def lpnet_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of compiled models and remembered choices, for this process and those it starts."""
    folder = tmp_path_factory.mktemp("lpnet-cache")
    before = os.environ.get("LPNET_CACHE")
    os.environ["LPNET_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["LPNET_CACHE"]
    else:
        os.environ["LPNET_CACHE"] = before
