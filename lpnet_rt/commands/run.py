"""``lpnet-rt run``: flags of the main job."""

from __future__ import annotations

import argparse

from lpnet_rt.settings import load_settings

__all__ = ["add_arguments", "run"]

# Flag, dotted key of Settings, options of argparse.
_FLAGS: tuple[tuple[str, str, dict[str, object]], ...] = (
    (
        "--source",
        "source.spec",
        {"metavar": "X", "help": "video, image, folder, glob, URL, camera (0, /dev/videoN) or demo"},
    ),
    ("--name", "source.name", {"metavar": "NAME", "help": "name of the source in messages (default: from the source)"}),
    ("--frames", "source.frames", {"type": int, "metavar": "N", "help": "stop after N frames"}),
    (
        "--realtime",
        "source.realtime",
        {"action": "store_true", "help": "play a file at its own pace, dropping late frames"},
    ),
    ("--seed", "source.seed", {"type": int, "metavar": "N", "help": "seed of the demo scene"}),
    ("--model", "detector.model", {"metavar": "M", "help": "packaged model, or an exported file with its card"}),
    ("--engine", "detector.engine", {"metavar": "E", "help": "auto, openvino, onnxruntime, torch, ...; see info"}),
    ("--precision", "detector.precision", {"metavar": "P", "help": "auto, f32, bf16, f16 or int8"}),
    (
        "--threshold",
        "detector.threshold",
        {"type": float, "metavar": "T", "help": "score from 0 to 1 (default: the model's)"},
    ),
    ("--threads", "detector.threads", {"type": int, "metavar": "N", "help": "threads for inference (default: all)"}),
    ("--publish", "publish.endpoint", {"metavar": "URL", "help": "ZeroMQ endpoint (default: tcp://127.0.0.1:5556)"}),
    ("--no-publish", "publish.enabled", {"action": "store_false", "help": "publish nothing"}),
    (
        "--wait-subscriber",
        "publish.wait_subscriber_s",
        {"type": float, "metavar": "S", "help": "wait for a subscriber"},
    ),
    ("--show", "output.show", {"action": "store_true", "help": "window with overlay: q quits, space pauses, s saves"}),
    ("--save", "output.save", {"metavar": "FILE", "help": "save the overlay as .mp4 or .mkv"}),
    ("--jsonl", "output.jsonl", {"metavar": "FILE", "help": "one JSON object a frame (- for standard output)"}),
    ("--masks", "output.masks", {"metavar": "DIR", "help": "one 0/255 PNG an image"}),
    ("--overwrite", "output.overwrite", {"action": "store_true", "help": "replace output files that exist"}),
    ("--quiet", "output.quiet", {"action": "store_true", "help": "no progress bar, no summary"}),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags; none has a default of its own, so that the configuration file's values stand."""
    for flag, key, options in _FLAGS:
        parser.add_argument(flag, dest=key, default=None, **options)  # type: ignore[arg-type]
    parser.add_argument("--config", metavar="FILE", help="TOML file with [source], [detector], [publish], [output]")


def run(args: argparse.Namespace) -> int:
    """Run the main job."""
    given = vars(args)
    settings = load_settings(args.config, {key: given[key] for _, key, _ in _FLAGS})
    from lpnet_rt.run import run as run_job

    return run_job(settings)
