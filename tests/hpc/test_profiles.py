"""WHAT, HOW and WHERE: what can be asked for, and what is refused in the settings already."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from qcsc_hpc.profiles import (
    Command,
    ExecutionProfile,
    HPCProfile,
    clock,
    dialects,
    presets,
    walltime_seconds,
)
from qcsc_hpc.schedulers.command_set import command_set
from qcsc_loop.jobs.outcome import JobState

RICH = {
    "how": ExecutionProfile(
        profile_name="two nodes",
        command_name="bitcount",
        resource_class="gpu",
        num_nodes=2,
        mpiprocs=3,
        ompthreads=4,
        walltime="00:30:00",
        launcher="srun",
        mpi_options=["--mpi=pmi2"],
        modules=["mpi/4.1"],
        pre_commands=["ulimit -s unlimited"],
        environments={"A": "b c"},
        memory="16G",
        gpus_per_node=1,
        exclusive=True,
        queue_timeout=60.0,
        run_timeout=3600.0,
        resubmit={JobState.NODE_FAIL: 7},
    ),
    "where": HPCProfile(
        scheduler="slurm",
        queue_cpu="cpu",
        queue_gpu="gpu",
        project_cpu="gz00",
        executable_map={"bitcount": "/opt/bit count"},
        resources=["license=1"],
        extra_directives=["--mail-type=END"],
        poll_seconds=0.5,
    ),
    "what": Command(command_name="count", executable_key="bitcount", default_args=["--fast"]),
}


def problems(kind: type[Any], **given: object) -> str:
    """What is said of settings that are refused."""
    with pytest.raises(ValidationError) as caught:
        kind(**given)
    return str(caught.value)


# walltime


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:30:00", 1800),
        ("0:30:00", 1800),
        ("1:00:00", 3600),
        ("24:00:00", 86400),
        ("100:00:01", 360001),
        ("00:00:01", 1),
        ("2-00:00:00", 172800),
        ("1-02:03:04", 93784),
        ("30:00", 1800),
        ("05:07", 307),
    ],
)
def test_a_walltime_is_so_many_seconds(text: str, seconds: int) -> None:
    assert walltime_seconds(text) == seconds
    assert ExecutionProfile(walltime=text).walltime_seconds == seconds


@pytest.mark.parametrize(
    ("given", "kept"), [("2-00:00:00", "48:00:00"), ("30:00", "00:30:00"), ("1:02:03", "01:02:03")]
)
def test_a_walltime_is_kept_as_every_scheduler_reads_it(given: str, kept: str) -> None:
    assert ExecutionProfile(walltime=given).walltime == kept


@pytest.mark.parametrize("seconds", [1, 59, 60, 3599, 3600, 86399, 86400, 360001])
def test_a_time_on_the_clock_is_read_back_as_the_same_seconds(seconds: int) -> None:
    assert walltime_seconds(clock(seconds)) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "30",
        "1h",
        "90:00",
        "00:60:00",
        "00:00:60",
        "-00:30:00",
        "00:30:00 ",
        "00:30:00\n",
        "1-0:30",
        "00:30:0",
        "1:2:3:4",
        "1.5:00:00",
        "unlimited",
    ],
)
def test_another_walltime_is_answered_with_the_form(text: str) -> None:
    said = problems(ExecutionProfile, walltime=text)
    assert f"a walltime is written HH:MM:SS, such as 00:30:00, not {text!r}" in said


@pytest.mark.parametrize("text", ["00:00:00", "00:00", "0-00:00:00"])
def test_no_time_at_all_is_no_walltime(text: str) -> None:
    assert "a walltime is more than nothing" in problems(ExecutionProfile, walltime=text)


def test_without_a_walltime_the_queue_s_own_holds() -> None:
    assert ExecutionProfile().walltime_seconds is None


# memory


@pytest.mark.parametrize(
    ("given", "kept"),
    [("16G", "16G"), ("16g", "16G"), ("16GB", "16G"), ("512mb", "512M"), ("1T", "1T"), ("", "")],
)
def test_memory_is_kept_with_one_letter(given: str, kept: str) -> None:
    assert ExecutionProfile(memory=given).memory == kept


@pytest.mark.parametrize("text", ["16", "0G", "1.5G", "-1G", "16 G", "16GiB", "G", "16G\n", "all"])
def test_another_memory_is_answered_with_the_form(text: str) -> None:
    said = problems(ExecutionProfile, memory=text)
    form = "a whole number with K, M, G or T, such as 16G, or 0 for all of a node's"
    assert f"memory is {form}, not {text!r}" in said


def test_all_of_a_node_s_memory_is_0() -> None:
    assert ExecutionProfile(memory="0").memory == "0"


# other values


@pytest.mark.parametrize("name", ["num_nodes", "mpiprocs", "ompthreads"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_job_has_at_least_one_of_each(name: str, value: int) -> None:
    assert "greater than or equal to 1" in problems(ExecutionProfile, **{name: value})


def test_a_job_has_the_ranks_of_all_its_nodes() -> None:
    assert ExecutionProfile(num_nodes=3, mpiprocs=4).ranks == 12


@pytest.mark.parametrize("name", ["queue_timeout", "run_timeout"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_of_no_time_is_refused(name: str, value: float) -> None:
    assert name in problems(ExecutionProfile, **{name: value})


@pytest.mark.parametrize("name", ["poll_seconds", "command_timeout", "lost_seconds"])
def test_waiting_for_no_time_is_refused(name: str) -> None:
    assert name in problems(HPCProfile, scheduler="slurm", **{name: 0})


@pytest.mark.parametrize("name", ["2A", "A-B", "A B", "A=B", "", "A\n", "ÄB", "$(id)"])
def test_a_name_that_no_shell_variable_has_is_refused(name: str) -> None:
    assert "environments" in problems(ExecutionProfile, environments={name: "value"})


def test_a_bad_end_that_there_is_not_is_answered_with_those_there_are() -> None:
    said = problems(ExecutionProfile, resubmit={"UNLUCKY": 3})
    assert "'NODE_FAIL'" in said and "'TIMEOUT'" in said


def test_a_scheduler_that_is_not_known_is_answered_with_those_that_are() -> None:
    said = problems(HPCProfile, scheduler="sge")
    assert "there is no scheduler 'sge'; there are local, pbs, pjm" in said


def test_a_launcher_that_is_not_known_is_answered_with_those_that_are() -> None:
    said = problems(ExecutionProfile, launcher="aprun")
    assert "there is no launcher 'aprun'; there are single" in said


@pytest.mark.parametrize("kind", [Command, ExecutionProfile, HPCProfile])
def test_a_misspelt_setting_is_refused(kind: type[Any]) -> None:
    assert "qeue_cpu\n  Extra inputs are not permitted" in problems(kind, qeue_cpu="x")


@pytest.mark.parametrize("name", ["command_name", "executable_key"])
def test_a_command_has_a_name_and_a_program(name: str) -> None:
    given = {"command_name": "count", "executable_key": "count"} | {name: ""}
    assert name in problems(Command, **given)


# what becomes part of a directive

WORDS = ("queue_cpu", "queue_gpu", "project_cpu", "project_gpu", "qpu", "reservation", "gfscache")
LINES = ("project_directive", "qpu_directive", "constraint")
LISTS_OF_WORDS = ("resources", "mpi_options_for_pjm")
BREAKS = ["a\n#SBATCH --uid=0", "a\r#PBS -u root", "a\n", "\n", "a\0b"]


@pytest.mark.parametrize("value", BREAKS, ids=ascii)
@pytest.mark.parametrize("name", WORDS + LINES)
def test_a_setting_cannot_begin_a_directive_of_its_own(name: str, value: str) -> None:
    assert name in problems(HPCProfile, scheduler="slurm", **{name: value})


@pytest.mark.parametrize("value", BREAKS, ids=ascii)
@pytest.mark.parametrize("name", [*LISTS_OF_WORDS, "extra_directives"])
def test_none_of_several_settings_can_begin_a_directive_of_its_own(name: str, value: str) -> None:
    assert f"{name}.1" in problems(HPCProfile, scheduler="slurm", **{name: ["good", value]})


@pytest.mark.parametrize("value", ["a b", "a\tb", " a", "a\u2028b", "a\x1bb", "a\x7fb"], ids=ascii)
@pytest.mark.parametrize("name", WORDS)
def test_a_setting_cannot_bring_another_option(name: str, value: str) -> None:
    assert name in problems(HPCProfile, scheduler="slurm", **{name: value})


@pytest.mark.parametrize("value", ["a --uid=0", "a,b c"])
@pytest.mark.parametrize("name", LISTS_OF_WORDS)
def test_none_of_several_settings_can_bring_another_option(name: str, value: str) -> None:
    assert f"{name}.0" in problems(HPCProfile, scheduler="slurm", **{name: [value]})


@pytest.mark.parametrize("value", ["debug", "regular-c", "gz00", "small-s1", "a.b_c", "日本"])
@pytest.mark.parametrize("name", WORDS)
def test_a_word_is_taken_as_it_is(name: str, value: str) -> None:
    assert getattr(HPCProfile.model_validate({"scheduler": "slurm", name: value}), name) == value


@pytest.mark.parametrize("name", ["project_directive", "qpu_directive"])
@pytest.mark.parametrize("value", ["-A {other}", "-A {", "-A {0}", "-A }"])
def test_a_directive_with_another_place_to_fill_is_refused(name: str, value: str) -> None:
    assert name in problems(HPCProfile, scheduler="pbs", **{name: value})


def test_a_directive_that_would_drop_the_project_is_refused() -> None:
    assert "project_directive" in problems(HPCProfile, scheduler="pbs", project_directive="-A x")


def test_an_environment_value_that_no_process_can_have_is_refused() -> None:
    assert "environments" in problems(ExecutionProfile, environments={"A": "a\0b"})


# presets


def test_the_presets_are_these() -> None:
    assert set(presets()) == {
        *(
            "miyabi",
            "miyabi-c",
            "miyabi-g",
            "fugaku",
            "genkai",
            "wisteria-o",
            "wisteria-a",
            "abci-3",
        ),
        *("lumi-c", "lumi-g", "frontier", "perlmutter", "jean-zay", "marenostrum-5", "leonardo"),
        "slurm-qrmi",
    }


@pytest.mark.parametrize("name", ["miyabi", "fugaku"])
def test_a_preset_gives_what_is_not_given(name: str) -> None:
    where = HPCProfile.model_validate({"preset": name})
    assert {key: getattr(where, key) for key in presets()[name]} == presets()[name]


@pytest.mark.parametrize("name", ["miyabi", "fugaku"])
def test_a_preset_holds_no_site_s_queue_project_or_path(name: str) -> None:
    general = {"scheduler", "dialect", "project_directive", "chunk", "place"}
    assert set(presets()[name]) <= general


def test_what_is_given_lies_over_the_preset() -> None:
    given = {"preset": "miyabi", "place": "pack", "queue_cpu": "regular-c"}
    where = HPCProfile.model_validate(given)
    assert (where.dialect, where.place, where.queue_cpu) == ("miyabi", "pack", "regular-c")


# a dialect: whose commands they are


def test_a_dialect_that_is_not_known_is_answered_with_those_that_are() -> None:
    said = problems(HPCProfile, scheduler="pbs", dialect="miyaby")
    assert "pbs has no dialect 'miyaby'; known: miyabi" in said
    said = problems(HPCProfile, scheduler="slurm", dialect="miyabi")
    assert "slurm has no dialect 'miyabi', and has none but its own" in said


def test_every_dialect_is_a_whole_set_of_commands() -> None:
    for scheduler, sets in dialects().items():
        assert "" in sets
        for name in sets:
            assert command_set(HPCProfile(scheduler=scheduler, dialect=name)).status


def test_profiles_of_earlier_versions_are_read() -> None:
    assert HPCProfile.model_validate({"scheduler": "pbs", "history_flag": "-x"}) == HPCProfile(
        scheduler="pbs"
    )
    given = {"preset": "miyabi", "scheduler": "pbs", "history_flag": "-H"}
    assert HPCProfile.model_validate(given).dialect == "miyabi"


def test_a_history_flag_that_no_pbs_has_is_answered_with_the_setting_that_helps() -> None:
    said = problems(HPCProfile, scheduler="pbs", history_flag="-H")
    assert "history_flag is no setting any more" in said
    assert "by its preset (qcsc-loop sites) or as dialect" in said


def test_a_preset_that_is_not_known_is_answered_with_those_that_are() -> None:
    said = problems(HPCProfile, preset="frontiers")
    assert "preset 'frontiers' is not known (did you mean 'frontier'?); known: abci-3, " in said


def test_no_preset_is_the_empty_one() -> None:
    assert HPCProfile(preset="", scheduler="pbs") == HPCProfile(scheduler="pbs")


# round trips


@pytest.mark.parametrize("name", RICH)
def test_settings_come_back_from_json_as_they_were(name: str) -> None:
    settings = RICH[name]
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize("name", ["miyabi", "fugaku"])
def test_settings_of_a_preset_come_back_from_json_as_they_were(name: str) -> None:
    where = HPCProfile.model_validate({"preset": name, "queue_cpu": "q"})
    assert HPCProfile.model_validate_json(where.model_dump_json()) == where


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ExecutionProfile().walltime = "10:00:00"  # type: ignore[misc]  # what is tested


# queues and projects


@pytest.mark.parametrize(("kind", "queue", "project"), [("cpu", "c", "pc"), ("gpu", "g", "pg")])
def test_the_kind_of_job_chooses_queue_and_project(kind: str, queue: str, project: str) -> None:
    where = HPCProfile(
        scheduler="slurm", queue_cpu="c", queue_gpu="g", project_cpu="pc", project_gpu="pg"
    )
    how = ExecutionProfile.model_validate({"resource_class": kind})
    assert (where.queue(how), where.project(how)) == (queue, project)


# settings that go together


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stage_in": ["/a"]}, "stage_in and stage_out need scratch"),
        ({"stage_out": ["a"]}, "stage_in and stage_out need scratch"),
        ({"warning_seconds": 60}, "warning_seconds need a walltime"),
        ({"warning_seconds": 60, "walltime": "00:01:00"}, "make warning_seconds less"),
        ({"gpus_per_rank": 1, "gpus_per_node": 4}, "give one of them"),
        ({"mail_to": "me@example.org"}, "mail_to needs mail_on"),
        ({"preparation_order": ["modules"]}, "spack, modules and pre_commands once each"),
        ({"scratch": "/a\nb"}, "scratch"),
    ],
    ids=str,
)
def test_settings_of_a_job_that_mean_nothing_so_are_refused(
    given: dict[str, object], said: str
) -> None:
    assert said in problems(ExecutionProfile, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"export": ["A=b c"]}, "NAME, or NAME=VALUE with no blank"),
        ({"export": ["A='b'"]}, "NAME, or NAME=VALUE with no blank"),
        ({"export": ["SBATCH_PARTITION=x"]}, "would change jobs behind the profile's back"),
        ({"licenses": ["a,b"]}, "licenses"),
        ({"licenses": ["a:b"]}, "licenses"),
        ({"select": "{nodes}"}, "only {num_nodes} and {mpiprocs} and {ompthreads} and {ranks}"),
        ({"select": "{num_nodes.real}:{"}, "can be filled in"),
    ],
    ids=str,
)
def test_settings_of_a_site_that_cannot_be_said_so_are_refused(
    given: dict[str, object], said: str
) -> None:
    assert said in problems(HPCProfile, scheduler="pbs", **given)
