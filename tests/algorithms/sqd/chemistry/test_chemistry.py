"""From a molecule to energies: integrals, reference methods, circuits, diagonalisation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import ffsim
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from pyscf import cc, fci, gto, lib, mcscf, scf
from pyscf.fci import cistring
from scipy import stats
from threadpoolctl import threadpool_limits

from other_process import printed_by
from qcsc_algorithms.sqd import SQD
from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.ffsim_sampler import FfsimSampler
from qcsc_algorithms.sqd.chemistry.hamiltonian import Hamiltonian
from qcsc_algorithms.sqd.chemistry.reference import Energies, Start, compute_start, determinants
from qcsc_algorithms.sqd.chemistry.system import WATER, ActiveSpace, FCIDump, Molecule, System
from qcsc_algorithms.sqd.determinants.configurations import (
    Strings,
    as_integers,
    from_integers,
    from_samples,
    pack,
)
from qcsc_algorithms.sqd.determinants.subspace import Subspace
from qcsc_algorithms.sqd.sample_based import BadSystem
from qcsc_algorithms.sqd.solvers.pyscf import PyscfSolver
from qcsc_algorithms.sqd.solvers.solver import Solution
from qcsc_hpc.machine import LocalMachine
from qcsc_loop.concurrency.worker import in_worker
from qcsc_loop.errors import JobRefused
from qcsc_loop.rules.stop import MaxIterations
from qcsc_loop.steps.step import Step, stepping
from qcsc_loop.store.memory import MemoryStore

HARTREE = 2e-6  # of energies given to six digits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """What the tests compute themselves; several threads are slower here, not faster."""
    with threadpool_limits(1), lib.with_omp_threads(1):
        yield


def chain(atoms: int) -> str:
    """Hydrogen atoms, 1 angstrom apart."""
    return "; ".join(f"H 0 0 {i}" for i in range(atoms))


NITROGEN, OXYGEN = "N 0 0 0; N 0 0 1.0977", "O 0 0 0; O 0 0 1.208"
H2 = Molecule(geometry="H 0 0 0; H 0 0 0.735", basis="sto-3g")
H4 = Molecule(geometry=chain(4), basis="sto-3g")
H6 = Molecule(geometry=chain(6), basis="sto-3g")
H2O = Molecule(basis="sto-3g", frozen_core=1)
N2 = Molecule(geometry=NITROGEN, basis="sto-3g", frozen_core=2)
O2 = Molecule(geometry=OXYGEN, basis="sto-3g", frozen_core=2, spin=2)
SINGLET_O2 = Molecule(geometry=OXYGEN, basis="sto-3g", frozen_core=2)
LI = Molecule(geometry="Li 0 0 0", spin=1)
HYDROXYL = Molecule(geometry="O 0 0 0; H 0 0 0.97", basis="sto-3g", spin=1, frozen_core=1)

# HF, CCSD, FCI in hartree
TABLE = {
    "H2": (H2, 2, (1, 1), -1.116999, -1.137306, -1.137306),
    "H4": (H4, 4, (2, 2), -2.098546, -2.166380, -2.166387),
    "H6": (H6, 6, (3, 3), -3.135532, -3.235677, -3.236066),
    "H2O": (H2O, 6, (4, 4), -74.963147, -75.012582, -75.012698),
    "H2O/6-31G": (Molecule(frozen_core=1), 12, (4, 4), -75.983831, -76.118340, -76.119851),
    "N2": (N2, 8, (5, 5), -107.495893, -107.648646, -107.652533),
}


def started(system: Molecule | FCIDump, ansatz: LUCJ | None = None) -> Start:
    """What a run with this system starts from, as a run computes it."""
    return _started(system.model_dump_json(), (ansatz or LUCJ()).model_dump_json())


@cache
def _started(system: str, ansatz: str) -> Start:
    chosen, circuit = SYSTEM.validate_json(system), LUCJ.model_validate_json(ansatz)
    return anyio.run(lambda: in_worker(compute_start, chosen, circuit))


SYSTEM: TypeAdapter[Molecule | FCIDump] = TypeAdapter(System)


def solved(
    hamiltonian: Hamiltonian,
    subspace: Subspace,
    machine: LocalMachine | None = None,
    **settings: Any,
) -> Solution:
    solver = PyscfSolver(**settings)
    return anyio.run(solver.solve, hamiltonian, subspace, machine or LocalMachine())


def whole(hamiltonian: Hamiltonian) -> Subspace:
    """All strings of its electrons."""
    norb = hamiltonian.norb
    alpha, beta = (
        from_integers(cistring.make_strings(range(norb), n), norb) for n in hamiltonian.electrons
    )
    return Subspace(alpha=alpha, beta=beta)


def part_of(space: Subspace, alpha: int, beta: int, rng: np.random.Generator) -> Subspace:
    """Some of its strings in any order."""
    return Subspace(
        alpha=space.alpha[rng.permutation(len(space.alpha))[:alpha]],
        beta=space.beta[rng.permutation(len(space.beta))[:beta]],
    )


def matrix(h: Hamiltonian) -> Any:
    """The Hamiltonian over all determinants, by Slater and Condon's rules."""
    size = determinants(h)
    pspace: Any = fci.direct_spin1.pspace
    addresses, dense = pspace(
        np.array(h.one_body), np.array(h.two_body), h.norb, h.electrons, np=size
    )
    order = np.argsort(addresses)
    return dense[np.ix_(order, order)] + h.constant * np.eye(size)


def within(h: Hamiltonian, space: Subspace) -> Any:
    """The same over a subspace, as (alpha, beta) flattened."""
    rows, columns = (
        cistring.strs2addr(h.norb, n, as_integers(strings))
        for n, strings in zip(h.electrons, (space.alpha, space.beta), strict=True)
    )
    width = math.comb(h.norb, h.num_beta)
    places = (rows[:, None] * width + columns[None, :]).ravel()
    return matrix(h)[np.ix_(places, places)]


# reference energies


@pytest.mark.parametrize("name", TABLE)
def test_the_reference_energies_are_the_known_ones(name: str) -> None:
    system, norb, electrons, hf, ccsd, exact = TABLE[name]
    found = started(system)

    assert (found.hamiltonian.norb, found.hamiltonian.electrons) == (norb, electrons)
    energies = found.energies
    assert (energies.hf, energies.ccsd, energies.fci) == pytest.approx(
        (hf, ccsd, exact), abs=HARTREE
    )
    assert energies.fci < energies.mp2 < energies.hf or name == "N2"  # MP2 overshoots there


@pytest.mark.parametrize("system", [O2, LI, HYDROXYL], ids=["O2 triplet", "Li doublet", "OH"])
def test_an_open_shells_reference_energies_are_pyscfs(system: Molecule) -> None:
    found = started(system)
    molecule = gto.M(
        atom=system.geometry, basis=system.basis, spin=system.spin, symmetry=False, verbose=0
    )
    field: Any = scf.ROHF(molecule)
    field.conv_tol = 1e-12
    field.kernel()
    coupled: Any = cc.UCCSD(field.to_uhf(), frozen=system.frozen_core)
    coupled.kernel()
    h = found.hamiltonian
    space: Any = mcscf.CASCI(field, h.norb, h.electrons)
    exact = space.kernel()[0]

    assert h.num_alpha - h.num_beta == system.spin
    assert found.energies.hf == pytest.approx(field.e_tot, abs=1e-8)
    assert found.energies.ccsd == pytest.approx(coupled.e_tot, abs=HARTREE)
    assert found.energies.fci == pytest.approx(exact, abs=1e-7)


@pytest.mark.parametrize(
    "other",
    [
        H2.model_copy(update={"symmetry": False}),
        H2.model_copy(update={"geometry": "H 0 0 0; H 0 0 1.3889487015553202", "unit": "bohr"}),
        H2.model_copy(update={"geometry": "H 1 2 3; H 1.735 2 3"}),
    ],
    ids=["without symmetry", "in bohr", "elsewhere"],
)
def test_the_same_molecule_said_otherwise_has_the_same_energies(other: Molecule) -> None:
    one, two = started(H2).energies, started(other).energies

    assert (two.hf, two.mp2, two.ccsd, two.fci) == pytest.approx(
        (one.hf, one.mp2, one.ccsd, one.fci), abs=1e-9
    )


def test_an_active_space_of_all_orbitals_above_the_core_is_a_frozen_core() -> None:
    space = ActiveSpace(electrons=8, orbitals=6)
    other = started(Molecule(basis="sto-3g", active_space=space))

    assert other.hamiltonian.sha256 == started(H2O).hamiltonian.sha256


def test_a_smaller_active_space_has_more_energy() -> None:
    small = started(Molecule(basis="sto-3g", active_space=ActiveSpace(electrons=4, orbitals=4)))

    assert small.hamiltonian.norb == 4
    assert started(H2O).energies.fci < small.energies.fci < small.energies.hf
    assert small.energies.hf == pytest.approx(started(H2O).energies.hf, abs=1e-9)


def test_an_ion_has_the_electrons_of_its_charge() -> None:
    ion = started(Molecule(geometry="H 0 0 0; H 0 0 1", charge=1, spin=1)).hamiltonian

    assert ion.electrons == (1, 0)


def test_a_run_starts_from_the_same_bits_in_every_process_whatever_its_threads() -> None:
    code = """
import anyio
from qcsc_algorithms.sqd.chemistry.ansatz import LUCJ
from qcsc_algorithms.sqd.chemistry.reference import compute_start
from qcsc_algorithms.sqd.chemistry.system import Molecule
from qcsc_loop.concurrency.worker import in_worker
water = Molecule(basis="sto-3g", frozen_core=1), LUCJ()
itself, as_a_run = compute_start(*water), anyio.run(lambda: in_worker(compute_start, *water))
for found in itself, as_a_run:
    print(found.hamiltonian.sha256, found.parameters.tobytes().hex())
# the last bit of a large sum is a processor's own matter; a run leaves it to one thread of a worker
print(as_a_run.energies.fci.hex())
"""
    here = started(H2O)
    there = printed_by(code, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2").splitlines()

    bits = f"{here.hamiltonian.sha256} {here.parameters.tobytes().hex()}"
    assert there == [bits, bits, here.energies.fci.hex()]


# FCIDUMP files


def awkward(norb: int, electrons: tuple[int, int], seed: int) -> Hamiltonian:
    """Integrals of every size, among them zeros of either sign and numbers next to others."""
    rng = np.random.default_rng(seed)
    pairs = norb * (norb + 1) // 2

    def numbers(count: int) -> Any:
        values = rng.standard_normal(count) * 10.0 ** rng.integers(-300, 3, count)
        values[rng.random(count) < 0.2] = 0.0
        values[rng.random(count) < 0.2] = -0.0
        return np.nextafter(
            values, rng.choice([-np.inf, np.inf], count), where=values != 0, out=values
        )

    one_body = np.zeros((norb, norb))
    one_body[np.tril_indices(norb)] = numbers(pairs)
    return Hamiltonian(
        norb=norb,
        num_alpha=electrons[0],
        num_beta=electrons[1],
        constant=float(rng.standard_normal()),
        one_body=np.where(np.tri(norb, dtype=bool), one_body, one_body.T),
        two_body=numbers(pairs * (pairs + 1) // 2),
    )


HAMILTONIANS = {
    "H4": lambda: started(H4).hamiltonian,
    "N2": lambda: started(N2).hamiltonian,
    "O2 triplet": lambda: started(O2).hamiltonian,
    "awkward": lambda: awkward(5, (3, 2), 1),
    "one orbital": lambda: awkward(1, (1, 0), 2),
    "many orbitals": lambda: awkward(12, (1, 1), 3),
}


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_an_fcidump_holds_every_bit(name: str, tmp_path: Path) -> None:
    before = HAMILTONIANS[name]()
    before.write_fcidump(tmp_path / "file.fcidump")
    after = Hamiltonian.read_fcidump(tmp_path / "file.fcidump")

    assert after.sha256 == before.sha256
    assert (after.norb, after.electrons) == (before.norb, before.electrons)
    assert after.constant.hex() == before.constant.hex()
    assert np.array_equal(after.one_body, before.one_body)
    assert np.array_equal(after.two_body, before.two_body)
    if before.orbital_symmetry.size:
        assert after.orbital_symmetry.tolist() == before.orbital_symmetry.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["file.fcidump"]


def test_a_hash_tells_integrals_apart() -> None:
    known = awkward(3, (2, 1), 0)
    changed: list[dict[str, Any]] = [
        {"constant": float(np.nextafter(known.constant, 9))},
        {"num_alpha": 1, "num_beta": 2},
        {"one_body": np.nextafter(known.one_body, 9)},
        {"two_body": np.nextafter(known.two_body, 9)},
    ]

    hashes = {known.model_copy(update=update).sha256 for update in [{}, *changed]}
    assert len(hashes) == 5


def test_a_file_as_system_gives_what_the_molecule_gave(tmp_path: Path) -> None:
    for name, system in (("water", H2O), ("oxygen", O2)):
        found = started(system)
        found.hamiltonian.write_fcidump(tmp_path / name)
        again = started(FCIDump(path=tmp_path / name))

        assert again.hamiltonian.sha256 == found.hamiltonian.sha256
        assert again.energies == found.energies
        assert again.parameters.tobytes() == found.parameters.tobytes()


def test_a_plain_text_as_system_is_a_files_path(tmp_path: Path) -> None:
    path = tmp_path / "h2.fcidump"
    started(H2).hamiltonian.write_fcidump(path)

    assert SQD.model_validate({"system": str(path)}).system == FCIDump(path=path)
    assert SQD.model_validate({"system": {"path": str(path)}}).system == FCIDump(path=path)
    assert SQD.model_validate({"system": {"geometry": WATER}}).system == Molecule()


# what cannot be set up

BAD_MOLECULES: dict[str, tuple[dict[str, Any], str]] = {
    "two coordinates": ({"geometry": "H 0 0; H 0 0 1"}, "pyscf cannot build the molecule"),
    "no atoms": ({"geometry": " "}, "the molecule's geometry is empty"),
    "no element": ({"geometry": "water"}, "Unsupported atom symbol WATER"),
    "atoms on each other": (
        {"geometry": "H 0 0 0; O 0 0 1; H 0 0 0"},
        r"atoms 1 \(H\) and 3 \(H\) are in one place; move one of them",
    ),
    "atoms nearly on each other": (
        {"geometry": "H 0 0 0; H 0 0 1e-7", "symmetry": False},
        "are in one place; move one of them",
    ),
    "not a number": ({"geometry": "H 0 0 0; H 0 0 nan"}, "must not contain infs or NaNs"),
    "no such basis": ({"basis": "no-such"}, "Unknown basis format or basis name no-such"),
    "no basis for it": ({"geometry": "U 0 0 0", "basis": "sto-3g"}, "not found for U in sto-3g"),
    "no basis": ({"basis": ""}, "the molecule's basis is empty"),
    "impossible spin": (
        {"spin": 1},
        "10 electrons, 1 of them unpaired, do not go into 13 orbitals",
    ),
    "more unpaired than there are": ({"spin": 12}, "has to be even here and at most 10"),
    "no electrons": ({"geometry": "H 0 0 0", "charge": 1}, "has no electrons"),
    "too high a charge": (
        {"charge": 11},
        "no electrons: it is 11, and uncharged there are 10; give a smaller charge",
    ),
    "more electrons than there is room": (
        {"charge": -30},
        "40 electrons do not go into 13 orbitals; give a larger charge or a larger basis",
    ),
    "odd active space": (
        {"active_space": ActiveSpace(electrons=3, orbitals=3)},
        "3 electrons, 0 of them unpaired, in 3 orbitals do not make an active space of a molecule "
        "with 10 electrons",
    ),
    "too many active electrons": (
        {"active_space": ActiveSpace(electrons=6, orbitals=2)},
        "6 electrons, 0 of them unpaired, in 2 orbitals do not make an active space",
    ),
    "more orbitals than there are": (
        {"active_space": ActiveSpace(electrons=4, orbitals=40)},
        "3 core and 40 active orbitals are more than the basis has: 13",
    ),
    "nothing active": ({"frozen_core": 5}, r"leave nothing to correlate; choose another"),
    "more frozen than there is": (
        {"frozen_core": 20},
        "frozen_core is 20, and of a molecule with 10 electrons, 0 of them unpaired, 5 orbitals "
        "are doubly occupied; freeze fewer than these",
    ),
    "a full active space": (
        {"active_space": ActiveSpace(electrons=4, orbitals=2)},
        r"\(2, 2\) electrons in 2 orbitals leave nothing to correlate; choose another active space",
    ),
}


@pytest.mark.parametrize("name", BAD_MOLECULES)
def test_a_molecule_that_cannot_be_is_refused_in_a_sentence(name: str) -> None:
    settings, sentence = BAD_MOLECULES[name]

    with pytest.raises(ValueError, match=sentence.replace(" ", r"\s")):
        started(Molecule(**settings))


def test_frozen_core_and_active_space_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="both choose the orbitals: give one of them"):
        Molecule(frozen_core=1, active_space=ActiveSpace(electrons=2, orbitals=2))


def good_dump(folder: Path) -> str:
    started(H2).hamiltonian.write_fcidump(folder / "good")
    return (folder / "good").read_text()


BAD_FILES: dict[str, tuple[Any, str]] = {
    "garbage": (lambda _: "hello\nworld\n", "is no FCIDUMP: it has no &FCI"),
    "empty": (lambda _: "", "is no FCIDUMP"),
    "not text": (lambda _: b"\x00\xff" * 50, "is no FCIDUMP"),
    "cut off": (lambda good: good[:150], "is no whole FCIDUMP: line 7 is no integral"),
    "without NORB": (lambda good: good.replace("NORB", "NRB"), "is no FCIDUMP"),
    "an orbital beyond": (
        lambda good: good + " 1.0 9 1 1 1\n",
        r"has the orbitals \[9, 1, 1, 1\], and NORB=2",
    ),
    "complex": (lambda good: good + " (1.0,0.5) 1 1 1 1\n", "has complex integrals, as in line"),
    "not a number": (lambda good: good + " nan 1 1 1 1\n", "integrals that are not finite"),
    "UHF": (lambda good: good.replace("MS2=0", "MS2=0,IUHF=.TRUE."), "each spin has orbitals"),
    "odd": (lambda good: good.replace("NELEC= 2", "NELEC= 3"), "3 electrons with MS2=0"),
    "too much spin": (lambda good: good.replace("MS2=0", "MS2=4"), "2 electrons with MS2=4"),
    "too many electrons": (
        lambda good: good.replace("NELEC= 2", "NELEC= 6"),
        "6 electrons with MS2=0",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_fcidump_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    change, sentence = BAD_FILES[name]
    content = change(good_dump(tmp_path))
    path = tmp_path / "bad.fcidump"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(ValueError, match=sentence) as caught:
        started(FCIDump(path=path))
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            started(FCIDump(path=path))
        assert str(caught.value) == f"{path}: {why}"


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        (
            {"geometry": "water"},
            "pyscf cannot build the molecule (RuntimeError: Unsupported atom symbol WATER)",
        ),
        (
            {"basis": "no-such"},
            "pyscf cannot build the molecule (BasisNotFoundError: Unknown basis "
            "format or basis name no-such)",
        ),
        ("/no/such/file", "/no/such/file: No such file or directory"),
    ],
    ids=["geometry", "basis", "file"],
)
def test_a_run_of_such_a_system_is_refused_in_one_sentence(system: Any, sentence: str) -> None:
    store = MemoryStore()
    try:
        with pytest.raises(BadSystem) as caught:
            anyio.run(
                lambda: SQD.model_validate({"system": system}).run(
                    store=store, stop=MaxIterations(1)
                )
            )
    finally:
        store.close()

    assert str(caught.value) == f"the system cannot be set up: {sentence}."
    assert caught.value.exit_code == 2


# the circuit


def lucj_state(hamiltonian: Hamiltonian, parameters: Any) -> Any:
    """The circuit's state by ffsim's own linear algebra."""
    norb, electrons = hamiltonian.norb, hamiltonian.electrons
    same, opposite = [(p, p + 1) for p in range(norb - 1)], [(p, p) for p in range(0, norb, 4)]
    kind: Any
    pairs: Any
    if electrons[0] == electrons[1]:
        kind, pairs = ffsim.UCJOpSpinBalanced, (same, opposite)
    else:
        kind, pairs = ffsim.UCJOpSpinUnbalanced, (same, opposite, same)
    operator = kind.from_parameters(
        np.array(parameters), norb=norb, n_reps=1, interaction_pairs=pairs
    )
    vacuum = ffsim.hartree_fock_state(norb, electrons)
    return ffsim.apply_unitary(vacuum, operator, norb=norb, nelec=electrons)


@pytest.mark.parametrize(
    ("system", "perturbation"),
    [(H4, 0.0), (H4, 0.3), (O2, 0.3)],
    ids=["first", "closed shell", "open shell"],
)
def test_the_sampled_circuit_has_the_distribution_of_ffsims_state(
    system: Molecule, perturbation: float
) -> None:
    found, shots = started(system), 40_000
    h = found.hamiltonian
    noise = np.random.default_rng(0).standard_normal(len(found.parameters))
    parameters = found.parameters + perturbation * noise
    circuit = LUCJ().circuit(parameters, h)
    with stepping(Step(run_seed=5)):
        samples = anyio.run(lambda: FfsimSampler().sample(circuit, shots=shots))
    configurations = from_samples(samples, h.norb)
    rows, columns = (
        cistring.strs2addr(h.norb, n, as_integers(pack(bits)))
        for n, bits in zip(h.electrons, (configurations.alpha, configurations.beta), strict=True)
    )
    amplitudes = lucj_state(h, parameters).reshape(ffsim.dims(h.norb, h.electrons))
    expected = np.abs(amplitudes) ** 2 * shots
    counts = np.zeros_like(expected)
    counts[rows, columns] = configurations.weights * shots

    # rare outcomes together: the test needs some of each
    often = expected > 8
    assert often.sum() > 5
    observed = np.array([*counts[often], counts[~often].sum()])
    known = np.array([*expected[often], expected[~often].sum()])
    used = known > 8
    scale = observed[used].sum() / known[used].sum()
    assert scale == pytest.approx(1, abs=1e-3)
    assert stats.chisquare(observed[used], known[used] * scale).pvalue > 1e-3


@pytest.mark.parametrize("system", [H2, H4, H2O, HYDROXYL], ids=["H2", "H4", "H2O", "OH"])
def test_the_first_circuits_state_is_better_than_hartree_fock(system: Molecule) -> None:
    found = started(system)
    h = found.hamiltonian
    state = lucj_state(h, found.parameters)
    operator = ffsim.linear_operator(h.as_ffsim(), norb=h.norb, nelec=h.electrons)
    energy = float(np.vdot(state, operator @ state).real)

    assert found.energies.fci - 1e-9 < energy < found.energies.hf - 1e-3


@pytest.mark.parametrize(
    "ansatz",
    [
        LUCJ(layers=2),
        LUCJ(final_rotation=True),
        LUCJ(connectivity="all-to-all"),
        LUCJ(connectivity="square", layers=2, final_rotation=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("system", [H4, HYDROXYL], ids=["closed shell", "open shell"])
def test_every_ansatz_conserves_the_electrons(system: Molecule, ansatz: LUCJ) -> None:
    found = started(system, ansatz)
    h = found.hamiltonian
    circuit = ansatz.circuit(found.parameters, h)
    samples = anyio.run(lambda: FfsimSampler().sample(circuit, shots=500))
    configurations = from_samples(samples, h.norb)

    assert len(configurations) > 1
    assert len(configurations.valid(h.electrons)) == len(configurations)


# diagonalisation


@pytest.mark.parametrize(
    "system", [H2, H4, H2O, N2, LI, HYDROXYL, O2], ids=["H2", "H4", "H2O", "N2", "Li", "OH", "O2"]
)
def test_the_whole_space_gives_the_exact_energy(system: Molecule) -> None:
    found = started(system)
    h = found.hamiltonian
    solution = solved(h, whole(h))
    spin = system.spin / 2

    assert solution.energy == pytest.approx(found.energies.fci, abs=1e-8)
    assert solution.converged and solution.residual < 1e-4
    assert solution.spin_square == pytest.approx(spin * (spin + 1), abs=1e-6)
    assert solution.occupancies.sum(axis=1) == pytest.approx(h.electrons, abs=1e-9)
    assert (solution.alpha_weights.sum(), solution.beta_weights.sum()) == pytest.approx((1, 1))


@pytest.mark.parametrize("system", [H6, HYDROXYL, LI], ids=["H6", "OH", "Li"])
@pytest.mark.parametrize("seed", range(4))
def test_a_subspaces_state_is_that_of_its_matrix(system: Molecule, seed: int) -> None:
    rng, h = np.random.default_rng(seed), started(system).hamiltonian
    everything = whole(h)
    sizes = [int(rng.integers(2, len(s) + 1)) for s in (everything.alpha, everything.beta)]
    space = part_of(everything, sizes[0], sizes[1], rng)
    dense = within(h, space)
    lowest, states = np.linalg.eigh(dense)
    state = states[:, 0].reshape(sizes)
    solution = solved(h, space, max_cycles=200)

    assert solution.energy == pytest.approx(float(lowest[0]), abs=1e-8)
    assert solution.energy >= started(system).energies.fci - 1e-9
    if len(lowest) > 1 and lowest[1] - lowest[0] < 1e-3:
        return  # its states are any mixture
    for strings, weights, before, axis in (
        (solution.alpha, solution.alpha_weights, space.alpha, 1),
        (solution.beta, solution.beta_weights, space.beta, 0),
    ):
        known = dict(zip(as_integers(before).tolist(), (state**2).sum(axis=axis), strict=True))
        assert dict(zip(as_integers(strings).tolist(), weights, strict=True)) == pytest.approx(
            known, abs=1e-6
        )
        assert np.all(np.diff(weights) <= 0)  # the heaviest first


def test_a_larger_subspace_has_no_higher_energy() -> None:
    h, rng = started(H6).hamiltonian, np.random.default_rng(1)
    shuffled = part_of(whole(h), 20, 20, rng)
    energies = [
        solved(h, Subspace(alpha=shuffled.alpha[:n], beta=shuffled.beta[:n])).energy
        for n in (1, 2, 4, 8, 14, 20)
    ]

    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(energies))
    assert energies[-1] == pytest.approx(started(H6).energies.fci, abs=1e-8)


def test_the_residual_is_that_of_the_eigenvalue_equation() -> None:
    h = started(H6).hamiltonian
    space = part_of(whole(h), 9, 7, np.random.default_rng(3))
    lowest = np.linalg.eigvalsh(within(h, space))
    rough, fine = (solved(h, space, max_cycles=n) for n in (2, 200))

    # an eigenvalue lies within the residual, and the error is at most its square over the gap
    for solution in (rough, fine):
        assert np.abs(lowest - solution.energy).min() <= solution.residual + 1e-12
        bound = solution.residual**2 / (lowest[1] - solution.energy)
        assert -1e-10 <= solution.energy - lowest[0] <= bound + 1e-10
    assert fine.residual < 1e-4 < rough.residual


def test_the_order_of_the_strings_does_not_matter() -> None:
    h = started(H6).hamiltonian
    space = part_of(whole(h), 12, 12, np.random.default_rng(5))
    other = Subspace(alpha=space.alpha[::-1], beta=space.beta[::-1])

    assert same_bits(solved(h, space), solved(h, other))


def same_bits(one: Solution, other: Solution) -> bool:
    return one.model_dump_json() == other.model_dump_json()


def test_a_job_gives_the_same_bits_as_a_worker(tmp_path: Path) -> None:
    h = started(HYDROXYL).hamiltonian
    space = part_of(whole(h), 4, 7, np.random.default_rng(0))
    worker = solved(h, space, as_job=False)
    with stepping(Step(make_folder=lambda: tmp_path)):
        job = solved(h, space, as_job=True)

    assert same_bits(job, worker)
    assert len(list(tmp_path.glob("*.job"))) == 1


def test_a_solver_that_is_stopped_too_early_says_so() -> None:
    found = started(H6)
    solution = solved(found.hamiltonian, whole(found.hamiltonian), max_cycles=1)

    assert not solution.converged
    assert solution.residual > 1e-2
    assert solution.energy > found.energies.fci + 1e-3


def test_a_state_of_another_spin_can_be_asked_for() -> None:
    found = started(SINGLET_O2)
    h = found.hamiltonian
    lowest, singlet = solved(h, whole(h)), solved(h, whole(h), spin_square=0)

    assert lowest.spin_square == pytest.approx(2, abs=1e-6)
    assert singlet.spin_square == pytest.approx(0, abs=1e-6)
    assert lowest.energy == pytest.approx(found.energies.lowest, abs=1e-7)
    assert singlet.energy == pytest.approx(found.energies.fci, abs=1e-7)
    # without the penalty: an energy of the Hamiltonian itself
    assert singlet.energy - lowest.energy == pytest.approx(0.03827, abs=1e-4)
    assert singlet.residual < 1e-4


def test_the_drive_towards_a_spin_is_no_part_of_the_energy() -> None:
    h = started(H4).hamiltonian
    # one determinant with two singly occupied orbitals: half a singlet, half a triplet
    open_shell = Subspace(alpha=from_integers([0b0011], 4), beta=from_integers([0b0101], 4))
    solution = solved(h, open_shell, spin_square=0)

    assert solution.spin_square == pytest.approx(1, abs=1e-12)
    assert solution.energy == pytest.approx(float(within(h, open_shell)[0, 0]), abs=1e-10)
    assert solution.residual == pytest.approx(0, abs=1e-10)


def test_more_orbitals_than_pyscfs_integers_hold_are_refused() -> None:
    def big(norb: int) -> tuple[Hamiltonian, Subspace]:
        pairs = norb * (norb + 1) // 2
        hamiltonian = Hamiltonian(
            norb=norb,
            num_alpha=1,
            num_beta=1,
            constant=0.0,
            one_body=np.zeros((norb, norb)),
            two_body=np.zeros(pairs * (pairs + 1) // 2),
        )
        string: Strings = pack(np.arange(norb)[None, :] < 1)
        return hamiltonian, Subspace(alpha=string, beta=string)

    with pytest.raises(JobRefused, match="at most 63 orbitals, not 64; take native"):
        solved(*big(64))


def test_a_large_spaces_exact_energy_is_not_computed() -> None:
    energies = started(Molecule(geometry=NITROGEN, frozen_core=2)).energies

    assert isinstance(energies, Energies) and math.isnan(energies.fci)
    assert energies.ccsd == pytest.approx(-109.093550, abs=HARTREE)
