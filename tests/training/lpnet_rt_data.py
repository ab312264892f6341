"""Small generated masks, empty skies and video in the layouts that LPNet-RT is trained on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np

from lpnet_rt.training.commands.train import load_recipe
from lpnet_rt.training.data.frames import LabelledFrame, Truth
from lpnet_rt.training.recipes.lpnet_rt import NetworkRecipe, OptimiserRecipe, Recipe

SIZE = 96


def sky(seed: int, size: int = SIZE) -> np.ndarray:
    """A noisy ramp of grey, (size, size)."""
    rng = np.random.default_rng(seed)
    return 80 + 0.3 * np.arange(size)[:, None] + rng.normal(0, 2, (size, size))


def blob(x: float, y: float, sigma: float = 1.5, size: int = SIZE) -> np.ndarray:
    """A Gaussian of height 1, (size, size)."""
    ys, xs = np.mgrid[0:size, 0:size]
    return np.exp(-0.5 * ((xs - x) ** 2 + (ys - y) ** 2) / sigma**2)


def sample(seed: int, centre_xy: tuple[float, float] | None) -> LabelledFrame:
    """A sky with one target at ``centre_xy``, or with none."""
    image, mask = sky(seed), np.zeros((SIZE, SIZE), bool)
    if centre_xy is not None:
        shape = blob(*centre_xy)
        image, mask = image + 90 * shape, shape >= 0.5
    counts = image.clip(0, 255).astype(np.uint8)
    role = "targets" if mask.any() else "target-free"
    return LabelledFrame(name=f"s{seed}", image=counts, truth=Truth.from_mask(mask), role=role)


def write_samples(root: Path, split: str, samples: list[LabelledFrame]) -> None:
    """Write samples as PNG, with a split file that names them."""
    for folder in ("images", "masks", "splits"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for one in samples:
        assert cv2.imwrite(str(root / "images" / f"{one.name}.png"), one.image)
        assert cv2.imwrite(str(root / "masks" / f"{one.name}.png"), one.truth.mask)
    (root / "splits" / f"{split}.txt").write_text("".join(f"{one.name}\n" for one in samples))


def write_clip(root: Path, name: str, frames: int = 6) -> None:
    """A lossless clip whose blob moves two pixels a frame, with a loose box around it."""
    for folder in ("clips", "boxes"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = ["frame,x,y,w,h"]
    with av.open(str(root / "clips" / f"{name}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0"})
        stream.width = stream.height = SIZE
        stream.pix_fmt, stream.codec_context.time_base = "gray", Fraction(1, 30)
        for index in range(frames):
            x, y = 30.0 + 2 * index, 40.0
            image = (sky(index) + 100 * blob(x, y)).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "gray")
            frame.pts = index
            container.mux(stream.encode(frame))
            rows.append(f"{index},{x - 7},{y - 7},14,14")
        container.mux(stream.encode(None))
    (root / "boxes" / f"{name}.csv").write_text("\n".join(rows) + "\n")


def write_folders(root: Path) -> tuple[Path, Path]:
    """Folders like sirst/ and irvideo/, with a handful of frames."""
    sirst, video = root / "sirst", root / "irvideo"
    write_samples(sirst, "v1_train", [sample(i, (20.0 + 9 * i, 30.0)) for i in range(4)])
    write_samples(sirst, "v2_train", [sample(i, None) for i in range(10, 13)])
    write_samples(sirst, "v1_val", [sample(20, (50.0, 60.0))])
    write_samples(sirst, "v2_val", [sample(21, None)])
    write_clip(video, "clip_2")
    write_clip(video, "clip_6")
    return sirst, video


def small_video_recipe(folders: tuple[Path, Path]) -> Recipe:
    """Four steps an epoch, three epochs, from masks, empty skies and video."""
    packaged = load_recipe("lpnet-rt", str(folders[0].parent), [])
    assert isinstance(packaged, Recipe)
    return Recipe(
        network=NetworkRecipe(
            channels=(4, 6, 8), blocks=(1, 1, 1), hints=1, local_channels=4, local_blocks=1, patches=4
        ),
        data=msgspec.structs.replace(
            packaged.data,
            video_stride=2,
            crop_px=64,
            mask_crops=4,
            empty_crops=2,
            video_crops=2,
            hard_share=0.5,
        ),
        optimiser=OptimiserRecipe(epochs=3, batch=2, warmup_steps=2, hard_every=1, validate_every=1),
        precision="f32",
        seed=5,
    )
