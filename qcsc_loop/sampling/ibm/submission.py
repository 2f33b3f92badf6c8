"""Handing circuits to IBM Quantum: compiled, tagged, and looked for afterwards."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qcsc_loop.errors import (
    CredentialsRefused,
    InputError,
    InvalidParameters,
    JobRejected,
    SiteUnreachable,
    SubmissionUnclear,
)
from qcsc_loop.jobs.key import JobKey
from qcsc_loop.jobs.payload import write_facts
from qcsc_loop.plain import Json
from qcsc_loop.sampling.batch import pub_of
from qcsc_loop.sampling.compiling import compile_once
from qcsc_loop.sampling.ibm.account import TITLE
from qcsc_loop.sampling.ibm.client import checked_before_post, status_of
from qcsc_loop.sampling.ibm.describing import payload_facts
from qcsc_loop.sampling.ibm.ibm_site import IBMSite, run_tag
from qcsc_loop.sampling.ibm.modes import Mode, open_mode
from qcsc_loop.steps.step import Step

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.ibm_backend import IBMBackend

Client = Literal["executor", "sampler"]
Kind = Literal["sampler", "estimator"]

SUBMIT_SECONDS = 300.0  # look-up, compilation and submission of one job
_REFUSED = (400, 403, 404, 409, 413, 422)  # HTTP statuses that another try would get again


@dataclass(frozen=True)
class Primitive:
    """One call of a primitive.

    Attributes:
        pubs: circuits, each with the rest of its PUB: an estimator's observables, a sampler's
            values of its parameters.
        arguments: of `run`: shots, or precision.
    """

    kind: Kind
    client: Client
    pubs: Sequence[tuple[Any, ...]]
    arguments: Json
    backend: str
    mode: Mode
    level: int
    pass_manager: str
    options: Json
    max_execution_time: int | None
    fractional_gates: bool = False


async def submit(site: IBMSite, primitive: Primitive, step: Step, key: JobKey, folder: Path) -> str:
    """The id of the one job that the service has for this key.

    Raises:
        JobRejected: it will not take it, now or later.
        SubmissionUnclear: it may have.
        SiteUnreachable: it was not asked to.
        LeaseLost: another driver has the run; it was not asked to.
    """

    service, sent = site.service, threading.Event()

    def send(client: QiskitRuntimeService) -> str:
        backend = _backend(client, primitive)
        pubs = [_ready(pub, backend, primitive, step) for pub in primitive.pubs]
        facts = payload_facts(backend, [pub[0] for pub in pubs])
        chosen = {"client": primitive.client, "options": primitive.options}
        write_facts(folder, {**facts, **chosen})
        options = tagged_options(primitive, [run_tag(key), key.job_name])
        # compiling takes a while, and the service's answers may: another driver may have the run
        mode = open_mode(service, backend, primitive.mode, step.ledger, key)
        run = _class(primitive)(mode=mode, options=options)
        step.ledger.check()
        sent.set()
        with checked_before_post(client, backend, step.ledger.check):
            return str(run.run(pubs, **primitive.arguments).job_id())

    refusal: JobRejected | None = None
    job_id = ""
    try:
        job_id = await service.ask(_sorting(send, sent), SUBMIT_SECONDS)
    except JobRejected as error:
        # not `from`: what the client raised may hold the key
        refusal = JobRejected(TITLE, service.redacted(error.reason))
    except (InputError, CredentialsRefused) as error:
        refusal = JobRejected(TITLE, str(error))
    except SiteUnreachable as error:
        if not sent.is_set():
            raise
        raise SubmissionUnclear(TITLE, str(error)) from None
    if refusal is not None and not sent.is_set():
        raise refusal
    # the client repeats a request whose answer it did not get: there may be more than one, and
    # what was refused may have been the repetition
    try:
        found = await site.find(key, folder)
    except SiteUnreachable as error:
        raise SubmissionUnclear(TITLE, str(error)) from None
    if found is None and refusal is not None:
        raise refusal
    return found or job_id


def validate_options(kind: Kind, client: Client, options: Json) -> None:
    """Checks options as the client will.

    Raises:
        InvalidParameters: it does not know one, or not so.
    """
    try:
        _options_class(kind, client)(**options)
    except Exception as error:  # pydantic's, or the client's own
        text = " ".join(str(error).split())
        raise InvalidParameters("options", [text], _option_names(kind, client)) from error


def tagged_options(primitive: Primitive, tags: list[str]) -> Any:
    """The user's options, with our tags."""
    options = _options_class(primitive.kind, primitive.client)(**primitive.options)
    options.environment.job_tags = tags
    if primitive.max_execution_time is not None:
        options.max_execution_time = primitive.max_execution_time
    return options


def _sorting(send: Any, sent: threading.Event) -> Any:
    def sorted_send(client: Any) -> str:
        from qiskit_ibm_runtime.exceptions import IBMInputValueError
        from requests.exceptions import RequestException

        try:
            answer: str = send(client)
            return answer
        except RequestException:
            raise  # an answer that is no JSON is a ValueError, and no refusal
        except (IBMInputValueError, ValueError, TypeError) as error:
            raise JobRejected(TITLE, f"{type(error).__name__}: {error}") from None
        except Exception as error:
            if status_of(error) in _REFUSED:
                raise JobRejected(TITLE, str(error)) from None
            raise

    return sorted_send


def _backend(
    client: QiskitRuntimeService, primitive: Primitive
) -> Any:  # the client says BackendV2
    from qiskit.providers import QiskitBackendNotFoundError
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    width = max(pub[0].num_qubits for pub in primitive.pubs)
    try:
        if primitive.backend:
            return client.backend(
                primitive.backend, use_fractional_gates=primitive.fractional_gates
            )
        return client.least_busy(
            min_num_qubits=width,
            operational=True,
            use_fractional_gates=primitive.fractional_gates,
        )
    except IBMInputValueError as error:
        if not primitive.fractional_gates:
            raise
        why = f"{error.message} Leave fractional_gates out, or name a backend that has them"
        raise JobRejected(TITLE, why) from error
    except QiskitBackendNotFoundError as error:
        there = {str(known.name): known.num_qubits for known in client.backends()}
        fits = (
            primitive.backend in there
            if primitive.backend
            else any(wide >= width for wide in there.values())
        )
        if fits or not there:  # the client says the same when nobody answers
            raise SiteUnreachable(TITLE, str(error)) from error
        known = ", ".join(sorted(there))
        what = (
            f"backend {primitive.backend!r}" if primitive.backend else f"backend of {width} qubits"
        )
        raise JobRejected(TITLE, f"there is no {what}; there are: {known}") from error


def _ready(
    pub: tuple[Any, ...], backend: IBMBackend, primitive: Primitive, step: Step
) -> tuple[Any, ...]:
    circuit = compile_once(pub[0], backend, step, primitive.level, primitive.pass_manager)
    if primitive.kind == "sampler":
        return pub_of(pub[0], circuit, pub[1]) if len(pub) > 1 else (circuit,)
    # observables are of the circuit's qubits, and have to follow them to the device's
    observables = [observable.apply_layout(circuit.layout) for observable in pub[1]]
    return (circuit, observables, *pub[2:])


def _class(primitive: Primitive) -> Any:
    if primitive.kind == "sampler" and primitive.client == "executor":
        from qiskit_ibm_runtime.executor_sampler import Sampler

        return Sampler
    if primitive.kind == "sampler":
        from qiskit_ibm_runtime.sampler import SamplerV2

        return SamplerV2
    from qiskit_ibm_runtime.executor_estimator import Estimator

    return Estimator


def _options_class(kind: Kind, client: Client) -> Any:
    if kind == "estimator":
        from qiskit_ibm_runtime.options_models import EstimatorOptions

        return EstimatorOptions
    if client == "executor":
        from qiskit_ibm_runtime.options_models import SamplerOptions as Current

        return Current
    from qiskit_ibm_runtime.options import SamplerOptions as Former

    return Former


def _option_names(kind: Kind, client: Client) -> list[str]:
    known = _options_class(kind, client)
    return list(getattr(known, "model_fields", None) or known.__dataclass_fields__)
