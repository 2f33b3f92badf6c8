"""What blocks of qcsc-prefect are here, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from qcsc_hpc.prefect.peer_blocks import became
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_loop.errors import InvalidParameters

# as its form sends them: fields of all targets
SITE: dict[str, Any] = {
    "queue_cpu": "regular-c",
    "queue_gpu": "regular-g",
    "project_cpu": "gz00",
    "project_gpu": "",
    "executable_map": {"diag": "/opt/diag"},
    "gfscache": None,
    "spack_modules": [],
    "mpi_options_for_pjm": [],
    "pjm_resources": [],
}


def where(**fields: Any) -> HPCProfile:
    settings = became("hpc-profile", "mine", {**SITE, **fields}).settings
    assert isinstance(settings, HPCProfile)
    return settings


def test_a_site_is_a_preset() -> None:
    found = where(hpc_target="miyabi")
    assert (found.scheduler, found.dialect, found.queue_gpu) == ("pbs", "miyabi", "regular-g")
    assert (found.executable_map, found.gfscache) == ({"diag": "/opt/diag"}, "")


def test_of_pjm_are_its_volume_its_options_and_its_resources() -> None:
    found = where(
        hpc_target="fugaku", pjm_resources=["freq=2200"], mpi_options_for_pjm=["rank-map-bychip"]
    )
    assert found.gfscache == "/vol0002"
    assert found.resources == ["freq=2200"]
    assert found.mpi_options_for_pjm == ["rank-map-bychip"]
    assert where(hpc_target="fugaku", gfscache="/vol0004").gfscache == "/vol0004"


def test_of_slurm_are_its_qpu_and_its_directives() -> None:
    found = where(
        hpc_target="slurm", slurm_qpu="ibm_kobe", slurm_extra_directives=["--nice"], gfscache="/v"
    )
    assert (found.scheduler, found.qpu, found.gfscache) == ("slurm", "ibm_kobe", "")
    assert found.extra_directives == ["--nice"]


@pytest.mark.parametrize(
    ("field", "value", "cure"),
    [("slurm_memory", "64G", "memory"), ("slurm_ntasks", 8, "nodes and ranks per node")],
)
def test_what_is_of_a_job_here_is_said(field: str, value: Any, cure: str) -> None:
    (note,) = became("hpc-profile", "mine", {**SITE, "hpc_target": "slurm", field: value}).notes
    assert note.startswith(f"{field} = {value}: ")
    assert cure in note


def test_this_machine_has_no_queue() -> None:
    assert where(hpc_target="local").queue_cpu == ""


def test_a_target_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidParameters, match="preset 'elsewhere' is not known"):
        where(hpc_target="elsewhere")


def test_a_command_and_an_execution_profile_are_what_they_were() -> None:
    given = {"command_name": "diag", "executable_key": "diag", "description": None}
    assert became("hpc-command", "diag", given).settings == Command(
        command_name="diag", executable_key="diag"
    )
    how = {"profile_name": "diag", "command_name": "diag", "mpiprocs": 4, "launcher": "mpiexec"}
    found = became("execution-profile", "diag", how)
    assert found.block == "execution-profile/diag"
    assert found.settings == ExecutionProfile.model_validate(how)
