"""The IBM client, one for each account and event loop, its errors sorted."""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.lowlevel import RunVar

from qcsc_loop.concurrency.deadline import call_with_deadline
from qcsc_loop.concurrency.lasting_import import import_lastingly
from qcsc_loop.concurrency.per_event_loop import of_this_loop
from qcsc_loop.errors import CredentialsRefused, QcscLoopError, SiteUnreachable
from qcsc_loop.sampling.ibm.account import TITLE, IBMAccount, check

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.runtime_job_v2 import RuntimeJobV2

T = TypeVar("T")

CALL_SECONDS = 120.0  # the client repeats what failed for up to a minute
LIST_LIMIT = 200  # of jobs; without a limit the client can ask for ever

_CLIENT_ERROR = re.compile(r"\b(4\d\d) Client Error")


class Service:
    """One account's client. Everything it is asked runs in a daemon thread, with a deadline."""

    def __init__(self, account: IBMAccount) -> None:
        self._account = account
        self._client: QiskitRuntimeService | None = None
        self._key = ""
        self._opening = anyio.Lock()
        self.modes: dict[str, Any] = {}  # batches and sessions of this process, by id
        self.opening_mode = threading.Lock()  # concurrent parts of a step share one

    async def ask(
        self, question: Callable[[QiskitRuntimeService], T], seconds: float = CALL_SECONDS
    ) -> T:
        """What the client answers.

        Raises:
            CredentialsRefused: the key is wrong, or not allowed to ask this.
            SiteUnreachable: no answer, or none that is one.
        """
        client = await self._opened()
        try:
            return await call_with_deadline(lambda: _quietly(question, client), seconds)
        except (QcscLoopError, ImportError, NameError):
            raise
        except TimeoutError:
            raise SiteUnreachable(TITLE, f"no answer in {seconds:g} s") from None
        except Exception as error:  # the client raises its own, requests' and json's errors
            raise self.sorted(error) from None  # its traceback may hold the key

    def sorted(self, error: Exception) -> QcscLoopError:
        """A client's error as ours."""
        text = self.redacted(f"{type(error).__name__}: {error}")
        if status_of(error) == 401 or type(error).__name__ == "InvalidAccountError":
            return CredentialsRefused(TITLE, f"not authorised ({text})")
        return SiteUnreachable(TITLE, text)

    def redacted(self, text: str) -> str:
        """Text without the key, and without any other authorization."""
        hidden = text.replace(self._key, "***") if self._key else text
        return re.sub(r"(?i)(apikey|bearer)[ =:]+\S+", r"\1 ***", hidden)

    async def _opened(self) -> QiskitRuntimeService:
        async with self._opening:
            if self._client is None:
                import_lastingly("qiskit")
                self._key = await self._account.key()
                await check(self._account, self._key)
                try:
                    self._client = await call_with_deadline(
                        lambda: _quietly(self._open, None), CALL_SECONDS
                    )
                except Exception as error:  # as above
                    raise self.sorted(error) from None
            return self._client

    def _open(self, _: None) -> QiskitRuntimeService:
        # importing it takes a second
        from qiskit_ibm_runtime import QiskitRuntimeService

        # it warns on the console of every token that is given to it
        logging.getLogger("qiskit_ibm_runtime").setLevel(logging.ERROR)
        account = self._account
        given: dict[str, Any] = {
            # a token that is given makes the client forget its own variables
            "instance": account.instance or os.environ.get("QISKIT_IBM_INSTANCE"),
            "url": account.url or os.environ.get("QISKIT_IBM_URL"),
            "proxies": {"urls": account.proxies} if account.proxies else None,
        }
        return QiskitRuntimeService(
            channel=account.channel,
            token=self._key,
            **{name: value for name, value in given.items() if value},
        )

    # what is asked of it

    async def tagged(self, tag: str, *, pending: bool | None = None) -> list[RuntimeJobV2]:
        """Jobs with a tag, oldest first."""
        return await self.ask(
            lambda client: client.jobs(
                limit=LIST_LIMIT, pending=pending, job_tags=[tag], descending=False
            )
        )


@contextmanager
def checked_before_post(
    client: QiskitRuntimeService, backend: Any, check: Callable[[], None]
) -> Iterator[None]:
    """Has a check made at the last moment before this thread's jobs are posted.

    The client asks for the instance's usage and the backend's status first, and may wait long for that.
    """
    # no public name; where there is none, what the caller has checked has to do
    api = getattr(client, "_api_clients", {}).get(getattr(backend, "_instance", None))
    if api is not None and not hasattr(api, "qcsc_checked"):
        api.program_run, api.qcsc_checked = _checked(api.program_run), True
    token = _before_post.set(check)
    try:
        yield
    finally:
        _before_post.reset(token)


def _checked(post: Callable[..., T]) -> Callable[..., T]:
    def checked_post(*words: Any, **more: Any) -> T:
        if (check := _before_post.get()) is not None:
            check()
        return post(*words, **more)

    return checked_post


_before_post: ContextVar[Callable[[], None] | None] = ContextVar("qcsc_loop_post", default=None)


def status_of(error: Exception) -> int | None:
    """The HTTP status that a client's error is about; None if it does not say."""
    from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError

    if isinstance(error, IBMNotAuthorizedError):
        return 401
    found = _CLIENT_ERROR.search(str(error))
    code = getattr(error, "status_code", None)
    return int(found[1]) if found else code if isinstance(code, int) and code > 0 else None


_services: RunVar[dict[str, Service]] = RunVar("qcsc_loop_ibm_services")


def service_for(account: IBMAccount) -> Service:
    """The account's service in this event loop."""
    return of_this_loop(_services).setdefault(account.model_dump_json(), Service(account))


def _quietly(question: Callable[[Any], T], client: Any) -> T:
    """Without the client's warnings, one of which shows the key."""
    with _quiet:
        return question(client)


class _Quiet:
    """No warnings while any call lasts: `catch_warnings` alone forgets calls that overlap."""

    def __init__(self) -> None:
        self._lock, self._calls, self._kept = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._kept = warnings.catch_warnings()
                self._kept.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls == 0:
                self._kept.__exit__(None, None, None)


_quiet = _Quiet()
