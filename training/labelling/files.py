"""The folder that ``label`` writes: pictures to look at, the deep originals, and the proposals as a COCO file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from lpnet_rt.files import write_whole
from lpnet_rt.frames import Frame
from lpnet_rt.training.data.convert import write_image
from lpnet_rt.training.labelling.proposals import Proposal, ProposedFrame
from lpnet_rt.view.display_stretch import display_stretch

__all__ = ["LabelFolder"]

_BOX_MARGIN_PX = 2


@dataclass(slots=True)
class LabelFolder:
    """Collects frames, and writes what a labelling tool takes.

    ``pictures/NAME.png`` is the 8-bit picture of ``originals/NAME.png``, which holds the counts unchanged;
    ``labels.json`` is COCO, and ``frames.csv`` says which frame of which source each is.

    Attributes:
        root: The folder.
        segments: Whether proposals have the outlines of their bodies beside boxes.
    """

    root: Path
    segments: bool = False
    _images: list[dict[str, object]] = field(default_factory=list)
    _annotations: list[dict[str, object]] = field(default_factory=list)
    _rows: list[Sequence[object]] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, int]:
        """Frames and proposals so far."""
        return len(self._images), len(self._annotations)

    def add(self, frame: Frame, proposed: ProposedFrame, recording: str, source: str) -> None:
        """Write a frame's picture and its original.

        Args:
            frame: The frame.
            proposed: What is proposed for it.
            recording: Name of its recording.
            source: What it was read from.

        Raises:
            SinkError: A file cannot be written.
        """
        name = f"{recording}_{frame.index:06d}"
        write_image(self.root / "originals" / f"{name}.png", frame.image)
        write_image(self.root / "pictures" / f"{name}.png", display_stretch(frame.image))
        height, width = frame.size_hw
        number = len(self._images) + 1
        image = {"id": number, "file_name": f"{name}.png", "width": width, "height": height}
        self._images.append({**image, "source": recording, "frame": frame.index})
        for proposal in proposed.proposals:
            self._annotations.append(self._annotation(proposal, number, (height, width)))
        self._rows.append((name, source, frame.file or "", frame.index, round(proposed.uncertainty, 3)))

    def finish(self) -> None:
        """Write the COCO file and the list of frames.

        Raises:
            SinkError: A file cannot be written.
        """
        tree = {
            "info": {"description": "proposals of lpnet-rt; correct them and import the result"},
            "categories": [{"id": 1, "name": "target"}],
            "images": self._images,
            "annotations": self._annotations,
        }
        content = msgspec.json.format(msgspec.json.encode(tree), indent=1)
        write_whole(self.root / "labels.json", content, "label", overwrite=False)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("name", "source", "file", "frame", "uncertainty"))
        writer.writerows(self._rows)
        write_whole(self.root / "frames.csv", text.getvalue().encode(), "label", overwrite=False)

    def _annotation(self, proposal: Proposal, image_id: int, size_hw: tuple[int, int]) -> dict[str, object]:
        """A COCO annotation; its box is loose, as boxes that are drawn by hand are."""
        x1, y1 = (max(0, value - _BOX_MARGIN_PX) for value in proposal.box_xyxy[:2])
        x2 = min(size_hw[1], proposal.box_xyxy[2] + _BOX_MARGIN_PX)
        y2 = min(size_hw[0], proposal.box_xyxy[3] + _BOX_MARGIN_PX)
        outline = [round(float(value), 2) for value in proposal.outline_xy.ravel()]
        return {
            "id": len(self._annotations) + 1,
            "image_id": image_id,
            "category_id": 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "segmentation": [outline] if self.segments else [],
            "iscrowd": 0,
            "score": round(proposal.score, 4),
            "track_id": proposal.track_id,
        }
