"""Settings: one frozen, validated tree, built from a TOML file and from flags; flags win.

A table is a frozen struct with the meaning of each key in its docstring, from which docs/settings.md is made.
"""

from lpnet_rt.settings.camera import CameraSettings
from lpnet_rt.settings.events import AlarmSettings, EventSettings
from lpnet_rt.settings.merging import merge
from lpnet_rt.settings.outputs import CotSettings, MqttSettings, SapientSettings, WebhookSettings
from lpnet_rt.settings.service import ServiceSettings
from lpnet_rt.settings.tables import DetectorSettings, OutputSettings, PublishSettings, SourceSettings, TrackSettings
from lpnet_rt.settings.tree import Settings, load_settings, require_source
from lpnet_rt.settings.values import MinState, Polarity, bytes_of, per_hour, seconds_of
from lpnet_rt.settings.web import WebSettings
from lpnet_rt.settings.zones import SourceName, ZoneSettings

__all__ = [
    "AlarmSettings",
    "CameraSettings",
    "CotSettings",
    "DetectorSettings",
    "EventSettings",
    "MinState",
    "MqttSettings",
    "OutputSettings",
    "Polarity",
    "PublishSettings",
    "SapientSettings",
    "ServiceSettings",
    "Settings",
    "SourceName",
    "SourceSettings",
    "TrackSettings",
    "WebSettings",
    "WebhookSettings",
    "ZoneSettings",
    "bytes_of",
    "load_settings",
    "merge",
    "per_hour",
    "require_source",
    "seconds_of",
]
