"""The command line: turns verbs and flags into Settings, and errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from lpnet_rt import __version__
from lpnet_rt.console import logs_on_stderr
from lpnet_rt.dependencies import check_opencv
from lpnet_rt.errors import DependencyError, LpnetError, SettingsError
from lpnet_rt.leaving import leave

__all__ = ["main"]

_TRAINING_MODULES = ("torch", "onnx", "onnxscript", "scipy", "matplotlib", "safetensors", "tensorboard", "jinja2")

# Verb: module with add_arguments(parser) and run(args), and its line in the help.
_VERBS = {
    "run": ("lpnet_rt.commands.run", "detect targets in a source (the default verb)"),
    "listen": ("lpnet_rt.commands.listen", "subscribe to a running detector and print what arrives"),
    "convert": ("lpnet_rt.commands.convert", "the JSON Lines of a run as MOT, COCO or CSV"),
    "zones": ("lpnet_rt.commands.zones", "see, draw and propose the zones of a source"),
    "calibrate": (
        "lpnet_rt.commands.calibrate",
        "the threshold for a false-alarm rate, from a target-free recording",
    ),
    "calibrate-camera": (
        "lpnet_rt.commands.calibrate_camera",
        "where a camera looks and how wide it sees, from landmarks, stars or the sun",
    ),
    "info": ("lpnet_rt.commands.info", "versions, engines, the model's card, and the engine that auto chooses"),
    "train": ("lpnet_rt.finetuning.train", "train LPNet-RT, fine-tune a model, or resume a run"),
    "label": ("lpnet_rt.training.commands.label", "propose labels for recordings, to be corrected in a labelling tool"),
    "import-weights": (
        "lpnet_rt.training.commands.import_weights",
        "convert a checkpoint of the paper's network to a model",
    ),
    "export": ("lpnet_rt.export.export", "export a checkpoint to a model file with its card"),
    "evaluate": ("lpnet_rt.training.commands.evaluate", "evaluate a model or any detector's predictions"),
    "data": ("lpnet_rt.training.commands.data", "import, convert and check data sets"),
    "benchmark": ("lpnet_rt.benchmarks.benchmark", "measure the speed of this machine, per stage and end to end"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        The exit code, see ``lpnet_rt.errors``.
    """
    with logs_on_stderr():
        code = _main(list(sys.argv[1:] if argv is None else argv))
    return leave(code) if argv is None else code


def _main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, _end_early)
    try:
        check_opencv()
        args = _parse(arguments)
        if args is None:
            return SettingsError.exit_code
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except LpnetError as error:
        print(f"lpnet-rt: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("lpnet-rt: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has gone; there is nothing left to print or flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _end_early(number: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM before and after the main job, which has its own handler."""
    raise SystemExit(128 + number)


def _parse(arguments: list[str]) -> argparse.Namespace | None:
    """Parse the arguments; only the verb in use is imported, so that help and small verbs are quick.

    Returns:
        The parsed arguments; None without arguments, after printing the help to standard error.
    """
    verb = _verb_of(arguments)
    parser = _Parser(
        prog="lpnet-rt",
        description="Real-time detection of small targets in infrared video.",
        epilog="'lpnet-rt --source X' is short for 'lpnet-rt run --source X'.",
    )
    parser.add_argument("--version", action="version", version=f"lpnet-rt {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (module, summary) in _VERBS.items():
        child = verbs.add_parser(name, help=summary, description=f"lpnet-rt {name}: {summary}.")
        if name == verb:
            command = _load(module, name)
            command.add_arguments(child)
            child.set_defaults(run=command.run)
    if not arguments:
        parser.print_help(sys.stderr)
        return None
    if verb is not None and arguments[0] != verb:
        arguments.insert(0, verb)
    return parser.parse_args(arguments)


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            SettingsError: Always.
        """
        raise SettingsError(f"{message}; see '{self.prog} --help'")


def _verb_of(arguments: list[str]) -> str | None:
    """Return the verb, or ``run`` if the first argument is a flag."""
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        return None
    return "run" if arguments[0].startswith("-") else arguments[0]


class _Command:
    """Interface of a verb's module."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _load(module: str, verb: str) -> _Command:
    try:
        command: _Command = importlib.import_module(module)  # type: ignore[assignment]
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _TRAINING_MODULES:
            raise
        raise DependencyError(
            f"{verb}: needs {error.name}; pip install '.[train]' in a checkout of lpnet-rt brings it"
        ) from error
    return command
