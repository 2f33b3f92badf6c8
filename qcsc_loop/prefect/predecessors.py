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

MOST = 20  # drivers that are looked back at: those before them have been seen to by these
_BEGUN = {StateType.PENDING, StateType.RUNNING}


async def report_crashes(
    client: PrefectClient, journal: Journal, mine: EpochRecord, flow_run: UUID | None
) -> None:
    """Sets the flow runs of earlier drivers Crashed that are gone and did not say so.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: the server does not answer.
    """
    for gone in await to_thread.run_sync(_gone, journal, mine.epoch):
        dead = UUID(gone.provenance[FLOW_RUN])
        if dead == flow_run:  # Prefect's own retry: the same flow run drives the run again
            continue
        with suppress(ObjectNotFound):  # it was on another server, or is deleted
            if (await client.read_flow_run(dead)).state_type in _BEGUN:
                why = f"its process is gone without a word; driver {mine.epoch} has the run"
                await client.set_flow_run_state(dead, Crashed(message=why), force=True)


def _gone(journal: Journal, before: int) -> list[EpochRecord]:
    found = (_if_gone(journal, epoch) for epoch in range(before - 1, max(0, before - MOST), -1))
    return [record for record in found if record is not None]


def _if_gone(journal: Journal, epoch: int) -> EpochRecord | None:
    """A driver's record, if that one is surely dead: as decision 17 has it."""
    try:
        record, end = journal.epoch(epoch), journal.end(epoch)
        UUID(record.provenance.get(FLOW_RUN, ""))
        if end is not None:  # the process may be about to tell the server
            return record if life_of_holder(record.holder) is Life.DEAD else None
        return record if journal.hold(record).is_free else None
    except (QcscLoopError, KeyError, ValueError, TypeError, AttributeError):  # damaged, or not ours
        return None
