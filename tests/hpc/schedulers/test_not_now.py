"""Not now, never, or no answer: what schedulers say when they take no job, in their real words."""

from __future__ import annotations

import pytest

from qcsc_hpc.schedulers.not_now import (
    NEVER,
    NO_ANSWER,
    NOT_NOW,
    Decision,
    decision,
    never_starts,
    refusal,
)
from qcsc_hpc.schedulers.scheduler import Answer

SUBMIT = "sbatch: error: Batch job submission failed: "
POLICY = (
    f"{SUBMIT}Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)

# slurm_errno.c, src/common/; the limits' names are those of job_state_reason.c
SLURM = [
    (POLICY, NOT_NOW),
    (f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}", NOT_NOW),
    (f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}", NOT_NOW),
    (f"sbatch: error: QOSMaxSubmitJobPerAccountLimit\n{POLICY}", NOT_NOW),
    (f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}", NOT_NOW),
    (f"sbatch: error: QOSGrpSubmitJobsLimit\n{POLICY}", NOT_NOW),
    (f"sbatch: error: QOSMaxCpuPerJobLimit\n{POLICY}", NEVER),
    (f"sbatch: error: QOSMaxNodePerJobLimit\n{POLICY}", NEVER),
    (f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}", NEVER),
    (f"sbatch: error: AssocMaxWallDurationPerJobLimit\n{POLICY}", NEVER),
    (f"sbatch: error: QOSMinCpuNotSatisfied\n{POLICY}", NEVER),
    (f"{SUBMIT}MaxJobCount limit reached", NOT_NOW),
    (f"{SUBMIT}Rate limit exceeded, please retry momentarily", NOT_NOW),
    (f"{SUBMIT}I/O error writing script/environment to file", NOT_NOW),
    (f"{SUBMIT}Required partition not available (inactive or drain)", NOT_NOW),
    (f"{SUBMIT}Required node not available (down, drained or reserved)", NOT_NOW),
    (f"{SUBMIT}Requested partition configuration not available now", NOT_NOW),
    (f"{SUBMIT}Requested operation is presently disabled", NOT_NOW),
    (f"{SUBMIT}Requested reservation not usable now", NOT_NOW),
    (f"{SUBMIT}Licenses currently unavailable", NOT_NOW),
    (f"{SUBMIT}Resource temporarily unavailable", NOT_NOW),
    (
        "sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n"
        "sbatch: error: fetch_config: DNS SRV lookup failed\n"
        "sbatch: error: _establish_config_source: failed to fetch config\n"
        "sbatch: fatal: Could not establish a configuration source",
        NOT_NOW,
    ),
    ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", NOT_NOW),
    (
        "sbatch: error: The system is in maintenance until 17:00\n" + SUBMIT + "Unspecified error",
        NOT_NOW,
    ),
    ("-bash: fork: Cannot allocate memory", NOT_NOW),
    ("bash: fork: retry: Resource temporarily unavailable", NOT_NOW),
    (f"{SUBMIT}Unable to contact slurm controller (connect failure)", NO_ANSWER),
    (f"{SUBMIT}Socket timed out on send/recv operation", NO_ANSWER),
    (f"{SUBMIT}Zero Bytes were transmitted or received", NO_ANSWER),
    (f"{SUBMIT}Unexpected message received", NO_ANSWER),
    (f"{SUBMIT}Slurm backup controller in standby mode", NO_ANSWER),
    (f"{SUBMIT}Connection timed out reading", NO_ANSWER),
    ("sbatch: error: Munge encode failed: Failed to access the socket", NO_ANSWER),
    (f"{SUBMIT}Protocol authentication error", NO_ANSWER),
    ("/usr/local/bin/sbatch: line 3: /opt/slurm/bin/real: No such file or directory", NO_ANSWER),
    (f"{SUBMIT}Invalid partition name specified", NEVER),
    (f"{SUBMIT}Invalid account or account/partition combination specified", NEVER),
    (f"{SUBMIT}Invalid qos specification", NEVER),
    (f"{SUBMIT}Requested node configuration is not available", NEVER),
    (f"{SUBMIT}Requested time limit is invalid (missing or exceeds some limit)", NEVER),
    (f"{SUBMIT}User's group not permitted to use this partition", NEVER),
    (f"{SUBMIT}Access/permission denied", NEVER),
    (f"sbatch: error: You have to name a project\n{SUBMIT}Unspecified error", NEVER),
    ("sbatch: error: Batch script contains DOS line breaks (\\r\\n)", NEVER),
    ("sbatch: unrecognized option '--qpu=2'", NEVER),
]
# OpenPBS 23.06, and its errors in pbs_error.h; an exit code is the last eight bits
PBS = [
    (173, "qsub: Queue is not enabled", NOT_NOW),
    (184, "qsub: Queue is not enabled", NOT_NOW),
    (38, "qsub: would exceed queue workq's per-user limit", NOT_NOW),
    (39, "qsub: would exceed limit on resource ncpus in queue workq", NOT_NOW),
    (198, "qsub: Maximum number of jobs already in queue", NOT_NOW),
    (196, "qsub: Resource temporarily unavailable", NOT_NOW),
    (104, "qsub: Try again later", NOT_NOW),
    (212, "qsub: Request not allowed: Server shutting down", NOT_NOW),
    (17, "", NOT_NOW),
    (1, "qsub: cannot connect to server vm (errno=111)", NO_ANSWER),
    (111, "qsub: cannot connect to server vm (errno=111)", NO_ANSWER),
    (162, "qsub: System error occurred", NO_ANSWER),
    (163, "qsub: Internal server error occurred", NO_ANSWER),
    (183, "qsub: Batch protocol error", NO_ANSWER),
    (186, "qsub: No server to connect to", NO_ANSWER),
    (-9, "", NO_ANSWER),
    (127, "qsub: command disabled", NO_ANSWER),
    (1, "qsub: script file:: No such file or directory", NEVER),
    (2, "/opt/pbs: invalid option -- '-'", NEVER),
    (170, "qsub: Unknown queue", NEVER),
    (175, "qsub: Bad UID for job execution", NEVER),
    (187, "qsub: Unknown resource Resource_List.foo", NEVER),
    (188, "qsub: Job violates queue and/or server resource limits", NEVER),
]
# PJM: what users have published; a limit on the number of jobs is read of, and unproved
PJM = [
    ("[ERR.] PJM 0057 pjsub node=32 is greater than the upper limit (24).", NEVER),
    ("[ERR.] PJM 0057 pjsub elapse=172800 is greater than the upper limit (86400).", NEVER),
    ("[ERR.] PJM 0070 pjsub No execute permission: pjsub-bulk.", NEVER),
    ("[ERR.] PJM 0071 pjsub Group not authorized to submit a job: group(1)", NEVER),
    ("[ERR.] PJM 0001 pjsub Invalid option: --qpu.", NEVER),
    ("[ERR.] PJM 0059 pjsub ru-accept=101 is greater than the upper limit (100).", NOT_NOW),
    ("[ERR.] PJM 0060 pjsub The number of jobs has reached the upper limit.", NOT_NOW),
    ("[ERR.] PJM 0061 pjsub Resource group is stopped: small.", NOT_NOW),
    ("[ERR.] PJM 0090 pjsub Cannot connect to the server.", NO_ANSWER),
    ("[ERR.] PJM 0091 pjsub Communication with the server timed out.", NO_ANSWER),
    ("pjsub: Segmentation fault", NO_ANSWER),
]


def answer(err: str, code: int = 1) -> Answer:
    return Answer(["submit"], code, "", err)


@pytest.mark.parametrize(("err", "expected"), SLURM, ids=lambda value: str(value)[-40:])
def test_what_slurm_says_decides(err: str, expected: Decision) -> None:
    assert decision("slurm", answer(err)) is expected


@pytest.mark.parametrize(("code", "err", "expected"), PBS, ids=str)
def test_what_pbs_says_decides_by_its_words_and_else_by_its_code(
    code: int, err: str, expected: Decision
) -> None:
    assert decision("pbs", answer(err, code)) is expected


@pytest.mark.parametrize(("err", "expected"), PJM, ids=lambda value: str(value)[-40:])
def test_what_pjm_says_decides(err: str, expected: Decision) -> None:
    assert decision("pjm", answer(err)) is expected


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pjm", "another"])
def test_a_submission_that_says_it_went_well_is_never_refused(scheduler: str) -> None:
    said = Answer(["submit"], 0, "maintenance at 17:00", "job submit limit")
    assert decision(scheduler, said) is NO_ANSWER


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pjm", "another"])
@pytest.mark.parametrize("text", ["fork: Cannot allocate memory", "No space left on device"])
def test_a_login_node_without_memory_or_room_refuses_nothing(scheduler: str, text: str) -> None:
    assert decision(scheduler, answer(text)) is NOT_NOW


@pytest.mark.parametrize(
    ("err", "permanent", "not_now"),
    [(POLICY, False, True), (SLURM[-1][0], True, False), ("gone", False, False)],
)
def test_a_refusal_carries_its_words_and_what_they_decide(
    err: str, permanent: bool, not_now: bool
) -> None:
    raised = refusal("slurm", answer(err))
    assert (raised.permanent, raised.not_now) == (permanent, not_now)
    assert str(raised) == " ".join(err.split())


@pytest.mark.parametrize(
    ("scheduler", "reason", "never"),
    [
        ("slurm", "PartitionTimeLimit", True),
        ("slurm", "QOSMaxNodePerJobLimit", True),
        ("slurm", "AssocMaxJobsLimit", False),
        ("slurm", "ReqNodeNotAvail, Reserved for maintenance", False),
        ("slurm", "PartitionDown", False),
        ("pbs", "Can Never Run: Insufficient amount of resource: ncpus", True),
        ("pbs", "Not Running: Queue not started.", False),
        ("another", "PartitionTimeLimit", False),
    ],
)
def test_why_a_job_waits_says_whether_it_ever_starts(
    scheduler: str, reason: str, never: bool
) -> None:
    assert never_starts(scheduler, reason) is never
