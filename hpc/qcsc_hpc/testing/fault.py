"""What can go wrong on purpose."""

from enum import StrEnum


class Fault(StrEnum):
    """A failure of a batch system; each strikes the next command or job that it fits."""

    SUBMIT_TIMES_OUT_THOUGH_ACCEPTED = "submit-times-out-though-accepted"
    """The job is queued, but the submit command does not answer (for `seconds`, or for ever)."""

    SUBMIT_ACCEPTED_LATE = "submit-accepted-late"
    """The submit command fails like a lost connection; `seconds` later the job is queued.

    Together with the one above it hangs instead.
    """

    SUBMIT_FAILS_TRANSIENT = "submit-fails-transient"
    """The submit command cannot reach the server; no job."""

    SUBMIT_REFUSED = "submit-refused"
    """The submit command refuses the job, with exit code 1 and `reason` as its words."""

    JOB_VANISHES = "job-vanishes"
    """Accepted with an id; then no command knows it, and it never runs."""

    ACCOUNTING_LAGS = "accounting-lags"
    """Accounting knows of the next job's submission and of its end `seconds` later."""

    STATUS_FAILS = "status-fails"
    """A status command cannot reach the server."""

    STATUS_HANGS = "status-hangs"
    """A status command answers `seconds` later."""

    STATUS_GARBAGE = "status-garbage"
    """A status command's answer is cut off, with exit code 0."""

    STATUS_IN_PART = "status-in-part"
    """A status command that asks for several jobs shows the first alone (openpbs#2672)."""

    CANCEL_FAILS = "cancel-fails"
    """A cancel command cannot reach the server; the job goes on."""

    NODE_FAILS = "node-fails"
    """A node of the next job that starts goes down, `seconds` after its start."""

    PREEMPTED = "preempted"
    """The next job that starts has to make room for another one, `seconds` after its start."""

    REQUEUED = "requeued"
    """The next job that starts is killed `seconds` later, and starts again with the same id."""

    NEVER_STARTS = "never-starts"
    """The next job waits for ever, for `reason`."""
