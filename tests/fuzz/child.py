"""Feeds damaged files to one reader, in a process whose memory is limited: ``child.py KIND ROUNDS``.

Any outcome is right that is a result or an error of this project. Anything else (a traceback, a crash, a hang, too much
memory) ends this process, and the test that started it says so.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from mutations import mutated

from lpnet_rt.errors import LpnetError

SEED = 20
MEMORY_BYTES = 3 * 2**30


def images() -> tuple[list[tuple[str, bytes]], Callable[[Path], object]]:
    import cv2

    from lpnet_rt.sources.reading import read_image

    grey = np.random.default_rng(1).integers(0, 255, (48, 64)).astype(np.uint8)
    deep = grey.astype(np.uint16) * 200
    colour = np.dstack((grey, grey, grey))
    made = [(".png", deep), (".png", colour), (".jpg", grey), (".bmp", grey), (".tif", deep), (".tiff", colour)]
    return [(suffix, cv2.imencode(suffix, image)[1].tobytes()) for suffix, image in made], read_image


def containers() -> tuple[list[tuple[str, bytes]], Callable[[Path], object]]:
    from lpnet_rt.settings import SourceSettings
    from lpnet_rt.sources import open_source

    kinds = [(".mp4", "libx264"), (".mkv", "ffv1"), (".avi", "mjpeg"), (".ts", "libx264"), (".mkv", "libx265")]

    def read(path: Path) -> object:
        source = open_source(SourceSettings(spec=str(path), frames=60, open_timeout_s=10.0))
        try:
            return sum(1 for _ in source)
        finally:
            source.close()

    return [(suffix, encoded(suffix, codec)) for suffix, codec in kinds], read


def encoded(suffix: str, codec: str) -> bytes:
    """A clip of 24 small frames."""
    import av

    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(25))
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            if codec == "libx265":
                stream.codec_context.options = {"x265-params": "log-level=none"}
            for _ in range(24):
                picture = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()


def models() -> tuple[list[tuple[str, bytes]], Callable[[Path], object]]:
    """Damaged ONNX files whose cards hold the right hash: the parser, not the hash, has to refuse them."""
    import hashlib

    import lpnet_rt.models
    from lpnet_rt.models import find_model

    folder = Path(lpnet_rt.models.__file__).parent
    card = (folder / "lpnet-rt.json").read_bytes()
    content = (folder / "lpnet-rt.onnx").read_bytes()
    old = hashlib.sha256(content).hexdigest().encode()

    def read(path: Path) -> object:
        digest = hashlib.sha256(path.read_bytes()).hexdigest().encode()
        path.with_suffix(".json").write_bytes(card.replace(old, digest))
        return find_model(str(path))

    return [(".onnx", content)], read


def cards() -> tuple[list[tuple[str, bytes]], Callable[[Path], object]]:
    import shutil

    import lpnet_rt.models
    from lpnet_rt.models import find_model

    folder = Path(lpnet_rt.models.__file__).parent

    def read(path: Path) -> object:
        model = path.with_suffix(".onnx")
        if not model.exists():
            shutil.copy(folder / "lpnet-rt.onnx", model)
        return find_model(str(model))

    return [(".json", (folder / "lpnet-rt.json").read_bytes())], read


KINDS = {"images": images, "containers": containers, "models": models, "cards": cards}


def main() -> None:
    kind, rounds = sys.argv[1], int(sys.argv[2])
    originals, read = KINDS[kind]()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    rng = random.Random(SEED)
    good = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            suffix, content = originals[number % len(originals)]
            path = Path(folder) / f"fuzz{suffix}"
            damaged = content if number < len(originals) else mutated(content, rng)
            path.write_bytes(damaged)
            print(f"round {number}", file=sys.stderr, flush=True)
            try:
                read(path)
                good += 1
            except LpnetError as error:
                refused += len(str(error).splitlines()) == 1
    assert good >= len(originals), "not even what is whole was read"
    print(f"{good} read, {refused} refused")


if __name__ == "__main__":
    main()
