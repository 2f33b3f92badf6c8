"""Nitrogen's integrals as an FCIDUMP file, as any quantum chemistry program writes one: FILE.

python examples/sqd/n2_fcidump.py n2.fcidump
"""

from __future__ import annotations

import sys

from pyscf import gto, scf
from pyscf.tools import fcidump


def main(file: str, bond: float = 1.0977) -> None:
    """N2 in STO-3G, 10 orbitals; the bond length is in angstrom."""
    molecule = gto.M(atom=f"N 0 0 0; N 0 0 {bond}", basis="sto-3g", verbose=0)
    fcidump.from_scf(scf.RHF(molecule).run(), file)


if __name__ == "__main__":
    main(sys.argv[1])
