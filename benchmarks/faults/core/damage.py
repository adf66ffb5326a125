"""Damage to the bytes of a file, drawn at random."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MAX_BLOCK = 512


@dataclass(frozen=True)
class Damage:
    """Damaged bytes.

    Args:
        content: the damaged content.
        what: the damage in words.
        first: position of the first byte that may differ.
        last: position one after the last byte that may differ, in the old content.
        moves: whether bytes outside the damaged ones stand elsewhere now.
    """

    content: bytes
    what: str
    first: int
    last: int
    moves: bool = False


def flip_bit(content: bytes, rng: np.random.Generator, limit: int | None = None) -> Damage:
    """Flip one bit, among the first ``limit`` bytes if it is given."""
    at, bit = int(rng.integers(min(len(content), limit or len(content)))), int(rng.integers(8))
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return Damage(bytes(changed), f"bit {bit} of byte {at} of {len(content)} flipped", at, at + 1)


def flip_header_bit(content: bytes, rng: np.random.Generator) -> Damage:
    """Flip one bit among the first 200 bytes."""
    return flip_bit(content, rng, limit=200)


def cut(content: bytes, rng: np.random.Generator) -> Damage:
    """Cut the content anywhere, so that at least one byte is lost."""
    kept = int(rng.integers(len(content)))
    return Damage(content[:kept], f"cut after {kept} of {len(content)} bytes", kept, len(content), moves=True)


def _block(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    first = int(rng.integers(len(content)))
    return first, min(len(content), first + 1 + int(rng.integers(MAX_BLOCK)))


def zero_block(content: bytes, rng: np.random.Generator) -> Damage:
    """Replace up to 512 bytes by zeros."""
    first, last = _block(content, rng)
    changed = content[:first] + bytes(last - first) + content[last:]
    return Damage(changed, f"bytes {first} to {last} of {len(content)} zeroed", first, last)


def overwrite_block(content: bytes, rng: np.random.Generator) -> Damage:
    """Replace up to 512 bytes by random ones."""
    first, last = _block(content, rng)
    changed = content[:first] + rng.bytes(last - first) + content[last:]
    return Damage(changed, f"bytes {first} to {last} of {len(content)} overwritten", first, last)


def remove_block(content: bytes, rng: np.random.Generator) -> Damage:
    """Remove up to 512 bytes."""
    first, last = _block(content, rng)
    changed = content[:first] + content[last:]
    return Damage(changed, f"removed bytes {first} to {last} of {len(content)}", first, last, moves=True)


def insert_block(content: bytes, rng: np.random.Generator) -> Damage:
    """Insert up to 512 random bytes."""
    first, n = int(rng.integers(len(content) + 1)), 1 + int(rng.integers(MAX_BLOCK))
    changed = content[:first] + rng.bytes(n) + content[first:]
    return Damage(changed, f"inserted {n} bytes at {first} of {len(content)}", first, first, moves=True)


BLOCKS: tuple[Callable[[bytes, np.random.Generator], Damage], ...] = (
    zero_block, overwrite_block, remove_block, insert_block,
)  # fmt: skip


def flip_or_cut(content: bytes, rng: np.random.Generator) -> Damage:
    """Flip a bit (four times in five) or cut the content."""
    return flip_bit(content, rng) if rng.random() < 0.8 else cut(content, rng)
