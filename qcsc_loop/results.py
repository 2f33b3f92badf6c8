"""What a run has come to: the tables that its algorithm makes of the last state."""

from __future__ import annotations

from collections.abc import Mapping

from qcsc_loop.algorithm import AnyAlgorithm
from qcsc_loop.catalog import recorded_algorithm
from qcsc_loop.concurrency.own_exits import exits_as_errors, raised_by_code
from qcsc_loop.errors import DamagedDocument, InputError, ResultsNotMade
from qcsc_loop.loop.hooks import Table, hook_types
from qcsc_loop.store.journal import Journal
from qcsc_loop.values.record import State


def read_tables(journal: Journal) -> tuple[int, Mapping[str, Table]]:
    """The newest state's iteration, and its tables. Imports the algorithm's file.

    Raises:
        InputError: there is no state yet, or it cannot be read.
        ResultsNotMade: the algorithm's `tables` raises.
    """
    algorithm = recorded_algorithm(journal)
    codec = hook_types(type(algorithm)).state
    for name in journal.checkpoints():
        try:
            commit, document = journal.checkpoint(name)
            state = codec.decode(document)
        except (DamagedDocument, KeyError):
            continue
        return commit.iteration, tables_of(algorithm, state)
    raise InputError(f"{journal.run_id} has no state that can be read: nothing is committed yet")


def tables_of(algorithm: AnyAlgorithm, state: State) -> Mapping[str, Table]:
    """What an algorithm makes of a state.

    Raises:
        ResultsNotMade: its `tables` raises.
    """
    try:
        with exits_as_errors():
            return algorithm.tables(state)
    except Exception as raised:
        error = raised_by_code(raised)
        raise ResultsNotMade(type(algorithm).__name__, error) from error
