"""Fake batch systems for tests: real executables that behave like Slurm, OpenPBS and PJM."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

# Every fake command imports this package, so what only a test needs comes when it is asked for;
# typing is such a thing, too: to a type checker this is its constant.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_hpc.testing.fault import Fault
    from qcsc_hpc.testing.pbs import FakePBS
    from qcsc_hpc.testing.pjm import FakePJM
    from qcsc_hpc.testing.slurm import FakeSlurm
    from qcsc_hpc.testing.system import FakeBatchSystem, FakeCommand, FakeJob

__all__ = [
    "FakeBatchSystem",
    "FakeCommand",
    "FakeJob",
    "FakePBS",
    "FakePJM",
    "FakeSlurm",
    "Fault",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "FakeBatchSystem": "system",
        "FakeCommand": "system",
        "FakeJob": "system",
        "FakePBS": "pbs",
        "FakePJM": "pjm",
        "FakeSlurm": "slurm",
        "Fault": "fault",
    },
)
