"""The verb ``data check``: what is wrong with a data set, and what is in it."""

from __future__ import annotations

import argparse
import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lpnet_rt.errors import DataError, SinkError
from lpnet_rt.files import refuse_existing, write_whole
from lpnet_rt.frames import GreyImage
from lpnet_rt.text import printable
from lpnet_rt.training.data.clips import clip_frames
from lpnet_rt.training.data.data_set import DataSet, Entry, read_truth
from lpnet_rt.training.data.files import IMAGE_SUFFIXES, read_grey
from lpnet_rt.training.data.frames import Boxes, Truth
from lpnet_rt.training.data.layouts import LAYOUTS, open_data_set
from lpnet_rt.training.evaluation.components import BoolMask, Components, components

__all__ = ["DataReport", "Problem", "SplitStatistics", "Spread", "add_arguments", "check", "run", "target_contrast"]

_RING_PX = 8
_GUARD_PX = 2
_SHOWN_PROBLEMS = 20
_ROWS = (
    ("images", "images"),
    ("without target", "images_without_target"),
    ("targets", "targets"),
    ("targets per image", "targets_per_image"),
    ("target area, px", "area_px"),
    ("target contrast", "contrast"),
    ("width, px", "width_px"),
    ("height, px", "height_px"),
)
_MEASURES = ("targets_per_image", "area_px", "width_px", "height_px", "contrast")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: ``missing_image``, ``missing_mask``, ``stray_mask``, ``unreadable``, ``size``, ``mask_values``,
            ``box_outside``, ``two_splits`` (one image named by several splits) or ``duplicate`` (equal content under
            other names).
        split: Split it was found in, or None.
        name: Image or file concerned.
        detail: One line that says what was expected and found.
    """

    kind: str
    split: str | None
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, middle and greatest of some values; all None where there are none."""

    least: float | None
    median: float | None
    greatest: float | None


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """What one split holds.

    Attributes:
        split: Its name, ``all`` where the data set has no splits.
        images: Images that could be read with their masks.
        images_without_target: Those whose mask is empty.
        targets: 8-connected components of the masks, over half of full scale.
        targets_per_image: Over images with targets.
        area_px: Pixels of a target.
        width_px: Widths of the images.
        height_px: Heights of the images.
        contrast: (mean of a target - mean around it) / standard deviation around it.
    """

    split: str
    images: int
    images_without_target: int
    targets: int
    targets_per_image: Spread
    area_px: Spread
    width_px: Spread
    height_px: Spread
    contrast: Spread


@dataclass(frozen=True, slots=True)
class DataReport:
    """What ``data check`` found.

    Attributes:
        root: Folder of the data set.
        layout: Key of its layout.
        splits: One per split.
        problems: Everything that is wrong.
    """

    root: str
    layout: str
    splits: tuple[SplitStatistics, ...]
    problems: tuple[Problem, ...]


# Values of one split while it is read, by the names that they have in SplitStatistics.
_Gathered = dict[str, list[float]]


def check(root: Path, layout: str | None = None) -> DataReport:
    """Read every image and mask of a data set, or every labelled frame of its clips, and report.

    Args:
        root: Its folder.
        layout: Key of its layout; None recognises it.

    Raises:
        DataError: The folder holds no data set in a known layout, nothing, or a split file cannot be read.
    """
    data = open_data_set(root, layout)
    if not data.entries:
        raise DataError(f"{root}: expected images in the layout {data.layout}, found none")
    problems = [*_stray_problems(data), *_two_split_problems(data)]
    gathered: dict[str, _Gathered] = {}
    contents: dict[bytes, list[Entry]] = {}
    console = Console(stderr=True)
    for entry in track(data.entries, "check", console=console, disable=not console.is_terminal, transient=True):
        into = gathered.setdefault(entry.split or "all", {name: [] for name in _MEASURES})
        problems += _inspect_clip(entry, into) if data.clips else _inspect(entry, into, contents)
    problems += _duplicate_problems(contents)
    splits = tuple(_statistics(split, values) for split, values in gathered.items())
    return DataReport(str(root), data.layout, splits, tuple(problems))


def target_contrast(image: GreyImage, found: Components, index: int) -> float | None:
    """Return how far a target stands out: (its mean - mean around it) / standard deviation around it.

    Around it: its box grown by 8 pixels, without its box grown by 2 and without any other target.

    Args:
        image: (H, W) raw counts.
        found: Components of the mask.
        index: Which of them.

    Returns:
        The contrast, negative for a target darker than what surrounds it; None where nothing is around it.
    """
    x, y, width, height = (int(v) for v in found.box_xywh[index])
    left, top = max(0, x - _RING_PX), max(0, y - _RING_PX)
    window = (slice(top, y + height + _RING_PX), slice(left, x + width + _RING_PX))
    around: BoolMask = found.labels[window] == 0
    guard_left, guard_top = max(0, x - _GUARD_PX) - left, max(0, y - _GUARD_PX) - top
    around[guard_top : y + height + _GUARD_PX - top, guard_left : x + width + _GUARD_PX - left] = False
    if not around.any():
        return None
    counts = image[window].astype(np.float64)
    target = counts[found.labels[window] == index + 1]
    # A quantised, noiseless surround has no spread of its own; half a count is the least that can be told apart.
    return float((target.mean() - counts[around].mean()) / max(float(counts[around].std()), 0.5))


def _stray_problems(data: DataSet) -> list[Problem]:
    names = [entry.name for entry in data.entries if entry.mask is None]
    problems = []
    for path in data.stray_masks:
        near = difflib.get_close_matches(path.stem, names, n=1, cutoff=0.6)
        hint = f"; {near[0]} has no mask: is it misnamed?" if near else ""
        detail = f"expected an image for every mask, found none for {path.name}{hint}"
        problems.append(Problem("stray_mask", None, path.name, detail))
    return problems


def _two_split_problems(data: DataSet) -> list[Problem]:
    splits: dict[Path, list[str]] = {}
    for entry in data.entries:
        if entry.image is not None and entry.split is not None:
            splits.setdefault(entry.image, []).append(entry.split)
    return [
        Problem("two_splits", None, path.stem, f"expected every image in one split, found it in {', '.join(named)}")
        for path, named in splits.items()
        if len(named) > 1
    ]


def _inspect(entry: Entry, into: _Gathered, contents: dict[bytes, list[Entry]]) -> list[Problem]:
    """Read one frame, add it to the statistics and return what is wrong with it."""
    if entry.image is None:
        detail = "expected an image, as the split names one, found none"
        return [Problem("missing_image", entry.split, entry.name, detail)]
    try:
        image = read_grey(entry.image)
    except DataError as error:
        return [Problem("unreadable", entry.split, entry.name, str(error))]
    contents.setdefault(_digest(image), []).append(entry)
    if entry.boxes is not None:
        return _inspect_boxes(entry, image, into)
    if entry.mask is None:
        return [Problem("missing_mask", entry.split, entry.name, f"expected a mask for {entry.image.name}, found none")]
    try:
        mask = read_grey(entry.mask)
    except DataError as error:
        return [Problem("unreadable", entry.split, entry.name, str(error))]
    if mask.shape != image.shape:
        sizes = f"{image.shape[1]}x{image.shape[0]}, found {mask.shape[1]}x{mask.shape[0]}"
        return [Problem("size", entry.split, entry.name, f"expected a mask of the image's size {sizes}")]
    _gather(image, mask, into)
    values: NDArray[np.generic] = np.unique(mask)
    if np.isin(values, (0, 255)).all():
        return []
    some = ", ".join(str(v) for v in values[:6]) + (", ..." if len(values) > 6 else "")
    return [Problem("mask_values", entry.split, entry.name, f"expected 0 and 255 alone, found {some}")]


def _inspect_clip(entry: Entry, into: _Gathered) -> list[Problem]:
    """Read the labelled frames of a clip."""
    problems = []
    try:
        for frame in clip_frames(entry, stride=1):
            problems += _outside(entry, frame.image, frame.truth.boxes_xywh, f"frame {frame.index}: ")
            _gather(frame.image, _targets(frame.truth), into)
    except DataError as error:
        problems.append(Problem("unreadable", entry.split, entry.name, str(error)))
    return problems


def _inspect_boxes(entry: Entry, image: GreyImage, into: _Gathered) -> list[Problem]:
    """Read the boxes of a frame, and its mask if it has one, too."""
    try:
        truth = read_truth(entry, image)
    except DataError as error:
        return [Problem("unreadable", entry.split, entry.name, str(error))]
    _gather(image, _targets(truth), into)
    return _outside(entry, image, truth.boxes_xywh)


def _targets(truth: Truth) -> NDArray[np.uint8]:
    """A mask of 0 and 255, without what is ignored."""
    return np.where(truth.mask == 255, np.uint8(255), np.uint8(0))


def _outside(entry: Entry, image: GreyImage, boxes_xywh: Boxes, where: str = "") -> list[Problem]:
    height, width = image.shape
    x, y, w, h = boxes_xywh.T
    count = int(((x + w <= 0) | (y + h <= 0) | (x >= width) | (y >= height)).sum())
    detail = f"{where}expected boxes inside of {width}x{height} pixels, found {count} outside"
    return [Problem("box_outside", entry.split, entry.name, detail)] if count else []


def _gather(image: GreyImage, mask: GreyImage, into: _Gathered) -> None:
    top = int(mask.max(initial=0))
    half = 128 if mask.dtype == np.uint8 else 32768
    # Masks of 0 and 1, or of instance numbers, are counted too: that they are not 0/255 is reported beside.
    found = components(np.asarray(mask >= (half if top >= half else 1)))
    into["height_px"].append(image.shape[0])
    into["width_px"].append(image.shape[1])
    if len(found):
        into["targets_per_image"].append(len(found))
        into["area_px"] += [float(area) for area in found.area_px]
        contrasts = (target_contrast(image, found, i) for i in range(len(found)))
        into["contrast"] += [value for value in contrasts if value is not None]


def _digest(image: GreyImage) -> bytes:
    """Hash of the decoded pixels, so that the same picture in another file format is found too."""
    digest = hashlib.sha256(f"{image.shape} {image.dtype}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _duplicate_problems(contents: dict[bytes, list[Entry]]) -> list[Problem]:
    problems = []
    for entries in contents.values():
        files = {entry.image: entry for entry in entries}
        if len(files) < 2:
            continue
        first, *others = files.values()
        across = len({entry.split for entry in files.values()}) > 1
        where = "across splits" if across else "within the split"
        named = ", ".join(f"{entry.name} ({entry.split or 'all'})" for entry in others)
        problems.append(Problem("duplicate", first.split, first.name, f"same pixels {where} as {named}"))
    return problems


def _statistics(split: str, values: _Gathered) -> SplitStatistics:
    images, targets = len(values["width_px"]), len(values["area_px"])
    empty = images - len(values["targets_per_image"])
    return SplitStatistics(split, images, empty, targets, *(_spread(values[name]) for name in _MEASURES))


def _spread(values: list[float]) -> Spread:
    if not values:
        return Spread(None, None, None)
    return Spread(float(min(values)), float(np.median(values)), float(max(values)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags to a parser."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--from", dest="layout", choices=LAYOUTS, help="its layout (recognised)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the report to this file")
    parser.add_argument("--overwrite", action="store_true", help="replace the file that --json names")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; return 0, or DataError's exit code where the data set has problems.

    Raises:
        LpnetError: As :func:`check`, and SinkError where the report cannot be written.
    """
    if args.json:
        refuse_existing(args.json, "--json", args.overwrite)
        _refuse_files_of_the_set(args.json, args.folder)
    report = check(args.folder, args.layout)
    if args.json:
        content = msgspec.json.format(msgspec.json.encode(report), indent=2)
        write_whole(args.json, content, "--json", overwrite=args.overwrite)
    _print(report, Console())
    return DataError.exit_code if report.problems else 0


def _refuse_files_of_the_set(out: Path, root: Path) -> None:
    """Images, masks and split files are never replaced by a report."""
    inside = out.resolve().is_relative_to(root.resolve())
    if inside and out.suffix.lower() in (*IMAGE_SUFFIXES, ".txt"):
        raise SinkError(f"--json {out}: expected a file of its own, found a name among the data; give another name")


def _print(report: DataReport, console: Console) -> None:
    console.print(f"{printable(report.root)}: layout {report.layout}", soft_wrap=True, markup=False)
    table = Table("", *(split.split for split in report.splits))
    for title, name in _ROWS:
        values = (getattr(split, name) for split in report.splits)
        table.add_row(title, *(_show(value) if isinstance(value, Spread) else str(value) for value in values))
    console.print(table)
    console.print("Three numbers are least / median / greatest.", markup=False)
    for problem in report.problems[:_SHOWN_PROBLEMS]:
        where = f"{problem.split}/{problem.name}" if problem.split else problem.name
        console.print(
            printable(f"{problem.kind}: {where}: {problem.detail}"), soft_wrap=True, markup=False, highlight=False
        )
    if len(report.problems) > _SHOWN_PROBLEMS:
        console.print(f"... and {len(report.problems) - _SHOWN_PROBLEMS} more; --json writes them all", markup=False)
    console.print(f"problems: {len(report.problems)}", markup=False)


def _show(spread: Spread) -> str:
    if spread.median is None:
        return "-"
    return " / ".join(f"{value:.4g}" for value in (spread.least, spread.median, spread.greatest) if value is not None)
