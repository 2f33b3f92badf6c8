"""Does a Prefect API answer?"""

from __future__ import annotations

from collections.abc import Iterator

from qcsc_loop.doctor import Finding, Request
from qcsc_loop.errors import QcscLoopError


def prefect(_: Request) -> Iterator[Finding]:
    """Whether a Prefect API answers: the configured one, or a temporary server."""
    from prefect.settings import PREFECT_API_URL

    from qcsc_loop.prefect.server import prefect_api

    kind = "configured" if PREFECT_API_URL.value() else "temporary server"
    try:
        with prefect_api() as url:
            yield Finding("Prefect API", True, f"{url} answers ({kind})")
    except QcscLoopError as error:
        yield Finding("Prefect API", False, str(error), "or run with --no-prefect")
