"""A camera on the loopback: MPEG-TS over UDP, until it is ended: ``python udp_sender.py PORT WIDTH HEIGHT``."""

from __future__ import annotations

import sys
import threading
import time
from fractions import Fraction

import av
import numpy as np

_RATE_HZ = 25


def main() -> None:
    """Send until standard input ends: a sender never outlives the test that started it."""
    port, width, height = (int(argument) for argument in sys.argv[1:4])
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    scene = np.random.default_rng(3).normal(100, 20, (height, width)).clip(0, 255).astype(np.uint8)
    with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=_RATE_HZ, options={"g": "10", "bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        begun_s = time.monotonic()
        print("ready", flush=True)
        index = 0
        while not ended.wait(max(begun_s + index / _RATE_HZ - time.monotonic(), 0)):
            frame = av.VideoFrame.from_ndarray(np.roll(scene, index, 1), "gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, _RATE_HZ)
            container.mux(stream.encode(frame))
            index += 1


if __name__ == "__main__":
    main()
