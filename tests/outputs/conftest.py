import pytest
from stepped_clock import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()
