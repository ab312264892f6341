import io

from rich.console import Console

from lpnet_rt.training.progress import watched


class Steps:
    """A clock that goes on by four seconds whenever it is asked."""

    def __init__(self) -> None:
        self._now_ns = 0

    def monotonic_ns(self) -> int:
        self._now_ns += 4_000_000_000
        return self._now_ns

    def unix_us(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits")


def test_a_line_every_ten_seconds_where_there_is_no_terminal():
    out = io.StringIO()
    assert list(watched(range(7), "evaluate [a]", clock=Steps(), console=Console(file=out, width=20))) == [*range(7)]
    assert out.getvalue().splitlines() == [
        "evaluate [a]: 3 of 7 frames, 0.25 per second, about 16 s left",
        "evaluate [a]: 6 of 7 frames, 0.25 per second, about 4 s left",
    ]


def test_a_bar_on_a_terminal():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    assert list(watched("abc", "evaluate", clock=Steps(), console=console)) == ["a", "b", "c"]
    assert "evaluate" in out.getvalue()
    assert "left" not in out.getvalue()


def test_nothing_is_said_of_what_is_short():
    out = io.StringIO()
    assert list(watched([1], "evaluate", clock=Steps(), console=Console(file=out))) == [1]
    assert out.getvalue() == ""
