"""A log's lines, each with a checksum of itself: a bit that flipped in one is no other fact.

    {"iteration":7,…,"checksum":"0f1e…"}

over the line's text without that last field. A line is a JSON object all the same, for other tools and
for older versions; theirs have no checksum, and are believed if they can be read.
"""

from __future__ import annotations

import hashlib

_FIELD = b',"checksum":"'
_DIGITS = 16  # against accidents, not against anybody


def add_checksum(line: bytes) -> bytes:
    """A JSON object's text with its checksum in it."""
    return b'%b%b%b"}' % (line[:-1], _FIELD, _checksum(line))


def is_intact(line: bytes) -> bool:
    """Whether a line is as it was written, as far as it can be told."""
    text, field, rest = line.rpartition(_FIELD)
    return not field or rest == _checksum(text + b"}") + b'"}'


def _checksum(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest()[:_DIGITS].encode()
