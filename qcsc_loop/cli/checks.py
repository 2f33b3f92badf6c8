"""What can be refused before a server is started for it, and a run begun."""

from __future__ import annotations

from contextlib import suppress

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.cli.driving import Driving
from qcsc_loop.cli.run_request import RunRequest
from qcsc_loop.errors import DamagedDocument
from qcsc_loop.loop.opening import refuse_other_results
from qcsc_loop.loop.options import RunOptions
from qcsc_loop.parameters.environment import environment
from qcsc_loop.parameters.saved_blocks import named_blocks
from qcsc_loop.store.journal import Journal
from qcsc_loop.store.records import require_run_id


def check_run(request: RunRequest, driving: Driving, journal: Journal, *, prefect: bool) -> None:
    """Refuses what this disk alone shows to be wrong.

    Args:
        prefect: whether it is driven in a flow: then a server may know what this disk does not.

    Raises:
        InputError: the run cannot be as asked for.
        RunLocked: another driver holds it.
    """
    require_run_id(journal.run_id)
    journal.store.require_own(journal.run_id)
    if not journal.exists():
        if prefect and not request.is_resume:
            _check_blocks(request.algorithm(journal))
        if request.is_resume and not (prefect and _server_may_know(journal.run_id)):
            journal.record()  # says which runs there are
        return
    with suppress(DamagedDocument):  # a server may mend it
        _check_known(request, driving, journal)


def _check_known(request: RunRequest, driving: Driving, journal: Journal) -> None:
    record = journal.record()
    algorithm: AnyAlgorithm = request.algorithm(journal)
    options: RunOptions = {}
    if request.seed is not None:
        options["seed"] = request.seed
    if not named_blocks(algorithm):
        refuse_other_results(algorithm, record, options)
    if not driving.take_over:
        journal.require_free(environment().lease_seconds)


def _check_blocks(algorithm: AnyAlgorithm) -> None:
    """Refuses a block's name that no server which would be started could know."""
    if not (names := named_blocks(algorithm)):
        return
    from qcsc_loop.cli.quiet_prefect import quiet_prefect

    quiet_prefect()
    from qcsc_loop.prefect.load_blocks import refuse_unknown

    for name in names.values():
        refuse_unknown(name)


def _server_may_know(run_id: str) -> bool:
    from qcsc_loop.cli.quiet_prefect import quiet_prefect

    quiet_prefect()
    from qcsc_loop.prefect.local_database import api_is_configured, may_know_run

    return api_is_configured() or may_know_run(run_id)
