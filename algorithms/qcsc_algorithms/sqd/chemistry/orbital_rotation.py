"""Orbitals in which a state's energy is lowest, and the Hamiltonian in them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record


class Rotated(Record):
    """A Hamiltonian in other orbitals of the same space.

    Attributes:
        hamiltonian: the integrals in the new orbitals.
        bound: the energy, in hartree, of the state that has in the new orbitals the amplitudes it had
            in the old ones: the lowest state of the same strings is not above it.
    """

    hamiltonian: Hamiltonian
    bound: float


def with_better_orbitals(hamiltonian: Hamiltonian, density: NDArray, pairs: NDArray) -> Rotated:
    """The Hamiltonian in the orbitals that are best for a state's density matrices, by ffsim. Blocks.

    On one thread: with more, integrals differ from run to run.

    Args:
        density: float64 (2, norb, norb), of each spin.
        pairs: float64 (norb,) * 4, <a+(p) a+(r) a(s) a(q)> in the order p, q, r, s, summed over spins.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import ffsim
    from pyscf import ao2mo, lib
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), lib.with_omp_threads(1):
        rdm = ffsim.ReducedDensityMatrix(np.asarray(density).sum(axis=0), np.array(pairs))
        before = hamiltonian.as_ffsim()
        rotation: Any = np.asarray(ffsim.optimize_orbitals(rdm, before))
        after = before.rotated(rotation.T)
        two_body = ao2mo.restore(8, np.asarray(after.two_body_tensor), hamiltonian.norb)
        bound = float(rdm.expectation(after))
    one_body, dipole = np.asarray(after.one_body_tensor), np.asarray(hamiltonian.dipole_integrals)
    changed = {
        "one_body": (one_body + one_body.T) / 2,
        "two_body": two_body,
        "orbital_symmetry": np.empty(0, np.int64),  # the new orbitals mix symmetries
        "dipole_integrals": rotation.T @ dipole @ rotation if dipole.size else dipole,
    }
    return Rotated(hamiltonian=Hamiltonian(**dict(hamiltonian) | changed), bound=bound)
