"""Flow runs of drivers that died: the next driver says so, or they would run on a server for ever."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from anyio import to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from qcsc_loop.concurrency.process_life import Life
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.prefect.driver_facts import FLOW_RUN
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.lease import life_of_holder
from qcsc_loop.store.records import EpochRecord

NOTE = "flow-run"  # beside a run's record: of a driver that began before its flow run was there
MOST = 20  # drivers that are looked back at: those before them have been seen to by these
_BEGUN = {StateType.PENDING, StateType.RUNNING}


async def report_crashes(
    client: PrefectClient, journal: Journal, mine: EpochRecord, flow_run: UUID | None
) -> None:
    """Sets the flow runs of earlier drivers Crashed that are gone and did not say so.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: the server does not answer.
    """
    for dead in await to_thread.run_sync(_gone, journal, mine.epoch):
        if dead == flow_run:  # Prefect's own retry: the same flow run drives the run again
            continue
        with suppress(ObjectNotFound):  # it was on another server, or is deleted
            if (await client.read_flow_run(dead)).state_type in _BEGUN:
                why = f"its process is gone without a word; driver {mine.epoch} has the run"
                await client.set_flow_run_state(dead, Crashed(message=why), force=True)


def note_flow_run(journal: Journal, mine: EpochRecord, flow_run: UUID) -> None:
    """Has the next driver know this one's flow run, where its record could not say it."""
    if mine.provenance.get(FLOW_RUN) is None:
        journal.store.leave(_note(journal, mine.epoch), str(flow_run).encode())


def _note(journal: Journal, epoch: int) -> str:
    return f"{journal.run_id}/{NOTE}-{epoch:04d}"


def _flow_run_of(journal: Journal, record: EpochRecord) -> UUID:
    """The flow run of a driver; raises where it had none."""
    known = record.provenance.get(FLOW_RUN)
    return UUID(known or (journal.store.left(_note(journal, record.epoch)) or b"").decode())


def _gone(journal: Journal, before: int) -> list[UUID]:
    found = (_if_gone(journal, epoch) for epoch in range(before - 1, max(0, before - MOST), -1))
    return [flow_run for flow_run in found if flow_run is not None]


def _if_gone(journal: Journal, epoch: int) -> UUID | None:
    """A driver's flow run, if the driver is surely dead: as decision 17 has it."""
    try:
        record, end = journal.epoch(epoch), journal.end(epoch)
        flow_run = _flow_run_of(journal, record)
        if end is not None:  # the process may be about to tell the server
            return flow_run if life_of_holder(record.holder) is Life.DEAD else None
        return flow_run if journal.hold(record).is_free else None
    except (QcscLoopError, KeyError, ValueError, TypeError, AttributeError):  # damaged, or not ours
        return None
