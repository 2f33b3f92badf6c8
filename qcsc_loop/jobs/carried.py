"""What a ledger's log says up to a line of it, so that a driver need not read what is before.

A driver adds such a line now and then. It is a copy, and no job's: without it, or where it cannot be
relied on, more of the log is read, and the whole of it in the end. It can be relied on where

- it stands at the byte that it says: the driver knew all that is before it. A line that another
  driver, which had stood still, slipped in between moves it;
- its own hash is right;
- it has all jobs from the iteration on that is asked for: a run may go on from an older checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, ValidationError

from qcsc_loop.jobs.entries import LINE, Intent, JobRecord, Line, Measured
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.store.checksum import is_intact
from qcsc_loop.store.store import Store

CARRY_BYTES = 1 << 17  # of the log, after which it is worth a line
_BEGINNING = b'{"kind":"carried",'


class _Body(BaseModel):
    """What is known at a line.

    Attributes:
        at: the byte of the log at which the line stands.
        since: all jobs of this iteration and later ones are among the lines.
        whole: all lines before could be read.
        costs: of the jobs that are not among the lines.
        lines: which make the records of the others again, in the order of their submission.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")

    at: int
    since: int
    whole: bool
    costs: dict[str, float]
    lines: list[Line]


@dataclass(frozen=True)
class Known:
    """What a log says.

    Attributes:
        records: by key, in the order of their submission; all of `since` and later iterations.
        costs: of jobs that are not among them.
        whole: every line could be read, and follows from those before it.
        end: the byte at which the next line will stand.
        read: how many bytes that took.
    """

    records: dict[JobKey, JobRecord]
    costs: Counter[str]
    whole: bool
    since: int
    end: int
    read: int


def read_log(store: Store, name: str, first: int = 0) -> Known:
    """What the log says of the jobs of an iteration and later ones, and of all that may be alive."""
    size, read = store.size(name), 0
    after: list[bytes] = []
    for text in store.lines_from_end(name):
        read += len(text) + 1
        body = _body(text, size - read)
        if body is not None and body.since <= first:
            records, whole = _records(_parsed(after[::-1]), _begun(body))
            costs = Counter(body.costs)
            return Known(records, costs, whole and body.whole, body.since, size, read)
        after.append(text)
    records, whole = _records(_parsed(after[::-1]), {})
    return Known(records, Counter(), whole, 0, size, read)


def carried(
    records: Iterable[JobRecord], costs: Counter[str], *, at: int, since: int, whole: bool
) -> bytes:
    """The line."""
    lines = [line for record in records for line in record.lines()]
    body = _Body(at=at, since=since, whole=whole, costs=dict(costs), lines=lines).model_dump_json()
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    return _BEGINNING + json.dumps({"sha256": sha256, "body": body})[1:].encode()


def is_carried(text: bytes) -> bool:
    """Whether a line of a log is one of these."""
    return text.startswith(_BEGINNING)


def _body(text: bytes, at: int) -> _Body | None:
    """What a line carries that can be relied on."""
    if not is_carried(text):
        return None
    try:
        held = json.loads(text)
        right = hashlib.sha256(held["body"].encode()).hexdigest() == held["sha256"]
        body = _Body.model_validate_json(held["body"])
    except (ValueError, KeyError, AttributeError, ValidationError):
        return None
    return body if right and body.at == at else None


def _begun(body: _Body) -> dict[JobKey, JobRecord]:
    return _records(body.lines, {})[0]


def records_of(texts: Iterable[bytes]) -> dict[JobKey, JobRecord]:
    """What lines say, of the jobs whose intents are among them."""
    return _records(_parsed(texts), {})[0]


def add_lines(records: dict[JobKey, JobRecord], texts: Iterable[bytes]) -> None:
    """Adds what further lines say."""
    _records(_parsed(texts), records)


def _parsed(texts: Iterable[bytes]) -> Iterator[Line | None]:
    """The lines of jobs; None for one that cannot be read."""
    for text in texts:
        if not is_carried(text):
            try:
                yield LINE.validate_json(text) if is_intact(text) else None
            except ValidationError:
                yield None


def _records(
    lines: Iterable[Line | None], records: dict[JobKey, JobRecord]
) -> tuple[dict[JobKey, JobRecord], bool]:
    """The records with what the lines say, and whether all could be read and follow from others."""
    whole = True
    for line in lines:
        if isinstance(line, Intent):
            # one of a driver that was overtaken while it wrote it: it comes to no submission
            known = records.get(line.key)
            if known is None or known.intent.epoch <= line.epoch:
                records[line.key] = JobRecord(line)
        elif line is not None and line.key in records:
            records[line.key] = records[line.key].after(line)
        elif not isinstance(line, Measured):  # figures of a job that is long over may come late
            whole = False
    for key, record in records.items():
        if record.job_id is None and record.outcome is not None and not record.spoilt:
            # the line with its id is lost: it is asked for again, by its key
            records[key], whole = replace(record, outcome=None, fault=None), False
    return records, whole
