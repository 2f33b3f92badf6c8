"""Each kind of plug-in, added by a distribution outside the tree, as a person meets it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from qiskit import QuantumCircuit

from hpc.places import Hook, Programs  # noqa: TID251  # the folder of tests
from plugins.flux import FluxInstance
from qcsc_hpc.testing import FakeSlurm
from qcsc_loop.parameters.resource import concrete
from qcsc_loop.sampling.sampler import Sampler
from qcsc_loop.steps.step import Step, stepping
from system.command_line import CommandLine, setting

LineWith = Callable[..., CommandLine]
BITCOUNT = ("run", "bitcount", "--no-prefect", "--max-iterations", "1")
SMALL = setting(num_qubits=3, shots=20)


# a sampler


def test_a_sampler_is_chosen_by_its_type(line_with: LineWith) -> None:
    line = line_with("biased_sampler")
    words = (*SMALL, *setting(**{"sampler.type": "biased", "sampler.ones": 1.0}))
    line(*BITCOUNT, *words, "--run-id", "coins").well()
    shown = line("show", "coins", "--json").well().answer
    assert shown["settings"]["parameters"]["sampler"] == {"type": "biased", "ones": 1.0}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("ones", "byte"), [(0.0, [0, 0]), (1.0, [0b11, 0xFF])])
def test_its_bits_are_packed_as_everybody_s(ones: float, byte: list[int]) -> None:
    kind: Any = importlib.import_module("biased_sampler").BiasedSampler
    circuit = QuantumCircuit(10, 10)

    async def sampled() -> Any:
        with stepping(Step()):
            return await kind(ones=ones).sample(circuit, shots=4)

    samples = anyio.run(sampled)
    assert samples.bits["c"].tolist() == [byte] * 4
    assert samples.bits["c"].dtype == np.uint8
    assert samples.num_bits == {"c": 10}


def test_one_that_is_not_installed_is_answered_with_those_that_are(line_with: LineWith) -> None:
    said = line_with()(*BITCOUNT, "--set", "sampler.type=biased").refusal
    assert "type must be one of aer, " in said


# a scheduler


def test_a_scheduler_renders_runs_and_shows(
    line_with: LineWith, flux: FluxInstance, tmp_path: Path
) -> None:
    line = line_with("flux_scheduler")
    profile = {"scheduler": "flux", "poll_seconds": 0.2}
    words = setting(
        **{
            "machine": {
                "type": "hpc",
                "hpc_profile": profile,
                "execution_profile": {"launcher": "single"},
            },
            "ranks": 1,
        }
    )
    line(*BITCOUNT, *SMALL, *words, "--run-id", "on-flux", env=flux.environment).well()
    (job,) = line("show", "on-flux", "--json").well().answer["jobs"]
    assert (job["state"], flux.job(job["job_id"])["result"]) == ("COMPLETED", "COMPLETED")
    assert job["job_id"] in line("show", "on-flux").well().out


def test_a_run_whose_scheduler_was_removed_is_listed_and_shown(
    line_with: LineWith, flux: FluxInstance, tmp_path: Path
) -> None:
    line = line_with("flux_scheduler")
    profile = {"scheduler": "flux", "poll_seconds": 0.2}
    words = setting(machine={"type": "hpc", "hpc_profile": profile}, ranks=1)
    line(*BITCOUNT, *SMALL, *words, "--run-id", "on-flux", env=flux.environment).well()
    without = {"PYTHONPATH": ""}
    assert "on-flux" in line("list", env=without).well().out
    assert "COMPLETED" in line("show", "on-flux", env=without).well().out
    said = line("resume", "on-flux", "--no-prefect", "--max-iterations", "2", env=without).refusal
    assert "there is no scheduler 'flux'; there are local, pbs, pjm, slurm" in said


# a machine


SRUN = """\
#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


@pytest.mark.anyio
@pytest.mark.usefixtures("here")
async def test_a_machine_runs_jobs_as_it_says(
    hook: Hook, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = importlib.import_module("campus_machine").CampusMachine
    with FakeSlurm(tmp_path / "slurm") as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(slurm.folder / "home"))  # its login scripts set the PATH
        srun = slurm.folder / "bin" / "srun"
        srun.write_text(SRUN)
        srun.chmod(0o755)
        done = await hook.run(kind(group="qcsc"), programs.command("env > out"), outputs=["out"])
    assert "OMP_PROC_BIND=close" in (done.value / "out").read_text()
    script = (done.value / "job.sh").read_text()
    for directive in ("--account=qcsc", "--time=01:00:00", "--ntasks-per-node=4"):
        assert f"#SBATCH {directive}\n" in script


def test_a_machine_is_chosen_by_its_type(line_with: LineWith) -> None:
    line = line_with("campus_machine")
    said = line(*BITCOUNT, *setting(**{"machine.type": "campus", "machine.nodes": 40})).refusal
    assert "machine.group is required" in said
    assert "machine.nodes: input should be less than or equal to 16" in said


# a solver


@pytest.mark.usefixtures("here")
def test_a_solver_is_chosen_by_its_type() -> None:
    from qcsc_algorithms.sqd import SQD
    from qcsc_loop.parameters.build import build

    built = build(SQD, {"solver": {"type": "lab-solver"}})
    assert type(built.solver).__name__ == "LabSolver"


# an algorithm, a stop rule, a command, a check


def test_an_algorithm_is_known_by_name_and_a_stop_rule_survives(line_with: LineWith) -> None:
    line = line_with("lab_tools")
    program = (
        "import anyio, lab_tools\n"
        "rule = lab_tools.Far(enough=3.0)\n"
        "print(anyio.run(lambda: lab_tools.Walk().run(run_id='walk', stop=rule)).message)\n"
    )
    done = line.start("-c", program, program=Path(sys.executable)).result().well()
    assert done.out.strip() == "stopped after 3 iterations (3 is far enough)"
    assert line("show", "walk", "--json").well().answer["settings"]["stop"] == {
        "type": "lab-far",
        "enough": 3.0,
    }
    assert line("resume", "walk", "--no-prefect").well()
    line("run", "lab-walk", "--no-prefect", "--max-iterations", "2", "--run-id", "again").well()


def test_a_command_is_listed_and_called(line_with: LineWith) -> None:
    line = line_with("lab_tools")
    assert "Greet NAME." in line("--help").well().out
    assert line("lab-greet", "Ada").well().out == "hello Ada\n"


def test_doctor_lists_who_offers_what(line_with: LineWith, tmp_path: Path) -> None:
    line = line_with("lab_tools", "flux_scheduler")
    nowhere = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    result = line("doctor", "--json", env=nowhere)
    found = {
        (f["what"], f["fact"]): f["well"]
        for f in json.loads(result.out.splitlines()[-1])["findings"]
    }
    assert found[("plug-ins of flux-scheduler", "qcsc_hpc.schedulers: flux")]
    assert found[("plug-ins of lab-tools", "qcsc_loop.resources: lab-rules, lab-solver")]
    assert found[("the lab's fridge", "12 mK")]
    assert not [what for what, _ in found if what.startswith("plug-ins of qcsc-loop")]


@pytest.mark.usefixtures("here")
def test_what_is_installed_later_in_a_process_is_found() -> None:
    assert "biased" in {sub.model_fields["type"].default for sub in concrete(Sampler)}


# a tracker


def test_a_tracker_is_told_of_runs_while_they_go_on_and_after(
    line_with: LineWith, tmp_path: Path
) -> None:
    line, lines = line_with("line_tracker"), tmp_path / "lines"
    line.environment["LINE_TRACKER"] = str(lines)
    line(*BITCOUNT, *SMALL, "--run-id", "coins").well()
    said = line("track", "coins", "--to", "lines", "--follow").well().out
    assert "coins: lines has it up to iteration 1" in said
    assert lines.read_text().splitlines() == ["coins 0", "coins 1", "coins limit reached"]
    resumed = ("resume", "coins", "--no-prefect", "--max-iterations", "2")
    line(*resumed).well()
    line("track", "coins", "--to", "lines").well()
    assert lines.read_text().splitlines()[3:] == ["coins 2", "coins limit reached"]
    line.environment["LINE_TRACKER"] = str(tmp_path)
    line("resume", "coins", "--no-prefect", "--max-iterations", "3").well()
    failed = line("track", "coins", "--to", "lines")
    assert failed.code == 1
    assert "coins could not be handed on to lines: IsADirectoryError" in failed.err


def test_a_tracker_that_is_not_installed_is_named(line_with: LineWith) -> None:
    line = line_with("line_tracker")
    line(*BITCOUNT, *SMALL, "--run-id", "coins").well()
    assert "did you mean 'lines'?" in line("track", "coins", "--to", "line").refusal
