"""Where samples and estimates come from: what every source tells, in one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcsc_loop.loop.provenance import installed_version
from qcsc_loop.parameters.resource import Resource
from qcsc_loop.plain import Json
from qcsc_loop.sampling.compiling import circuit_facts
from qcsc_loop.sampling.identity import circuit_sha256

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def sample_provenance(
    source: Resource,
    facts: Mapping[str, Any] | None = None,
    *,
    backend: str = "",
    package: str = "",
    seed: int | None = None,
    circuit: QuantumCircuit | None = None,
    circuits: Sequence[QuantumCircuit] = (),
) -> Json:
    """The source, its settings, and what else of this is given; in the order in which it is stored.

    Hashing a circuit takes a moment: call it from a worker thread where there is one.

    Args:
        facts: what this source alone can tell.
        package: the distribution that did it; its version is told.
        circuit: as it was run.
        circuits: the same of several.
    """
    told: Json = {"source": source.type, "settings": source.model_dump(mode="json")}
    if backend:
        told["backend"] = backend
    if package:
        told["version"] = installed_version(package)
    if seed is not None:
        told["seed"] = seed
    if circuit is not None:
        told["circuit_sha256"] = circuit_sha256(circuit)
        told["circuit"] = circuit_facts(circuit)
    if circuits:
        told["circuits_sha256"] = [circuit_sha256(each) for each in circuits]
        told["circuits"] = [circuit_facts(each) for each in circuits]
    return told | dict(facts or {})
