"""MOT: a folder per sequence with gt/gt.txt, seqinfo.ini and the images, or a video; numbers count from 1."""

from __future__ import annotations

import configparser
from collections import defaultdict
from pathlib import Path

from lpnet_rt.errors import DataError
from lpnet_rt.training.imports.documents import read_text_lines
from lpnet_rt.training.imports.labels import Labels, ObjectLabel, VideoLabels, checked_box, split_of_path, stated_size
from lpnet_rt.training.imports.source import LabelSource

__all__ = ["mot_files", "read_mot"]

_MAX_FRAME = 250_000


def mot_files(source: LabelSource) -> list[Path]:
    """The files gt/gt.txt."""
    return [path for path in source.files(".txt") if path.name == "gt.txt" and path.parent.name == "gt"]


def read_mot(source: LabelSource) -> Labels:
    """Read every sequence.

    Raises:
        DataError: A line or seqinfo.ini is malformed, or the images are missing.
    """

    def read(path: Path) -> VideoLabels:
        return _read_sequence(source, path)

    return Labels(videos=tuple(source.each(mot_files(source), read)))


def _read_sequence(source: LabelSource, path: Path) -> VideoLabels:
    folder = path.parent.parent
    info = _sequence_info(folder)
    name = info.get("name") or folder.resolve().name
    size_wh = stated_size(str(folder), _whole(info, "imwidth", folder), _whole(info, "imheight", folder))
    objects: dict[int, list[ObjectLabel]] = defaultdict(list)
    ignored: dict[int, list[tuple[float, float]]] = defaultdict(list)
    labels = _class_names(path.with_name("labels.txt"))
    for number, line in enumerate(read_text_lines(path), start=1):
        if not line:
            continue
        where = f"{path}: line {number}"
        frame, box, counts, category = _row(where, line)
        if counts:
            objects[frame].append(ObjectLabel(labels.get(category, str(category)), checked_box(where, *box)))
        else:
            x, y, width, height = checked_box(where, *box)
            ignored[frame].append((x + width / 2, y + height / 2))
    rate_hz = float(_whole(info, "framerate", folder) or 30)
    count = _whole(info, "seqlength", folder)
    frames = _frames(source, folder, name, info.get("imdir") or "img1")
    split = split_of_path(source.relative(folder))
    return VideoLabels(name, frames, size_wh, dict(objects), dict(ignored), rate_hz, count, split)


def _row(where: str, line: str) -> tuple[int, tuple[float, float, float, float], bool, int]:
    """Frame from 0, box, whether it counts, and class."""
    try:
        values = [float(value) for value in line.split(",")]
        frame = int(values[0]) - 1
        x, y, width, height = values[2:6]
        counts = len(values) < 7 or values[6] != 0
        category = int(values[7]) if len(values) > 7 else 1
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(
            f"{where}: expected frame,id,left,top,width,height,counts,class,visibility, found {line[:60]}"
        ) from error
    if not 0 <= frame < _MAX_FRAME:
        raise DataError(f"{where}: expected a frame number from 1, found {values[0]:g}")
    return frame, (x - 1, y - 1, width, height), counts, category


def _class_names(path: Path) -> dict[int, str]:
    """Names of classes as CVAT writes them beside gt.txt, in order from 1."""
    return dict(enumerate(filter(None, read_text_lines(path)), start=1)) if path.is_file() else {}


def _sequence_info(folder: Path) -> dict[str, str]:
    path = folder / "seqinfo.ini"
    if not path.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string("\n".join(read_text_lines(path)), str(path))
        return dict(parser["Sequence"])
    except (configparser.Error, KeyError) as error:
        raise DataError(f"{path}: expected a section [Sequence] of keys and values, found another file") from error


def _whole(info: dict[str, str], key: str, folder: Path) -> int | None:
    text = info.get(key)
    try:
        return int(float(text)) if text else None
    except (ValueError, OverflowError) as error:
        raise DataError(f"{folder / 'seqinfo.ini'}: expected a number for {key}, found {text}") from error


def _frames(source: LabelSource, folder: Path, name: str, image_folder: str) -> Path | tuple[Path, ...]:
    """The sequence's images, or a video that has its name."""
    for place in (folder / image_folder, source.media / folder.name / image_folder, source.media):
        if ".." not in Path(image_folder).parts and (images := source.images_in(place)):
            return images
    return source.video(name, str(folder))
