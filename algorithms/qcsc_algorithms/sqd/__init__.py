"""Sample-based quantum diagonalization: the closed loop, its controls, and the Krylov variant."""

from __future__ import annotations

from qcsc_loop.faces import lazy_face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
    from qcsc_algorithms.sqd.chemistry.device_layout import lucj_layout
    from qcsc_algorithms.sqd.chemistry.ffsim_sampler import FfsimSampler
    from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
    from qcsc_algorithms.sqd.chemistry.system import FCIDump, Molecule, System
    from qcsc_algorithms.sqd.chemistry.unrestricted import BetaIntegrals
    from qcsc_algorithms.sqd.comparison import Comparison, compare
    from qcsc_algorithms.sqd.determinants.configurations import (
        Configurations,
        as_integers,
        from_samples,
    )
    from qcsc_algorithms.sqd.determinants.recovery import recover
    from qcsc_algorithms.sqd.determinants.subspace import Subspace, subsample
    from qcsc_algorithms.sqd.extrapolation import Extrapolation, extrapolate
    from qcsc_algorithms.sqd.pauli_skqd import PauliKrylov, PauliSKQD
    from qcsc_algorithms.sqd.plain import PlainSQD, Recovered
    from qcsc_algorithms.sqd.sample_based import Diagonalised, Guess
    from qcsc_algorithms.sqd.skqd import SKQD, Krylov
    from qcsc_algorithms.sqd.solvers.callable import CallableSolver
    from qcsc_algorithms.sqd.solvers.dice import DiceSolver
    from qcsc_algorithms.sqd.solvers.energy_variance import EnergyVariance, energy_variance
    from qcsc_algorithms.sqd.solvers.native import NativeSolver
    from qcsc_algorithms.sqd.solvers.pauli_subspace import PauliState, lowest_pauli_state
    from qcsc_algorithms.sqd.solvers.pyscf import PyscfSolver
    from qcsc_algorithms.sqd.solvers.sbd import SbdSolver
    from qcsc_algorithms.sqd.solvers.sbd_files import SbdFilesSolver
    from qcsc_algorithms.sqd.solvers.sci_states import solve_sci_batch
    from qcsc_algorithms.sqd.solvers.solver import Solution, Solver
    from qcsc_algorithms.sqd.sqd import SQD, Walkers

__all__ = [
    "LUCJ",
    "SKQD",
    "SQD",
    "BetaIntegrals",
    "CallableSolver",
    "Comparison",
    "Configurations",
    "Diagonalised",
    "DiceSolver",
    "EnergyVariance",
    "Extrapolation",
    "FCIDump",
    "FfsimSampler",
    "Guess",
    "Hamiltonian",
    "Krylov",
    "Molecule",
    "NativeSolver",
    "PauliKrylov",
    "PauliSKQD",
    "PauliState",
    "PlainSQD",
    "PyscfSolver",
    "Recovered",
    "SbdFilesSolver",
    "SbdSolver",
    "Solution",
    "Solver",
    "Subspace",
    "System",
    "Walkers",
    "as_integers",
    "compare",
    "energy_variance",
    "extrapolate",
    "from_samples",
    "lowest_pauli_state",
    "lucj_layout",
    "recover",
    "solve_sci_batch",
    "subsample",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "BetaIntegrals": "chemistry.unrestricted",
        "CallableSolver": "solvers.callable",
        "Comparison": "comparison",
        "Configurations": "determinants.configurations",
        "Diagonalised": "sample_based",
        "DiceSolver": "solvers.dice",
        "EnergyVariance": "solvers.energy_variance",
        "Extrapolation": "extrapolation",
        "FCIDump": "chemistry.system",
        "FfsimSampler": "chemistry.ffsim_sampler",
        "Guess": "sample_based",
        "Hamiltonian": "chemistry.hamiltonian",
        "Krylov": "skqd",
        "LUCJ": "chemistry.ansatz",
        "Molecule": "chemistry.system",
        "NativeSolver": "solvers.native",
        "PauliKrylov": "pauli_skqd",
        "PauliSKQD": "pauli_skqd",
        "PauliState": "solvers.pauli_subspace",
        "PlainSQD": "plain",
        "PyscfSolver": "solvers.pyscf",
        "Recovered": "plain",
        "SKQD": "skqd",
        "SQD": "sqd",
        "SbdFilesSolver": "solvers.sbd_files",
        "SbdSolver": "solvers.sbd",
        "Solution": "solvers.solver",
        "Solver": "solvers.solver",
        "Subspace": "determinants.subspace",
        "System": "chemistry.system",
        "Walkers": "sqd",
        "as_integers": "determinants.configurations",
        "compare": "comparison",
        "energy_variance": "solvers.energy_variance",
        "extrapolate": "extrapolation",
        "from_samples": "determinants.configurations",
        "lowest_pauli_state": "solvers.pauli_subspace",
        "lucj_layout": "chemistry.device_layout",
        "recover": "determinants.recovery",
        "solve_sci_batch": "solvers.sci_states",
        "subsample": "determinants.subspace",
    },
)
