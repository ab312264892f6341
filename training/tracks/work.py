"""Recording, fitting and judging over a folder of clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from lpnet_rt.detections import CandidatePixels
from lpnet_rt.detector import Detector
from lpnet_rt.engines.scorer import make_scorer
from lpnet_rt.errors import DataError
from lpnet_rt.files import write_whole
from lpnet_rt.frames import Frame
from lpnet_rt.settings import DetectorSettings, SourceSettings
from lpnet_rt.sources import open_source
from lpnet_rt.tracking import WEAK_SCORE, TrackerSettings, TrackingProfile, load_profile, packaged_profile
from lpnet_rt.tracking.evidence import EvidenceModel
from lpnet_rt.tracking.motion import MotionModel
from lpnet_rt.tracking.profile import CalibrationPoint, Lifecycle
from lpnet_rt.training.data.clips import clip_is_held_back
from lpnet_rt.training.tracks.files import read_tracks
from lpnet_rt.training.tracks.fit import FitSettings, calibrate, fit_evidence, out_of_fold
from lpnet_rt.training.tracks.gospa import clip_gospa
from lpnet_rt.training.tracks.hota import clip_hota, combine_hota
from lpnet_rt.training.tracks.judge import judge_clip, summarise
from lpnet_rt.training.tracks.recording import Recording, load_recording, record, save_recording
from lpnet_rt.training.tracks.replay import TrackPath, replay
from lpnet_rt.training.tracks.samples import collect_samples
from lpnet_rt.training.tracks.truth import ClipTruth, load_truth
from lpnet_rt.training.tracks.unlabelled import find_unlabelled, write_unlabelled

__all__ = ["fit_profile", "judge_files", "judge_recordings", "list_unlabelled", "record_clips"]

Say = Callable[[str], object]
HeldBack = tuple[int, int]

_DISTANCES_PX = (3.0, 8.0)
_DEFAULT_RATE_PER_HOUR = 60.0
_FEATURES = ("mean_score", "recent_score", "best_score", "log_hits", "log_reach", "stands")


def record_clips(data: Path, out: Path, model: str, threads: int, say: Say) -> None:
    """Run a model over every clip and keep what it finds; recordings that are there already are kept.

    Args:
        data: Folder with ``clips/*.mp4``.
        out: Folder for ``NAME.npz``.
        model: Packaged model or model file.
        threads: Processor threads.
        say: Takes a line for each clip.

    Raises:
        LpnetError: There is no clip, or one cannot be read.
    """
    clips = sorted((data / "clips").glob("*.mp4"))
    if not clips:
        raise DataError(f"{data}: expected clips/*.mp4, found none")
    detector = Detector.load(DetectorSettings(model=model, threads=threads))
    scorer = make_scorer(detector.choice.engine, detector.card)

    def frames(path: Path) -> Iterator[tuple[Frame, CandidatePixels]]:
        for frame in open_source(SourceSettings(spec=str(path))):
            yield frame, scorer.find([frame.image], WEAK_SCORE)[0]

    out.mkdir(parents=True, exist_ok=True)
    for path in clips:
        target = out / f"{path.stem}.npz"
        if not target.exists():
            recording = record(path.stem, frames(path), detector.threshold, WEAK_SCORE)
            save_recording(recording, target)
            say(f"{path.stem}: {len(recording)} frames, {int(recording.counts.sum())} detections")


def fit_profile(data: Path, recordings: Path, out: Path, model: str, held_back: HeldBack, say: Say) -> None:
    """Fit a profile to all clips that are not held back, and write it.

    Args:
        data: Folder with ``boxes/*.csv``.
        recordings: Of :func:`record_clips`.
        out: JSON file; one that exists is replaced.
        model: Name of the model that found the detections.
        held_back: Remainder and divisor that mark the clips left out.
        say: Takes the table of thresholds.

    Raises:
        LpnetError: Data is missing, or the file cannot be written.
    """
    life = Lifecycle()
    # How the tracks that are fitted to come about: what scores one half on average is confirmed, and may coast.
    first = TrackingProfile(
        model=model,
        motion=MotionModel(),
        lifecycle=life,
        evidence=EvidenceModel(intercept=-5.0, weights={"mean_score": 10.0}),
        calibration=[CalibrationPoint(probability=0.5, false_tracks_per_hour=1.0, coverage=0.0)],
        false_tracks_per_hour=1.0,
    )
    samples = collect_samples(_clips(data, recordings, held_back, wanted=False), first)
    settings = FitSettings(features=_FEATURES, min_hits=life.min_hits)
    profile = msgspec.structs.replace(
        first,
        evidence=fit_evidence(samples, settings),
        calibration=calibrate(samples, out_of_fold(samples, settings), life.min_hits),
        false_tracks_per_hour=_DEFAULT_RATE_PER_HOUR,
        fitted_on=[
            f"{len(samples.clips)} clips, {samples.minutes:.1f} minutes: all whose number does not leave "
            f"{held_back[0]} when divided by {held_back[1]}",
            f"{int((samples.target == 1).sum())} tracks of targets, {int((samples.target == 0).sum())} others",
        ],
    )
    write_whole(out, msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n", "tracking profile")
    for point in profile.calibration:
        rate, coverage = point.false_tracks_per_hour, point.coverage
        say(f"p >= {point.probability:.3f}: {rate:g} false an hour, coverage {coverage:.3f}")


def list_unlabelled(data: Path, recordings: Path, out: Path, held_back: HeldBack, say: Say) -> None:
    """List the targets without a box in all clips that are not held back, for ``ignored`` in a recipe.

    Args:
        data: Folder with ``boxes/*.csv``, and perhaps ``unlabelled.csv``.
        recordings: Of :func:`record_clips`.
        out: CSV file; one that exists is replaced.
        held_back: Remainder and divisor that mark the clips left out.
        say: Takes a line for each track.

    Raises:
        LpnetError: Data is missing, or the file cannot be written.
    """
    tracks = list(find_unlabelled(_clips(data, recordings, held_back, wanted=False), packaged_profile()))
    for track in tracks:
        first, last = track.places[0], track.places[-1]
        say(
            f"{track.clip}: frames {first[0]} to {last[0]}, ({first[1]:.0f}, {first[2]:.0f}) to "
            f"({last[1]:.0f}, {last[2]:.0f}), mean score {track.mean_score:.2f}"
        )
    say(f"{out}: {write_unlabelled(tracks, out)} places of {len(tracks)} tracks")


def judge_recordings(
    data: Path, recordings: Path, profile: Path | None, rate: float | None, held_back: HeldBack, say: Say
) -> None:
    """Judge a profile on the clips that are held back.

    Args:
        data: Folder with ``boxes/*.csv`` and ``unlabelled.csv``.
        recordings: Of :func:`record_clips`.
        profile: JSON file, or None for the packaged one.
        rate: False confirmed tracks an hour to confirm at, or None for the profile's.
        held_back: Remainder and divisor that mark the clips.
        say: Takes the lines of the result.

    Raises:
        LpnetError: Data is missing or damaged.
    """
    used = packaged_profile() if profile is None else load_profile(profile)
    settings = TrackerSettings(false_tracks_per_hour=rate)
    judged = [(replay(clip, used, settings), truth) for clip, truth in _clips(data, recordings, held_back, wanted=True)]
    _report(_figures(judged, 30.0), say)


def judge_files(data: Path, files: Sequence[Path], frame_rate: float, say: Say) -> dict[str, object]:
    """Judge recorded tracks against boxes or points; a clip without any box was not labelled, and is left out.

    Args:
        data: Folder with ``boxes/*.csv``, and perhaps ``unlabelled.csv``.
        files: JSON Lines of ``lpnet-rt run``, whose sources are the clips, or MOT files named after them.
        frame_rate: Frames per second, for rates.
        say: Takes the lines of the result.

    Returns:
        The figures, by name.

    Raises:
        LpnetError: Data is missing or damaged, or a clip occurs twice.
    """
    paths: dict[str, TrackPath] = {}
    for file in files:
        for name, path in read_tracks(file).items():
            if name in paths:
                raise DataError(f"{file}: expected every clip once, found {name} in another file, too")
            paths[name] = path
    truths = {name: load_truth(data, name) for name in paths}
    found = _figures([(path, truths[name]) for name, path in paths.items() if truths[name].boxes], frame_rate)
    _report(found, say)
    return found


def _figures(judged: Sequence[tuple[TrackPath, ClipTruth]], frame_rate: float) -> dict[str, object]:
    """Every measure by its name; those of points by distance."""
    found: dict[str, object] = asdict(summarise((judge_clip(path, truth) for path, truth in judged), frame_rate))
    frames = sum(path.frames for path, _ in judged)
    for limit_px in _DISTANCES_PX:
        hota = combine_hota(clip_hota(path, truth, limit_px) for path, truth in judged)
        gospa_px = sum(clip_gospa(path, truth, limit_px) for path, truth in judged) / max(frames, 1)
        found[f"at {limit_px:g} px"] = {
            "HOTA": hota.hota, "DetA": hota.detection, "AssA": hota.association, "mean GOSPA px": gospa_px
        }  # fmt: skip
    return found


def _report(found: dict[str, object], say: Say) -> None:
    for name, value in found.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        say(f"{name}: {', '.join(f'{part} {_shown(figure)}'.strip() for part, figure in parts)}")


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "-"


def _clips(data: Path, recordings: Path, held_back: HeldBack, *, wanted: bool) -> Iterator[tuple[Recording, ClipTruth]]:
    """Recordings with their truth; of the clips held back only those with a box: one that has none was not labelled."""
    paths = [path for path in sorted(recordings.glob("*.npz")) if clip_is_held_back(path.stem, *held_back) == wanted]
    if not paths:
        raise DataError(f"{recordings}: expected recordings (NAME.npz) of such clips, found none; record them first")
    for path in paths:
        truth = load_truth(data, path.stem)
        if truth.boxes or not wanted:
            yield load_recording(path), truth
