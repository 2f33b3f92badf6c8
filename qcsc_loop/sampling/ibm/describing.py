"""What is to be known of a QPU job: noted when it is submitted, or asked for by whoever finds it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qcsc_loop.plain import Json
from qcsc_loop.sampling.compiling import circuit_facts
from qcsc_loop.sampling.ibm.client import Service
from qcsc_loop.sampling.identity import circuit_sha256

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime.ibm_backend import IBMBackend
    from qiskit_ibm_runtime.runtime_job_v2 import RuntimeJobV2


def payload_facts(
    backend: IBMBackend, circuits: Sequence[QuantumCircuit], at: datetime | None = None
) -> Json:
    """Of a device and what runs on it.

    Args:
        at: the device as it was then; None: as it is.
    """
    properties = backend.properties(datetime=at) if at else backend.properties()
    calibration: Json = {}
    if properties is not None:
        text = repr(sorted(properties.to_dict().items(), key=lambda item: item[0]))
        calibration = {
            "calibrated": str(properties.last_update_date),
            "properties_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
    return {
        "backend": backend.name,
        **calibration,
        "circuit_sha256": [circuit_sha256(circuit) for circuit in circuits],
        "circuits": [circuit_facts(circuit, backend.target) for circuit in circuits],
    }


async def ask_facts(service: Service, job_id: str) -> Json:
    """The same of a job that another driver submitted, as far as the service knows it."""

    def question(client: Any) -> Json:
        job: RuntimeJobV2 = client.job(job_id)
        facts: Json = {"told_by": "the service", "client": str(job.primitive_id)}
        with suppress(Exception):  # the client's, of whatever the service does not know any more
            backend: Any = job.backend()
            facts |= {"backend": str(backend.name)}
            facts |= payload_facts(backend, _circuits_in(job.inputs), job.creation_date)
        return facts

    return await service.ask(question)


def _circuits_in(inputs: Json) -> list[QuantumCircuit]:
    """The circuits as they were sent."""
    from qiskit import qpy
    from qiskit_ibm_runtime.json import RuntimeDecoder

    if (program := inputs.get("quantum_program")) is not None:
        packed = base64.b64decode(program["circuits"]["b64_data"])
        return list(qpy.load(io.BytesIO(zlib.decompress(packed))))
    pubs = json.loads(json.dumps(inputs), cls=RuntimeDecoder)["pubs"]
    return [pub[0] for pub in pubs]
