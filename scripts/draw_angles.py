"""Write the figures of docs/angles.md: its conventions, and a calibration of the demo scene."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Rectangle

from lpnet_rt.camera_geometry import CameraGeometry, Points
from lpnet_rt.camera_geometry.calibration import calibrate
from lpnet_rt.camera_geometry.landmarks import Landmark
from lpnet_rt.settings.camera import CameraSettings
from lpnet_rt.sources.demo import DemoScene
from lpnet_rt.view.landmark_marks import draw_landmarks

mpl.use("Agg")
from matplotlib import pyplot

DOCS = Path(__file__).resolve().parent.parent / "docs"
INK, BLUE, RED = "#30363d", "#1f6feb", "#d1462f"
NAMES = ("chimney", "church", "mast A", "mast B", "tower", "Vega", "Arcturus", "pylon")
PLACES = np.array(((60, 420), (200, 380), (330, 440), (500, 400), (600, 470), (120, 90), (560, 60), (320, 250)), float)


def conventions() -> None:
    """Azimuth from above, elevation from the side, roll from behind."""
    figure, (above, side, behind) = pyplot.subplots(1, 3, figsize=(10.5, 3.5), dpi=110)
    _arrow(above, 90, "true north", INK)
    _arrow(above, 35, "boresight", BLUE)
    _turn(above, 35, 90, "azimuth 55", 0.5, (0.08, 0.72))
    above.set_title("from above")
    side.plot((0, 1.05), (0, 0), color=INK, lw=1)
    side.text(1.05, -0.1, "horizon", ha="right", color=INK)
    _arrow(side, 30, "boresight", BLUE)
    _turn(side, 0, 30, "elevation +30", 0.55)
    side.set_title("from the side")
    behind.plot((-1, 1), (0, 0), color=INK, lw=1)
    behind.text(-1.1, 0.06, "level", color=INK)
    angle = -20  # clockwise, seen from behind
    corner = np.array(((-0.7, -0.5),)) @ _rotation(angle)
    behind.add_patch(Rectangle(corner[0], 1.4, 1.0, angle=angle, fill=False, ec=BLUE, lw=2))
    _arrow(behind, angle, "x", BLUE, 0.75)
    _arrow(behind, angle - 90, "y", BLUE, 0.55)
    _turn(behind, angle, 0, "roll +20", 0.95)
    behind.set_title("from behind the camera")
    for axes in (above, side, behind):
        axes.set_aspect("equal")
        axes.set_xlim(-1.15, 1.25)
        axes.set_ylim(-0.85, 1.2)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(DOCS / "angles.png")


def calibration() -> None:
    """Eight landmarks in the demo scene, one of them marked wrongly."""
    true = CameraSettings(azimuth_deg=2.5, elevation_deg=7, roll_deg=-3, field_of_view_deg=40, k1=-0.15)
    none = np.zeros(len(PLACES))
    seen = CameraGeometry(true, (512, 640)).directions(Points(PLACES, none, np.zeros_like(PLACES), none))
    marked = PLACES + np.random.default_rng(3).normal(0, 0.5, PLACES.shape)
    marked[3] += (14, -9)
    landmarks = [
        Landmark(name, (float(x), float(y)), float(azimuth), float(elevation))
        for name, (x, y), azimuth, elevation in zip(NAMES, marked, seen.azimuth_deg, seen.elevation_deg, strict=True)
    ]
    picture = draw_landmarks(DemoScene(0).frame(0), calibrate(landmarks, (512, 640)))
    small = cv2.resize(picture, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(DOCS / "calibrate-camera.jpg"), small, (cv2.IMWRITE_JPEG_QUALITY, 88))


def _rotation(angle_deg: float) -> np.ndarray:
    angle = np.radians(angle_deg)
    return np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))


def _arrow(axes: Axes, angle_deg: float, words: str, colour: str, length: float = 1.0) -> None:
    tip = length * np.array((np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))))
    axes.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2})
    axes.text(*(tip * (1 + 0.08 / length)), words, ha="center", va="center", color=colour)


def _turn(
    axes: Axes, first_deg: float, last_deg: float, words: str, radius: float, at: tuple[float, float] | None = None
) -> None:
    axes.add_patch(Arc((0, 0), 2 * radius, 2 * radius, theta1=first_deg, theta2=last_deg, color=RED, lw=1.5))
    middle = np.radians((first_deg + last_deg) / 2)
    beside = (radius + 0.06) * np.cos(middle), (radius + 0.06) * np.sin(middle)
    axes.text(*(at or beside), words, color=RED, va="center")


if __name__ == "__main__":
    conventions()
    calibration()
