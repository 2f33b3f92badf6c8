"""What is refused before anything is started, and what `run --dry-run` says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qcsc_loop.sampling.aer.sampler import AerSampler
from system.command_line import TOYS, CommandLine, files_below, setting
from thorough import first, first_rows

HEAD = """\
import numpy as np
import numpy.typing as npt
from qcsc_loop import IterativeAlgorithm, State


class Here(State):
    at: int = 0
"""
HOOKS = """

class Mine(IterativeAlgorithm[Here, int, int]):
    size: int = 1

    async def initialize(self) -> Here:
        return Here()

    {sample}

    async def evaluate(self, state: Here, samples: int) -> int:
        {evaluate}

    async def update(self, state: Here, evaluation: int) -> Here:
        return Here(at=state.at + 1)
"""
SAMPLE = "async def sample(self, state: Here) -> int:\n        return 1"


def written(
    folder: Path, *, more: str = "", sample: str = SAMPLE, evaluate: str = "return 1"
) -> str:
    """A file of an algorithm; its reference."""
    file = folder / "mine.py"
    file.write_text(HEAD + more + HOOKS.format(sample=sample, evaluate=evaluate))
    return f"{file}:Mine"


def line_of(folder: Path, words: str) -> int:
    """Where these words stand in it."""
    lines = (folder / "mine.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


@pytest.mark.parametrize(
    "array", first(1, ["npt.NDArray[np.float64]", "np.ndarray", "np.ndarray | None"])
)
@pytest.mark.usefixtures("nothing_left")
def test_an_array_of_numpys_own_is_answered_with_ours(
    qcsc_loop: CommandLine, tmp_path: Path, array: str
) -> None:
    named = written(tmp_path, more=f"    x: {array} = None\n")
    said = qcsc_loop("run", named, "--no-prefect").refusal
    assert "use qcsc_loop.NDArray for arrays" in said
    assert f"mine.py:{line_of(tmp_path, 'class Here')}" in said


@pytest.mark.usefixtures("nothing_left")
def test_a_state_that_is_none_is_named_with_its_line(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    named, file = written(tmp_path), tmp_path / "mine.py"
    file.write_text(file.read_text().replace("class Here(State)", "class Here"))
    assert qcsc_loop("run", named, "--no-prefect").refusal == (
        f"Mine cannot run: its state type Here, at mine.py:{line_of(tmp_path, 'class Here')}, "
        "must be a subclass of qcsc_loop.State"
    )


@pytest.mark.usefixtures("nothing_left")
def test_a_file_that_does_not_import_is_told_with_its_lines(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    named = written(tmp_path, more="\n\ndef made():\n    return 1 / 0\n\n\nMADE = made()\n")
    said = qcsc_loop("run", named).refusal
    inner, outer = line_of(tmp_path, "1 / 0"), line_of(tmp_path, "MADE =")
    assert f"at mine.py:{inner} (return 1 / 0), called at mine.py:{outer} (MADE = made())" in said


@pytest.mark.parametrize("prefect", first(1, [(), ("--no-prefect",)]))
@pytest.mark.usefixtures("nothing_left")
def test_a_hook_that_is_not_async_or_not_there_is_named_before_a_server_is_started(
    qcsc_loop: CommandLine, tmp_path: Path, prefect: tuple[str, ...]
) -> None:
    plain = "def sample(self, state: Here) -> int:\n        return 1"
    result = qcsc_loop("run", written(tmp_path, sample=plain), *prefect)
    where = line_of(tmp_path, "def sample")
    assert f"its hook sample, at mine.py:{where}, is not async: write `async def" in result.refusal
    result = qcsc_loop("run", written(tmp_path, sample=""), *prefect)
    assert "Mine cannot run: it has no sample: write `async def sample`" in result.refusal
    assert "server" not in result.out


@pytest.mark.usefixtures("nothing_left")
def test_a_hook_that_takes_something_else_is_named_before_anything_is_paid(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    takes = "async def sample(self, state: Here, shots: int) -> int:\n        return 1"
    said = qcsc_loop("run", written(tmp_path, sample=takes)).refusal
    where = line_of(tmp_path, "def sample")
    assert said == (
        f"Mine cannot run: its hook sample, at mine.py:{where}, takes (self, state, shots): "
        "write `async def sample(self, state)`"
    )


def test_a_hook_without_a_word_on_its_type_is_found_when_it_is_called(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    plain = "def sample(self, state):\n        return 1"
    said = qcsc_loop("run", written(tmp_path, sample=plain), "--no-prefect").refusal
    assert f"mine.py:{line_of(tmp_path, 'def sample')}, is not async" in said


@pytest.mark.parametrize(
    ("evaluate", "rule"),
    first_rows(
        2,
        [
            ("self.size = 2", "A hook writes nothing to self"),
            ("Here(at='many')", "Here.at: Input should be a valid integer"),
            ("self.other = 2", "A hook writes nothing to self"),
            ("state.at = 2", "A state or record is never changed"),
        ],
    ),
)
def test_what_pydantic_raises_is_told_by_the_hooks_own_line(
    qcsc_loop: CommandLine, tmp_path: Path, evaluate: str, rule: str
) -> None:
    named = written(tmp_path, evaluate=f"{evaluate}; return 1")
    said = qcsc_loop("run", named, "--no-prefect", "--run-id", "mine")
    assert f"at mine.py:{line_of(tmp_path, evaluate)}: " in said.refusal
    assert rule in said.refusal and "errors.pydantic.dev" not in said.refusal
    end = qcsc_loop.journal("mine").end(1)
    assert end is not None and rule in end.error and "errors.pydantic.dev" not in end.traceback
    told = qcsc_loop("show", "mine").well().out
    assert rule in told and "pydantic.dev" not in told


@pytest.mark.parametrize(
    ("evaluate", "what"),
    first_rows(
        2,
        [
            ("import sys; sys.exit(3)", "SystemExit in iteration 1 at mine.py:{}: 3."),
            ("raise KeyboardInterrupt", "KeyboardInterrupt in iteration 1 at mine.py:{}: "),
            ("raise GeneratorExit('it')", "GeneratorExit in iteration 1 at mine.py:{}: it."),
        ],
    ),
)
def test_a_hook_that_would_leave_has_failed_and_is_said_to_have(
    qcsc_loop: CommandLine, tmp_path: Path, evaluate: str, what: str
) -> None:
    words = written(tmp_path, evaluate=evaluate), "--no-prefect", "--run-id", "left"
    result = qcsc_loop("run", *words)
    line = line_of(tmp_path, evaluate)
    assert result.code == 1
    assert f"Mine.evaluate raised {what.format(line)}" in result.refusal
    assert "after the fix: qcsc-loop resume left" in result.refusal
    shown = qcsc_loop("show", "left").well().out
    assert f"left: failed after 0 iterations ({what.split()[0]} at mine.py:{line})" in shown


def test_a_wrong_result_is_told_with_the_hooks_line(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    said = qcsc_loop(
        "run", written(tmp_path, evaluate="return 'one'"), "--no-prefect", "--run-id", "mine"
    ).refusal
    where = line_of(tmp_path, "def evaluate")
    assert said == (
        f"Mine.evaluate must return int, but returned str, at mine.py:{where}. "
        "Finished steps are kept; after the fix: qcsc-loop resume mine"
    )


def test_a_bool_of_numpy_is_one(qcsc_loop: CommandLine, tmp_path: Path) -> None:
    named = written(tmp_path)
    with (tmp_path / "mine.py").open("a") as file:
        file.write(
            "\n    async def converged(self, previous: Here, current: Here) -> bool:\n"
            "        return np.float64(current.at) > 1\n"
        )
    answer = qcsc_loop("run", named, "--no-prefect", "--json").well().answer
    assert (answer["reason"], answer["iteration"]) == ("converged", 2)


@pytest.mark.usefixtures("nothing_left")
def test_a_file_without_its_class_is_answered_with_those_in_it(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    file = written(tmp_path).removesuffix(":Mine")
    assert f"the class is missing, as in {file}:Mine." in qcsc_loop("run", file).refusal
    assert "(did you mean 'bitcount'?)" in qcsc_loop("run", "bitcuont").refusal


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("words", "said"),
    first_rows(
        3,
        [
            (("resume", "nobody"), "there is no run 'nobody'"),
            (("run", "bitcount", "--run-id", "Not An Id"), "cannot be a run id"),
            (("render", "nowhere", "ls"), "no block of that name is saved"),
            (("run", "bitcount", "--set", "sampler=aer-sampler/none"), "no block of that name"),
            (("run", f"{TOYS}:Untyped"), "it must say its types"),
        ],
    ),
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_needs_no_server_starts_none(
    qcsc_loop: CommandLine, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    home = tmp_path / "prefect"
    result = qcsc_loop(*words, env={"PREFECT_HOME": str(home)})
    assert said in result.refusal
    assert "server" not in result.out
    assert not (home / "prefect.db").exists()


def test_a_run_that_is_held_is_refused_without_a_server(
    qcsc_loop: CommandLine, tmp_path: Path, run_id: str
) -> None:
    gate, home = tmp_path / "gate", tmp_path / "prefect"
    gate.mkdir()
    words = ("--run-id", run_id, *setting(gate=str(gate), gates=[1]))
    driver = qcsc_loop.start("run", f"{TOYS}:Wander", "--no-prefect", *words)
    driver.until_there_is(gate / "1.reached")
    result = qcsc_loop("resume", run_id, "--prefect", env={"PREFECT_HOME": str(home)})
    assert f"run '{run_id}' is being driven by process {driver.pid}" in result.refusal
    assert result.code == 3 and not (home / "prefect.db").exists()


def test_a_home_that_cannot_be_written_is_answered_with_prefect_home(
    qcsc_loop: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    environment = {"HOME": str(tmp_path / "file"), "PREFECT_HOME": ""}
    result = qcsc_loop("run", "bitcount", "--max-iterations", "0", env=environment)
    assert "a folder that you can write to with PREFECT_HOME" in result.refusal
    assert result.code == 2
    said = qcsc_loop("doctor", env=environment)
    assert "Name a folder that you can write to with PREFECT_HOME" in said.out
    assert "Warning" not in said.out + said.err and said.code == 1


class TestBlocks:
    def test_a_dry_run_without_a_server_checks_the_file_alone(
        self, qcsc_loop: CommandLine, tmp_path: Path
    ) -> None:
        file, home = tmp_path / "blocks.toml", tmp_path / "prefect"
        file.write_text('[aer-sampler.mine]\nmethod = "stabilizer"\n')
        words = ("blocks", "apply", file, "--dry-run")
        environment = {"PREFECT_HOME": str(home)}
        said = qcsc_loop(*words, env=environment).well().out
        assert said == "would create aer-sampler/mine\n"
        file.write_text('[aer-sampler.mine]\nmetod = "stabilizer"\n')
        wrong = qcsc_loop(*words, env=environment).refusal
        assert "there is no field 'metod' (did you mean 'method'?)" in wrong
        valid = wrong.partition("Valid parameters: ")[2].removesuffix(".").split(", ")
        assert valid == [*AerSampler.model_fields]
        assert not (home / "prefect.db").exists()


class TestADryRun:
    @pytest.mark.usefixtures("nothing_left")
    def test_it_says_what_would_run_where_and_at_what_cost(self, qcsc_loop: CommandLine) -> None:
        words = ("--max-iterations", "20", "--max-shots", "30000", *setting(shots=1000))
        said = qcsc_loop("run", "bitcount", "--dry-run", "--run-id", "plan", *words).well().out
        assert said.startswith("would begin plan: BitCount. Nothing is started")
        assert "parameters  shots = 1000\n" in said
        assert "machine     local: this machine, 2 ranks\n" in said
        assert "stop        at iteration 20 or 30,000 shots, or when it has converged\n" in said
        cost = "at least 1,000 shots an iteration, 20,000 shots in 20 iterations"
        assert f"{cost}; the budget is 30,000 shots\n" in said
        assert "starting a temporary" not in said

    @pytest.mark.usefixtures("nothing_left")
    def test_of_a_machine_with_a_queue_it_shows_the_script(self, qcsc_loop: CommandLine) -> None:
        machine = {
            "type": "hpc",
            "hpc_profile": {"scheduler": "slurm"},
            "execution_profile": {"num_nodes": 2, "walltime": "00:10:00", "launcher": "srun"},
        }
        said = qcsc_loop("run", "bitcount", "--dry-run", *setting(machine=machine)).well().out
        assert "machine     hpc: Slurm, 2 nodes, 2 ranks, walltime 00:10:00, a job for each" in said
        assert "jobs        one for each call: at least 100" in said
        assert "#SBATCH --nodes=2" in said

    @pytest.mark.usefixtures("nothing_left")
    def test_it_refuses_what_a_run_would_refuse(self, qcsc_loop: CommandLine) -> None:
        machine = {"type": "hpc", "hpc_profile": {"scheduler": "slurm"}}
        words = setting(machine=machine, ranks=4)
        refusal = qcsc_loop("run", "bitcount", "--dry-run", *words)
        assert "'single' starts one rank, not 4" in refusal.refusal and refusal.out == ""
        assert "shots" in qcsc_loop("run", "bitcount", "--dry-run", "--set", "shots=-1").refusal

    def test_of_a_run_that_there_is_it_says_how_it_would_go_on(
        self, qcsc_loop: CommandLine, run_id: str
    ) -> None:
        words = ("run", f"{TOYS}:Wander", "--no-prefect", "--run-id", run_id)
        qcsc_loop(*words, "--max-iterations", "2").well()
        before = files_below(qcsc_loop.store)
        answer = qcsc_loop(*words, "--max-iterations", "5", "--dry-run", "--json").well().answer
        assert (answer["new"], answer["iterations"]) == (False, 3)
        assert f"would go on with {run_id}" in qcsc_loop(*words, "--dry-run").well().out
        assert files_below(qcsc_loop.store) == before
        json.dumps(answer)
