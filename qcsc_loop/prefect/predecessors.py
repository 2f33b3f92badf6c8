"""Flow runs of drivers that are gone: the next driver says how they ended, or they run for ever."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from anyio import to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from qcsc_loop.concurrency.process_life import Life
from qcsc_loop.errors import QcscLoopError
from qcsc_loop.prefect.driver_facts import FLOW_RUN
from qcsc_loop.prefect.ends import state_after
from qcsc_loop.prefect.reporter import show_what_is_left
from qcsc_loop.rules.reason import stop_sentence
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.lease import life_of_holder
from qcsc_loop.store.records import EndRecord, EpochRecord

NOTE = "flow-run"  # beside a run's record: of a driver that began before its flow run was there
MOST = 20  # drivers that are looked back at: those before them have been seen to by these
_BEGUN = {StateType.PENDING, StateType.RUNNING}


@dataclass(frozen=True)
class _Gone:
    """A driver that is surely dead.

    Attributes:
        end: how it ended; None: it did not say.
    """

    flow_run: UUID
    record: EpochRecord
    end: EndRecord | None

    @property
    def how(self) -> str:
        if self.end is None:
            return "its process is gone without a word"
        return stop_sentence(
            self.end.reason, self.end.iteration, self.end.error or self.end.because
        )


async def report_ends(
    client: PrefectClient, journal: Journal, mine: EpochRecord, flow_run: UUID | None
) -> None:
    """Sets flow runs of earlier drivers that are gone as their ends on the disk say, else Crashed.

    A server that was away when a driver ended has not heard of it. Each gets its last report first:
    whoever is killed between the two leaves a flow run that is seen to by the next driver.

    Raises:
        httpx.HTTPError, PrefectHTTPStatusError: the server does not answer.
    """
    for gone in await to_thread.run_sync(_gone, journal, mine.epoch):
        if gone.flow_run == flow_run:  # Prefect's own retry: the same flow run drives the run again
            continue
        with suppress(ObjectNotFound):  # it was on another server, or is deleted
            if (await client.read_flow_run(gone.flow_run)).state_type in _BEGUN:
                known = gone.flow_run, gone.record, gone.end
                await show_what_is_left(client, journal, *known, mine.epoch)
                why = f"{gone.how}; driver {mine.epoch} has the run"
                state = state_after(gone.end, why)
                await client.set_flow_run_state(gone.flow_run, state, force=True)


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


def _gone(journal: Journal, before: int) -> list[_Gone]:
    found = (_if_gone(journal, epoch) for epoch in range(before - 1, max(0, before - MOST), -1))
    return [gone for gone in found if gone is not None]


def _if_gone(journal: Journal, epoch: int) -> _Gone | None:
    """A driver that had a flow run, if it is surely dead: as decision 17 has it."""
    try:
        record, end = journal.epoch(epoch), journal.end(epoch)
        gone = _Gone(_flow_run_of(journal, record), record, end)
        if end is not None:  # the process may be about to tell the server
            return gone if life_of_holder(record.holder) is Life.DEAD else None
        return gone if journal.hold(record).is_free else None
    except (QcscLoopError, KeyError, ValueError, TypeError, AttributeError):  # damaged, or not ours
        return None
