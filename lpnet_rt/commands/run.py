"""``lpnet-rt run``: flags of the main job."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import get_args

from lpnet_rt.endpoints import is_local
from lpnet_rt.engine_registry import EngineName, Precision
from lpnet_rt.errors import SettingsError
from lpnet_rt.settings import PublishSettings, load_settings, require_source

__all__ = ["FLAGS", "add_arguments", "run"]

_logger = logging.getLogger(__name__)

# Flag, dotted key of Settings, options of argparse.
FLAGS: tuple[tuple[str, str, dict[str, object]], ...] = (
    (
        "--source",
        "source.spec",
        {
            "action": "append",
            "metavar": "X",
            "help": "video, image, folder, glob, URL, camera (0, /dev/videoN) or demo; repeat for more sources",
        },
    ),
    (
        "--name",
        "source.name",
        {"action": "append", "metavar": "NAME", "help": "name in messages, one per source (default: from the source)"},
    ),
    ("--frames", "source.frames", {"type": int, "metavar": "N", "help": "stop after N frames of each source"}),
    (
        "--realtime",
        "source.realtime",
        {"action": "store_true", "help": "play a file in real time, dropping late frames"},
    ),
    (
        "--reconnect",
        "source.reconnect",
        {"metavar": "R", "help": "forever (default) or never: whether to reconnect to a lost camera or stream"},
    ),
    (
        "--camera-profile",
        "source.camera_profile",
        {"metavar": "P", "help": "boson, lepton, p2pro, ...: what the camera delivers (docs/cameras.md)"},
    ),
    ("--seed", "source.seed", {"type": int, "metavar": "N", "help": "seed of the demo scene"}),
    ("--model", "detector.model", {"metavar": "M", "help": "packaged model, or an exported file with its card"}),
    ("--engine", "detector.engine", {"metavar": "E", "help": f"auto, {', '.join(get_args(EngineName))}; see info"}),
    ("--precision", "detector.precision", {"metavar": "P", "help": f"auto, {', '.join(get_args(Precision))}"}),
    (
        "--threshold",
        "detector.threshold",
        {"type": float, "metavar": "T", "help": "score from 0 to 1 (default: the model's)"},
    ),
    (
        "--false-alarms",
        "detector.false_alarms",
        {"metavar": "RATE", "help": "allowed false detections, 1/1000 (frames) or 10/h, in place of --threshold"},
    ),
    (
        "--polarity",
        "detector.polarity",
        {"metavar": "P", "help": "hot (default), cold (also for black-hot pictures) or both, at twice the cost"},
    ),
    ("--threads", "detector.threads", {"type": int, "metavar": "N", "help": "threads for inference (default: all)"}),
    ("--no-track", "track.enabled", {"action": "store_false", "help": "no tracking: single-frame detections only"}),
    (
        "--false-tracks",
        "track.false_tracks",
        {"metavar": "RATE", "help": "allowed rate of false confirmed tracks, such as 1/h"},
    ),
    ("--hovering", "track.hovering", {"action": "store_true", "help": "targets may stand still"}),
    ("--min-state", "track.min_state", {"metavar": "S", "help": "only detections of tentative or confirmed tracks"}),
    ("--state", "track.state_folder", {"metavar": "DIR", "help": "folder for saved clutter maps"}),
    ("--publish", "publish.endpoint", {"metavar": "URL", "help": "ZeroMQ endpoint (default: tcp://127.0.0.1:5556)"}),
    ("--no-publish", "publish.enabled", {"action": "store_false", "help": "publish nothing"}),
    (
        "--wait-subscriber",
        "publish.wait_subscriber_s",
        {"type": float, "metavar": "S", "help": "wait for a subscriber"},
    ),
    ("--show", "output.show", {"action": "store_true", "help": "show the overlay: q quits, space pauses, s saves"}),
    ("--save", "output.save", {"metavar": "FILE", "help": "save the overlay as .mp4 or .mkv, or in a folder/"}),
    ("--segment", "output.segment", {"metavar": "TIME", "help": "start a new video file every TIME, such as 5m"}),
    ("--keep-age", "output.keep_age", {"metavar": "TIME", "help": "delete segments that are older, such as 7d"}),
    (
        "--keep-size",
        "output.keep_size",
        {"metavar": "SIZE", "help": "delete the oldest segments over SIZE, such as 20GB"},
    ),
    ("--jsonl", "output.jsonl", {"metavar": "FILE", "help": "one JSON object per frame (- for standard output)"}),
    ("--masks", "output.masks", {"metavar": "DIR", "help": "one 0/255 PNG per image"}),
    ("--overwrite", "output.overwrite", {"action": "store_true", "help": "replace output files that exist"}),
    ("--quiet", "output.quiet", {"action": "store_true", "help": "no progress bar, no summary"}),
)


class _Once(argparse.Action):
    """Stores a flag's value, and refuses a second one: argparse would silently drop the first."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the value.

        Raises:
            SettingsError: The flag was given before.
        """
        if getattr(namespace, self.dest, None) is not None:
            raise SettingsError(f"{option_string}: expected it once, found it twice; leave one of them out")
        setattr(namespace, self.dest, values)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags, without defaults, so that the configuration file's values apply."""
    for flag, key, options in FLAGS:
        once = {} if "action" in options else {"action": _Once}
        parser.add_argument(flag, dest=key, default=None, **(once | options))  # type: ignore[arg-type]
    parser.add_argument(
        "--config",
        action=_Once,
        metavar="FILE",
        help="TOML file with [source] or several [[source]], [detector], [track], [[zone]], [publish], [output]",
    )


def run(args: argparse.Namespace) -> int:
    """Run the main job."""
    given = vars(args)
    settings = load_settings(args.config, {key: given[key] for _, key, _ in FLAGS})
    require_source(settings)
    _warn_if_public(settings.publish)
    from lpnet_rt.app import run as run_job

    return run_job(settings)


def _warn_if_public(publish: PublishSettings) -> None:
    """Warn if other machines can read the messages."""
    if publish.enabled and not is_local(publish.endpoint):
        _logger.warning(
            "warning: %s can be reached from other machines, and nothing is encrypted: "
            "anyone who can reach the port can read the detections",
            publish.endpoint,
        )
