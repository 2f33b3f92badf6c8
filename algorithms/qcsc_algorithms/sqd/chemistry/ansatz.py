"""The local unitary cluster Jastrow circuit (Motta et al., Chem. Sci. 14, 11213, 2023), by ffsim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Floats = npt.NDArray[np.float64]
Connectivity = Literal["heavy-hex", "hex", "square", "all-to-all"]


class LUCJ(BaseModel):
    """A Hartree-Fock state, then layers of orbital rotation, density-density terms, rotation back.

    Attributes:
        layers: how many.
        connectivity: of the qubits, from which the density-density terms follow that cost no SWAP.
            "heavy-hex": same spin between neighbouring orbitals, opposite spins on every fourth.
        final_rotation: an orbital rotation after the last layer, from the single excitations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int = Field(default=1, ge=1)
    connectivity: Connectivity = "heavy-hex"
    final_rotation: bool = False

    def parameters(self, t1: Any, t2: Any, electrons: tuple[int, int]) -> Floats:
        """Parameters from coupled-cluster amplitudes, float64 (parameters,).

        Args:
            t1, t2: as pyscf's CCSD has them; with unequal electrons, or orbitals of each spin, as its
                UCCSD.
        """
        import ffsim

        closed = electrons[0] == electrons[1] and not isinstance(t1, tuple)
        kind: Any = ffsim.UCJOpSpinBalanced if closed else ffsim.UCJOpSpinUnbalanced
        norb = _orbitals(t1)
        pairs = self._pairs(norb, closed)
        operator = kind.from_t_amplitudes(
            t2,
            t1=t1 if self.final_rotation else None,
            n_reps=self.layers,
            interaction_pairs=pairs,
        )
        return np.asarray(operator.to_parameters(interaction_pairs=pairs))

    def circuit(self, parameters: Floats, hamiltonian: Hamiltonian) -> QuantumCircuit:
        """The measured circuit on 2 norb qubits, of gates that any backend can compile."""
        import ffsim

        circuit = self.state(parameters, hamiltonian)
        circuit.measure_all()
        # merges the first rotation with the state preparation: fewer gates
        return ffsim.qiskit.PRE_INIT.run(circuit)

    def state(self, parameters: Floats, hamiltonian: Hamiltonian) -> QuantumCircuit:
        """The circuit on 2 norb qubits, not measured."""
        import ffsim
        from qiskit import QuantumCircuit

        norb, electrons = hamiltonian.norb, hamiltonian.electrons
        closed = hamiltonian.closed_shell
        kind: Any = ffsim.UCJOpSpinBalanced if closed else ffsim.UCJOpSpinUnbalanced
        gate: Any = (
            ffsim.qiskit.UCJOpSpinBalancedJW if closed else ffsim.qiskit.UCJOpSpinUnbalancedJW
        )
        operator = kind.from_parameters(
            np.array(parameters),
            norb=norb,
            n_reps=self.layers,
            interaction_pairs=self._pairs(norb, closed),
            with_final_orbital_rotation=self.final_rotation,
        )
        circuit = QuantumCircuit(2 * norb)
        circuit.append(ffsim.qiskit.PrepareHartreeFockJW(norb, electrons), range(2 * norb))
        circuit.append(gate(operator), range(2 * norb))
        return circuit

    def _pairs(self, norb: int, closed: bool) -> Any:
        from ffsim.variational.util import interaction_pairs_spin_balanced

        same, opposite = interaction_pairs_spin_balanced(self.connectivity, norb)
        return (same, opposite) if closed else (same, opposite, same)


def _orbitals(t1: Any) -> int:
    """Spatial orbitals, of closed-shell (occupied, virtual) amplitudes or a pair of such."""
    return int(sum((t1[0] if isinstance(t1, tuple) else t1).shape))
