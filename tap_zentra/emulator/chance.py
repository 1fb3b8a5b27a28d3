"""Deterministic draws: the same parts always give the same number; knows nothing of what is drawn."""

from __future__ import annotations

import hashlib
import struct

NOISE_SIZE = 65_521
"""A prime, so that no step through the table falls into a short cycle."""

NOISE_STEPS = 65_536
"""How many different numbers the table may hold."""

NOISE: tuple[float, ...] = tuple(
    number / NOISE_STEPS
    for number in struct.unpack(f"<{NOISE_SIZE}H", hashlib.shake_256(b"noise of the emulator").digest(2 * NOISE_SIZE))
)
"""Uniform numbers in [0, 1). A table, because hashing each of a page's 48,000 values takes too long."""


def number(*parts: object) -> int:
    """Return a whole number in [0, 2**64) that depends on the parts and on nothing else."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def fraction(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts and on nothing else."""
    return number(*parts) / 2**64


def noise(key: int, step: int) -> float:
    """Return a number in [0, 1): one step of the series of numbers that belongs to the key."""
    return NOISE[(key + step) % NOISE_SIZE]
