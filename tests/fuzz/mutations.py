"""Damage, the same in every run: bits flipped, bytes cut out, repeated and replaced by what parsers trip over."""

from __future__ import annotations

import random

__all__ = ["mutated"]

_NASTY = [bytes.fromhex(text) for text in ("00000000", "ffffffff", "7fffffff", "80000000", "ffffff7f", "ff" * 10)]


def mutated(content: bytes, rng: random.Random, most: int = 6) -> bytes:
    """Return the content with one to ``most`` mutations; most of them near its start, where headers are."""
    data = bytearray(content)
    for _ in range(rng.randint(1, most)):
        if not data:
            break
        reach = min(len(data), 512) if rng.random() < 0.5 else len(data)
        at = rng.randrange(reach)
        length = rng.choice([1, 1, 2, 4, 16, 200])
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + length] = rng.randbytes(len(data[at : at + length]))
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * rng.randint(1, 4)
            case 4:
                nasty = rng.choice(_NASTY)
                data[at : at + len(nasty)] = nasty
            case 5:
                del data[at:]
    return bytes(data)
