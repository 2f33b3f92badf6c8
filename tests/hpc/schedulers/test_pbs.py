"""PBS's commands in words, and what its answers mean: read from what a real OpenPBS said.

`pbs_transcripts/` holds a file for each command: the command, its exit code, and both streams.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qcsc_hpc.profiles import HPCProfile
from qcsc_hpc.schedulers.pbs import PBS
from qcsc_hpc.schedulers.pbs_answers import variable
from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood, Status
from qcsc_hpc.testing.executables.pbs.writing import in_text as written_as_text
from qcsc_loop.jobs.outcome import JobState

S = JobState
PBS_HERE = PBS(HPCProfile(scheduler="pbs"))
JSON = PBS_HERE.status(["12.vm"])
TEXT = ["qstat", "-f", "12.vm"]
TRANSCRIPTS = Path(__file__).with_name("pbs_transcripts")


def said(name: str) -> Answer:
    """What a command of the real OpenPBS answered."""
    text = (TRANSCRIPTS / f"{name}.txt").read_text()
    if text.startswith("{"):  # stdout alone was kept
        return Answer(JSON, 0, text, "")
    head, rest = text.split("# --- stdout\n")
    command, code = head.splitlines()
    out, err = rest.split("# --- stderr\n")
    words = shlex.split(command.removeprefix("$ "))
    return Answer(words, int(code.removeprefix("# rc=")), out, err)


def answer(out: str = "", *, code: int = 0, err: str = "", argv: Sequence[str] = JSON) -> Answer:
    return Answer(argv, code, out, err)


def listed(name: str) -> dict[str, JobState]:
    return {job: status.state for job, status in PBS_HERE.statuses(said(name)).items()}


def status_of(**attributes: Any) -> Status:  # Any: JSON
    """The status of a job of which qstat says this."""
    return PBS_HERE.statuses(answer(json.dumps({"Jobs": {"12.vm": attributes}})))["12.vm"]


# the states of real jobs

CASES = {
    "qstat_x_f_json_exit0": {"16.vm": S.COMPLETED},
    "qstat_x_f_json_dep_ok": {"17.vm": S.COMPLETED},
    "qstat_x_f_json_exit3": {"18.vm": S.FAILED},
    "qstat_x_f_json_cmd_not_found": {"14.vm": S.FAILED},
    "qstat_x_f_json_sigkill": {"13.vm": S.FAILED},
    "qstat_x_f_json_killed_by_walltime": {"12.vm": S.TIMEOUT},
    "qstat_x_f_json_deleted_running": {"11.vm": S.CANCELLED},  # Exit_status 0
    "qstat_x_f_json_deleted_held": {"15.vm": S.CANCELLED},  # no Exit_status
    "qstat_x_f_json_dep_failed": {"19.vm": S.CANCELLED},  # no Exit_status, substate 92
    "qstat_f_json_running": {"11.vm": S.RUNNING},
    "qstat_mixed_known_unknown": {"11.vm": S.RUNNING},
    "qstat_unknown_id": {},
    "qstat_finished_without_x": {},
    "qstat_json_all": {
        "2.vm": S.RUNNING,
        "7.vm": S.PENDING,
        "11.vm": S.RUNNING,
        "12.vm": S.RUNNING,
        "15.vm": S.PENDING,
        "17.vm": S.RUNNING,
        "18.vm": S.RUNNING,
        "19.vm": S.PENDING,
    },
    "qstat_json_awkward_env": {
        "1.vm": S.FAILED,
        "2.vm": S.FAILED,
        "3.vm": S.COMPLETED,
        "7.vm": S.CANCELLED,
        "9.vm": S.COMPLETED,
        "10[].vm": S.COMPLETED,
        "11.vm": S.CANCELLED,
        "12.vm": S.TIMEOUT,
        "13.vm": S.FAILED,
        "14.vm": S.FAILED,
        "15.vm": S.CANCELLED,
        "16.vm": S.COMPLETED,
        "17.vm": S.COMPLETED,
        "18.vm": S.FAILED,
        "19.vm": S.CANCELLED,
        "20.vm": S.COMPLETED,
        "21.vm": S.COMPLETED,
        "22.vm": S.COMPLETED,
        "23.vm": S.COMPLETED,
        "24.vm": S.COMPLETED,
        "25.vm": S.COMPLETED,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_a_real_job_s_state_is_known(name: str) -> None:
    assert listed(name) == CASES[name]


@pytest.mark.parametrize(
    ("name", "exit_code", "signal"),
    [
        ("exit0", 0, None),
        ("exit3", 3, None),
        ("cmd_not_found", 127, None),
        ("sigkill", 137, None),  # as its shell put it
        ("killed_by_walltime", None, None),  # PBS's own word, no program's
        ("deleted_held", None, None),
        ("dep_failed", None, None),
    ],
)
def test_a_real_job_s_exit_code_is_known(
    name: str, exit_code: int | None, signal: int | None
) -> None:
    (status,) = PBS_HERE.statuses(said(f"qstat_x_f_json_{name}")).values()
    assert (status.exit_code, status.signal) == (exit_code, signal)


def test_no_exit_status_ever_counts_as_success() -> None:
    for job in json.loads(said("qstat_json_awkward_env").out)["Jobs"].values():
        job.pop("Exit_status", None)
        assert status_of(**job).state is not S.COMPLETED


@pytest.mark.parametrize("substate", [0, 41, 50, 53, 59, 69, 91, 93, 94])
def test_an_exit_status_of_0_counts_in_one_substate_alone(substate: int) -> None:
    facts = {"job_state": "F", "Exit_status": 0, "substate": substate}
    assert status_of(**facts).state is not S.COMPLETED


def test_without_a_substate_the_comment_tells_a_deleted_job_from_one_that_ended() -> None:
    facts = {"job_state": "F", "Exit_status": 0}
    assert status_of(**facts).state is S.COMPLETED  # which the job's own record must say as well
    comment = "Job run at Fri Nov 20 at 18:27 on (vm:ncpus=1) and terminated by root@vm"
    assert status_of(**facts, comment=comment).state is S.CANCELLED


@pytest.mark.parametrize(
    ("letter", "state"),
    [
        ("Q", S.PENDING),
        ("H", S.PENDING),
        ("W", S.PENDING),
        ("T", S.PENDING),
        ("M", S.PENDING),
        ("R", S.RUNNING),
        ("S", S.RUNNING),
        ("U", S.RUNNING),
        ("B", S.RUNNING),
        ("E", S.ENDING),
    ],
)
def test_a_letter_is_a_state(letter: str, state: JobState) -> None:
    assert status_of(job_state=letter, substate=0).state is state


@pytest.mark.parametrize("substate", [60, 61, 62, 63])
@pytest.mark.parametrize("letter", ["R", "E"])
def test_a_job_that_is_cleared_away_to_be_queued_again_waits(letter: str, substate: int) -> None:
    """The numbers are OpenPBS's, src/include/job.h, JOB_SUBSTATE_RERUN."""
    assert status_of(job_state=letter, substate=substate).state is S.PENDING


def test_without_a_substate_a_job_that_is_cleared_away_may_come_again() -> None:
    assert status_of(job_state="E").state is S.RUNNING


@pytest.mark.parametrize("letter", ["", "Z", "f", "RUNNING"])
def test_a_letter_that_nobody_knows_is_no_answer(letter: str) -> None:
    with pytest.raises(NotUnderstood, match="not known"):
        status_of(job_state=letter)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (-29, S.TIMEOUT),  # JOB_EXEC_KILL_WALLTIME
        (-28, S.TIMEOUT),  # JOB_EXEC_KILL_CPUT
        (-27, S.OUT_OF_MEMORY),  # JOB_EXEC_KILL_MEM
        (-26, S.OUT_OF_MEMORY),  # JOB_EXEC_KILL_VMEM
        (-20, S.NODE_FAIL),  # JOB_EXEC_RERUN_MS_FAIL: the mother superior's connection failed
        (-14, S.NODE_FAIL),  # JOB_EXEC_RERUN_SIS_FAIL: a sister failed
        (-4, S.NODE_FAIL),  # JOB_EXEC_INITABT: aborted when its MOM started anew
        (-1, S.FAILED),  # JOB_EXEC_FAIL1
        (-2, S.FAILED),  # JOB_EXEC_FAIL2
        (-19, S.FAILED),  # JOB_EXEC_HOOK_DELETE: a site's hook did not want it
        (-23, S.FAILED),  # JOB_EXEC_FAIL_KRB5: no credentials
        (-24, S.FAILED),  # JOB_EXEC_KILL_NCPUS_BURST
        (1, S.FAILED),
        (255, S.FAILED),
        (256 + 9, S.FAILED),
    ],
)
def test_an_exit_status_below_0_is_pbs_s_own_word(code: int, state: JobState) -> None:
    """The numbers are OpenPBS's, src/include/job.h."""
    assert status_of(job_state="F", substate=93, Exit_status=code).state is state


@pytest.mark.parametrize("number", [9, 15])
def test_an_exit_status_above_256_is_a_signal(number: int) -> None:
    status = status_of(job_state="F", substate=93, Exit_status=256 + number)
    assert (status.exit_code, status.signal) == (None, number)


def test_a_walltime_that_ran_out_is_a_timeout_even_of_a_job_that_was_deleted() -> None:
    assert status_of(job_state="F", substate=91, Exit_status=-29).state is S.TIMEOUT


@pytest.mark.parametrize(
    "job_id", ["12.vm", "4242.pbs.cluster.org", "7[].vm", "7[3].vm", "12", "12.pbs-01"]
)
def test_an_id_may_look_like_anything(job_id: str) -> None:
    out = json.dumps({"Jobs": {job_id: {"job_state": "R"}}})
    assert PBS_HERE.statuses(answer(out))[job_id].state is S.RUNNING


def test_why_a_job_waits_is_told() -> None:
    reason = PBS_HERE.statuses(said("qstat_json_all"))["7.vm"].reason
    assert reason == "Can Never Run: Insufficient amount of resource: ncpus (R: 512 A: 8 T: 8)"


def test_why_a_job_ended_badly_is_told() -> None:
    (status,) = PBS_HERE.statuses(said("qstat_x_f_json_killed_by_walltime")).values()
    assert status.reason.endswith("and exceeded resource walltime")


@pytest.mark.parametrize("name", ["deleted_held", "dep_failed"])
def test_of_a_job_that_never_ran_this_is_told(name: str) -> None:
    (status,) = PBS_HERE.statuses(said(f"qstat_x_f_json_{name}")).values()
    assert (status.state, status.reason) == (S.CANCELLED, "it never ran")


def test_a_job_that_ended_well_has_no_reason() -> None:
    (status,) = PBS_HERE.statuses(said("qstat_x_f_json_exit0")).values()
    assert status.reason == ""


# what a job took


def test_a_real_job_s_metrics_are_known() -> None:
    (status,) = PBS_HERE.statuses(said("qstat_x_f_json_killed_by_walltime")).values()
    metrics = status.metrics
    assert metrics.submitted is not None and metrics.submitted.tzinfo is not None
    assert (metrics.nodes, metrics.cpus) == (1, 1)
    assert metrics.queue_seconds is not None and metrics.run_seconds is not None
    assert 0 <= metrics.run_seconds < 60


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12kb", 12 << 10),
        ("3mb", 3 << 20),
        ("2gb", 2 << 30),
        ("0kb", None),
        ("12", None),
        ("", None),
    ],
)
def test_memory_is_in_bytes(text: str, size: int | None) -> None:
    status = status_of(job_state="F", substate=92, Exit_status=0, resources_used={"mem": text})
    assert status.metrics.max_rss_bytes == size


def test_a_job_of_which_little_is_said_is_known_all_the_same() -> None:
    status = status_of(job_state="R")
    assert (status.metrics.submitted, status.metrics.nodes) == (None, None)


def test_a_running_job_has_no_end_yet() -> None:
    facts = {"stime": "Fri Nov 20 18:27:03 2026", "resources_used": {"walltime": "00:01:00"}}
    metrics = status_of(job_state="R", **facts).metrics
    assert metrics.started is not None
    assert metrics.ended is None


# answers that are none


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["qstat_json_all", "qstat_x_f_json_exit0"])
def test_an_answer_that_is_cut_off_is_no_answer(name: str, share: float) -> None:
    whole = said(name).out
    with pytest.raises(NotUnderstood):
        PBS_HERE.statuses(answer(whole[: int(len(whole) * share)]))


@pytest.mark.parametrize(
    "out",
    [
        "",
        "<html>busy</html>",
        "null",
        "[]",
        '"12.vm"',
        "Job id  Name  User",
        '{"Jobs": 3}',
        '{"Jobs": {"12.vm": {}}}',
    ],
)
def test_garbage_is_no_answer(out: str) -> None:
    with pytest.raises(NotUnderstood):
        PBS_HERE.statuses(answer(out))


@pytest.mark.parametrize("code", [1, 111, 162, 170, 186, 255])
def test_a_command_that_failed_gave_no_answer(code: int) -> None:
    with pytest.raises(NotUnderstood, match="cannot connect"):
        PBS_HERE.statuses(answer(code=code, err="qstat: cannot connect to server vm (errno=111)"))


def test_a_word_that_is_no_id_is_no_answer() -> None:
    with pytest.raises(NotUnderstood):
        PBS_HERE.statuses(said("qstat_bad_id"))


def test_a_control_character_in_an_attribute_does_not_hide_the_jobs() -> None:
    out = '{"Jobs": {"12.vm": {"job_state": "R", "Variable_List": {"A": "x\ty\x1b[0m\nz"}}}}'
    assert PBS_HERE.statuses(answer(out))["12.vm"].state is S.RUNNING


# Miyabi's qstat: text, and two lists. Its answers here are real OpenPBS's, written as text

MIYABI = PBS(HPCProfile.model_validate({"preset": "miyabi"}))
NOTICE = "Notice: the system stops at 09:00\n\n"


def in_text(name: str) -> str:
    """A real answer, as `qstat -f` writes it."""
    jobs = json.loads(said(name).out, strict=False).get("Jobs", {})
    return "".join(written_as_text(job_id, job) for job_id, job in jobs.items())


@pytest.mark.parametrize("name", CASES)
def test_text_says_what_json_says(name: str) -> None:
    text = in_text(name)
    if not text:
        return
    from_text = MIYABI.statuses(answer(NOTICE + text, argv=TEXT))
    for job_id, status in PBS_HERE.statuses(said(name)).items():
        there = from_text[job_id]
        assert (there.state, there.exit_code) == (status.state, status.exit_code)
        assert there.metrics.nodes == status.metrics.nodes


def test_a_value_that_goes_on_in_another_line_is_one() -> None:
    text = "Job Id: 1.opbs\n    Job_Name = a_name_that_is_\n\tlong\n    job_state = R\n\n"
    assert MIYABI.found(answer(text, argv=TEXT), "a_name_that_is_long") == ["1.opbs"]


@pytest.mark.parametrize(
    "out",
    ["No matching job found\n", NOTICE + "No matching job found.\n", "no matching job found\n"],
)
@pytest.mark.parametrize("code", [0, 1])
def test_that_there_is_no_such_job_is_an_answer(out: str, code: int) -> None:
    assert MIYABI.statuses(answer(out, code=code, argv=TEXT)) == {}
    assert MIYABI.found(answer(out, code=code, argv=TEXT), "key-1") == []
    assert MIYABI.statuses(answer(err=out, code=code, argv=TEXT)) == {}


def test_jobs_that_live_and_jobs_that_have_ended_are_asked_for_apart() -> None:
    assert MIYABI.status(["1.opbs"]) == ["qstat", "-f", "1.opbs"]
    assert MIYABI.history(["1.opbs"]) == ["qstat", "-H", "-f", "1.opbs"]
    assert MIYABI.find("key-1") == [["qstat", "-f"], ["qstat", "-H", "-f"]]
    assert MIYABI.ids_a_question == 1


def test_a_job_is_found_by_its_name_in_a_list() -> None:
    text = NOTICE + in_text("qstat_json_all")
    names = {MIYABI.found(answer(text, argv=TEXT), name)[0] for name in ("longjob", "okjob")}
    assert len(names) == 2
    assert MIYABI.found(answer(text, argv=TEXT), "key-1") == []


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_text_that_is_cut_off_never_ends_a_job_otherwise(share: float) -> None:
    text = in_text("qstat_x_f_json_exit0")
    for cut in (text[: int(len(text) * share)], text[: int(len(text) * share)] + "\n"):
        try:
            found = MIYABI.statuses(answer(cut, argv=TEXT))
        except NotUnderstood:
            continue
        assert {status.state for status in found.values()} <= {S.COMPLETED}


@pytest.mark.parametrize("out", ["", "\n", "<html>busy</html>\n", NOTICE, "Job Id: 1.opbs\n"])
def test_what_is_no_text_of_jobs_is_no_answer(out: str) -> None:
    with pytest.raises(NotUnderstood):
        MIYABI.statuses(answer(out, argv=TEXT))


def test_a_greeting_before_json_is_passed_over() -> None:
    whole = said("qstat_x_f_json_exit0")
    greeted = answer(f"Welcome to {{}}\nWe wish\n{whole.out}")
    assert PBS_HERE.statuses(greeted) == PBS_HERE.statuses(whole)


# submission


@pytest.mark.parametrize(
    ("name", "job_id"),
    [
        ("qsub_ok", "2.vm"),
        ("qsub_name_project", "3.vm"),
        ("qsub_qpu_resource", "9.vm"),
        ("qsub_array", "10[].vm"),
        ("qsub_too_many_cpus_accepted", "7.vm"),
    ],
)
def test_the_id_is_what_qsub_prints(name: str, job_id: str) -> None:
    assert PBS_HERE.submitted(said(name)) == job_id


@pytest.mark.parametrize(
    "name",
    [
        "qsub_bad_option",
        "qsub_missing_script",
        "qsub_unknown_queue",
        "qsub_unknown_resource",
        "qsub_walltime_over_limit",
    ],
)
def test_a_job_that_pbs_refuses_is_refused_for_good_in_its_words(name: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        PBS_HERE.submitted(said(name))
    assert caught.value.permanent
    assert str(caught.value) == " ".join(said(name).err.split())


def test_a_job_for_a_queue_that_is_closed_is_not_taken_yet() -> None:
    with pytest.raises(NotUnderstood, match="Queue is not enabled") as caught:
        PBS_HERE.submitted(said("qsub_disabled_queue"))
    assert (caught.value.permanent, caught.value.not_now) == (False, True)


@pytest.mark.parametrize(
    ("code", "err"),
    [
        (111, "qsub: cannot connect to server vm (errno=111)"),
        (162, "qsub: System error occurred"),  # PBSE_SYSTEM
        (163, "qsub: Internal server error occurred"),  # PBSE_INTERNAL
        (183, "qsub: Batch protocol error"),  # PBSE_PROTOCOL: the answer was not whole
        (185, "qsub: No free connections"),  # PBSE_NOCONNECTS
        (186, "qsub: No server to connect to"),  # PBSE_NOSERVER
        (-9, ""),
    ],
)
def test_a_server_that_is_away_refuses_nothing(code: int, err: str) -> None:
    """The codes are the last eight bits of OpenPBS's, src/include/pbs_error.h."""
    with pytest.raises(NotUnderstood) as caught:
        PBS_HERE.submitted(answer(code=code, err=err))
    assert not caught.value.permanent


@pytest.mark.parametrize("job_id", ["12.vm", "2421495.opbs", "7[].vm", "12", "12.pbs-01.a.org"])
def test_the_id_is_the_last_line_that_is_one_whatever_a_site_says_before(job_id: str) -> None:
    said = f"Scheduled stop: 2026/12/01 09:00\n16 jobs wait\n{job_id}\n"
    assert PBS_HERE.submitted(answer(said, argv=["qsub"])) == job_id


@pytest.mark.parametrize("out", ["", "\n", "12.vm 13.vm\n", "Welcome to PBS\n"])
def test_a_submission_without_one_id_is_unclear_and_no_refusal(out: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        PBS_HERE.submitted(answer(out))
    assert not caught.value.permanent


# the commands


def test_several_jobs_are_asked_for_at_once_with_those_that_are_over() -> None:
    words = "env TZ=UTC qstat -x -f -F json 12.vm 13.vm"
    assert PBS_HERE.status(["12.vm", "13.vm"]) == words.split()


def test_there_is_no_other_place_to_ask() -> None:
    assert PBS_HERE.history(["12.vm"]) is None


def test_times_are_asked_for_in_the_zone_in_which_they_are_read() -> None:
    started = status_of(job_state="R", stime="Fri Nov 20 18:27:03 2026").metrics.started
    assert started == datetime(2026, 11, 20, 18, 27, 3, tzinfo=UTC)


def test_a_script_is_submitted_by_its_path() -> None:
    assert PBS_HERE.submit("/job 1/job.sh") == ["qsub", "-o", "scheduler.log", "/job 1/job.sh"]


@pytest.mark.parametrize("name", ["qselect_by_name", "qselect_by_account"])
def test_a_job_is_found_by_its_name(name: str) -> None:
    assert PBS_HERE.found(said(name), "longjob") == ["11.vm"]


def test_the_oldest_of_several_comes_first() -> None:
    said = answer("100.vm\n9.vm\n20[].vm\n", argv=["qselect"])
    found = PBS_HERE.found(said, "key-1")
    assert found == ["9.vm", "20[].vm", "100.vm"]


def test_nothing_found_is_an_answer() -> None:
    assert PBS_HERE.found(answer("", argv=["qselect"]), "key-1") == []


def test_looking_with_the_server_away_is_no_answer() -> None:
    with pytest.raises(NotUnderstood):
        PBS_HERE.found(answer(code=111, err="qselect: cannot connect to server"), "key-1")


@pytest.mark.parametrize("folder", ["/work/gz00", "/a: b,c/日本", "/long" * 40])
@pytest.mark.parametrize("pbs", [PBS_HERE, MIYABI], ids=["json", "text"])
def test_a_job_s_folder_is_where_its_scheduler_writes(pbs: PBS, folder: str) -> None:
    job = {"job_state": "R", "Output_Path": f"vm:{folder}/scheduler.log"}
    argv = pbs.place("12.vm")[0]
    text = json.dumps({"Jobs": {"12.vm": job}})
    out = text if "json" in argv else written_as_text("12.vm", {**job})
    assert pbs.placed(answer(out, argv=argv), "12.vm") == folder


def test_a_job_whose_output_goes_elsewhere_works_where_it_was_submitted() -> None:
    assert PBS_HERE.placed(said("qstat_x_f_json_exit0"), "16.vm") == "/work/gz00/user/jobs"
    assert PBS_HERE.placed(said("qstat_unknown_id"), "99999.vm") == ""


def test_where_a_job_works_is_looked_for_in_both_lists() -> None:
    assert PBS_HERE.place("12.vm") == [PBS_HERE.status(["12.vm"])]
    assert MIYABI.place("1.opbs") == [["qstat", "-f", "1.opbs"], ["qstat", "-H", "-f", "1.opbs"]]


def test_a_job_is_deleted_by_its_id() -> None:
    assert PBS_HERE.cancel("12.vm") == ["qdel", "12.vm"]


@pytest.mark.parametrize("name", ["qdel_running", "qdel_held", "qdel_finished", "qdel_unknown"])
def test_deleting_a_job_that_is_over_is_no_fault(name: str) -> None:
    PBS_HERE.cancelled(said(name))


@pytest.mark.parametrize("code", [1, 111, 159, 186])
def test_a_job_that_could_not_be_deleted_is_told(code: int) -> None:
    with pytest.raises(NotUnderstood, match="no"):
        PBS_HERE.cancelled(answer(code=code, err="qdel: no"))


# jobs that cannot start


def test_a_job_larger_than_the_machine_never_starts() -> None:
    assert PBS_HERE.never_starts(PBS_HERE.statuses(said("qstat_json_all"))["7.vm"])


@pytest.mark.parametrize("job_id", ["2.vm", "15.vm", "19.vm"])
def test_a_job_that_runs_or_merely_waits_is_left_alone(job_id: str) -> None:
    assert not PBS_HERE.never_starts(PBS_HERE.statuses(said("qstat_json_all"))[job_id])


@pytest.mark.parametrize(
    "comment",
    [
        "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 8)",
        "Not Running: Job is requesting an exclusive node and node is in use",
        "Queue short per-user limit on run jobs reached",
        "",
    ],
)
def test_a_job_that_waits_for_its_turn_is_left_alone(comment: str) -> None:
    assert not PBS_HERE.never_starts(status_of(job_state="Q", comment=comment))


# all of it


def test_every_transcript_of_a_command_that_is_used_is_read_here() -> None:
    used = {name for name in CASES} | {
        "qsub_ok",
        "qsub_name_project",
        "qsub_qpu_resource",
        "qsub_array",
        "qsub_bad_option",
        "qsub_too_many_cpus_accepted",
        "qsub_disabled_queue",
        "qsub_missing_script",
        "qsub_unknown_queue",
        "qsub_unknown_resource",
        "qsub_walltime_over_limit",
        "qselect_by_name",
        "qselect_by_account",
        "qdel_running",
        "qdel_held",
        "qdel_finished",
        "qdel_unknown",
        "qstat_bad_id",
    }
    tables_for_people = {"qstat_plain", "qstat_x_plain", "qstat_t_array"}
    others = {"qstat_B_json", "qstat_Q_json", "pbsnodes_json", "mpi_job_output", "qsub_walltime_rc"}
    kept = {path.stem for path in TRANSCRIPTS.glob("*.txt")}
    assert kept == used | tables_for_people | others


@pytest.mark.parametrize(
    "told",
    [
        {"PBS_O_HOME": "/home/a", "PBS_O_WORKDIR": "/store/a,b"},
        "PBS_O_HOME=/home/a,PBS_O_WORKDIR=/store/a\\,b,PBS_O_LANG=C",
    ],
    ids=["json", "text"],
)
def test_a_jobs_variable_is_read_from_both_forms(told: object) -> None:
    assert variable({"Variable_List": told}, "PBS_O_WORKDIR") == "/store/a,b"
    assert variable({"Variable_List": told}, "PBS_O_QUEUE") == ""
    assert variable({}, "PBS_O_WORKDIR") == ""
