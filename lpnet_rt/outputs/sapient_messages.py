"""SAPIENT messages, BSI Flex 335 v2.0: registration, status and detection reports of one camera.

The camera is a node of type camera with a fixed field of view. Directions are azimuth from true north and elevation
over the horizon, degrees; there is no range, so none is given.
"""

from __future__ import annotations

import math
import socket
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from lpnet_rt import __version__
from lpnet_rt.angle_fields import camera_message
from lpnet_rt.camera_geometry import CameraGeometry
from lpnet_rt.clock import Clock
from lpnet_rt.messages import StateName
from lpnet_rt.outputs.items import StateItem
from lpnet_rt.outputs.sightings import Sighting
from lpnet_rt.settings import CameraSettings
from lpnet_rt.settings.outputs import SapientSettings

if TYPE_CHECKING:
    from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage

__all__ = ["ICD_VERSION", "SapientWriter", "node_id"]

ICD_VERSION = "BSI Flex 335 v2.0"
_STATUS_S = 1.0
_SYSTEMS: dict[StateName, str] = {
    "connecting": "SYSTEM_WARNING", "live": "SYSTEM_OK", "calibrating": "SYSTEM_WARNING", "frozen": "SYSTEM_ERROR",
    "lost": "SYSTEM_ERROR", "ended": "SYSTEM_GOODBYE",
}  # fmt: skip
_DEGREES = "RANGE_BEARING_COORDINATE_SYSTEM_DEGREES_M"
_TRUE = "RANGE_BEARING_DATUM_TRUE"
_LOCATION = {
    "location_units": "LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M", "location_datum": "LOCATION_DATUM_WGS84_E"
}  # fmt: skip
_BEARING = {"range_bearing_units": _DEGREES, "range_bearing_datum": _TRUE}
_MODE = "default"
_MAX_OBJECTS = 1_000
_TRACK_FIELDS = (
    ("captureTime", "ISO 8601, UTC"), ("azimuthRate", "degrees per second"), ("elevationRate", "degrees per second")
)  # fmt: skip


class SapientWriter:
    """Writes the messages of one source. Used from its peer's thread."""

    def __init__(self, settings: SapientSettings, source: str, camera: CameraSettings, node: str, clock: Clock) -> None:
        """Write for a source.

        Args:
            settings: Names and classes.
            source: Name of the source.
            camera: Its camera.
            node: UUID of the node.
            clock: Clock of the run.
        """
        self._settings, self._source, self._camera = settings, source, camera
        self._node, self._clock = node, clock
        self._objects: dict[tuple[str, int], str] = {}
        self._before: tuple[object, ...] | None = None

    def registration(self) -> SapientMessage:
        """What the node is and sends."""
        second = {"units": "TIME_UNITS_SECONDS", "value": _STATUS_S}
        at_once = {"units": "TIME_UNITS_SECONDS", "value": 0.0}
        detections = {
            "location_type": _BEARING,
            "detection_report": [
                {"category": "DETECTION_REPORT_CATEGORY_TRACK", "type": name, "units": units}
                for name, units in _TRACK_FIELDS
            ],
            "detection_class_definition": [{"class_definition": [{"type": self._settings.target_class}]}],
        }
        mode = {
            "mode_name": _MODE,
            "mode_type": "MODE_TYPE_PERMANENT",
            "mode_description": "detects small targets",
            "settle_time": at_once,
            "scan_type": "SCAN_TYPE_FIXED",
            "tracking_type": "TRACKING_TYPE_TRACKLET",
            "detection_definition": [detections],
            # The standard requires it of every mode; tasks are rejected.
            "task": {
                "concurrent_tasks": 0,
                "region_definition": {"region_type": ["REGION_TYPE_AREA_OF_INTEREST"], "region_area": [_BEARING]},
            },
        }
        status: dict[str, Any] = {"status_interval": second, "field_of_view_definition": _BEARING}
        if self._camera.latitude_deg is not None:
            status["location_definition"] = _LOCATION
        return self._message(
            registration={
                "node_definition": [{"node_type": "NODE_TYPE_CAMERA", "node_sub_type": ["infrared"]}],
                "icd_version": ICD_VERSION,
                "name": f"{self._settings.name} {self._source}",
                "short_name": self._source,
                "capabilities": [{"category": "Camera", "type": "detection and tracking of small infrared targets"}],
                "status_definition": status,
                "mode_definition": [mode],
                "config_data": [
                    {"manufacturer": "lpnet-rt", "model": "lpnet-rt", "software_version": __version__},
                ],
            }
        )

    def status(self, item: StateItem) -> SapientMessage:
        """State of the node, its place and its field of view."""
        now = (item.state, item.size_hw)
        status: dict[str, Any] = {
            "report_id": _ulid(),
            "system": _SYSTEMS[item.state],
            "info": "INFO_UNCHANGED" if now == self._before else "INFO_NEW",
            "mode": _MODE,
        }
        self._before = now
        camera = self._camera
        if camera.latitude_deg is not None:
            errors = {"x_error": camera.position_error_m, "y_error": camera.position_error_m}
            errors["z_error"] = camera.height_error_m
            status["node_location"] = {
                "x": camera.longitude_deg,
                "y": camera.latitude_deg,
                "z": camera.height_m,
                "coordinate_system": _LOCATION["location_units"],
                "datum": _LOCATION["location_datum"],
                **{name: value for name, value in errors.items() if value is not None},
            }
        if item.size_hw is not None:
            status["field_of_view"] = {"range_bearing": self._field_of_view(item.size_hw)}
        if item.reason is not None:
            status["status"] = [
                {
                    "status_level": "STATUS_LEVEL_ERROR_STATUS",
                    "status_type": "STATUS_TYPE_NOT_DETECTING",
                    "status_value": item.reason,
                }
            ]
        return self._message(status_report=status)

    def detection(self, sighting: Sighting) -> SapientMessage | None:
        """A confirmed track, whose object has the same ULID until it ends; None where the lens has no direction."""
        direction, is_last = sighting.direction, sighting.is_last
        key = sighting.session, sighting.track
        known = self._objects.get(key)
        if direction.azimuth_deg is UNSET or (is_last and known is None):
            return None
        object_id = self._objects[key] = known or _ulid()
        if is_last:
            del self._objects[key]
        elif len(self._objects) > _MAX_OBJECTS:
            del self._objects[next(iter(self._objects))]  # its end came while the fusion node was away
        info = [("captureTime", datetime.fromtimestamp(sighting.t_us / 1e6, UTC).isoformat(), None)]
        for name, field in (("azimuthRate", "azimuth_rate"), ("elevationRate", "elevation_rate")):
            rate = getattr(direction, f"{field}_deg_s", UNSET)
            if rate is not UNSET:
                info.append((name, f"{rate:.5f}", getattr(direction, f"{field}_error_deg_s")))
        return self._message(
            detection_report={
                "report_id": _ulid(),
                "object_id": object_id,
                "range_bearing": {
                    "azimuth": direction.azimuth_deg,
                    "elevation": direction.elevation_deg,
                    "azimuth_error": direction.azimuth_error_deg,
                    "elevation_error": direction.elevation_error_deg,
                    "coordinate_system": _DEGREES,
                    "datum": _TRUE,
                },
                "detection_confidence": sighting.probability,
                "track_info": [
                    {"type": name, "value": value, **({} if error is None else {"error": error})}
                    for name, value, error in info
                ],
                "classification": [{"type": self._settings.target_class}],
                **({"state": "lost"} if is_last else {}),
            }
        )

    def rejection(self, task_id: str, sender: str) -> SapientMessage:
        """The answer to a task: rejected, as none is supported."""
        acknowledgement = {
            "task_id": task_id, "task_status": "TASK_STATUS_REJECTED", "reason": ["not supported: a fixed camera"]
        }  # fmt: skip
        return self._message(task_ack=acknowledgement, **({"destination_id": sender} if sender else {}))

    def forget(self) -> None:
        """Begin a new connection: the next status is new."""
        self._before = None

    def _field_of_view(self, size_hw: tuple[int, int]) -> dict[str, Any]:
        lens, seen = CameraGeometry(self._camera, size_hw).lens, camera_message(self._camera)
        return {
            "azimuth": seen.azimuth_deg,
            "elevation": seen.elevation_deg,
            "horizontal_extent": lens.field_of_view_deg,
            "vertical_extent": math.degrees(2 * math.atan(size_hw[0] / 2 / lens.focal_xy_px[1])),
            "azimuth_error": seen.azimuth_error_deg,
            "elevation_error": seen.elevation_error_deg,
            "coordinate_system": _DEGREES,
            "datum": _TRUE,
        }

    def _message(self, **content: Any) -> SapientMessage:
        from google.protobuf.json_format import ParseDict
        from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage

        message = SapientMessage(node_id=self._node)
        message.timestamp.FromMicroseconds(self._clock.unix_us())
        whole: SapientMessage = ParseDict(content, message)
        return whole


def node_id(settings: SapientSettings, source: str, is_one_of_several: bool) -> str:
    """UUID of a source's node, the same at every start."""
    base = settings.node_id or uuid.uuid5(uuid.NAMESPACE_DNS, f"{socket.gethostname()}.lpnet-rt")
    return str(uuid.uuid5(base, source) if is_one_of_several or settings.node_id is None else base)


def _ulid() -> str:
    from ulid import ULID

    return str(ULID())
