"""Weights in a model file: bytes per value, and whether every value is finite."""

from __future__ import annotations

import numpy as np

__all__ = ["ITEM_BYTES", "RefusedError", "all_finite"]

ITEM_BYTES = {
    "f16": 2,
    "bf16": 2,
    "f32": 4,
    "f64": 8,
    "boolean": 1,
    "u8": 1,
    "i8": 1,
    "u16": 2,
    "i16": 2,
    "u32": 4,
    "i32": 4,
    "u64": 8,
    "i64": 8,
}
# A floating-point number is finite unless every bit of its exponent is set.
_BITS = {"f16": ("<u2", 0x7C00), "bf16": ("<u2", 0x7F80), "f32": ("<u4", 0x7F800000), "f64": ("<u8", 0x7FF << 52)}
_AT_ONCE_BYTES = 1 << 22


class RefusedError(Exception):
    """A model file must not reach an engine; the text says what was found."""


def all_finite(values: memoryview | bytes, kind: str) -> bool:
    """Return whether values contain neither NaN nor infinity.

    Args:
        values: Little-endian, a whole number of values.
        kind: A key of ``ITEM_BYTES``; integers are always finite.
    """
    if kind not in _BITS:
        return True
    dtype, exponent = _BITS[kind]
    mask = np.array(exponent, dtype)
    # In chunks: comparing everything at once would double the memory of the model.
    for start in range(0, len(values), _AT_ONCE_BYTES):
        bits = np.frombuffer(values[start : start + _AT_ONCE_BYTES], dtype)
        if ((bits & mask) == mask).any():
            return False
    return True
