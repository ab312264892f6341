"""A strict, non-recursive reader of Protocol Buffers with a limit on fields.

It deliberately accepts less than the format allows. A field that readers may interpret differently (a number with more
bytes than needed, a singular field given twice, a known field of another type) is refused: the engine might otherwise
read something else than was checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

__all__ = ["Field", "Kind", "ProtobufError", "Reader"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10


class ProtobufError(ValueError):
    """The bytes are not a message that this reader accepts; the text says why."""


class Kind(IntEnum):
    """Type of a field; repeated number fields may be packed or plain."""

    NUMBER = 0
    BYTES = 1
    FLOAT = 2
    REPEATED_NUMBER = 3
    REPEATED_BYTES = 4
    REPEATED_FLOAT = 5
    REPEATED_DOUBLE = 6


_WIRES = {
    Kind.NUMBER: {_VARINT},
    Kind.BYTES: {_LENGTH},
    Kind.FLOAT: {_FIXED32},
    Kind.REPEATED_NUMBER: {_VARINT, _LENGTH},
    Kind.REPEATED_BYTES: {_LENGTH},
    Kind.REPEATED_FLOAT: {_FIXED32, _LENGTH},
    Kind.REPEATED_DOUBLE: {_FIXED64, _LENGTH},
}
_SINGLE = {Kind.NUMBER, Kind.BYTES, Kind.FLOAT}

# Number of the field, and its value: an integer, or the bytes of a fixed-size or length-delimited field.
Field = tuple[int, int | memoryview]


class Reader:
    """Reads the messages of one file and counts their fields."""

    def __init__(self, max_fields: int) -> None:
        """Create a reader.

        Args:
            max_fields: Limit on the fields of all messages together; bounds the time.
        """
        self._left = max_fields

    def fields(self, message: memoryview, known: Mapping[int, Kind]) -> Iterator[Field]:
        """Read the fields of one message in order.

        Args:
            message: Its bytes.
            known: Fields by number; others are skipped.

        Yields:
            Known fields only.

        Raises:
            ProtobufError: The bytes are damaged, ambiguous or too many.
        """
        at, seen = 0, set()
        while at < len(message):
            self._left -= 1
            if self._left < 0:
                raise ProtobufError("too many fields")
            tag, at = varint(message, at)
            number, wire = tag >> 3, tag & 7
            if number == 0 or number >= 1 << 29:
                raise ProtobufError(f"field number {number}")
            value, at = _value(message, at, wire)
            kind = known.get(number)
            if kind is None:
                continue
            if wire not in _WIRES[kind]:
                raise ProtobufError(f"field {number} of another type")
            if kind in _SINGLE and number in seen:
                raise ProtobufError(f"field {number} twice")
            seen.add(number)
            yield number, value


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a varint.

    Returns:
        The unsigned number, and the offset after it.

    Raises:
        ProtobufError: It is truncated, exceeds 64 bits or has more bytes than needed.
    """
    result = shift = 0
    for offset in range(at, min(at + _MAX_VARINT_BYTES, len(message))):
        byte = message[offset]
        result |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if (byte == 0 and offset > at) or result >= 1 << 64:
                raise ProtobufError("a number written with more bytes than it needs")
            return result, offset + 1
    raise ProtobufError("a number that does not end")


def _value(message: memoryview, at: int, wire: int) -> tuple[int | memoryview, int]:
    if wire == _VARINT:
        return varint(message, at)
    if wire == _LENGTH:
        length, at = varint(message, at)
    elif wire in _FIXED_BYTES:
        length = _FIXED_BYTES[wire]
    else:
        raise ProtobufError(f"wire type {wire}")
    end = at + length
    if end > len(message):
        raise ProtobufError("a field that is cut off")
    return message[at:end], end
