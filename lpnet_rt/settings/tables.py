"""The tables of the settings that every run has."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from lpnet_rt.settings.values import (
    Duration,
    EngineChoice,
    FalseAlarms,
    MinState,
    PolarityChoice,
    PrecisionChoice,
    Rate,
    Size,
    Timeout,
    Wait,
)
from lpnet_rt.settings.zones import SourceName
from lpnet_rt.text import redact

__all__ = ["DetectorSettings", "OutputSettings", "PublishSettings", "SourceSettings", "TrackSettings"]


class SourceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A source of frames.

    Attributes:
        spec: File, folder, glob, camera index, /dev/videoN, URL or ``demo``; required for a run. A URL may contain
            ``${NAME}`` for an environment variable and ``${file:PATH}`` for the first line of a file.
        name: Name in message topics; None: derived from the spec.
        frames: Stop after this many frames; None: no limit (demo scene: 600 frames).
        realtime: Deliver a file at its own frame rate and drop late frames, as a camera would.
        seed: Seed of the demo scene.
        open_timeout_s: Time limit, in seconds, for a stream or a camera to open and to deliver its first frame, and
            with ``reconnect = "never"`` any later frame.
        reconnect: When a stream or a camera is missing, breaks off or falls silent, ``forever`` reconnects and
            ``never`` ends the run with an error.
        frozen_after_s: Time, in seconds, after which a stream or a camera that delivers nothing, or only the same
            picture, counts as lost; longer than its shutter calibration. Three frame periods are always allowed.
        camera_profile: What a camera of Video4Linux delivers, such as ``boson``, ``lepton`` or ``p2pro``;
            docs/cameras.md lists them. None: its grey counts as they come.
    """

    spec: str = ""
    name: SourceName | None = None
    frames: Annotated[int, msgspec.Meta(ge=1)] | None = None
    realtime: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    open_timeout_s: Timeout = 10.0
    reconnect: Literal["forever", "never"] = "forever"
    frozen_after_s: Timeout = 2.5
    camera_profile: str | None = None

    def __repr__(self) -> str:
        """Omit the user and the password of a URL."""
        spec = redact(self.spec)
        return f"SourceSettings(spec={spec!r}, name={self.name!r}, frames={self.frames!r}, realtime={self.realtime!r})"


class DetectorSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The detector.

    Attributes:
        model: Name of a packaged model or path of an exported file with its card beside it.
        engine: ``auto`` or the name of an engine; ``lpnet-rt info`` lists them.
        precision: ``auto`` (the fastest that passes the self-test), ``f32``, ``bf16``, ``f16`` or ``int8``.
        threshold: Lowest peak score of a detection; None: the model card's.
        threads: CPU threads for inference; None: all that this process may use.
        polarity: ``hot``: targets warmer than their surroundings, in a white-hot picture. ``cold``: colder ones, or a
            black-hot picture. ``both``: the higher of the two scores at each pixel, for twice the work.
        false_alarms: Allowed rate of false detections in place of ``threshold``: ``1/1000`` per target-free frame, or
            ``10/h``; the model's card says which threshold that is.
    """

    model: str = "lpnet-rt"
    engine: EngineChoice = "auto"
    precision: PrecisionChoice = "auto"
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    threads: Annotated[int, msgspec.Meta(ge=1)] | None = None
    polarity: PolarityChoice = "hot"
    false_alarms: FalseAlarms | None = None


class TrackSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tracking; single images are not tracked.

    Attributes:
        enabled: Whether to track.
        false_tracks: Allowed rate of false confirmed tracks, such as ``1/h`` or ``10/h``; None: the default rate.
        hovering: Whether targets may stand still: then static detections are not treated as clutter.
        min_state: Publish, draw and write only detections of tracks that are at least ``tentative`` or ``confirmed``.
        state_folder: Folder in which each source's map of static clutter is kept between runs.
    """

    enabled: bool = True
    false_tracks: Rate | None = None
    hovering: bool = False
    min_state: MinState = "none"
    state_folder: str | None = None


class PublishSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ZeroMQ publishing.

    Attributes:
        enabled: Whether to publish.
        endpoint: ZeroMQ endpoint to bind.
        wait_subscriber_s: Wait up to this long for the first subscriber before the first frame.
        high_water: Messages queued for a slow subscriber; when the queue is full, new ones are dropped for it only.
            None: two seconds' worth for live sources, 1,000 messages if any source is a file.
    """

    enabled: bool = True
    endpoint: str = "tcp://127.0.0.1:5556"
    wait_subscriber_s: Wait = 0.0
    high_water: Annotated[int, msgspec.Meta(ge=1)] | None = None


class OutputSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Window and output files.

    Attributes:
        show: Open a window with the overlay.
        save: Video file (.mp4 or .mkv) for the overlay, or, with ``/`` at the end, a folder for one picture per frame.
        segment: Start a new video file after this time, such as ``5m`` or ``1h``, with the time (UTC) in its name.
        keep_age: Delete segments older than this, such as ``7d``; requires ``segment``.
        keep_size: Delete the oldest segments when their total exceeds this, such as ``20GB``; requires ``segment``.
        jsonl: File for one JSON object per frame; ``-`` is standard output.
        masks: Folder for one 0/255 PNG per frame (sources of single images only).
        overwrite: Replace existing files; else they are refused.
        quiet: No progress bar and no summary.
    """

    show: bool = False
    save: str | None = None
    segment: Duration | None = None
    keep_age: Duration | None = None
    keep_size: Size | None = None
    jsonl: str | None = None
    masks: str | None = None
    overwrite: bool = False
    quiet: bool = False
