"""A model's card as Markdown, in the form that model hubs show: YAML front matter, then text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpnet_rt.models.card import ModelCard
from lpnet_rt.text import printable

__all__ = ["Picture", "card_body", "card_page"]

_TAGS = ("infrared", "thermal", "small-target-detection", "real-time", "onnx")
_USE = (
    "Finds small targets (drones, birds, aircraft) in frames of a thermal infrared camera, of any size and of 8 to 16 "
    "bits, one frame at a time; tracks over frames are made from its detections. It reports where something stands out "
    "like a small target, not what it is. Before anything depends on it, look at its figures and at how often it fires "
    "on an empty scene of your own; it was not made for decisions without a person."
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture beside a card.

    Attributes:
        path: Relative to the card.
        text: What it shows.
    """

    path: str
    text: str


def card_page(card: ModelCard, model: str, pictures: Sequence[Picture] = ()) -> str:
    """Return the whole card: front matter and body.

    Args:
        card: Of the model.
        model: What ``--model`` takes: a packaged name, or a file's name.
        pictures: Of known failures.
    """
    return "\n".join(("---", *_front_matter(card), "---", "", f"# {printable(card.name)}", "", "")) + card_body(
        card, model, pictures
    )


def card_body(card: ModelCard, model: str, pictures: Sequence[Picture] = (), level: int = 2) -> str:
    """Return the card's text below its name.

    Args:
        card: Of the model.
        model: What ``--model`` takes.
        pictures: Of known failures.
        level: Of its headings.
    """
    sections = (
        ("Intended use", [_USE, *([printable(card.notes)] if card.notes else [])]),
        ("Figures", ["\n".join(_figures(card))]),
        ("Data", ["\n".join(_listed([*_base(card), *card.trained_on]))]),
        ("Licence", ["\n".join(_listed([f"Model: {card.licence or 'not stated'}", *card.licences]))]),
        ("Limits and known failures", [*_limits(card), *(f"![{one.text}]({one.path})" for one in pictures)]),
        ("How to run it", ["\n".join(_commands(model)), "\n".join(_technical(card))]),
    )
    parts = [part for title, texts in sections for part in (f"{'#' * level} {title}", *filter(None, texts))]
    return "\n\n".join(parts) + "\n"


def _front_matter(card: ModelCard) -> Iterator[str]:
    """YAML; strings are quoted as in JSON, which YAML includes."""
    if card.licence == "Apache-2.0":
        yield "license: apache-2.0"
    else:
        yield "license: other"
        yield f"license_name: {_quoted(card.licence or 'not stated')}"
    yield "library_name: lpnet-rt"
    yield "pipeline_tag: object-detection"
    yield "tags:"
    yield from (f"- {tag}" for tag in _TAGS)
    yield "model-index:"
    yield f"- name: {_quoted(card.name)}"
    groups = _grouped(card)
    yield "  results:" + ("" if groups else " []")
    for data, figures in groups.items():
        yield "  - task:"
        yield "      type: object-detection"
        yield "    dataset:"
        yield f"      name: {_quoted(data)}"
        yield f"      type: {_quoted(_key(data))}"
        yield "    metrics:"
        for name, value in figures:
            yield f"    - type: {_quoted(_key(name))}"
            yield f"      name: {_quoted(name)}"
            yield f"      value: {value:g}"


def _grouped(card: ModelCard) -> dict[str, list[tuple[str, float]]]:
    """Figures by data set; a card names them ``DATA: FIGURE``."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for key, value in card.measured.items():
        data, separator, name = key.rpartition(": ")
        groups.setdefault(data if separator else "validation", []).append((name, value))
    return groups


def _figures(card: ModelCard) -> Iterator[str]:
    groups = _grouped(card)
    if not groups:
        yield "None are stated."
        return
    yield "| on | figure | value |"
    yield "| --- | --- | --- |"
    for data, figures in groups.items():
        for name, value in figures:
            yield f"| {_cell(data)} | {_cell(name)} | {value:g} |"


def _base(card: ModelCard) -> list[str]:
    return [f"Fine-tuned from {card.base}"] if card.base else []


def _limits(card: ModelCard) -> list[str]:
    return ["\n".join(_listed(card.limits))] if card.limits else ["None are stated."]


def _listed(lines: Sequence[str]) -> list[str]:
    return [f"- {printable(line)}" for line in lines]


def _commands(model: str) -> list[str]:
    return ["```", f"lpnet-rt run --model {printable(model)} --source video.mp4 --show", "```"]


def _technical(card: ModelCard) -> Iterator[str]:
    yield "| | |"
    yield "| --- | --- |"
    rows = (
        ("network", f"{card.network}, {card.parameters:,} parameters"),
        ("file", f"{card.built.format}, {card.built.precision}"),
        ("threshold", f"{card.threshold:g}"),
        ("weights, SHA-256", card.weights_sha256[:16]),
        ("file, SHA-256", card.file_sha256[:16]),
    )
    yield from (f"| {name} | {_cell(value)} |" for name, value in rows)


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")


def _key(text: str) -> str:
    """A name in lower case, with hyphens for all but letters and digits."""
    plain = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return "-".join(plain.split())


def _quoted(text: str) -> str:
    return json.dumps(printable(text), ensure_ascii=False)
