"""LUCJ circuits laid out on a device: one line of qubits for each spin, side by side.

Motta et al., Chem. Sci. 14, 11213 (2023): opposite spins meet over the couplings between the two
lines, so that no SWAP is needed. ffsim finds the lines.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qcsc_loop.errors import InputError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

READOUT_ERRORS = (
    0.1,
    1.1,
)  # qubits of as large an error are avoided; where they do not suffice, none


class NoLayout(InputError):
    """A device on which there is no place for the two lines."""

    def __init__(self, backend: str, why: str) -> None:
        super().__init__(
            f"LUCJ circuits cannot be laid out in two lines on {backend}: {why}. Take a larger "
            "device of heavy-hex or square couplings, or leave pass_manager out of the sampler."
        )


def lucj_layout(backend: BackendV2, seed: int) -> LUCJLayout:
    """What compiles LUCJ circuits for a device; a sampler's `pass_manager` names it.

    Raises:
        InputError: the backend has no couplings.
    """
    couplings = backend.coupling_map
    if couplings is None:
        raise NoLayout(str(backend.name), "it couples all qubits with all")
    neighbours = max(len(set(couplings.neighbors(qubit))) for qubit in couplings.physical_qubits)
    return LUCJLayout(backend, seed, "square" if neighbours > 3 else "heavy-hex")


@dataclass(frozen=True)
class LUCJLayout:
    """Compiles by qiskit's preset pass manager of level 3 from a layout of two lines.

    Attributes:
        seed: of the transpiler.
        couplings: "heavy-hex" has a qubit between the two lines, "square" none.
    """

    backend: BackendV2
    seed: int
    couplings: Literal["heavy-hex", "square"]

    def run(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The circuit for the device, alpha orbitals on the first half of its qubits.

        The lines are where all opposite spins meet that should, on qubits that are read well, if
        there is such a place; else where most of them do, and SWAPs bring the others together.

        Raises:
            NoLayout: the device has no such place.
        """
        from ffsim.qiskit import generate_lucj_pass_manager
        from ffsim.variational.util import interaction_pairs_spin_balanced

        norb = circuit.num_qubits // 2
        same, opposite = interaction_pairs_spin_balanced(self.couplings, norb)
        best, met = None, 0
        for error in READOUT_ERRORS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pairs that do not fit, which are counted here
                try:
                    manager, pairs = generate_lucj_pass_manager(
                        self.backend,
                        norb,
                        self.couplings,
                        (list(same or []), list(opposite or [])),
                        readout_error_threshold=error,
                        optimization_level=3,
                        seed_transpiler=self.seed,
                    )
                except RuntimeError:
                    continue
            if len(pairs) > met:
                best, met = manager, len(pairs)
            if met == len(opposite or []):
                break
        if best is None:
            raise NoLayout(str(self.backend.name), f"it has no two such lines of {norb} qubits")
        result: QuantumCircuit = best.run(circuit)
        return result
