"""The command line as a person meets it: processes, exit codes, standard error, files, and a real subscriber."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import zmq

from lpnet_rt.cli import main
from lpnet_rt.messages import EndMessage, FrameMessage, Message, decode
from lpnet_rt.processors import processor_count
from lpnet_rt.selftest import self_test_frame

WAIT_S = 60.0  # an upper bound for what takes a second or two
PROGRAM = (sys.executable, "-W", "error", "-m", "lpnet_rt")


def lpnet_rt(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


@contextmanager
def started(*command: object) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive its test, whatever fails."""
    words = [str(word) for word in command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def free_endpoint() -> str:
    """An endpoint of this machine that nobody uses."""
    with zmq.Context() as context, context.socket(zmq.PUB) as probe:
        port = probe.bind_to_random_port("tcp://127.0.0.1")
    return f"tcp://127.0.0.1:{port}"


def write_video(path: Path, frames: int = 24) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width = self_test_frame().shape
        stream.pix_fmt, stream.codec_context.time_base = "gray", Fraction(1, 30)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(self_test_frame(), index, axis=1), "gray")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def lines_of(path: Path) -> list[FrameMessage]:
    messages = [decode(None, line) for line in path.read_bytes().splitlines()]
    assert all(isinstance(message, FrameMessage) for message in messages)
    return messages  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def restored_signal() -> Iterator[None]:
    """The command line answers SIGTERM in its own way; the tests' own process should not keep that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


# Bad input: one line on standard error, the exit code of its kind


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what their names say."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is a letter, not a video\n")
    cv2.imwrite(str(folder / "one.png"), np.zeros((1, 1), np.uint8))
    whole = write_video(folder / "whole.mkv")
    (folder / "cut.mkv").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    (folder / "model.onnx").write_text("no model\n")
    (folder / "good.toml").write_text("[detector]\nthreshold = 0.5\n")
    (folder / "bad.toml").write_text("[detector]\ntreshold = 0.5\n")
    return folder


# Arguments, exit code, what the line says. {bad} is the folder of bad files, {taken} an endpoint in use.
REFUSED: dict[str, tuple[str, int, str]] = {
    "missing file": ("--source {bad}/none.mp4", 3, "no such file or folder"),
    "empty file": ("--source {bad}/empty.mp4", 3, "found an empty file"),
    "text named mp4": ("--source {bad}/text.mp4", 3, "not a video that can be read"),
    "image of one pixel": ("--source {bad}/one.png --no-publish", 3, "expected at least 8x8 pixels, found 1x1"),
    "camera that is not there": ("--source 63 --reconnect never", 3, "camera"),
    "port in use": ("--source demo --publish {taken}", 7, "the port is in use by another program"),
    "jsonl under a file": ("--source demo --no-publish --jsonl {bad}/one.png/x.jsonl", 7, "cannot be written"),
    "masks under a file": ("--source demo --no-publish --masks {bad}/one.png/masks", 7, "the folder cannot be made"),
    "silence": ("listen tcp://127.0.0.1:1 --timeout 0.1", 3, "expected messages, found none within 0.1 s"),
    "name that steers a terminal": ("--source {bad}/no\x1b[31m\u202e.mp4", 3, "no\\x1b[31m\\u202e.mp4: "),
    "video under a file": ("--source demo --no-publish --save {bad}/one.png/out.mkv", 7, "out.mkv"),
    "model that is none": ("--source demo --model {bad}/model.onnx", 5, "found no card"),
    "variable that is not set": ("--source rtsp://u:${{LPNET_NO}}@127.0.0.1/x", 2, "environment variable LPNET_NO"),
}


@pytest.fixture(scope="module")
def refused(bad: Path) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """All of the above, two at a time, since each is a process of its own."""
    with zmq.Context() as context, context.socket(zmq.PUB) as taken, ThreadPoolExecutor(2) as pool:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        places = {"bad": bad, "taken": f"tcp://127.0.0.1:{port}"}
        jobs = {
            name: pool.submit(lpnet_rt, *arguments.format(**places).split())
            for name, (arguments, _, _) in REFUSED.items()
        }
        yield lambda name: jobs[name].result(WAIT_S)


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_gets_one_line_and_its_exit_code(
    refused: Callable[[str], subprocess.CompletedProcess[str]], name: str
) -> None:
    _, code, words = REFUSED[name]
    done = refused(name)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("lpnet-rt: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr


def test_two_sources_in_one_run_have_outputs_of_their_own(tmp_path: Path) -> None:
    clips = [write_video(tmp_path / name, frames) for name, frames in (("east.mkv", 9), ("west.mkv", 5))]
    flags = [flag for clip in clips for flag in ("--source", str(clip))]
    lines, save = tmp_path / "out.jsonl", tmp_path / "overlay.mkv"
    outputs = ["--no-publish", "--jsonl", str(lines), "--save", str(save), "--engine", "onnxruntime"]
    assert main(["run", *flags, *outputs]) == 0
    messages = lines_of(lines)
    assert [m.seq for m in messages if m.source == "east"] == list(range(9))
    assert [m.seq for m in messages if m.source == "west"] == list(range(5))
    assert len({m.session for m in messages}) == 2
    for name, frames in (("east", 9), ("west", 5)):
        with av.open(str(tmp_path / f"overlay-{name}.mkv")) as container:
            assert sum(1 for _ in container.decode(video=0)) == frames


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--source demo --threshold 7", "flags: detector.threshold: expected a number from over 0 to 1, found 7.0"),
        ("run --threshold 7 --config {bad}/good.toml", "flags: detector.threshold: expected a number from over 0 to 1"),
        ("--source demo --threshold high", "argument --threshold: invalid float value: 'high'"),
        ("--source demo --flap", "unrecognized arguments: --flap; see 'lpnet-rt --help'"),
        ("--source", "argument --source: expected one argument; see 'lpnet-rt run --help'"),
        ("fly", "invalid choice: 'fly'"),
        ("run", "source.spec: expected a source, found none"),
        ("--config {bad}/good.toml", "--source demo for the built-in scene"),
        ("--source demo --source demo", "source.name: expected a name of its own for each source, found demo twice"),
        ("--source demo --name a --name b", "--name: expected one per source, 1, found 2; give each source one"),
        ("--source demo --jsonl a --jsonl b", "--jsonl: expected it once, found it twice; leave one of them out"),
        ("--config a --config b", "--config: expected it once"),
        ("--threshold 0.5 --threshold 0.6", "--threshold: expected it once"),
        ("--source demo --engine abacus", "detector.engine: expected one of auto, openvino"),
        ("--source demo --save x.avi", "output.save: expected a file that ends in .mp4 or .mkv"),
        ("--config {bad}/bad.toml", "unknown key detector.treshold; did you mean detector.threshold?"),
        ("--config {bad}/none.toml", "cannot read the configuration: No such file"),
        ("--source demo --frames 0", "source.frames: expected a whole number of at least 1, found 0"),
        ("--source {bad}/one.png --realtime", "images have no frame rate"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_opened(
    bad: Path, capfd: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert main(arguments.format(bad=bad).split()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("lpnet-rt: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["rtsp://user:s3cret@127.0.0.1/x"],
        ["run", "rtsp://user:s3cret@127.0.0.1/x"],
        ["--source", "demo", "--frames", "rtsp://user:s3cret@127.0.0.1/x"],
        ["--source", "demo", "--engine", "rtsp://user:s3cret@127.0.0.1/x"],
        ["--source", "rtsp:/user:s3cret@127.0.0.1/x"],
        ["--source", "ftp://user:s3cret@127.0.0.1/x"],
        ["--source", " rtsp://user:s3cret@127.0.0.1:1/x", "--reconnect", "never"],
        ["--source", "demo", "--config", "rtsp://user:s3cret@127.0.0.1/x"],
        ["--source", "demo", "--model", "rtsp://user:s3cret@127.0.0.1/x"],
        ["listen", "tcp://user:s3cret@127.0.0.1:x"],
        ["info", "--model", "rtsp://user:s3cret@127.0.0.1/x"],
    ],
)
def test_no_error_shows_a_password(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) != 0
    out, err = capfd.readouterr()
    assert "s3cret" not in out + err
    assert err.startswith("lpnet-rt: ")


def test_without_arguments_the_help_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("usage: lpnet-rt")
    assert "short for 'lpnet-rt run --source X'" in err


@pytest.mark.parametrize(
    ("endpoint", "is_public"),
    [
        ("tcp://0.0.0.0:*", True),
        ("tcp://*:*", True),
        ("tcp://127.0.0.1:*", False),
        ("tcp://[::1]:*", False),
        ("ipc://{folder}/socket", False),
    ],
)
def test_an_endpoint_that_others_reach_needs_keys_or_is_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], endpoint: str, is_public: bool
) -> None:
    flags = ["--source", "demo", "--frames", "1", "--quiet", "--publish", endpoint.format(folder=tmp_path)]
    assert main(flags) == (2 if is_public else 0)
    err = capfd.readouterr().err
    assert err.count("\n") == is_public
    assert ("can be reached from other machines, and nothing protects it: make keys" in err) == is_public
    assert main([*flags, "--insecure"]) == 0
    assert ("warning: INSECURE" in capfd.readouterr().err) == is_public
    assert main(["keys", "new", "server", "--keys", str(tmp_path / "keys")]) == 0
    assert main([*flags, "--keys", str(tmp_path / "keys")]) == 0
    assert "publish: encrypted; allowed: nobody" in capfd.readouterr().err


def test_a_truncated_video_is_worked_off_to_the_damage(bad: Path, tmp_path: Path) -> None:
    jsonl = tmp_path / "out.jsonl"
    done = lpnet_rt("--source", bad / "cut.mkv", "--no-publish", "--jsonl", jsonl)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "truncated" in done.stderr
    frames = lines_of(jsonl)
    assert 5 <= len(frames) < 24
    assert [message.frame for message in frames] == list(range(len(frames)))
    assert f"{len(frames)} frames were delivered" in done.stderr


# The main job


@pytest.fixture
def subscriber() -> Iterator[Callable[[str], zmq.Socket[bytes]]]:
    context = zmq.Context()
    opened = []

    def connect(endpoint: str) -> zmq.Socket[bytes]:
        sub = context.socket(zmq.SUB)
        opened.append(sub)
        sub.setsockopt(zmq.RCVTIMEO, int(WAIT_S * 1000))
        sub.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.RECONNECT_IVL, 20)
        sub.setsockopt(zmq.SUBSCRIBE, b"lpnet.v1.")
        sub.connect(endpoint)
        return sub

    yield connect
    for sub in opened:
        sub.close()
    context.term()


def receive(sub: zmq.Socket[bytes]) -> Message:
    return decode(*sub.recv_multipart())


def receive_to_the_end(sub: zmq.Socket[bytes]) -> tuple[list[FrameMessage], EndMessage]:
    frames = []
    while not isinstance(message := receive(sub), EndMessage):
        if isinstance(message, FrameMessage):
            frames.append(message)
    return frames, message


WITHOUT_TORCH = """
import sys
import lpnet_rt
light = [name for name in ("cv2", "numpy", "openvino", "onnxruntime", "zmq", "torch") if name in sys.modules]
from lpnet_rt.cli import main
code = main(sys.argv[1:])
print(light, [name for name in sys.modules if name.partition(".")[0] in ("torch", "onnx", "scipy")])
sys.exit(code)
"""


def test_the_demo_reaches_a_subscriber_without_a_gap_and_without_torch(
    tmp_path: Path, subscriber: Callable[[str], zmq.Socket[bytes]]
) -> None:
    endpoint, jsonl, config = free_endpoint(), tmp_path / "demo.jsonl", tmp_path / "lpnet.toml"
    config.write_text(f'[source]\nspec = "demo"\nframes = 99\n[publish]\nendpoint = "{endpoint}"\n')
    sub = subscriber(endpoint)
    flags = ["--config", config, "--frames", "12", "--wait-subscriber", "30", "--jsonl", jsonl, "--threshold", "0.5"]
    with started(sys.executable, "-c", WITHOUT_TORCH, *flags) as process:
        frames, end = receive_to_the_end(sub)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert err == ""  # quiet in a pipe
    assert [message.seq for message in frames] == list(range(12))
    assert [message.frame for message in frames] == list(range(12))
    assert (end.last_seq, end.frames, end.reason) == (11, 12, "end")
    assert frames == lines_of(jsonl)
    summary, latency, modules = out.splitlines()
    assert summary.startswith("demo: 12 frames in ")
    assert f"{sum(len(message.detections) for message in frames)} detections" in summary
    assert latency.startswith("latency p50 ")
    assert modules == "[] []"


def test_masks_hold_what_reaches_the_threshold(tmp_path: Path) -> None:
    images, masks, jsonl = tmp_path / "images", tmp_path / "masks", tmp_path / "out.jsonl"
    images.mkdir()
    cv2.imwrite(str(images / "blobs.png"), self_test_frame())
    cv2.imwrite(str(images / "empty.bmp"), np.full((77, 101), 60, np.uint8))
    deep = self_test_frame().astype(np.uint16) * 100 + 5000
    cv2.imwrite(str(images / "deep.tiff"), deep)
    done = lpnet_rt(
        "--source", images, "--masks", masks, "--no-publish", "--jsonl", jsonl, "--threshold", 0.5, "--quiet"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in masks.iterdir()) == ["blobs.png", "deep.png", "empty.png"]
    read = {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in masks.iterdir()}
    frames = dict(zip(("blobs", "deep", "empty"), lines_of(jsonl), strict=True))
    for stem, mask in read.items():
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 255}
        assert mask.shape == (frames[stem].height, frames[stem].width)
        assert (mask == 255).sum() == sum(found.area_px for found in frames[stem].detections)
        for found in frames[stem].detections:
            x1, y1, x2, y2 = found.box
            assert mask[y1:y2, x1:x2].any()
    assert len(frames["blobs"].detections) == 3
    assert not read["empty"].any()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_within_a_second_with_everything_closed(
    tmp_path: Path, subscriber: Callable[[str], zmq.Socket[bytes]], number: signal.Signals
) -> None:
    endpoint, jsonl = free_endpoint(), tmp_path / "out.jsonl"
    sub = subscriber(endpoint)
    flags = ("--source", "demo", "--frames", "100000", "--publish", endpoint, "--wait-subscriber", "30")
    with started(*PROGRAM, *flags, "--jsonl", jsonl, "--threads", "1") as process:
        while not isinstance(first := receive(sub), FrameMessage):
            assert not isinstance(first, EndMessage)
        process.send_signal(number)
        signalled_s = time.monotonic()
        frames, end = receive_to_the_end(sub)
        out, err = process.communicate(timeout=WAIT_S)
        ended_s = time.monotonic() - signalled_s
    assert process.returncode == 128 + number
    assert err == ""
    # A second is what is promised; on a machine whose processors others share, only that it ends can be held to.
    is_free = os.getloadavg()[0] <= processor_count()
    assert ended_s < (1.0 if is_free else WAIT_S)
    heard = [first, *frames]
    assert heard == lines_of(jsonl)
    assert [message.seq for message in heard] == list(range(len(heard)))
    assert (end.reason, end.last_seq, end.frames) == ("interrupted", len(heard) - 1, len(heard))
    assert out.startswith(f"demo: {len(heard)} frames in ")


def test_info_names_the_engine_that_auto_takes() -> None:
    done = lpnet_rt("info")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("lpnet-rt     ", "engine       onnxruntime f32", "models       ", "auto takes   "):
        assert words in done.stdout


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argument, words in (("--version", "lpnet-rt 0."), ("--help", "short for 'lpnet-rt run --source X'")):
        with pytest.raises(SystemExit) as ended:
            main([argument])
        assert ended.value.code == 0
        assert words in capsys.readouterr().out


def test_a_reader_that_has_gone_is_no_crash() -> None:
    with started(*PROGRAM, "info") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(WAIT_S) == 128 + signal.SIGPIPE
        assert process.stderr.read() == ""


def test_lines_of_json_on_standard_output(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blobs.png"), self_test_frame())
    done = lpnet_rt("--source", tmp_path / "blobs.png", "--no-publish", "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # the summary goes to standard error, out of the way
    assert len(json.loads(line)["detections"]) == 3
    assert done.stderr.startswith("blobs: 1 frames in ")
