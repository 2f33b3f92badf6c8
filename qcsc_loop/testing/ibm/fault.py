"""What can go wrong on purpose."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

RequestKind = Literal[
    "token",  # POST /identity/token
    "catalogue",  # which instances there are
    "backends",  # the list of backends
    "backend",  # configuration, properties and status of one
    "usage",  # GET /instances/usage, which the client asks before it submits
    "submit",
    "list",
    "poll",  # GET /jobs/ID
    "results",
    "metrics",
    "logs",
    "tags",
    "cancel",
    "delete",
    "session",
]
"""The kinds of requests that a fault can be restricted to."""


class IBMFault(StrEnum):
    """A failure of the service; each strikes the next request or job that it fits.

    A fault of a request needs the kind of request, unless it is told here. With `seconds`, the
    spoiled answer comes so much later.
    """

    SERVER_ERROR = "server-error"
    """500; the request has no effect."""

    UNAUTHORIZED = "unauthorized"
    """401; the request has no effect."""

    FORBIDDEN = "forbidden"
    """403; the request has no effect."""

    NOT_FOUND = "not-found"
    """404; the request has no effect."""

    TOO_MANY_REQUESTS = "too-many-requests"
    """429 at once, with no effect; `seconds` are its Retry-After, and without them it has none."""

    CONNECTION_LOST = "connection-lost"
    """The connection is reset; the request has no effect."""

    CONNECTION_LOST_THOUGH_ACCEPTED = "connection-lost-though-accepted"
    """The connection is reset; the request has its effect. Of a submission if not told."""

    BAD_GATEWAY_THOUGH_ACCEPTED = "bad-gateway-though-accepted"
    """502; the request has its effect. Of a submission if not told."""

    GATEWAY_TIMEOUT_THOUGH_ACCEPTED = "gateway-timeout-though-accepted"
    """504; the request has its effect. Of a submission if not told."""

    HTML_PAGE = "html-page"
    """200 and the page of a gateway; the request has its effect."""

    TRUNCATED = "truncated"
    """The answer's second half is missing; the request has its effect. Of results if not told."""

    HANGS = "hangs"
    """The request has its effect; the right answer comes `seconds` later."""

    LIST_MISCOUNTED = "list-miscounted"
    """A list of jobs tells of one more than it has."""

    JOB_WAITS = "job-waits"
    """The next job is queued for `seconds`."""

    JOB_LISTED_LATE = "job-listed-late"
    """Lists know the next job only `seconds` later; whoever has its id finds it at once.

    Together with a lost connection: a submission that arrives long after it was sent.
    """

    JOB_FAILS = "job-fails"
    """The next job fails when it runs, with `reason` and `code`; without them, with a traceback."""

    JOB_CANCELLED = "job-cancelled"
    """The service cancels the next job that runs; with code 1305, for it took too long."""


JOB_FAULTS = frozenset(
    {IBMFault.JOB_WAITS, IBMFault.JOB_LISTED_LATE, IBMFault.JOB_FAILS, IBMFault.JOB_CANCELLED}
)
NEED_SECONDS = frozenset({IBMFault.HANGS, IBMFault.JOB_WAITS, IBMFault.JOB_LISTED_LATE})
USUAL_REQUEST: dict[IBMFault, RequestKind] = {
    IBMFault.CONNECTION_LOST_THOUGH_ACCEPTED: "submit",
    IBMFault.BAD_GATEWAY_THOUGH_ACCEPTED: "submit",
    IBMFault.GATEWAY_TIMEOUT_THOUGH_ACCEPTED: "submit",
    IBMFault.TRUNCATED: "results",
    IBMFault.LIST_MISCOUNTED: "list",
}
