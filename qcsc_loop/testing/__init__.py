"""For tests of yours: whether an algorithm keeps its contract, and a fake IBM Quantum.

`check_algorithm` drives a run in many ways and kills it at every write. `FakeIBMQuantum` is a real
HTTP server that the real clients talk to.
"""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_loop.testing.checking.check import (
        Checked,
        Finding,
        check_algorithm,
        find_impurities,
    )
    from qcsc_loop.testing.checking.replaying import Replayed, replay
    from qcsc_loop.testing.ibm.fault import IBMFault, RequestKind
    from qcsc_loop.testing.ibm.journal import FakeIBMRequest
    from qcsc_loop.testing.ibm.quantum import FakeIBMQuantum
    from qcsc_loop.testing.ibm.views import FakeIBMJob

__all__ = [
    "Checked",
    "FakeIBMJob",
    "FakeIBMQuantum",
    "FakeIBMRequest",
    "Finding",
    "IBMFault",
    "Replayed",
    "RequestKind",
    "check_algorithm",
    "find_impurities",
    "replay",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Checked": "checking.check",
        "FakeIBMJob": "ibm.views",
        "FakeIBMQuantum": "ibm.quantum",
        "FakeIBMRequest": "ibm.journal",
        "IBMFault": "ibm.fault",
        "Finding": "checking.check",
        "Replayed": "checking.replaying",
        "RequestKind": "ibm.fault",
        "check_algorithm": "checking.check",
        "find_impurities": "checking.check",
        "replay": "checking.replaying",
    },
)
