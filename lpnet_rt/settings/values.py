"""Types of values in the settings, and what durations, sizes and rates mean."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from lpnet_rt.engine_registry import EngineName, Precision

__all__ = [
    "Duration",
    "EngineChoice",
    "FalseAlarms",
    "MinState",
    "Polarity",
    "PolarityChoice",
    "PrecisionChoice",
    "Rate",
    "Size",
    "Timeout",
    "Wait",
    "bytes_of",
    "per_hour",
    "seconds_of",
]

Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Wait = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
# msgspec would list the choices alphabetically.
EngineChoice = Annotated[
    Literal["auto", EngineName], msgspec.Meta(description=f"one of auto, {', '.join(get_args(EngineName))}")
]
Duration = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{1,6}(s|m|h|d)\Z", description="a number with s, m, h or d, such as 5m")
]
Size = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{1,6}(MB|GB|TB)\Z", description="a number with MB, GB or TB, such as 20GB")
]
Rate = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?/h\Z", description="a number per hour, such as 1/h")
]
_RATE_PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,3})?/(h|[0-9]{1,9})\Z"
FalseAlarms = Annotated[str, msgspec.Meta(pattern=_RATE_PATTERN, description="a rate such as 1/1000 (frames) or 10/h")]
MinState = Literal["none", "tentative", "confirmed"]
Polarity = Literal["hot", "cold", "both"]
PolarityChoice = Annotated[Polarity, msgspec.Meta(description=f"one of {', '.join(get_args(Polarity))}")]
PrecisionChoice = Annotated[
    Literal["auto", Precision], msgspec.Meta(description=f"one of auto, {', '.join(get_args(Precision))}")
]


def seconds_of(duration: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``7d``."""
    return int(duration[:-1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}[duration[-1]]


def per_hour(rate: str) -> float:
    """Return the events per hour of a rate such as ``10/h``."""
    return float(rate.removesuffix("/h"))


def bytes_of(size: str) -> int:
    """Return the bytes of a size such as ``500MB``, ``20GB`` or ``1TB``, in powers of 1000."""
    return int(size[:-2]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[size[-2:]]
