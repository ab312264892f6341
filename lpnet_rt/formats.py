"""Other formats for what ``lpnet-rt run --jsonl`` writes: MOTChallenge, COCO and CSV.

The input is read line by line and never held as a whole: once to check every line, then to write.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import msgspec
from msgspec import UNSET

from lpnet_rt.errors import MessageError, SettingsError, SinkError, reason
from lpnet_rt.files import create_file, refuse_existing
from lpnet_rt.messages import DetectionMessage, DirectionMessage, FrameMessage, RateMessage, TrackMessage, decode
from lpnet_rt.text import printable

__all__ = ["ANGLE_COLUMNS", "CSV_COLUMNS", "Format", "Survey", "convert"]

Format = Literal["mot", "coco", "csv"]

_LINE_LIMIT_BYTES = 16_000_000  # 500 detections with their tracks are some 200 kB
_MAX_SOURCES = 256
_FRAME_COLUMNS = ("source", "session", "seq", "frame", "file", "t_capture_us", "pts_s")
_DETECTION_COLUMNS = ("cx", "cy", "x1", "y1", "x2", "y2", "score", "area_px", "peak", "snr")
_TRACK_COLUMNS = ("track_id", "track_state", "track_age", "track_hits", "track_probability", "track_vx", "track_vy")
CSV_COLUMNS = (*_FRAME_COLUMNS, *_DETECTION_COLUMNS, *_TRACK_COLUMNS)
# Behind the others, where a detection of the file has a direction: its own, and its track's.
_DIRECTIONS = DirectionMessage.__struct_fields__
_TRACK_DIRECTIONS = RateMessage.__struct_fields__
ANGLE_COLUMNS = (*_DIRECTIONS, *(f"track_{name}" for name in _TRACK_DIRECTIONS))


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file of JSON Lines holds.

    Attributes:
        lines: Number of the last line that is a frame.
        frames: Frames that were judged.
        failed: Frames that could not be judged; no format has a place for them.
        detections: Detections.
        sources: Names, in the order in which they appear.
        has_angles: Whether any detection has a direction.
    """

    lines: int
    frames: int
    failed: int
    detections: int
    sources: tuple[str, ...]
    has_angles: bool = False


def convert(path: Path, to: Format, out: Path, overwrite: bool = False) -> tuple[Survey, list[Path]]:
    """Write the detections of a file of JSON Lines in another format.

    Args:
        path: Written by ``lpnet-rt run --jsonl``; messages other than frames are passed over.
        to: ``mot``: one file per source, ``OUT-SOURCE`` where there are several. ``coco``: one file with images,
            annotations and categories. ``csv``: one row per detection.
        out: File to write.
        overwrite: Whether files that exist are replaced.

    Returns:
        What the input holds, and the files that were written.

    Raises:
        MessageError: A line is not of the schema; nothing is written.
        SettingsError: The input cannot be read, or the output would be the input.
        SinkError: A file exists or cannot be written.
    """
    survey = _survey(path)

    def frames() -> Iterator[FrameMessage]:
        # A run may be writing: what came after the survey is left out.
        return (frame for _, frame in read_frames(path, survey.lines) if frame.error is None)

    several = to == "mot" and len(survey.sources) > 1
    paths = [out.with_stem(f"{out.stem}-{source}") for source in survey.sources] if several else [out]
    for target in paths:
        refuse_existing(target, "--out", overwrite)
        if target.exists() and target.samefile(path):
            raise SettingsError(f"--out: expected another file than the input, found {target} for both")
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_created(target, overwrite)) for target in paths]
        if to == "mot":
            _write_mot(frames(), dict(zip(survey.sources, files, strict=False)))
        else:
            files[0].writelines(_csv_rows(frames(), survey.has_angles) if to == "csv" else _coco_parts(frames))
    return survey, paths


def _survey(path: Path) -> Survey:
    """Check every line and count what there is."""
    lines = judged = failed = detections = 0
    has_angles = False
    sources: dict[str, None] = {}
    for lines, frame in read_frames(path, None):
        if frame.source not in sources:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", frame.source) or len(sources) >= _MAX_SOURCES:
                raise MessageError(
                    f"{path}: line {lines}: source: expected one of at most {_MAX_SOURCES} names of 1 to 64 letters, "
                    f"digits, - or _, found {printable(frame.source)[:80]!r}"
                )
            sources[frame.source] = None
        judged, failed = judged + (frame.error is None), failed + (frame.error is not None)
        detections += len(frame.detections)
        has_angles = has_angles or any(each.azimuth_deg is not UNSET for each in frame.detections)
    return Survey(lines, judged, failed, detections, tuple(sources), has_angles)


def read_frames(path: Path, max_lines: int | None = None) -> Iterator[tuple[int, FrameMessage]]:
    """The frames of a file with the numbers of their lines, from 1.

    Raises:
        MessageError: A line is too long or not of the schema.
        SettingsError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while (max_lines is None or number < max_lines) and (line := file.readline(_LINE_LIMIT_BYTES + 1)):
                number += 1
                if len(line) > _LINE_LIMIT_BYTES:
                    raise MessageError(f"{path}: line {number}: expected at most {_LINE_LIMIT_BYTES:,} bytes")
                try:
                    message = decode(None, line)
                except MessageError as error:
                    raise MessageError(f"{path}: line {number}: {error}") from error
                if isinstance(message, FrameMessage):
                    yield number, message
    except OSError as error:
        raise SettingsError(f"{path}: expected a file of JSON Lines, found: {reason(error)}") from error


@contextlib.contextmanager
def _created(path: Path, overwrite: bool) -> Iterator[TextIO]:
    """A file to write from its start; one that could not be finished is removed."""
    number = create_file(path, "--out", overwrite)
    with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
        try:
            file.truncate(0)
            yield file
            file.flush()
        except BaseException as error:
            with contextlib.suppress(OSError):
                path.unlink()
            if isinstance(error, OSError):
                raise SinkError(f"--out {path}: cannot be written: {reason(error)}") from error
            raise


def _write_mot(frames: Iterator[FrameMessage], files: dict[str, TextIO]) -> None:
    """MOTChallenge: frame, id, x, y, width, height, confidence, -1, -1, -1; numbers of frames and pixels from 1.

    The id is the track's, or -1 for a detection without a track.
    """
    for frame in frames:
        for detection in frame.detections:
            x, y, width, height = _xywh(detection)
            identity = -1 if detection.track is None else detection.track.id
            columns = (frame.frame + 1, identity, x + 1, y + 1, width, height, detection.score, -1, -1, -1)
            files[frame.source].write(",".join(map(str, columns)) + "\n")


def _csv_rows(frames: Iterator[FrameMessage], has_angles: bool) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*CSV_COLUMNS, *ANGLE_COLUMNS) if has_angles else CSV_COLUMNS)
    for frame in frames:
        of_frame = [getattr(frame, column) for column in _FRAME_COLUMNS]
        for each in frame.detections:
            own = [each.cx, each.cy, *each.box, each.score, each.area_px, each.peak, each.snr]
            track = each.track
            of_track = (
                [None] * len(_TRACK_COLUMNS)
                if track is None
                else [track.id, track.state, track.age, track.hits, track.probability, track.vx, track.vy]
            )
            angles = [*_known(each, _DIRECTIONS), *_known(track, _TRACK_DIRECTIONS)] if has_angles else []
            writer.writerow([*of_frame, *own, *of_track, *angles])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _known(part: DetectionMessage | TrackMessage | None, names: tuple[str, ...]) -> list[object]:
    """Fields of a part of a message; None where they are left out."""
    values = (getattr(part, name, None) for name in names)
    return [None if value is UNSET else value for value in values]


def _coco_parts(frames: Callable[[], Iterator[FrameMessage]]) -> Iterator[str]:
    """One JSON object, part by part: images in a first reading, annotations in a second."""
    yield '{"info":{"description":"detections of lpnet-rt"},\n"categories":[{"id":1,"name":"target"}],\n"images":['
    for number, frame in enumerate(frames(), start=1):
        image = {
            "id": number,
            "file_name": frame.file or f"{frame.source}/{frame.frame:06d}",
            "width": frame.width,
            "height": frame.height,
            "source": frame.source,
            "frame": frame.frame,
        }
        yield _json_item(image, number)
    yield '],\n"annotations":['
    count = 0
    for number, frame in enumerate(frames(), start=1):
        for detection in frame.detections:
            count += 1
            annotation = {
                "id": count,
                "image_id": number,
                "category_id": 1,
                "bbox": _xywh(detection),
                "area": detection.area_px,
                "iscrowd": 0,
                "score": detection.score,
            }
            if detection.track is not None:
                annotation["track_id"] = detection.track.id
            yield _json_item(annotation, count)
    yield "]}\n"


def _json_item(value: dict[str, object], number: int) -> str:
    return ("" if number == 1 else ",") + "\n" + msgspec.json.encode(value).decode()


def _xywh(detection: DetectionMessage) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = detection.box
    return x1, y1, x2 - x1, y2 - y1
