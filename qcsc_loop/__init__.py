"""Iterative quantum-classical algorithms that survive being killed.

Names are imported on first use: `import qcsc_loop` is instant.
"""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_loop.algorithm import IterativeAlgorithm
    from qcsc_loop.concurrency.whole_file import write_whole
    from qcsc_loop.concurrency.worker import in_worker
    from qcsc_loop.errors import JobFailed, QcscLoopError
    from qcsc_loop.events import Event, Observer, Trouble
    from qcsc_loop.jobs.events import JobChanged, JobMeasured
    from qcsc_loop.jobs.outcome import JobMetrics, JobState
    from qcsc_loop.loop.driver import run_loop
    from qcsc_loop.loop.events import (
        IterationCommitted,
        RunStarted,
        RunStopped,
        StepRetried,
        StepReused,
        StepStarted,
    )
    from qcsc_loop.loop.hooks import Table
    from qcsc_loop.loop.options import RunOptions
    from qcsc_loop.loop.outcome import Outcome
    from qcsc_loop.notebook import Run, compare, runs
    from qcsc_loop.parameters.operational import OPERATIONAL
    from qcsc_loop.parameters.resource import BlockName, Resource
    from qcsc_loop.rules.reason import Reason
    from qcsc_loop.rules.retry import Retry
    from qcsc_loop.rules.stop import (
        AllOf,
        AnyOf,
        Converged,
        MaxIterations,
        NodeHours,
        Plateau,
        Progress,
        QpuSeconds,
        Shots,
        Stop,
        StopRule,
        WallTime,
    )
    from qcsc_loop.sampling.aer.estimator import AerEstimator
    from qcsc_loop.sampling.aer.sampler import AerSampler
    from qcsc_loop.sampling.counts import Counts
    from qcsc_loop.sampling.estimator import Estimates, Estimator
    from qcsc_loop.sampling.fake_backend_sampler import FakeBackendSampler
    from qcsc_loop.sampling.ibm.estimator import IBMRuntimeEstimator
    from qcsc_loop.sampling.ibm.sampler import IBMRuntimeSampler
    from qcsc_loop.sampling.random_bits import RandomSampler
    from qcsc_loop.sampling.replay import ReplaySampler
    from qcsc_loop.sampling.sample_array import SampleArray
    from qcsc_loop.sampling.sampler import Sampler
    from qcsc_loop.sampling.samples import Samples, merge_samples
    from qcsc_loop.steps.parts import run_parts
    from qcsc_loop.steps.step import Step, current_step, labelled
    from qcsc_loop.store.directory import DirectoryStore
    from qcsc_loop.store.memory import MemoryStore
    from qcsc_loop.store.store import Store
    from qcsc_loop.sweeping.plan import Halving
    from qcsc_loop.sweeping.sweep import Sweep, sweep, sweeps
    from qcsc_loop.tracking.tracker import TrackedPoint, TrackedRun, Tracker
    from qcsc_loop.values.arrays import NDArray
    from qcsc_loop.values.chart import Chart
    from qcsc_loop.values.record import Record, State

__version__: str

__all__ = [
    "OPERATIONAL",
    "AerEstimator",
    "AerSampler",
    "AllOf",
    "AnyOf",
    "BlockName",
    "Chart",
    "Converged",
    "Counts",
    "DirectoryStore",
    "Estimates",
    "Estimator",
    "Event",
    "FakeBackendSampler",
    "Halving",
    "IBMRuntimeEstimator",
    "IBMRuntimeSampler",
    "IterationCommitted",
    "IterativeAlgorithm",
    "JobChanged",
    "JobFailed",
    "JobMeasured",
    "JobMetrics",
    "JobState",
    "MaxIterations",
    "MemoryStore",
    "NDArray",
    "NodeHours",
    "Observer",
    "Outcome",
    "Plateau",
    "Progress",
    "QcscLoopError",
    "QpuSeconds",
    "RandomSampler",
    "Reason",
    "Record",
    "ReplaySampler",
    "Resource",
    "Retry",
    "Run",
    "RunOptions",
    "RunStarted",
    "RunStopped",
    "SampleArray",
    "Sampler",
    "Samples",
    "Shots",
    "State",
    "Step",
    "StepRetried",
    "StepReused",
    "StepStarted",
    "Stop",
    "StopRule",
    "Store",
    "Sweep",
    "Table",
    "TrackedPoint",
    "TrackedRun",
    "Tracker",
    "Trouble",
    "WallTime",
    "compare",
    "current_step",
    "in_worker",
    "labelled",
    "merge_samples",
    "run_loop",
    "run_parts",
    "runs",
    "sweep",
    "sweeps",
    "write_whole",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "AerEstimator": "sampling.aer.estimator",
        "AerSampler": "sampling.aer.sampler",
        "AllOf": "rules.stop",
        "AnyOf": "rules.stop",
        "BlockName": "parameters.resource",
        "Converged": "rules.stop",
        "Counts": "sampling.counts",
        "DirectoryStore": "store.directory",
        "Estimates": "sampling.estimator",
        "Estimator": "sampling.estimator",
        "Event": "events",
        "FakeBackendSampler": "sampling.fake_backend_sampler",
        "Halving": "sweeping.plan",
        "IBMRuntimeEstimator": "sampling.ibm.estimator",
        "IBMRuntimeSampler": "sampling.ibm.sampler",
        "IterationCommitted": "loop.events",
        "IterativeAlgorithm": "algorithm",
        "JobChanged": "jobs.events",
        "JobFailed": "errors",
        "JobMeasured": "jobs.events",
        "JobMetrics": "jobs.outcome",
        "JobState": "jobs.outcome",
        "MaxIterations": "rules.stop",
        "MemoryStore": "store.memory",
        "NDArray": "values.arrays",
        "NodeHours": "rules.stop",
        "OPERATIONAL": "parameters.operational",
        "Observer": "events",
        "Outcome": "loop.outcome",
        "Plateau": "rules.stop",
        "Progress": "rules.stop",
        "QcscLoopError": "errors",
        "QpuSeconds": "rules.stop",
        "RandomSampler": "sampling.random_bits",
        "Reason": "rules.reason",
        "Record": "values.record",
        "ReplaySampler": "sampling.replay",
        "Resource": "parameters.resource",
        "Retry": "rules.retry",
        "Run": "notebook",
        "compare": "notebook",
        "runs": "notebook",
        "RunOptions": "loop.options",
        "RunStarted": "loop.events",
        "RunStopped": "loop.events",
        "SampleArray": "sampling.sample_array",
        "Sampler": "sampling.sampler",
        "Samples": "sampling.samples",
        "Shots": "rules.stop",
        "Chart": "values.chart",
        "State": "values.record",
        "Step": "steps.step",
        "StepRetried": "loop.events",
        "StepReused": "loop.events",
        "StepStarted": "loop.events",
        "Stop": "rules.stop",
        "StopRule": "rules.stop",
        "Store": "store.store",
        "Sweep": "sweeping.sweep",
        "Table": "loop.hooks",
        "TrackedPoint": "tracking.tracker",
        "TrackedRun": "tracking.tracker",
        "Tracker": "tracking.tracker",
        "Trouble": "events",
        "WallTime": "rules.stop",
        "current_step": "steps.step",
        "in_worker": "concurrency.worker",
        "labelled": "steps.step",
        "merge_samples": "sampling.samples",
        "run_loop": "loop.driver",
        "run_parts": "steps.parts",
        "sweep": "sweeping.sweep",
        "sweeps": "sweeping.sweep",
        "write_whole": "concurrency.whole_file",
    },
)
