"""From pixels to directions: lens, orientation, errors, landmarks, calibration.

Frames of reference:

* Picture: x to the right, y down, the centre of the first pixel is (0, 0); pixels.
* Camera: x to the right, y down, z along the boresight, as in OpenCV.
* Local: x east, y north, z up, at the camera; azimuth clockwise from true north, elevation over the horizon, which is
  the plane perpendicular to the normal of the WGS84 ellipsoid. Directions are geometric: no refraction.
"""

from lpnet_rt.camera_geometry.directions import CameraGeometry, Directions, Points
from lpnet_rt.camera_geometry.lens import Lens
from lpnet_rt.camera_geometry.orientation import Orientation, azimuth_elevation, unit_vectors, wrapped

__all__ = [
    "CameraGeometry",
    "Directions",
    "Lens",
    "Orientation",
    "Points",
    "azimuth_elevation",
    "unit_vectors",
    "wrapped",
]
