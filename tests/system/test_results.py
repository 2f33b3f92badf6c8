"""What a run has come to: at its end, and with `show --tables`."""

from __future__ import annotations

from pathlib import Path

from system.command_line import WANDER, CommandLine, setting

SMALL = ("run", "bitcount", "--no-prefect", "--max-iterations", "2", *setting(shots=500))
BROKEN = """
from qcsc_loop import IterativeAlgorithm, State

class Count(State):
    n: int = 0

class Counting(IterativeAlgorithm[Count, int, int]):
    async def initialize(self) -> Count:
        return Count()
    async def sample(self, state: Count) -> int:
        return 1
    async def evaluate(self, state: Count, samples: int) -> int:
        return samples
    async def update(self, state: Count, evaluation: int) -> Count:
        return Count(n=state.n + evaluation)
    def tables(self, state: Count):
        raise KeyError("no such thing")
"""


def test_a_run_ends_with_its_results_first_rows_and_with_what_to_type_next(
    qcsc_loop: CommandLine, run_id: str
) -> None:
    said = qcsc_loop(*SMALL, "--run-id", run_id).well().out
    assert "sampler-count-dict" in said and "0000000000" in said
    assert f"kept in {qcsc_loop.store}/{run_id}" in said
    following = [line.split() for line in said.splitlines() if line.startswith("  qcsc-loop ")]
    assert [words[1] for words in following] == ["resume", "show", "show", "list"]
    assert following[0][3:] == ["--max-iterations", "4"]
    for words in following:
        qcsc_loop(*words[1:]).well()


def test_they_name_the_store_if_it_was_named(
    qcsc_loop: CommandLine, run_id: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "else where"
    said = qcsc_loop(*SMALL, "--run-id", run_id, "--store", elsewhere).well().out
    assert said.endswith(f"  qcsc-loop list --store '{elsewhere}'\n")


def test_tables_shows_them_whole(qcsc_loop: CommandLine, run_id: str) -> None:
    qcsc_loop(
        *SMALL, "--run-id", run_id, *setting(num_qubits=3, **{"sampler.bit_flip": 0.3})
    ).well()
    shown = qcsc_loop("show", run_id, "--tables").well().out
    answer = qcsc_loop("show", run_id, "--tables", "--json").well().answer
    rows = answer["tables"]["sampler-count-dict"]
    assert (answer["iteration"], len(rows)) == (2, 8)
    assert sum(row["count"] for row in rows) == 1000
    assert all(row["bitstring"] in shown for row in rows)


def test_a_run_without_tables_says_so(qcsc_loop: CommandLine, run_id: str) -> None:
    words = ("run", WANDER, "--no-prefect", "--run-id", run_id, "--max-iterations", "1")
    assert "--tables" not in qcsc_loop(*words).well().out
    assert "has no tables" in qcsc_loop("show", run_id, "--tables").well().out


def test_tables_that_raise_fail_no_run_and_are_one_sentence(
    qcsc_loop: CommandLine, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    words = ("--no-prefect", "--run-id", run_id, "--max-iterations", "1")
    said = qcsc_loop("run", f"{tmp_path}/broken.py:Counting", *words).well().out
    assert "the results cannot be shown: Counting.tables raised KeyError: 'no such thing'" in said
    assert "Counting.tables raised" in qcsc_loop("show", run_id, "--tables").refusal
    assert qcsc_loop.status(run_id) == "max_iterations"
