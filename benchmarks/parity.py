"""Do all engines find the same? Detections of every engine beside the reference's, on the same frames.

    python -m lpnet_rt.benchmarks.parity [--source FILE] [--frames N] [--model M] [--engines E,...]

The reference is ONNX Runtime in f32 where it is installed, else the first engine in f32. Detections are matched
as the parity gate of exported files does it (:mod:`lpnet_rt.agreement`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lpnet_rt.agreement import Agreement, compare
from lpnet_rt.benchmarks.choosing import load_detectors
from lpnet_rt.benchmarks.results import Parity
from lpnet_rt.benchmarks.stages import engine_name
from lpnet_rt.benchmarks.tables import parity_table
from lpnet_rt.benchmarks.videos import first_frames
from lpnet_rt.console import exit_code_of
from lpnet_rt.detector import Detector
from lpnet_rt.errors import SettingsError
from lpnet_rt.frames import GreyImage
from lpnet_rt.sources.demo import DemoScene

__all__ = ["compare_engines", "demo_frames", "main", "reference_of"]


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
        agreement = Agreement()
        for want, image in zip(expected, images, strict=True):
            agreement.add(compare(want, detector.detect(image)))
        rows.append(
            Parity(
                name=name,
                engine=engine_name(detector),
                reference=engine_name(reference),
                frames=agreement.frames,
                detections=agreement.detections,
                gained=agreement.gained,
                lost=agreement.lost,
                largest_move_px=agreement.moved_px,
                largest_score_difference=agreement.score_apart,
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
