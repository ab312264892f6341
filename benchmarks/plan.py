"""What one run of ``lpnet-rt benchmark`` does: its flags, validated."""

from __future__ import annotations

import argparse
import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import merge

__all__ = ["PARTS", "Plan", "add_flags", "read_plan"]

PARTS: Final = ("stages", "end-to-end", "live", "start-up", "parity")
_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
_LEAST_SIDE_PX = 64
_USUAL_PX = 640 * 512
Few = Annotated[int, Meta(ge=1, le=1_000_000)]


class Plan(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to measure, and for how long.

    Attributes:
        engines: Names with commas between them, or None for all that are available.
        sizes: Widths x heights, with commas between them.
        batch: Frames at a time for the stages, with commas between them.
        source: Video to measure instead of files made of the demo scene, or None.
        model: Packaged model or path of an .onnx file.
        threads: Processor threads for inference, or None for all.
        frames: In each generated file up to 640x512; larger ones get as many fewer as they are larger.
        stage_frames: Frames that the stages are timed on.
        rounds: How often each engine goes through them.
        runs: Counted processes an engine and file, and for start-up.
        live_s: Seconds of the live run.
        only: Parts to do, with commas between them.
        json: File for the figures, or None.
        plot: File for the picture, or None.
        overwrite: Whether files that exist are replaced.
    """

    engines: str | None = None
    sizes: str = "320x256,640x512,1280x1024"
    batch: str = "1"
    source: str | None = None
    model: str = "lpnet-rt"
    threads: Few | None = None
    frames: Few = 300
    stage_frames: Few = 30
    rounds: Few = 4
    runs: Few = 2
    live_s: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
    only: str = ",".join(PARTS)
    json: str | None = None
    plot: str | None = None
    overwrite: bool = False

    def sizes_hw(self) -> list[tuple[int, int]]:
        """Heights and widths, pixels.

        Raises:
            SettingsError: One is not WIDTHxHEIGHT, is under 64 or odd.
        """
        sizes = []
        for text in self.sizes.split(","):
            found = _SIZE.fullmatch(text.strip())
            width, height = (int(side) for side in found.groups()) if found else (0, 0)
            if min(width, height) < _LEAST_SIDE_PX or width % 2 or height % 2:
                raise SettingsError(f"--sizes {text}: expected WIDTHxHEIGHT, even and at least 64, such as 640x512")
            sizes.append((height, width))
        return sizes

    def frames_of(self, size_hw: tuple[int, int]) -> int:
        """Frames of a generated file."""
        share = _USUAL_PX / (size_hw[0] * size_hw[1])
        return max(min(self.frames, 2), self.stage_frames, round(self.frames * min(1.0, share)))

    def batches(self) -> list[int]:
        """Frames at a time.

        Raises:
            SettingsError: One is no number, under 1 or over the frames that there are.
        """
        batches = []
        for text in self.batch.split(","):
            number = int(text) if text.strip().isdecimal() else 0
            if not 1 <= number <= self.stage_frames:
                raise SettingsError(f"--batch {text}: expected numbers from 1 to {self.stage_frames}, such as 1,4")
            batches.append(number)
        return batches

    def parts(self) -> list[str]:
        """What to do, in the order in which it is done.

        Raises:
            SettingsError: A name is unknown.
        """
        wanted = [part.strip() for part in self.only.split(",")]
        for part in wanted:
            if part not in PARTS:
                raise SettingsError(f"--only {part}: expected some of {', '.join(PARTS)}")
        return [part for part in PARTS if part in wanted]


_QUICK = {"sizes": "320x256,640x512", "frames": 120, "stage_frames": 16, "rounds": 3, "runs": 1, "live_s": 4.0}

_HELP = {
    "engines": ("E,...", "such as openvino:bf16,onnxruntime (default: all that are worth it here, and torch:f32)"),
    "sizes": ("WxH,...", "sizes of the generated files (default: %s)"),
    "batch": ("N,...", "frames at a time, for the stages (default: %s)"),
    "source": ("FILE", "measure this video instead of generated ones"),
    "model": ("M", "packaged model or path of an .onnx file (default: %s)"),
    "threads": ("N", "threads for inference (default: all)"),
    "frames": ("N", "frames of a generated file up to 640x512, fewer in larger ones (default: %s)"),
    "stage_frames": ("N", "frames that the stages are timed on (default: %s)"),
    "rounds": ("N", "how often each engine goes through them (default: %s)"),
    "runs": ("N", "counted processes of each kind (default: %s)"),
    "live_s": ("S", "seconds of the run at the camera's pace (default: %s)"),
    "only": ("PART,...", "some of " + ", ".join(PARTS)),
    "json": ("OUT", "write the figures to this file"),
    "plot": ("OUT.png", "draw them"),
}
_NUMBERS = {"threads": int, "frames": int, "stage_frames": int, "rounds": int, "runs": int, "live_s": float}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of :class:`Plan`, and ``--quick``."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(Plan)}
    for name, (metavar, text) in _HELP.items():
        text = text % defaults[name] if "%s" in text else text
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, dest=name, metavar=metavar, help=text, type=_NUMBERS.get(name, str))
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--quick", action="store_true", help="a minute's worth: fewer and shorter runs of everything")


def read_plan(args: argparse.Namespace) -> Plan:
    """Make the plan of the flags; one that is given wins over ``--quick``.

    Raises:
        SettingsError: A value is out of range.
    """
    given = {name: getattr(args, name) for name in _HELP if getattr(args, name) is not None}
    plan = merge(Plan, {}, {**(_QUICK if args.quick else {}), **given, "overwrite": args.overwrite}, "flags")
    plan.sizes_hw(), plan.batches(), plan.parts()
    return plan
