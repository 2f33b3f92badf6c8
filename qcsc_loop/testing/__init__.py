"""For tests of yours: whether an algorithm keeps its contract, and a fake IBM Quantum.

`check_algorithm` drives a run in many ways and kills it at every write. `kill_at` kills it at one write
boundary, and `recording_submissions` tells what a run submits. `FakeIBMQuantum` is a real HTTP server
that the real clients talk to.
"""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_loop.testing.boundary import JOB_BOUNDARIES, WRITE_BOUNDARIES
    from qcsc_loop.testing.checking.check import check_algorithm, find_impurities
    from qcsc_loop.testing.checking.findings import Checked, Finding
    from qcsc_loop.testing.checking.replaying import Replayed, replay
    from qcsc_loop.testing.ibm.fault import IBMFault, RequestKind
    from qcsc_loop.testing.ibm.journal import FakeIBMRequest
    from qcsc_loop.testing.ibm.quantum import FakeIBMQuantum
    from qcsc_loop.testing.ibm.views import FakeIBMJob
    from qcsc_loop.testing.killed_run import (
        KillableRun,
        Killed,
        kill_at,
        killable_run,
        write_boundaries,
    )
    from qcsc_loop.testing.submissions import Submission, recording_submissions

__all__ = [
    "JOB_BOUNDARIES",
    "WRITE_BOUNDARIES",
    "Checked",
    "FakeIBMJob",
    "FakeIBMQuantum",
    "FakeIBMRequest",
    "Finding",
    "IBMFault",
    "KillableRun",
    "Killed",
    "Replayed",
    "RequestKind",
    "Submission",
    "check_algorithm",
    "find_impurities",
    "kill_at",
    "killable_run",
    "recording_submissions",
    "replay",
    "write_boundaries",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Checked": "checking.findings",
        "FakeIBMJob": "ibm.views",
        "FakeIBMQuantum": "ibm.quantum",
        "FakeIBMRequest": "ibm.journal",
        "Finding": "checking.findings",
        "IBMFault": "ibm.fault",
        "JOB_BOUNDARIES": "boundary",
        "KillableRun": "killed_run",
        "Killed": "killed_run",
        "Replayed": "checking.replaying",
        "RequestKind": "ibm.fault",
        "Submission": "submissions",
        "WRITE_BOUNDARIES": "boundary",
        "check_algorithm": "checking.check",
        "find_impurities": "checking.check",
        "kill_at": "killed_run",
        "killable_run": "killed_run",
        "recording_submissions": "submissions",
        "replay": "checking.replaying",
        "write_boundaries": "killed_run",
    },
)
