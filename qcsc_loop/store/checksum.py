"""A log's lines, each with a checksum of itself: a bit that flipped in one is no other fact.

    {"iteration":7,…,"checksum":"0f1e…"}

over the line's text without that last field. A line is a JSON object all the same, for other tools and
for older versions; theirs have no checksum, and are believed if they can be read.
"""

from __future__ import annotations

import hashlib

_FIELD = b',"checksum":"'
_DIGITS = 16  # against accidents, not against anybody
_END = len(_FIELD) + _DIGITS + len(b'"}')
_FEW_BITS = 8  # other text at its place differs in some four times as many


def add_checksum(line: bytes) -> bytes:
    """A JSON object's text with its checksum in it."""
    return b'%b%b%b"}' % (line[:-1], _FIELD, _checksum(line))


def is_intact(line: bytes) -> bool:
    """Whether a line is as it was written, as far as it can be told."""
    text, field, rest = line.rpartition(_FIELD)
    if field:
        return rest == _checksum(text + b"}") + b'"}'
    return not _was_the_field(line[-_END:][: len(_FIELD)])


def _was_the_field(piece: bytes) -> bool:
    """Whether the field's own name has been hit: such a line is none of an older version's."""
    if len(piece) < len(_FIELD):
        return False
    return sum((a ^ b).bit_count() for a, b in zip(piece, _FIELD, strict=True)) <= _FEW_BITS


def _checksum(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:_DIGITS].encode()
