"""Every setting of a job is honoured on every machine, or refused by its name before submission."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from qcsc_hpc.machine import HPCMachine, LocalMachine, Program, command_line
from qcsc_hpc.profiles import Command, ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers.pbs import PBS
from qcsc_hpc.schedulers.pjm import PJM
from qcsc_hpc.schedulers.scheduler import refusals
from qcsc_hpc.schedulers.slurm import Slurm
from qcsc_loop.errors import JobFailed, JobRefused
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.steps.step import Step, stepping

SCHEDULERS = ("local", "slurm", "pbs", "pjm")
KEY = JobKey(run_id="h2o", run_uid="u", iteration=3, step="evaluate", name="count")
COUNT = Command(command_name="count", executable_key="count")
HOW, WHERE = ExecutionProfile.model_fields, HPCProfile.model_fields

# a value of each setting, other than its default
EXAMPLES: dict[str, Any] = {
    "resource_class": "gpu",
    "num_nodes": 7,
    "mpiprocs": 7,
    "ompthreads": 7,
    "walltime": "07:00:00",
    "launcher": "mpirun",
    "mpi_options": ["-seven"],
    "modules": ["seven"],
    "pre_commands": ["seven"],
    "environments": {"SEVEN": "7"},
    "memory": "7G",
    "gpus_per_node": 7,
    "exclusive": True,
    "queue_cpu": "seven",
    "queue_gpu": "seven",
    "project_cpu": "seven",
    "project_gpu": "seven",
    "project_directive": "-Z {project}",
    "executable_map": {"count": "/opt/seven"},
    "qpu": "seven",
    "qpu_directive": "-Z {qpu}",
    "resources": ["seven=7"],
    "reservation": "seven",
    "constraint": "seven",
    "extra_directives": ["-Z 7"],
    "chunk": ["mpiprocs", "mem"],
    "place": "pack",
    "gfscache": "/seven",
    "spack_setup": "/seven.sh",
    "spack_modules": ["seven"],
    "mpi_options_for_pjm": ["seven=7"],
    "gpus_per_rank": 7,
    "gpu_bind": "closest",
    "module_purge": True,
    "preparation_order": ["pre_commands", "modules", "spack"],
    "rank_commands": ["seven"],
    "scratch": "/seven",
    "stage_in": ["/seven"],
    "stage_out": ["seven"],
    "warning_seconds": 7,
    "warning_signal": "USR2",
    "mail_to": "seven@example.org",
    "mail_on": ["end"],
    "qos_cpu": "seven",
    "qos_gpu": "seven",
    "licenses": ["seven:7"],
    "resources_cpu": ["seven=7"],
    "resources_gpu": ["seven=7"],
    "constraint_cpu": "seven",
    "constraint_gpu": "seven",
    "export": ["SEVEN=7"],
    "select": "{num_nodes}:seven=7",
    "array": True,
}
# settings that show only together with another
TOGETHER_WITH: dict[str, dict[str, Any]] = {
    "resource_class": {"queue_cpu": "cpus", "queue_gpu": "gpus"},
    "queue_gpu": {"resource_class": "gpu"},
    "project_gpu": {"resource_class": "gpu"},
    "project_directive": {"project_cpu": "mine"},
    "qpu_directive": {"qpu": "theirs"},
    "qos_gpu": {"resource_class": "gpu"},
    "resources_gpu": {"resource_class": "gpu"},
    "constraint_gpu": {"resource_class": "gpu"},
    "gpu_bind": {"gpus_per_node": 7},
    "stage_in": {"scratch": "/seven"},
    "stage_out": {"scratch": "/seven"},
    "warning_seconds": {"walltime": "07:00:00"},
    "warning_signal": {"walltime": "07:00:00", "warning_seconds": 7},
    "preparation_order": {"modules": ["seven"], "pre_commands": ["seven"]},
    "mail_to": {"mail_on": ["end"]},
}
# settings that are no part of a script: what they do is tested elsewhere
ELSEWHERE = {
    "profile_name",
    "command_name",
    "preset",
    "scheduler",
    "dialect",  # names
    "queue_timeout",
    "run_timeout",
    "resubmit",  # below, and in the machines' contract
    "poll_seconds",
    "command_timeout",
    "settle_seconds",
    "lost_seconds",
    "patience_seconds",
    "not_now_seconds",
    "pass_variables",
    "array_size",
}
# what a machine does whether it is asked to or not
ALWAYS = {("pjm", "exclusive"): "-L node= gives whole nodes"}
# and what it does without its script
WITHOUT_SCRIPT = {("local", "walltime"), ("pbs", "array")}


def machine(scheduler: str, settings: Mapping[str, Any]) -> HPCMachine:
    """A machine with these settings, whichever profile they belong to."""
    base = {"launcher": "mpiexec"} | dict(settings)
    return HPCMachine(
        hpc_profile=HPCProfile.model_validate(
            {"scheduler": scheduler} | {k: v for k, v in base.items() if k in WHERE}
        ),
        execution_profile=ExecutionProfile.model_validate(
            {k: v for k, v in base.items() if k in HOW}
        ),
        command=COUNT,
    )


def script(scheduler: str, settings: Mapping[str, Any]) -> str:
    """Its job's script. Raises JobRefused."""
    here = machine(scheduler, settings)
    program = [str(word) for word in command_line(here.where, COUNT, [])]
    return here.script(KEY, Path("/folder"), here.shaped(None), program)


def refused_field(scheduler: str, settings: Mapping[str, Any]) -> str | None:
    try:
        script(scheduler, settings)
    except JobRefused as error:
        return error.field
    return None


# completeness


@pytest.mark.parametrize("field", EXAMPLES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_setting_shows_in_the_script_or_is_refused(scheduler: str, field: str) -> None:
    if (scheduler, field) in ALWAYS or (scheduler, field) in WITHOUT_SCRIPT:
        assert refused_field(scheduler, {field: EXAMPLES[field]}) is None
        return
    others = TOGETHER_WITH.get(field, {})
    if refused_field(scheduler, {**others, field: EXAMPLES[field]}) == field:
        return
    if (without := refused_field(scheduler, others)) is not None:
        assert without in others  # where there is no such thing, there is nothing to say of it
        return
    shown = script(scheduler, {**others, field: EXAMPLES[field]})
    assert shown != script(scheduler, others)


def test_there_is_an_example_of_every_setting() -> None:
    assert set(EXAMPLES) | ELSEWHERE == set(HOW) | set(WHERE)
    assert set(EXAMPLES) & ELSEWHERE == set()


@pytest.mark.parametrize("field", EXAMPLES)
def test_an_example_is_not_the_default(field: str) -> None:
    info = HOW.get(field) or WHERE[field]
    assert EXAMPLES[field] != info.get_default(call_default_factory=True)


def test_all_of_a_node_s_memory_is_asked_for_where_there_are_words_for_it() -> None:
    assert "#SBATCH --mem=0\n" in script("slurm", {"memory": "0"})
    with pytest.raises(JobRefused, match="give exclusive = true"):
        script("pbs", {"memory": "0"})


@pytest.mark.parametrize("directive", ["--licenses=qpu:1", "-L qpu:1"])
def test_licences_stand_beside_a_qpu_that_is_one(directive: str) -> None:
    said = script("slurm", {"qpu": "kobe", "qpu_directive": directive, "licenses": ["abc:2", "d"]})
    assert "#SBATCH --licenses=abc:2,d,qpu:1\n" in said
    assert said.count("qpu:1") == 1


def test_a_resource_class_has_a_constraint_and_further_resources_of_its_own() -> None:
    site = {
        "resources": ["all:1"],
        "resources_gpu": ["gpu:4"],
        "constraint": "any",
        "constraint_gpu": "a100",
        "qos_cpu": "slow",
        "qos_gpu": "fast",
    }
    cpu = script("slurm", site)
    gpu = script("slurm", site | {"resource_class": "gpu"})
    for line in ("--gres=all:1", "--constraint=any", "--qos=slow"):
        assert f"#SBATCH {line}\n" in cpu
    for line in ("--gres=all:1,gpu:4", "--constraint=a100", "--qos=fast"):
        assert f"#SBATCH {line}\n" in gpu


def test_what_is_exported_goes_to_the_ranks_as_well() -> None:
    said = script("slurm", {"export": ["NONE", "RTYPE=rt_HF"]})
    assert "#SBATCH --export=NONE,RTYPE=rt_HF\n" in said
    assert "export SLURM_EXPORT_ENV=ALL\n" in said
    assert "#PBS -v RTYPE=rt_HF\n" in script("pbs", {"export": ["RTYPE=rt_HF"]})
    assert '#PJM -x "RTYPE=rt_HF"\n' in script("pjm", {"export": ["RTYPE=rt_HF"]})


@pytest.mark.parametrize("scheduler", ["pbs", "pjm"])
def test_words_of_slurm_s_export_are_refused_elsewhere(scheduler: str) -> None:
    assert refused_field(scheduler, {"export": ["NONE"]}) == "export"


def test_gpus_are_bound_only_where_some_are_asked_for() -> None:
    assert refused_field("slurm", {"gpu_bind": "closest"}) == "gpu_bind"
    assert "--gpus-per-task=1" in script("slurm", {"gpus_per_rank": 1, "launcher": "srun"})


# chunks of PBS


@pytest.mark.parametrize(
    ("field", "value"),
    [("memory", "7G"), ("gpus_per_node", 1), ("gpus_per_rank", 1), ("resources_cpu", ["a=b"])],
)
def test_what_a_select_of_one_s_own_would_leave_out_is_refused(field: str, value: Any) -> None:
    refused = refused_field("pbs", {"select": "2", field: value})
    assert refused == {"resources_cpu": "resources"}.get(field, field)


def test_a_select_of_one_s_own_is_filled_in() -> None:
    shape = {"num_nodes": 3, "mpiprocs": 2, "ompthreads": 4}
    assert select(select="{num_nodes}", **shape) == "#PBS -l select=3"
    several = "1:ncpus=8+{num_nodes}:mpiprocs={mpiprocs}:ompthreads={ompthreads}"
    said = "#PBS -l select=1:ncpus=8+3:mpiprocs=2:ompthreads=4"
    assert select(select=several, **shape) == said


def select(**settings: Any) -> str:
    lines = script("pbs", {"mpiprocs": 2, "ompthreads": 3} | settings).splitlines()
    return next(line for line in lines if line.startswith("#PBS -l select="))


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (["ncpus", "mpiprocs", "ompthreads"], "1:ncpus=6:mpiprocs=2:ompthreads=3"),
        (["mpiprocs", "ompthreads"], "1:mpiprocs=2:ompthreads=3"),
        (["ompthreads", "mem", "mpiprocs"], "1:ompthreads=3:mpiprocs=2"),
        ([], "1"),
    ],
)
def test_a_site_says_what_a_chunk_may_name(chunk: list[str], said: str) -> None:
    assert select(chunk=chunk) == f"#PBS -l select={said}"
    assert select(chunk=chunk, resources=["rt_HF=1"]) == f"#PBS -l select={said}:rt_HF=1"


@pytest.mark.parametrize(
    ("settings", "field", "part"),
    [({"memory": "7G"}, "memory", "mem"), ({"gpus_per_node": 7}, "gpus_per_node", "ngpus")],
)
def test_what_a_chunk_may_not_name_is_refused(
    settings: dict[str, Any], field: str, part: str
) -> None:
    with pytest.raises(JobRefused) as caught:
        script("pbs", {"chunk": ["mpiprocs"], **settings})
    assert caught.value.field == field
    assert f"a chunk has no {part} there" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ["#PBS -l place=scatter"]),
        ({"exclusive": True}, ["#PBS -l place=scatter:excl"]),
        ({"place": "pack:shared"}, ["#PBS -l place=pack:shared"]),
        ({"place": ""}, []),
        ({"place": "", "exclusive": True}, ["#PBS -l place=excl"]),
    ],
)
def test_a_site_says_how_chunks_are_placed(settings: dict[str, Any], said: list[str]) -> None:
    lines = script("pbs", settings).splitlines()
    assert [line for line in lines if "place=" in line] == said


@pytest.mark.parametrize("settings", [{"run_timeout": 0.3}, {"walltime": "00:00:01"}], ids=str)
def test_on_this_machine_a_job_is_ended_in_time(tmp_path: Path, settings: dict[str, Any]) -> None:
    here = machine("local", settings | {"launcher": "single"})
    sleeper = Command(command_name="sleeper", executable_key="sleep")
    here = here.model_copy(update={"command": None})
    with (
        stepping(Step(make_folder=lambda: tmp_path)),
        pytest.raises(JobFailed, match=r"ended TIMEOUT: it ran longer than .* and was killed"),
    ):
        anyio.run(lambda: here.run(sleeper, ["600"], collect=lambda _: None))


# the sentences


@pytest.mark.parametrize("kind", [Slurm, PBS, PJM])
def test_only_settings_that_exist_are_refused(kind: type[Slurm | PBS | PJM]) -> None:
    assert set(kind.refused) <= set(HOW) | set(WHERE)


REFUSED = [
    (scheduler, field, why)
    for scheduler in SCHEDULERS
    for field, why in machine(scheduler, {}).dialect().refused.items()
]


@pytest.mark.parametrize(("scheduler", "field", "why"), REFUSED, ids=str)
def test_a_refusal_says_what_to_do_instead(scheduler: str, field: str, why: str) -> None:
    settings = {**TOGETHER_WITH.get(field, {}), field: EXAMPLES.get(field, 60.0)}
    here = machine(scheduler, settings)
    assert refusals(here.dialect(), here.how)[field] == why
    with pytest.raises(JobRefused) as caught:
        here.shaped(None)
    said = refusals(here.dialect(), here.how)[caught.value.field]
    assert f"cannot run this job: {caught.value.field}: {said}. Nothing was submitted." in str(
        caught.value
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_settings_as_they_are_by_default_are_refused_nowhere(scheduler: str) -> None:
    here = machine(scheduler, {})
    assert refusals(here.dialect(), here.how) == {}


def test_all_that_is_refused_is_told_by_name() -> None:
    here = machine("local", {"memory": "7G", "queue_cpu": "seven", "walltime": "01:00:00"})
    assert set(refusals(here.dialect(), here.how)) == {"memory", "queue_cpu"}


def test_a_refused_job_leaves_nothing_behind(tmp_path: Path) -> None:
    here = machine("pbs", {"gfscache": "/seven"})
    with stepping(Step(make_folder=lambda: tmp_path)), pytest.raises(JobRefused, match="gfscache"):
        anyio.run(lambda: here.run(COUNT, [], collect=lambda _: None))
    assert list(tmp_path.iterdir()) == []


# ranks


def shaped(ranks: int | None, **settings: Any) -> ExecutionProfile:
    return machine("slurm", settings).shaped(ranks)


@pytest.mark.parametrize(("ranks", "per_node"), [(None, 3), (2, 1), (4, 2), (6, 3), (20, 10)])
def test_ranks_are_spread_evenly_over_the_nodes(ranks: int | None, per_node: int) -> None:
    how = shaped(ranks, num_nodes=2, mpiprocs=3)
    assert (how.num_nodes, how.mpiprocs) == (2, per_node)


@pytest.mark.parametrize("ranks", [1, 3, 7])
def test_ranks_that_do_not_spread_evenly_are_refused(ranks: int) -> None:
    with pytest.raises(JobRefused, match=f"ranks: {ranks} do not divide evenly over 2 nodes"):
        shaped(ranks, num_nodes=2, mpiprocs=3)


@pytest.mark.parametrize("ranks", [0, -1, -2])
@pytest.mark.parametrize("nodes", [1, 2])
def test_no_ranks_are_refused(nodes: int, ranks: int) -> None:
    with pytest.raises(JobRefused, match="ranks"):
        shaped(ranks, num_nodes=nodes)


@pytest.mark.parametrize("settings", [{"mpiprocs": 2}, {"num_nodes": 2}], ids=str)
def test_several_ranks_without_a_launcher_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(JobRefused, match="'single' starts one rank, not 2; take srun, mpiexec"):
        shaped(None, launcher="single", **settings)


def test_ranks_that_an_algorithm_asks_for_need_a_launcher_too() -> None:
    with pytest.raises(JobRefused, match="launcher"):
        shaped(2, launcher="single")


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_options_of_a_launcher_that_there_is_not_are_refused(scheduler: str) -> None:
    here = machine(scheduler, {"launcher": "single", "mpi_options": ["-seven"]})
    with pytest.raises(JobRefused, match="mpi_options"):
        here.shaped(None)


# programs


def words(program: Program | Command, **executables: str) -> list[str]:
    where = HPCProfile(scheduler="slurm", executable_map=executables)
    return [str(word) for word in command_line(where, program, ["10", Path("/in put")])]


COUNTING = Program("bitcount", "qcsc_hpc.mpi.bitcount")


def test_a_program_is_a_module_run_by_the_site_s_python() -> None:
    assert words(COUNTING, python="/opt/my python") == [
        "/opt/my python",
        "-m",
        "mpi4py",
        "-m",
        "qcsc_hpc.mpi.bitcount",
        "10",
        "/in put",
    ]


def test_a_site_may_have_a_program_of_its_own() -> None:
    assert words(COUNTING, bitcount="/opt/bit count") == ["/opt/bit count", "10", "/in put"]


def test_a_program_without_ranks_is_not_run_through_mpi4py() -> None:
    program = Program("runner", "some.runner", mpi=False)
    assert words(program, python="python3") == ["python3", "-m", "some.runner", "10", "/in put"]


def test_a_command_is_what_the_site_has_under_its_key() -> None:
    command = Command(command_name="c", executable_key="dice", default_args=["--fast", "a b"])
    assert words(command, dice="/opt/dice") == ["/opt/dice", "--fast", "a b", "10", "/in put"]


def test_a_command_that_the_site_does_not_list_is_a_path_or_a_name() -> None:
    command = Command(command_name="c", executable_key="/usr/bin/dice")
    assert words(command) == ["/usr/bin/dice", "10", "/in put"]


def test_a_machine_may_have_a_command_in_a_program_s_place(tmp_path: Path) -> None:
    here = HPCMachine(
        hpc_profile=HPCProfile(scheduler="local", executable_map={"say": "/bin/echo"}),
        command=Command(command_name="echo", executable_key="say", default_args=["hello"]),
    )
    with stepping(Step(make_folder=lambda: tmp_path)):
        job = anyio.run(lambda: here.run(COUNTING, ["10"], collect=lambda folder: folder))
    assert (job / "output.log").read_text() == "hello 10\n"


def test_this_machine_is_refused_nothing_that_it_can_be_asked_for() -> None:
    here = LocalMachine(ranks=3, threads=2)
    assert (here.shaped(None).ranks, here.shaped(5).ranks) == (3, 5)
