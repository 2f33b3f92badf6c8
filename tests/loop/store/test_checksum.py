"""A log's line with its checksum: as it was written, or known to be hit."""

from __future__ import annotations

import json

import pytest

from qcsc_loop.store.checksum import add_checksum, is_intact

LINE = json.dumps({"kind": "submitted", "job_id": "service-1"}).encode()


def test_a_line_as_it_was_written_is_intact() -> None:
    assert is_intact(add_checksum(LINE)) and json.loads(add_checksum(LINE))["job_id"] == "service-1"


@pytest.mark.parametrize("line", [LINE, b"{}", b'{"seconds":1234567890123456789012345678901234}'])
def test_one_of_an_older_version_is_believed(line: bytes) -> None:
    assert is_intact(line)


def test_no_bit_of_a_line_can_flip_unseen() -> None:
    whole = add_checksum(LINE)
    for at in range(len(whole)):
        for bit in range(8):
            hit = bytearray(whole)
            hit[at] ^= 1 << bit
            assert not is_intact(bytes(hit)), (at, bit)


def test_a_second_flip_is_seen_where_the_first_has_hit_the_checksums_name() -> None:
    whole = add_checksum(LINE)
    name = whole.index(b"checksum")
    hit = bytearray(whole)
    hit[name] ^= 1
    hit[whole.index(b"service")] ^= 1
    assert not is_intact(bytes(hit))
