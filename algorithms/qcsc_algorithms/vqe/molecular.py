"""A molecule for the variational eigensolver: its Hamiltonian on qubits, and the UCCSD circuit.

Alpha orbitals are the first qubits, beta orbitals the others, by Jordan and Wigner's mapping. The
circuit is that of unitary coupled cluster, one product of the exponentials of single and double
excitations, with an angle each (Romero et al., Quantum Sci. Technol. 4, 014008, 2018). Those that
break the molecule's point group have none. With all angles 0 it is the Hartree-Fock determinant.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import References, compute_start
from qcsc_algorithms.sqd.chemistry.system import FCIDump, Molecule
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp


Floats = npt.NDArray[np.float64]

SMALLEST = 1e-14  # hartree: of a coefficient that is kept


class Molecular(Record):
    """A molecule on qubits, computed once and carried along.

    Attributes:
        hamiltonian: the integrals.
        terms: coefficients by Pauli label, in hartree, the nuclei's energy among them.
        references: energies of other methods.
        remarks: what is to be known of them.
    """

    hamiltonian: Hamiltonian
    terms: dict[str, float]
    references: References
    remarks: tuple[str, ...] = ()


class Excitation(NamedTuple):
    """Electrons that leave some qubits and come to as many others."""

    created: tuple[int, ...]
    removed: tuple[int, ...]


def compute_molecule(system: Molecule | FCIDump) -> Molecular:
    """The integrals, on one thread, and what follows from them. Blocks.

    Raises:
        ValueError: the system cannot be set up, or its spins have orbitals of their own.
    """
    if isinstance(system, Molecule) and system.orbitals == "unrestricted":
        raise ValueError(_UNRESTRICTED)
    found = compute_start(system, LUCJ())
    hamiltonian = found.hamiltonian
    if hamiltonian.beta is not None:
        raise ValueError(_UNRESTRICTED)
    return Molecular(
        hamiltonian=hamiltonian,
        terms=pauli_terms(hamiltonian),
        references=found.energies,
        remarks=found.remarks,
    )


def pauli_terms(hamiltonian: Hamiltonian) -> dict[str, float]:
    """Coefficients by Pauli label, sorted.

    Summed in one order, which ffsim's mapping has not: the same bits in every process.
    """
    from qiskit.quantum_info import SparsePauliOp

    norb, two_body = hamiltonian.norb, hamiltonian.full_two_body()
    one_body = np.asarray(hamiltonian.one_body) - np.einsum("prrq->pq", two_body) / 2
    p, q = np.tril_indices(norb)
    hops = [_hop(int(i), int(j), norb) for i, j in zip(p, q, strict=True)]
    parts = [SparsePauliOp.from_list([("I" * 2 * norb, hamiltonian.constant)])]
    for number, hop in enumerate(hops):
        met = _sum_of(hops, two_body[p[number], q[number]][p, q] / 2)
        alone = SparsePauliOp.from_list([("I" * 2 * norb, one_body[p[number], q[number]])])
        parts.append(_simple(hop @ (alone + met)))
    total = _simple(SparsePauliOp.sum(parts))
    pairs = zip(total.paulis.to_labels(), np.real(np.asarray(total.coeffs)).tolist(), strict=True)
    return {label: value for label, value in sorted(pairs) if abs(value) > SMALLEST}


def _sum_of(operators: list[SparsePauliOp], weights: Floats) -> SparsePauliOp:
    """So much of each."""
    from qiskit.quantum_info import SparsePauliOp

    return _simple(
        SparsePauliOp.sum([w * each for w, each in zip(weights, operators, strict=True)])
    )


def _hop(p: int, q: int, norb: int) -> SparsePauliOp:
    """a+(p) a(q), and where they differ a+(q) a(p), summed over spins."""
    from qiskit.quantum_info import SparsePauliOp

    parts = []
    for spin in (0, norb):
        for i, j in {(p, q): None, (q, p): None}:
            raised = _ladder(spin + i, 2 * norb, raising=True)
            parts.append(raised @ _ladder(spin + j, 2 * norb, raising=False))
    return _simple(SparsePauliOp.sum(parts))


def _simple(operator: SparsePauliOp) -> SparsePauliOp:
    return operator.simplify(atol=SMALLEST, rtol=0)


_UNRESTRICTED = (
    "vqe takes orbitals common to both spins, and these are unrestricted: take restricted orbitals, "
    "or sqd"
)


def excitations(hamiltonian: Hamiltonian) -> list[Excitation]:
    """Of one electron, and of two, that keep the numbers of each spin and the symmetry."""
    return [found for found in _of_all_symmetries(hamiltonian) if _keeps(hamiltonian, found)]


def _of_all_symmetries(hamiltonian: Hamiltonian) -> Iterator[Excitation]:
    norb = hamiltonian.norb
    filled = [range(norb * spin, norb * spin + n) for spin, n in enumerate(hamiltonian.electrons)]
    empty = [
        range(norb * spin + n, norb * (spin + 1)) for spin, n in enumerate(hamiltonian.electrons)
    ]
    for spin in (0, 1):
        for p in filled[spin]:
            yield from (Excitation((q,), (p,)) for q in empty[spin])
    for spin in (0, 1):
        for removed in combinations(filled[spin], 2):
            yield from (Excitation(created, removed) for created in combinations(empty[spin], 2))
    for p in filled[0]:
        for r in filled[1]:
            yield from (Excitation((q, s), (p, r)) for q in empty[0] for s in empty[1])


def _keeps(hamiltonian: Hamiltonian, excitation: Excitation) -> bool:
    """Whether the product of all orbitals' irreducible representations is the first one.

    Those of D2h and its subgroups are numbered so that a product is the exclusive or of numbers from 0.
    """
    labels = np.asarray(hamiltonian.orbital_symmetry)
    if not labels.size:
        return True
    product = 0
    for qubit in (*excitation.created, *excitation.removed):
        product ^= int(labels[qubit % hamiltonian.norb]) - 1
    return product == 0


def uccsd(hamiltonian: Hamiltonian, reps: int) -> QuantumCircuit:
    """The circuit, its angles open in the order of `excitations`, so many times."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector
    from qiskit.circuit.library import PauliEvolutionGate

    norb, chosen = hamiltonian.norb, excitations(hamiltonian)
    circuit, angles = QuantumCircuit(2 * norb), ParameterVector("t", reps * len(chosen))
    for spin, count in enumerate(hamiltonian.electrons):
        for p in range(norb * spin, norb * spin + count):
            circuit.x(p)
    for k, angle in enumerate(angles):
        generator = excitation_generator(chosen[k % len(chosen)], 2 * norb)
        circuit.append(PauliEvolutionGate(generator, angle), range(2 * norb))
    return circuit.decompose()  # its terms commute: their product is the exponential itself


def excitation_generator(excitation: Excitation, qubits: int) -> SparsePauliOp:
    """i (T - T+), Hermitian, with the eigenvalues 0, 1 and -1."""
    from qiskit.quantum_info import SparsePauliOp

    moved = SparsePauliOp.from_list([("I" * qubits, 1.0)])
    for qubit in excitation.created:
        moved = moved @ _ladder(qubit, qubits, raising=True)
    for qubit in reversed(excitation.removed):
        moved = moved @ _ladder(qubit, qubits, raising=False)
    found = (1j * (moved - moved.adjoint())).simplify().sort()
    return SparsePauliOp(found.paulis, np.real(np.asarray(found.coeffs)))


def _ladder(qubit: int, qubits: int, *, raising: bool) -> SparsePauliOp:
    """Creates or removes an electron there."""
    from qiskit.quantum_info import SparsePauliOp

    below, above = "Z" * qubit, "I" * (qubits - qubit - 1)
    imaginary = -0.5j if raising else 0.5j
    return SparsePauliOp.from_list([(f"{above}X{below}", 0.5), (f"{above}Y{below}", imaginary)])
