"""Does a Prefect API answer, would its pages work, and is there a key to sign with what it is sent?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from qcsc_loop.doctor import Finding, Request
from qcsc_loop.errors import PrefectHomeNotWritable, QcscLoopError
from qcsc_loop.prefect.home import require_home


def prefect(_: Request) -> Iterator[Finding]:
    """Whether a Prefect API answers: the configured one, one's own, or a temporary server."""
    try:
        require_home()
    except PrefectHomeNotWritable as error:
        yield Finding("Prefect's home", False, str(error))
        return  # Prefect, which all else here asks, warns of it when it is imported
    from qcsc_loop.prefect.server import opened_api

    try:
        with opened_api(lambda _: None) as api:
            api.wait()
            kind = {"own": "your own server", "temporary": "temporary server"}.get(
                api.kind, api.kind
            )
            yield Finding("Prefect API", True, f"{api.url} answers ({kind})")
            if api.kind in ("own", "configured"):
                yield from pages(api.url)
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


def pages(url: str) -> Iterator[Finding]:
    """Whether the pages of an API's server ask that server: by default they ask port 4200."""
    from qcsc_loop.prefect.server import asked_by_pages

    asked = asked_by_pages(url)
    if asked is None:
        return
    what, here = "Prefect pages", url.rstrip("/").removesuffix("/api")
    if asked.startswith("/") or _place(asked) == _place(url):
        yield Finding(what, True, f"{here} shows them")
        return
    cure = (
        "start it with PREFECT_UI_API_URL=/api in its environment, as `qcsc-loop server start` does"
    )
    yield Finding(what, False, f"those of {here} ask {asked}, and stay empty", cure)


def _place(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname in ("localhost", "::1") else str(parts.hostname)
    return host, parts.port
