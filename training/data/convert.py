"""The verb ``data convert``: a download, as its authors lay it out, into one of the project's two layouts."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from lpnet_rt.errors import DataError, SettingsError, SinkError, reason
from lpnet_rt.files import write_whole
from lpnet_rt.frames import GreyImage
from lpnet_rt.text import printable
from lpnet_rt.training.data.data_set import DataSet, Entry
from lpnet_rt.training.data.files import read_grey, read_mask
from lpnet_rt.training.data.layouts import LAYOUTS, open_data_set

__all__ = [
    "ConvertOptions",
    "Converted",
    "add_arguments",
    "binary_mask",
    "convert",
    "refuse_old_files",
    "run",
    "staged_folder",
    "write_image",
]

TARGETS = ("plain", "paper")
_FOLDER_MODE = 0o750


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What to convert, and how.

    Attributes:
        source: Folder of the download.
        destination: Folder to write; must be empty or not there yet.
        target: ``plain`` (images/, masks/ and one .txt a split) or ``paper`` ({train,test}/NAME.bmp, gt/NAME_gt.bmp).
        layout: Key of the download's layout; None recognises it.
        splits: Split files by name that stand in for the download's own.
        missing_mask_is_empty: Take a frame without a mask file as free of targets, instead of refusing it.
        skip_bad: Leave out frames that cannot be converted, instead of stopping at the first.
    """

    source: Path
    destination: Path
    target: str = "plain"
    layout: str | None = None
    splits: dict[str, Path] = field(default_factory=dict)
    missing_mask_is_empty: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise SettingsError(f"target layout: expected one of {', '.join(TARGETS)}, found {self.target}")


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written.

    Attributes:
        layout: Key of the layout the download was in.
        frames: Frames written, by split.
        skipped: One line for every frame that was left out.
    """

    layout: str
    frames: dict[str, int]
    skipped: tuple[str, ...]


def convert(options: ConvertOptions) -> Converted:
    """Convert a data set; images become grey at their own depth, masks 0/255.

    Raises:
        DataError: The download is in no known layout, incomplete or damaged, or the destination is not empty or lies
            in the download. Nothing is written then.
        SinkError: The destination cannot be written.
    """
    data = open_data_set(options.source, options.layout, options.splits)
    entries = [_with_target_split(entry, options.target) for entry in data.entries]
    if data.clips or not entries:
        raise DataError(f"{options.source}: expected images in the layout {data.layout}, found none")
    _refuse_repeated_names(entries, data, options.target)
    refuse_old_files(options.destination, options.source)
    with staged_folder(options.destination) as folder:
        written, skipped = _write_frames(entries, replace(options, destination=folder))
    return Converted(data.layout, {split: len(names) for split, names in written.items()}, tuple(skipped))


def _write_frames(entries: Sequence[Entry], options: ConvertOptions) -> tuple[dict[str, list[str]], list[str]]:
    """Write every frame and the splits; names by split, and one line for every frame that was left out."""
    written: dict[str, list[str]] = {}
    skipped: list[str] = []
    console = Console(stderr=True)
    for entry in track(entries, "convert", console=console, disable=not console.is_terminal, transient=True):
        try:
            image, mask = _read(entry, options.missing_mask_is_empty)
            _write_frame(entry, image, mask, options)
        except DataError as error:
            if not options.skip_bad:
                raise
            skipped.append(str(error))
            continue
        written.setdefault(entry.split or "all", []).append(entry.name)
    if options.target == "plain":
        _write_splits(options.destination, written)
    return written, skipped


@contextlib.contextmanager
def staged_folder(destination: Path) -> Iterator[Path]:
    """A folder beside the destination that takes its place when all has gone well, and is removed where not.

    Raises:
        SinkError: It cannot be made or moved.
    """
    try:
        destination.absolute().parent.mkdir(parents=True, exist_ok=True)
        parent = destination.absolute().parent
        folder = Path(tempfile.mkdtemp(prefix=f".{destination.name[:100]}.", suffix=".part", dir=parent))
    except OSError as error:
        raise SinkError(f"{destination}: cannot be written: {reason(error)}; name another folder") from error
    try:
        yield folder
        folder.chmod(_FOLDER_MODE)
        if destination.is_dir():
            destination.rmdir()  # it is empty, or the next line fails
        folder.rename(destination)
    except OSError as error:
        raise SinkError(f"{destination}: cannot be written: {reason(error)}; name another folder") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def binary_mask(mask: GreyImage) -> NDArray[np.uint8]:
    """Return a mask as 0/255.

    A mask is taken at half of its full scale, so that soft edges and faint labels count as background; one that holds
    0 and 1 alone is taken at 1.

    Args:
        mask: (H, W) uint8 or uint16.

    Raises:
        DataError: The mask is not empty but stays under half of its full scale, so that its meaning is not clear.
    """
    top = int(mask.max(initial=0))
    half = 128 if mask.dtype == np.uint8 else 32768
    if 1 < top < half:
        raise DataError(f"expected a mask of 0/1 or 0 to {2 * half - 1}, found values up to {top}; rescale it first")
    return np.where(mask >= (half if top > 1 else 1), np.uint8(255), np.uint8(0))


def _with_target_split(entry: Entry, target: str) -> Entry:
    """The paper's layout knows train and test alone; what is for validation is trained on there."""
    if target == "plain":
        return entry
    if entry.split is None:
        raise DataError(f"{entry.name}: expected a split, train or test; name split files with --split train=FILE")
    return replace(entry, split="test" if entry.split == "test" else "train")


def _refuse_repeated_names(entries: Sequence[Entry], data: DataSet, target: str) -> None:
    seen: set[tuple[str | None, str]] = set()
    for entry in entries:
        # The paper's layout has a folder a split; in the plain one all images share a folder.
        place = (entry.split if target == "paper" else None, entry.name)
        if place in seen:
            raise DataError(f"{data.root}: {entry.name} would be written twice; expected every image in one split")
        seen.add(place)


def refuse_old_files(destination: Path, source: Path) -> None:
    """Refuse a destination that holds files, or that lies in what is read.

    Raises:
        DataError: It does.
    """
    if destination.resolve().is_relative_to(source.resolve()):
        raise DataError(f"{destination}: expected a folder outside {source}, which is read; choose another")
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise DataError(f"{destination}: expected an empty folder or none, found files; choose another or clear it")


def _read(entry: Entry, missing_mask_is_empty: bool) -> tuple[GreyImage, NDArray[np.uint8]]:
    if entry.image is None:
        raise DataError(f"{entry.name}: expected an image, as the split {entry.split} names one; found none")
    image = read_grey(entry.image)
    if entry.boxes is not None:
        raise DataError(f"{entry.image}: expected a mask, found boxes; train on the data set as it is")
    if entry.mask is None:
        if not missing_mask_is_empty:
            raise DataError(f"{entry.image}: expected a mask, found none; --missing-mask-is-empty takes it as empty")
        return image, np.zeros(image.shape, np.uint8)
    mask = read_mask(entry.mask, image.shape)
    try:
        return image, binary_mask(mask)
    except DataError as error:
        raise DataError(f"{entry.mask}: {error}") from error


def _write_frame(entry: Entry, image: GreyImage, mask: NDArray[np.uint8], options: ConvertOptions) -> None:
    root = options.destination
    if options.target == "plain":
        write_image(root / "images" / f"{entry.name}.png", image)
        write_image(root / "masks" / f"{entry.name}.png", mask)
        return
    if image.dtype != np.uint8:
        raise DataError(f"{entry.image}: expected 8 bits per pixel, as BMP holds no more, found 16; use --to plain")
    folder = root / (entry.split or "train")
    write_image(folder / f"{entry.name}.bmp", image)
    write_image(folder / "gt" / f"{entry.name}_gt.bmp", mask)


def write_image(path: Path, image: GreyImage) -> None:
    """Write an image or a mask in the format of its ending, lossless; make its folder.

    Raises:
        SinkError: It cannot be encoded or written.
    """
    coded, content = cv2.imencode(path.suffix, image)
    if not coded:
        raise SinkError(f"{path}: cannot be encoded as {path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {reason(error)}") from error
    write_whole(path, content.tobytes(), "convert", overwrite=False)


def _write_splits(root: Path, written: dict[str, list[str]]) -> None:
    for split, names in written.items():
        content = "".join(f"{name}\n" for name in names).encode()
        write_whole(root / f"{split}.txt", content, "convert", overwrite=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags to a parser."""
    parser.add_argument("source", type=Path, metavar="DIR", help="folder of the downloaded data set")
    parser.add_argument("destination", type=Path, metavar="OUT", help="folder to write; empty or not there yet")
    parser.add_argument("--to", choices=TARGETS, default="plain", help="layout to write (plain)")
    parser.add_argument("--from", dest="layout", choices=LAYOUTS, help="layout to read (recognised)")
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="split file to use instead of the data set's own; may be repeated",
    )
    parser.add_argument("--missing-mask-is-empty", action="store_true", help="a frame without mask has no target")
    parser.add_argument("--skip-bad", action="store_true", help="leave out and name what cannot be converted")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; return its exit code.

    Raises:
        LpnetError: As :func:`convert`, and SettingsError for a malformed ``--split``.
    """
    done = convert(
        ConvertOptions(
            source=args.source,
            destination=args.destination,
            target=args.to,
            layout=args.layout,
            splits=_parse_splits(args.split),
            missing_mask_is_empty=args.missing_mask_is_empty,
            skip_bad=args.skip_bad,
        )
    )
    for line in done.skipped:
        print(f"left out: {printable(line)}", file=sys.stderr)
    frames = ", ".join(f"{split} {count}" for split, count in done.frames.items())
    print(f"{args.destination}: {done.layout} to {args.to}, frames: {frames or 'none'}; left out: {len(done.skipped)}")
    return 0


def _parse_splits(flags: Sequence[str]) -> dict[str, Path]:
    splits: dict[str, Path] = {}
    for flag in flags:
        name, equals, path = flag.partition("=")
        if not (name and equals and path) or Path(name).name != name:
            raise SettingsError(f"--split: expected NAME=FILE, found {flag}")
        splits[name] = Path(path)
    return splits
