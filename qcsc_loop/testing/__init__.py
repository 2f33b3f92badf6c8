"""A fake IBM Quantum for tests: a real HTTP server that the real clients talk to."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
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

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "FakeIBMJob": "ibm.views",
        "FakeIBMQuantum": "ibm.quantum",
        "FakeIBMRequest": "ibm.journal",
        "IBMFault": "ibm.fault",
        "RequestKind": "ibm.fault",
    },
)
