"""Iterative quantum-classical algorithms that survive being killed.

Names are imported on first use: `import qcsc_loop` is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcsc_loop.algorithm import IterativeAlgorithm, Table
    from qcsc_loop.codec import NDArray
    from qcsc_loop.errors import QcscLoopError
    from qcsc_loop.loop import run_loop
    from qcsc_loop.operational import OPERATIONAL
    from qcsc_loop.options import RunOptions
    from qcsc_loop.outcome import Outcome, Reason
    from qcsc_loop.resource import BlockName, Resource
    from qcsc_loop.retry import Retry
    from qcsc_loop.sampling.aer import AerSampler
    from qcsc_loop.sampling.sampler import Sampler
    from qcsc_loop.sampling.samples import Samples
    from qcsc_loop.state import Record, State
    from qcsc_loop.step import Step, current_step, labelled
    from qcsc_loop.stop import (
        AllOf,
        AnyOf,
        Converged,
        MaxIterations,
        NodeHours,
        Plateau,
        QpuSeconds,
        Shots,
        StopRule,
        WallTime,
    )
    from qcsc_loop.store.directory import DirectoryStore
    from qcsc_loop.store.memory import MemoryStore
    from qcsc_loop.store.store import Store

_HOME = {
    "OPERATIONAL": "operational",
    "AerSampler": "sampling.aer",
    "AllOf": "stop",
    "AnyOf": "stop",
    "BlockName": "resource",
    "Converged": "stop",
    "DirectoryStore": "store.directory",
    "IterativeAlgorithm": "algorithm",
    "MaxIterations": "stop",
    "MemoryStore": "store.memory",
    "NDArray": "codec",
    "NodeHours": "stop",
    "Outcome": "outcome",
    "Plateau": "stop",
    "QpuSeconds": "stop",
    "QcscLoopError": "errors",
    "Reason": "outcome",
    "Record": "state",
    "Resource": "resource",
    "Retry": "retry",
    "RunOptions": "options",
    "Sampler": "sampling.sampler",
    "Samples": "sampling.samples",
    "Shots": "stop",
    "State": "state",
    "Step": "step",
    "StopRule": "stop",
    "Store": "store.store",
    "Table": "algorithm",
    "WallTime": "stop",
    "current_step": "step",
    "labelled": "step",
    "run_loop": "loop",
}

__all__ = [
    "OPERATIONAL",
    "AerSampler",
    "AllOf",
    "AnyOf",
    "BlockName",
    "Converged",
    "DirectoryStore",
    "IterativeAlgorithm",
    "MaxIterations",
    "MemoryStore",
    "NDArray",
    "NodeHours",
    "Outcome",
    "Plateau",
    "QcscLoopError",
    "QpuSeconds",
    "Reason",
    "Record",
    "Resource",
    "Retry",
    "RunOptions",
    "Sampler",
    "Samples",
    "Shots",
    "State",
    "Step",
    "StopRule",
    "Store",
    "Table",
    "WallTime",
    "current_step",
    "labelled",
    "run_loop",
]


def __getattr__(name: str) -> Any:  # whatever is exported
    if name not in _HOME:
        raise AttributeError(f"module 'qcsc_loop' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"qcsc_loop.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
