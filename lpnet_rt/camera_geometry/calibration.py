"""Boresight, roll, field of view and distortion from landmarks, by robust least squares.

Two landmarks determine azimuth, elevation, roll and focal length. Each pair gives a first guess: the focal length at
which the pair is as far apart as it should be, and the rotation that fits it best (Kabsch, 1976). The guess that most
landmarks agree with is refined on all of them with a loss that bounds outliers, those are left out, and the rest is
fitted by plain least squares, whose curvature gives the covariance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares
from scipy.spatial.transform import Rotation

from lpnet_rt.camera_geometry.landmarks import Landmark
from lpnet_rt.camera_geometry.lens import Lens
from lpnet_rt.camera_geometry.orientation import Orientation, unit_vectors
from lpnet_rt.errors import SettingsError
from lpnet_rt.settings.camera import CameraSettings

__all__ = ["Calibration", "Residual", "calibrate"]

_Array = NDArray[np.float64]

_FOR_DISTORTION = 6
_NEEDED = 6.6  # fall of chi-squared by k1 that chance exceeds in one of a hundred cameras without distortion
_FIELDS_DEG = (0.1, 150.0)
_GUESSES = 60  # focal lengths between which a pair's separation is searched
_WIDE_PAIRS, _OTHER_PAIRS = 30, 30
_MIN_SEPARATION = 0.1  # of two landmarks, as a share of the picture's diagonal
_OUTLIER_SIGMAS, _OUTLIER_PX = 5.0, 3.0
_MAX_OUTLIERS = 0.34
_WORST_PX = 25.0  # predicted error at the corners from which a calibration is useless
_STEPS = np.array((1e-4, 1e-4, 1e-4, 1e-5, 1e-5))


@dataclass(frozen=True, slots=True)
class Residual:
    """How far a landmark is from where the calibrated camera sees it.

    Attributes:
        landmark: The landmark.
        xy: Where the camera sees its direction, pixels.
        error_px: Distance, pixels.
        error_deg: Angle, degrees.
        is_outlier: Whether it was left out of the fit.
    """

    landmark: Landmark
    xy: tuple[float, float]
    error_px: float
    error_deg: float
    is_outlier: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """What landmarks say of a camera.

    Attributes:
        camera: Field of view, k1, orientation and their covariance, as settings.
        size_hw: Height and width of the picture, pixels.
        residuals: One per landmark, in their order.
        corner_error_px: Predicted standard error at the worst corner of the picture, pixels.
    """

    camera: CameraSettings
    size_hw: tuple[int, int]
    residuals: tuple[Residual, ...]
    corner_error_px: float

    @property
    def outliers(self) -> tuple[Residual, ...]:
        """Landmarks that were left out, the worst first."""
        found = [each for each in self.residuals if each.is_outlier]
        return tuple(sorted(found, key=lambda each: -each.error_px))


class _Problem:
    """Landmarks as arrays, and the pixels that parameters predict.

    Parameters are a rotation vector added to a first guess, log of the focal length, and k1: five numbers.
    """

    def __init__(self, landmarks: Sequence[Landmark], size_hw: tuple[int, int], pixel_error_px: float) -> None:
        self.size_hw = size_hw
        self.xy = np.array([landmark.xy for landmark in landmarks], np.float64)
        azimuth, elevation = np.array([(each.azimuth_deg, each.elevation_deg) for each in landmarks]).T
        self.vectors = unit_vectors(azimuth, elevation)
        self.error_deg = np.array([landmark.error_deg for landmark in landmarks])
        self.pixel_error_px = pixel_error_px

    def lens(self, log_focal: float, k1: float = 0.0) -> Lens:
        height, width = self.size_hw
        focal = math.exp(log_focal)
        return Lens((focal, focal), ((width - 1) / 2, (height - 1) / 2), (k1, 0.0, 0.0, 0.0, 0.0), self.size_hw)

    def sigma_px(self, log_focal: float) -> _Array:
        """(N,) standard error of each landmark on either axis, pixels."""
        sigma: _Array = np.hypot(self.pixel_error_px, np.radians(self.error_deg) * math.exp(log_focal))
        return sigma

    def offsets(self, rotation: _Array, log_focal: float, k1: float, which: NDArray[np.intp] | None = None) -> _Array:
        """(N, 2) pixels from each landmark to where a camera sees its direction, in its standard errors."""
        rows = slice(None) if which is None else which
        seen = self.lens(log_focal, k1).pixels(self.vectors[rows] @ rotation)
        off = (seen - self.xy[rows]) / self.sigma_px(log_focal)[rows, None]
        return np.where(np.isfinite(off), off, 1e4)


def calibrate(
    landmarks: Sequence[Landmark],
    size_hw: tuple[int, int],
    *,
    pixel_error_px: float = 0.5,
    field_of_view_deg: float | None = None,
    with_distortion: bool | None = None,
) -> Calibration:
    """Find how a camera looks at its landmarks.

    Args:
        landmarks: At least two.
        size_hw: Height and width of the picture, pixels.
        pixel_error_px: Standard error of the landmarks' pixels on either axis.
        field_of_view_deg: Rough horizontal field of view, which decides where two landmarks fit two of them.
        with_distortion: Whether to fit k1; None: from six landmarks on, if they fit better with it than by chance.

    Raises:
        SettingsError: There are too few landmarks, they are too near each other, or they contradict each other.
    """
    _refuse_degenerate(landmarks, size_hw)
    may_distort = len(landmarks) >= _FOR_DISTORTION if with_distortion is None else with_distortion
    problem = _Problem(landmarks, size_hw, pixel_error_px)
    rotation, log_focal = _first_guess(problem, field_of_view_deg)
    fit = _refined(problem, rotation, log_focal, may_distort, np.arange(len(landmarks)))
    limit = max(_OUTLIER_SIGMAS, _OUTLIER_PX / pixel_error_px)
    kept = np.flatnonzero(np.hypot(*problem.offsets(*fit).T) <= limit)
    _refuse_contradiction(landmarks, kept, problem, fit)
    plain = _refined(problem, *fit[:2], False, kept, "linear")
    bent = _refined(problem, *fit[:2], True, kept, "linear") if may_distort and 2 * len(kept) > len(_STEPS) else plain
    fall = (problem.offsets(*plain, which=kept) ** 2).sum() - (problem.offsets(*bent, which=kept) ** 2).sum()
    with_k1 = bent is not plain and bool(with_distortion or fall > _NEEDED)
    return _result(problem, landmarks, kept, bent if with_k1 else plain, with_k1)


def _refuse_degenerate(landmarks: Sequence[Landmark], size_hw: tuple[int, int]) -> None:
    if len(landmarks) < 2:
        raise SettingsError(f"landmarks: expected at least 2, found {len(landmarks)}; more are better")
    height, width = size_hw
    for each in landmarks:
        if not (-0.5 <= each.xy[0] <= width - 0.5 and -0.5 <= each.xy[1] <= height - 0.5):
            raise SettingsError(
                f"landmark {each.name}: expected a pixel of a picture of {width}x{height}, found {each.xy[0]:g}, "
                f"{each.xy[1]:g}"
            )
    far = max(combinations(landmarks, 2), key=lambda pair: math.dist(pair[0].xy, pair[1].xy))
    need_px = _MIN_SEPARATION * math.hypot(*size_hw)
    found_px = math.dist(far[0].xy, far[1].xy)
    if found_px < need_px:
        raise SettingsError(
            f"landmarks: expected two at least {need_px:.0f} px apart, found {found_px:.0f} px between {far[0].name} "
            f"and {far[1].name}; take landmarks near opposite edges of the picture"
        )


def _first_guess(problem: _Problem, field_of_view_deg: float | None) -> tuple[_Array, float]:
    """The rotation and log of the focal length of a pair that most landmarks agree with."""
    width = problem.size_hw[1]
    need_px = _MIN_SEPARATION * math.hypot(*problem.size_hw)
    apart = {ij: math.dist(*problem.xy[list(ij)]) for ij in combinations(range(len(problem.xy)), 2)}
    pairs = sorted((pair for pair, px in apart.items() if px >= need_px), key=lambda pair: -apart[pair])
    # The widest pairs may all have one landmark in common, which may be the wrong one.
    others = pairs[_WIDE_PAIRS :: max(1, (len(pairs) - _WIDE_PAIRS) // _OTHER_PAIRS)]
    guesses = [guess for pair in (*pairs[:_WIDE_PAIRS], *others) for guess in _of_pair(problem, pair)]
    if not guesses:
        raise SettingsError(
            "landmarks: expected pixels and directions of the same picture, found no field of view from "
            f"{_FIELDS_DEG[0]} to {_FIELDS_DEG[1]:.0f} degrees that fits; check x, y and the directions"
        )
    costs = np.array([np.log1p((problem.offsets(r, f, 0.0) / 10) ** 2).sum() for r, f in guesses])
    if field_of_view_deg is None and len(problem.xy) == 2 and len(guesses) > 1:
        fields = " and ".join(f"{_field_deg(focal, width):.1f}" for _, focal in guesses)
        raise SettingsError(
            f"landmarks: expected one field of view, found {fields} degrees, which both fit; add a landmark or give a "
            "rough --field-of-view"
        )
    if field_of_view_deg is not None:
        wanted = math.log(width / 2 / math.tan(math.radians(field_of_view_deg) / 2))
        costs = costs + np.array([abs(focal - wanted) for _, focal in guesses])
    return guesses[int(np.argmin(costs))]


def _of_pair(problem: _Problem, pair: tuple[int, int]) -> list[tuple[_Array, float]]:
    """Every rotation and log of the focal length that fits two landmarks."""
    rows = list(pair)
    first, second = problem.vectors[rows]
    wanted = math.atan2(float(np.linalg.norm(np.cross(first, second))), float(first @ second))

    height, width = problem.size_hw
    offsets = problem.xy[rows] - ((width - 1) / 2, (height - 1) / 2)

    def rays(log_focal: float | _Array) -> _Array:
        focal = np.exp(np.asarray(log_focal))[..., None]
        ahead = np.stack(
            [np.concatenate((np.broadcast_to(offset, (*focal.shape[:-1], 2)), focal), axis=-1) for offset in offsets]
        )
        unit: _Array = ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)
        return unit

    def excess(log_focal: float | _Array) -> _Array:
        one, other = rays(log_focal)
        angle: _Array = np.arctan2(np.linalg.norm(np.cross(one, other), axis=-1), (one * other).sum(axis=-1))
        return angle - wanted

    longest, shortest = (_log_focal(field, width) for field in _FIELDS_DEG)
    grid = np.linspace(shortest, longest, _GUESSES)
    values = excess(grid)
    found = []
    for left, right, before, after in zip(grid, grid[1:], values, values[1:], strict=False):
        if before * after <= 0:
            focal = float(brentq(excess, left, right))
            rotation, _ = Rotation.align_vectors(problem.vectors[rows], rays(focal))
            found.append((rotation.as_matrix(), focal))
    return found


def _refined(
    problem: _Problem, rotation: _Array, log_focal: float, with_k1: bool, kept: NDArray[np.intp], loss: str = "cauchy"
) -> tuple[_Array, float, float]:
    """Least squares over the landmarks ``kept``, from a first guess with k1 = 0."""

    def unpacked(parameters: _Array) -> tuple[_Array, float, float]:
        turned = rotation @ Rotation.from_rotvec(parameters[:3]).as_matrix()
        return turned, log_focal + float(parameters[3]), float(parameters[4]) if with_k1 else 0.0

    def residuals(parameters: _Array) -> _Array:
        return problem.offsets(*unpacked(parameters), which=kept).ravel()

    start = np.zeros(5 if with_k1 else 4)
    scale = np.array((1e-2, 1e-2, 1e-2, 1e-2, 1e-1))[: len(start)]
    fit = least_squares(residuals, start, loss=loss, f_scale=2.0, x_scale=scale, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return unpacked(fit.x)


def _refuse_contradiction(
    landmarks: Sequence[Landmark], kept: NDArray[np.intp], problem: _Problem, fit: tuple[_Array, float, float]
) -> None:
    """Refuse where too many landmarks are left out, or too few remain to say which is wrong."""
    out = [landmark for row, landmark in enumerate(landmarks) if row not in set(kept.tolist())]
    if not out:
        return
    if len(landmarks) > 3 and len(out) <= _MAX_OUTLIERS * len(landmarks):
        return
    off_px = np.hypot(*(problem.offsets(*fit) * problem.sigma_px(fit[1])[:, None]).T)
    listed = ", ".join(f"{landmark.name} {off:.1f} px" for landmark, off in zip(landmarks, off_px, strict=True))
    raise SettingsError(
        f"landmarks: expected pixels and directions that agree, found residuals of {listed[:300]}; correct them, or "
        "add landmarks so that the wrong one stands out"
    )


def _result(
    problem: _Problem,
    landmarks: Sequence[Landmark],
    kept: NDArray[np.intp],
    fit: tuple[_Array, float, float],
    with_k1: bool,
) -> Calibration:
    rotation, log_focal, k1 = fit
    orientation = Orientation.of_matrix(rotation)
    width = problem.size_hw[1]
    field = _likely_field_deg(log_focal, width)
    parameters = np.array((orientation.azimuth_deg, orientation.elevation_deg, orientation.roll_deg, field, k1))
    covariance = _covariance(problem, parameters, kept, with_k1)
    errors = np.sqrt(np.diag(covariance))
    camera = CameraSettings(
        azimuth_deg=round(float(parameters[0]), 6) % 360.0,
        elevation_deg=round(float(parameters[1]), 6),
        roll_deg=round(float(parameters[2]), 6),
        field_of_view_deg=round(field, 6),
        k1=round(k1, 8),
        azimuth_error_deg=round(float(errors[0]), 6),
        elevation_error_deg=round(float(errors[1]), 6),
        roll_error_deg=round(float(errors[2]), 6),
        field_of_view_error_deg=round(float(errors[3]), 6),
        k1_error=round(float(errors[4]), 6),
        calibration_covariance=tuple(tuple(row) for row in covariance.tolist()),
        principal_point_error_px=0.0,
    )
    residuals = _residuals(problem, landmarks, kept, fit)
    result = Calibration(camera, problem.size_hw, residuals, _corner_error_px(problem, parameters, covariance))
    if not result.corner_error_px <= _WORST_PX:
        raise SettingsError(
            f"landmarks: expected an error of at most {_WORST_PX:.0f} px at the corners of the picture, found one of "
            f"{result.corner_error_px:.0f} px; take landmarks near opposite edges, or more of them"
        )
    return result


def _predicted(problem: _Problem, parameters: _Array, vectors: _Array) -> _Array:
    """(N, 2) pixels of (N, 3) directions by azimuth, elevation, roll and field of view (degrees), and k1."""
    lens = problem.lens(_log_focal(float(parameters[3]), problem.size_hw[1]), float(parameters[4]))
    return lens.pixels(vectors @ Orientation(*map(float, parameters[:3])).matrix())


def _slopes(problem: _Problem, parameters: _Array, vectors: _Array) -> _Array:
    """(N, 2, 5) derivatives of the predicted pixels by the parameters."""
    columns = []
    for number, step in enumerate(_STEPS):
        change = np.zeros(5)
        change[number] = step
        above, below = (_predicted(problem, parameters + sign * change, vectors) for sign in (1, -1))
        columns.append((above - below) / (2 * step))
    return np.stack(columns, axis=2)


def _covariance(problem: _Problem, parameters: _Array, kept: NDArray[np.intp], with_k1: bool) -> _Array:
    """(5, 5) covariance of the parameters; larger where the landmarks fit worse than their errors say."""
    count = 5 if with_k1 else 4
    log_focal = _log_focal(float(parameters[3]), problem.size_hw[1])
    sigma = problem.sigma_px(log_focal)[kept, None]
    slopes = (_slopes(problem, parameters, problem.vectors[kept]) / sigma[:, :, None]).reshape(-1, 5)[:, :count]
    off = (_predicted(problem, parameters, problem.vectors[kept]) - problem.xy[kept]) / sigma
    freedom = off.size - count
    excess = max(1.0, float((off**2).sum()) / freedom) if freedom > 0 else 1.0
    covariance = np.zeros((5, 5))
    covariance[:count, :count] = np.linalg.pinv(slopes.T @ slopes, hermitian=True) * excess
    return (covariance + covariance.T) / 2


def _corner_error_px(problem: _Problem, parameters: _Array, covariance: _Array) -> float:
    """Largest standard error, on either axis, of the corners of the picture."""
    height, width = problem.size_hw
    lens = problem.lens(_log_focal(float(parameters[3]), width), float(parameters[4]))
    corners = np.array(((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)), np.float64)
    rays = lens.rays(corners)[0]
    if not np.isfinite(rays).all():
        return math.inf
    vectors = np.column_stack((rays, np.ones(4))) @ Orientation(*map(float, parameters[:3])).matrix().T
    slopes = _slopes(problem, parameters, vectors)
    return float(np.sqrt(np.einsum("nai,ij,naj->na", slopes, covariance, slopes).max()))


def _residuals(
    problem: _Problem, landmarks: Sequence[Landmark], kept: NDArray[np.intp], fit: tuple[_Array, float, float]
) -> tuple[Residual, ...]:
    rotation, log_focal, k1 = fit
    lens = problem.lens(log_focal, k1)
    seen = lens.pixels(problem.vectors @ rotation)
    rays = lens.rays(problem.xy)[0]
    pointed = np.column_stack((rays, np.ones(len(rays)))) @ rotation.T
    pointed /= np.linalg.norm(pointed, axis=1, keepdims=True)
    angles = 2 * np.degrees(np.arcsin(np.clip(np.linalg.norm(pointed - problem.vectors, axis=1) / 2, 0, 1)))
    within = set(kept.tolist())
    return tuple(
        Residual(
            landmark,
            (float(xy[0]), float(xy[1])),
            float(math.dist(xy, landmark.xy)),
            float(angle),
            row not in within,
        )
        for row, (landmark, xy, angle) in enumerate(zip(landmarks, seen, angles, strict=True))
    )


def _field_deg(log_focal: float, width: int) -> float:
    return math.degrees(2 * math.atan(width / 2 / math.exp(log_focal)))


def _likely_field_deg(log_focal: float, width: int) -> float:
    """The field of view, refused where it is not that of a camera."""
    field = _field_deg(log_focal, width)
    if not _FIELDS_DEG[0] <= field <= _FIELDS_DEG[1]:
        raise SettingsError(
            f"landmarks: expected a field of view of {_FIELDS_DEG[0]} to {_FIELDS_DEG[1]:.0f} degrees, found "
            f"{field:.2f}; check the pixels and the directions"
        )
    return field


def _log_focal(field_deg: float, width: int) -> float:
    return math.log(width / 2 / math.tan(math.radians(field_deg) / 2))
