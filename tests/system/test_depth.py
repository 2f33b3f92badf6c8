"""How deep a hook lies below the command line."""

from __future__ import annotations

from pathlib import Path

from system.command_line import CommandLine, Result

DEEP = f"{Path(__file__).with_name('depth_toy.py')}:Deep"
RUN = ("run", DEEP, "--max-iterations", "1", "--json")

ALONE, IN_FLOW = 9, 12


def frames(result: Result) -> int:
    return int(result.well().answer["scalars"]["frames"])


def test_without_prefect_a_hook_is_called_through_few_frames(qcsc_loop: CommandLine) -> None:
    result = qcsc_loop(*RUN, "--no-prefect")
    assert frames(result) <= ALONE, result.err


def test_in_a_flow_a_hook_is_called_through_few_more(with_server: CommandLine) -> None:
    result = with_server(*RUN)
    assert frames(result) <= IN_FLOW, result.err
