"""PJM's commands in words, and what its answers mean; no command is run here."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from qcsc_hpc.profiles import ExecutionProfile, HPCProfile
from qcsc_hpc.schedulers.pjm import PJM
from qcsc_hpc.schedulers.scheduler import Answer, NotUnderstood, Placement, Status, refusals
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.outcome import JobState

S = JobState
FUGAKU = PJM(HPCProfile.model_validate({"preset": "fugaku"}))
WISTERIA = PJM(HPCProfile(scheduler="pjm", dialect="wisteria"))
# as Fugaku's `pjstat -v` prints them
HEADER = (
    "JOB_ID     JOB_NAME   MD ST  USER     GROUP    START_DATE      ELAPSE_TIM ELAPSE_LIM"
    "            NODE_REQUIRE    VNODE  CORE V_MEM        V_POL E_POL RANK      LST EC  PC  SN"
    " PRI ACCEPT         RSC_GRP  REASON          "
)
TIMED_OUT = (
    "1          lucj-qpy-b NM EXT root     ra010014 06/01 15:22:46  0000:00:00 0000:15:00"
    "            1               -      -    -            -     -     bychip    RNO 0   11  24"
    " 127 06/01 15:22:46 small    ELAPSE LIMIT EXC"
)
COLUMNS = [(match[0].strip(), match.start()) for match in re.finditer(r"\S+\s*", HEADER)]
STATES = {
    "ACC": S.PENDING,
    "QUE": S.PENDING,
    "HLD": S.PENDING,
    "RNA": S.PENDING,
    "RNP": S.PENDING,
    "RUN": S.RUNNING,
    "SPP": S.RUNNING,
    "SPD": S.RUNNING,
    "RSM": S.RUNNING,
    "RNE": S.ENDING,
    "RNO": S.ENDING,
    "EXT": S.COMPLETED,
    "CCL": S.CANCELLED,
    "RJT": S.REJECTED,
    "ERR": S.FAILED,
}
# Fugaku Users Guide, "Checking when a job ends abnormally": what a PJM code means
CODES = {
    "1": S.CANCELLED,  # pjdel
    "2": S.REJECTED,  # when it was accepted
    "3": S.REJECTED,  # by the site's exit function
    "7": S.TIMEOUT,  # a deadline
    "8": S.CANCELLED,  # by the site's exit function
    "11": S.TIMEOUT,  # elapsed time
    "12": S.OUT_OF_MEMORY,
    "13": S.FAILED,  # disk
    "16": S.FAILED,  # its folder or files cannot be reached
    "18": S.PREEMPTED,  # another job was to start
    "20": S.NODE_FAIL,
    "21": S.FAILED,  # its shell could not be started
    "22": S.NODE_FAIL,  # interconnect
    "23": S.OUT_OF_MEMORY,  # the kernel's killer
    # the machine's doing: set up again, prologue or epilogue, the job manager's own failures
    "9": S.NODE_FAIL,
    "26": S.NODE_FAIL,
    "27": S.NODE_FAIL,
    "28": S.NODE_FAIL,
}


def answer(*lines: str, code: int = 0, err: str = "") -> Answer:
    return Answer(["pjstat", "-v"], code, "".join(f"{line}\n" for line in lines), err)


def row(**cells: str) -> str:
    """A line of the table, each cell where its title begins."""
    given = {"JOB_ID": "12", "JOB_NAME": "q0123456789"[:10], "ST": "EXT", "EC": "0", "PC": "0"}
    given |= {"SN": "0", "REASON": "-"} | cells
    line = ""
    for (name, begin), (_, end) in pairwise([*COLUMNS, ("", 10_000)]):
        line = line.ljust(begin) + given.get(name, "-")[: end - begin - 1]
    return line


def status_of(**cells: str) -> Status:
    return FUGAKU.statuses(answer(HEADER, row(**cells)))["12"]


# status


@pytest.mark.parametrize(("letters", "state"), STATES.items())
def test_letters_are_a_state(letters: str, state: JobState) -> None:
    code = "0" if letters in ("EXT", "CCL", "RJT", "ERR") else "-"
    assert status_of(ST=letters, PC=code).state is state


@pytest.mark.parametrize("letters", ["", "XXX", "ext", "RU"])
def test_letters_that_nobody_knows_are_no_answer(letters: str) -> None:
    with pytest.raises(NotUnderstood, match="not known"):
        status_of(ST=letters)


@pytest.mark.parametrize(("code", "state"), CODES.items())
def test_pjm_s_code_says_what_ended_a_job(code: str, state: JobState) -> None:
    assert status_of(ST="EXT", PC=code).state is state


@pytest.mark.parametrize("code", ["1", "6", "8"])
def test_a_job_that_was_cancelled_is_so_whoever_did_it(code: str) -> None:
    assert status_of(ST="CCL", PC=code).state is S.CANCELLED


@pytest.mark.parametrize(("code", "state"), [("11", S.TIMEOUT), ("12", S.OUT_OF_MEMORY)])
def test_pjm_s_code_says_more_than_an_error(code: str, state: JobState) -> None:
    assert status_of(ST="ERR", PC=code).state is state


@pytest.mark.parametrize("code", [*CODES, "4", "6", "9", "14", "25", "27", "28", "99", "140"])
def test_a_job_of_a_bad_code_is_never_completed(code: str) -> None:
    assert status_of(ST="EXT", EC="0", PC=code).state is not S.COMPLETED


def test_a_job_that_is_not_over_has_no_code_yet() -> None:
    assert status_of(ST="RUN", PC="11").state is S.RUNNING


def test_a_job_that_ended_with_a_bad_code_of_its_own_is_failed() -> None:
    status = status_of(ST="EXT", EC="3", PC="0")
    assert (status.state, status.exit_code, status.signal) == (S.FAILED, 3, None)


def test_a_job_that_a_signal_ended_is_failed() -> None:
    status = status_of(ST="EXT", EC="0", PC="0", SN="9")
    assert (status.state, status.signal) == (S.FAILED, 9)


@pytest.mark.parametrize("letters", ["RJT", "ERR", "CCL"])
def test_every_end_is_one(letters: str) -> None:
    assert status_of(ST=letters).state.final


def test_a_real_line_is_read() -> None:
    status = FUGAKU.statuses(answer(HEADER, TIMED_OUT))["1"]
    assert (status.state, status.signal) == (S.TIMEOUT, 24)
    assert status.reason == "ELAPSE LIMIT EXC"
    assert status.metrics.nodes == 1
    assert (status.metrics.queue_seconds, status.metrics.run_seconds) == (0.0, 0.0)


def test_each_of_several_jobs_has_its_own_status() -> None:
    found = FUGAKU.statuses(answer(HEADER, row(JOB_ID="12"), row(JOB_ID="13", ST="QUE"), TIMED_OUT))
    assert {job: status.state for job, status in found.items()} == {
        "12": S.COMPLETED,
        "13": S.PENDING,
        "1": S.TIMEOUT,
    }


def test_columns_may_stand_elsewhere() -> None:
    # as `pjstat` of another release has them
    lines = (
        "JOB_ID  JOB_NAME  MD  ST   USER   START_DATE      ELAPSE_LIM  EC  PC  SN  REASON",
        "238     job.sh    NM  EXT  user1  11/17 09:01:41  0001:00:00  0   0   0   -",
    )
    assert FUGAKU.statuses(answer(*lines))["238"].state is S.COMPLETED


def test_a_summary_before_the_table_is_passed_over() -> None:
    summary = "  ACCEPT QUEUED RUNING   HOLD  ERROR   TOTAL"
    numbers = "       0      1      0      0      0       1"
    assert set(FUGAKU.statuses(answer("", summary, numbers, "", HEADER, row()))) == {"12"}


def test_no_jobs_are_an_answer() -> None:
    assert FUGAKU.statuses(answer(HEADER)) == {}


@pytest.mark.parametrize("reason", ["-", ""])
def test_no_reason_is_none(reason: str) -> None:
    assert status_of(REASON=reason).reason == ""


@pytest.mark.parametrize(
    "said",
    [
        answer(code=1, err="[ERR.] PJM 0090 pjstat Cannot connect to the server."),
        answer(code=1, err="[ERR.] PJM 0091 pjstat Communication with the server timed out."),
        answer("[ERR.] PJM 0091 pjstat Communication with the server timed out."),
        answer(),
        answer("<html>busy</html>"),
        answer(HEADER[:6]),
    ],
    ids=lambda said: said.words[:50],
)
def test_what_is_no_whole_table_is_no_answer(said: Answer) -> None:
    with pytest.raises(NotUnderstood):
        FUGAKU.statuses(said)


@pytest.mark.parametrize("length", [20, 25, 60, 165])
def test_a_line_that_is_cut_off_is_no_answer(length: int) -> None:
    # the code that says TIMEOUT is behind the first 165 characters
    with pytest.raises(NotUnderstood):
        FUGAKU.statuses(answer(HEADER, TIMED_OUT[:length]))


@pytest.mark.parametrize("length", [10, 40, 100, 180])
def test_a_header_that_is_cut_off_is_no_answer(length: int) -> None:
    with pytest.raises(NotUnderstood):
        FUGAKU.statuses(answer(HEADER[:length], TIMED_OUT[:length]))


ITEMS = "jid,st,ec,pc,sn,sdt,elp,adt,nnumr,ermsg"


def test_several_jobs_are_asked_for_at_once_by_columns_of_our_choice() -> None:
    words = f"pjstat -v --choose {ITEMS} --filter jid=12+13"
    assert FUGAKU.status(["12", "13"]) == words.split()


def test_jobs_that_are_over_are_asked_for_in_the_history() -> None:
    words = f"pjstat -H -v --choose {ITEMS} --filter jid=12+13"
    assert FUGAKU.history(["12", "13"]) == words.split()


@pytest.mark.parametrize(
    "err",
    [
        "[ERR.] PJM 0001 pjstat Invalid option: --choose.",
        "[ERR.] PJM 0201 pjstat Invalid item: sdt.",
        "[ERR.] PJM 0202 pjstat Invalid filter: jid=12+13.",
        "pjstat: unrecognized option '--choose'\nUsage: pjstat [-v]",
    ],
)
def test_where_no_columns_can_be_chosen_the_table_is_asked_for(err: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        FUGAKU.statuses(answer(code=1, err=err))
    assert caught.value.question
    plain = FUGAKU.plain
    assert plain is not None and plain.plain is None
    assert plain.status(["12", "13"]) == ["pjstat", "-v", "12", "13"]
    assert plain.history(["12", "13"]) == ["pjstat", "-H", "-v", "12", "13"]


def test_a_server_that_is_away_is_no_matter_of_the_question() -> None:
    with pytest.raises(NotUnderstood) as caught:
        FUGAKU.statuses(answer(code=1, err="[ERR.] PJM 0090 pjstat Cannot connect to the server."))
    assert not caught.value.question


def test_what_is_left_open_is_asked_for_by_the_table() -> None:
    assert FUGAKU.again("12") == [["pjstat", "-v", "12"], ["pjstat", "-H", "-v", "12"]]


def test_a_state_that_nobody_knows_hides_no_other_job() -> None:
    rows = (row(JOB_ID="12", ST="???"), row(JOB_ID="13", ST="RUN"))
    assert FUGAKU.statuses(answer(HEADER, *rows)).keys() == {"13"}


# Wisteria's own pjstat, as its users show it

WISTERIA_BANNER = "Wisteria/BDEC-01 scheduled stop time: 2026/11/27(Fri) 09:00:00 (Remain: 3days)"
WISTERIA_HEADER = (
    "JOB_ID       JOB_NAME   STATUS  PROJECT    RSCGROUP         START_DATE        ELAPSE"
    "           TOKEN           NODE  GPU"
)
WISTERIA_ROW = (
    "1234567      {name} {state} gz00       regular-o        11/20 18:27:03    00:00:12"
    "           0.1             1     -"
)


def of_wisteria(state: str, name: str = "q012345678") -> Answer:
    line = WISTERIA_ROW.format(name=f"{name:<10}", state=f"{state:<7}")
    return answer(WISTERIA_BANNER, "", WISTERIA_HEADER, line)


@pytest.mark.parametrize(
    ("word", "state"), [("RUNNING", S.RUNNING), ("QUEUED", S.PENDING), ("END", S.COMPLETED)]
)
def test_wisteria_has_words_of_its_own_for_states(word: str, state: JobState) -> None:
    status = WISTERIA.statuses(of_wisteria(word))["1234567"]
    # how it ended, only its own record says: a COMPLETED without one is LOST
    assert (status.state, status.exit_code) == (state, None)
    assert status.metrics.nodes == 1


def test_a_word_that_wisteria_is_not_known_to_have_is_no_answer() -> None:
    with pytest.raises(NotUnderstood, match="'DREAMIN"):
        WISTERIA.statuses(of_wisteria("DREAMING"))


def test_wisteria_is_asked_for_all_jobs_and_says_where_there_are_none() -> None:
    assert WISTERIA.status(["1234567"]) == ["pjstat"]
    assert WISTERIA.history(["1234567"]) == ["pjstat", "-H"]
    none = answer(WISTERIA_BANNER, "", "No unfinished job found.")
    assert WISTERIA.statuses(none) == {}
    assert WISTERIA.found(none, "key-1") == []


def test_on_wisteria_a_job_is_found_by_what_is_shown_of_its_name() -> None:
    job_name = key().job_name
    assert WISTERIA.found(of_wisteria("RUNNING", shown(job_name)), job_name) == ["1234567"]
    assert WISTERIA.found(of_wisteria("RUNNING", shown(job_name)[:9]), job_name) == []


def test_fujitsu_s_table_is_none_of_wisteria_s_and_the_other_way_round() -> None:
    with pytest.raises(NotUnderstood):
        FUGAKU.statuses(of_wisteria("RUNNING"))


# shares of a node


def asked(how: dict[str, object], **where: object) -> list[str]:
    profile = ExecutionProfile.model_validate(how)
    pjm = PJM(HPCProfile.model_validate({"scheduler": "pjm", **where}))
    return pjm.directives(Placement("key-1", "a key", pjm.where, profile))


def test_gpus_are_asked_for_in_the_place_of_nodes() -> None:
    lines = asked({"gpus_per_node": 2, "mpiprocs": 2})
    assert '-L "gpu=2"' in lines
    assert '--mpi "proc=2"' in lines
    assert not any("node=" in line for line in lines)


@pytest.mark.parametrize("resource", ["gpu=1", "vnode-core=4", "node=2x3x2:torus"])
def test_a_share_that_is_given_as_a_resource_takes_the_place_of_nodes(resource: str) -> None:
    lines = asked({}, resources=[resource, "jobenv=singularity"])
    assert [line for line in lines if line.startswith("-L")] == [
        f'-L "{resource}"',
        '-L "jobenv=singularity"',
    ]


@pytest.mark.parametrize(
    ("how", "field"), [({"num_nodes": 2}, "num_nodes"), ({"exclusive": True}, "exclusive")]
)
def test_a_share_is_of_one_node(how: dict[str, object], field: str) -> None:
    profile = ExecutionProfile.model_validate({"gpus_per_node": 1, **how})
    said = refusals(FUGAKU, profile)
    assert set(said) == {field}
    assert "a share of one node, in the place of node=" in said[field]


# times


def date(moment: datetime) -> str:
    return f"{moment:%m/%d %H:%M:%S}"


@pytest.mark.parametrize("age", [timedelta(minutes=1), timedelta(days=40), timedelta(days=170)])
def test_a_date_without_a_year_is_the_last_one(age: timedelta) -> None:
    began = (datetime.now() - age).replace(microsecond=0)
    metrics = status_of(ST="RUN", START_DATE=date(began)).metrics
    assert metrics.started is not None
    assert metrics.started.astimezone().replace(tzinfo=None) == began


def test_a_finished_job_s_times_are_known() -> None:
    began = (datetime.now() - timedelta(hours=3)).replace(microsecond=0)
    metrics = status_of(
        ACCEPT=date(began - timedelta(minutes=5)), START_DATE=date(began), ELAPSE_TIM="0001:30:00"
    ).metrics
    assert (metrics.queue_seconds, metrics.run_seconds) == (300.0, 5400.0)


@pytest.mark.parametrize("shown", ["(11/20 18:27)", "11/20 18:27:03", "-"])
def test_a_waiting_job_s_start_is_a_forecast_and_not_told(shown: str) -> None:
    assert status_of(ST="QUE", START_DATE=shown).metrics.started is None


def test_a_running_job_has_no_end_yet() -> None:
    metrics = status_of(ST="RUN", START_DATE=date(datetime.now()), ELAPSE_TIM="0000:01:00").metrics
    assert metrics.ended is None


@pytest.mark.parametrize(
    ("shown", "nodes"), [("1", 1), ("12:2x3x2", 12), ("384", 384), ("-", None)]
)
def test_the_nodes_of_a_job_may_have_a_shape(shown: str, nodes: int | None) -> None:
    assert status_of(NODE_REQUIRE=shown).metrics.nodes == nodes


# submission


def test_a_script_is_submitted_by_its_path() -> None:
    assert FUGAKU.submit("/job 1/job.sh") == ["pjsub", "-o", "scheduler.log", "/job 1/job.sh"]


def test_the_id_is_in_pjsub_s_sentence() -> None:
    assert FUGAKU.submitted(answer("[INFO] PJM 0000 pjsub Job 12345 submitted.")) == "12345"


def refusal(err: str, code: int = 1) -> NotUnderstood:
    with pytest.raises(NotUnderstood) as caught:
        FUGAKU.submitted(answer(code=code, err=err))
    return caught.value


@pytest.mark.parametrize(
    "err",
    [
        "[ERR.] PJM 0057 pjsub node=32 is greater than the upper limit (24).",
        "[ERR.] PJM 0071 pjsub Group not authorized to submit a job: group(1)",
        "[ERR.] PJM 0070 pjsub No execute permission: pjsub-bulk.",
        "[ERR.] PJM 0020 pjsub Cannot open the file (x) : 2.",
        "[ERR.] PJM 0001 pjsub Invalid option: --qpu.",
    ],
)
def test_a_job_that_pjm_refuses_is_refused_for_good_in_its_words(err: str) -> None:
    assert refusal(err).permanent
    assert str(refusal(err)) == err


@pytest.mark.parametrize(
    "err",
    [
        "[ERR.] PJM 0090 pjsub Cannot connect to the server.",
        "[ERR.] PJM 0091 pjsub Communication with the server timed out.",
        "[ERR.] PJM 0092 pjsub The server does not respond.",
    ],
)
def test_a_server_that_is_away_refuses_nothing(err: str) -> None:
    assert not refusal(err).permanent


@pytest.mark.parametrize("out", ["", "[INFO] PJM 0000 pjsub Job submitted.", "12345", "Job x1"])
def test_a_submission_without_an_id_is_unclear_and_no_refusal(out: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        FUGAKU.submitted(answer(out))
    assert not caught.value.permanent


# finding: pjstat shows ten characters of a name


def key(**changes: object) -> JobKey:
    whole = JobKey(run_id="h2o", run_uid="u", iteration=3, step="evaluate", name="bitcount")
    return whole.model_copy(update=changes)


def shown(job_name: str) -> str:
    """A job's name as pjstat shows it."""
    placement = Placement(job_name, "a key", FUGAKU.where, ExecutionProfile())
    found = re.search(r"--name (\S+)", "\n".join(FUGAKU.directives(placement)))
    assert found is not None
    return found[1][:10]


def test_a_job_is_found_by_what_is_shown_of_its_name() -> None:
    name = key().job_name
    table = answer(HEADER, row(JOB_ID="9", JOB_NAME="job.sh"), row(JOB_NAME=shown(name)))
    assert FUGAKU.found(table, name) == ["12"]


@pytest.mark.parametrize(
    "changes",
    [{"iteration": 4}, {"attempt": 1}, {"run_uid": "v"}, {"label": "walker-2"}, {"name": "other"}],
    ids=str,
)
def test_another_job_of_the_run_is_not_taken_for_it(changes: dict[str, object]) -> None:
    table = answer(HEADER, row(JOB_NAME=shown(key(**changes).job_name)))
    assert FUGAKU.found(table, key().job_name) == []


def test_a_name_is_one_that_pjm_takes() -> None:
    for number in range(50):
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{9}", shown(key(iteration=number).job_name))


def test_the_oldest_of_several_comes_first() -> None:
    name = key().job_name
    rows = [row(JOB_ID=job_id, JOB_NAME=shown(name)) for job_id in ("100", "9", "20")]
    assert FUGAKU.found(answer(HEADER, *rows), name) == ["9", "20", "100"]


def test_a_name_is_looked_for_among_living_and_finished_jobs() -> None:
    assert FUGAKU.find("key-1") == [["pjstat", "-v"], ["pjstat", "-H", "-v"]]


def test_parts_of_a_bulk_job_are_no_hindrance() -> None:
    name = key().job_name
    table = answer(HEADER, row(JOB_ID="239[1]", JOB_NAME="bulk.sh"), row(JOB_NAME=shown(name)))
    assert FUGAKU.found(table, name) == ["12"]


def test_looking_with_the_server_away_is_no_answer() -> None:
    with pytest.raises(NotUnderstood):
        FUGAKU.found(answer(code=1, err="[ERR.] PJM 0090 pjstat Cannot connect"), "key-1")


# cancelling


def test_a_job_is_deleted_by_its_id() -> None:
    assert FUGAKU.cancel("12") == ["pjdel", "12"]


@pytest.mark.parametrize(
    ("code", "err"),
    [
        (0, ""),
        (1, "[ERR.] PJM 0112 pjdel Job ID does not exist: 12."),
        (1, "[ERR.] PJM 0113 pjdel Job has already finished: 12."),
    ],
)
def test_deleting_a_job_that_is_over_is_no_fault(code: int, err: str) -> None:
    FUGAKU.cancelled(answer(code=code, err=err))


@pytest.mark.parametrize(
    "err",
    [
        "[ERR.] PJM 0090 pjdel Cannot connect to the server.",
        "[ERR.] PJM 0091 pjdel Communication with the server timed out.",
    ],
)
def test_a_job_that_could_not_be_deleted_is_told(err: str) -> None:
    with pytest.raises(NotUnderstood):
        FUGAKU.cancelled(answer(code=1, err=err))
