"""The verb ``data import``: labels of another tool, with their images or videos, into a data set of this project."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lpnet_rt.errors import DataError, SettingsError
from lpnet_rt.text import printable
from lpnet_rt.training.data.convert import refuse_old_files, staged_folder
from lpnet_rt.training.imports.formats import FORMATS, read_labels, recognise_format
from lpnet_rt.training.imports.labels import ImageLabels, Labels, ObjectLabel, VideoLabels
from lpnet_rt.training.imports.recordings import compiled_pattern, recording_of, validation_recordings
from lpnet_rt.training.imports.source import LabelSource
from lpnet_rt.training.imports.writing import (
    Item,
    counted,
    unique_name,
    write_clip,
    write_frame,
    write_ignored,
    write_manifest,
    write_splits,
)
from lpnet_rt.training.progress import watched

__all__ = ["ImportOptions", "Imported", "add_arguments", "import_labels", "run"]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What to import, and how.

    Attributes:
        source: Folder of an export, or its file of labels.
        destination: Folder to write; empty or not there yet.
        format: Key of the format; None recognises it.
        media: Folder of images or videos; None: where the labels are.
        categories: Only objects of these count; empty takes all.
        validation_share: Share of the frames whose recordings are held back for validation, 0 up to 1.
        recording: Regular expression whose first group is the recording of an image's path; None: folder and name.
        keep_splits: Keep the parts that folders and file names tell of, instead of dividing by recording.
        skip_bad: Leave out, and note, what cannot be imported.
    """

    source: Path
    destination: Path
    format: str | None = None
    media: Path | None = None
    categories: tuple[str, ...] = ()
    validation_share: float = 0.2
    recording: str | None = None
    keep_splits: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.validation_share < 1:
            raise SettingsError(f"--validation-share: expected 0 up to 1, found {self.validation_share:g}")


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written.

    Attributes:
        format: Key of the labels' format.
        items: Images or clips.
        splits: Their names by split.
        objects: How many objects have pixels, and how many only a box.
        notes: One line for everything that was left out or should be known.
    """

    format: str
    items: tuple[Item, ...]
    splits: dict[str, list[str]]
    objects: tuple[int, int]
    notes: tuple[str, ...]


def import_labels(options: ImportOptions) -> Imported:
    """Import labels; images stay byte for byte as they are.

    Raises:
        DataError: The labels are of no known format or malformed, an image is missing or of another size, or the
            destination is not empty or lies in the source. Nothing is written then.
        SettingsError: ``recording`` is no regular expression with a group.
        DependencyError: A library that reads the format is missing.
        SinkError: The destination cannot be written.
    """
    source = LabelSource(options.source, options.media, options.skip_bad)
    # Beside a file of labels that was named by itself is a usual place to write to.
    for folder in (options.source, options.media or options.source):
        refuse_old_files(options.destination, folder)
    compiled_pattern(options.recording)
    key = options.format or recognise_format(source)
    labels = _of_categories(read_labels(source, key), options.categories, source)
    with staged_folder(options.destination) as root:
        items = _write(root, labels, source, options)
        if not items:
            raise DataError(f"{options.source}: expected images or videos that can be imported, found none")
        splits = _divided(items, options, source)
        write_splits(root, splits)
        write_manifest(root, items)
    found = [one for image in labels.images for one in image.objects]
    found += [one for video in labels.videos for frame in video.objects.values() for one in frame]
    with_pixels = 0 if labels.videos else sum(one.region is not None for one in found)
    return Imported(key, tuple(items), splits, (with_pixels, len(found) - with_pixels), tuple(source.notes))


def _of_categories(labels: Labels, wanted: Sequence[str], source: LabelSource) -> Labels:
    """Only the objects of some categories; an unknown one is refused."""
    if not wanted:
        return labels
    known = {one.category for image in labels.images for one in image.objects}
    known |= {one.category for video in labels.videos for found in video.objects.values() for one in found}
    for name in wanted:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise DataError(f"{source.path}: expected objects of the category {name}, found only: {there}")

    def only(objects: Sequence[ObjectLabel]) -> list[ObjectLabel]:
        return [one for one in objects if one.category in wanted]

    return Labels(
        tuple(replace(image, objects=tuple(only(image.objects))) for image in labels.images),
        tuple(
            replace(video, objects={n: kept for n, found in video.objects.items() if (kept := only(found))})
            for video in labels.videos
        ),
    )


def _write(root: Path, labels: Labels, source: LabelSource, options: ImportOptions) -> list[Item]:
    """Write every image or clip; what fails is noted or raised."""
    pattern, default = compiled_pattern(options.recording), source.media.resolve().name or "recording"
    taken: set[str] = set()
    ignored: list[tuple[str, VideoLabels]] = []

    def write_image(image: ImageLabels) -> Item:
        origin = source.relative(image.path)
        name = unique_name(origin, taken)
        recording = image.recording if image.recording and pattern is None else recording_of(origin, default, pattern)
        write_frame(root, name, image)
        taken.add(name.lower())
        return Item(name, recording, origin, image.split, bool(image.objects))

    def write_video(video: VideoLabels) -> Item:
        path = video.frames if isinstance(video.frames, Path) else video.frames[0].parent
        origin = source.relative(path)
        name = unique_name(video.name, taken)
        write_clip(root, name, video)
        taken.add(name.lower())
        ignored.append((name, video))
        recording = video.name if pattern is None else recording_of(origin, default, pattern)
        return Item(name, recording, origin, video.split, bool(video.objects))

    if labels.videos:
        items = source.each(labels.videos, write_video)
        write_ignored(root, ignored)
        return items
    return source.each(watched(labels.images, "import"), write_image)


def _divided(items: Sequence[Item], options: ImportOptions, source: LabelSource) -> dict[str, list[str]]:
    """Names by split: by recording, or by what the labels say."""
    if options.keep_splits:
        splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for item in items:
            splits[item.split or "train"].append(item.name)
        return splits
    held = validation_recordings(*counted(items), options.validation_share)
    if options.validation_share > 0 and not held:
        source.notes.append(
            "only one recording, so nothing is held back for validation: frames of one recording look alike; "
            "import more, or tell them apart with --recording"
        )
    return {
        "train": [item.name for item in items if item.recording not in held],
        "val": [item.name for item in items if item.recording in held],
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags to a parser."""
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of an export, or its file of labels")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write; empty or not there yet"
    )
    parser.add_argument("--format", choices=FORMATS, help="format of the labels (recognised)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images or videos (SOURCE)")
    parser.add_argument(
        "--category", action="append", default=[], metavar="NAME", help="import only this one; may be repeated (all)"
    )
    parser.add_argument(
        "--validation-share", type=float, default=0.2, metavar="S", help="share held back, whole recordings (0.2)"
    )
    parser.add_argument("--recording", metavar="REGEX", help="its first group names the recording in an image's path")
    parser.add_argument("--keep-splits", action="store_true", help="keep train, val and test of the export's folders")
    parser.add_argument("--skip-bad", action="store_true", help="leave out and name what cannot be imported")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; return its exit code.

    Raises:
        LpnetError: As :func:`import_labels`.
    """
    done = import_labels(
        ImportOptions(
            source=args.source,
            destination=args.out,
            format=args.format,
            media=args.images,
            categories=tuple(args.category),
            validation_share=args.validation_share,
            recording=args.recording,
            keep_splits=args.keep_splits,
            skip_bad=args.skip_bad,
        )
    )
    for line in done.notes:
        print(f"note: {printable(line)}", file=sys.stderr)
    empty = sum(not item.has_target for item in done.items)
    recordings = Counter(item.recording for item in done.items)
    splits = ", ".join(f"{split} {len(names)}" for split, names in done.splits.items() if names)
    print(
        f"{args.out}: from {done.format}: {splits}; without target {empty}, recordings {len(recordings)}, "
        f"objects with pixels {done.objects[0]}, with boxes {done.objects[1]}"
    )
    return 0
