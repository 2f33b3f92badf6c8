"""What other methods say of the Hamiltonian, computed once when a run starts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian, lowest_spin_square
from qcsc_algorithms.sqd.chemistry.system import FCIDump, Molecule, SetUp
from qcsc_algorithms.sqd.chemistry.unrestricted import BetaIntegrals, unpacked_mixed
from qcsc_loop.values.arrays import NDArray
from qcsc_loop.values.record import Record

BELOW = 1e-6  # hartree
GAP = 1.0  # hartree
FCI_DETERMINANTS = 1_000_000  # up to here it takes seconds
OTHER_SPIN = 0.1  # of S^2: more is a state of another spin, or a mixture
SHIFTS = (0.2, 1.0, 5.0)  # hartree, by which states of other spins are raised


class Energies(Record):
    """Total energies in hartree; NaN for what was not computed or did not converge.

    Attributes:
        hf: of the determinant of the lowest orbitals.
        mp2, ccsd: of perturbation theory and coupled cluster on it.
        fci: the lowest of the spin asked for in these orbitals; where it is small.
    """

    hf: float
    mp2: float
    ccsd: float
    fci: float

    @property
    def lowest(self) -> float:
        """That of any spin: no state's energy is below it."""
        return self.fci

    @property
    def by_method(self) -> dict[str, float]:
        """By the methods' names, as people write them."""
        return {"HF": self.hf, "MP2": self.mp2, "CCSD": self.ccsd, "FCI": self.fci}

    @property
    def attainable(self) -> dict[str, float]:
        """Those not below FCI, where that is known: MP2 and CCSD of a stretched bond may be."""
        return {name: e for name, e in self.by_method.items() if not e < self.fci - BELOW}


class EnergiesBySpin(Energies):
    """The same where a state of another spin is lower.

    Attributes:
        other_spin: the lowest of any spin, by full CI.
    """

    other_spin: float

    @property
    def lowest(self) -> float:
        return self.other_spin


References = EnergiesBySpin | Energies


class Start(Record):
    """What a run starts from.

    Attributes:
        hamiltonian: the integrals.
        energies: of reference methods.
        parameters: of the circuit, float64 (parameters,), from the CCSD amplitudes.
        remarks: what is to be known of them.
    """

    hamiltonian: Hamiltonian
    energies: References
    parameters: NDArray
    remarks: tuple[str, ...] = ()


def compute_start(
    system: Molecule | FCIDump, ansatz: LUCJ, spin_square: float | None = None
) -> Start:
    """Integrals, reference energies and first circuit at once: `set_up`, then `start_from`. Blocks.

    Args:
        spin_square: of the state that is looked for; NaN: any; None: the lowest there is.

    Raises:
        ValueError: the system cannot be set up.
    """
    found = set_up(system)
    lowest = lowest_spin_square(found.hamiltonian.electrons)
    return start_from(found, ansatz, lowest if spin_square is None else spin_square)


def set_up(system: Molecule | FCIDump) -> SetUp:
    """Reads or computes the integrals. Blocks.

    On one thread: with more, they differ from run to run.

    Raises:
        ValueError: the system cannot be set up.
    """
    with _one_thread():
        return system.set_up()


def start_from(found: SetUp, ansatz: LUCJ, spin_square: float) -> Start:
    """The reference energies and the first circuit, on one thread. Blocks.

    Args:
        spin_square: of the state that is looked for; NaN: any.

    Raises:
        ValueError: nothing is to be correlated.
    """
    hamiltonian, remarks = found
    # of orbitals that differ the lowest state is looked for, whatever its spin
    spin = math.nan if hamiltonian.beta is not None else spin_square
    with _one_thread():
        known, t1, t2 = _coupled_cluster(hamiltonian)
        fci, lowest = _full_ci(hamiltonian, spin)
    energies = Energies(**known, fci=fci)
    if not math.isnan(lowest) and fci != lowest:
        energies = EnergiesBySpin(**known, fci=fci, other_spin=lowest)
    return Start(
        hamiltonian=hamiltonian,
        energies=energies,
        parameters=ansatz.parameters(t1, t2, hamiltonian.electrons),
        remarks=(*remarks, *_remarks(energies, determinants(hamiltonian), spin)),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        from pyscf import lib

        lib.num_threads(1)
        yield


def _remarks(energies: Energies, size: int, spin: float) -> Iterator[str]:
    if math.isnan(energies.ccsd):
        yield (
            "CCSD did not converge in these orbitals: the circuit starts from amplitudes of first "
            "order"
        )
    if energies.lowest < energies.fci - BELOW:
        yield (
            f"the lowest state, {energies.lowest:.6f} hartree, is of another spin than the one that is "
            f"asked for, with S^2 = {spin:g}: FCI, {energies.fci:.6f} hartree, is of that one"
        )
    if energies.ccsd < energies.lowest - BELOW:
        yield (
            f"CCSD, {energies.ccsd:.6f} hartree, is below the exact {energies.lowest:.6f}: it does not "
            "describe this state, and the circuit that starts from it may not"
        )
    if math.isnan(energies.fci) and size <= FCI_DETERMINANTS:
        yield "full CI did not converge: energies are compared with no exact one"


def determinants(hamiltonian: Hamiltonian) -> int:
    """The dimension of the whole space."""
    return math.prod(math.comb(hamiltonian.norb, n) for n in hamiltonian.electrons)


def _coupled_cluster(hamiltonian: Hamiltonian) -> tuple[dict[str, float], Any, Any]:
    """Energies, single and double amplitudes, over the orbitals as they are."""
    field, closed = mean_field(hamiltonian), hamiltonian.closed_shell
    hf = float(field.energy_tot(field.make_rdm1()))
    occupied = hamiltonian.electrons
    empty = occupied[0] == occupied[1] and not 0 < occupied[0] < hamiltonian.norb
    if empty or max(occupied) == 0:
        raise ValueError(
            f"{occupied} electrons in {hamiltonian.norb} orbitals leave nothing to correlate; "
            "choose another active space"
        )
    from pyscf import cc

    method: Any = (cc.rccsd.RCCSD if closed else cc.uccsd.UCCSD)(field)
    method.verbose = 0
    method.max_cycle = 200
    try:
        with np.errstate(all="ignore"):
            method.kernel()
    except Exception:  # where it diverges, its extrapolation raises what its numbers make it raise
        method.converged = False
    ccsd = hf + float(method.e_corr) if method.converged else math.nan
    t1, t2 = method.t1, method.t2
    if not math.isfinite(ccsd):
        _, t1, t2 = _first_order(method)
    mp2 = _first_order(method)[0] if not method.converged else float(method.emp2)
    return {"hf": hf, "mp2": hf + mp2, "ccsd": ccsd}, t1, t2


def _first_order(method: Any) -> tuple[float, Any, Any]:
    """Energy, NaN if it is none, and amplitudes of perturbation theory: a sensible start."""
    integrals = method.ao2mo()
    with np.errstate(all="ignore"):
        energy, t1, t2 = method.init_amps(integrals)
    if _finite(t1) and _finite(t2) and math.isfinite(energy):
        return float(energy), t1, t2
    # orbitals without a gap: one that is made up
    filled, one = np.atleast_1d(method.nocc), np.ndim(integrals.mo_energy) == 1
    levels = [np.array(each) for each in np.atleast_2d(integrals.mo_energy)]
    for energies, count in zip(levels, filled, strict=True):
        energies[count:] += GAP
    integrals.mo_energy = levels[0] if one else tuple(levels)
    _, t1, t2 = method.init_amps(integrals)
    return math.nan, t1, t2


def _finite(amplitudes: Any) -> bool:
    parts = amplitudes if isinstance(amplitudes, tuple) else (amplitudes,)
    return all(bool(np.all(np.isfinite(part))) for part in parts)


def mean_field(hamiltonian: Hamiltonian) -> Any:
    """A pyscf mean field whose orbitals are the Hamiltonian's own."""
    from pyscf import ao2mo, gto, scf

    norb, beta = hamiltonian.norb, hamiltonian.beta
    one_body: Any = np.array(hamiltonian.one_body)
    two_body: Any = np.array(hamiltonian.two_body)
    orbitals: Any = np.eye(norb)
    if beta is not None:
        one_body, two_body = _doubled(hamiltonian, beta)
        orbitals = np.split(np.eye(2 * norb), 2, axis=1)
    molecule: Any = gto.M(verbose=0)
    molecule.nelectron = sum(hamiltonian.electrons)
    molecule.spin = hamiltonian.num_alpha - hamiltonian.num_beta
    molecule.incore_anyway = True
    molecule.nao = len(one_body)
    closed = hamiltonian.closed_shell
    field: Any = scf.RHF(molecule) if closed else scf.UHF(molecule)
    field.get_hcore = lambda *_: one_body
    field.get_ovlp = lambda *_: np.eye(len(one_body))
    field.energy_nuc = lambda *_: hamiltonian.constant
    field._eri = ao2mo.restore(8, two_body, len(one_body))
    occupations = [(np.arange(norb) < n).astype(float) for n in hamiltonian.electrons]
    if closed:
        field.mo_coeff, field.mo_occ = orbitals, 2 * occupations[0]
    else:
        each = orbitals if beta is not None else [orbitals] * 2
        field.mo_coeff, field.mo_occ = np.array(each), np.array(occupations)
    fock: Any = field.get_fock(dm=field.make_rdm1())
    field.mo_energy = np.diagonal(fock, axis1=-2, axis2=-1)
    if beta is not None:
        field.mo_energy = np.array([field.mo_energy[0][:norb], field.mo_energy[1][norb:]])
    field.e_tot = field.energy_tot(field.make_rdm1())
    field.converged = True
    return field


def spin_tensors(hamiltonian: Hamiltonian) -> tuple[Any, Any, Any]:
    """(pq|rs) of alpha orbitals, of two alpha and two beta ones, of beta ones: (norb,) * 4 each."""
    from pyscf import ao2mo

    beta, norb = hamiltonian.beta, hamiltonian.norb
    assert beta is not None
    own = (ao2mo.restore(1, np.array(part), norb) for part in (hamiltonian.two_body, beta.two_body))
    first, second = own
    return first, unpacked_mixed(np.asarray(beta.mixed), norb), second


def _doubled(hamiltonian: Hamiltonian, beta: BetaIntegrals) -> tuple[Any, Any]:
    """Integrals over alpha orbitals and, after them, beta orbitals, as if both were atomic ones.

    Pairs of one alpha and one beta orbital have none: what a spin has there is never asked for.
    """
    norb = hamiltonian.norb
    one_body, two_body = np.zeros((2 * norb,) * 2), np.zeros((2 * norb,) * 4)
    up, down = slice(None, norb), slice(norb, None)
    one_body[up, up], one_body[down, down] = hamiltonian.one_body, beta.one_body
    same, mixed, other = spin_tensors(hamiltonian)
    two_body[up, up, up, up], two_body[down, down, down, down] = same, other
    two_body[up, up, down, down], two_body[down, down, up, up] = mixed, mixed.transpose(2, 3, 0, 1)
    return one_body, two_body


def _full_ci(hamiltonian: Hamiltonian, spin_square: float) -> tuple[float, float]:
    """The lowest energy of the spin, and of any; NaN where there is none, or it did not converge."""
    if determinants(hamiltonian) > FCI_DETERMINANTS:
        return math.nan, math.nan
    from pyscf import fci

    one_body: Any = np.array(hamiltonian.one_body)
    two_body: Any = np.array(hamiltonian.two_body)
    kind: Any = fci.direct_spin1.FCI
    if hamiltonian.beta is not None:
        kind = fci.direct_uhf.FCI
        one_body, two_body = (one_body, hamiltonian.beta.one_body), spin_tensors(hamiltonian)

    def solved(solver: Any, electrons: tuple[int, int]) -> tuple[float, float]:
        solver.verbose, solver.conv_tol, solver.max_cycle = 0, 1e-12, 300
        energy, vector = solver.kernel(one_body, two_body, hamiltonian.norb, electrons)
        if not solver.converged:
            return math.nan, math.nan
        found, _ = fci.spin_op.spin_square0(vector, hamiltonian.norb, electrons)
        return float(energy) + hamiltonian.constant, float(found)

    lowest, found = solved(kind(), hamiltonian.electrons)
    if math.isnan(spin_square) or math.isnan(lowest) or abs(found - spin_square) <= OTHER_SPIN:
        return lowest, lowest
    if (aligned := _aligned(hamiltonian, spin_square)) is None:
        return math.nan, lowest
    for shift in SHIFTS:
        solver = fci.addons.fix_spin(kind(), shift=shift, ss=spin_square)
        energy, found = solved(solver, aligned)
        if abs(found - spin_square) <= OTHER_SPIN:
            return energy, lowest
    return math.nan, lowest


def _aligned(hamiltonian: Hamiltonian, spin_square: float) -> tuple[int, int] | None:
    """The numbers of electrons with which no state has a smaller spin; None: none has this one."""
    total = sum(hamiltonian.electrons)
    unpaired = round(math.sqrt(1 + 4 * spin_square) - 1)
    beta = (total - unpaired) // 2
    return (total - beta, beta) if beta >= 0 and total - beta <= hamiltonian.norb else None
