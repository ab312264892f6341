"""Protocol buffers, as they lie in a file: a strict reader without recursion that stops at a limit.

It reads less than the format allows on purpose. A field that readers may take in two ways (a number written with more
bytes than it needs, a single field given twice, a known field of another type) is refused, because what was checked
would not be what an engine sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

__all__ = ["Field", "Kind", "ProtobufError", "Reader"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10


class ProtobufError(ValueError):
    """The bytes are no message that this reader accepts; the text says why."""


class Kind(IntEnum):
    """What a field holds; of a repeated number field both the packed and the plain form are taken."""

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

# Number of the field, and its value: an integer, or the bytes of what is fixed in size or has a length.
Field = tuple[int, int | memoryview]


class Reader:
    """Reads messages of one file and counts their fields."""

    def __init__(self, most_fields: int) -> None:
        """Start to count.

        Args:
            most_fields: Fields that are read in all messages together; this bounds the time.
        """
        self._left = most_fields

    def fields(self, message: memoryview, known: Mapping[int, Kind]) -> Iterator[Field]:
        """Read the fields of one message, one after the other.

        Args:
            message: Its bytes.
            known: Fields by number. Others are passed over, as every reader does.

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
    """Read one number of variable length.

    Returns:
        The number, unsigned, and the place after it.

    Raises:
        ProtobufError: It is cut off, has over 64 bits or is written with more bytes than it needs.
    """
    result = shift = 0
    for place in range(at, min(at + _LONGEST_VARINT, len(message))):
        byte = message[place]
        result |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if (byte == 0 and place > at) or result >= 1 << 64:
                raise ProtobufError("a number written with more bytes than it needs")
            return result, place + 1
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
