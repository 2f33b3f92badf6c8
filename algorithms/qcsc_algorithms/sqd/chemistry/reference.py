"""What other methods say of the Hamiltonian, computed once when a run starts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.system import FCIDump, Molecule
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

FCI_DETERMINANTS = 1_000_000  # up to here it takes seconds


class Energies(Record):
    """Total energies in hartree; NaN for what was not computed or did not converge.

    Attributes:
        hf: of the determinant of the lowest orbitals.
        mp2, ccsd: of perturbation theory and coupled cluster on it.
        fci: the lowest there is in these orbitals; where it is small.
    """

    hf: float
    mp2: float
    ccsd: float
    fci: float

    @property
    def by_method(self) -> dict[str, float]:
        """By the methods' names, as people write them."""
        return {"HF": self.hf, "MP2": self.mp2, "CCSD": self.ccsd, "FCI": self.fci}


class Start(Record):
    """What a run starts from.

    Attributes:
        hamiltonian: the integrals.
        energies: of reference methods.
        parameters: of the circuit, float64 (parameters,), from the CCSD amplitudes.
    """

    hamiltonian: Hamiltonian
    energies: Energies
    parameters: NDArray


def compute_start(system: Molecule | FCIDump, ansatz: LUCJ) -> Start:
    """Reads or computes the integrals, the reference energies and the first circuit. Blocks.

    On one thread: with more, integrals differ from run to run.

    Raises:
        ValueError: the system cannot be set up.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        from pyscf import lib

        lib.num_threads(1)
        hamiltonian = system.hamiltonian()
        energies, t1, t2 = _coupled_cluster(hamiltonian)
        fci = _full_ci(hamiltonian)
    return Start(
        hamiltonian=hamiltonian,
        energies=Energies(**energies, fci=fci),
        parameters=ansatz.parameters(t1, t2, hamiltonian.electrons),
    )


def determinants(hamiltonian: Hamiltonian) -> int:
    """The dimension of the whole space."""
    return math.prod(math.comb(hamiltonian.norb, n) for n in hamiltonian.electrons)


def _coupled_cluster(hamiltonian: Hamiltonian) -> tuple[dict[str, float], Any, Any]:
    """Energies, single and double amplitudes, over the orbitals as they are."""
    field, closed = _mean_field(hamiltonian), hamiltonian.num_alpha == hamiltonian.num_beta
    hf = float(field.energy_tot(field.make_rdm1()))
    occupied = hamiltonian.electrons
    if (closed and not 0 < occupied[0] < hamiltonian.norb) or max(occupied) == 0:
        raise ValueError(
            f"{occupied} electrons in {hamiltonian.norb} orbitals leave nothing to correlate; "
            "choose another active space"
        )
    from pyscf import cc

    method: Any = (cc.rccsd.RCCSD if closed else cc.uccsd.UCCSD)(field)
    method.verbose = 0
    method.max_cycle = 200
    method.kernel()
    ccsd = hf + float(method.e_corr) if method.converged else math.nan
    t1, t2 = method.t1, method.t2
    if not method.converged:  # amplitudes of first order are still a sensible start
        _, t1, t2 = method.init_amps(method.ao2mo())
    return {"hf": hf, "mp2": hf + float(method.emp2), "ccsd": ccsd}, t1, t2


def _mean_field(hamiltonian: Hamiltonian) -> Any:
    """A pyscf mean field whose orbitals are the Hamiltonian's own."""
    from pyscf import ao2mo, gto, scf

    molecule: Any = gto.M(verbose=0)
    molecule.nelectron = sum(hamiltonian.electrons)
    molecule.spin = hamiltonian.num_alpha - hamiltonian.num_beta
    molecule.incore_anyway = True
    molecule.nao = hamiltonian.norb
    norb = hamiltonian.norb
    field: Any = scf.RHF(molecule) if molecule.spin == 0 else scf.UHF(molecule)
    field.get_hcore = lambda *_: np.array(hamiltonian.one_body)
    field.get_ovlp = lambda *_: np.eye(norb)
    field.energy_nuc = lambda *_: hamiltonian.constant
    field._eri = ao2mo.restore(8, np.array(hamiltonian.two_body), norb)
    occupations = [(np.arange(norb) < n).astype(float) for n in hamiltonian.electrons]
    if molecule.spin == 0:
        field.mo_coeff, field.mo_occ = np.eye(norb), 2 * occupations[0]
    else:
        field.mo_coeff, field.mo_occ = np.array([np.eye(norb)] * 2), np.array(occupations)
    fock: Any = field.get_fock(dm=field.make_rdm1())
    field.mo_energy = np.diagonal(fock, axis1=-2, axis2=-1)
    field.e_tot = field.energy_tot(field.make_rdm1())
    field.converged = True
    return field


def _full_ci(hamiltonian: Hamiltonian) -> float:
    if determinants(hamiltonian) > FCI_DETERMINANTS:
        return math.nan
    from pyscf import fci

    solver: Any = fci.direct_spin1.FCI()
    solver.verbose = 0
    solver.conv_tol = 1e-12
    solver.max_cycle = 300
    energy, _ = solver.kernel(
        np.array(hamiltonian.one_body),
        np.array(hamiltonian.two_body),
        hamiltonian.norb,
        hamiltonian.electrons,
    )
    return float(energy) + hamiltonian.constant if solver.converged else math.nan
