"""Synthetic targets of known SNR laid into real sky: what is found frame by frame, and with tracks.

    python -m lpnet_rt.benchmarks.dim_targets --data DIR [--model M] [--snr 2,3,5] [--json OUT] [--plot PNG]

``DIR`` holds ``irvideo/`` (clips, boxes). Into each clip that is held back from training, a Gaussian spot is laid on a
straight path through even sky, away from labelled targets. SNR is its height over the standard deviation of the 21x21
pixels around its place. Single frames are judged at the threshold that gives ``--false-rate`` false detections per
frame in the even sky of these very clips (a lamp or a chimney that fires in every frame would set the threshold of
all others), and at the model's own; tracks at the packaged tracking profile's own rate.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lpnet_rt.benchmarks.outputs import check_output, write_figures
from lpnet_rt.console import exit_code_of
from lpnet_rt.detections import CandidatePixels
from lpnet_rt.detector import Detector
from lpnet_rt.engines.scorer import HostScorer, make_scorer
from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.frames import Frame, GreyImage
from lpnet_rt.settings import DetectorSettings, SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.tracking import WEAK_SCORE, packaged_profile
from lpnet_rt.training.data.clips import clip_is_held_back
from lpnet_rt.training.progress import watched
from lpnet_rt.training.tracks.recording import Recording, record
from lpnet_rt.training.tracks.replay import replay
from lpnet_rt.training.tracks.truth import ClipTruth, inside_boxes, load_truth

__all__ = ["DimTargets", "Laid", "Path2D", "judge", "lay_target", "main", "pick_path"]

FRAMES = 60
_TRIES = 400
_WINDOW_PX = 10
_SKY_STD = 4.0
_CLEARANCE_PX = 20.0
_REACH_PX = 4.0
_SETTLE_FRAMES = 15


@dataclass(frozen=True, slots=True, eq=False)
class Path2D:
    """Where a synthetic target is.

    Attributes:
        xy: (F, 2) centre on each frame, px.
        sigma_px: Standard deviation of the Gaussian.
    """

    xy: NDArray[np.float64]
    sigma_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """What was found in one clip with a synthetic target.

    Attributes:
        recording: Detections of every frame.
        path: Where the target is.
        truth: What else is a target there.
        in_sky: For each frame, whether the surroundings of each detection are even sky.
    """

    recording: Recording
    path: Path2D
    truth: ClipTruth
    in_sky: list[NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class DimTargets:
    """What was found at one SNR.

    Attributes:
        snr: Height over local standard deviation.
        clips: How many targets.
        threshold: Score at which single frames are judged.
        pd: Share of frames on which the target is detected at that threshold.
        pd_packaged: The same at the model's own threshold.
        pd_tracked: Share of frames, the first 15 left out, on which a confirmed track is at the target.
    """

    snr: float
    clips: int
    threshold: float
    pd: float
    pd_packaged: float
    pd_tracked: float


def pick_path(images: Sequence[GreyImage], truth: ClipTruth, rng: Generator) -> Path2D | None:
    """A straight path through even sky, or None where a clip has too little of it.

    Args:
        images: (H, W) each; the path has as many frames.
        truth: Boxes and ignored places to keep away from.
        rng: Source of all chance.
    """
    height, width = images[0].shape
    ages = np.arange(len(images))[:, None]
    for _ in range(_TRIES):
        start = rng.uniform((16.0, 16.0), (width - 16.0, height - 16.0))
        angle, speed = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.4, 1.6)
        xy = start + ages * speed * np.array((np.cos(angle), np.sin(angle)))
        if (xy < 16.0).any() or (xy > (width - 16.0, height - 16.0)).any():
            continue
        near = [_near_truth(truth, index, place) for index, place in enumerate(xy)]
        if not any(near) and max(_deviation(images[i], xy[i]) for i in range(0, len(xy), 6)) <= _SKY_STD:
            return Path2D(xy, float(rng.uniform(0.8, 1.6)))
    return None


def lay_target(image: GreyImage, xy: NDArray[np.float64], sigma_px: float, snr: float) -> GreyImage:
    """A copy of a frame with a Gaussian spot of known SNR, rounded to whole counts.

    Args:
        image: (H, W) uint8 or uint16.
        xy: Centre, px.
        sigma_px: Standard deviation.
        snr: Height over the deviation of the 21x21 pixels around.
    """
    out = image.copy()
    height_counts = snr * _deviation(image, xy)
    x, y = round(xy[0]), round(xy[1])
    ys, xs = np.mgrid[y - _WINDOW_PX : y + _WINDOW_PX + 1, x - _WINDOW_PX : x + _WINDOW_PX + 1]
    spot = height_counts * np.exp(-0.5 * ((xs - xy[0]) ** 2 + (ys - xy[1]) ** 2) / sigma_px**2)
    window = out[ys[0, 0] : ys[-1, 0] + 1, xs[0, 0] : xs[0, -1] + 1]
    window[:] = np.clip(np.rint(window + spot), 0, np.iinfo(image.dtype).max)
    return out


def judge(clips: Sequence[Laid], snr: float, false_rate: float, model: str, packaged: float) -> DimTargets:
    """Judge the recordings of all clips at one SNR.

    Args:
        clips: What was found in each.
        snr: Of the targets.
        false_rate: False detections in the sky per frame at which single frames are judged.
        model: Its tracking profile is taken.
        packaged: The model's own threshold.
    """
    false_scores: list[float] = []
    hit_scores: list[float] = []
    tracked, trackable = 0, 0
    profile = packaged_profile(model)
    for clip in clips:
        path = clip.path
        for index, (_, found, _) in enumerate(clip.recording.frames()):
            hit, other = _sort_out(clip, index, found.centroid_xy.astype(np.float64))
            false_scores.extend(found.score[other & clip.in_sky[index]])
            hit_scores.append(float(found.score[hit].max(initial=0.0)))
        tracks = replay(clip.recording, profile)
        for index in range(_SETTLE_FRAMES, tracks.frames):
            places = tracks.xy[tracks.at(index)]
            tracked += bool((np.hypot(*(places - path.xy[index]).T) <= _REACH_PX + 2.0).any())
            trackable += 1
    allowed = int(false_rate * len(hit_scores))
    ranked = np.sort(np.array([*false_scores, *np.zeros(allowed + 1)]))[::-1]
    # Just over the first false detection that is one too many.
    threshold = float(np.nextafter(np.float32(max(ranked[allowed], WEAK_SCORE)), np.float32(2.0)))
    scores = np.array(hit_scores)
    found_share, packaged_share = (float(np.mean(scores >= at)) for at in (threshold, packaged))
    return DimTargets(snr, len(clips), threshold, found_share, packaged_share, tracked / max(trackable, 1))


def _sort_out(clip: Laid, index: int, xy: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections of a frame are at the synthetic target, and which at no target."""
    hit = np.hypot(*(xy - clip.path.xy[index]).T) <= _REACH_PX
    labelled = inside_boxes(xy, clip.truth.boxes_at(index)).any(axis=1)
    return hit, ~hit & ~labelled & ~clip.truth.is_ignored(index, xy)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m lpnet_rt.benchmarks.dim_targets", description=__doc__)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with irvideo/")
    parser.add_argument("--model", default="lpnet-rt", metavar="M")
    parser.add_argument("--snr", default="2,3,4,5,7,10", metavar="S,S", help="(default: %(default)s)")
    parser.add_argument("--false-rate", type=float, default=0.01, metavar="R", help="(default: %(default)s)")
    parser.add_argument("--clips", type=int, default=0, metavar="N", help="take so many clips; 0: all")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads; 0: all")
    parser.add_argument("--json", metavar="OUT", help="write the figures to this file")
    parser.add_argument("--plot", metavar="PNG", help="draw the curves")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args(argv)
    return exit_code_of(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    for flag in ("json", "plot"):
        if getattr(args, flag):
            check_output(Path(getattr(args, flag)), f"--{flag}", args.overwrite)
    ratios = _ratios(args.snr)
    detector = Detector.load(DetectorSettings(model=args.model, threads=args.threads))
    scorer = make_scorer(detector.choice.engine, detector.card)
    root = Path(args.data) / "irvideo"
    names = sorted(path.stem for path in (root / "clips").glob("*.mp4") if clip_is_held_back(path.stem, 1, 5))
    if not names:
        raise DataError(f"{root}: expected clips/*.mp4, found none that is held back")
    found: dict[float, list[Laid]] = {ratio: [] for ratio in ratios}
    for name in watched(names[: args.clips or None], "clips", "clips"):
        frames, truth = _first_frames(root / "clips" / f"{name}.mp4"), load_truth(root, name)
        path = pick_path([frame.image for frame in frames], truth, np.random.default_rng(int(name[-3:])))
        if path is None:
            continue
        for ratio in ratios:
            laid = _score(scorer, frames, path, ratio)
            recording = record(name, laid, detector.threshold, WEAK_SCORE)
            found[ratio].append(Laid(recording, path, truth, _in_sky(recording, frames)))
    name, own = detector.card.name, detector.threshold
    results = [judge(clips, ratio, args.false_rate, name, own) for ratio, clips in found.items()]
    print(
        f"{detector.card.name}: {results[0].clips} clips of {FRAMES} frames, "
        f"{args.false_rate:g} false detections in the sky per frame"
    )
    for one in results:
        print(
            f"SNR {one.snr:g}: {100 * one.pd:.1f} % of frames at a threshold of {one.threshold:.2f}, "
            f"{100 * one.pd_packaged:.1f} % at {detector.threshold:.2f}, {100 * one.pd_tracked:.1f} % with tracks"
        )
    if args.json:
        write_figures([asdict(one) for one in results], Path(args.json), args.overwrite)
    if args.plot:
        _draw(
            results, f"{detector.card.name}, {args.false_rate:g} false detections in the sky per frame", Path(args.plot)
        )
    return 0


def _first_frames(path: Path) -> list[Frame]:
    found = []
    for frame in open_source(SourceSettings(spec=str(path))):
        found.append(frame)
        if len(found) == FRAMES:
            break
    return found


def _score(
    scorer: HostScorer, frames: Sequence[Frame], path: Path2D, snr: float
) -> Iterator[tuple[Frame, CandidatePixels]]:
    for frame, xy in zip(frames, path.xy, strict=True):
        image = lay_target(frame.image, xy, path.sigma_px, snr)
        yield replace(frame, image=image), scorer.find([image], WEAK_SCORE)[0]


def _in_sky(recording: Recording, frames: Sequence[Frame]) -> list[NDArray[np.bool_]]:
    """Whether the surroundings of each detection are even sky, for each frame."""
    return [
        np.array([_deviation(frame.image, xy) <= _SKY_STD for xy in found.centroid_xy], np.bool_)
        for frame, (_, found, _) in zip(frames, recording.frames(), strict=True)
    ]


def _deviation(image: GreyImage, xy: NDArray[np.float64]) -> float:
    x, y = round(xy[0]), round(xy[1])
    window = image[max(y - _WINDOW_PX, 0) : y + _WINDOW_PX + 1, max(x - _WINDOW_PX, 0) : x + _WINDOW_PX + 1]
    return max(float(window.std()), 0.5)


def _near_truth(truth: ClipTruth, frame: int, xy: NDArray[np.float64]) -> bool:
    near = inside_boxes(xy[None], truth.boxes_at(frame), _CLEARANCE_PX).any() or truth.is_ignored(frame, xy[None]).any()
    return bool(near)


def _draw(results: Sequence[DimTargets], title: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    snr = [one.snr for one in results]
    axes.plot(snr, [100 * one.pd for one in results], "o-", label="single frames")
    axes.plot(snr, [100 * one.pd_packaged for one in results], "^:", label="single frames, packaged threshold")
    axes.plot(snr, [100 * one.pd_tracked for one in results], "s-", label="confirmed tracks")
    axes.set(xlabel="SNR", ylabel="frames with the target found, %", ylim=(0, 102), title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def _ratios(text: str) -> list[float]:
    try:
        ratios = [float(part) for part in text.split(",")]
    except ValueError:
        ratios = [0.0]
    if not all(0.0 < ratio <= 1000.0 for ratio in ratios):
        raise SettingsError(f"--snr {text}: expected numbers over 0, separated by commas")
    return ratios


if __name__ == "__main__":
    sys.exit(main())
