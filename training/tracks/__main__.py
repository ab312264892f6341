"""Record what a model finds in clips, fit a tracking profile to it, judge one.

python -m lpnet_rt.training.tracks record --data DIR --out DIR
python -m lpnet_rt.training.tracks fit --data DIR --recordings DIR --out FILE
python -m lpnet_rt.training.tracks unlabelled --data DIR --recordings DIR --out FILE
python -m lpnet_rt.training.tracks judge --data DIR --recordings DIR [--profile FILE] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from lpnet_rt.console import exit_code_of
from lpnet_rt.training.tracks.work import fit_profile, judge_recordings, list_unlabelled, record_clips

_HELD_BACK = (1, 5)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the verbs; the exit code is the error's."""
    cv2.setNumThreads(1)
    args = _parser().parse_args(arguments)

    def work() -> int:
        args.work(args)
        return 0

    return exit_code_of(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.training.tracks", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    record = verbs.add_parser("record", help="run a model over clips and keep what it finds")
    record.add_argument("--model", default="lpnet-rt", help="packaged model or model file (lpnet-rt)")
    record.add_argument("--threads", type=int, default=1, help="processor threads (1)")
    record.set_defaults(work=lambda args: record_clips(args.data, args.out, args.model, args.threads, _say))
    fit = verbs.add_parser("fit", help="fit a profile to the clips that are not held back")
    fit.add_argument("--recordings", type=Path, required=True, help="what record wrote")
    fit.add_argument("--model", default="lpnet-rt", help="name of the model that found the detections (lpnet-rt)")
    fit.set_defaults(
        work=lambda args: fit_profile(args.data, args.recordings, args.out, args.model, args.held_back, _say)
    )
    unlabelled = verbs.add_parser("unlabelled", help="list real targets without a box, for training to ignore")
    unlabelled.add_argument("--recordings", type=Path, required=True, help="what record wrote")
    unlabelled.set_defaults(
        work=lambda args: list_unlabelled(args.data, args.recordings, args.out, args.held_back, _say)
    )
    judge = verbs.add_parser("judge", help="judge a profile on the clips that are held back")
    judge.add_argument("--recordings", type=Path, required=True, help="what record wrote")
    judge.add_argument("--profile", type=Path, help="what fit wrote; the packaged one unless given")
    judge.add_argument("--rate", type=float, help="false confirmed tracks an hour to confirm at")
    judge.set_defaults(
        work=lambda args: judge_recordings(args.data, args.recordings, args.profile, args.rate, args.held_back, _say)
    )
    for verb, out in (
        (record, "folder for the recordings"),
        (fit, "profile to write"),
        (unlabelled, "CSV to write"),
        (judge, None),
    ):
        verb.add_argument("--data", type=Path, required=True, help="folder with clips/, boxes/ and unlabelled.csv")
        if out is not None:
            verb.add_argument("--out", type=Path, required=True, help=out)
        if verb is not record:
            verb.add_argument(
                "--held-back",
                type=int,
                nargs=2,
                default=_HELD_BACK,
                metavar=("REMAINDER", "DIVISOR"),
                help="clips whose number leaves the remainder when divided (1 5)",
            )
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
