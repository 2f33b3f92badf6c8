"""The service as a test has it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from qcsc_loop.testing.ibm.addresses import URL, client_environment, qrmi_environment
from qcsc_loop.testing.ibm.devices import devices
from qcsc_loop.testing.ibm.door import Door
from qcsc_loop.testing.ibm.fault import IBMFault, RequestKind
from qcsc_loop.testing.ibm.iam import API_KEY, IAM, INSTANCE, SECRET
from qcsc_loop.testing.ibm.injection import Injections, injection
from qcsc_loop.testing.ibm.job import Ending
from qcsc_loop.testing.ibm.journal import FakeIBMRequest, Journal
from qcsc_loop.testing.ibm.routes import API
from qcsc_loop.testing.ibm.server import LOOPBACK, Server
from qcsc_loop.testing.ibm.service import Service, cancellation, failure
from qcsc_loop.testing.ibm.views import FakeIBMJob, seen


# Large as a face is: a method for each thing that a test may do or see, and nothing of its own.
class FakeIBMQuantum:
    """IBM Quantum's REST service on loopback, for the unmodified clients.

    Jobs run without noise on Aer, in this process. The same program gives the same bits, always:
    the seed is its option `simulator.seed_simulator`, which a device ignores, or else `seed`.

    Args:
        backends: of Qiskit's fake ones; the service names them `ibm_...` instead of `fake_...`
        seed: of the samples.
        queue_seconds: that jobs are queued.
        run_seconds: that jobs run at least.
        usage_delay: seconds from a job's end until its usage is final.
        token_seconds: how long a bearer is valid.

    Attributes:
        url: of the service, behind `proxies`: nobody but this server knows this host.
        token: the API key.
        secret: a part of the key and of all bearers; where it is found, one of them leaked.
        instance: the CRN.

    Example:
        A job, from a test::

            with FakeIBMQuantum() as ibm:
                monkeypatch.setenv("IAM_URL", ibm.iam_url)
                service = QiskitRuntimeService(
                    url=ibm.url, proxies=ibm.proxies, token=ibm.token, instance=ibm.instance
                )
                Sampler(service.backend("ibm_manila")).run([circuit]).result()
                (job,) = ibm.jobs()
    """

    url = URL
    token = API_KEY
    secret = SECRET
    instance = INSTANCE

    def __init__(
        self,
        *,
        backends: Iterable[str] = ("fake_manila", "fake_torino"),
        seed: int = 7,
        queue_seconds: float = 0.0,
        run_seconds: float = 0.0,
        usage_delay: float = 0.0,
        token_seconds: float = 3600.0,
    ) -> None:
        self._injections = Injections()
        self._service = Service(devices(backends), IAM(token_seconds), self._injections, seed)
        self._journal = Journal()
        self._server: Server | None = None
        self.queue_seconds = queue_seconds
        self.run_seconds = run_seconds
        self.usage_delay = usage_delay

    def start(self) -> None:
        """Serves on a free port."""
        # here, in a thread that lasts: imported by the first job's own, Aer crashes a later one
        importlib.import_module("qiskit_aer")
        self._server = Server(Door(self._service, self._journal), self._journal)
        self._server.start()

    def stop(self) -> None:
        """Ends all connections, and then what jobs there are; what was seen can still be read."""
        if self._server is not None:
            self._server.stop()
        self._service.qpu.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def iam_url(self) -> str:
        """Where the clients get their bearers; they read it from IAM_URL only."""
        if self._server is None:
            raise RuntimeError(f"{type(self).__name__} has not been started")
        return f"http://{LOOPBACK}:{self._server.server_port}"

    @property
    def runtime_url(self) -> str:
        """The API itself, for a client's `url_resolver`."""
        return f"{self.iam_url}{API}"

    @property
    def proxies(self) -> dict[str, dict[str, str]]:
        """The client's argument that leads from `url` to this server."""
        return {"urls": {"http": self.iam_url}}

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs on top of its own environment for `QiskitRuntimeService()`.

        In it this server is the proxy of all plain HTTP but that to this machine.
        """
        return client_environment(self.iam_url)

    def qrmi_environment(self, backend: str) -> dict[str, str]:
        """What QRMI needs to have a backend as its resource of the same name."""
        return qrmi_environment(self.iam_url, backend)

    def calibrate(self, backend: str, at: datetime) -> None:
        """Gives a backend's properties another date."""
        self._service.device(backend).properties["last_update_date"] = at.isoformat()

    @property
    def queue_seconds(self) -> float:
        """That the next jobs are queued."""
        return self._service.queue_seconds

    @queue_seconds.setter
    def queue_seconds(self, seconds: float) -> None:
        self._service.queue_seconds = seconds

    @property
    def run_seconds(self) -> float:
        """That the next jobs run at least."""
        return self._service.run_seconds

    @run_seconds.setter
    def run_seconds(self, seconds: float) -> None:
        self._service.run_seconds = seconds

    @property
    def usage_delay(self) -> float:
        """Seconds from a job's end until its usage is final."""
        return self._service.usage_delay

    @usage_delay.setter
    def usage_delay(self, seconds: float) -> None:
        self._service.usage_delay = seconds

    def inject(
        self,
        fault: IBMFault,
        *,
        request: RequestKind | None = None,
        times: int = 1,
        skip: int = 0,
        seconds: float | None = None,
        reason: str = "",
        code: int | None = None,
    ) -> None:
        """Has a fault strike the next requests or jobs that it fits.

        Args:
            fault: see there for what the others mean to it.
            request: the kind of request, for faults of requests.
            times: how many of them.
            skip: how many of them it passes over first.
            seconds: how late, or how long.
            reason: of a job's end.
            code: beside the reason.

        Raises:
            ValueError: the fault lacks its seconds or its request, or cannot strike that.
        """
        self._injections.add(
            injection(
                fault,
                request=request,
                times=times,
                skip=skip,
                seconds=seconds,
                reason=reason,
                code=code,
            )
        )

    def heal(self) -> None:
        """Nothing that was injected strikes any more."""
        self._injections.clear()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Every connection is lost while the block lasts; jobs that were accepted go on."""
        self._injections.away = True
        try:
            yield
        finally:
            self._injections.away = False

    def hold(self) -> None:
        """No queued job runs until `release`."""
        self._service.qpu.hold(True)

    def release(self) -> None:
        """Queued jobs run again."""
        self._service.qpu.hold(False)

    def fail_job(self, job_id: str, reason: str = "", code: int | None = None) -> None:
        """A job fails now; without a reason and a code, with a traceback for its result.

        Raises:
            KeyError: there is no such job.
            ValueError: it is over.
        """
        self._end(job_id, failure(reason, code))

    def cancel_job(self, job_id: str, reason: str = "", code: int | None = None) -> None:
        """The service cancels a job now; with code 1305, for it took too long.

        Raises:
            KeyError: there is no such job.
            ValueError: it is over.
        """
        self._end(job_id, cancellation(reason, code))

    def jobs(self) -> list[FakeIBMJob]:
        """Every job ever accepted, oldest first, also those that no list shows."""
        with self._service.changed:
            return [seen(job) for job in self._service.jobs.values()]

    def requests(self) -> list[FakeIBMRequest]:
        """Every request so far, oldest first."""
        return self._journal.requests()

    def _end(self, job_id: str, ending: Ending) -> None:
        job = self._service.jobs[job_id]
        if not self._service.qpu.end(job, ending):
            raise ValueError(f"job {job_id} is over: {job.state}")
