"""Circuits compiled for a target: reproducibly, once in a run, by the user's pass manager if any."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from qcsc_loop.concurrency.worker import call_in_process
from qcsc_loop.errors import InvalidParameters
from qcsc_loop.sampling.identity import circuit_bytes
from qcsc_loop.steps.step import Step

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2
    from qiskit.transpiler import Target

LARGE_BYTES = 300_000
"""Of a circuit, about 5,000 gates: from here on a single pass may take longer than a process needs to
start, a second or two."""


def compile_once(
    circuit: QuantumCircuit, backend: BackendV2, step: Step, level: int, pass_manager: str = ""
) -> QuantumCircuit:
    """The circuit for a backend, from the run's kept ones if it is there. Blocks.

    Random choices derive from the run's seed and the circuit, not from the step: a run that was
    resumed compiles as the one that was not, whichever of its steps comes to the circuit first.

    Args:
        pass_manager: as for `compile_circuit`.

    Raises:
        InvalidParameters: there is no such pass manager.
    """
    fingerprint = circuit_bytes(circuit)
    seed = _seed(step.run_seed, fingerprint)
    name = f"{backend.name}{_gates(backend)}"
    what = f"{name}\0{_calibrated(backend)}\0{level}\0{pass_manager}\0{seed}".encode()
    key = hashlib.sha256(what + fingerprint).hexdigest()
    result: QuantumCircuit = step.compiled.get(
        key, lambda: _compiled(circuit, backend, seed, level, pass_manager, len(fingerprint))
    )
    return result


def _compiled(
    circuit: QuantumCircuit,
    backend: BackendV2,
    seed: int,
    level: int,
    pass_manager: str,
    size: int,
) -> QuantumCircuit:
    """The circuit, in a process of its own if that takes long.

    Single passes of the transpiler let no other thread of their process run: no signal would be
    handled, and no line drawn. A pass manager of the user's has what it finds in this process.
    """
    if size < LARGE_BYTES or pass_manager:
        return compile_circuit(circuit, backend, seed, level, pass_manager)
    plain = PlainBackend.of(backend)
    return call_in_process(partial(compile_circuit, circuit, plain, seed, level, ""))


def compile_circuit(
    circuit: QuantumCircuit,
    backend: BackendV2 | PlainBackend | Target,
    seed: int,
    level: int,
    pass_manager: str,
) -> QuantumCircuit:
    """The circuit for a backend, or for a target without one. Blocks.

    Args:
        pass_manager: `module:function`, called with backend and seed, gives the pass manager;
            by default qiskit's preset one of that level.

    Raises:
        InvalidParameters: there is no such function.
    """
    from qiskit.transpiler import Target, generate_preset_pass_manager

    if pass_manager:
        own: QuantumCircuit = _found(pass_manager)(backend, seed).run(circuit)
        return own
    if isinstance(backend, PlainBackend):
        where = backend.as_options()
    else:
        where = {"target" if isinstance(backend, Target) else "backend": backend}
    preset = generate_preset_pass_manager(level, **where, seed_transpiler=seed)
    return preset.run(circuit)


@dataclass(frozen=True)
class PlainBackend:
    """What compilation asks of a backend, for another process: no client, no key, no simulator.

    Attributes:
        translation, scheduling: the plug-ins for these stages that the backend wants.
    """

    target: Target
    translation: str | None
    scheduling: str | None

    @classmethod
    def of(cls, backend: BackendV2) -> PlainBackend:
        return cls(
            backend.target,
            getattr(backend, "get_translation_stage_plugin", lambda: None)(),
            getattr(backend, "get_scheduling_stage_plugin", lambda: None)(),
        )

    def as_options(self) -> dict[str, Any]:
        """Of qiskit's preset pass manager, which takes the same from a backend."""
        return {
            "target": self.target,
            "translation_method": self.translation,
            "scheduling_method": self.scheduling,
        }


def compiling_seed(run_seed: int, circuit: QuantumCircuit) -> int:
    """The transpiler's seed for a circuit in a run."""
    return _seed(run_seed, circuit_bytes(circuit))


def circuit_facts(circuit: QuantumCircuit, target: Target | None = None) -> dict[str, float]:
    """Depth, number of gates, and of gates on two qubits, of a compiled circuit.

    Args:
        target: gives the seconds that one shot takes, too, if it knows how long gates last.
    """
    facts: dict[str, float] = {
        "depth": circuit.depth(),
        "size": circuit.size(),
        "two_qubit_gates": circuit.num_nonlocal_gates(),
    }
    with suppress(Exception):  # qiskit refuses delays, control flow, gates without a duration
        if target is not None:
            facts["duration_seconds"] = float(circuit.estimate_duration(target, unit="s"))
    return facts


def _seed(run_seed: int, fingerprint: bytes) -> int:
    digest = hashlib.sha256(f"{run_seed}\0".encode() + fingerprint).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # the transpiler takes 31 bits


def _calibrated(backend: BackendV2) -> str:
    """When a real backend was calibrated: layouts depend on its errors."""
    properties = getattr(backend, "properties", None)
    found = properties() if callable(properties) else None
    return str(getattr(found, "last_update_date", ""))


def _gates(backend: BackendV2) -> str:
    """Which of its sets of gates a real backend was asked for with; empty: the usual one."""
    options = getattr(backend, "options", None)
    return " with fractional gates" if getattr(options, "use_fractional_gates", False) else ""


def _found(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        problem = f"pass_manager: {reference!r} cannot be found ({error})"
        raise InvalidParameters("sampler", [problem], ["package.module:function"]) from error
    return function


PassManagerReference = Field(
    default="", description="module:function(backend, seed) that gives a pass manager of your own"
)
