"""A fake IBM Quantum for tests: a real HTTP server that the real clients talk to."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcsc_loop.testing.ibm.fault import IBMFault, RequestKind
    from qcsc_loop.testing.ibm.journal import FakeIBMRequest
    from qcsc_loop.testing.ibm.quantum import FakeIBMQuantum
    from qcsc_loop.testing.ibm.views import FakeIBMJob

__all__ = [
    "FakeIBMJob",
    "FakeIBMQuantum",
    "FakeIBMRequest",
    "IBMFault",
    "RequestKind",
]

_HOMES = {
    "FakeIBMJob": "ibm.views",
    "FakeIBMQuantum": "ibm.quantum",
    "FakeIBMRequest": "ibm.journal",
    "IBMFault": "ibm.fault",
    "RequestKind": "ibm.fault",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
