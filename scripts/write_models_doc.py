"""Write docs/models.md from the cards of all packaged models; run it after one of them has changed.

scripts/write_models_doc.py              # the page
scripts/write_models_doc.py --data DIR   # and first docs/models/*.png: their worst mistakes in DIR/irvideo's clips

The pictures are of clips that no packaged model was trained on, and that are in the public domain (CC0).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from lpnet_rt.detector import Detector
from lpnet_rt.files import write_whole
from lpnet_rt.finetuning.pictures import png_of_picture
from lpnet_rt.finetuning.report import FAILURES_TEXT, failures
from lpnet_rt.models import find_model, packaged_models
from lpnet_rt.models.markdown import Picture, card_body
from lpnet_rt.settings import DetectorSettings
from lpnet_rt.training.data.clips import clip_frames, clip_is_held_back
from lpnet_rt.training.data.frames import LabelledFrame
from lpnet_rt.training.data.layouts import open_data_set
from lpnet_rt.training.tasks.judging import judge

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURES = DOCS / "models"

_HELD_BACK = (1, 5)
_STRIDE = 24
_SOURCE = "clips held back from training, CC0: Svanström et al., Data in Brief 2021"
_HEAD = """# Models

Made by `scripts/write_models_doc.py` from the cards that the packaged models carry; do not edit. A card as JSON:
`lpnet-rt info --model NAME --card json`; as Markdown with the YAML front matter of model hubs: `--card markdown`.
Models of one's own carry such cards, too: [own-camera.md](own-camera.md), [export.md](export.md).
"""


def page() -> str:
    """Text of docs/models.md."""
    return "\n".join([_HEAD, *(_section(name) for name in packaged_models())])


def write_pictures(irvideo: Path) -> None:
    """Draw the worst mistakes of every packaged model at its threshold."""
    frames = list(_held_back(irvideo))
    for name in packaged_models():
        detector = Detector.load(DetectorSettings(model=name))
        drawn = failures(judge(detector.score_map, frames, name), detector.threshold)
        if drawn is not None:
            PICTURES.mkdir(exist_ok=True)
            write_whole(_picture(name), png_of_picture(drawn), "picture")


def main() -> None:
    """Write the page, and the pictures where there are data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with irvideo/")
    data = parser.parse_args().data
    if data is not None:
        write_pictures(data / "irvideo")
    (DOCS / "models.md").write_text(page(), encoding="utf-8")


def _section(name: str) -> str:
    card, picture = find_model(name).card, _picture(name)
    pictures = [Picture(str(picture.relative_to(DOCS)), f"{FAILURES_TEXT}; {_SOURCE}")] if picture.is_file() else []
    return f"## {name}\n\n{card_body(card, name, pictures, level=3)}"


def _picture(name: str) -> Path:
    """The picture of a model: named after its weights, so that none is shown beside a model that is not its own."""
    return PICTURES / f"{name}-{find_model(name).card.weights_sha256[:8]}.png"


def _held_back(irvideo: Path) -> Iterator[LabelledFrame]:
    for clip in open_data_set(irvideo, "clips").entries:
        if clip_is_held_back(clip.name, *_HELD_BACK):
            yield from clip_frames(clip, _STRIDE)


if __name__ == "__main__":
    main()
