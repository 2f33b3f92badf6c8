"""Every error says in one line what failed and what to do next."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from qcsc_loop import errors
from qcsc_loop.errors import (
    AlgorithmNotImported,
    AlgorithmNotNamed,
    BadAlgorithm,
    BadArchive,
    BadFunction,
    BlockNotFound,
    CheckFailed,
    CredentialsRefused,
    DamagedDocument,
    DriverSilent,
    EncodingError,
    FileNotRead,
    FileNotWritten,
    HookError,
    HookFailed,
    ImpureHook,
    InputError,
    InvalidParameters,
    InvalidRunId,
    JobElsewhere,
    JobError,
    JobFailed,
    JobInputChanged,
    JobNotTaken,
    JobRefused,
    JobRejected,
    KeyNotPrivate,
    LeaseLost,
    NewerDocument,
    NewerFormat,
    NoGoodCheckpoint,
    NothingMeasured,
    ParametersChanged,
    PluginFailed,
    PrefectHomeNotWritable,
    PrefectRefused,
    PrefectUnreachable,
    QcscLoopError,
    ResultsNotMade,
    ResultUnreadable,
    RunCancelled,
    RunExists,
    RunIsDriven,
    RunLocked,
    RunNotBegun,
    RunNotFound,
    RunRenamed,
    SamplingFailed,
    ServerNotOurs,
    ServerNotStarted,
    SeveralRuns,
    SiteUnreachable,
    StoreError,
    StoreNotPrivate,
    SubmissionUnclear,
    SweepChanged,
    SweepLocked,
    SweepLost,
    SweepNotFound,
    UnknownAlgorithm,
    UnknownRule,
    UnknownSite,
    WorkerDied,
    WrongEventLoop,
    WrongHookType,
)

SINCE = datetime(2025, 3, 1, 12, 30, tzinfo=UTC)


def failed(
    reason: str = "",
    tail: str = "",
    *,
    exit_code: int | None = None,
    job_id: str = "12",
    state: str = "FAILED",
) -> JobFailed:
    """A job of the name "count" that ended badly on Slurm."""
    return JobFailed(
        job="count",
        state=state,
        job_id=job_id,
        site="Slurm",
        exit_code=exit_code,
        reason=reason,
        tail=tail,
        folder="/runs/h2o/count.0",
    )


def unreadable(why: str) -> ResultUnreadable:
    """The same job, which ended well."""
    return ResultUnreadable(
        job="count",
        job_id="12",
        site="Slurm",
        why=why,
        folder="/runs/h2o/count.0",
        run_id="h2o",
    )


EXAMPLES: list[tuple[QcscLoopError, list[str]]] = [
    (
        UnknownAlgorithm("bitcont", "no installed package offers that name", ["bitcount", "afqmc"]),
        [
            "there is no algorithm 'bitcont': no installed package offers that name",
            "(did you mean 'bitcount'?). ",
            "Known by name: afqmc, bitcount",
            "path/to/file.py:Class",
        ],
    ),
    (
        AlgorithmNotImported("mine.py:Mine", "importing mine.py raised KeyError: 'x'", []),
        ["'mine.py:Mine' cannot be run: importing mine.py raised KeyError: 'x'. Mend that"],
    ),
    (
        PrefectHomeNotWritable("/home/me/.prefect", "Read-only file system"),
        ["nothing in /home/me/.prefect: Read-only file system", "PREFECT_HOME", "--no-prefect"],
    ),
    (
        BadAlgorithm("Descent", "its state type <class 'int'> must be a subclass of State"),
        ["Descent cannot run: its state type <class 'int'> must be a subclass of State"],
    ),
    (
        InvalidParameters("BitCount", ["shots: too few", "ranks is required"], ["shots", "ranks"]),
        ["BitCount: shots: too few; ranks is required.", "Valid parameters: shots, ranks."],
    ),
    (
        BlockNotFound("aer/mine", "there is none of that name", ["aer/b", "aer/a"]),
        ["block 'aer/mine' cannot be used: there is none", "Saved blocks: aer/a, aer/b."],
    ),
    (
        InvalidRunId("My Run"),
        ["'My Run' cannot be a run id", "lower-case letters, digits and dashes", "'h2o-seed-7'"],
    ),
    (
        RunNotFound("h2o", "/runs", ["n2", "lih"]),
        [
            "there is no run 'h2o' in /runs.",
            "Runs there: lih, n2.",
            "--store DIR or QCSC_LOOP_STORE",
        ],
    ),
    (
        AlgorithmNotNamed("h2o", "the server has one of /x.py:C", "It is not installed", "/x.py:C"),
        [
            "the server has one of /x.py:C. It is not installed: if you know it for yours",
            "qcsc-loop resume h2o --algorithm /x.py:C",
        ],
    ),
    (
        SeveralRuns("h2o", ["--uid 12, begun today", "--uid 34, begun yesterday"]),
        [
            "several runs 'h2o' on the Prefect server, and none on this disk.",
            "Name one: --uid 12, begun today; --uid 34, begun yesterday.",
        ],
    ),
    (
        RunIsDriven("h2o", "node7", 12, "export it with --snapshot"),
        [
            "run 'h2o' is being driven by process 12 on node7;",
            "end that one first, or export it with --snapshot",
        ],
    ),
    (
        RunCancelled("h2o", "ann on login1"),
        ["run 'h2o' was cancelled by ann on login1;", "qcsc-loop resume h2o"],
    ),
    (
        DriverSilent("h2o", "node7", 12, 60.0, lives=False),
        [
            "process 12 on node7 drives run 'h2o', and has not ended 60 s after it was asked to",
            "qcsc-loop cancel h2o --force",
        ],
    ),
    (
        RunExists("h2o", "/runs"),
        ["there is a run 'h2o' in /runs already, and it stays.", "--run-id NEW"],
    ),
    (
        SweepNotFound("gzh", "/runs", ["ghz", "h2o"]),
        [
            "no sweep 'gzh' in /runs (did you mean 'ghz'?). Sweeps there: ghz, h2o",
            "sweep FILE.toml",
        ],
    ),
    (
        SweepChanged("ghz", ["shots: 10 -> 20"]),
        ["'ghz' has begun as another one (shots: 10 -> 20)", "qcsc-loop sweep ghz", "--name NEW"],
    ),
    (
        SweepLocked("ghz", RunLocked("ghz", "login1", 4711, SINCE, 12.6)),
        [
            "the sweep 'ghz' is being driven by process 4711 on login1",
            "the sweep is free in 13 s",
            "qcsc-loop sweep show ghz",
        ],
    ),
    (
        SweepLost("ghz"),
        ["superseded: another process has taken over the sweep 'ghz'", "qcsc-loop sweep show ghz"],
    ),
    (
        FileNotWritten("nowhere/h2o.html", "No such file or directory", "-o"),
        [
            "nowhere/h2o.html cannot be written: No such file or directory",
            "name another file, in a folder that is there, with -o FILE",
        ],
    ),
    (
        FileNotRead("h2o.tar.gz", "Permission denied"),
        ["h2o.tar.gz cannot be read: Permission denied", "nothing was changed"],
    ),
    (
        BadArchive("h2o.tar.gz", "'run.json' is missing"),
        [
            "h2o.tar.gz cannot be imported: 'run.json' is missing.",
            "qcsc-loop export RUN -o FILE.tar.gz",
        ],
    ),
    (
        CheckFailed("Mine", ["when it is run again, Mine.sample returns something else"]),
        [
            "Mine does not give the same bits in every life of its run:",
            "Mine.sample returns something else",
        ],
    ),
    (
        RunRenamed("h2o", "copy", "/runs"),
        [
            "the folder /runs/copy holds run 'h2o': it was renamed, or copied.",
            "To go on with it, give it its name back, where no other folder has it: "
            "mv /runs/copy /runs/h2o",
        ],
    ),
    (
        KeyNotPrivate("/home/me/key", "others than you may read it"),
        ["/home/me/key is no key to sign with: others than you may read it.", "QCSC_LOOP_KEY_FILE"],
    ),
    (
        StoreNotPrivate("/runs", "everybody can write to it", "chmod -R o-w /runs"),
        [
            "/runs cannot be trusted with a run: everybody can write to it",
            "mend it (chmod -R o-w /runs), or name a store of your own with --store DIR.",
            "QCSC_LOOP_SHARED_STORE=1",
        ],
    ),
    (
        ParametersChanged("h2o", {"shots": (5, 6), "sampler.method": ("a", "b")}),
        [
            "run 'h2o' was started with other settings (shots: 5 -> 6; sampler.method: a -> b)",
            "qcsc-loop resume h2o",
            "another --run-id",
        ],
    ),
    (
        RunLocked("h2o", "login1", 4711, SINCE, 12.6),
        [
            "run 'h2o' is being driven by process 4711 on login1",
            f"since {SINCE.astimezone():%Y-%m-%d %H:%M:%S}",
            "free in 13 s: qcsc-loop resume h2o",
        ],
    ),
    (
        LeaseLost("h2o", 1, 2),
        [
            "superseded: this driver (epoch 1) lost run 'h2o' to a newer one (epoch 2)",
            "goes on with all that was finished here",
        ],
    ),
    (
        ImpureHook("BitCount", "evaluate", 7, "state.items", run_id="h2o"),
        [
            "BitCount.evaluate changed state.items in iteration 7, which it was given to read",
            "let it build and return a new value",
            "QCSC_LOOP_CHECK_HOOKS=false",
        ],
    ),
    (
        HookFailed("BitCount", "evaluate", 7, "h2o", "algorithm.py:98", ValueError("no counts")),
        [
            "BitCount.evaluate raised ValueError in iteration 7 at algorithm.py:98: no counts.",
            "qcsc-loop show h2o",
            "qcsc-loop resume h2o",
        ],
    ),
    (
        ResultsNotMade("BitCount", KeyError("no such thing")),
        [
            "the results cannot be shown: BitCount.tables raised KeyError: 'no such thing'.",
            "qcsc-loop show RUN --tables",
        ],
    ),
    (
        WrongHookType("BitCount", "update", "Histogram", "dict", "", run_id="h2o"),
        ["BitCount.update must return Histogram, but returned dict.", "qcsc-loop resume h2o"],
    ),
    (
        PluginFailed("qcsc_loop.resources", "lab", "lab-tools", "ImportError: no libqpu.so"),
        ["the plug-in 'lab' of distribution lab-tools failed to load", "ImportError: no libqpu.so"],
    ),
    (
        UnknownSite("lumi", ["fugaku", "lumi-g"]),
        ["no site 'lumi' is known (did you mean 'lumi-g'?); known: fugaku, lumi-g", "machines.md"],
    ),
    (
        UnknownRule("h2o", "lab-hours", "qcsc-loop 9.1", "type must be one of all, any"),
        ["run 'h2o' stops by the rule 'lab-hours'", "written by qcsc-loop 9.1", "one of all, any"],
    ),
    (
        NewerDocument("h2o", "9.1", "0.1.0", "input should be 'failed'"),
        ["h2o was written by qcsc-loop 9.1, and this is 0.1.0", "pip install 'qcsc-loop>=9.1'"],
    ),
    (EncodingError("Histogram", "object dtype"), ["Histogram cannot be stored: object dtype"]),
    (
        StoreError("write", "/runs/h2o/run.json", "No space left on device"),
        [
            "could not write /runs/h2o/run.json: No space left on device.",
            "What was committed before is safe",
            "resume the run",
        ],
    ),
    (
        RunNotBegun("write", "/runs/h2o/run.json", "Permission denied"),
        [
            "could not write /runs/h2o/run.json: Permission denied. Nothing has begun;",
            "name another folder with --store DIR or QCSC_LOOP_STORE",
        ],
    ),
    (DamagedDocument("00000007.e0001", "cut off"), ["00000007.e0001 is damaged: cut off"]),
    (
        NewerFormat("h2o/run", 3, 2),
        [
            "h2o/run was written by a newer version of qcsc-loop (format 3; this one reads up to 2).",
            "update qcsc-loop, or go on with the one that wrote it",
        ],
    ),
    (
        NoGoodCheckpoint("h2o", ["checkpoint 7: cut off", "checkpoint 6: gone"]),
        [
            "run 'h2o' has no checkpoint that verifies (checkpoint 7: cut off; checkpoint 6: gone).",
            "from a backup, or start anew under another --run-id",
        ],
    ),
    (SamplingFailed("Aer", "out of memory"), ["Aer gave no samples: out of memory"]),
    (
        WorkerDied("pkg.work", -9),
        ["the process that did pkg.work was ended by signal 9", "memory runs out"],
    ),
    (WorkerDied("pkg.work", 3), ["the process that did pkg.work exited 3 before it was done"]),
    (
        WrongEventLoop(),
        ["driven in asyncio's event loop", "anyio.run(algorithm.run)", "Nothing was started."],
    ),
    (
        BadFunction("dot", "left: an annotation is missing"),
        ["ranks cannot call dot: left: an annotation is missing", "annotations", "Nothing was"],
    ),
    (
        JobRefused("PBS", "gfscache", "PBS has no LLIO cache; leave it out"),
        ["PBS cannot run this job: gfscache: PBS has no LLIO cache", "Nothing was submitted."],
    ),
    (
        failed("NonZeroExitCode", "one\ntwo\n", exit_code=3),
        [
            "count (Slurm job 12) ended FAILED with exit code 3: NonZeroExitCode;",
            "its output ends: one | two; all of it: /runs/h2o/count.0",
        ],
    ),
    (
        NothingMeasured("it has no classical register"),
        [
            "the circuit cannot be sampled: it has no classical register",
            "circuit.measure_all()",
            "Nothing was submitted.",
        ],
    ),
    (
        unreadable("BadZipFile: File is not a zip file"),
        [
            "count (Slurm job 12) ended well, but its result cannot be read: BadZipFile: File is not",
            "/runs/h2o/count.0",
            "The job is kept",
            "qcsc-loop resume h2o reads it again",
            "qcsc-loop reap h2o --unread",
        ],
    ),
    (
        JobElsewhere("h2o/3/evaluate/count.0", "12", "Slurm", "/old/h2o", "h2o"),
        [
            "h2o/3/evaluate/count.0 is the work of Slurm job 12 in /old/h2o, which is not to be seen",
            "the job is left alone",
            "qcsc-loop reap h2o ends the job",
        ],
    ),
    (
        JobRejected("Slurm", "Invalid partition name specified"),
        ["Slurm does not take the job: Invalid partition name specified"],
    ),
    (
        JobNotTaken("Slurm", "AssocMaxSubmitJobLimit", 86400),
        [
            "Slurm has not taken the job in 86400 s (not_now_seconds of its profile): Assoc",
            "nothing was submitted, and a resume offers it again",
        ],
    ),
    (
        JobInputChanged("h2o/3/evaluate/count.0", "12", "h2o"),
        [
            "h2o/3/evaluate/count.0 was submitted before (job 12) with another command or other input",
            "give each a name of its own",
            "qcsc-loop reap h2o",
        ],
    ),
    (
        SubmissionUnclear("PBS", "qsub gave no answer in 30 s"),
        ["PBS did not say whether it took the job: qsub gave no answer in 30 s"],
    ),
    (
        SiteUnreachable("PBS", "qstat gave no answer in 30 s"),
        ["PBS does not answer: qstat gave no answer in 30 s"],
    ),
    (
        CredentialsRefused("IBM Quantum", "the API key is not known"),
        ["IBM Quantum does not let us in: the API key is not known"],
    ),
    (
        PrefectRefused("http://localhost:4200/api"),
        ["does not let us in. Set PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "--no-prefect"],
    ),
    (
        PrefectUnreachable("http://localhost:4200/api", "connection refused"),
        [
            "the Prefect API at http://localhost:4200/api does not answer (connection refused).",
            "prefect server start",
            "PREFECT_API_URL",
            "--no-prefect",
        ],
    ),
    (
        ServerNotStarted("/home/me/server", "the disk is full", "make room"),
        ["the Prefect server in /home/me/server: the disk is full. To go on: make room."],
    ),
    (
        ServerNotOurs("/home/me/server/auth", "it belongs to somebody else"),
        ["/home/me/server/auth of your Prefect server is not yours alone", "QCSC_LOOP_SERVER"],
    ),
]
ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, QcscLoopError)
]
GROUPS = {QcscLoopError, InputError, HookError, JobError}


def name_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, QcscLoopError) else ""


# the messages


@pytest.mark.parametrize(("error", "parts"), EXAMPLES, ids=name_of)
def test_an_error_says_what_failed_and_what_to_do(error: QcscLoopError, parts: list[str]) -> None:
    assert [part for part in parts if part not in str(error)] == []


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES], ids=name_of)
def test_a_message_is_one_line(error: QcscLoopError) -> None:
    assert "\n" not in str(error)


def test_every_class_that_can_be_raised_has_its_message_tested() -> None:
    assert {type(error) for error, _ in EXAMPLES} == set(ALL) - GROUPS


WITH_A_FOREIGN_TEXT: dict[str, Callable[[str], QcscLoopError]] = {
    "UnknownAlgorithm": lambda why: UnknownAlgorithm("x", why, []),
    "BadAlgorithm": lambda why: BadAlgorithm("X", why),
    "InvalidParameters": lambda why: InvalidParameters("X", [why], []),
    "BlockNotFound": lambda why: BlockNotFound("aer/x", why, []),
    "InvalidRunId": lambda why: InvalidRunId(why),
    "ParametersChanged": lambda why: ParametersChanged("x", {"label": (why, "")}),
    "HookFailed": lambda why: HookFailed("X", "sample", 1, "x", "", ValueError(why)),
    "ResultsNotMade": lambda why: ResultsNotMade("X", ValueError(why)),
    "WrongHookType": lambda why: WrongHookType("X", "sample", "int", "str", why, run_id="run"),
    "EncodingError": lambda why: EncodingError("X", why),
    "StoreError": lambda why: StoreError("read", "/x", why),
    "RunNotBegun": lambda why: RunNotBegun("write", "/x", why),
    "DamagedDocument": lambda why: DamagedDocument("x", why),
    "NoGoodCheckpoint": lambda why: NoGoodCheckpoint("x", [why]),
    "SamplingFailed": lambda why: SamplingFailed("Aer", why),
    "WorkerDied": lambda why: WorkerDied(why, 1),
    "JobRefused": lambda why: JobRefused("PBS", "memory", why),
    "JobFailed, its reason": failed,
    "JobFailed, its output": lambda why: failed(tail=why),
    "JobRejected": lambda why: JobRejected("PBS", why),
    "JobNotTaken": lambda why: JobNotTaken("PBS", why),
    "ResultUnreadable": lambda why: unreadable(why),
    "JobInputChanged": lambda why: JobInputChanged(why, None, "x"),
    "SubmissionUnclear": lambda why: SubmissionUnclear("PBS", why),
    "CredentialsRefused": lambda why: CredentialsRefused("IBM Quantum", why),
    "SiteUnreachable": lambda why: SiteUnreachable("PBS", why),
    "PrefectUnreachable": lambda why: PrefectUnreachable("http://x", why),
}


@pytest.mark.parametrize("kind", WITH_A_FOREIGN_TEXT)
def test_a_message_stays_one_line_when_another_librarys_text_has_more(kind: str) -> None:
    text = str(WITH_A_FOREIGN_TEXT[kind]("first line\n  second line\n"))

    assert "\n" not in text
    assert "first line" in text
    assert "second line" in text


# one class at a time


@pytest.mark.parametrize(
    "error",
    [
        UnknownAlgorithm("x", "why", []),
        RunNotFound("x", "/runs", []),
        NoGoodCheckpoint("x", []),
    ],
    ids=name_of,
)
def test_an_empty_list_is_none_in_words(error: QcscLoopError) -> None:
    assert "none" in str(error)


def test_where_nothing_is_to_be_said_of_what_is_valid_nothing_is() -> None:
    assert str(InvalidParameters("a.toml", ["it cannot be read"], [])) == (
        "a.toml: it cannot be read."
    )


def test_of_many_runs_ten_are_shown() -> None:
    text = str(RunNotFound("x", "/runs", (f"run-{k:02}" for k in range(25))))

    assert "run-09 and 15 more." in text
    assert "run-10" not in text


def test_a_lease_that_has_run_out_is_free_in_no_time() -> None:
    assert "free in 0 s" in str(RunLocked("x", "here", 1, SINCE, -3.0))


def test_a_lock_carries_who_holds_it() -> None:
    error = RunLocked("h2o", "login1", 4711, SINCE, 12.0)

    assert (error.run_id, error.host, error.pid) == ("h2o", "login1", 4711)
    assert (error.since, error.free_in) == (SINCE, 12.0)


def test_changed_parameters_carry_the_differences() -> None:
    assert ParametersChanged("x", {"shots": (5, 6)}).differences == {"shots": (5, 6)}


def test_invalid_parameters_carry_their_problems() -> None:
    error = InvalidParameters("X", ["a", "b"], ["c"])

    assert (error.problems, error.valid) == (("a", "b"), ("c",))


def test_a_failed_hook_without_a_message_says_so() -> None:
    assert "raised ValueError in iteration 1: no message." in str(
        HookFailed("X", "sample", 1, "x", "", ValueError())
    )


def test_a_wrong_type_says_where_it_is_wrong() -> None:
    text = WrongHookType(
        "X", "update", "Wave", "Wave", "energy: not a number", run_id="run"
    ).happened

    assert text == "X.update must return Wave, but returned Wave (energy: not a number)"


def test_a_job_that_said_nothing_is_told_with_its_folder_alone() -> None:
    assert str(failed(tail=" \n\n")) == (
        "count (Slurm job 12) ended FAILED; its files: /runs/h2o/count.0"
    )


def test_of_a_long_output_the_last_five_lines_are_told() -> None:
    error = failed(tail="\n".join("abcdefgh"))

    assert "its output ends: d | e | f | g | h; all of it" in str(error)
    assert error.tail == "\n".join("abcdefgh")


def test_a_job_that_never_got_an_id_is_told_without_one() -> None:
    assert str(failed("no such queue", job_id="")).startswith(
        "count (Slurm) ended FAILED: no such queue;"
    )


@pytest.mark.parametrize("exit_code", [None, 0])
def test_a_job_that_did_not_end_by_a_bad_code_is_told_without_one(exit_code: int | None) -> None:
    assert "exit code" not in str(failed("NODE_FAIL", exit_code=exit_code))


def test_a_failed_job_carries_where_to_ask_for_more() -> None:
    error = failed("killed", "last words", exit_code=3)

    assert (error.state, error.job_id, error.site) == ("FAILED", "12", "Slurm")
    assert (error.exit_code_of_job, error.tail) == (3, "last words")


def test_a_refused_job_carries_the_setting_to_change() -> None:
    assert JobRefused("PBS", "gfscache", "there is none").field == "gfscache"


def test_a_rejection_carries_its_reason_in_one_line() -> None:
    assert JobRejected("PBS", "qsub: \n  Unknown queue\n").reason == "qsub: Unknown queue"


def test_a_job_without_an_id_whose_input_changed_is_told_so() -> None:
    assert "(job not known)" in str(JobInputChanged("h2o/3/evaluate/count.0", None, "h2o"))


# what the command line and the retry policy read


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (QcscLoopError, 1),
        (UnknownAlgorithm, 2),
        (ParametersChanged, 2),
        (RunLocked, 3),
        (LeaseLost, 3),
        (HookFailed, 1),
        (StoreError, 1),
        (PrefectUnreachable, 2),
        (PrefectRefused, 2),
        (JobRefused, 2),
        (JobFailed, 1),
        (SiteUnreachable, 1),
    ],
)
def test_an_error_has_its_exit_code(kind: type[QcscLoopError], exit_code: int) -> None:
    assert kind.exit_code == exit_code


def test_the_transient_errors_are_these() -> None:
    assert {kind for kind in ALL if kind.transient} == {
        RunLocked,
        StoreError,
        PrefectUnreachable,
        SubmissionUnclear,
        SiteUnreachable,
        JobNotTaken,
        ResultUnreadable,
    }


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_a_job_that_failed_through_no_fault_of_its_own_may_do_better(state: str) -> None:
    assert failed(state=state).transient


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "LOST"])
def test_a_job_that_failed_by_itself_will_again(state: str) -> None:
    assert not failed(state=state).transient


# the tree


def drawn_tree() -> dict[str, str]:
    """Every class in the module's docstring to the class it hangs from."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"    ((?:│   |    )*)(?:├── |└── )?([A-Z]\w+)(?:  |$)", line)
        if branch is None:
            continue
        depth = len(branch[1]) // 4 + ("── " in line)
        path[depth:] = [branch[2]]
        parents[branch[2]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert drawn_tree() == {kind.__name__: kind.__bases__[0].__name__ for kind in ALL}


def test_every_exception_class_derives_from_the_root() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    exceptions = [kind for kind in classes if issubclass(kind, BaseException)]

    assert exceptions == ALL


def test_every_error_says_what_it_is() -> None:
    assert [kind.__name__ for kind in ALL if not kind.__doc__] == []
