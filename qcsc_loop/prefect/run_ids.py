"""The id of a run that nobody named, made of its flow run: who drives that again finds the run."""

from __future__ import annotations

import hashlib
import string
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from qcsc_loop.errors import QcscLoopError
from qcsc_loop.prefect.driver_facts import FLOW_RUN
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.store import Store

_DIGITS = string.digits + string.ascii_lowercase
_LENGTH = 4


def run_id_of(flow_run: FlowRun, name: str, store: Store) -> str:
    """NAME-MMDD-HHMM-xxxx, the time in UTC: when the flow run was due, or was made.

    Args:
        name: of the flow, as run ids have it.

    Two flow runs of one minute may have the same four digits, one time in a million: the second has
    more of them. A run that an earlier version named is gone on with.
    """
    short, longer, older = (f"{name}-{ending}" for ending in endings(flow_run))
    if Journal(store, older).exists():
        return older
    return longer if _is_anothers(short, flow_run.id, store) else short


def endings(flow_run: FlowRun) -> tuple[str, str, str]:
    """How a flow run's run id may end: as a rule, where that is another's, and in earlier versions."""
    short = _ending(flow_run)
    return short, f"{short}-{flow_run.id.hex[-8:]}", flow_run.id.hex[:12]


def _ending(flow_run: FlowRun) -> str:
    # what is not scheduled gets its time of start later, which is another one
    known = flow_run.expected_start_time if flow_run.auto_scheduled else flow_run.created
    due: datetime = known or datetime.fromtimestamp(0, UTC)
    # of the whole id: the first half of Prefect's says little but the time
    number = int.from_bytes(hashlib.sha256(flow_run.id.bytes).digest())
    digits = ""
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return f"{due.astimezone(UTC):%m%d-%H%M}-{digits}"


def _is_anothers(run_id: str, flow_run: UUID, store: Store) -> bool:
    try:
        begun_by = Journal(store, run_id).epoch(1).provenance.get(FLOW_RUN)
    except (QcscLoopError, KeyError):  # there is none, or it is damaged: the loop says so
        return False
    return begun_by is not None and begun_by != str(flow_run)
