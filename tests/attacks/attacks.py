"""The attacks of docs/security.md, on loopback and bounded.

    python tests/attacks/attacks.py [--only WORD] [--json FILE]

Prints a table: peak memory, longest silence of the messages, time from Ctrl-C to the end. It judges nothing: what must
hold is tested elsewhere; this measures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import zmq

sys.path.insert(0, str(Path(__file__).parent))
from harness import Outcome, finished, watched

DEMO = ("--source", "demo", "--realtime", "--frames", "100000")
Attack = Callable[[Path], Iterator[Outcome]]


def ordinary(folder: Path) -> Iterator[Outcome]:
    """Nothing at all, for comparison."""
    with watched(*DEMO) as run:
        run.wait_for_messages(150)
        yield run.interrupt("none: the demo scene at 30 frames a second")


def subscriptions(folder: Path) -> Iterator[Outcome]:
    """Subscriptions by the thousand, and subscribers that never read."""
    for words, count, size in (("10,000 subscriptions of 4 kB", 10_000, 4000), ("100,000 of 8 bytes", 100_000, 8)):
        with watched(*DEMO) as run:
            run.wait_for_messages(30)
            run.forget()
            context = zmq.Context()
            peer = context.socket(zmq.XSUB)
            peer.linger, peer.sndhwm = 0, 0
            peer.connect(run.endpoint)  # type: ignore[attr-defined]
            for number in range(count):
                peer.send(b"\x01" + f"{number:08d}".encode().ljust(size, b"x"))
            time.sleep(8)
            yield run.interrupt(words)
            peer.close()
            context.term()
    with watched(*DEMO) as run:
        run.wait_for_messages(30)
        run.forget()
        context = zmq.Context(io_threads=1)
        peers = []
        for _ in range(200):
            peer = context.socket(zmq.SUB)
            peer.linger, peer.rcvhwm = 0, 1
            peer.setsockopt(zmq.RCVBUF, 4096)
            peer.setsockopt(zmq.SUBSCRIBE, b"")
            peer.connect(run.endpoint)  # type: ignore[attr-defined]
            peers.append(peer)
        time.sleep(10)
        yield run.interrupt("200 subscribers that never read")
        context.destroy(linger=0)


def playlists(folder: Path) -> Iterator[Outcome]:
    """Playlists that name themselves or never end."""
    path = folder / "self.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:1,\nself.m3u8\n#EXT-X-ENDLIST\n")
    yield finished("a playlist that names itself", "--source", path)
    path = folder / "endless.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nnone.ts\n")
    yield finished("a playlist without an end", "--source", path)
    os.mkfifo(folder / "pipe.mp4")
    yield finished("a pipe with the name of a video", "--source", folder / "pipe.mp4", timeout_s=3)


def outputs(folder: Path) -> Iterator[Outcome]:
    """Outputs that stall or are full."""
    with watched(*DEMO, "--jsonl", "-", stdout=subprocess.PIPE, pipesize=4096) as run:
        run.wait_for_messages(30)
        run.forget()
        time.sleep(9)
        yield run.interrupt("a reader of --jsonl - that stalls")
    with watched(*DEMO, "--jsonl", "/dev/full", "--save", folder / "kept.mkv") as run:
        run.wait_for_messages(30)
        time.sleep(3)
        yield run.interrupt("a full disk under --jsonl")


def sizes(folder: Path) -> Iterator[Outcome]:
    """Pictures that are too large."""
    small = np.random.default_rng(0).integers(60, 90, (256, 320)).astype(np.uint8)
    large = cv2.imencode(".jpg", np.full((15_900, 15_900), 80, np.uint8))[1].tobytes()
    frame = cv2.imencode(".jpg", small)[1].tobytes()
    with served([*[frame] * 60, large, *[frame] * 3000]) as url, watched("--source", url, "--frames", 100_000) as run:
        run.wait_for_messages(20)
        run.forget()
        time.sleep(8)
        yield run.interrupt("a 15900x15900 JPEG inside a 320x256 stream")
    images = folder / "large"
    images.mkdir()
    for number in range(4):
        cv2.imwrite(str(images / f"{number}.png"), np.full((9_000, 11_000), 80 + number, np.uint8))
    flags = ("--source", images, "--jsonl", folder / "l.jsonl", "--masks", folder / "masks")
    yield finished("a folder of four 99-megapixel images, with outputs", *flags, timeout_s=120)


def models(folder: Path) -> Iterator[Outcome]:
    """Model files and cards that are not what they say."""
    import hashlib

    import lpnet_rt.models

    home = Path(lpnet_rt.models.__file__).parent
    card = json.loads((home / "lpnet-rt.json").read_text())

    def placed(name: str, content: bytes, **changes: object) -> Path:
        path = folder / name
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        path.with_suffix(".json").write_text(json.dumps({**card, "file_sha256": digest, **changes}))
        return path

    good = (home / "lpnet-rt.onnx").read_bytes()
    node = b"\x0a\x01a\x12\x01a\x22\x08Identity"
    graph = b"\x0a" + bytes([len(node)]) + node + b"\x5a\x03\x0a\x01x\x62\x03\x0a\x01a"
    cyclic = b"\x08\x08\x3a" + bytes([len(graph)]) + graph + b"\x42\x02\x10\x11"
    untested = {"centroid_xy": [], "score": []}
    cases = [
        ("an ONNX file whose graph is a circle", placed("cycle.onnx", cyclic)),
        ("an ONNX file of random bytes", placed("noise.onnx", np.random.default_rng(1).bytes(200_000))),
        (
            "NaN weights, no self-test",
            placed("nan.onnx", nan_weights(good), self_test=untested),
        ),
        ("a card with multiple 3", placed("three.onnx", good, input={**card["input"], "multiple": 3})),
        ("a card with an empty config", placed("empty.onnx", good, config={})),
    ]
    for words, path in cases:
        yield finished(words, "--source", "demo", "--frames", 30, "--model", path, publish=False)
    bomb = folder / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        file.writestr("archive/version", b"3\n")
        with file.open("archive/data/0", "w", force_zip64=True) as member:
            for _ in range(2048):
                member.write(bytes(2**20))
    flags = ("--out", folder / "bomb.safetensors")
    yield finished("a 2 MB zip of 2 GiB as a checkpoint", bomb, *flags, verb="import-weights", publish=False)


def nan_weights(content: bytes) -> bytes:
    """The packaged model with NaN in its largest tensor."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(content)
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[7] = np.nan
    tensor.raw_data = values.tobytes()
    return model.SerializeToString()


def cache(folder: Path) -> Iterator[Outcome]:
    """A cache that somebody else prepared."""
    for words, prepare in (
        ("a cache entry that is a link to /dev/zero", lambda path: path.symlink_to("/dev/zero")),
        ("a cache entry that is a pipe", lambda path: os.mkfifo(path)),
    ):
        place = folder / words.replace(" ", "-").replace("/", "")
        environment = {"LPNET_CACHE": str(place)}
        first = finished("warm", "--source", "demo", "--frames", 5, publish=False, environment=environment)
        assert first.exit_code == 0, first.said
        for path in [path for path in place.rglob("*") if path.is_file()]:
            path.unlink()
            prepare(path)
        yield finished(words, "--source", "demo", "--frames", 5, publish=False, environment=environment)
    place = folder / "open"
    place.mkdir()
    place.chmod(0o777)
    environment = {"LPNET_CACHE": str(place)}
    yield finished("a cache folder that all may write", "--source", "demo", "--frames", 5, environment=environment)


def interrupts(folder: Path) -> Iterator[Outcome]:
    """Ctrl-C in the middle of a slow inference."""
    cv2.imwrite(str(folder / "wide.png"), np.random.default_rng(3).integers(0, 255, (4096, 4096)).astype(np.uint8))
    for number in range(5):
        cv2.imwrite(str(folder / f"wide{number}.bmp"), cv2.imread(str(folder / "wide.png"), cv2.IMREAD_UNCHANGED))
    for number in range(5):
        with watched("--source", folder / "wide*.bmp", "--engine", "onnxruntime", publish=False) as run:
            time.sleep(2.5 + 0.3 * number)
            yield run.interrupt(f"Ctrl-C in ONNX Runtime at 4096x4096, {number + 1} of 5")


def cameras(folder: Path) -> Iterator[Outcome]:
    """Cameras that answer nothing, or stop."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with watched("--source", f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live") as run:
            time.sleep(3)
            yield run.interrupt("an RTSP server that accepts and says nothing")
    frame = cv2.imencode(".jpg", np.full((256, 320), 80, np.uint8))[1].tobytes()
    with served([frame] * 60) as url:
        yield finished("a stream that ends", "--source", url, "--reconnect", "never")


class served:  # noqa: N801 - used like a function
    """Serves JPEG frames as one MJPEG stream over HTTP, thirty a second."""

    def __init__(self, frames: list[bytes]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for frame in frames:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + frame + b"\r\n")
                    except OSError:
                        return
                    time.sleep(1 / 30)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/video.mjpg"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


ATTACKS: tuple[Attack, ...] = (
    ordinary, subscriptions, playlists, outputs, sizes, models, cache, interrupts, cameras,
)  # fmt: skip


def main() -> None:
    """Run them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="WORD", help="only attacks whose names hold one of these, comma-separated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    outcomes = []
    print(
        "| attack | exit | peak MiB | longest silence s | Ctrl-C s | last line |\n| --- | --- | --- | --- | --- | --- |"
    )
    for attack in ATTACKS:
        if not any(word in attack.__name__ for word in args.only.split(",")):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for outcome in attack(Path(folder)):
                outcomes.append(outcome)
                times = [
                    f"{value:.2f}" if value is not None else "-" for value in (outcome.silence_s, outcome.ctrl_c_s)
                ]
                row = [outcome.attack, str(outcome.exit_code), f"{outcome.peak_mib:.0f}", *times, outcome.said]
                print("| " + " | ".join(row) + " |", flush=True)
    if args.json:
        args.json.write_text(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=2))


if __name__ == "__main__":
    main()
