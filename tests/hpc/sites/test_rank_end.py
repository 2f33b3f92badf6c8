"""What a person reads of a rank that was killed."""

from __future__ import annotations

import pytest

from qcsc_hpc.sites.rank_end import with_output
from qcsc_loop.jobs.outcome import JobOutcome, JobState

HYDRA = """counting
=====================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 4672 RUNNING AT node1
=   EXIT CODE: {number}
=   CLEANING UP REMAINING PROCESSES
=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES
=====================================================================================
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: {name} (signal {number})
This typically refers to a problem with your application.
Please see the FAQ page for debugging suggestions
"""
OPEN_MPI = (
    "mpirun noticed that process rank 1 with PID 12 on node n1 exited on signal {number} ({name})."
)
INTEL = (
    "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n"
    "=   KILLED BY SIGNAL: {number} ({name})\n"
)
KILLED = "a rank was killed by signal 9 (SIGKILL), as the kernel does when memory runs out"


def ended(tail: str, **facts: object) -> JobOutcome:
    failed = JobOutcome.model_validate({"state": JobState.FAILED, "exit_code": 9, **facts})
    return with_output(failed, tail)


@pytest.mark.parametrize("words", [HYDRA, OPEN_MPI, INTEL], ids=["hydra", "open mpi", "intel"])
def test_a_rank_that_was_killed_is_said_to_be(words: str) -> None:
    outcome = ended(words.format(number=9, name="Killed"))
    assert (outcome.state, outcome.signal, outcome.reason) == (JobState.FAILED, 9, KILLED)


def test_another_signal_is_named_and_blamed_on_no_memory() -> None:
    outcome = ended(HYDRA.format(number=11, name="Segmentation fault"))
    assert (outcome.signal, outcome.reason) == (11, "a rank was killed by signal 11 (SIGSEGV)")


def test_hydras_frame_is_no_output_of_the_program() -> None:
    assert ended(HYDRA.format(number=9, name="Killed")).tail == "counting\n"
    assert ended("counting\n").tail == "counting\n"


def test_a_shells_code_for_it_says_the_same() -> None:
    assert ended("", exit_code=137).reason == KILLED


def test_what_ended_otherwise_is_as_it_was() -> None:
    well = JobOutcome(state=JobState.COMPLETED)
    assert with_output(well, "out") == well.model_copy(update={"tail": "out"})
    timeout = JobOutcome(state=JobState.TIMEOUT, reason="it ran longer")
    assert with_output(timeout, HYDRA.format(number=9, name="Killed")).reason == "it ran longer"
    assert ended("no such file", exit_code=1).reason == ""
