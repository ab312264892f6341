from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from lpnet_rt.console import exit_code_of, logs_on_stderr
from lpnet_rt.errors import SinkError

LOGGER = logging.getLogger("lpnet_rt.cache")

# A program that uses the library; what it takes for its cache folder is a file.
PROGRAM = """
import logging, sys
from pathlib import Path
from lpnet_rt.cache import CacheFolder
if sys.argv[2] == "routed":
    logging.basicConfig(format="mine: %(name)s %(levelname)s %(message)s")
CacheFolder(Path(sys.argv[1])).is_private()
"""


def test_what_the_library_logs_is_one_line_each_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_on_stderr():
        LOGGER.warning("%s: damaged", "a\x1b[2Jb\nc")
        LOGGER.info("saved %s", "frame.png")
        LOGGER.debug("never shown")
    LOGGER.warning("nobody listens any more")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "lpnet-rt: a\\x1b[2Jb\\x0ac: damaged\nsaved frame.png\n"


def test_no_log_line_shows_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_on_stderr():
        LOGGER.warning("%s was lost", "rtsp://user:s3cret@camera/stream?token=s3cret")
    assert capsys.readouterr().err == "lpnet-rt: rtsp://camera/stream was lost\n"


def test_the_logger_is_left_as_it_was() -> None:
    logger = logging.getLogger("lpnet_rt")
    before = logger.level, list(logger.handlers)
    with pytest.raises(ZeroDivisionError), logs_on_stderr():
        raise ZeroDivisionError
    assert (logger.level, logger.handlers) == before


def test_an_error_ends_a_program_in_one_line_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        LOGGER.warning("before")
        raise SinkError("out.json: no\nspace")

    assert exit_code_of(work) == SinkError.exit_code
    assert exit_code_of(lambda: 3) == 3
    assert capsys.readouterr().err == "lpnet-rt: before\nlpnet-rt: out.json: no space\n"


@pytest.mark.parametrize("use", ["silent", "routed"])
def test_a_program_that_uses_the_library_decides_where_warnings_go(tmp_path: Path, use: str) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "file"), use]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    if use == "silent":
        assert done.stderr == ""
    else:
        assert done.stderr.startswith(f"mine: lpnet_rt.cache WARNING {tmp_path / 'file'}: expected a cache folder")
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is always full")
def test_a_standard_error_that_cannot_be_written_ends_nothing() -> None:
    program = (
        "import logging\nfrom lpnet_rt.console import logs_on_stderr\n"
        "with logs_on_stderr(): logging.getLogger('lpnet_rt').warning('lost')\nprint('went on')"
    )
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, timeout=60, check=False)
    assert done.stdout == "went on\n"
