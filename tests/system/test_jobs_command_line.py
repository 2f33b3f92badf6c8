"""Machines and their jobs, as a person at the terminal has them; on a real Slurm."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect import flow

from cluster.slurm import SlurmCluster
from qcsc_hpc.prefect.run_job import FinishedJob, run_job_from_blocks
from qcsc_loop.errors import InvalidParameters, JobFailed
from qcsc_loop.jobs.entries import JobRecord
from qcsc_loop.jobs.ledger import job_records
from system.command_line import Background, CommandLine, command_line, setting
from system.server import PrefectServer
from thorough import first
from waiting import line_count, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "machines.toml"
CHAIN = f"{Path(__file__).with_name('job_toys.py')}:Chain"
ALONE = ("run", CHAIN, "--no-prefect")
SMALL = setting(num_qubits=3, shots=2001, tolerance=0)


@pytest.fixture
def name() -> str:
    """Of blocks: tests share a server."""
    return f"mine-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Queue:
    """What Slurm itself says."""

    slurm: SlurmCluster

    def says(self, *words: str) -> list[list[str]]:
        environment = {**os.environ, **self.slurm.environment}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return [line.split("|") for line in done.stdout.splitlines()]

    def alive(self) -> dict[str, str]:
        """State by id of all jobs that wait or run."""
        return {row[0]: row[1] for row in self.says("squeue", "--noheader", "--format=%i|%T")}

    def of(self, run_id: str) -> list[str]:
        """Ids of all jobs that were ever taken for a run, and are over since a minute at most."""
        rows = self.says("squeue", "--states=all", "--noheader", "--format=%i|%j")
        return [row[0] for row in rows if f"-{run_id[:16]}" in row[1]]

    def fact(self, job_id: str, field: str) -> str:
        """One of a job's facts, as accounting has it in the end."""
        words = ("sacct", "-XnP", f"--jobs={job_id}", f"--format=End,Partition,{field}")
        row: list[str] = []

        def is_whole() -> bool:
            row[:] = (self.says(*words) or [[]])[0]
            return bool(row) and row[0] != "Unknown" and bool(row[1])

        until(is_whole, f"accounting knows all of job {job_id}")
        return row[2]

    def until_empty(self) -> None:
        until(lambda: not self.alive(), "the queue is empty")


@pytest.fixture
def queue(slurm: SlurmCluster) -> Iterator[Queue]:
    """Slurm's queue; empty after each test, or the test is wrong."""
    queue = Queue(slurm)
    yield queue
    left = queue.alive()
    if left:
        queue.says("scancel", *left)
        queue.until_empty()
    assert not left


@pytest.fixture
def alone(qcsc_loop: CommandLine, queue: Queue) -> CommandLine:
    """The console script on a login node, without Prefect."""
    qcsc_loop.environment |= queue.slurm.environment
    return qcsc_loop


@pytest.fixture
def with_blocks(with_server: CommandLine, queue: Queue) -> CommandLine:
    """The console script on a login node, with a Prefect server."""
    with_server.environment |= queue.slurm.environment
    return with_server


def machine(*, how: dict[str, Any] | None = None, **where: Any) -> list[str]:
    """Settings of a Slurm machine, as words of the command line."""
    profile = {"scheduler": "slurm", **where}
    return setting(machine={"type": "hpc", "hpc_profile": profile, "execution_profile": how or {}})


def jobs(line: CommandLine, run_id: str) -> list[JobRecord]:
    return job_records(line.journal(run_id).store, run_id)


WITHOUT_A_SERVER = """
import sys

from qcsc_loop.cli.main import main


def refuse(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn") and "python" in str(arguments[0]):
        raise AssertionError(f"it starts {arguments[1]}")


sys.addaudithook(refuse)
main()
"""


def without_a_server(line: CommandLine, *words: str | Path) -> str:
    """What a command says that starts no Python, so no server either."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_SERVER, *map(str, words)],
        env=line.environment,
        cwd=line.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks_file(folder: Path, name: str, **changes: str) -> Path:
    """A machine in three blocks; `changes` are lines of its tables, by what they replace."""
    text = f"""\
[hpc-profile.{name}]
scheduler = "slurm"
queue_cpu = "normal"

[execution-profile.{name}]
num_nodes = 2
launcher = "srun"
mpi_options = ["--mpi=pmi2"]

[hpc-machine.{name}]
hpc_profile_block_name = "{name}"
execution_profile_block_name = "{name}"

[command.{name}]
executable_key = "bash"
default_args = ["-c", 'echo "$0: $* of $SLURM_NNODES"; exit "${{CODE:-0}}"', "said"]
"""
    for was, line in changes.items():
        assert was in text
        text = text.replace(was, line, 1)
    file = folder / "machines.toml"
    file.write_text(text)
    return file


KINDS = ("hpc-profile", "execution-profile", "hpc-machine", "command")


def saved(server: PrefectServer, name: str) -> dict[str, dict[str, Any]]:
    """What the server has of blocks of a name, by their type."""
    rows = server.post("/block_documents/filter", {"limit": 200, "offset": 0})
    return {row["block_type"]["slug"]: row["data"] for row in rows if row["name"] == name}


def key_file(folder: Path, name: str, key: str) -> Path:
    """One with an account's key."""
    file = folder / "key.toml"
    file.write_text(f'[ibm-credentials.{name}]\napi_key = "{key}"\n')
    return file


# saved blocks


@pytest.mark.server
class TestApplyingBlocks:
    def test_what_is_not_there_is_created_and_then_kept(
        self, with_server: CommandLine, server: PrefectServer, tmp_path: Path, name: str
    ) -> None:
        file = blocks_file(tmp_path, name)
        first = with_server("blocks", "apply", file).well().out.splitlines()
        assert [line.split()[:2] for line in first] == [["create", f"{k}/{name}"] for k in KINDS]
        again = with_server("blocks", "apply", file).well().out.splitlines()
        assert again == [f"keep   {kind}/{name}" for kind in KINDS]
        assert saved(server, name)["hpc-profile"]["queue_cpu"] == "normal"

    def test_a_changed_field_is_updated_and_named(
        self, with_server: CommandLine, server: PrefectServer, tmp_path: Path, name: str
    ) -> None:
        with_server("blocks", "apply", blocks_file(tmp_path, name)).well()
        changed = blocks_file(tmp_path, name, normal="short")
        said = with_server("blocks", "apply", changed, "--json").well().answer
        assert said == [
            {"block": f"{kind}/{name}", "action": action, "fields": fields}
            for kind, action, fields in zip(
                KINDS, ["update", "keep", "keep", "keep"], [["queue_cpu"], [], [], []], strict=True
            )
        ]
        assert saved(server, name)["hpc-profile"]["queue_cpu"] == "short"

    def test_a_secret_is_kept_while_it_is_the_same_and_never_shown(
        self, with_server: CommandLine, tmp_path: Path, name: str
    ) -> None:
        said = [
            with_server("blocks", "apply", key_file(tmp_path, name, key)).well()
            for key in ("first-key", "first-key", "other-key")
        ]
        block = f"ibm-credentials/{name}"
        lines = [f"create {block}", f"keep   {block}", f"update {block}: api_key"]
        assert [each.out.splitlines() for each in said] == [[line] for line in lines]

    def test_a_dry_run_says_what_would_change_and_changes_nothing(
        self, with_server: CommandLine, server: PrefectServer, tmp_path: Path, name: str
    ) -> None:
        file = blocks_file(tmp_path, name)
        said = with_server("blocks", "apply", file, "--dry-run").well().out
        assert f"would create hpc-profile/{name}" in said
        assert saved(server, name) == {}

    @pytest.mark.parametrize(
        ("was", "line", "says"),
        [
            ("[command.", "[comand.", ("[comand…]", "did you mean 'command'?")),
            ("num_nodes", "num_node", ("'num_node'", "did you mean 'num_nodes'?")),
            ('"srun"', '"srum"', ("launcher 'srum'", "did you mean 'srun'?", "mpiexec")),
            ('scheduler = "slurm"', "", ("scheduler: Field required",)),
            ("num_nodes = 2", "num_nodes = 0", ("num_nodes", "greater than or equal to 1")),
            ("num_nodes = 2", 'walltime = "10 minutes"', ("HH:MM:SS", "'10 minutes'")),
            ('"normal"', '"normal\\n#SBATCH --x"', ("queue_cpu",)),
            ("num_nodes = 2", "num_nodes = ", ("this is not TOML",)),
        ],
        ids=[
            "a type",
            "a field",
            "a choice",
            "nothing given",
            "a number",
            "a walltime",
            "a word of two lines",
            "no TOML",
        ],
    )
    def test_a_mistake_is_one_sentence_and_nothing_is_saved(
        self,
        with_server: CommandLine,
        server: PrefectServer,
        tmp_path: Path,
        name: str,
        was: str,
        line: str,
        says: tuple[str, ...],
    ) -> None:
        result = with_server("blocks", "apply", blocks_file(tmp_path, name, **{was: line}))
        assert result.code == 2
        for words in (str(tmp_path), *says):
            assert words in result.refusal
        assert saved(server, name) == {}

    def test_all_mistakes_of_a_file_are_told_at_once(
        self, with_server: CommandLine, tmp_path: Path, name: str
    ) -> None:
        file = blocks_file(tmp_path, name, num_nodes="num_node", default_args="default_arg")
        said = with_server("blocks", "apply", file).refusal
        assert "'num_node'" in said
        assert "'default_arg'" in said

    def test_the_example_applies(self, with_server: CommandLine) -> None:
        with_server("blocks", "apply", EXAMPLE).well()
        again = with_server("blocks", "apply", EXAMPLE).well().out.splitlines()
        assert {line.split()[0] for line in again} == {"keep"}
        assert "keep   hpc-machine/fugaku" in again

    @pytest.mark.thorough
    def test_without_a_server_of_ones_own_they_are_kept_all_the_same(
        self, qcsc_loop: CommandLine, tmp_path: Path, name: str
    ) -> None:
        file = blocks_file(tmp_path, name)
        qcsc_loop("blocks", "apply", file).well()
        assert "#SBATCH --nodes=2" in without_a_server(qcsc_loop, "render", name, "--", "true")
        said = without_a_server(qcsc_loop, "blocks", "apply", "--dry-run", file)
        assert {line.split()[0] for line in said.splitlines()} == {"keep"}
        file.write_text(file.read_text().replace("num_nodes = 2", "num_nodes = 3"))
        said = without_a_server(qcsc_loop, "blocks", "apply", "--dry-run", file)
        assert f"would update execution-profile/{name}: num_nodes" in said


# a run on a machine


@pytest.mark.server
class TestARunOnAMachine:
    @pytest.fixture(scope="class")
    @classmethod
    def line(
        cls,
        tmp_path_factory: pytest.TempPathFactory,
        prefect_home: Path,
        server: PrefectServer,
        slurm: SlurmCluster,
    ) -> Iterator[CommandLine]:
        """The machines of the example are saved."""
        folder = tmp_path_factory.mktemp("machines")
        with command_line(folder, prefect_home, **server.settings, **slurm.environment) as line:
            line("blocks", "apply", EXAMPLE).well()
            yield line

    @pytest.fixture(scope="class")
    @classmethod
    def answer(cls, line: CommandLine) -> dict[str, Any]:
        """What two iterations of BitCount on two nodes gave."""
        words = ("--machine", "slurm", "--run-id", "counted", "--max-iterations", "2", "--json")
        found: dict[str, Any] = line("run", "bitcount", *words, *SMALL).well().answer
        return found

    def test_it_ends_where_a_run_on_this_machine_ends(
        self, line: CommandLine, answer: dict[str, Any]
    ) -> None:
        words = ("--machine", "local", "--no-prefect", "--max-iterations", "2", "--json")
        here = line("run", "bitcount", *words, *SMALL).well().answer
        assert answer["state_sha256"] == here["state_sha256"]
        assert answer["scalars"]["shots"] == 4002

    def test_each_iteration_was_one_job_on_two_nodes(
        self, line: CommandLine, queue: Queue, answer: dict[str, Any]
    ) -> None:
        ids = [str(job.job_id) for job in jobs(line, answer["run_id"])]
        assert queue.of(answer["run_id"]) == ids
        assert len(ids) == 2
        assert [queue.fact(job_id, "NNodes") for job_id in ids] == ["2", "2"]
        assert {queue.fact(job_id, "Partition") for job_id in ids} == {"normal"}

    def test_show_lists_its_jobs(self, line: CommandLine, answer: dict[str, Any]) -> None:
        shown = line("show", "counted").well().out
        for job in jobs(line, "counted"):
            (row,) = [row.split() for row in shown.splitlines() if row.startswith(str(job.key))]
            assert row[1:3] == [job.job_id, "COMPLETED"]
            assert row[-1] == "2"

    def test_show_tells_programs_all_about_its_jobs(
        self, line: CommandLine, answer: dict[str, Any]
    ) -> None:
        shown = line("show", "counted", "--json").well().answer["jobs"]
        assert [(job["iteration"], job["step"]) for job in shown] == [
            (1, "evaluate"),
            (2, "evaluate"),
        ]
        assert [job["job_id"] for job in shown] == [job.job_id for job in jobs(line, "counted")]
        assert {job["site"]["where"]["scheduler"] for job in shown} == {"slurm"}
        assert {job["outcome"]["state"] for job in shown} == {"COMPLETED"}
        assert {job["metrics"]["nodes"] for job in shown} == {2}

    def test_its_jobs_are_one_table_on_the_server_newest_first(
        self, line: CommandLine, server: PrefectServer, answer: dict[str, Any]
    ) -> None:
        (table,) = server.artifacts(f"{answer['run_id']}-jobs")
        assert table["type"] == "table"
        told = json.loads(table["data"])
        assert [facts["job id"] for facts in reversed(told)] == [
            job.job_id for job in jobs(line, answer["run_id"])
        ]
        for facts in told:
            assert (facts["state"], facts["exit code"], facts["nodes"]) == ("COMPLETED", 0, 2)
            assert facts["queue seconds"] >= 0 and facts["run seconds"] >= 0

    def test_an_unknown_machine_is_answered_with_the_known_ones(self, line: CommandLine) -> None:
        result = line("run", "bitcount", "--machine", "slurmm")
        assert result.code == 2
        assert "hpc-machine/slurmm" in result.refusal
        for known in ("slurm", "miyabi", "fugaku"):
            assert f"hpc-machine/{known}" in result.refusal

    def test_render_shows_the_script_and_submits_nothing(
        self, line: CommandLine, queue: Queue
    ) -> None:
        before = queue.says("squeue", "--states=all", "--noheader", "--format=%i")
        script = line("render", "slurm", "--", "./my-program", "an $argument").well().out
        assert script.startswith("#!/bin/bash -l\n#SBATCH --job-name=my-program-1-RUN-")
        assert "#SBATCH --nodes=2\n" in script
        assert "#SBATCH --time=00:10:00\n" in script
        assert "  exec ./my-program 'an $argument'" in script
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        assert queue.says("squeue", "--states=all", "--noheader", "--format=%i") == before

    def test_render_is_the_same_for_every_kind_of_scheduler(self, line: CommandLine) -> None:
        assert "#PBS -l select=2:" in line("render", "miyabi", "--", "true").well().out
        assert '#PJM -L "node=2"' in line("render", "fugaku", "--", "true").well().out

    def test_render_without_a_command_says_how(self, line: CommandLine) -> None:
        result = line("render", "slurm")
        assert result.code == 2
        assert "qcsc-loop render MACHINE -- COMMAND" in result.refusal

    def test_doctor_finds_a_machine_well(self, line: CommandLine) -> None:
        said = line("doctor", "--machine", "slurm", "--json").well().answer
        assert said["well"] is True
        found = {finding["what"] for finding in said["findings"]}
        assert {
            "MPI on 2 ranks of slurm",
            "store: seen by the nodes of slurm",
            "store: delay between here and the nodes of slurm",
        } <= found

    def test_doctor_finds_a_machine_ill_that_takes_no_job(
        self, line: CommandLine, tmp_path: Path, name: str
    ) -> None:
        line("blocks", "apply", blocks_file(tmp_path, name, normal="nowhere")).well()
        result = line("doctor", "--machine", name, "--json")
        assert result.code == 1
        (ill,) = [f for f in result.answer["findings"] if "MPI" in f["what"] and not f["well"]]
        assert "invalid partition" in ill["fact"].lower()


# a driver that is told to go, or is killed


@dataclass
class Held:
    """A run whose job runs until the gate is opened."""

    line: CommandLine
    run_id: str
    folder: Path
    driver: Background

    @property
    def job_id(self) -> str:
        job_id = jobs(self.line, self.run_id)[-1].job_id
        assert job_id is not None
        return job_id

    def open(self) -> None:
        (self.folder / "gate").touch()

    def resumed(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = self.line("resume", self.run_id, *words, "--json").well().answer
        return found

    def executed(self) -> list[str]:
        return (self.folder / "trace").read_text().splitlines()


def held(
    line: CommandLine, run_id: str, folder: Path, *words: str, runs: bool = True, **where: Any
) -> Held:
    """Once its job runs; or once it has its id, if it never does."""
    files = setting(gate=str(folder / "gate"), trace=str(folder / "trace"))
    limit = ("--run-id", run_id, "--max-iterations", "1")
    driver = line.start("run", CHAIN, *words, *limit, *files, *machine(**where))

    def is_held() -> bool:
        if runs:
            return line_count(folder / "trace") == 1
        return any(job.job_id for job in jobs(line, run_id))

    until(lambda: is_held() or driver.process.poll() is not None, "its job is held")
    assert driver.process.poll() is None, driver.result()
    return Held(line, run_id, folder, driver)


class TestSigterm:
    @pytest.fixture(params=["alone", "with_blocks"])
    def held(self, request: pytest.FixtureRequest, run_id: str, tmp_path: Path) -> Held:
        line: CommandLine = request.getfixturevalue(request.param)
        words = ("--no-prefect",) if request.param == "alone" else ()
        return held(line, run_id, tmp_path, *words)

    def test_it_leaves_the_job_and_says_so_and_resume_goes_on_with_it(
        self, held: Held, queue: Queue
    ) -> None:
        job_id = held.job_id
        held.driver.send(signal.SIGTERM)
        result = held.driver.result()
        assert result.code == 143
        assert "Traceback" not in result.out + result.err
        assert f"Left in the queue, and used by a resume: {job_id}" in result.err
        assert f"qcsc-loop resume {held.run_id}" in result.err
        assert f"qcsc-loop reap {held.run_id}" in result.err
        assert queue.alive() == {job_id: "RUNNING"}
        held.open()
        assert held.resumed("--no-prefect")["iteration"] == 1
        assert held.job_id == job_id
        assert queue.of(held.run_id) == [job_id]
        assert len(held.executed()) == 1

    def test_a_job_that_waits_is_left_too(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        waits = held(
            alone, run_id, tmp_path, "--no-prefect", runs=False, extra_directives=["--hold"]
        )
        waits.driver.send(signal.SIGTERM)
        assert waits.driver.result().code == 143
        job_id = waits.job_id
        assert queue.alive() == {job_id: "PENDING"}
        queue.says("scontrol", "release", job_id)
        waits.open()
        waits.resumed("--no-prefect")
        assert queue.of(run_id) == [job_id]


class TestCtrlC:
    @pytest.mark.parametrize("runs", [True, False], ids=["running", "waiting"])
    @pytest.mark.parametrize("prefect", ["alone", "with_blocks"])
    def test_it_ends_the_job(
        self,
        request: pytest.FixtureRequest,
        queue: Queue,
        run_id: str,
        tmp_path: Path,
        prefect: str,
        runs: bool,
    ) -> None:
        line: CommandLine = request.getfixturevalue(prefect)
        words = ("--no-prefect",) if prefect == "alone" else ()
        directives = [] if runs else ["--hold"]
        stopped = held(line, run_id, tmp_path, *words, runs=runs, extra_directives=directives)
        stopped.driver.send(signal.SIGINT)
        result = stopped.driver.result()
        assert result.code == 130
        assert "Traceback" not in result.out + result.err
        assert "Left in the queue" not in result.err
        queue.until_empty()
        (job,) = jobs(line, run_id)
        assert job.state == "CANCELLED"
        assert queue.fact(stopped.job_id, "State").startswith("CANCELLED")

    def test_a_resume_submits_another_job(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        stopped = held(alone, run_id, tmp_path, "--no-prefect")
        first = stopped.job_id
        stopped.driver.send(signal.SIGINT)
        stopped.driver.result()
        stopped.open()
        assert stopped.resumed("--no-prefect")["iteration"] == 1
        assert [job.key.attempt for job in jobs(alone, run_id)] == [0, 1]
        assert queue.of(run_id) == [first, stopped.job_id]


class TestReap:
    def test_it_ends_what_a_killed_driver_left_and_says_how(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        left = held(
            alone, run_id, tmp_path, "--no-prefect", runs=False, extra_directives=["--hold"]
        )
        job_id = left.job_id
        left.driver.kill()
        assert queue.alive() == {job_id: "PENDING"}
        said = alone("reap", run_id).well().out
        assert said == f"{jobs(alone, run_id)[0].key}: CANCELLED (job {job_id})\n"
        assert queue.alive() == {}
        assert jobs(alone, run_id)[0].state == "CANCELLED"

    def test_programs_are_told_too(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        left = held(alone, run_id, tmp_path, "--no-prefect")
        left.driver.kill()
        answer = alone("reap", run_id, "--json").well().answer
        (job,) = answer["jobs"]
        assert (answer["run_id"], answer["left"]) == (run_id, [])
        assert (job["job_id"], job["state"], job["trouble"]) == (left.job_id, "CANCELLED", "")
        queue.until_empty()

    def test_a_resume_after_it_submits_the_next_attempt(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        left = held(alone, run_id, tmp_path, "--no-prefect")
        left.driver.kill()
        alone("reap", run_id).well()
        left.open()
        assert left.resumed("--no-prefect")["iteration"] == 1
        assert [(job.key.attempt, job.state) for job in jobs(alone, run_id)] == [
            (0, "CANCELLED"),
            (1, "COMPLETED"),
        ]

    def test_it_does_not_change_how_the_run_stands(
        self, alone: CommandLine, run_id: str, tmp_path: Path
    ) -> None:
        left = held(alone, run_id, tmp_path, "--no-prefect")
        left.driver.send(signal.SIGTERM)
        left.driver.result()
        alone("reap", run_id).well()
        assert alone.status(run_id) == "interrupted"

    def test_a_run_that_is_driven_is_refused_and_not_disturbed(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        driven = held(alone, run_id, tmp_path, "--no-prefect")
        result = alone("reap", run_id)
        assert result.code == 3
        assert f"is being driven by process {driven.driver.pid} on " in result.refusal
        assert queue.alive() == {driven.job_id: "RUNNING"}
        driven.open()
        driven.driver.result().well()

    def test_a_run_without_jobs_that_could_be_alive_says_so(
        self, alone: CommandLine, run_id: str
    ) -> None:
        alone(*ALONE, "--run-id", run_id, "--max-iterations", "1", *machine()).well()
        said = alone("reap", run_id).well().out
        assert said == f"run {run_id} has no job that could be alive\n"

    def test_an_unknown_run_is_refused(self, alone: CommandLine) -> None:
        result = alone("reap", "no-such-run")
        assert result.code == 2
        assert "'no-such-run'" in result.refusal


class TestAnotherMachine:
    def test_a_run_goes_on_there(self, alone: CommandLine, queue: Queue, run_id: str) -> None:
        words = ("--no-prefect", "--json", "--max-iterations")
        alone("run", CHAIN, "--run-id", run_id, *words, "1", *machine()).well()
        answer = alone("resume", run_id, "--machine", "local", *words, "2").well().answer
        assert (answer["resumed_from"], answer["iteration"]) == (1, 2)
        whole = alone("run", CHAIN, *words, "2").well().answer
        assert answer["state_sha256"] == whole["state_sha256"]
        assert len(queue.of(run_id)) == 1

    def test_a_job_that_runs_is_still_followed_where_it_is(
        self, alone: CommandLine, queue: Queue, run_id: str, tmp_path: Path
    ) -> None:
        left = held(alone, run_id, tmp_path, "--no-prefect")
        job_id = left.job_id
        left.driver.kill()
        left.open()
        assert left.resumed("--machine", "local", "--no-prefect")["iteration"] == 1
        assert left.job_id == job_id
        assert len(left.executed()) == 1


# what cannot be


@dataclass(frozen=True)
class Refused:
    """A machine, and what the one sentence must say."""

    says: tuple[str, ...]
    where: dict[str, Any]
    how: dict[str, Any]
    more: tuple[str, ...] = ()
    code: int = 1


REFUSED = {
    "an unknown partition": Refused(
        ("REJECTED", "invalid partition name"), {"queue_cpu": "nowhere"}, {}
    ),
    "an unknown account": Refused(("REJECTED", "Invalid account"), {"project_cpu": "nobody"}, {}),
    "a partition whose nodes are too few": Refused(
        ("REJECTED", "can never start: Partition"),
        {},
        {"num_nodes": 99, "launcher": "srun"},
    ),
    "a walltime beyond the partition's": Refused(
        ("REJECTED", "can never start: Partition"),
        {"queue_cpu": "short"},
        {"walltime": "00:02:00"},
    ),
    "a malformed walltime": Refused(
        ("HH:MM:SS", "'half an hour'"), {}, {"walltime": "half an hour"}, code=2
    ),
    "ranks that do not divide by the nodes": Refused(
        ("ranks", "3 do not divide evenly over 2 nodes", "Nothing was submitted"),
        {},
        {"num_nodes": 2, "launcher": "srun"},
        ("--set", "ranks=3"),
        code=2,
    ),
    "more ranks than the launcher starts": Refused(
        ("'single' starts one rank, not 2", "srun"), {}, {"mpiprocs": 2}, code=2
    ),
    "a setting that the scheduler does not have": Refused(
        ("gfscache", "LLIO", "Nothing was submitted"), {"gfscache": "/vol0004"}, {}, code=2
    ),
}


class TestRefused:
    @pytest.mark.parametrize("refused", first(3, REFUSED.values()), ids=REFUSED)
    def test_it_is_one_sentence_and_nothing_is_left_in_the_queue(
        self, alone: CommandLine, queue: Queue, run_id: str, refused: Refused
    ) -> None:
        words = (*machine(how=refused.how, **refused.where), *refused.more)
        result = alone(*ALONE, "--run-id", run_id, "--max-iterations", "1", *words)
        assert result.code == refused.code
        for word in refused.says:
            assert word.lower() in result.refusal.lower(), result.refusal
        assert queue.alive() == {}

    def test_a_machine_without_its_commands_is_no_login_node(
        self, alone: CommandLine, queue: Queue, run_id: str
    ) -> None:
        nowhere = {"PATH": str(Path(sys.prefix) / "bin")}
        words = ("--run-id", run_id, "--max-iterations", "1", *machine())
        result = alone(*ALONE, *words, env=nowhere)
        assert result.code != 0
        assert "there is no sbatch on PATH" in result.refusal
        assert queue.of(run_id) == []

    def test_the_machine_can_be_mended_and_the_run_resumed(
        self, alone: CommandLine, run_id: str
    ) -> None:
        words = ("--run-id", run_id, "--max-iterations", "1", *machine(queue_cpu="nowhere"))
        assert alone(*ALONE, *words).code == 1
        mended = machine(queue_cpu="normal")
        answer = alone("resume", run_id, "--no-prefect", "--json", *mended).well().answer
        assert answer["iteration"] == 1

    def test_a_program_that_fails_is_told_with_its_last_words(
        self, alone: CommandLine, queue: Queue, run_id: str
    ) -> None:
        words = ("--run-id", run_id, "--max-iterations", "1", *machine(), "--set", "exit_code=7")
        result = alone(*ALONE, *words)
        assert result.code == 1
        (job_id,) = queue.of(run_id)
        assert f"link (Slurm job {job_id}) ended FAILED with exit code 7" in result.refusal
        assert "its output ends: the input is bad" in result.refusal
        assert f"qcsc-loop resume {run_id}" in result.refusal


@pytest.mark.guarantee("G25")
@pytest.mark.thorough
@pytest.mark.server
def test_a_server_that_goes_away_neither_fails_nor_repeats_a_job(
    qcsc_loop: CommandLine,
    queue: Queue,
    fragile_server: PrefectServer,
    run_id: str,
    tmp_path: Path,
) -> None:
    fragile_server.start()
    qcsc_loop.environment |= fragile_server.settings | queue.slurm.environment
    run = held(qcsc_loop, run_id, tmp_path)
    fragile_server.kill()
    run.open()
    result = run.driver.result()
    assert result.code == 0, result
    assert "Traceback" not in result.out + result.err
    assert [job.state for job in jobs(qcsc_loop, run_id)] == ["COMPLETED"]
    assert queue.of(run_id) == [run.job_id]
    assert len(run.executed()) == 1


# one job from a flow


@pytest.mark.server
# Prefect asks for its default storage with a client that it does not close
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestOneJobFromAFlow:
    @pytest.fixture(scope="class")
    @classmethod
    def blocks(
        cls,
        tmp_path_factory: pytest.TempPathFactory,
        prefect_home: Path,
        server: PrefectServer,
    ) -> str:
        """The name of a saved command, execution profile and HPC profile."""
        folder, name = tmp_path_factory.mktemp("blocks"), f"one-{secrets.token_hex(4)}"
        with command_line(folder, prefect_home, **server.settings) as line:
            line("blocks", "apply", blocks_file(folder, name)).well()
        return name

    @pytest.fixture(autouse=True)
    def _on_a_login_node(
        self, queue: Queue, monkeypatch: pytest.MonkeyPatch, in_process: Callable[[], Any]
    ) -> Iterator[None]:
        for variable, value in queue.slurm.environment.items():
            monkeypatch.setenv(variable, value)
        with in_process():
            yield

    @staticmethod
    async def job(blocks: str, work: Path, **more: Any) -> FinishedJob:
        profile = {"num_nodes": 1, "launcher": "single", "mpi_options": []}
        overrides = profile | more.pop("execution_profile_overrides", {})
        return await run_job_from_blocks(
            command_block_name=blocks,
            execution_profile_block_name=blocks,
            hpc_profile_block_name=blocks,
            work_dir=work,
            execution_profile_overrides=overrides,
            **more,
        )

    def in_a_flow(self, blocks: str, work: Path, **more: Any) -> FinishedJob:
        @flow
        async def one_job() -> FinishedJob:
            return await self.job(blocks, work, **more)

        return anyio.run(one_job)

    def test_it_gives_what_the_job_said_and_took(
        self, blocks: str, queue: Queue, tmp_path: Path
    ) -> None:
        work = tmp_path / "work"
        done = self.in_a_flow(
            blocks, work, user_args=["two words", "$HOME"], script_filename="x.sh"
        )
        assert done.output == "said: two words $HOME of 1\n"
        assert done.exit_code == 0
        assert queue.fact(done.job_id, "State") == "COMPLETED"
        assert (done.folder / "output.log").read_text() == done.output
        assert (work / "x.sh").read_bytes() == (done.folder / "job.sh").read_bytes()
        assert done.metrics.nodes == 1
        assert done.metrics.run_seconds is not None

    def test_it_is_called_as_a_program_of_the_peer_s_asks(
        self, blocks: str, queue: Queue, tmp_path: Path
    ) -> None:
        done = self.in_a_flow(blocks, tmp_path, fugaku_job_name="gbsqd/ext 1")
        assert queue.fact(done.job_id, "JobName").startswith("gbsqd-ext-1-")

    def test_the_profile_can_be_overridden_for_one_job(
        self, blocks: str, queue: Queue, tmp_path: Path
    ) -> None:
        two = {"num_nodes": 2, "launcher": "srun", "mpi_options": ["--mpi=pmi2"]}
        done = self.in_a_flow(blocks, tmp_path, execution_profile_overrides=two)
        assert done.output == "said:  of 2\n" * 2
        assert queue.fact(done.job_id, "NNodes") == "2"

    def test_an_override_that_is_no_field_is_refused(
        self, blocks: str, queue: Queue, tmp_path: Path
    ) -> None:
        before = queue.says("squeue", "--states=all", "--noheader", "--format=%i")
        with pytest.raises(InvalidParameters, match="num_node") as caught:
            self.in_a_flow(blocks, tmp_path, execution_profile_overrides={"num_node": 2})
        assert "num_nodes" in caught.value.valid
        assert queue.says("squeue", "--states=all", "--noheader", "--format=%i") == before

    def test_a_job_that_fails_is_no_result(self, blocks: str, queue: Queue, tmp_path: Path) -> None:
        with pytest.raises(JobFailed, match="ended FAILED with exit code 3") as caught:
            self.in_a_flow(
                blocks, tmp_path, execution_profile_overrides={"environments": {"CODE": "3"}}
            )
        assert (caught.value.state, caught.value.exit_code_of_job) == ("FAILED", 3)
        assert caught.value.tail == "said:  of 1\n"
        assert queue.fact(caught.value.job_id, "ExitCode") == "3:0"

    def test_its_metrics_are_a_table_of_names_and_values(
        self, blocks: str, server: PrefectServer, tmp_path: Path, name: str
    ) -> None:
        done = self.in_a_flow(blocks, tmp_path, metrics_artifact_key=name)
        (table,) = server.artifacts(name)
        facts = {row["name"]: row["value"] for row in json.loads(table["data"])}
        assert table["type"] == "table"
        assert (facts["job id"], facts["state"]) == (done.job_id, "COMPLETED")
        assert facts["nodes"] == 1

    def test_a_retry_of_the_flow_finds_the_same_job(
        self, blocks: str, queue: Queue, tmp_path: Path
    ) -> None:
        found: list[str] = []

        @flow(retries=1)
        async def fails_at_first() -> None:
            for word in ("one", "two", "two"):
                done = await self.job(blocks, tmp_path, user_args=[word])
                found.append(done.job_id)
            if len(found) == 3:
                raise RuntimeError("after its jobs")

        anyio.run(fails_at_first)
        assert found[3:] == found[:3]
        assert len(set(found)) == 3

    def test_another_flow_run_is_another_job(self, blocks: str, tmp_path: Path) -> None:
        first, second = (self.in_a_flow(blocks, tmp_path) for _ in range(2))
        assert first.job_id != second.job_id

    def test_without_a_flow_it_works_too(self, blocks: str, tmp_path: Path) -> None:
        assert anyio.run(self.job, blocks, tmp_path).output == "said:  of 1\n"
