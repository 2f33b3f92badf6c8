"""The programs that the service runs, without noise, on Aer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Qiskit says of nearly nothing what type it is; a program's parameters are what its client sends.
from typing import Any

from qcsc_loop.plain import Json

SECONDS_PER_SHOT = 2.5e-4
DEFAULT_SHOTS = 4096
DEFAULT_PRECISION = 1 / 64
MAX_QUBITS = 10_000  # idle ones cost nothing
STATEVECTOR_MB = 1024  # 26 qubits, on every machine


@dataclass(frozen=True)
class Output:
    """What a program gave.

    Attributes:
        text: as the service encodes it.
        qpu_seconds: that a device would have needed, about.
    """

    text: str
    qpu_seconds: float


def run_program(program: str, params: Mapping[str, Any], seed: int) -> Output:
    """Runs a program.

    Args:
        program: sampler, estimator or executor.
        params: as they were submitted.
        seed: of the samples, where the program's own options do not tell `seed_simulator`.

    Raises:
        ValueError: there is no such program.
    """
    if program not in _PROGRAMS:
        raise ValueError(f"program {program!r} is none of {', '.join(_PROGRAMS)}")
    return _PROGRAMS[program](params, seed)


def _sampler(params: Mapping[str, Any], seed: int) -> Output:
    from qiskit.primitives.containers.sampler_pub import SamplerPub
    from qiskit_aer.primitives import SamplerV2

    decoded, options = _decoded(params)
    shots = options.get("default_shots") or DEFAULT_SHOTS
    pubs = [SamplerPub.coerce(_pub(pub), shots) for pub in decoded["pubs"]]
    told = _seed(options, seed)
    result = _simulated(lambda aer: SamplerV2.from_backend(aer, seed=told).run(pubs).result())
    return Output(_encoded(result), _seconds(sum((pub.shots or shots) * pub.size for pub in pubs)))


def _estimator(params: Mapping[str, Any], seed: int) -> Output:
    from qiskit.primitives import BackendEstimatorV2
    from qiskit.primitives.containers.estimator_pub import EstimatorPub

    decoded, options = _decoded(params)
    precision = options.get("default_precision") or DEFAULT_PRECISION
    if shots := options.get("default_shots"):
        precision = shots**-0.5
    pubs = [EstimatorPub.coerce(_pub(pub), precision) for pub in decoded["pubs"]]
    told = {"seed_simulator": options.get("seed_estimator", _seed(options, seed))}
    result = _simulated(
        lambda aer: BackendEstimatorV2(backend=aer, options=told).run(pubs).result()
    )
    return Output(
        _encoded(result),
        _seconds(sum(pub.size / (pub.precision or precision) ** 2 for pub in pubs)),
    )


def _executor(params: Mapping[str, Any], seed: int) -> Output:
    from ibm_quantum_schemas.executor.version_2_0 import ParamsModel
    from qiskit_ibm_runtime.fake_provider.executor.run_quantum_program import run_quantum_program
    from qiskit_ibm_runtime.options_models.simulator import SimulatorOptions
    from qiskit_ibm_runtime.quantum_program.converters import quantum_program_from_2_0

    program, _ = quantum_program_from_2_0(ParamsModel.model_validate(params))
    for item in program.items:
        # of a twirled circuit; off the wire it cannot sample yet
        if samplex := getattr(item, "samplex", None):
            samplex.finalize()
    asked = params["quantum_program"]
    options = SimulatorOptions(seed_simulator=_seed(_sent_along(asked), seed))
    items = _simulated(lambda aer: run_quantum_program(aer, program, options))
    text = _executed([dict(item) for item in items], asked)
    runs = sum(item.size() for item in program.items)
    return Output(text, _seconds(program.shots * runs))


_PROGRAMS: dict[str, Callable[[Mapping[str, Any], int], Output]] = {
    "sampler": _sampler,
    "estimator": _estimator,
    "executor": _executor,
}


def _decoded(params: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The parameters with their circuits and arrays, and the options among them."""
    from qiskit_ibm_runtime.json import RuntimeDecoder

    decoded = json.loads(json.dumps(params), cls=RuntimeDecoder)
    return decoded, decoded.get("options") or {}


def _encoded(result: Any) -> str:
    from qiskit_ibm_runtime.json import RuntimeEncoder

    for one in result:
        one.metadata.pop("simulator_metadata", None)  # a device has none
    return json.dumps(result, cls=RuntimeEncoder)


def _pub(pub: Any) -> tuple[Any, ...]:
    """A PUB whose circuit may be OpenQASM 3."""
    from qiskit import qasm3

    circuit, *rest = pub if isinstance(pub, list | tuple) else [pub]
    return (qasm3.loads(circuit) if isinstance(circuit, str) else circuit, *rest)


def _simulated(run: Callable[[Any], Any]) -> Any:
    """What a simulator gives: the first that can."""
    from qiskit.exceptions import QiskitError
    from qiskit_aer import AerSimulator

    simulator = AerSimulator(max_memory_mb=STATEVECTOR_MB)
    simulator.set_max_qubits(MAX_QUBITS)
    try:
        return run(simulator)
    except QiskitError:
        # too wide for a state vector; by itself, Aer does not look for another method
        simulator.set_options(method="matrix_product_state", max_memory_mb=None)
        return run(simulator)


def _seed(options: Mapping[str, Any], default: int) -> int:
    told = (options.get("simulator") or {}).get("seed_simulator")
    return default if told is None else int(told)


def _sent_along(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The client's options: the executor is not told them, but gives them back."""
    passed: Any = (asked.get("passthrough_data") or {}).get("post_processor") or {}
    options: Mapping[str, Any] = passed.get("options") or {}
    return options


def _executed(items: list[dict[str, Any]], asked: Mapping[str, Any]) -> str:
    """What the executor answers; what was sent along makes it a sampler's result again."""
    from ibm_quantum_schemas.common import CompressedTensorModel
    from ibm_quantum_schemas.executor.version_2_0 import QuantumProgramResultModel

    data = [
        {
            "results": {
                name: CompressedTensorModel.from_numpy(values).model_dump(mode="json")
                for name, values in item.items()
            },
            "metadata": {},
        }
        for item in items
    ]
    answer: Json = {
        "schema_version": "v2.0",
        "data": data,
        "metadata": {"chunk_timing": []},
        "passthrough_data": asked.get("passthrough_data"),
        "semantic_role": asked.get("semantic_role"),
    }
    text: str = QuantumProgramResultModel.model_validate(answer).model_dump_json()
    return text


def _seconds(shots: float) -> float:
    return round(shots * SECONDS_PER_SHOT, 6)
