"""The two tutorials' programs: on a real Slurm with a local IBM Quantum, and on Miyabi's commands."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry

import qcsc_hpc
import qcsc_loop
from cluster.slurm import SlurmCluster
from qcsc_hpc.prefect.blocks import command_block, execution_profile, hpc_profile
from qcsc_hpc.prefect.slurm_job import METRICS, PyFunctionJob, SlurmJobBlock
from qcsc_hpc.testing import FakePBS
from qcsc_loop.errors import BadFunction, InvalidParameters
from qcsc_loop.testing import FakeIBMQuantum
from system.command_line import CommandLine
from system.function_toys import averaged
from system.server import PrefectServer
from waiting import until

pytestmark = [
    pytest.mark.server,
    # Prefect asks for its default storage with a client that it does not close
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

EXAMPLES = Path(__file__).parents[2] / "examples" / "tutorials"
QPU = "ibm_manila"
# a job gets the site's environment, and these packages need not be installed there
HERE = os.pathsep.join(
    [
        *(str(Path(str(p.__file__)).parents[1]) for p in (qcsc_hpc, qcsc_loop)),
        str(Path(__file__).parents[1]),
    ]
)


def example(name: str) -> ModuleType:
    """A program of the examples, as a module; one and the same for all tests."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def executable(folder: Path, program: str) -> str:
    """A program of the examples as a file that nodes can run."""
    path = folder / program.removesuffix(".py")
    words = shlex.join([sys.executable, str(EXAMPLES / program)])
    path.write_text(f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(HERE)}\nexec {words} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def name() -> str:
    """Of blocks: tests share a server."""
    return f"mine-{secrets.token_hex(4)}"


@pytest.fixture
def connected(in_process: Callable[[], Any]) -> Iterator[None]:
    with in_process():
        yield


def taken(slurm: SlurmCluster) -> list[str]:
    """Ids of all jobs that Slurm has taken in the last minute."""
    environment = {**os.environ, **slurm.environment}
    words = ["squeue", "--states=all", "--noheader", "--format=%i"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())


@pytest.fixture
def on_slurm(slurm: SlurmCluster, connected: None, monkeypatch: pytest.MonkeyPatch) -> SlurmCluster:
    for variable, value in slurm.environment.items():
        monkeypatch.setenv(variable, value)
    return slurm


# the Slurm tutorial


def saved_bit_count(name: str, root: Path, ibm: FakeIBMQuantum) -> None:
    """The two blocks that its flow loads."""
    tutorial = example("slurm_bitcount")
    at: dict[str, Any] = {"work_root": str(root), "executor": "sbatch", "partition": "normal"}
    runner = tutorial.TaskRunner(
        executable=str(Path(sys.prefix) / "bin" / "task_runner"),
        backend_name=QPU,
        environments=ibm.qrmi_environment(QPU),
        **at,
    )
    counter = tutorial.BitCounter(
        executable=executable(root, "get_counts.py"),
        launcher="srun",
        num_nodes=2,
        mpiprocs=1,
        mpi_options=["--mpi=pmi2"],
        walltime="600",
        **at,
    )

    async def save() -> None:
        await runner.asave(name)
        await counter.asave(name)

    anyio.run(save)


def test_the_slurm_tutorial_s_program_samples_and_counts(
    on_slurm: SlurmCluster, server: PrefectServer, tmp_path: Path, name: str
) -> None:
    with FakeIBMQuantum() as ibm:
        saved_bit_count(name, tmp_path, ibm)
        before = taken(on_slurm)
        counts = anyio.run(example("slurm_bitcount").bit_count, name, 101)
    assert sum(counts.values()) == 101
    assert set(counts) <= {format(n, "05b") for n in range(32)}
    assert len(set(taken(on_slurm)) - set(before)) == 2
    (table,) = [json.loads(one["data"]) for one in server.artifacts("sampler-count-dict")][-1:]
    assert table == [list(counts), list(counts.values())]
    facts = {row["name"]: row["value"] for row in json.loads(server.artifacts(METRICS)[-1]["data"])}
    assert facts["state"] == "COMPLETED"
    assert facts["job id"] in taken(on_slurm)
    assert list(tmp_path.glob("job_*")) == []


KILLED = """
import sys
from uuid import UUID
import anyio
from pathlib import Path
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from qcsc_hpc.prefect.slurm_job import SlurmJobBlock

root, flow_run_id = sys.argv[1:]

@flow(name="killed")
async def killed() -> str:
    said = ""
    for word in ("one", "two"):
        block = SlurmJobBlock(work_root=root, executable=f"{root}/program", executor="sbatch")
        with block.get_executor() as executor:
            (executor.work_dir / "word").write_text(word)
            code = await executor.execute_job(
                arguments=[executor.work_dir / "word"], **block.get_job_variables()
            )
            assert code == 0
            said += (executor.work_dir / "out").read_text()
    Path(root, "said").write_text(said)
    return said

async def main():
    async with get_client() as client:
        flow_run = await client.read_flow_run(UUID(flow_run_id))
    await run_flow(killed, flow_run=flow_run)

anyio.run(main)
"""
WAITS = """#!/bin/sh
cat "$1" >> '{root}/worked'
until [ -e "{root}/go-$(cat "$1")" ]; do sleep 0.05; done
cat "$1" > out
"""


@pytest.mark.parametrize("word", ["one", "two"])
def test_a_killed_flow_run_that_is_retried_submits_nothing_twice(
    on_slurm: SlurmCluster, server: PrefectServer, tmp_path: Path, word: str
) -> None:
    root = tmp_path / "work root"
    root.mkdir()
    (root / "program").write_text(WAITS.format(root=root))
    (root / "program").chmod(0o755)
    if word == "two":  # the first job ends by itself: the driver dies in the second
        (root / "go-one").touch()
    (tmp_path / "killed.py").write_text(KILLED)

    @flow(name="killed")
    async def killed() -> None:
        pass

    async def made() -> str:
        async with get_client() as client:
            return str((await client.create_flow_run(killed)).id)

    flow_run_id = anyio.run(made)
    words = [sys.executable, str(tmp_path / "killed.py"), str(root), flow_run_id]
    environment = {**os.environ, **server.settings, "PYTHONPATH": HERE}
    before = taken(on_slurm)
    with subprocess.Popen(words, env=environment, start_new_session=True) as driver:
        worked = {"one": "one", "two": "onetwo"}[word]
        until(
            lambda: (
                driver.poll() is not None
                or ((root / "worked").exists() and (root / "worked").read_text() == worked)
            ),
            "the job works",
        )
        assert driver.poll() is None
        driver.send_signal(signal.SIGKILL)
        driver.wait()

    async def awaiting() -> None:
        async with get_client() as client:
            await client.set_flow_run_state(UUID(flow_run_id), AwaitingRetry(), force=True)

    anyio.run(awaiting)
    with subprocess.Popen(words, env=environment, start_new_session=True) as driver:
        (root / "go-one").touch()
        (root / "go-two").touch()
        assert driver.wait(120) == 0
    assert (root / "said").read_text() == "onetwo"
    assert (root / "worked").read_text() == "onetwo"
    assert len(set(taken(on_slurm)) - set(before)) == 2


# the block itself, on this machine


@pytest.fixture
def block(tmp_path: Path, connected: None) -> SlurmJobBlock:
    return SlurmJobBlock(work_root=str(tmp_path), executable="/bin/sh")


async def run(block: SlurmJobBlock, *arguments: str, **more: Any) -> tuple[int, dict[str, str]]:
    """The exit code, and what is in the folder after the job."""
    with block.get_executor() as executor:
        (executor.work_dir / "in").write_text("given")
        variables = {**block.get_job_variables(), **more.pop("variables", {})}
        words = [word.format(folder=executor.work_dir) for word in arguments]
        code = await executor.execute_job(arguments=words, **variables, **more)
        return code, {p.name: p.read_text() for p in executor.work_dir.iterdir() if p.is_file()}


def test_a_job_s_files_are_there_before_and_after_it(block: SlurmJobBlock) -> None:
    script = "cp {folder}/in {folder}/out; echo more >> in; test $0 = {folder}/in"
    code, files = anyio.run(run, block, "-c", script)
    assert (code, files) == (1, {"in": "givenmore\n", "out": "given"})  # ./in is not {folder}/in


def test_the_exit_code_of_a_program_is_returned(block: SlurmJobBlock) -> None:
    assert anyio.run(run, block, "-c", "exit 7")[0] == 7


def test_a_job_that_runs_too_long_is_a_timeout(block: SlurmJobBlock) -> None:
    async def late() -> None:
        await run(block, "-c", "sleep 600", timeout=0.3)

    with pytest.raises(TimeoutError, match="longer than"):
        anyio.run(late)


def test_a_variable_that_there_is_not_is_refused_by_its_name(block: SlurmJobBlock) -> None:
    async def wrong() -> None:
        await run(block, "-c", "true", variables={"num_node": 2})

    with pytest.raises(InvalidParameters, match="there is no variable 'num_node'"):
        anyio.run(wrong)


def test_a_name_that_the_job_s_own_folder_needs_is_refused(block: SlurmJobBlock) -> None:
    async def wrong() -> None:
        with block.get_executor() as executor:
            (executor.work_dir / "job.sh").touch()
            await executor.execute_job(**block.get_job_variables())

    with pytest.raises(InvalidParameters, match=r"job\.sh is a name that"):
        anyio.run(wrong)


def test_there_is_no_folder_outside_of_the_block(block: SlurmJobBlock) -> None:
    with pytest.raises(RuntimeError, match="only inside"):
        _ = block.get_executor().work_dir


# a function as a job


def test_a_function_is_a_job_and_a_retry_finds_its_result(tmp_path: Path, connected: None) -> None:
    job = PyFunctionJob(
        work_root=str(tmp_path), executable=sys.executable, environments={"PYTHONPATH": HERE}
    )
    found: list[float] = []

    @flow(retries=1)
    async def fails_at_first() -> None:
        for numbers in ([1.0, 2.0], [1.0, 2.0], [5.0]):
            mean = await job.run(averaged, str(tmp_path / "calls"), numbers=numbers)
            found.append(mean)
        if len(found) == 3:
            raise RuntimeError("after its jobs")

    anyio.run(fails_at_first)
    assert found == [1.5, 1.5, 5.0] * 2
    assert (tmp_path / "calls").read_text() == "called\n" * 3


def test_a_function_that_nodes_cannot_find_is_refused(tmp_path: Path, connected: None) -> None:
    def here() -> int:
        return 1

    job = PyFunctionJob(work_root=str(tmp_path), executable=sys.executable)
    with pytest.raises(BadFunction, match="defined in another function"):
        anyio.run(job.run, here)


# the Miyabi tutorial, and the blocks of its package


COMMAND = {"command_name": "diag", "executable_key": "diag", "description": None}
HOW = {
    "profile_name": "diag",
    "command_name": "diag",
    "num_nodes": 1,
    "mpiprocs": 2,
    "walltime": "00:05:00",
    "launcher": "mpiexec.hydra",
    "mpi_options": ["-launcher", "fork"],
}
WHERE: dict[str, Any] = {
    "hpc_target": "miyabi",
    "queue_cpu": "regular-c",
    "project_cpu": "gz00",
    "gfscache": None,
    "pjm_resources": [],
}


def save_theirs(server: PrefectServer, name: str, where: dict[str, Any]) -> None:
    """As its classes would; they would take the place of ours in this process."""
    for slug, data in (
        ("hpc-command", COMMAND),
        ("execution-profile", HOW),
        ("hpc-profile", where),
    ):
        known = httpx.get(f"{server.url}/block_types/slug/{slug}", timeout=30)
        if known.is_success:
            kind = known.json()
        else:
            kind = server.post("/block_types/", {"name": slug, "slug": slug})
        fields = {"title": slug, "type": "object", "properties": {key: {} for key in data}}
        schema = server.post("/block_schemas/", {"block_type_id": kind["id"], "fields": fields})
        ids = {"block_type_id": kind["id"], "block_schema_id": schema["id"]}
        server.post("/block_documents/", {"name": name, "data": data, **ids})


def test_blocks_of_the_peer_are_imported_and_it_is_said_what_each_became(
    with_server: CommandLine, server: PrefectServer, connected: None, name: str
) -> None:
    site = {**WHERE, "hpc_target": "slurm", "slurm_qpu": "ibm_kobe", "slurm_memory": "64G"}
    save_theirs(server, name, site)
    would = with_server("blocks", "import", "--dry-run").well().out
    assert f"would create command/{name}" in would
    done = with_server("blocks", "import", "--json").well().answer
    rows = {row["block"]: row for row in done if name in row["block"]}
    assert {block: row["action"] for block, row in rows.items()} == {
        f"command/{name}": "create",
        f"execution-profile/{name}": "keep",
        f"hpc-profile/{name}-loop": "create",
    }
    (note,) = rows[f"hpc-profile/{name}-loop"]["notes"]
    assert note == "slurm_memory = 64G: give it as memory in the execution profile"
    again = with_server("blocks", "import").well().out
    assert f"keep   hpc-profile/{name}-loop" in again

    async def ours(where: str) -> tuple[Any, Any, Any]:
        return (
            (await command_block(name)).to_settings(),
            (await execution_profile(name)).to_settings(),
            (await hpc_profile(where)).to_settings(),
        )

    what, how, where = anyio.run(ours, f"{name}-loop")
    assert anyio.run(ours, name) == (what, how, where)  # it serves as it is, too
    assert (what.executable_key, how.ranks, how.launcher) == ("diag", 2, "mpiexec.hydra")
    assert (where.scheduler, where.queue_cpu, where.qpu) == ("slurm", "regular-c", "ibm_kobe")


def test_the_miyabi_tutorial_s_program_finds_the_lowest_eigenvalue_with_the_peer_s_own_blocks(
    connected: None,
    server: PrefectServer,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "programs"
    root.mkdir()
    programs = {
        "diag": executable(root, "lowest_eigenvalue.py"),
        "mpiexec.hydra": str(Path(sys.prefix) / "bin" / "mpiexec.hydra"),
    }
    save_theirs(server, name, {**WHERE, "executable_map": programs})
    with FakePBS(tmp_path / "fake", dialect="miyabi") as miyabi:
        for variable, value in miyabi.environment.items():
            monkeypatch.setenv(variable, value)
        lowest = anyio.run(example("miyabi_diag").miyabi_diag, str(tmp_path / "work"), name)
        assert len(miyabi.jobs()) == 1
        miyabi.stop()
    assert lowest == pytest.approx(-2.0, abs=1e-6)
    assert "#PBS -W group_list=gz00" in (tmp_path / "work" / "diag.sh").read_text()
    facts = json.loads(server.artifacts("miyabi-diag-metrics")[-1]["data"])
    assert {row["name"]: row["value"] for row in facts}["state"] == "COMPLETED"
