"""What PyTorch's tracing says to its own developers is kept from this project's users."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

__all__ = ["without_deprecation"]


@contextlib.contextmanager
def without_deprecation() -> Iterator[None]:
    """Leave out the one warning that torch.export draws upon itself: it asks its own tree library in an old way."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        yield
