"""``lpnet-rt check-config``: whether a run with this configuration would start."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import msgspec

from lpnet_rt.checking import Finding, check_settings
from lpnet_rt.commands.run import FLAGS, add_flags
from lpnet_rt.errors import LpnetError
from lpnet_rt.settings import load_settings, require_source

__all__ = ["add_arguments", "run"]

_CHECK_COLUMNS = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration, the flags of a run, and that of the form."""
    parser.add_argument("config", nargs="?", metavar="FILE", help="TOML file, as in run --config FILE")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found; the exit code is that of the first error, which a run would end with."""
    exit_code, findings = 0, []
    for finding in _findings(args):
        exit_code = exit_code or finding.exit_code
        findings.append(finding)
        if not args.as_json:
            print(f"{finding.state:<8} {finding.check:<{_CHECK_COLUMNS}} {finding.message}", flush=True)
    if args.as_json:
        print(json.dumps({"exit_code": exit_code, "findings": [msgspec.to_builtins(found) for found in findings]}))
    return exit_code


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    given = vars(args)
    try:
        settings = load_settings(args.config, {key: given[key] for _, key, _ in FLAGS})
        require_source(settings)
    except LpnetError as error:
        yield Finding("settings", "error", str(error), error.exit_code)
        return
    yield Finding("settings", "ok", args.config or "flags only")
    yield from check_settings(settings)
