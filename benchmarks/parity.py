"""Do all engines find the same? Detections of every engine beside the reference's, on the same frames.

    python -m lpnet_rt.benchmarks.parity [--source FILE] [--frames N] [--model M] [--engines E,...]

The reference is ONNX Runtime in f32 where it is installed, else the first engine in f32. Two detections are the same
where each is the other's nearest, within three pixels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from lpnet_rt.benchmarks.choosing import load_detectors
from lpnet_rt.benchmarks.results import Parity
from lpnet_rt.benchmarks.stages import engine_name
from lpnet_rt.benchmarks.tables import parity_table
from lpnet_rt.benchmarks.videos import first_frames
from lpnet_rt.console import exit_code_of
from lpnet_rt.detections import Detections
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError
from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.demo import DemoScene

__all__ = ["compare_detections", "compare_engines", "demo_frames", "main", "reference_of"]

_SAME_PX = 3.0


def compare_detections(reference: Detections, found: Detections) -> tuple[int, int, float, float]:
    """Match one frame's detections.

    Returns:
        How many were gained and lost, the largest move of a centroid (pixels), the largest difference of a score.
    """
    if not len(reference) or not len(found):
        return len(found), len(reference), 0.0, 0.0
    apart_px = np.linalg.norm(reference.centroid_xy[:, None] - found.centroid_xy[None], axis=2)
    nearest = apart_px.argmin(axis=1)
    rows = np.arange(len(reference))
    same = (apart_px.argmin(axis=0)[nearest] == rows) & (apart_px[rows, nearest] <= _SAME_PX)
    if not same.any():
        return len(found), len(reference), 0.0, 0.0
    differences = np.abs(reference.score[same] - found.score[nearest[same]])
    matched = int(same.sum())
    moved_px = float(apart_px[rows, nearest][same].max())
    return len(found) - matched, len(reference) - matched, moved_px, float(differences.max())


def reference_of(detectors: Sequence[Detector]) -> Detector | None:
    """The detector that the others are compared with; None where none runs in f32."""
    exact = [detector for detector in detectors if detector.choice.engine.precision == "f32"]
    return next((d for d in exact if d.choice.engine.name == "onnxruntime"), exact[0] if exact else None)


def compare_engines(
    reference: Detector, others: Sequence[Detector], images: Sequence[GreyImage], name: str
) -> list[Parity]:
    """Run every engine on the same images.

    Args:
        reference: What the others are compared with.
        others: One an engine.
        images: (H, W) uint8 or uint16.
        name: What the images are called.
    """
    expected = [reference.detect(image) for image in images]
    rows = []
    for detector in others:
        compared = [compare_detections(want, detector.detect(img)) for want, img in zip(expected, images, strict=True)]
        gained, lost, moves_px, differences = zip(*compared, strict=True)
        rows.append(
            Parity(
                name=name,
                engine=engine_name(detector),
                reference=engine_name(reference),
                frames=len(images),
                detections=sum(len(one) for one in expected),
                gained=sum(gained),
                lost=sum(lost),
                largest_move_px=max(moves_px),
                largest_score_difference=max(differences),
            )
        )
    return rows


def demo_frames(count: int, size_hw: tuple[int, int] = (512, 640)) -> list[GreyImage]:
    """Frames of the demo scene, half a second apart, raw counts of 14 bits."""
    scene = DemoScene(seed=2, size_hw=size_hw)
    return [scene.frame(15 * index) for index in range(count)]


def main(argv: list[str] | None = None) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.parity", description=__doc__)
    parser.add_argument("--source", type=Path, metavar="FILE", help="video or images, compared beside the demo scene")
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="default: %(default)s")
    parser.add_argument("--model", default="lpnet-rt", metavar="M")
    parser.add_argument("--engines", metavar="E,...", help="such as openvino:bf16,onnxruntime (default: all)")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    detectors = load_detectors(args.engines, args.model, None)
    reference = reference_of(detectors)
    if reference is None or len(detectors) < 2:
        raise SettingsError("--engines: expected two engines or more, one of them in f32; name more, or none for all")
    others = [detector for detector in detectors if detector is not reference]
    rows = compare_engines(reference, others, demo_frames(args.frames), "demo scene")
    if args.source:
        images = [frame.image for frame in first_frames(args.source, args.frames)]
        rows += compare_engines(reference, others, images, args.source.name)
    Console().print(parity_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
