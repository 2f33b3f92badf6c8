"""What the service answers about backends."""

from __future__ import annotations

from qcsc_loop.testing.ibm.devices import Device
from qcsc_loop.testing.ibm.messages import Answer, Request, json_answer
from qcsc_loop.testing.ibm.service import Service

CLOPS = {"value": 2500, "type": "hardware"}  # QRMI refuses any other type but virtual


def backends(service: Service, request: Request) -> Answer:
    """All of them."""
    rows = [_row(device, service.pending(device.name)) for device in service.devices.values()]
    return json_answer({"devices": rows})


def configuration(service: Service, request: Request, name: str) -> Answer:
    """What a backend is."""
    return json_answer(service.device(name).configuration)


def properties(service: Service, request: Request, name: str) -> Answer:
    """How well a backend does."""
    return json_answer(service.device(name).properties)


def status(service: Service, request: Request, name: str) -> Answer:
    """Whether a backend takes jobs: always."""
    device = service.device(name)
    return json_answer(
        {
            "state": True,
            "status": "active",
            "message": "available",
            "length_queue": service.pending(device.name),
            "backend_version": device.configuration["backend_version"],
        }
    )


def _row(device: Device, pending: int) -> dict[str, object]:
    qubits = device.configuration["n_qubits"]
    return {
        "name": device.name,
        "status": {"name": "online", "reason": ""},
        "is_simulator": False,
        "processor_type": device.configuration.get("processor_type", {}),
        "queue_length": pending,
        "qubits": qubits,
        "physical_qubits": qubits,
        "clops": CLOPS,
        "performance_metrics": {},
    }
