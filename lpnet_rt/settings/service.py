"""Settings of a run as a service."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Struct

__all__ = ["LogFormat", "ServiceSettings"]

LogFormat = Annotated[Literal["text", "json"], msgspec.Meta(description="one of text, json")]


class ServiceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Running for good: what a service manager and a log collector need.

    Attributes:
        log_format: Lines on standard error: ``text``, or ``json`` for one object per line.
        status_s: With ``json``, time in seconds between two lines on the progress of each source.
        unhealthy_after_s: Time, in seconds, without a frame of a source that is not being reconnected, after which
            systemd's watchdog is no longer fed and restarts the service.
        insecure: Allow addresses that other machines can reach without keys or a token; said at each start.
    """

    log_format: LogFormat = "text"
    status_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 10.0
    unhealthy_after_s: Annotated[float, msgspec.Meta(ge=5, le=86_400)] = 30.0
    insecure: bool = False
