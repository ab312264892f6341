"""``lpnet-rt calibrate-camera``: boresight, roll, field of view and distortion, from landmarks."""

from __future__ import annotations

import argparse
import logging
import math
import re
from contextlib import closing
from pathlib import Path

import cv2
import msgspec
import numpy as np

from lpnet_rt.camera_geometry.calibration import Calibration, calibrate
from lpnet_rt.camera_geometry.landmarks import Place, read_landmarks
from lpnet_rt.errors import SettingsError, SourceError
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.frames import GreyImage
from lpnet_rt.settings import load_settings
from lpnet_rt.settings.camera import CameraSettings, camera_table
from lpnet_rt.sources import open_source
from lpnet_rt.text import printable
from lpnet_rt.view.landmark_marks import draw_landmarks

__all__ = ["add_arguments", "run"]

_logger = logging.getLogger(__name__)

_WARN_PX = 1.0
_PIXEL_ERRORS_PX = (0.01, 100.0)
_FIELDS_DEG = (0.1, 150.0)
_DARK = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--landmarks", required=True, type=Path, metavar="FILE", help="TOML or CSV; docs/angles.md")
    parser.add_argument("--out", required=True, type=Path, metavar="TOML", help="configuration file to write")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="picture of the residuals (default: as --out)")
    parser.add_argument("--source", metavar="X", help="as in run: gives the size, and a frame for the picture")
    parser.add_argument("--size", metavar="WxH", help="size of the picture, such as 640x512, in place of --source")
    parser.add_argument("--name", metavar="NAME", help="name of the source that the camera belongs to (default: all)")
    parser.add_argument("--place", metavar="LAT,LON,H", help="of the camera: WGS84, degrees, metres over the ellipsoid")
    parser.add_argument("--field-of-view", type=float, metavar="DEG", help="rough, where two landmarks fit two of them")
    parser.add_argument("--pixel-error", type=float, default=0.5, metavar="PX", help="of the pixels (default: 0.5)")
    parser.add_argument(
        "--distortion", choices=("auto", "yes", "no"), default="auto", help="fit k1 (default: from six landmarks on)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Calibrate, print what was found, and write the table and the picture.

    Raises:
        SettingsError: A flag or a landmark is wrong, or the landmarks do not determine the camera.
        SourceError: The source cannot be read or has no frame.
        SinkError: A file exists or cannot be written.
        DependencyError: A library for places or for the sky is missing.
    """
    picture = args.picture or args.out.with_suffix(".png")
    for path, flag, suffix in ((args.out, "--out", ".toml"), (picture, "--picture", ".png")):
        if path.suffix.lower() != suffix:
            raise SettingsError(f"{flag}: expected a file that ends in {suffix}, found {path}")
        refuse_existing(path, flag, args.overwrite)
    _refuse_out_of(args.pixel_error, _PIXEL_ERRORS_PX, "--pixel-error")
    _refuse_out_of(args.field_of_view, _FIELDS_DEG, "--field-of-view")
    if args.name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", args.name):
        raise SettingsError(f"--name: expected 1 to 64 letters, digits, - or _, found {args.name!r}")
    place = None if args.place is None else _place(args.place)
    landmarks = read_landmarks(args.landmarks, place)
    image = _image(args)
    height, width = image.shape
    calibration = calibrate(
        landmarks,
        (height, width),
        pixel_error_px=args.pixel_error,
        field_of_view_deg=args.field_of_view,
        with_distortion={"auto": None, "yes": True, "no": False}[args.distortion],
    )
    _print(calibration)
    camera = _with_place(calibration.camera, args.name, place)
    head = f"# By lpnet-rt calibrate-camera from {len(landmarks)} landmarks, for frames of {width}x{height}.\n"
    content = cv2.imencode(".png", draw_landmarks(image, calibration))[1].tobytes()
    write_whole(args.out, (head + camera_table(camera)).encode(), "--out", overwrite=args.overwrite)
    write_whole(picture, content, "--picture", overwrite=args.overwrite)
    _logger.info("wrote %s and %s", args.out, picture)
    return 0


def _refuse_out_of(value: float | None, bounds: tuple[float, float], flag: str) -> None:
    if value is not None and not bounds[0] <= value <= bounds[1]:
        raise SettingsError(f"{flag}: expected a number from {bounds[0]} to {bounds[1]:g}, found {value}")


def _place(text: str) -> Place:
    try:
        latitude, longitude, height = (float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"--place: expected LATITUDE,LONGITUDE,HEIGHT, found {printable(text)[:80]!r}") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 360 and -1000 <= height <= 100_000):
        raise SettingsError(
            f"--place: expected a latitude of -90 to 90, a longitude of -180 to 360 and a height of -1,000 to 100,000 "
            f"m, found {printable(text)[:80]}"
        )
    return Place(latitude, longitude, height)


def _image(args: argparse.Namespace) -> GreyImage:
    """The first good frame of the source, or a dark picture of the given size."""
    if (args.source is None) == (args.size is None):
        raise SettingsError("calibrate-camera: expected either --source or --size, to know how large the picture is")
    if args.size is not None:
        match = re.fullmatch(r"([0-9]{2,5})x([0-9]{2,5})", args.size, re.ASCII)
        if match is None or not all(16 <= int(side) <= 16_384 for side in match.groups()):
            raise SettingsError(f"--size: expected WIDTHxHEIGHT such as 640x512, found {printable(args.size)[:80]!r}")
        return np.full((int(match[2]), int(match[1])), _DARK, np.uint8)
    settings = load_settings(None, {"source.spec": args.source}).sources[0]
    with closing(open_source(msgspec.structs.replace(settings, reconnect="never"))) as source:
        for frame in source:
            if frame.damage is None:
                return frame.image
    raise SourceError(f"{printable(args.source)}: expected a frame, found none")


def _with_place(camera: CameraSettings, name: str | None, place: Place | None) -> CameraSettings:
    if place is not None:
        camera = msgspec.structs.replace(
            camera, latitude_deg=place.latitude_deg, longitude_deg=place.longitude_deg, height_m=place.height_m
        )
    return msgspec.structs.replace(camera, source=name)


def _print(calibration: Calibration) -> None:
    """What was found, with errors, and how well each landmark fits."""
    camera = calibration.camera
    covariance = camera.calibration_covariance
    assert covariance is not None
    errors = [math.sqrt(covariance[row][row]) for row in range(len(covariance))]
    rows = [
        ("azimuth", camera.azimuth_deg, errors[0], "deg"),
        ("elevation", camera.elevation_deg, errors[1], "deg"),
        ("roll", camera.roll_deg, errors[2], "deg"),
        ("field of view", camera.field_of_view_deg or 0.0, errors[3], "deg"),
    ]
    rows += [("k1", camera.k1, errors[4], "")] if errors[4] else []
    for name, value, error, unit in rows:
        value = round(value, 4) + 0.0  # not -0.0000
        print(f"{name:14}{value:11.4f} +- {error:.4f} {unit}".rstrip())
    print(f"\n{'landmark':24}{'x':>9}{'y':>9}{'off, px':>10}{'off, deg':>11}")
    for each in calibration.residuals:
        x, y = each.landmark.xy
        note = "   left out" if each.is_outlier else ""
        name = printable(each.landmark.name)[:23]
        print(f"{name:24}{x:9.2f}{y:9.2f}{each.error_px:10.2f}{each.error_deg:11.4f}{note}")
    for each in calibration.outliers:
        _logger.warning(
            "landmark %s is off by %.1f px and was left out; check its pixel and its direction",
            printable(each.landmark.name),
            each.error_px,
        )
    if calibration.corner_error_px > _WARN_PX:
        _logger.warning(
            "expect errors of %.1f px (one sigma) at the corners; landmarks near the edges would lower them",
            calibration.corner_error_px,
        )
