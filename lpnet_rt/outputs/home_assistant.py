"""Home Assistant's MQTT discovery: one device per source, with its entities, as retained messages.

Format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from lpnet_rt import __version__
from lpnet_rt.sources.naming import source_name

__all__ = ["discovery_messages"]

_STATES = ["connecting", "live", "calibrating", "frozen", "lost", "ended"]


def discovery_messages(prefix: str, topic: str, source: str, with_chip: bool) -> Iterator[tuple[str, bytes]]:
    """Yield topic and payload of every entity of a source.

    Args:
        prefix: First words of the discovery topics, usually ``homeassistant``.
        topic: First words of our own topics.
        source: Name of the source.
        with_chip: Whether the picture of the last target is sent.
    """
    node = f"{source_name(topic)}-{source}"
    state = f"{topic}/{source}/state"
    shared: dict[str, Any] = {
        "availability_topic": f"{topic}/availability",
        "device": {
            "identifiers": [node],
            "name": source,
            "manufacturer": "lpnet-rt",
            "model": "infrared target detection",
            "sw_version": __version__,
        },
        "origin": {"name": "lpnet-rt", "sw_version": __version__},
    }
    for kind, key, name, more in _entities(state, f"{topic}/{source}/chip", with_chip):
        payload = shared | {"unique_id": f"{node}-{key}", "name": name} | more
        yield f"{prefix}/{kind}/{node}/{key}/config", msgspec.json.encode(payload)


def _entities(state: str, chip: str, with_chip: bool) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield kind, key, name and own fields of each entity."""
    yield "binary_sensor", "target", "Target", {
        "state_topic": state, "value_template": "{{ value_json.target }}", "device_class": "motion"
    }  # fmt: skip
    yield "sensor", "tracks", "Tracks", {
        "state_topic": state, "value_template": "{{ value_json.tracks }}", "state_class": "measurement",
        "icon": "mdi:target",
    }  # fmt: skip
    yield "sensor", "fps", "Frames per second", {
        "state_topic": state, "value_template": "{{ value_json.fps }}", "state_class": "measurement",
        "unit_of_measurement": "fps", "entity_category": "diagnostic",
    }  # fmt: skip
    yield "sensor", "state", "State", {
        "state_topic": state, "value_template": "{{ value_json.state }}", "device_class": "enum", "options": _STATES,
        "entity_category": "diagnostic",
    }  # fmt: skip
    if with_chip:
        yield "image", "chip", "Last target", {"image_topic": chip, "content_type": "image/png"}
