"""Which endpoint a request is for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from qcsc_loop.testing.ibm import accounts, backends, jobs, sessions
from qcsc_loop.testing.ibm.fault import RequestKind
from qcsc_loop.testing.ibm.messages import Answer, Request

API = "/api/v1"


class Route(NamedTuple):
    """An endpoint; what stands in its path for braces, it is called with.

    Attributes:
        act: is called with the service and the request, too.
    """

    method: str
    path: str
    kind: RequestKind
    act: Callable[..., Answer]


ROUTES = [
    Route("POST", "/identity/token", "token", accounts.token),
    Route("POST", "/v3/resources/search", "catalogue", accounts.instances),
    Route("GET", f"{API}/{accounts.PLAN}", "catalogue", accounts.plan),
    Route("GET", f"{API}/instances/usage", "usage", accounts.usage),
    Route("GET", f"{API}/backends", "backends", backends.backends),
    Route("GET", f"{API}/backends/{{}}/configuration", "backend", backends.configuration),
    Route("GET", f"{API}/backends/{{}}/properties", "backend", backends.properties),
    Route("GET", f"{API}/backends/{{}}/status", "backend", backends.status),
    Route("POST", f"{API}/jobs", "submit", jobs.submit),
    Route("GET", f"{API}/jobs", "list", jobs.listing),
    Route("GET", f"{API}/jobs/{{}}", "poll", jobs.job),
    Route("DELETE", f"{API}/jobs/{{}}", "delete", jobs.delete),
    Route("GET", f"{API}/jobs/{{}}/results", "results", jobs.results),
    Route("GET", f"{API}/jobs/{{}}/metrics", "metrics", jobs.job_metrics),
    Route("GET", f"{API}/jobs/{{}}/logs", "logs", jobs.logs),
    Route("POST", f"{API}/jobs/{{}}/cancel", "cancel", jobs.cancel),
    Route("PUT", f"{API}/jobs/{{}}/tags", "tags", jobs.retag),
    Route("POST", f"{API}/sessions", "session", sessions.create),
    Route("GET", f"{API}/sessions/{{}}", "session", sessions.session),
    Route("PATCH", f"{API}/sessions/{{}}", "session", sessions.change),
    Route("DELETE", f"{API}/sessions/{{}}/close", "session", sessions.close),
]


def route(request: Request) -> tuple[Route, tuple[str, ...]] | None:
    """The endpoint of a request with the parts of its path; None if there is no such endpoint."""
    for found in ROUTES:
        pattern = found.path.replace("{}", "([^/]+)")
        if found.method == request.method and (match := re.fullmatch(pattern, request.path)):
            return found, match.groups()
    return None
