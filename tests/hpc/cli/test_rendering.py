"""`render`: what a machine would submit, and of an array also how."""

from __future__ import annotations

import subprocess

import pytest

from qcsc_hpc.cli import rendering
from qcsc_hpc.machine import HPCMachine, LocalMachine, Machine
from qcsc_hpc.profiles import HPCProfile
from qcsc_loop.errors import JobRefused


def rendered(machine: Machine, monkeypatch: pytest.MonkeyPatch, array: int | None = None) -> str:
    monkeypatch.setattr(rendering, "machine_named", lambda _name: machine)
    return rendering.render_script("mine", ("true",), None, array)


def on(scheduler: str, **more: object) -> HPCMachine:
    return HPCMachine(hpc_profile=HPCProfile.model_validate({"scheduler": scheduler, **more}))


@pytest.mark.parametrize(
    ("scheduler", "submission"),
    [
        ("slurm", "sbatch --parsable --array=0-999 --output=/RUN/FOLDER/0.array.job/%a.log "),
        ("pbs", "qsub -J 0-999 -o '^array_index^.log' "),
        ("pjm", "pjsub --bulk --sparam 0-999 -o %b.log "),
    ],
)
def test_an_array_s_script_is_shown_with_what_submits_it(
    scheduler: str, submission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = rendered(on(scheduler, array=True), monkeypatch, 1000)
    first, second, *_ = script.splitlines()
    assert first == "#!/bin/bash -l"
    assert second == f"# submitted by: {submission}/RUN/FOLDER/0.array.job/job.sh"
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("machine", [on("slurm"), LocalMachine()], ids=["slurm", "local"])
def test_a_machine_without_arrays_says_how_it_would_have_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JobRefused, match="give it array = true, if the site has them"):
        rendered(machine, monkeypatch, 3)


def test_the_machine_s_own_refusals_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobRefused, match="nobody says that Miyabi's qsub takes -J"):
        rendered(on("pbs", dialect="miyabi", array=True), monkeypatch, 3)
