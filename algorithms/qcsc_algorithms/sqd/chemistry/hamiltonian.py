"""A molecule's electronic Hamiltonian in a basis of orbitals, as data that is stored once."""

from __future__ import annotations

import hashlib
import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.fcidump import Integrals, read_integrals
from qcsc_algorithms.sqd.chemistry.fcidump_spins import SpinIntegrals, unrestricted_lines
from qcsc_algorithms.sqd.chemistry.unrestricted import (
    FOCK_CYCLES,
    BetaIntegrals,
    reordered,
    reordered_packed,
    same_spin_repulsion,
    spins,
)
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from ffsim import MolecularHamiltonian

Floats = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]

LOWER = 1e-6  # hartree: another determinant is taken for Hartree-Fock's only if it is


class Hamiltonian(Record):
    """One- and two-electron integrals over real spatial orbitals, in hartree.

    Attributes:
        norb: spatial orbitals.
        num_alpha, num_beta: electrons of each spin.
        constant: the energy of the nuclei and of frozen electrons.
        one_body: float64 (norb, norb), symmetric.
        two_body: float64 (p (p + 1) / 2,) with p = norb (norb + 1) / 2: the integrals (pq|rs) in
            chemists' notation, each of eight equal ones once, in pyscf's order (`ao2mo.restore(8)`).
        orbital_symmetry: int64 (norb,), the ORBSYM of an FCIDUMP; empty if there is none.
        dipole_integrals: float64 (3, norb, norb), of an electron's position in bohr; empty where
            they are not known.
        fixed_dipole: float64 (3,), of the nuclei and of frozen electrons, in atomic units.
        beta: the integrals that beta orbitals are in, where these are not the alpha orbitals; all
            others are then of alpha orbitals.
    """

    norb: int
    num_alpha: int
    num_beta: int
    constant: float
    one_body: NDArray
    two_body: NDArray
    orbital_symmetry: NDArray = np.empty(0, np.int64)
    dipole_integrals: NDArray = np.empty((3, 0, 0))
    fixed_dipole: NDArray = np.empty(0)
    beta: BetaIntegrals | None = None

    @property
    def electrons(self) -> tuple[int, int]:
        """Electrons of each spin."""
        return self.num_alpha, self.num_beta

    @property
    def closed_shell(self) -> bool:
        """Whether both spins have as many electrons, in the same orbitals."""
        return self.num_alpha == self.num_beta and self.beta is None

    @property
    def sha256(self) -> str:
        """Hash of the integrals; the same on every machine."""
        total = hashlib.sha256(repr((self.norb, self.electrons, self.constant.hex())).encode())
        arrays = [self.one_body, self.two_body]
        if self.beta is not None:
            arrays += [self.beta.one_body, self.beta.two_body, self.beta.mixed]
        for array in arrays:
            unsigned = np.asarray(array, "<f8") + 0.0  # no -0.0, which an FCIDUMP leaves out
            total.update(np.ascontiguousarray(unsigned).tobytes())
        return total.hexdigest()

    def full_two_body(self) -> Floats:
        """(pq|rs) as float64 (norb, norb, norb, norb)."""
        from pyscf import ao2mo

        return np.asarray(ao2mo.restore(1, np.array(self.two_body), self.norb))

    def determinant_energy(self, alpha: Bits, beta: Bits) -> float:
        """<D|H|D> of a determinant with these orbitals occupied, without the constant."""
        if self.beta is not None:
            return spins(self.one_body, self.two_body, self.beta).energy((alpha, beta))
        coulomb, exchange = self._repulsion()
        one, other = alpha.astype(float), beta.astype(float)
        total = one + other
        energy = np.diagonal(self.one_body) @ total + total @ coulomb @ total / 2
        return float(energy - (one @ exchange @ one + other @ exchange @ other) / 2)

    def with_lowest_determinant_first(self) -> Self:
        """The orbitals in another order, if the lowest ones by number are not those to fill.

        Which ones are is found by the Fock matrix's diagonal: orbitals are filled by it, and it is
        made anew of those, until it fills the same ones.
        """
        if self.beta is not None:
            return self._lowest_of_each_spin_first(self.beta)
        first = np.arange(self.norb)
        best, energy = first, self._filled_energy(first) - LOWER
        for order in (first, np.argsort(np.diagonal(self.one_body), kind="stable")):
            for _ in range(FOCK_CYCLES):
                order = np.argsort(self._fock_diagonal(order), kind="stable")
                if self._filled_energy(order) < energy:
                    best, energy = order, self._filled_energy(order)
        return self if best is first else self._reordered(best)

    def _filled(self, order: npt.NDArray[np.int64]) -> tuple[Bits, Bits]:
        place = np.argsort(order)
        return place < self.num_alpha, place < self.num_beta

    def _filled_energy(self, order: npt.NDArray[np.int64]) -> float:
        return self.determinant_energy(*self._filled(order))

    def _fock_diagonal(self, order: npt.NDArray[np.int64]) -> Floats:
        """Of both spins' mean, where the first orbitals of the order are filled."""
        coulomb, exchange = self._repulsion()
        alpha, beta = self._filled(order)
        total = alpha.astype(float) + beta
        diagonal: Floats = np.diagonal(self.one_body) + (coulomb - exchange / 2) @ total
        return diagonal

    def _repulsion(self) -> tuple[Floats, Floats]:
        """(pp|qq) and (pq|qp)."""
        return same_spin_repulsion(np.asarray(self.two_body), self.norb)

    def _lowest_of_each_spin_first(self, beta: BetaIntegrals) -> Self:
        found = spins(self.one_body, self.two_body, beta).lowest_orders(self.electrons, LOWER)
        alpha_order, beta_order = found
        own = np.arange(self.norb)
        if np.array_equal(alpha_order, own) and np.array_equal(beta_order, own):
            return self
        return self.model_copy(
            update={
                "one_body": np.asarray(self.one_body)[np.ix_(alpha_order, alpha_order)],
                "two_body": reordered_packed(np.asarray(self.two_body), alpha_order),
                "orbital_symmetry": np.empty(0, np.int64),  # the spins' orders differ
                "beta": reordered(beta, alpha_order, beta_order),
            }
        )

    def _reordered(self, order: npt.NDArray[np.int64]) -> Self:
        from pyscf import ao2mo

        every = np.ix_(order, order, order, order)
        symmetry, dipole = np.asarray(self.orbital_symmetry), np.asarray(self.dipole_integrals)
        return self.model_copy(
            update={
                "dipole_integrals": dipole[:, order][:, :, order] if dipole.size else dipole,
                "one_body": np.asarray(self.one_body)[np.ix_(order, order)],
                "two_body": np.asarray(ao2mo.restore(8, self.full_two_body()[every], self.norb)),
                "orbital_symmetry": symmetry[order] if symmetry.size else symmetry,
            }
        )

    def as_ffsim(self) -> MolecularHamiltonian:
        """The same for ffsim.

        Raises:
            ValueError: the spins' orbitals differ, which it cannot say.
        """
        if self.beta is not None:
            raise ValueError(
                "ffsim's Hamiltonian has the same orbitals for both spins, and these differ"
            )
        import ffsim

        return ffsim.MolecularHamiltonian(
            np.array(self.one_body), self.full_two_body(), constant=self.constant
        )

    def write_fcidump(self, path: str | PathLike[str]) -> None:
        """An FCIDUMP file (Knowles and Handy, Comput. Phys. Commun. 54, 75, 1989), all digits kept."""
        from pyscf.tools import fcidump

        if self.beta is not None:
            told = SpinIntegrals(
                np.asarray(self.one_body), np.asarray(self.two_body), self.beta, self.constant
            )
            with write_whole(Path(path)) as file:
                for line in unrestricted_lines(told, self.electrons):
                    file.write(line.encode())
            return
        write: Any = fcidump.from_integrals
        said = np.any(self.one_body, axis=0).all() and np.any(self.two_body)
        with write_whole(Path(path)) as file:
            write(
                file.name,
                np.array(self.one_body),
                np.array(self.two_body),
                self.norb,
                self.electrons,
                self.constant,
                ms=self.num_alpha - self.num_beta,
                orbsym=[int(label) for label in self.orbital_symmetry] or None,
                tol=0.0 if said else -1.0,  # zeros, too, where without them more may be missing
                float_format=" %.17g",
            )

    @staticmethod
    def read_fcidump(path: str | PathLike[str]) -> Hamiltonian:
        """The Hamiltonian of an FCIDUMP file over real orbitals; warns of what may be missing.

        Raises:
            ValueError: it is none, or does not say for sure what is meant.
        """
        found = read_integrals(Path(path))
        for remark in found.remarks:
            warnings.warn(remark, stacklevel=2)
        return of_integrals(found)


def of_integrals(found: Integrals) -> Hamiltonian:
    """The Hamiltonian of what a file says."""
    return Hamiltonian(
        norb=len(found.one_body),
        num_alpha=found.electrons[0],
        num_beta=found.electrons[1],
        constant=found.constant,
        one_body=found.one_body,
        two_body=found.two_body,
        orbital_symmetry=found.symmetry,
        beta=found.beta,
    )


def lowest_spin_square(electrons: tuple[int, int]) -> float:
    """S(S + 1) of a state whose unpaired electrons are no more than their numbers make necessary."""
    spin = abs(electrons[0] - electrons[1]) / 2
    return spin * (spin + 1)
