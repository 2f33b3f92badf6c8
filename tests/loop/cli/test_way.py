"""How a run is driven, from what was asked for and what its drivers have left."""

from __future__ import annotations

from typing import Any

import pytest

from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.way import Way, choose_way
from qcsc_loop.prefect.driver_facts import Granularity
from qcsc_loop.rules.limits import Limits
from qcsc_loop.rules.reason import Reason
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.memory import MemoryStore
from qcsc_loop.store.records import EndRecord, RunRecord, Settings

ALONE = Way(prefect=False, tasks="iteration")


def asked(prefect: bool | None = None, tasks: Granularity | None = None) -> Driving:
    return Driving(
        limits=Limits(),
        retry=None,
        keep=None,
        prefect=prefect,
        tasks=tasks,
        take_over=False,
        store=None,
        as_json=False,
    )


def driven_by(*provenances: dict[str, Any]) -> Journal:
    """A run that drivers of these provenances have had."""
    journal = Journal(MemoryStore(), "run")
    settings = Settings(algorithm="m:C")
    journal.create(RunRecord(run_id="run", seed=0, settings=settings))
    for provenance in provenances:
        lease = journal.claim(settings, provenance, 30.0)
        lease.release(EndRecord(epoch=lease.epoch, reason=Reason.INTERRUPTED, iteration=0))
    return journal


def test_a_new_run_has_prefect_and_a_task_a_step() -> None:
    nothing = Journal(MemoryStore(), "run")
    assert choose_way(asked(), nothing) == Way(prefect=True, tasks="step")


def test_what_is_asked_for_wins() -> None:
    way = choose_way(asked(prefect=True, tasks="none"), driven_by(ALONE.facts()))
    assert way == Way(prefect=True, tasks="none")


def test_what_is_not_asked_for_is_as_it_was() -> None:
    assert choose_way(asked(), driven_by(ALONE.facts())) == ALONE
    way = choose_way(asked(prefect=True), driven_by(ALONE.facts()))
    assert way == Way(prefect=True, tasks="iteration")


def test_the_newest_driver_that_says_counts() -> None:
    assert choose_way(asked(), driven_by(Way().facts(), ALONE.facts(), {})) == ALONE
    assert choose_way(asked(), driven_by(ALONE.facts(), Way().facts())) == Way()


@pytest.mark.parametrize("provenance", [{}, {"driven": {"tasks": "all"}}, {"driven": 1}])
def test_a_run_that_does_not_say_is_driven_as_a_new_one(provenance: dict[str, Any]) -> None:
    assert choose_way(asked(), driven_by(provenance)) == Way()


def test_a_deployed_run_keeps_the_tasks_of_its_settings() -> None:
    deployed = {"run_settings": {"tasks": "none", "drive": "chain"}}
    assert choose_way(asked(), driven_by(deployed)) == Way(prefect=True, tasks="none")
