from __future__ import annotations

import datetime
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from lpnet_rt.cli import main
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


def test_as_json_each_line_is_an_object_with_its_source_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_on_stderr(as_json=True):
        LOGGER.warning("a\x1b[2Jb\nc \u202e", extra={"source": "mast", "fields": {"frames": 7}})
        LOGGER.info("rtsp://user:s3cret@camera/stream")
        try:
            raise ValueError("rtsp://user:s3cret@camera/stream")
        except ValueError:
            LOGGER.exception("failed")
    out, err = capsys.readouterr()
    assert out == ""
    assert "s3cret" not in err
    first, second, third = (json.loads(line) for line in err.splitlines())
    assert datetime.datetime.fromisoformat(first.pop("time")).tzinfo is not None
    expected = {"level": "warning", "logger": "lpnet_rt.cache", "source": "mast", "frames": 7}
    assert first == expected | {"message": "a\\x1b[2Jb\\x0ac \\u202e"}
    assert (second["level"], second["source"], second["message"]) == ("info", None, "rtsp://camera/stream")
    assert "ValueError: rtsp://camera/stream" in third["traceback"]


@pytest.mark.parametrize("flag", [("--log-format=json",), ("--log-format", "json")])
def test_an_error_in_the_flags_themselves_is_json_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], flag: tuple[str, ...]
) -> None:
    assert main(["run", *flag, "--no-such-flag"]) == 2
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["exit_code"]) == ("error", 2)
    assert "--no-such-flag" in line["message"]


def test_a_run_logs_its_progress_and_its_end_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "lpnet.toml"
    config.write_text(
        '[source]\nspec = "demo"\nframes = 5\n[publish]\nenabled = false\n[service]\nlog_format = "json"\n'
    )
    assert main(["run", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    last = json.loads(err.splitlines()[-1])
    assert (last["source"], last["progress"], last["frames"]) == ("demo", "ended", 5)
    assert last["latency_p99_ms"] > 0


@pytest.mark.parametrize("place", ["main", "thread"])
def test_a_crash_shows_where_and_no_password(place: str) -> None:
    program = (
        "import threading\nfrom lpnet_rt.console import hide_passwords_in_crashes\nhide_passwords_in_crashes()\n"
        "def crash(): raise RuntimeError('rtsp://user:' + 's3cret@camera/stream')\n"
    )
    program += "crash()" if place == "main" else "t = threading.Thread(target=crash); t.start(); t.join()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (1 if place == "main" else 0)
    assert "in crash" in done.stderr
    assert done.stderr.endswith("RuntimeError: rtsp://camera/stream\n")
