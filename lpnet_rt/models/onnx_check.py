"""Checks of an ONNX file before an engine reads it.

Engines trust what they parse: OpenVINO runs out of memory on a cyclic graph, looks for external data in the working
directory, and computes with weights that are NaN. The file is parsed here once, within limits, without an engine and
without the package onnx.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lpnet_rt.models.protobuf import Kind, ProtobufError, Reader, varint
from lpnet_rt.models.values import ITEM_BYTES, RefusedError, all_finite

__all__ = ["ATTRIBUTE", "GRAPH", "MODEL", "NODE", "TENSOR", "onnx_problem"]

_MAX_FIELDS = 1_000_000
_MAX_NODES = 20_000
_DOMAINS = {b"", b"ai.onnx"}

# Fields by their number in onnx.proto; only those that are checked.
MODEL = {
    7: ("graph", Kind.BYTES),
    8: ("opset_import", Kind.REPEATED_BYTES),
    20: ("training_info", Kind.REPEATED_BYTES),
    25: ("functions", Kind.REPEATED_BYTES),
}
OPSET = {1: ("domain", Kind.BYTES)}
GRAPH = {
    1: ("node", Kind.REPEATED_BYTES),
    5: ("initializer", Kind.REPEATED_BYTES),
    11: ("input", Kind.REPEATED_BYTES),
    12: ("output", Kind.REPEATED_BYTES),
    15: ("sparse_initializer", Kind.REPEATED_BYTES),
}
VALUE_INFO = {1: ("name", Kind.BYTES)}
NODE = {
    1: ("input", Kind.REPEATED_BYTES),
    2: ("output", Kind.REPEATED_BYTES),
    4: ("op_type", Kind.BYTES),
    5: ("attribute", Kind.REPEATED_BYTES),
    7: ("domain", Kind.BYTES),
}
ATTRIBUTE = {
    1: ("name", Kind.BYTES),
    5: ("t", Kind.BYTES),
    6: ("g", Kind.BYTES),
    10: ("tensors", Kind.REPEATED_BYTES),
    11: ("graphs", Kind.REPEATED_BYTES),
    22: ("sparse_tensor", Kind.BYTES),
    23: ("sparse_tensors", Kind.REPEATED_BYTES),
}
TENSOR = {
    1: ("dims", Kind.REPEATED_NUMBER),
    2: ("data_type", Kind.NUMBER),
    3: ("segment", Kind.BYTES),
    4: ("float_data", Kind.REPEATED_FLOAT),
    5: ("int32_data", Kind.REPEATED_NUMBER),
    6: ("string_data", Kind.REPEATED_BYTES),
    7: ("int64_data", Kind.REPEATED_NUMBER),
    8: ("name", Kind.BYTES),
    9: ("raw_data", Kind.BYTES),
    10: ("double_data", Kind.REPEATED_DOUBLE),
    11: ("uint64_data", Kind.REPEATED_NUMBER),
    13: ("external_data", Kind.REPEATED_BYTES),
    14: ("data_location", Kind.NUMBER),
}

# TensorProto.DataType; only the types that networks of this project use.
_TYPES = {
    1: "f32",
    2: "u8",
    3: "i8",
    4: "u16",
    5: "i16",
    6: "i32",
    7: "i64",
    9: "boolean",
    10: "f16",
    11: "f64",
    12: "u32",
    13: "u64",
    16: "bf16",
}
# The field that holds values outside raw_data, for types with one entry per value.
_TYPED = {"f32": "float_data", "f64": "double_data", "i32": "int32_data", "i64": "int64_data"}

_Fields = dict[str, list[int | memoryview]]


def onnx_problem(content: bytes) -> str | None:
    """Return why a file must not reach an engine, or None.

    Args:
        content: The file's bytes.

    Returns:
        None if the file is a graph without cycles, external data, control flow or operators of other domains, and every
        weight is finite; else what was found instead, to follow "expected ..., found" in a message.
    """
    try:
        _check_model(memoryview(content), Reader(_MAX_FIELDS))
    except ProtobufError as error:
        return f"a damaged or ambiguous file ({error})"
    except RefusedError as error:
        return str(error)
    return None


def _read(reader: Reader, message: memoryview, table: dict[int, tuple[str, Kind]]) -> _Fields:
    """Return a message's fields by name."""
    found: _Fields = {name: [] for name, _ in table.values()}
    for number, value in reader.fields(message, {number: kind for number, (_, kind) in table.items()}):
        found[table[number][0]].append(value)
    return found


def _messages(values: Sequence[int | memoryview]) -> list[memoryview]:
    return [value for value in values if isinstance(value, memoryview)]


def _names(values: Sequence[int | memoryview]) -> list[bytes]:
    return [bytes(value) for value in _messages(values)]


def _check_model(content: memoryview, reader: Reader) -> None:
    model = _read(reader, content, MODEL)
    if not model["graph"]:
        raise RefusedError("no graph")
    if model["functions"] or model["training_info"]:
        raise RefusedError("one with functions or training of its own; inline them")
    for opset in _messages(model["opset_import"]):
        _check_domain(_names(_read(reader, opset, OPSET)["domain"]))
    _check_graph(_messages(model["graph"])[0], reader)


def _check_domain(domain: list[bytes]) -> None:
    if domain and domain[0] not in _DOMAINS:
        raise RefusedError(f"operators of the domain {_shown(domain[0])}; export it with ai.onnx's only")


def _check_graph(content: memoryview, reader: Reader) -> None:
    """Check that every input of a node is defined before it and nothing is defined twice: then there is no cycle."""
    graph = _read(reader, content, GRAPH)
    if len(graph["node"]) > _MAX_NODES or len(graph["initializer"]) > _MAX_NODES:
        raise RefusedError(f"over {_MAX_NODES:,} nodes or weights")
    if graph["sparse_initializer"]:
        raise RefusedError("sparse weights; save them as plain ones")
    made: set[bytes] = set()
    for tensor in _messages(graph["initializer"]):
        name = _check_tensor(tensor, reader)
        if name in made or not name:
            raise RefusedError(f"the weight {_shown(name)} twice or without a name")
        made.add(name)
    # Older files also list their weights as inputs.
    inputs = [_name_of(value, reader) for value in _messages(graph["input"])]
    if len(set(inputs)) != len(inputs):
        raise RefusedError("two inputs of one name")
    made.update(inputs)
    for node in _messages(graph["node"]):
        _check_node(node, reader, made)
    for value in _messages(graph["output"]):
        name = _name_of(value, reader)
        if name not in made:
            raise RefusedError(f"an output {_shown(name)} that nothing makes")


def _name_of(value: memoryview, reader: Reader) -> bytes:
    return b"".join(_names(_read(reader, value, VALUE_INFO)["name"]))


def _check_node(content: memoryview, reader: Reader, made: set[bytes]) -> None:
    """Check one node, and add its outputs to ``made``."""
    node = _read(reader, content, NODE)
    _check_domain(_names(node["domain"]))
    for name in _names(node["input"]):
        if name and name not in made:
            raise RefusedError(f"a cycle or a gap: {_shown(name)} is used before it is made")
    for name in _names(node["output"]):
        if name in made:
            raise RefusedError(f"{_shown(name)}, made twice")
        if name:
            made.add(name)
    for attribute in _messages(node["attribute"]):
        values = _read(reader, attribute, ATTRIBUTE)
        if values["g"] or values["graphs"]:
            raise RefusedError("control flow (a graph inside a node); export it without")
        if values["sparse_tensor"] or values["sparse_tensors"]:
            raise RefusedError("sparse values; save them as plain ones")
        for tensor in _messages([*values["t"], *values["tensors"]]):
            _check_tensor(tensor, reader)


def _check_tensor(content: memoryview, reader: Reader) -> bytes:
    """Check a tensor's size and values; return its name."""
    tensor = _read(reader, content, TENSOR)
    name = b"".join(_names(tensor["name"]))
    if tensor["external_data"] or tensor["data_location"]:
        raise RefusedError("one with external data; save it as one file")
    if tensor["segment"] or tensor["string_data"]:
        raise RefusedError(f"{_shown(name)} in segments or of text")
    number = tensor["data_type"][0] if tensor["data_type"] else 0
    kind = _TYPES.get(number) if isinstance(number, int) else None
    if kind is None:
        raise RefusedError(f"{_shown(name)} of type {number}")
    values = _values(tensor, kind, name)
    if values is None:
        return name
    if not all_finite(values, kind):
        raise RefusedError(f"NaN or infinity in {_shown(name)}")
    return name


def _values(tensor: _Fields, kind: str, name: bytes) -> memoryview | None:
    """Return the values' bytes, checked against the shape; None for integers of variable length."""
    expected = math.prod(_numbers(tensor["dims"]))
    if (
        sum(bool(values) for field, values in tensor.items() if field.endswith("_data") and field != "external_data")
        > 1
    ):
        raise RefusedError(f"values in two places in {_shown(name)}")
    if tensor["raw_data"]:
        raw = _messages(tensor["raw_data"])[0]
        if len(raw) != expected * ITEM_BYTES[kind]:
            raise RefusedError(f"{len(raw):,} bytes in {_shown(name)} for {expected:,} values of {kind}")
        return raw
    source = _TYPED.get(kind)
    if source is None:
        if expected:
            raise RefusedError(f"no raw data in {_shown(name)}")
        return None
    packed = _messages(tensor[source])
    if len(packed) != len(tensor[source]) or len(packed) > 1:
        raise RefusedError(f"values one by one in {_shown(name)}; save them as raw data")
    data = packed[0] if packed else memoryview(b"")
    whole = source.startswith("int")
    count = int(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x80)) if whole else len(data) / ITEM_BYTES[kind]
    if count != expected:
        raise RefusedError(f"{count:g} values in {_shown(name)} where its shape has {expected:,}")
    return None if whole else data


def _numbers(values: list[int | memoryview]) -> list[int]:
    """Return the numbers of a repeated field, plain or packed."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            if len(found) > 64:
                raise RefusedError("a tensor of over 64 dimensions")
            number, at = varint(value, at)
            found.append(number)
    if len(found) > 64:
        raise RefusedError("a tensor of over 64 dimensions")
    return found


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace")[:60])
