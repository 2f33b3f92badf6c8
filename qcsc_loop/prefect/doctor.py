"""Does a Prefect API answer, and is there a key to sign with what it is sent?"""

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
    yield signing_key()


def signing_key() -> Finding:
    """Where it is, and which: machines with different homes need one key between them."""
    from qcsc_loop.prefect.signing import Signer, key_file

    path = key_file()
    if not path.exists():
        return Finding("signing key", True, f"none yet: the first run makes {path}")
    try:
        signer = Signer.of_this_person()
    except QcscLoopError as error:
        return Finding("signing key", False, str(error), f"chmod 600 {path}, or remove it")
    fact = f"{path}, fingerprint {signer.fingerprint}; the same on all machines of yours"
    return Finding("signing key", signer.signs, fact, f"make {path} readable for yourself")
