"""Checks of a model in OpenVINO's own format before OpenVINO reads it: see :mod:`lpnet_rt.models.onnx_check`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from xml.parsers import expat

from lpnet_rt.models.values import ITEM_BYTES, RefusedError, all_finite

__all__ = ["openvino_problem"]

_MAX_ELEMENTS = 2_000_000
_MAX_DEPTH = 32
_MAX_DIGITS = 18


def openvino_problem(content: bytes, weights: bytes) -> str | None:
    """Return why a model must not reach OpenVINO, or None.

    Args:
        content: Content of the .xml.
        weights: Content of the .bin.

    Returns:
        None if the graph has no cycle, control flow or operators of other libraries, and every constant lies in the
        weights and is finite; else what was found instead, to follow "expected ..., found" in a message.
    """
    reader = _Reader()
    try:
        reader.parse(content)
        reader.graph.check(weights)
    except expat.ExpatError as error:
        return f"a damaged file ({str(error)[:80]})"
    except (RefusedError, UnicodeDecodeError) as error:
        return str(error)[:160]
    return None


@dataclass(slots=True)
class _Graph:
    """Layer ids, the inputs of each layer, and the location of constants."""

    layers: set[int] = field(default_factory=set)
    feeds: dict[int, set[int]] = field(default_factory=dict)
    constants: list[dict[str, str]] = field(default_factory=list)

    def check(self, weights: bytes) -> None:
        if not self.layers:
            raise RefusedError("no layers")
        for to, sources in self.feeds.items():
            if to not in self.layers or not sources <= self.layers:
                raise RefusedError("an edge to a layer that is not there")
        try:
            TopologicalSorter(self.feeds).prepare()
        except CycleError as error:
            raise RefusedError("a cycle in its graph") from error
        view = memoryview(weights)
        for constant in self.constants:
            _check_constant(constant, view)


class _Reader:
    """Parses the .xml as a stream, and keeps only what is checked."""

    def __init__(self) -> None:
        self.graph = _Graph()
        self._path: list[str] = []
        self._elements = 0
        self._type = ""

    def parse(self, content: bytes) -> None:
        content.decode("utf-8")
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.XmlDeclHandler = _check_encoding
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.Parse(content, True)

    def _start(self, name: str, values: dict[str, str]) -> None:
        self._elements += 1
        self._path.append(name)
        if self._elements > _MAX_ELEMENTS or len(self._path) > _MAX_DEPTH:
            raise RefusedError(f"over {_MAX_ELEMENTS:,} elements, or over {_MAX_DEPTH} inside one another")
        if self._path[1:2] == ["rt_info"]:
            return
        if name == "body" or name.endswith("_body"):
            raise RefusedError("control flow (a graph inside a layer); export it without")
        if self._path == ["net", "layers", "layer"]:
            self._add_layer(values)
        elif self._path == ["net", "edges", "edge"]:
            source, to = _number(values.get("from-layer")), _number(values.get("to-layer"))
            self.graph.feeds.setdefault(to, set()).add(source)
        elif self._path == ["net", "layers", "layer", "data"] and self._type == "Const":
            self.graph.constants.append(values)
        elif name in ("layer", "edge"):
            raise RefusedError(f"a {name} in another place")

    def _add_layer(self, values: dict[str, str]) -> None:
        number, self._type = _number(values.get("id")), values.get("type", "")
        if number in self.graph.layers:
            raise RefusedError(f"two layers {number}")
        self.graph.layers.add(number)
        version = values.get("version", "")
        if not (version.startswith("opset") and version[5:].isdigit()):
            raise RefusedError(f"operators of {version[:60]!r}; export it with OpenVINO's own only")

    def _end(self, name: str) -> None:
        self._path.pop()


def _refuse_doctype(*_: object) -> None:
    raise RefusedError("a document type or entities")


def _check_encoding(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() != "utf-8":
        raise RefusedError(f"the encoding {encoding[:40]!r}; write it in UTF-8")


def _number(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise RefusedError(f"{(text or 'nothing')[:40]!r} where a number belongs")
    return int(text)


def _check_constant(values: dict[str, str], weights: memoryview) -> None:
    """Check that a constant lies in the weights, matches its shape and is finite."""
    kind = values.get("element_type", "")
    if kind not in ITEM_BYTES:
        raise RefusedError(f"a constant of type {kind[:40]!r}")
    offset, size = _number(values.get("offset")), _number(values.get("size"))
    shape = [_number(side.strip()) for side in values.get("shape", "").split(",") if side.strip()]
    if offset + size > len(weights) or size != math.prod(shape) * ITEM_BYTES[kind]:
        raise RefusedError("a constant that does not fit its shape or lies beyond the end of the .bin")
    if not all_finite(weights[offset : offset + size], kind):
        raise RefusedError("NaN or infinity in a constant")
