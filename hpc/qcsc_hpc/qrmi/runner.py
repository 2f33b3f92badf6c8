"""Runs circuits as one task on a QRMI resource, inside a batch job. Run as

    python -m qcsc_hpc.qrmi.runner RESOURCE REQUEST.json CIRCUIT.qpy

in the job's folder. It writes, each by rename: task.json with the task's id as soon as there is one,
submission.json with the compiled circuit's facts, result.npz with the bits. Started again there - a
requeued job, or the next attempt after a node's death - it goes on with the task of task.json. QRMI's
own `task_runner` ends with 0 whatever happened, and a task of its that was orphaned is not found.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qcsc_hpc.script.job_folder import JobFolder
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.plain import Json

TASK = "task.json"
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 10.0  # between two questions
FAILED = 1

TYPES = {
    "ibm-quantum-system": "IBMQuantumSystem",
    "ibm-quantum-compute-service": "IBMQuantumComputeService",
    "qiskit-runtime-service": "IBMQiskitRuntimeService",
}


def main(arguments: list[str]) -> int:
    """Runs the task to its end; the exit code says how it ended."""
    name, request, circuit = arguments[0], Path(arguments[1]), Path(arguments[2])
    resource = _resource(name)
    asked = json.loads(request.read_bytes())
    signal.signal(signal.SIGTERM, lambda number, _: _stop(resource, number))
    task = _known_task() or _started(resource, name, asked, circuit)
    state = _ended(resource, task)
    print(f"task {task} on {name}: {state}", flush=True)
    if state != "Completed":
        print(_logs(resource, task), file=sys.stderr)
        return FAILED
    _keep_result(_fetched(resource, task))
    return 0


def _resource(name: str) -> Any:
    qrmi: Any = importlib.import_module("qrmi")  # its names come from a compiled module

    names, types = qrmi.get_job_qpu_resources_and_types()
    if name not in names:
        sys.exit(f"the job was not given {name!r}; it has: {', '.join(names) or 'no QPU'}")
    kind = types[names.index(name)]
    if kind not in TYPES:
        sys.exit(f"{name!r} is a {kind}; circuits are run on: {', '.join(TYPES)}")
    return qrmi.QuantumResource(name, getattr(qrmi.ResourceType, TYPES[kind]))


def _known_task() -> str | None:
    try:
        known = json.loads(Path(TASK).read_bytes())
    except FileNotFoundError:
        return None
    print(f"going on with task {known['id']}", flush=True)
    return str(known["id"])


def _started(resource: Any, name: str, asked: Json, circuit: Path) -> str:
    import numpy as np
    from qiskit import qpy
    from qiskit_ibm_runtime import RuntimeEncoder

    from qcsc_loop.jobs.payload import write_facts
    from qcsc_loop.sampling.batch import pub_of
    from qcsc_loop.sampling.compiling import circuit_facts, compile_circuit
    from qcsc_loop.sampling.identity import circuit_sha256

    qrmi: Any = importlib.import_module("qrmi")
    backend = importlib.import_module("qrmi.primitives.ibm").get_backend(resource)
    with circuit.open("rb") as file:
        given = qpy.load(file)
    # one circuit, or the seeds of several
    seeds = asked["seeds"] if "seeds" in asked else [asked["seed"]]
    ready = [
        compile_circuit(each, backend, seed, asked["level"], asked["pass_manager"])
        for each, seed in zip(given, seeds, strict=True)
    ]
    hashes = [circuit_sha256(each) for each in ready]
    facts = {
        "resource": name,
        **({"circuits_sha256": hashes} if "seeds" in asked else {"circuit_sha256": hashes[0]}),
        "circuits": [circuit_facts(each, backend.target) for each in ready],
    }
    write_facts(Path(), facts)
    values = None
    if "parameters" in asked:
        values = np.load(circuit.with_name(asked["parameters"]), allow_pickle=False)
    pubs = [pub_of(*pair, values) for pair in zip(given, ready, strict=True)]
    parameters = sampler_parameters(pubs, asked["shots"], asked["options"])
    text = json.dumps(parameters, cls=RuntimeEncoder)
    task = str(resource.task_start(qrmi.Payload.QiskitPrimitive(input=text, program_id="sampler")))
    with write_whole(Path(TASK)) as file:
        file.write(json.dumps({"id": task, "resource": name, "started": time.time()}).encode())
    print(f"task {task} on {name}: started", flush=True)
    return task


def sampler_parameters(pubs: Sequence[tuple[Any, ...]], shots: int, options: Json) -> Json:
    """What the service's sampler program is given, for its own encoder.

    Args:
        pubs: circuits, each alone or with values of its parameters.
    """
    return {
        "pubs": [[pub[0], pub[1] if len(pub) > 1 else None, shots] for pub in pubs],
        "version": 2,
        "support_qiskit": True,
        "options": {**options, "default_shots": shots},
    }


def _ended(resource: Any, task: str) -> str:
    """The task's final state; a question that gets no answer is asked again."""
    pause = FIRST_SECONDS
    while True:
        try:
            state = str(resource.task_status(task)).rpartition(".")[2]
        except Exception as error:  # QRMI raises what its client does
            print(f"no answer about task {task}: {error}", file=sys.stderr, flush=True)
            state = "Unknown"
        if state in ("Completed", "Failed", "Cancelled"):
            return state
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_SECONDS)


def _fetched(resource: Any, task: str) -> str:
    """The result, asked for until it comes: it is paid. The job's walltime is the limit."""
    pause = FIRST_SECONDS
    while True:
        try:
            return str(resource.task_result(task).value)
        except Exception as error:
            print(f"no result of task {task} yet: {error}", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_SECONDS)


def _keep_result(text: str) -> None:
    from qiskit_ibm_runtime import RuntimeDecoder

    from qcsc_loop.sampling.result_files import save_results

    save_results(Path(), list(json.loads(text, cls=RuntimeDecoder)))


def _logs(resource: Any, task: str) -> str:
    try:
        return str(resource.task_logs(task))
    except Exception as error:
        return f"no logs: {error}"


def _stop(resource: Any, number: int) -> None:
    """Ends the task if the driver ends the job.

    A job that is requeued, preempted or at its walltime gets the same signal; its next start, or
    the next attempt, goes on with the task.
    """
    try:
        if JobFolder(Path()).is_cancelled and (task := _known_task()) is not None:
            resource.task_stop(task)
    finally:
        sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
