"""A molecule's electronic Hamiltonian in a basis of orbitals, as data that is stored once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from qcsc_algorithms.sqd.chemistry.fcidump import read_integrals
from qcsc_loop.concurrency.whole_file import write_whole
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

if TYPE_CHECKING:
    from ffsim import MolecularHamiltonian

Floats = npt.NDArray[np.float64]


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
    """

    norb: int
    num_alpha: int
    num_beta: int
    constant: float
    one_body: NDArray
    two_body: NDArray
    orbital_symmetry: NDArray = np.empty(0, np.int64)

    @property
    def electrons(self) -> tuple[int, int]:
        """Electrons of each spin."""
        return self.num_alpha, self.num_beta

    @property
    def sha256(self) -> str:
        """Hash of the integrals; the same on every machine."""
        total = hashlib.sha256(repr((self.norb, self.electrons, self.constant.hex())).encode())
        for array in (self.one_body, self.two_body):
            unsigned = np.asarray(array, "<f8") + 0.0  # no -0.0, which an FCIDUMP leaves out
            total.update(np.ascontiguousarray(unsigned).tobytes())
        return total.hexdigest()

    def full_two_body(self) -> Floats:
        """(pq|rs) as float64 (norb, norb, norb, norb)."""
        from pyscf import ao2mo

        return np.asarray(ao2mo.restore(1, np.array(self.two_body), self.norb))

    def as_ffsim(self) -> MolecularHamiltonian:
        """The same for ffsim."""
        import ffsim

        return ffsim.MolecularHamiltonian(
            np.array(self.one_body), self.full_two_body(), constant=self.constant
        )

    def write_fcidump(self, path: Path) -> None:
        """An FCIDUMP file (Knowles and Handy, Comput. Phys. Commun. 54, 75, 1989), all digits kept."""
        from pyscf.tools import fcidump

        write: Any = fcidump.from_integrals
        with write_whole(path) as file:
            write(
                file.name,
                np.array(self.one_body),
                np.array(self.two_body),
                self.norb,
                self.electrons,
                self.constant,
                ms=self.num_alpha - self.num_beta,
                orbsym=[int(label) for label in self.orbital_symmetry] or None,
                tol=0.0,
                float_format=" %.17g",
            )

    @classmethod
    def read_fcidump(cls, path: Path) -> Self:
        """The Hamiltonian of an FCIDUMP file over real orbitals common to both spins.

        Raises:
            ValueError: it is none, or does not say for sure what is meant.
        """
        found = read_integrals(path)
        return cls(
            norb=len(found.one_body),
            num_alpha=found.electrons[0],
            num_beta=found.electrons[1],
            constant=found.constant,
            one_body=found.one_body,
            two_body=found.two_body,
            orbital_symmetry=found.symmetry,
        )
