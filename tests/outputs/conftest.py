import pytest
from tracked_reports import StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()
