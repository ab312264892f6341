"""Subscribers in other languages, from docs/examples, against the real publisher."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_reports import make
from published import PublishedSink

from lpnet_rt.keys import KeyFolder
from lpnet_rt.sources.states import SourceState, StateLog

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
WAIT_S = 30.0
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs Node.js and npm")
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(EXAMPLES / "subscriber.mjs", folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "zeromq@6"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install zeromq: {done.stderr[-200:]}")
    return ["node", str(folder / "subscriber.mjs")]


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    includes = [Path("/usr/include/zmq.h"), Path("/usr/include/nlohmann/json.hpp")]
    if shutil.which("g++") is None or not all(path.exists() for path in includes):
        pytest.skip("needs g++, libzmq3-dev and nlohmann-json3-dev")
    program = tmp_path_factory.mktemp("cpp") / "subscriber"
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-O0", str(EXAMPLES / "subscriber.cpp")]
    subprocess.run([*command, "-o", str(program), "-lzmq"], timeout=120, check=True)
    return [str(program)]


@pytest.fixture(params=["javascript", "cpp"])
def client(request: pytest.FixtureRequest) -> list[str]:
    name: str = request.param
    command: list[str] = request.getfixturevalue(name)
    return command


def test_it_prints_every_frame_the_states_and_the_gap_that_it_was_not_sent(client: list[str]) -> None:
    log = StateLog()
    sink = PublishedSink(log=log)
    with subprocess.Popen([*client, sink.endpoint], stdout=subprocess.PIPE, text=True) as process:
        assert sink.wait_for_subscriber(WAIT_S)
        for index in range(50):
            sink.write(make(index))
        log.add(SourceState("lost", "it ended", 7, 7))
        sink.tick()
        for index in range(50, 53):  # numbered, and published to nobody
            sink.stamper.stamp(make(index))
        sink.write(make(53))
        sink.close()
        out, _ = process.communicate(timeout=WAIT_S)
    lines = out.splitlines()
    assert process.returncode == 0
    assert lines[0] == "frame 0: (6.0, 25.0) score 0.90"
    assert sum(line.startswith("frame ") for line in lines) == 51
    assert "clip: missed seq 50 to 52" in lines
    assert any(line.startswith("clip: lost") and "it ended" in line for line in lines)
    assert lines[-1] == "clip: end, 51 frames received, 3 missed"


@pytest.mark.parametrize("name", ["python", "javascript", "cpp"])
def test_it_connects_with_keys_and_not_without(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    python = [sys.executable, str(EXAMPLES / "subscriber.py")]
    client = python if name == "python" else request.getfixturevalue(name)
    server, own = KeyFolder(tmp_path / "server"), KeyFolder(tmp_path / "own")
    server.create("server")
    path, pair = own.create("gate")
    server.allow("gate", pair.public)
    keys = {"LPNET_KEY": str(path.with_suffix(".key_secret")), "LPNET_SERVER_KEY": str(server.path / "server.key")}
    sink = PublishedSink(keys=str(server.path), wait_subscriber_s=1.0)
    with subprocess.Popen([*client, sink.endpoint], stdout=subprocess.PIPE, text=True) as process:
        assert not sink.wait()
        process.kill()
    environment = {**os.environ, **keys}
    with subprocess.Popen([*client, sink.endpoint], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert sink.wait_for_subscriber(WAIT_S)
        for index in range(5):
            sink.write(make(index))
        sink.close()
        out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert sum(line.startswith("frame ") for line in out.splitlines()) == 5
