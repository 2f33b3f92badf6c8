"""A whole classical iteration of SQD, from shots to an energy, beside that of qiskit-addon-sqd.

    python -m benchmarks.sqd_addon [STRINGS]

The system is N2 in cc-pVDZ (26 orbitals), two frozen core orbitals. Shots are pairs of strings, few
excitations mostly, of which each bit is flipped with a small probability: most have a wrong number of
electrons. Both recover them by the same occupancies, choose as many strings of each spin, and
diagonalise, on one thread; each may choose others, so energies are alike, not equal. The addon's loop
with our eigensolver in its slot is measured, too. CPU seconds; imports, compilation and the start of a
process are not counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.figures import Figure, at_most, show
from benchmarks.solvers import NITROGEN, by_native, draw_strings
from qcsc_algorithms.sqd import Guess, Hamiltonian, Molecule
from qcsc_algorithms.sqd.determinants.configurations import Floats, Strings, pack, unpack
from qcsc_algorithms.sqd.sample_based import Seen, choose_subspaces
from qcsc_algorithms.sqd.solvers.sci_states import solve_sci_batch

STRINGS, SHOTS, DISTINCT = 300, 20_000, 2_000
FLIPPED = 0.03  # of the bits
SLOWER = 5
SEED = 11


def noisy_shots(
    hamiltonian: Hamiltonian, shots: int = SHOTS, distinct: int = DISTINCT
) -> tuple[np.ndarray, Floats]:
    """Bits bool (shots, 2 norb), the beta string's and then the alpha string's; occupancies."""
    rng, norb = np.random.default_rng(SEED), hamiltonian.norb
    strings = unpack(draw_strings(hamiltonian, distinct), norb)
    heavy = rng.geometric(5 / distinct, size=(2, shots)) % len(strings)
    alpha, beta = strings[heavy[0]], strings[heavy[1]]
    occupancies = np.array([alpha.mean(axis=0), beta.mean(axis=0)])
    bits = np.concatenate([beta[:, ::-1], alpha[:, ::-1]], axis=1)
    return bits ^ (rng.random(bits.shape) < FLIPPED), occupancies


def by_us(hamiltonian: Hamiltonian, bits: np.ndarray, occupancies: Floats, strings: int) -> float:
    """The energy of an iteration as `SQD` has them."""
    return by_native(hamiltonian, chosen_strings(hamiltonian, bits, occupancies, strings))


def chosen_strings(
    hamiltonian: Hamiltonian, bits: np.ndarray, occupancies: Floats, strings: int
) -> Strings:
    """The subspace of an iteration as `SQD` has them: recovered, and drawn."""
    nothing = Guess.nothing(hamiltonian.norb)
    guess = Guess(occupancies=occupancies, alpha=nothing.alpha, beta=nothing.beta)
    chosen = choose_subspaces(
        Seen(pack(bits[:, ::-1])),
        hamiltonian.norb,
        hamiltonian.electrons,
        guess,
        strings,
        0,
        1,
        np.random.default_rng(SEED),
    )
    return np.asarray(chosen.subspaces[0].alpha)


def by_addon(
    hamiltonian: Hamiltonian,
    bits: np.ndarray,
    occupancies: Floats,
    strings: int,
    solver: Callable[..., list[Any]] | None = None,
) -> float:
    """The energy of an iteration of its loop."""
    from qiskit_addon_sqd.fermion import diagonalize_fermionic_hamiltonian

    norb, filled = hamiltonian.norb, (1 << hamiltonian.num_alpha) - 1
    found = diagonalize_fermionic_hamiltonian(
        np.array(hamiltonian.one_body),
        hamiltonian.full_two_body(),
        bits,
        samples_per_batch=4 * strings,
        norb=norb,
        nelec=hamiltonian.electrons,
        max_iterations=1,
        symmetrize_spin=True,
        max_dim=strings,
        include_configurations=[filled],
        initial_occupancies=(occupancies[0], occupancies[1]),
        seed=SEED,
        sci_solver=solver,
    )
    return float(found.energy) + hamiltonian.constant


def main() -> None:
    """Prints what each takes, and whether the target is met."""
    strings = int(sys.argv[1]) if sys.argv[1:] else STRINGS
    hamiltonian = Molecule(geometry=NITROGEN, basis="cc-pvdz", frozen_core=2).hamiltonian()
    bits, occupancies = noisy_shots(hamiltonian)
    ways: dict[str, Callable[[int], float]] = {
        "ours": lambda n: by_us(hamiltonian, bits, occupancies, n),
        "qiskit-addon-sqd": lambda n: by_addon(hamiltonian, bits, occupancies, n),
        "its loop, our eigensolver": lambda n: by_addon(
            hamiltonian, bits, occupancies, n, solve_sci_batch
        ),
    }
    seconds: dict[str, float] = {}
    with threadpool_limits(1):
        for name, way in ways.items():
            way(20)
            began = time.process_time()
            energy = way(strings)
            seconds[name] = time.process_time() - began
            print(f"  {name:<28}{seconds[name]:>8.2f} s {energy:.6f} hartree", flush=True)
    ours, *others = seconds.items()
    figures = [
        Figure(
            ours[0],
            ours[1],
            "s of CPU",
            name,
            taken,
            at_most(1 / SLOWER, ours[1] / taken, "") if name == "qiskit-addon-sqd" else None,
        )
        for name, taken in others
    ]
    show(f"An iteration, N2/cc-pVDZ, {strings} strings, {SHOTS:,} shots", figures)


if __name__ == "__main__":
    main()
