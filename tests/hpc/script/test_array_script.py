"""An array's script: as it is kept in `golden/`, and as it behaves when bash runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hpc.script.test_job_script import GOLDEN, KEY, REWRITE, RICH  # noqa: TID251  # as there
from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers import scheduler_for
from qcsc_hpc.script.array_folder import ArrayFolder, array_key, arrays_in, make_array_folder
from qcsc_hpc.script.array_script import render_array
from qcsc_hpc.script.job_folder import FOLDER_EXIT

NUMBERS = {"slurm": "SLURM_ARRAY_TASK_ID", "pbs": "PBS_ARRAY_INDEX", "pjm": "PJM_BULKNUM"}
STRANGE = 'it\'s "$(touch pwned)" `x` $HOME\nünï% \\ *?[x] \t '


def rendered(scheduler: str, folder: Path, size: int) -> str:
    where = HPCProfile(scheduler=scheduler, array=True, queue_cpu="cpu")
    return render_array(scheduler_for(where), RICH, array_key(KEY, 0), folder, size)


@pytest.mark.parametrize("scheduler", NUMBERS)
def test_the_script_is_as_it_was(scheduler: str) -> None:
    script = rendered(scheduler, Path("/work/gz00/u's runs/h2o/3/evaluate/0.array.job"), 1000)
    path = GOLDEN / f"array-{scheduler}.sh"
    if REWRITE:
        path.write_text(script)
    assert script == path.read_text()


def filled(step: Path, scheduler: str, *, forward: bool) -> tuple[ArrayFolder, list[Path]]:
    """An array of two jobs, of which each says what it is."""
    folders = [step / "one" / "a.0.job", step / STRANGE / "a.0.job"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "job.sh").write_text(f"echo {folder.parent.name == STRANGE}; pwd >> where\n")
    array = make_array_folder(step)
    array.fill(rendered(scheduler, array.path, 2), folders, forward=forward)
    return array, folders


def run(array: ArrayFolder, scheduler: str, number: str) -> int:
    environment = {**os.environ, NUMBERS[scheduler]: number}
    return subprocess.run(["bash", array.script], env=environment, check=False).returncode


@pytest.mark.parametrize("scheduler", NUMBERS)
def test_each_element_is_the_job_of_its_folder(scheduler: str, tmp_path: Path) -> None:
    array, folders = filled(tmp_path / STRANGE, scheduler, forward=False)
    for number, folder in enumerate(folders):
        assert run(array, scheduler, str(number)) == 0
        assert (folder / "where").read_text() == f"{folder}\n"


def test_what_slurm_writes_of_an_element_is_in_the_job_s_own_output(tmp_path: Path) -> None:
    array, folders = filled(tmp_path, "slurm", forward=True)
    for number, folder in enumerate(folders):
        run(array, "slurm", str(number))
        with (array.path / f"{number}.log").open("a") as slurm:
            slurm.write("slurmstepd: error\n")
        assert (folder / "output.log").read_text() == f"{number == 1}\nslurmstepd: error\n"


def test_what_pbs_says_of_an_element_is_shown_with_the_job(tmp_path: Path) -> None:
    array, folders = filled(tmp_path, "pbs", forward=False)
    (array.path / "1.log").write_text("a login that failed\n")
    assert (folders[1] / "scheduler.log").read_text() == "a login that failed\n"


@pytest.mark.parametrize("number", ["2", "-1", "", "x"])
def test_a_number_without_a_job_is_none(tmp_path: Path, number: str) -> None:
    array, folders = filled(tmp_path, "slurm", forward=True)
    assert run(array, "slurm", number) == FOLDER_EXIT or not (folders[1] / "where").exists()


def test_a_list_tells_each_job_s_number(tmp_path: Path) -> None:
    array, folders = filled(tmp_path, "slurm", forward=True)
    (read,) = arrays_in(tmp_path)
    assert [read.number_of(folder) for folder in folders] == [0, 1]
    assert [read.folder_of(number) for number in (0, 1, 2)] == [*folders, None]
    assert read.number_of(tmp_path / "another" / "a.0.job") is None
    assert read == array


def test_an_array_without_a_list_was_not_submitted(tmp_path: Path) -> None:
    array = make_array_folder(tmp_path)
    assert array.elements == {}
    assert make_array_folder(tmp_path).number == array.number + 1


def test_what_was_certainly_not_taken_leaves_nothing(tmp_path: Path) -> None:
    array, _ = filled(tmp_path, "slurm", forward=True)
    array.take_back()
    assert arrays_in(tmp_path) == []
